"""Putting right what something else did to a crawl's counts and leases, so that it goes on and comes to its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier

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
        return f"another hand changed the crawl in Redis: {wrong} put right{lost}"


def repair(frontier: Frontier, ledger: CrawlDb) -> Repaired:
    """Repair leases, then, if the numbers still contradict each other, counts and hosts.

    Each step is one script, so it may be done beside workers, and by several at once. Counts are left alone where the
    crawl moved meanwhile: then it is for the next time, and at the latest for when nothing moves any more. As long as
    they are wrong `State.odd` says so, and the crawl is not done.
    """
    leases = sum(frontier.repair("leases", tokens)[0] for tokens in _slices(ledger.tokens()))
    before = frontier.state()
    if not before.odd:
        return Repaired(leases)
    slices = list(_slices(ledger.host_names()))
    entries = sum(frontier.repair("entries", names)[1] for names in slices)
    stamp = [before.accepted, before.queued, before.leased, before.ended]
    counts, lost = frontier.repair("counts", [entries, *stamp])
    hosts = sum(frontier.repair("hosts", names)[0] for names in slices)
    return Repaired(leases, hosts, counts, lost)


def _slices(names: Iterable[bytes]) -> Iterator[list[bytes]]:
    left = iter(names)
    while part := list(islice(left, _SLICE)):
        yield part
