"""A crawl over a Redis Cluster: does it find the same, also when a node dies, and do the nodes share the load?

Three masters with a replica each, real servers on loopback. Run by `make bench-cluster`; non-zero where something
differs. It tells seconds as well, but six servers, nginx and the workers share one machine here: what a cluster gains
in speed cannot be seen on it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from benchmarks import docs, report
from benchmarks.commands import Home, Redis, Unexpected, wait_until
from benchmarks.measure import load
from benchmarks.real import Found, differences
from benchmarks.site import SiteError, Sites, exit_on_sigterm
from benchmarks.walk import Walk, walk
from crawler.frontier.keys import Keys, slot_of
from crawler.frontier.redis.binary import find_binary
from tests.cluster import Node, RedisCluster

SHARDS: Final = 24
ADDRESSES: Final = 4
HOSTS: Final = 1_000
PAGES_A_HOST: Final = 12
MAX_UNEVEN: Final = 1.2
"""What the busiest master may have done, by what the idlest has."""
_RUN: Final = (
    "-n",
    "2",
    "--delay",
    "0",
    "--per-host",
    "64",
    "--store",
    "meta",
    "--lease-term",
    "10s",
    "--follow-duplicates",
)
SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a crawl found, and how long it took."""

    found: Found
    seconds: float

    @property
    def again(self) -> int:
        """Requests beyond one for each URL."""
        return sum(self.found.asked.values()) - len(self.found.asked)


def crawl(sites: Sites, url: str, *options: str, meanwhile: Callable[[], None] = lambda: None) -> Outcome:
    """Crawl all *sites* on the Redis at *url*; *meanwhile* is done beside it."""
    mark, began = sites.mark(), time.monotonic()
    with Home(url) as home:
        going = home.start("run", *sites.urls, *_RUN, *options)
        meanwhile()
        going.wait()
        seconds = time.monotonic() - began
        return Outcome(Found(sites.asked(mark), home.records(), may_repeat=10**9), seconds)


def trouble(cluster: RedisCluster, sites: Sites, total: int) -> Callable[[], None]:
    """A slot moves after a quarter of the crawl, a master dies after the half, another slot moves then."""
    mark = sites.mark()

    def make() -> None:
        wait_until(lambda: sites.count(mark) > total // 4, "a quarter of the crawl")
        cluster.move(slot_of(Keys("default", 1, SHARDS).meta))
        wait_until(lambda: sites.count(mark) > total // 2, "half of the crawl")
        cluster.kill(cluster.owner(slot_of(Keys("default", 0, SHARDS).meta)))
        cluster.move(slot_of(Keys("default", 2, SHARDS).meta))

    return make


def check_same(sites: Sites, redis: Redis, binary: Any) -> int:
    """The real sites on one Redis, on a cluster, and on one that is in trouble: how many crawls differ."""
    expected = walk(sites.urls)
    total, failed = len(expected.answers), 0
    print(f"{total:,} URLs of {len(sites.urls)} sites, {expected.links:,} links, by an independent walk\n")
    print(f"{'crawl':<52} {'asked':>7} {'again':>6} {'records':>8} {'time':>8}")
    one = crawl(sites, redis.url)
    failed += tell("one Redis, one shard", one, expected)
    failed += tell(f"one Redis, {SHARDS} shards", crawl_on(sites, redis), expected)
    with ExitStack() as stack:
        cluster = RedisCluster(binary)
        stack.callback(cluster.close)
        whole = crawl(sites, cluster.url, "--shards", str(SHARDS))
        failed += tell(f"cluster of 3 + 3, {SHARDS} shards", whole, expected, one)
    with ExitStack() as stack:
        cluster = RedisCluster(binary)
        stack.callback(cluster.close)
        meanwhile = trouble(cluster, sites, total)
        hurt = crawl(sites, cluster.url, "--shards", str(SHARDS), meanwhile=meanwhile)
        failed += tell("the same: a master killed, two slots moved", hurt, expected, one)
    return failed


def crawl_on(sites: Sites, redis: Redis) -> Outcome:
    """On an empty Redis, in shards."""
    redis.flush()
    return crawl(sites, redis.url, "--shards", str(SHARDS))


def tell(name: str, outcome: Outcome, expected: Walk, one: Outcome | None = None) -> bool:
    """Print a line; whether something differs from the walk, or from the crawl on *one* Redis."""
    different = differences(expected, outcome.found)
    if one is not None and _essence(one.found.records) != _essence(outcome.found.records):
        different["records that differ from those on one Redis"] = sorted(
            url for url, told in _essence(outcome.found.records).items() if _essence(one.found.records).get(url) != told
        )
    verdict = "DIFFERENT" if different else "ok"
    asked, records = len(outcome.found.asked), len(outcome.found.records)
    print(f"{name:<52} {asked:>7,} {outcome.again:>6} {records:>8,} {outcome.seconds:>6.1f} s  {verdict}", flush=True)
    for kind, urls in different.items():
        print(f"  {len(urls):,} {kind}: {', '.join(urls[:SHOWN])}{' ...' * (len(urls) > SHOWN)}")
    return bool(different)


def _essence(records: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """What of a record does not depend on when and in which order its page was fetched."""
    return {r["url"]: (r["outcome"], r.get("status"), r.get("digest"), r.get("title")) for r in records}


def check_load(binary: Any, hosts: int) -> int:
    """Many hosts with a few pages each: what each master had to do; 1 where one had far more than another."""
    name, folder = next(iter(docs.folders([]).items()))
    addresses = [f"127.9.{n // 250}.{n % 250 + 1}" for n in range(hosts)]
    with ExitStack() as stack:
        sites = stack.enter_context(Sites({name: folder}, addresses, below_own_path=True))
        cluster = RedisCluster(binary)
        stack.callback(cluster.close)
        home = stack.enter_context(Home(cluster.url))
        seeds = home.folder / "seeds.txt"
        seeds.write_text("\n".join(sites.urls), encoding="utf-8")
        before = {node: _work(node) for node in cluster.masters}
        options = ("--shards", str(SHARDS), "--max-pages-per-host", str(PAGES_A_HOST))
        home.run("run", str(seeds), *_RUN, *options)
        work = [[now - then for now, then in zip(_work(node), old, strict=True)] for node, old in before.items()]
    print(f"\n{hosts:,} hosts with {PAGES_A_HOST} pages each, {SHARDS} shards:\n")
    print(f"{'master':<8} {'CPU s':>8} {'commands':>12} {'keys':>10}")
    for number, (cpu, commands, keys) in enumerate(work, 1):
        print(f"{number:<8} {cpu:>8.2f} {commands:>12,.0f} {keys:>10,.0f}")
    ratios = [max(column) / max(min(column), 1e-9) for column in zip(*work, strict=True)]
    print(f"{'max/min':<8} {ratios[0]:>8.2f} {ratios[1]:>12.2f} {ratios[2]:>10.2f}")
    return int(ratios[0] > MAX_UNEVEN)


def _work(node: Node) -> tuple[float, float, float]:
    """Seconds of CPU, commands and keys of one server so far."""
    cpu: Any = node.client.info("cpu")
    stats: Any = node.client.info("stats")
    keys = float(str(node.client.dbsize()))
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"]), float(stats["total_commands_processed"]), keys


def main() -> int:
    """Crawl over a Redis Cluster, and compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=main.__doc__)
    docs.add_options(parser)
    parser.add_argument("--hosts", type=int, default=HOSTS, metavar="N", help=f"for the load of the nodes ({HOSTS})")
    args = parser.parse_args()
    exit_on_sigterm()
    print(report.machine(load()))
    binary = find_binary().path
    addresses = [f"127.0.0.{n}" for n in range(1, ADDRESSES + 1)]
    try:
        with Sites(docs.folders(args.folder), addresses) as sites, Redis() as redis:
            failed = check_same(sites, redis, binary)
        failed += check_load(binary, args.hosts)
    except (SiteError, Unexpected) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"\n{failed} checks failed" if failed else "\nall the same, and evenly spread")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
