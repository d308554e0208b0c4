"""A crawl of several shards on one server, on a clock that the test moves."""

from __future__ import annotations

from typing import Any

from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.keys import shard_of
from crawler.frontier.messages import Accepted, Commit, Lease, Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.shards.relay import Relay
from crawler.frontier.verbs import shard_of_token
from crawler.record import Request
from crawler.url import Form
from tests.frontier.client import Client
from tests.frontier.crawls import BEGIN, CLOCK, CLOCK_KEY, SETTINGS, record_of, state_of

SHARDS = 3


def host_in(shard: int, which: int = 0) -> str:
    """The *which*-th host that lives in a shard."""
    found = (host for n in range(10_000) if shard_of(host := f"s{n}.example", SHARDS) == shard)
    return [next(found) for _ in range(which + 1)][-1]


def url_in(shard: int, path: str = "/", which: int = 0) -> str:
    """A URL of that host."""
    return f"http://{host_in(shard, which)}{path}"


class Sharded:
    """The crawl, its shards, and a relay of each."""

    def __init__(self, link: Connection, shards: int = SHARDS, **limits: Any) -> None:
        self.link = link
        self.set_clock(BEGIN)
        settings = {"delay_ms": 0, "robots": False, "per_host": 10, **limits}
        identity = Identity.new(Form(), shards)
        self.frontier = Frontier.create(link, "test", identity, SETTINGS, Limits(**settings), clock=CLOCK)
        self.crawldb = self.frontier.crawldb
        self.shards = [Client(shard, self.frontier) for shard in self.frontier.shards]
        self.relays = [self.relay(shard.number, f"relay {shard.number}") for shard in self.frontier.shards]

    def relay(self, shard: int, name: str) -> Relay:
        """One that delivers the messages of a shard."""
        return Relay(self.frontier.shards[shard], self.frontier.shards, name)

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
        made = {"state": state_of(lease, "fetched"), "tallies": {"visit:fetched": 1}, **more}
        commit = Commit(lease, self.frontier.id(url), record=record, requests=requests, roots=roots, **made)
        return self.shards[shard_of_token(lease.token)].commit(commit)

    def deliver(self) -> int:
        """Every relay delivers once."""
        return sum(relay.deliver() for relay in self.relays)

    def queued(self) -> list[int]:
        """How many URLs each shard has queued."""
        return [shard.state().queued for shard in self.shards]

    def messages(self, home: int, target: int) -> int:
        """How many messages one shard keeps for another."""
        return int(self.link.client.xlen(self.shards[home].keys.parcels(target)))
