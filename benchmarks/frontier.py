"""The frontier alone, without fetching: what one Redis core does in a second, and what a URL costs in memory.

`make bench-frontier`. URLs are put by the crawler's own script into a `redis-server` of its own, as durable as the
embedded one (only the rewriting of its file is off, so that it does not fall into a measurement); at 10 k, 1 M, 5 M and
10 M URLs seen it measures, each several times:

- links deduplicated: calls of `put` with links that were all seen before, in random order, packed beforehand and sent
  without a pause, so that Redis is the limit;
- new links accepted: those that fill the frontier;
- URLs leased and committed: as a worker does it, 16 commits and the next lease in one pipeline, with robots.txt known,
  records of the usual size and no links. Here the client may be the limit, so the rate is by Redis's CPU (INFO cpu).

Memory is what MEMORY USAGE tells of the `seen` sets and of the queues, every element counted; and, for a crawl with a
million queued URLs of one host, the growth of used_memory.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

from benchmarks import report, targets
from benchmarks.commands import Redis, Unexpected, wait_until
from benchmarks.crawls import Spent, Web, answer_robots, create, drive, fill, lease_and_commit, middle, packed, spent
from benchmarks.measure import load
from benchmarks.site import exit_on_sigterm
from crawler.frontier.frontier import Frontier
from crawler.frontier.keys import BUCKETS
from crawler.frontier.leases import Lease, Limits
from crawler.frontier.link import Link
from crawler.records import Request

LEVELS: Final = (10_000, 1_000_000, 5_000_000, 10_000_000)
ONE_HOST: Final = 1_000_000
WEB: Final = Web(hosts=1_000, run=100)
REPEATS: Final = 5
PUT_CALLS: Final = 60
PAGE_LINKS: Final = (80, 2, 2, 2, 2)
"""Links of a page to its own host and to others: 88 in all."""
PAGES: Final = 1_000
"""Leased and committed in one measurement."""
LIMITS: Final = Limits(delay_ms=0, per_host=64)


def seen_links(web: Web, most: int, host: int, count: int, dice: random.Random) -> list[Request]:
    """Random URLs of one host among the first *most*."""
    of_host = max(most // (web.hosts * web.run), 1) * web.run
    return [Request(web.url(web.of_host(host, dice.randrange(of_host)))) for _ in range(count)]


def deduplicated(redis: Redis, link: Link, frontier: Frontier, most: int, shape: Sequence[int]) -> Spent:
    """Links that were seen before, in calls of the *shape*: how many to each host."""
    dice = random.Random(most)
    hosts = range(min(WEB.hosts, most // WEB.run))
    found = []
    count = PUT_CALLS * 1_000 // sum(shape)
    for _ in range(REPEATS):
        calls = []
        for _ in range(count):
            chosen = dice.sample(hosts, len(shape))
            parts = zip(chosen, shape, strict=True)
            links = [each for host, n in parts for each in seen_links(WEB, most, host, n, dice)]
            calls.append(frontier.put_call(links))
        commands = packed(link, calls)
        replies: list[Any] = []

        def work(commands: list[bytes] = commands, replies: list[Any] = replies) -> int:
            replies += drive(link, commands)
            return sum(reply[2] for reply in replies)

        found.append(spent(redis, work))
        if any(reply[0] != b"OK" or reply[1] for reply in replies):
            raise Unexpected("a link that was seen was taken for a new one")
    return middle(found)


def committed(redis: Redis, frontier: Frontier, most: int, *, links: bool) -> Spent:
    """Pages from lease to commit; with *links*, each with 88 that were seen before."""
    dice = random.Random(most)
    hosts = range(min(WEB.hosts, most // WEB.run))

    def of_page(lease: Lease) -> list[Request]:
        chosen = dice.sample(hosts, len(PAGE_LINKS))
        return [
            each for host, n in zip(chosen, PAGE_LINKS, strict=True) for each in seen_links(WEB, most, host, n, dice)
        ]

    pages = PAGES // 2 if links else PAGES
    found = [
        spent(redis, lambda: lease_and_commit(frontier, pages, of_page if links else lambda lease: ()))
        for _ in range(REPEATS)
    ]
    if any(each.n != pages for each in found):
        raise Unexpected("there was not enough to lease")
    return middle(found)


# -- memory ------------------------------------------------------------------------------------------------------------


def usage(link: Link, keys: Sequence[str]) -> int:
    """Bytes that keys take, names and all elements counted."""
    total = 0
    for start in range(0, len(keys), 1_000):
        pipe = link.client.pipeline(transaction=False)
        for key in keys[start : start + 1_000]:
            pipe.memory_usage(key, samples=0)
        total += sum(found or 0 for found in pipe.execute())
    return total


def seen_bytes(link: Link, frontier: Frontier, count: int) -> float:
    """Bytes a seen URL."""
    return usage(link, [frontier.keys.seen(str(n)) for n in range(BUCKETS)]) / count


def queued_overhead(link: Link, frontier: Frontier, web: Web, count: int) -> float:
    """Bytes a queued URL beyond its length; the first *count* URLs are queued, and nothing else."""
    held = usage(link, [frontier.keys.queue(f"www.host{n}.example", 1) for n in range(web.hosts)])
    sample = range(0, count, max(count // 10_007, 1))
    length = sum(len(web.url(n)) for n in sample) / len(sample)
    return held / count - length


def one_host(figures: dict[str, float]) -> None:
    """A million queued URLs of one host."""
    web = Web(hosts=1, run=1_000)
    with ExitStack() as stack:
        redis = stack.enter_context(Redis())
        link = Link(redis.url, timeout=120)
        stack.callback(link.close)
        frontier = create(link, LIMITS)
        before = redis.memory()
        fill(redis.url, web, 0, ONE_HOST)
        wait_until(lambda: link.client.info("persistence")["aof_rewrite_in_progress"] == 0, "the end of a rewrite")
        figures["one_host_used_memory"] = redis.memory() - before
        figures["one_host_seen_bytes"] = seen_bytes(link, frontier, ONE_HOST)
        figures["one_host_queued_overhead"] = queued_overhead(link, frontier, web, ONE_HOST)
        took = []
        answer_robots(frontier)
        for _ in range(100):
            began = time.perf_counter()
            leased = frontier.lease(1, 60, "benchmark")
            took.append(time.perf_counter() - began)
            frontier.release([lease.token for lease in leased.leases])
        figures["one_host_lease_ms"] = sorted(took)[50] * 1000
    print(
        f"{ONE_HOST:,} queued URLs of one host: used_memory + {figures['one_host_used_memory'] / 1e6:.0f} MB,"
        f" a seen URL {figures['one_host_seen_bytes']:.1f} B, a queued one its length"
        f" + {figures['one_host_queued_overhead']:.1f} B; a lease {figures['one_host_lease_ms']:.2f} ms",
        flush=True,
    )


# -- all ---------------------------------------------------------------------------------------------------------------


def levels(most: int) -> list[int]:
    """At how many URLs seen it is measured."""
    return [*(level for level in LEVELS if level < most), most]


def grow(most: int, figures: dict[str, float]) -> list[str]:
    """Fill a frontier step by step, and measure at each level; rows of a table."""
    rows = []
    with ExitStack() as stack:
        redis = stack.enter_context(Redis())
        link = Link(redis.url, timeout=120)
        stack.callback(link.close)
        link.client.config_set("auto-aof-rewrite-percentage", 0)
        frontier = create(link, LIMITS)
        begin = 0
        for level in levels(most):
            filled = spent(redis, lambda a=begin, b=level: fill(redis.url, WEB, a, b))  # type: ignore[misc]
            if filled.n != level - begin:
                raise Unexpected(f"{level - begin - filled.n:,} new URLs were taken for seen ones")
            rows.append(at_level(redis, link, frontier, level, filled, figures))
            print(rows[-1], flush=True)
            begin = level
        figures["used_memory_at_the_end"] = redis.memory()
    return rows


def at_level(redis: Redis, link: Link, frontier: Frontier, level: int, filled: Spent, figures: dict[str, float]) -> str:
    """What is measured with so many URLs seen, as a row."""
    figures[f"seen_bytes_{level}"] = seen = seen_bytes(link, frontier, level)
    if level == LEVELS[0]:  # later some are leased
        figures["few_queued_overhead"] = queued_overhead(link, frontier, WEB, level)
    answer_robots(frontier)
    many = deduplicated(redis, link, frontier, level, [100] * 10)
    page = deduplicated(redis, link, frontier, level, PAGE_LINKS)
    plain = committed(redis, frontier, level, links=False)
    linked = committed(redis, frontier, level, links=True)
    figures |= {
        f"links_{level}": many.per_core,
        f"page_links_{level}": page.per_core,
        f"new_links_{level}": filled.per_core,
        f"pages_{level}": plain.per_core,
        f"linked_pages_{level}": linked.per_core,
    }
    cells = [
        f"{level:,}",
        *(f"{each.per_core:,.0f}" for each in (many, page, filled, plain, linked)),
        f"{many.cpu / many.wall:.0%}",
        f"{plain.cpu / plain.wall:.0%}",
        f"{seen:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


HEAD: Final = (
    "| URLs seen | links deduplicated, 1,000 a call | 88 a call | new links accepted | leased and committed "
    "| with 88 links each | Redis busy: links | pages | bytes a seen URL |\n"
    "|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def conclude(most: int, figures: dict[str, float]) -> None:
    """The figures that are held against the targets: of the biggest frontier, and how it compares to the smallest."""
    figures["links_per_second"] = figures[f"links_{most}"]
    figures["pages_per_second"] = figures[f"pages_{most}"]
    figures["links_ratio"] = figures[f"links_{most}"] / figures[f"links_{LEVELS[0]}"]
    figures["pages_ratio"] = figures[f"pages_{most}"] / figures[f"pages_{LEVELS[0]}"]
    figures["queued_overhead"] = figures["one_host_queued_overhead"]


def main() -> int:
    """Measure the frontier alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frontier", description=main.__doc__)
    parser.add_argument("--most", type=int, default=LEVELS[-1], metavar="N", help="URLs seen in the end (10000000)")
    targets.add_option(parser)
    args = parser.parse_args()
    exit_on_sigterm()
    where = report.machine(load())
    print(f"{where}\n\na second of one Redis core, by its CPU:\n\n{HEAD}", flush=True)
    figures: dict[str, float] = {}
    try:
        rows = grow(args.most, figures)
        print()
        one_host(figures)
    except Unexpected as error:
        print(error, file=sys.stderr)
        return 2
    conclude(args.most, figures)
    folder = targets.folder(args, whole=args.most == LEVELS[-1])
    if folder is not None:
        targets.write(folder, "frontier", where, figures, "\n".join([HEAD, *rows]))
    print(f"\n{targets.table(targets.of_figures('frontier', figures))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
