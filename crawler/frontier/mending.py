"""Putting right what another hand did to a crawl's counts and leases, so that it goes on and comes to its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from crawler.frontier.frontier import Frontier
from crawler.frontier.ledger import Ledger

_SLICE: Final = 200
"""Leases or hosts looked at by one script."""


@dataclass(frozen=True, slots=True)
class Mended:
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


def mend(frontier: Frontier, ledger: Ledger) -> Mended:
    """Mend leases, then, if the numbers still contradict each other, hosts and counts.

    Each step is one script, so it may be done beside workers, and by several at once. While the crawl moves, the counts
    come out right only at the next time; as long as they are not, `State.odd` says so and the crawl is not done.
    """
    leases = sum(frontier.mend("leases", tokens)[0] for tokens in _slices(ledger.tokens()))
    if not frontier.state().odd:
        return Mended(leases)
    hosts = entries = 0
    for names in _slices(ledger.host_names()):
        wrong, held = frontier.mend("hosts", names)
        hosts, entries = hosts + wrong, entries + held
    counts, lost = frontier.mend("counts", [entries])
    return Mended(leases, hosts, counts, lost)


def _slices(names: Iterable[bytes]) -> Iterator[list[bytes]]:
    left = iter(names)
    while part := list(islice(left, _SLICE)):
        yield part
