"""A crawl that was checked, written into Redis as its scripts leave it: states, links and records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from crawler.check.report import ReportOptions, findings_of
from crawler.checked_page import PLACES, CheckedPage, Named, Note, name_hash, short_id, text_hash
from crawler.findings import Finding
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.record import Record
from crawler.settings import Settings
from crawler.url import Form, host, url_id
from crawler.url_state import UrlState, id_bytes

NOW = 1_800_000_000
NO_TEXTS = ReportOptions(texts=False, now=NOW)
SITE = "https://a.example"


@dataclass(frozen=True)
class Link:
    """A place of a page."""

    url: str
    line: int = 1
    kind: str = "link"
    fragment: str | None = None
    is_target: bool = False
    """It is asked for and not read."""


@dataclass
class Page:
    """What a page says of itself."""

    links: Sequence[Link] = ()
    names: Iterable[str] | None = ()
    """None: it is no HTML."""
    notes: Sequence[Note] = ()
    title: str | None = None
    description: str | None = None
    noindex: bool = False
    elapsed_ms: int = 10
    size: int = 1_000
    state: dict[str, Any] = field(default_factory=dict)
    """Further fields of its state."""


class Crawled:
    """A crawl whose URLs have ended."""

    def __init__(self, redis_url: str, shards: int = 1, **settings: Any) -> None:
        self.link = Connection(redis_url)
        stored = Settings(shards=shards, **settings).encode()
        delay_ms = round(settings.get("delay", 0.0) * 1000)
        limits = Limits(delay_ms=delay_ms, per_host=10, robots=False)
        self.frontier = Frontier.create(self.link, "check", Identity.new(Form(), shards), stored, limits)
        home = self.frontier.home("a.example")
        home.read(("SADD", home.keys.roots, "a.example"))

    def id(self, url: str, *, is_target: bool = False) -> str:
        """The id of a page, or of a target."""
        return url_id(f"target {url}", self.frontier.identity.salt) if is_target else self.frontier.id(url)

    def state(self, url: str, outcome: str = "fetched", status: int = 200, **fields: Any) -> None:
        """A URL ended so."""
        url_id = self.id(url, is_target=fields.get("is_target", False))
        more = {"depth": 1, "via": "1", "first_seen": NOW, "checked_at": NOW, "digest": int(url_id), **fields}
        state = UrlState(url=url, outcome=outcome, status=status, **more)
        shard = self.frontier.home(host(url))
        shard.read(("HSET", shard.keys.ended(url_id), id_bytes(url_id), state.encode()))

    def page(self, url: str, page: Page | None = None) -> None:
        """A page was read."""
        page = page or Page()
        self.state(url, **page.state)
        packed = CheckedPage(
            named=[self._named(link) for link in page.links],
            names=None if page.names is None else frozenset(map(name_hash, page.names)),
            notes=page.notes,
            noindex=page.noindex,
            title=None if page.title is None else text_hash(page.title),
            description=None if page.description is None else text_hash(page.description),
            elapsed_ms=page.elapsed_ms,
            size=page.size,
        ).encode()
        shard, url_id = self.frontier.home(host(url)), self.id(url)
        shard.read(("HSET", shard.keys.links(url_id), id_bytes(url_id), packed))

    def _named(self, link: Link) -> Named:
        fragment = None if link.fragment is None else name_hash(link.fragment)
        return Named(
            short_id(self.id(link.url, is_target=link.is_target)), PLACES.index(link.kind), link.line, fragment
        )

    def start(self, *links: Link, **fields: Any) -> None:
        """The start page was read."""
        self.page(f"{SITE}/", Page(links=links, state={"depth": 0, "via": "0"}, **fields))

    def redirect(self, url: str, to: str, status: int = 301, **fields: Any) -> None:
        """A URL redirects to a page."""
        self.state(url, "redirected", status, target=self.id(to), **fields)

    def record(self, url: str, outcome: str = "fetched", *, is_target: bool = False, **fields: Any) -> None:
        """The record of a URL."""
        more = {"target": fields.pop("target")} if "target" in fields else {}
        raw = json.dumps(json.loads(Record(url=url, outcome=outcome, depth=1, **fields).encode()) | more).encode()
        url_id, shard = self.id(url, is_target=is_target), self.frontier.home(host(url))
        (at,) = shard.read(("XADD", shard.keys.records, "*", "i", url_id))
        shard.read(("HSET", shard.keys.page(url_id), "m", raw, "at", at))

    def findings(self, options: ReportOptions = NO_TEXTS) -> list[Finding]:
        """The report."""
        return list(findings_of(self.frontier, options))

    def found(self, options: ReportOptions = NO_TEXTS) -> dict[tuple[str, str], list[tuple[str, int | None]]]:
        """Code and target of each finding, with its pages and lines."""
        return {one.key: [(at.url, at.line) for at in one.pages] for one in self.findings(options)}
