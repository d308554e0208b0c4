"""The values that go into and come out of the frontier's verbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

import msgspec

from crawler import url as urls
from crawler.errors import CrawlDeleting
from crawler.record import OUTCOMES, Charge, Entry, HostEvent, Request, scheme_of
from crawler.url_state import UrlState

Event = HostEvent
Trouble = Literal["", "dns", "tls", "hang", "crash", "away"]
"""Why a host is not asked any more: no such name, no trust, a robots.txt that hangs or kills workers, or away for
longer than the patience."""

OfHost = Literal["delay", "per_host", "max_pages_per_host"]
"""Settings that single hosts can have."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that the scripts obey. Times are in milliseconds."""

    delay_ms: int = 1000
    per_host: int = 1
    robots: bool = True
    max_pages: int | None = None
    max_pages_per_host: int | None = None
    patience_ms: int = 600_000
    adaptive: float = 0.0
    """Times its latency that a host rests at least; 0: its delay does not adapt."""
    max_pages_per_site: int | None = None
    max_hosts_per_site: int | None = None
    per_ip: int | None = None
    """Leases out at once to all hosts at one address."""
    overflow: int = 8_192
    """Queued pages of a host from which on more go to its tail, to be packed; half as many are packed at once."""

    def fields(self) -> dict[str, str]:
        """As fields of `meta`, named as here but for the unit; an empty one is taken away."""
        values = asdict(self) | {"robots": int(self.robots), "adaptive": round(self.adaptive * 1000)}
        return {name.removesuffix("_ms"): "" if value is None else str(value) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Shares:
    """What a worker asks for: how many leases, and which hosts may have them (see lease.lua, worker/shares.py)."""

    want: int
    """For hosts that are proven or new."""
    new: int
    """What new hosts are sure of; part of `want`."""
    failing: int = 0
    """What failing hosts are sure of, beside `want`."""
    most: int = 0
    """What failing hosts may have while no other host is due."""
    most_new: int = 1 << 30
    """What new hosts may have, of `want`."""
    reserve: int = 0
    """What new hosts leave for proven ones that will soon be due."""
    half: int = 1 << 30
    """Leases that one site may have in this worker's hands while others are due."""
    sees_addresses: bool = True
    """No proxy hides which address answers."""
    sites: Sequence[tuple[str, int, int]] = ()
    """Of each site (see `site_key`): leases in this worker's hands, and how many of these move."""

    @classmethod
    def any(cls, want: int) -> Shares:
        """Whatever is due, up to *want*."""
        return cls(want, want, 0, want)

    def at_most(self, most: int) -> Shares:
        """The same, with no more than *most* leases in all."""
        want = min(self.want, most)
        return replace(self, want=want, failing=min(self.failing, most - want), most=min(self.most, most))

    def __bool__(self) -> bool:
        return self.want > 0 or self.failing > 0 or self.most > 0


NO_SHARES: Final = Shares(0, 0)


@dataclass(frozen=True, slots=True)
class HostTrouble:
    """What is wrong with a host now."""

    kind: str
    """The word behind `failed:` in the outcome of a URL that ends by it."""
    text: str
    since_ms: int = 0
    """On the server's clock."""

    @classmethod
    def of(cls, stored: str, since_ms: int = 0) -> HostTrouble | None:
        """From the words that are stored: the kind, then the text. None if there are none."""
        kind, _, text = stored.partition(" ")
        return cls(kind if f"failed:{kind}" in OUTCOMES else "connect", text, since_ms) if stored else None


class Lease(msgspec.Struct, frozen=True):
    """A URL, or the robots.txt of an origin, in the hands of one worker until `deadline` (by `clock.since_boot`)."""

    token: str
    kind: Literal["P", "R"]
    host: str
    raw: bytes
    """The entry; of a robots lease the number of the scheme."""
    robots_rev: int
    delay_ms: int
    trouble: Trouble
    deadline: float
    standing: Literal["proven", "new", "failing"] = "proven"
    """Of its host: it answered its latest pages, it is new, or the last thing it did was to fail."""
    cause: str = ""
    """The trouble of its host, as it is stored (see HostTrouble)."""
    no_validators: bool = False
    """ETag and Last-Modified of its host do not tell versions of a page apart (see Commit)."""

    def entry(self) -> Entry:
        """The page's request; ValueError if the entry is malformed."""
        return Entry.decode(self.host, self.raw)

    @property
    def unreachable(self) -> bool:
        """It is to end without being asked for."""
        return bool(self.trouble)

    @property
    def what(self) -> bytes:
        """What the token names, as `owned` in shared/leases.lua compares it."""
        return f"{self.kind} {self.host} ".encode() + self.raw

    @property
    def scheme(self) -> int:
        """The number of the URL's scheme (see url.split)."""
        return int(self.raw) if self.kind == "R" else scheme_of(self.raw)

    @property
    def origin(self) -> str:
        """The origin that its robots.txt belongs to."""
        return urls.origin(self.host, self.scheme)


class Leased(msgspec.Struct, frozen=True):
    """What `lease` gave, and what it returned about the crawl."""

    leases: Sequence[Lease]
    status: Literal["OK", "PAUSED", "LIMIT", "OOM", "DELETING"]
    low: Sequence[str]
    """Hosts whose next pages are to be unpacked (see `overflow.compact`)."""
    wait_ms: int
    """Until the next host is due; -1: nothing is queued that could be leased."""
    accepted: int
    queued: int
    leased: int
    ended: int
    sources: int
    pending: int
    """Messages for other shards that are not delivered yet."""
    settings_rev: int
    roots_rev: int
    traps_rev: int
    new_hosts: int = 0
    """New hosts that are due and got nothing."""
    held: int = 0
    """Queued URLs of blocked hosts."""

    @property
    def idle(self) -> bool:
        """Nothing is queued, leased, being seeded or on its way to another shard: the crawl may be done."""
        return self.queued - self.held + self.leased + self.sources + self.pending == 0

    @property
    def is_over(self) -> bool:
        """Nothing was leased, perhaps because nothing is left: a full Redis does not keep a crawl from its end."""
        return self.status in ("OK", "OOM") and not self.leases

    def limit(self, wanted: int) -> str:
        """What the speed of a worker that asked for *wanted* leases depends on now, in one word."""
        if self.status != "OK":
            return {"PAUSED": "paused", "LIMIT": "limit", "OOM": "memory"}.get(self.status, "stopping")
        if wanted <= len(self.leases):
            return "concurrency"
        if self.queued == 0:
            return "network" if self.leased else "links"
        return "politeness"


ANY: Final = "*"
"""Any page."""


class Commit(msgspec.Struct, frozen=True):
    """All that `commit` needs to end a lease with its outcome."""

    lease: Lease
    id: str
    state: UrlState
    """Without `copy_of` and marks, which the script sets."""
    record: bytes | None
    """None: the visit found nothing new, so the record that is stored stays."""
    contents: Mapping[str, bytes] = msgspec.field(default_factory=dict)
    """By their names in `record.CONTENTS`, zlib. A copy keeps `data` alone."""
    event: Event = "none"
    rest_ms: int = 0
    latency_ms: int | None = None
    digest: str = ""
    """63 bits of the content's digest as a decimal string: of pages whose links are not followed twice."""
    similarity: int | None = None
    """The hash of its text, 64 bits (see policy/similarity.py); None: it has no text, or is near no page."""
    spared: str = ""
    """Whose copy this may be so that its requests are taken all the same: the id of a page, or ANY."""
    ip: str = ""
    """The address that answered, where it is known."""
    copy: str = ""
    """The id of a page that names this one as its canonical: once this one is stored, its contents are not needed."""
    handling_ms: int = 0
    """How long a worker's CPU was busy with it."""
    trouble: str = ""
    """What is wrong with the host: kind and words (see HostTrouble)."""
    no_validators: bool = False
    """ETag and Last-Modified of the host do not tell versions of a page apart: no visit depends on them from now on."""
    links: bytes | None = None
    """What the page names (see checked_page.py), packed; empty: what is stored of that is removed; None: it stays."""
    loop: bytes = b""
    """Of a redirect, the record to store if it leads back to this URL."""
    before: UrlState | None = None
    """The state of the visit before, as it was read with the lease."""
    keeps: bool = False
    """The visit failed, and one before did not: its record is put beside the good one, as long as that is stored."""
    tallies: Mapping[str, int] = msgspec.field(default_factory=dict)
    roots: Sequence[str] = ()
    requests: Sequence[Request] = ()
    """New URLs that the page led to, at most 1,000; more are put before."""

    @property
    def outcome(self) -> str:
        """How the URL ended."""
        return self.state.outcome


class Retry(msgspec.Struct, frozen=True):
    """All that `retry` needs to end a lease by putting its page at the tail of its queue."""

    lease: Lease
    event: Event
    charge: int = Charge.RETRY
    rest_ms: int = 0
    alone_ms: int = 0
    """How long the host rests if it has no other page."""
    respelled: Request | None = None
    """The same URL in another spelling (of the same id and host), by which it is tried next."""
    handling_ms: int = 0
    trouble: str = ""
    """See Commit."""


class RobotsResult(msgspec.Struct, frozen=True):
    """All that `robots` needs to end a robots lease: with event `ok` the rules hold; with another the host rests."""

    lease: Lease
    event: Event = "ok"
    text: bytes = b""
    """The robots.txt, zlib, perhaps with more behind it; an empty one allows all."""
    ttl: float = 86_400.0
    """Seconds for which it holds."""
    spare: float = 3_600.0
    """Seconds for which it is stored beyond that."""
    crawl_delay: float | None = None
    """Seconds."""
    rest_ms: int = 0
    ip: str = ""
    handling_ms: int = 0
    tallies: Mapping[str, int] = msgspec.field(default_factory=dict)
    trouble: str = ""
    """See Commit."""


class Release(msgspec.Struct, frozen=True):
    """Gives a lease back unused."""

    lease: Lease


LeaseEnd = Commit | Retry | RobotsResult | Release
"""What a worker may do with a lease."""


class Accepted(msgspec.Struct, frozen=True):
    """How many requests were new, seen before, and refused because a budget of host or site is used up."""

    new: int = 0
    seen: int = 0
    over_budget: int = 0
    left_out: bool = False
    """None was taken: another page had the same content before."""
    long: Sequence[str] = ()
    """Hosts whose newest entries are to be packed (see `overflow.compact`)."""


@dataclass(frozen=True, slots=True)
class TemplateSample:
    """What the pages of one template held: a fingerprint (63 bits, decimal) a page."""

    template: str
    id: str
    """Names its keys."""
    prints: Sequence[str]


@dataclass(frozen=True, slots=True)
class Exported:
    """An entry of `records` that may be drained: its place there, its page's id, and the outcome of its record."""

    at: str
    id: str
    outcome: str | None
    """None: the page was committed again later, so this entry stands for nothing."""
    shard: int = 0


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Templates that were quarantined, because their pages held nothing new."""

    templates: Sequence[str] = ()


OVER: Final = ("done", "limit", "deleting")
"""States of a crawl that does not continue by itself."""


def refuse_deleting(crawl: str, word: str) -> None:
    """Raises CrawlDeleting where the state of *crawl* is that it is being deleted."""
    if word == "deleting":
        raise CrawlDeleting(f"crawl {crawl!r} is gone: it is being deleted")


@dataclass(frozen=True, slots=True)
class OutboxBatch:
    """The messages in one shard's outbox for another: place and data of each message that is to be delivered."""

    target: int
    messages: Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class CrawlState:
    """What the crawl is at."""

    state: Literal["running", "paused", "limit", "deleting"]
    accepted: int
    queued: int
    leased: int
    ended: int
    sources: int
    wait_ms: int
    odd: bool = False
    """These numbers cannot be right: something else changed Redis (see odd in limits.lua, and repair.lua)."""
    pending: int = 0
    """Messages for other shards that are not delivered yet."""
    fetched: int = 0
    """Pages with a final answer."""
    max_pages: int | None = None
    """How many of them there may be."""
    held: int = 0
    """Queued URLs of blocked hosts: they do not keep the crawl from being done."""

    @property
    def spent(self) -> bool:
        """As many pages were fetched as may be."""
        return self.max_pages is not None and self.fetched >= self.max_pages

    @property
    def idle(self) -> bool:
        """Nothing is queued, leased, being seeded or on its way to another shard."""
        return self.waiting + self.leased + self.sources + self.pending == 0 and not self.odd

    @property
    def waiting(self) -> int:
        """Queued URLs that may be handed out."""
        return self.queued - self.held

    @property
    def word(self) -> str:
        """The one word that `status` shows."""
        if self.state != "running":
            return self.state
        if self.accepted == 0:
            return "seeding" if self.sources else "empty"
        if self.idle:
            return "done"
        if self.waiting + self.leased + self.pending == 0:
            return "seeding"
        return "running" if self.leased else "waiting"
