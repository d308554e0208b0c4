"""Which site fills a Redis that has a limit: it gets no new links while Redis is over half full.

A pool looks now and then. What a site's queue takes is its hosts' counts times the length of one entry of each: it need
not be exact, for it is asked for again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from crawler.frontier import verbs
from crawler.frontier.decode import number
from crawler.frontier.frontier import Frontier
from crawler.frontier.shards.shard import Shard

LOOK_AFTER: Final = 10.0
"""Seconds between two looks."""
MIN_PART: Final = 0.25
"""Queues that are a smaller part of what Redis holds are not what fills it."""


def bound(frontier: Frontier) -> list[str]:
    """Look at each shard, and have the site that fills it get no new links: those of which that is new.

    Raises RedisAway, and RedisUnavailable where Redis may not be asked how full it is.
    """
    named = []
    for shard in frontier.shards:
        memory = shard.info("memory")
        used, limit = int(memory.get("used_memory") or 0), int(memory.get("maxmemory") or 0)
        site = heaviest(shard, used) if limit and used > limit / 2 else ""
        (known,) = shard.read(("HGET", shard.keys.meta, "full_site"))
        if site != (known or b"").decode("utf-8", "replace"):
            shard.ask(verbs.bound(shard, site))
            named += [site] if site else []
    return named


def heaviest(shard: Shard, used: int) -> str:
    """The site with more than half of the queued bytes, where these are a good part of *used* bytes; else ""."""
    sizes = Counter[str]()
    for hosts in _hosts(shard):
        for site, size in _sizes(shard, hosts):
            sizes[site] += size
    total = sizes.total()
    site, most = next(iter(sizes.most_common(1)), ("", 0))
    return site if most > total / 2 and total > used * MIN_PART else ""


def _hosts(shard: Shard) -> Iterator[list[str]]:
    """The hosts that have URLs queued and may be leased from, in slices."""
    for index in shard.keys.indexes:
        for found in shard.slices("ZRANGE", index):
            yield [host.decode("utf-8", "replace") for host in found]


def _sizes(shard: Shard, hosts: list[str]) -> Iterator[tuple[str, int]]:
    """Site and about how many bytes are queued, of each host."""
    commands: list[tuple[str | int, ...]] = []
    for host in hosts:
        commands.append(("HMGET", shard.keys.host(host), "queued", "site"))
        commands += [("LINDEX", shard.keys.queue(host, part), -1) for part in ("tail", 1)]
    found = shard.read(*commands)
    for host, facts, newest, last in zip(hosts, found[::3], found[1::3], found[2::3], strict=True):
        entry = newest or last or b""
        yield (facts[1] or host.encode()).decode("utf-8", "replace"), number(facts[0]) * len(entry)
