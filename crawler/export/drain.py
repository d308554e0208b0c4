"""Frees exported records in the frontier: entry by entry of the stream, up to a cursor that is synced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from crawler.frontier.messages import Exported
from crawler.frontier.verbs import MAX_DRAINED


class Drainable(Protocol):
    """What draining needs of a `CrawlDb`."""

    def exported(self, after: str, until: str, most: int) -> tuple[list[Exported], str]:
        """The next entries after a cursor, up to another, and the new cursor."""

    def entry(self, at: str) -> str | None:
        """The id of the page of one entry."""

    def standing(self, cursor: str, last: str) -> str:
        """The cursor, if its entry still exists and is of that page; else the beginning."""


class Drains(Protocol):
    """What draining needs of a `Frontier`."""

    def drain(self, exported: Sequence[Exported]) -> int:
        """Free these; returns how many there were."""


def drain(frontier: Drains, ledger: Drainable, after: str, until: str, is_written: Callable[[Exported], bool]) -> int:
    """Free the written records after *after* up to *until*, the last of them last; returns how many.

    Entries whose records are gone are removed too. Safe to repeat: what is freed is not found again.
    """
    drained = 0
    while True:
        found, reached = ledger.exported(after, until, MAX_DRAINED)
        if reached == after:
            return drained
        picked = [one for one in found if one.stub is None or is_written(one)]
        if picked:
            drained += frontier.drain(picked)
        after = reached
