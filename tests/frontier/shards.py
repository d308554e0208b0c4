"""A crawl of several shards on one server, on a clock that the test moves."""

from __future__ import annotations

from typing import Any

from crawler.frontier import verbs
from crawler.frontier.keys import shard_of
from crawler.frontier.messages import Accepted, Commit, Lease, Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.shards.relay import Relay
from crawler.record import Request
from tests.frontier.crawls import BEGIN, CLOCK, CLOCK_KEY, SETTINGS, record_of

SHARDS = 3


def host_in(shard: int, which: int = 0) -> str:
    """The *which*-th host that lives in a shard."""
    found = (host for n in range(10_000) if shard_of(host := f"s{n}.example", SHARDS) == shard)
    return [next(found) for _ in range(which + 1)][-1]


def url_in(shard: int, path: str = "/", which: int = 0) -> str:
    """A URL of that host."""
    return f"http://{host_in(shard, which)}{path}"


class Sharded:
    """The crawl, its parts, and a relay of each."""

    def __init__(self, link: Connection, **limits: Any) -> None:
        self.link = link
        self.set_clock(BEGIN)
        settings = {"delay_ms": 0, "robots": False, "per_host": 10, **limits}
        self.frontier = frontier.create(link, "test", SETTINGS, Limits(**settings), shards=SHARDS, clock=CLOCK)
        self.crawldb = frontier.ledger_of(self.frontier)
        self.shards = self.frontier.shards
        self.couriers = [Relay(part, self.shards, f"courier {part.shard}") for part in self.shards]

    def set_clock(self, ms: int) -> None:
        """It is *ms* now."""
        self.now = ms
        self.link.client.set(CLOCK_KEY, ms)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.set_clock(self.now + round(seconds * 1000))

    def seed(self, *urls: str) -> Accepted:
        """Accept URLs as seeds."""
        return self.frontier.put([Request(url) for url in urls])

    def lease(self, shard: int, want: int = 1) -> list[Lease]:
        """Lease from one shard."""
        return list(self.shards[shard].lease(want, 90, "w").leases)

    def commit(self, lease: Lease, *links: str, roots: tuple[str, ...] = (), **more: Any) -> Accepted:
        """End a lease with links."""
        url = lease.entry().request.url
        requests = [Request(link, depth=1, via=self.frontier.id(url)) for link in links]
        record = record_of(url, "fetched")
        commit = Commit(lease, self.frontier.id(url), "fetched", record, requests=requests, roots=roots, **more)
        shard = self.frontier.at(lease.token)
        return shard.ask(verbs.commit(shard, commit))

    def deliver(self) -> int:
        """Every relay delivers once."""
        return sum(relay.deliver() for relay in self.relays)

    def queued(self) -> list[int]:
        """How many URLs each shard has queued."""
        return [part.state().queued for part in self.shards]

    def parcels(self, home: int, target: int) -> int:
        """How many parcels one shard keeps for another."""
        return int(self.link.client.xlen(self.shards[home].keys.parcels(target)))
