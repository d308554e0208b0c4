"""A sweep for what is due to be visited again, over a million URLs of which one in a hundred is due.

`make bench-sweep`. The states are stored as commits store them, in a `redis-server` of its own. Measured are

- the sweep alone: seconds, CPU of its process and of Redis, and by how much its process grew;
- a crawl with and without a sweep beside it, by turns: URLs leased and committed a second of Redis's CPU, and a second.
  The sweep beside it goes as `crawler recrawl` lets it go and begins again and again; nothing is due. The process that
  leases and commits, the one that sweeps and Redis share the machine's cores, so what they take from each other counts
  in the second figure.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import sys
import time
from itertools import islice
from multiprocessing.synchronize import Event
from typing import Final

from benchmarks import report
from benchmarks.commands import Redis, Unexpected
from benchmarks.crawls import Spent, Web, answer_robots, create, fill, lease_and_commit, spent
from benchmarks.measure import load, rss_of
from benchmarks.site import exit_on_sigterm
from crawler.crawl.choice import Choice
from crawler.crawl.supervisor import TICK
from crawler.crawl.sweep import Sweep, Sweeper, run
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.settings import Settings
from crawler.url_state import UrlState, id_bytes

URLS: Final = 1_000_000
DUE: Final = 100
"""One in so many is due."""
WEB: Final = Web(hosts=1_000, run=100)
LIMITS: Final = Limits(delay_ms=0, per_host=64)
QUEUED: Final = 100_000
"""URLs for the crawl beside it."""
PAGES: Final = 2_000
"""Leased and committed in one measurement."""
ROUNDS: Final = 7
LEAST: Final = 0.95
_BATCH: Final = 5_000
_DAY: Final = 86_400
_TAG: Final = '"5f3c-18a2b77c0e"'


def store(frontier: Frontier, count: int) -> None:
    """Store the states of *count* URLs, one in DUE of which is due."""
    shard, now, dice = frontier.shards[0], int(time.time()), random.Random(7)
    numbers = iter(range(count))
    while batch := list(islice(numbers, _BATCH)):
        commands = []
        for n in batch:
            url = f"{WEB.url(n)}/old"
            url_id, then = frontier.id(url), now - (30 * _DAY if n % DUE == 0 else dice.randrange(5 * _DAY))
            state = UrlState(
                url=url, outcome="fetched", status=200, depth=3, via=url_id, token=n, first_seen=then, checked_at=then,
                changed_at=then, digest=int(url_id), similarity=int(url_id), text_digest=int(url_id), text_method=1,
                etag=_TAG if n % 5 else None,
            )  # fmt: skip
            commands.append(("HSET", shard.keys.ended(url_id), id_bytes(url_id), state.encode()))
        shard.read(*commands)
    shard.read(("HINCRBY", shard.keys.counters, "accepted", count), ("HINCRBY", shard.keys.counters, "ended", count))
    shard.read(("HINCRBY", shard.keys.counters, "outcome:fetched", count))


def alone(redis: Redis, frontier: Frontier, count: int) -> list[str]:
    """The sweep that queues what is due."""
    sweep, before = Sweep(frontier, Settings(), Choice(), "benchmark"), rss_of(os.getpid())
    cpu = time.process_time()

    def work() -> int:
        run(sweep, lambda: False)
        return count

    found = spent(redis, work)
    own, grown = time.process_time() - cpu, rss_of(os.getpid()) - before
    if sweep.queued != -(-count // DUE):
        raise Unexpected(f"it has queued {sweep.queued:,} URLs of {count // DUE:,}")
    return [
        f"| URLs looked at, queued | {count:,}, {sweep.queued:,} |",
        f"| seconds | {found.wall:.1f} |",
        f"| CPU of its process, s | {own:.1f} ({own / count * 1e6:.1f} µs a URL) |",
        f"| CPU of Redis, s | {found.cpu:.2f} ({found.cpu / count * 1e6:.2f} µs a URL) |",
        f"| its process grew by, MiB | {grown / (1 << 20):.1f} |",
    ]


def sweep_again_and_again(url: str, begun: Event, over: Event) -> None:
    """What another process does until it is *over*."""
    link = Connection(url)
    frontier = Frontier.find(link, "default")
    for n in range(1 << 20):
        sweep = Sweep(frontier, Settings(), Choice(match=f"never-{n}"), "beside")
        sweeper = Sweeper(sweep, frontier)
        while sweeper.is_at_work:
            sweeper.work()
            begun.set()
            time.sleep(TICK)
            if over.is_set():
                sweeper.leave()
                return


def beside(redis: Redis, frontier: Frontier) -> tuple[list[str], float]:
    """The crawl with and without a sweep; and the ratio of its rates by Redis's CPU."""
    shard = frontier.shards[0]
    rounds: list[tuple[Spent, Spent]] = []

    def crawl() -> Spent:
        found = spent(redis, lambda: lease_and_commit(shard, PAGES, lambda _: []))
        if found.n != PAGES:
            raise Unexpected("there was not enough to lease")
        return found

    crawl()
    for _ in range(ROUNDS):
        plain = crawl()
        begun, over = multiprocessing.Event(), multiprocessing.Event()
        other = multiprocessing.Process(target=sweep_again_and_again, args=(redis.url, begun, over), daemon=True)
        other.start()
        begun.wait()
        rounds.append((plain, crawl()))
        over.set()
        other.join()
    by_core = statistics.median(swept.per_core / plain.per_core for plain, swept in rounds)
    by_time = statistics.median(swept.per_second / plain.per_second for plain, swept in rounds)
    return [
        f"| leased and committed a second of Redis's CPU, with a sweep beside it | {by_core:.1%} of without |",
        f"| the same a second | {by_time:.1%} of without |",
    ], by_core


def main() -> int:
    """Measure and print. Returns 1 if the crawl beside the sweep is slower than LEAST."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--urls", type=int, default=URLS, help="states that are swept")
    count = parser.parse_args().urls
    exit_on_sigterm()
    with Redis() as redis:
        link = Connection(redis.url)
        create(link, LIMITS)
        frontier = Frontier.find(link, "default")
        store(frontier, count)
        print("\n".join([report.machine(load()), "", "| | |", "|---|--:|", *alone(redis, frontier, count)]), flush=True)
        fill(redis.url, WEB, 0, QUEUED)
        answer_robots(frontier.shards[0])
        rows, ratio = beside(redis, frontier)
        print("\n".join(rows))
        link.close()
    return int(ratio < LEAST)


if __name__ == "__main__":
    sys.exit(main())
