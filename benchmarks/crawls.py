"""Crawls without a fetcher: URLs go through a frontier by its own scripts, and what Redis spends on them is counted."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from benchmarks.commands import Redis
from crawler.frontier import verbs
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Commit, Lease, Leased, Limits, RobotsResult
from crawler.frontier.redis.connection import Call, Connection
from crawler.frontier.shards.shard import Shard
from crawler.frontier.verbs import MAX_REQUESTS
from crawler.record import Record, Request
from crawler.settings import Settings
from crawler.url import Form
from crawler.worker.visit import state_of

CRAWL: Final = "default"
PROCESSES: Final = 2
"""That fill a frontier at once."""
TERM: Final = 600.0
"""Seconds of a lease, and of the source that seeds."""
AT_ONCE: Final = 16
"""Pages that end in one pipeline: as many as a worker takes in one turn."""
_PIPELINE: Final = 4
_FEW: Final = 20_000
"""URLs that are put by this process alone."""
_WINDOW: Final = 8
"""Calls on their way to Redis at once, so that it never waits for the client."""
_ROBOTS_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class Web:
    """URLs by number: hosts take turns after every *run* of them."""

    hosts: int
    run: int

    def host(self, n: int) -> int:
        """The number of a URL's host."""
        return n // self.run % self.hosts

    def url(self, n: int) -> str:
        """A URL of the usual length, 60 to 70 characters."""
        return f"https://www.host{self.host(n)}.example/articles/{n % 97}/some-words-of-title-{n}"

    def of_host(self, host: int, n: int) -> int:
        """The number of the *n*-th URL of a host."""
        return (n // self.run * self.hosts + host) * self.run + n % self.run


@dataclass(frozen=True, slots=True)
class Spent:
    """What something took. Seconds."""

    n: int
    """Of what was counted."""
    wall: float
    cpu: float
    """Of the Redis."""

    @property
    def per_core(self) -> float:
        """How many a second one Redis core does: by its CPU, whether or not it was busy all the time."""
        return self.n / self.cpu

    @property
    def per_second(self) -> float:
        """How many there were a second."""
        return self.n / self.wall


def spent(redis: Redis, work: Callable[[], int]) -> Spent:
    """Do *work*, which says how many it did, and tell what it took."""
    cpu, began = redis.cpu(), time.monotonic()
    n = work()
    wall = time.monotonic() - began
    return Spent(n, wall, redis.cpu() - cpu)


def middle(found: Sequence[Spent]) -> Spent:
    """The one with the median rate of a core."""
    return sorted(found, key=lambda each: each.per_core)[len(found) // 2]


def create(link: Connection, limits: Limits, crawl: str = CRAWL) -> Shard:
    """The only shard of an empty crawl."""
    settings = Settings(delay=limits.delay_ms / 1000).encode()
    return Frontier.create(link, crawl, Identity.new(Form(), 1), settings, limits).shards[0]


# -- putting -----------------------------------------------------------------------------------------------------------


def fill(url: str, web: Web, first: int, last: int, crawl: str = CRAWL) -> int:
    """Put URLs *first* to *last* - 1 into a crawl on the Redis at *url*; how many were new."""
    if last - first <= _FEW:
        return _fill(url, crawl, web, first, last)
    edges = [first + (last - first) * n // PROCESSES // web.run * web.run for n in range(PROCESSES)] + [last]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn) as pool:
        parts = [pool.submit(_fill, url, crawl, web, a, b) for a, b in pairwise(edges)]
        return sum(part.result() for part in parts)


def _fill(url: str, crawl: str, web: Web, first: int, last: int) -> int:
    link = Connection(url, timeout=60)
    (shard,), new = Frontier.find(link, crawl).shards, 0
    step = MAX_REQUESTS * _PIPELINE
    for start in range(first, last, step):
        requests = [Request(web.url(n)) for n in range(start, min(start + step, last))]
        slices = [requests[n : n + MAX_REQUESTS] for n in range(0, len(requests), MAX_REQUESTS)]
        for accepted in shard.run([verbs.put(shard, each) for each in slices]):
            new += accepted.new
    link.close()
    return new


def packed(link: Connection, calls: Sequence[Call[Any]]) -> list[bytes]:
    """Calls as they go over the wire, made beforehand so that the client is not what limits."""
    connection = link.client.connection_pool.get_connection()
    try:
        return [
            b"".join(connection.pack_command("EVALSHA", call.script.digest, len(call.keys), *call.keys, *call.args))
            for call in calls
        ]
    finally:
        link.client.connection_pool.release(connection)


def drive(link: Connection, commands: Sequence[bytes]) -> list[Any]:
    """Send what was packed, some of it always on its way; the replies."""
    connection = link.client.connection_pool.get_connection()
    replies = []
    try:
        for n, command in enumerate(commands):
            connection.send_packed_command([command])
            if n >= _WINDOW:
                replies.append(connection.read_response())
        replies += [connection.read_response() for _ in range(len(commands) - len(replies))]
    finally:
        link.client.connection_pool.release(connection)
    return replies


# -- leasing and ending ------------------------------------------------------------------------------------------------


def lease(shard: Shard, want: int) -> Leased:
    """Lease up to *want* URLs."""
    return shard.ask(verbs.lease(shard, verbs.new_call(), want, TERM, "benchmark"))


def answer_robots(shard: Shard) -> int:
    """Find no robots.txt at any host that has URLs, so that its pages can be leased; how many hosts there were."""
    hosts = 0
    while True:
        leases = lease(shard, _ROBOTS_AT_ONCE).leases
        robots = [each for each in leases if each.kind == "R"]
        pages = [each.token for each in leases if each.kind == "P"]
        if pages:
            shard.ask(verbs.release(shard, pages))
        if not robots:
            return hosts
        shard.run([verbs.robots(shard, RobotsResult(each)) for each in robots])
        hosts += len(robots)


def ending(shard: Shard, lease: Lease, links: Sequence[Request] = ()) -> Commit:
    """A page that was fetched, with a record of the usual size and no text."""
    url = lease.entry().request.url
    record = Record(
        url=url,
        outcome="fetched",
        status=200,
        title="A title of some words, as most pages have",
        description="One sentence or two that say what the page is about, for those who have not read it yet.",
        lang="en",
        content_type="text/html",
        charset="utf-8",
        size=36_000,
        digest="sha256:" + "5f" * 32,
        depth=2,
        link_count=88,
        fetched_at="2025-01-01T00:00:00Z",
        elapsed_ms=12,
        attempts=1,
    )
    return Commit(
        lease,
        shard.id(url),
        state_of(lease.entry().request, lease.token, record),
        record.encode(),
        event="ok",
        latency_ms=12,
        tallies={"status:200": 1, "bytes": 36_000},
        requests=links,
    )


def lease_and_commit(shard: Shard, count: int, links: Callable[[Lease], Sequence[Request]]) -> int:
    """Take *count* pages from lease to commit, as a worker does: in one pipeline what has ended, and the next lease."""
    done = 0
    calls: list[Call[Any]] = []
    while done < count:
        want = min(AT_ONCE, count - done)
        *_, leased = shard.run([*calls, verbs.lease(shard, verbs.new_call(), want, TERM, "benchmark")])
        assert isinstance(leased, Leased), leased
        if not leased.leases:
            break
        calls = [verbs.commit(shard, ending(shard, each, links(each))) for each in leased.leases]
        done += len(calls)
    shard.run(calls)
    return done
