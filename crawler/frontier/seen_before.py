"""Fingerprints of what another crawl has fetched, over all shards: a fingerprint lives in a shard by its own number."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.frontier import verbs
from crawler.frontier.crawldb import grouped
from crawler.frontier.frontier import Frontier
from crawler.frontier.keys import shard_of_number


def mark(frontier: Frontier, numbers: Sequence[int]) -> int:
    """Refuse links with these fingerprints (see `fingerprint.number_of`); how many of them are new.

    Raises OutOfMemory when Redis is full: repeat all then.
    """
    shards = frontier.shards
    by_shard = grouped(numbers, lambda number: shards[shard_of_number(number, len(shards))])
    return sum(shard.ask(verbs.mark_seen(shard, by_shard.get(shard, []))) for shard in shards)
