"""Repairs the counts and leases of a crawl that something else changed, so that it continues and ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from crawler.frontier import verbs
from crawler.frontier.shards.shard import Shard

_SLICE: Final = 200
"""Leases or hosts looked at by one script."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """How many leases, hosts and counts were not as they must be."""

    leases: int = 0
    hosts: int = 0
    counts: int = 0
    lost: int = 0
    """URLs that were accepted and are nowhere, in all."""

    def __bool__(self) -> bool:
        return bool(self.leases or self.hosts or self.counts)

    def __str__(self) -> str:
        numbers = (("lease", self.leases), ("host", self.hosts), ("count", self.counts))
        wrong = ", ".join(f"{n:,} {name}" + ("" if n == 1 else "s") for name, n in numbers if n)
        lost = f"; {self.lost:,} URLs were taken out of it and are lost" if self.lost else ""
        return f"something else changed the crawl in Redis: {wrong} put right{lost}"


def repair(shard: Shard) -> Repaired:
    """Repair leases, then, if the numbers still contradict each other, counts and hosts.

    Each step is one script, so it may be done beside workers, and by several at once. Counts are left alone where the
    crawl moved meanwhile: then it is for the next time, and at the latest for when nothing moves any more. As long as
    they are wrong `CrawlState.odd` is true, and the crawl is not done.
    """
    leases = sum(shard.ask(verbs.repair(shard, "leases", tokens))[0] for tokens in _sliced(_tokens(shard)))
    before = shard.ask(verbs.state(shard))
    if not before.odd:
        return Repaired(leases)
    slices = list(_sliced(host_names(shard)))
    counted = [shard.ask(verbs.repair(shard, "entries", names)) for names in slices]
    held, entries = (sum(numbers) for numbers in zip(*counted, strict=True)) if counted else (0, 0)
    stamp = [before.accepted, before.queued, before.leased, before.ended]
    counts, lost = shard.ask(verbs.repair(shard, "counts", [entries, *stamp, held]))
    hosts = sum(shard.ask(verbs.repair(shard, "hosts", names))[0] for names in slices)
    return Repaired(leases, hosts, counts, lost)


def _tokens(shard: Shard) -> set[bytes]:
    """The tokens of all leases, whichever of the two keys names them."""
    rows = chain.from_iterable(shard.scan("HSCAN", shard.keys.leased))
    return {token for token, _ in rows}.union(*shard.slices("ZRANGE", shard.keys.leases))


def host_names(shard: Shard) -> set[bytes]:
    """All hosts that have facts, a queue or a place in an index: found by looking through all keys."""
    names = {name for index in shard.keys.indexes for found in shard.slices("ZRANGE", index) for name in found}
    for key in chain.from_iterable(shard.scan("SCAN", match=shard.keys.pattern("[hq]"))):
        what, _, name = key.removeprefix(shard.keys.prefix.encode()).partition(b":")
        if what == b"host":
            names.add(name)
        elif what == b"queue":
            names.add(name.rpartition(b":")[0])
    return names


def _sliced(names: Iterable[bytes]) -> Iterator[list[bytes]]:
    left = iter(names)
    while part := list(islice(left, _SLICE)):
        yield part
