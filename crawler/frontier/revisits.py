"""Queues URLs that have ended again, and begins the visit in which that happens, over all shards of a crawl."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.frontier import overflow, visits
from crawler.frontier.crawldb import grouped
from crawler.frontier.frontier import Frontier
from crawler.frontier.visits import Ended
from crawler.record import Request


def revisit(frontier: Frontier, due: Sequence[tuple[Ended, Request]]) -> int:
    """Queue URLs that have ended, if their states are still as they were read; how many there were.

    Raises OutOfMemory: those of shards that were asked before are queued then.
    """
    queued = 0
    for shard, own in grouped(due, lambda one: frontier.home(one[1].place()[0])).items():
        for first in range(0, len(own), visits.MAX_REVISITED):
            more, long = shard.ask(visits.revisit(shard, own[first : first + visits.MAX_REVISITED]))
            queued += more
            overflow.compact(shard, long, (), lambda _: None)
    return queued


def begin_visit(frontier: Frontier, visit: int, max_time: float | None) -> None:
    """The visit of this number begins in each shard where it has not, with a limit of *max_time* seconds."""
    for shard in frontier.shards:
        shard.ask(visits.begin_visit(shard, visit, max_time))
