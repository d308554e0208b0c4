"""The frontier alone, without fetching: what one Redis core does in a second, and what a URL costs in memory.

`make bench-frontier`; with ARGS=--foreign on a Redis that packs small sets alone, as is its default. URLs are put by
the crawler's own script into a `redis-server` of its own, as durable as the embedded one (only the rewriting of its
file is off, so that it does not fall into a measurement); at 1 M, 5 M and 10 M URLs seen it measures, five times by
turns with a frontier of 10 k beside it:

- links deduplicated: calls of `put` with links that were all seen before, any of them alike, packed beforehand and
  sent without a pause, so that Redis is the limit; once more with links to the same 10 k of them, which tells how much
  of the difference to the small frontier is memory that the processor's caches do not hold;
- new links accepted: those that fill the frontier;
- URLs leased and committed: as a worker does it, 16 commits and the next lease in one pipeline, with robots.txt known,
  records of the usual size and no links. Here the client may be the limit, so the rate is by Redis's CPU (INFO cpu).

Memory is what MEMORY USAGE tells of the `seen` sets and of the queues, every element counted; and, for a crawl with a
million queued URLs of one host, the growth of used_memory.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from benchmarks import report, targets
from benchmarks.commands import Redis, Unexpected, wait_until
from benchmarks.crawls import (
    Spent,
    Web,
    answer_robots,
    create,
    drive,
    fill,
    lease,
    lease_and_commit,
    middle,
    packed,
    spent,
)
from benchmarks.measure import load
from benchmarks.site import exit_on_sigterm
from crawler.frontier import verbs
from crawler.frontier.messages import Limits
from crawler.frontier.overflow import compact
from crawler.frontier.redis.connection import Connection
from crawler.frontier.redis.embedded import INTSET_ENTRIES
from crawler.frontier.shards.shard import Shard
from crawler.record import Request

LEVELS: Final = (1_000_000, 5_000_000, 10_000_000)
SMALL: Final = 10_000
"""URLs seen by the frontier beside which a big one is measured."""
SHORT: Final = 8_000
"""URLs of a queue that is not long: none of them is packed."""
ONE_HOST: Final = 1_000_000
DEFAULT_ENTRIES: Final = 512
WEB: Final = Web(hosts=1_000, run=100)
REPEATS: Final = 5
PUT_CALLS: Final = 60
PAGE_LINKS: Final = (80, 2, 2, 2, 2)
"""Links of a page to its own host and to others: 88 in all."""
PAGES: Final = 1_000
"""Leased and committed in one measurement."""
LIMITS: Final = Limits(delay_ms=0, per_host=64)


@dataclass(frozen=True, slots=True)
class Grown:
    """A crawl with so many URLs seen."""

    redis: Redis
    link: Connection
    shard: Shard
    seen: int

    def links(self, shape: Sequence[int], dice: random.Random) -> list[Request]:
        """Random URLs that were seen: so many of each of some hosts."""
        of_host = max(self.seen // (WEB.hosts * WEB.run), 1) * WEB.run
        hosts = dice.sample(range(min(WEB.hosts, self.seen // WEB.run)), len(shape))
        numbers = ((host, dice.randrange(of_host)) for host, n in zip(hosts, shape, strict=True) for _ in range(n))
        return [Request(WEB.url(WEB.of_host(host, n))) for host, n in numbers]


def deduplicated(crawl: Grown, shape: Sequence[int], dice: random.Random) -> Spent:
    """Links that were seen before, in calls of the *shape*: how many to each host."""
    count = PUT_CALLS * 1_000 // sum(shape)
    commands = packed(crawl.link, [verbs.put(crawl.shard, crawl.links(shape, dice)) for _ in range(count)])
    replies: list[Any] = []

    def work() -> int:
        replies.extend(drive(crawl.link, commands))
        return sum(reply[2] for reply in replies)

    found = spent(crawl.redis, work)
    if any(reply[0] != b"OK" or reply[1] for reply in replies):
        raise Unexpected("a link that was seen was taken for a new one")
    return found


def of_few(crawl: Grown, shape: Sequence[int], dice: random.Random) -> Spent:
    """Links to SMALL of the URLs alone: what is left of the difference when the processor's caches hold them."""
    return deduplicated(replace(crawl, seen=SMALL), shape, dice)


def committed(crawl: Grown, shape: Sequence[int], dice: random.Random) -> Spent:
    """Pages from lease to commit, each with links that were seen before."""
    pages = PAGES // 2 if shape else PAGES
    found = spent(crawl.redis, lambda: lease_and_commit(crawl.shard, pages, lambda lease: crawl.links(shape, dice)))
    if found.n != pages:
        raise Unexpected("there was not enough to lease")
    return found


MEASURES: Final[dict[str, tuple[Callable[[Grown, Sequence[int], random.Random], Spent], Sequence[int]]]] = {
    "links": (deduplicated, [100] * 10),
    "few_links": (of_few, [100] * 10),
    "page_links": (deduplicated, PAGE_LINKS),
    "pages": (committed, ()),
    "linked_pages": (committed, PAGE_LINKS),
}
"""What is measured: how, and the links of a call or page: how many to each host."""


def by_turns(small: Grown, big: Grown, name: str) -> tuple[Spent, Spent, float]:
    """One measure on both by turns: the middle of each, and the median of the big one's rate by the small one's."""
    measure, shape = MEASURES[name]
    rounds = []
    for n in range(REPEATS):
        dice = random.Random(f"{name} {big.seen} {n}")
        rounds.append((measure(small, shape, dice), measure(big, shape, dice)))
    ratio = statistics.median(of_big.per_core / of_small.per_core for of_small, of_big in rounds)
    return middle([each for each, _ in rounds]), middle([each for _, each in rounds]), ratio


# -- memory ------------------------------------------------------------------------------------------------------------


def usage(link: Connection, keys: Sequence[str]) -> int:
    """Bytes that keys take, names and all elements counted."""
    total = 0
    for start in range(0, len(keys), 1_000):
        pipe = link.client.pipeline(transaction=False)
        for key in keys[start : start + 1_000]:
            pipe.memory_usage(key, samples=0)
        total += sum(found or 0 for found in pipe.execute())
    return total


def seen_bytes(link: Connection, shard: Shard, count: int) -> float:
    """Bytes a seen URL."""
    names = [key.decode() for keys in shard.scan("SCAN", match=shard.keys.pattern("seen:")) for key in keys]
    return usage(link, names) / count


def queued_overhead(link: Connection, shard: Shard, web: Web, count: int) -> float:
    """Bytes a queued URL beyond its length; the first *count* URLs are queued, and nothing else."""
    held = usage(link, [shard.keys.queue(f"www.host{n}.example", 1) for n in range(web.hosts)])
    sample = range(0, count, max(count // 10_007, 1))
    length = sum(len(web.url(n)) for n in sample) / len(sample)
    return held / count - length


def one_host(figures: dict[str, float]) -> None:
    """A million queued URLs of one host."""
    web = Web(hosts=1, run=1_000)
    with ExitStack() as stack:
        redis = stack.enter_context(Redis())
        link = Connection(redis.url, timeout=120)
        stack.callback(link.close)
        shard = create(link, LIMITS)
        before = redis.memory()
        fill(redis.url, web, 0, SHORT)
        figures["one_host_queued_overhead"] = queued_overhead(link, shard, web, SHORT)
        fill(redis.url, web, SHORT, ONE_HOST)
        host = "www.host0.example"
        compact(shard, [host], (), print)  # as a seeder does beside its puts
        wait_until(lambda: link.client.info("persistence")["aof_rewrite_in_progress"] == 0, "the end of a rewrite")
        figures["one_host_used_memory"] = redis.memory() - before
        figures["one_host_seen_bytes"] = seen_bytes(link, shard, ONE_HOST)
        figures["one_host_queue"] = usage(link, list(shard.keys.pages(host)))
        took = []
        answer_robots(shard)
        for _ in range(100):
            began = time.perf_counter()
            leased = lease(shard, 1)
            took.append(time.perf_counter() - began)
            shard.ask(verbs.release(shard, [each.token for each in leased.leases]))
        figures["one_host_lease_ms"] = sorted(took)[50] * 1000
    print(
        f"{ONE_HOST:,} queued URLs of one host: queue and segments {figures['one_host_queue'] / 1e6:.1f} MB,"
        f" used_memory + {figures['one_host_used_memory'] / 1e6:.0f} MB; a seen URL"
        f" {figures['one_host_seen_bytes']:.1f} B, a queued one of {SHORT:,} its length +"
        f" {figures['one_host_queued_overhead']:.1f} B; a lease {figures['one_host_lease_ms']:.2f} ms",
        flush=True,
    )


# -- all ---------------------------------------------------------------------------------------------------------------

HEAD: Final = (
    "| URLs seen | links deduplicated, 1,000 a call | to 10 k of them | 88 a call | leased and committed "
    "| with 88 links each | new links accepted | Redis busy: links | pages | bytes a seen URL |\n"
    "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def levels(most: int) -> list[int]:
    """At how many URLs seen it is measured."""
    return [*(level for level in LEVELS if level < most), most]


def grow(most: int, intset_entries: int, figures: dict[str, float]) -> list[str]:
    """Fill a frontier step by step, and measure at each level; rows of a table."""
    rows: list[str] = []
    with ExitStack() as stack:
        redis = stack.enter_context(Redis(intset_entries))
        link = Connection(redis.url, timeout=120)
        stack.callback(link.close)
        link.client.config_set("auto-aof-rewrite-percentage", 0)
        shard = create(link, LIMITS)
        begin = 0
        for level in levels(most):
            filled = spent(redis, lambda a=begin, b=level: fill(redis.url, WEB, a, b))  # type: ignore[misc]
            if filled.n != level - begin:
                raise Unexpected(f"{level - begin - filled.n:,} new URLs were taken for seen ones")
            answer_robots(shard)
            small = create(link, LIMITS, f"small{level}")
            fill(redis.url, WEB, 0, SMALL, crawl=small.keys.crawl)
            answer_robots(small)
            figures[f"seen_bytes_{level}"] = seen_bytes(link, shard, level)
            figures[f"new_links_{level}"] = filled.per_core
            rows.append(at_level(Grown(redis, link, small, SMALL), Grown(redis, link, shard, level), figures))
            print(rows[-1], flush=True)
            begin = level
        figures["used_memory_at_the_end"] = redis.memory()
    return rows


def at_level(small: Grown, big: Grown, figures: dict[str, float]) -> str:
    """What is measured with so many URLs seen, as a row."""
    cells, busy = [f"{big.seen:,}"], {}
    for name in MEASURES:
        of_small, of_big, ratio = by_turns(small, big, name)
        figures[f"{name}_{big.seen}"], figures[f"{name}_ratio_{big.seen}"] = of_big.per_core, ratio
        figures[f"{name}_{SMALL}"] = of_small.per_core
        busy[name] = of_big.cpu / of_big.wall
        cells.append(f"{of_big.per_core:,.0f} ({ratio:.2f})")
    cells += [f"{figures[f'new_links_{big.seen}']:,.0f}", f"{busy['links']:.0%}", f"{busy['pages']:.0%}"]
    return f"| {' | '.join(cells)} | {figures[f'seen_bytes_{big.seen}']:.1f} |"


def conclude(most: int, figures: dict[str, float]) -> str:
    """The figures that are held against the targets: of the biggest frontier, and how it is to a small one."""
    figures["links_per_second"] = figures[f"links_{most}"]
    figures["pages_per_second"] = figures[f"pages_{most}"]
    figures["links_ratio"] = figures[f"links_ratio_{most}"]
    figures["pages_ratio"] = figures[f"pages_ratio_{most}"]
    figures["queued_overhead"] = figures["one_host_queued_overhead"]
    last = ", ".join(f"{figures[f'{name}_{SMALL}']:,.0f}" for name in MEASURES)
    return (
        f"In brackets: times the rate of a frontier with {SMALL:,} URLs seen, measured beside it by turns (its own at"
        f" last: {last})."
    )


def main() -> int:
    """Measure the frontier alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frontier", description=main.__doc__)
    parser.add_argument("--most", type=int, default=LEVELS[-1], metavar="N", help="URLs seen in the end (10000000)")
    parser.add_argument("--foreign", action="store_true", help="on a Redis that packs sets of 512, as is its default")
    targets.add_option(parser)
    args = parser.parse_args()
    exit_on_sigterm()
    where = report.machine(load())
    print(f"{where}\n\na second of one Redis core, by its CPU:\n\n{HEAD}", flush=True)
    figures: dict[str, float] = {}
    try:
        rows = grow(args.most, DEFAULT_ENTRIES if args.foreign else INTSET_ENTRIES, figures)
        print()
        one_host(figures)
    except Unexpected as error:
        print(error, file=sys.stderr)
        return 2
    words = conclude(args.most, figures)
    print(words)
    folder = targets.folder(args, whole=args.most == LEVELS[-1] and not args.foreign)
    if folder is not None:
        targets.write(folder, "frontier", where, figures, "\n".join([HEAD, *rows, "", words]))
    print(f"\n{targets.table(targets.of_figures('frontier', figures))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
