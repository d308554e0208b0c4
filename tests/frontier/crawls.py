"""A crawl to test on: a frontier with a clock that only the test moves, and short ways to say what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from zlib import crc32

from crawler.frontier.messages import Accepted, Commit, Event, Lease, Limits
from crawler.frontier.redis.connection import Call, Connection
from crawler.frontier.scripts import load
from crawler.record import Record, Request, is_revisit
from crawler.url_state import UrlState
from tests.frontier.client import Client
from tests.frontier.snapshot import Snapshot

CLOCK_KEY: Final = "test:clock"
CLOCK: Final = f"local function now_ms() return tonumber(redis.call('GET', '{CLOCK_KEY}')) end\n"
"""Lua for the scripts: the time is what the test says."""
BEGIN: Final = 1_700_000_000_000
FIRST_SEEN: Final = BEGIN // 1000
TERM: Final = 90.0
"""Seconds of a lease, unless a test says otherwise."""
SETTINGS: Final = b"{}"


def record_of(url: str, outcome: str) -> bytes:
    """The record of a URL that ended so."""
    return Record(url=url, outcome=outcome, depth=0).encode()


def state_of(lease: Lease, outcome: str, **fields: Any) -> UrlState:
    """The state of the URL of *lease* if it ends so at its first visit."""
    request = lease.entry().request
    found = request.depth, request.hops, request.via, crc32(lease.token.encode())
    depth, hops, via, token = found
    more = {"first_seen": FIRST_SEEN, "checked_at": FIRST_SEEN, "is_target": request.target, **fields}
    return UrlState(url=request.url, outcome=outcome, depth=depth, hops=hops, via=via, token=token, **more)


class Crawl:
    """One crawl on one server."""

    def __init__(self, link: Connection, limits: Limits, *, name: str = "test", frontier: Client | None = None) -> None:
        self.link = link
        self.name = name
        self.set_clock(BEGIN)
        self.frontier = frontier or Client.create(link, name, SETTINGS, limits, clock=CLOCK)
        self.crawldb = self.frontier.crawldb

    # -- time ----------------------------------------------------------------------------------------------------------

    def set_clock(self, ms: int) -> None:
        """It is *ms* now."""
        self.now = ms
        self.link.client.set(CLOCK_KEY, ms)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.set_clock(self.now + round(seconds * 1000))

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def put(self, *urls: str, **options: Any) -> Accepted:
        """Accept URLs as seeds."""
        return self.frontier.put([Request(url) for url in urls], **options)

    def lease(self, want: int = 10, *, term: float = TERM, worker: str = "w", call: str | None = None) -> list[Lease]:
        """Lease, and give only the leases."""
        return list(self.frontier.lease(want, term, worker, call).leases)

    def one(self, want: int = 1) -> Lease:
        """The lease that there must be."""
        (lease,) = self.lease(want)
        return lease

    def ending(
        self,
        lease: Lease,
        outcome: str = "fetched",
        *,
        event: Event = "ok",
        rest_ms: int = 0,
        links: Sequence[str] = (),
        target: str | None = None,
        **options: Any,
    ) -> Commit:
        """What `commit` needs to end *lease*; `named`: what the page names, for a check."""
        url, url_id = lease.entry().request.url, self.frontier.id_of(lease.entry().request)
        requests = [Request(link, depth=1, via=url_id) for link in links]
        facts = {"similarity": options.get("similarity"), "digest": int(options.get("digest") or 0) << 1}
        state = state_of(lease, outcome, target=target, **facts)
        before = self.crawldb.records.state(url_id) if is_revisit(lease.raw) else None
        tallies = options.pop("tallies", {})
        if outcome in ("fetched", "missing", "denied") and "sitemaps" not in tallies:
            tallies = {"visit:fetched": 1, **tallies}
        made = {
            "links": options.pop("named", None),
            "record": record_of(url, outcome),
            "state": state,
            "before": before,
            "tallies": tallies,
            **options,
        }
        return Commit(lease, url_id, event=event, rest_ms=rest_ms, requests=requests, **made)

    def commit(self, lease: Lease, outcome: str = "fetched", **options: Any) -> Accepted:
        """End *lease* with *outcome*."""
        return self.frontier.commit(self.ending(lease, outcome, **options))

    def url(self, lease: Lease) -> str:
        """The URL that was leased."""
        return lease.entry().request.url

    def urls(self, leases: Sequence[Lease]) -> list[str]:
        """The URLs that were leased, in order."""
        return [self.url(lease) for lease in leases]

    # -- what is there -------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """All keys, after checking the invariants."""
        shot = Snapshot.take(self.link.client, self.name, self.now)
        shot.check()
        return shot

    def host(self, name: str) -> Mapping[str, str]:
        """The hash of a host."""
        return self.snapshot().hosts.get(name, {})

    def call(self, verb: str, keys: Sequence[str] = (), args: Sequence[str | bytes | int] = ()) -> Call[Any]:
        """A call of a verb by name, which gives the raw reply."""
        shard = self.frontier.shard
        return Call(
            load(verb, shard.clock),
            [*shard.keys.fixed, *keys],
            [shard.identity.generation, *args],
            lambda reply: reply,
        )

    def raw(self, verb: str, args: Sequence[str | bytes | int] = ()) -> list[Any]:
        """The raw reply of a verb that has no keys of its own."""
        reply: list[Any] = self.frontier.ask(self.call(verb, (), args))
        return reply


Make = Callable[..., Crawl]
"""The fixture `make`: Limits by keyword (no delay and no robots unless said), and `name`."""
