"""Frees exported records in the frontier: entry by entry of the stream, up to a cursor that is synced."""

from __future__ import annotations

from collections.abc import Callable

from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import Exported
from crawler.frontier.verbs import MAX_DRAINED


def drain(frontier: Frontier, after: str, until: str, is_written: Callable[[Exported], bool]) -> int:
    """Free the written records after *after* up to *until*, the last of them last; returns how many.

    Entries whose records are gone are removed too. Safe to repeat: what is freed is not found again.
    """
    drained = 0
    while True:
        found, reached = frontier.crawldb.records.exported(after, until, MAX_DRAINED)
        if reached == after:
            return drained
        picked = [one for one in found if one.outcome is None or is_written(one)]
        if picked:
            drained += frontier.drain(picked)
        after = reached
