"""Since when each thing that a check found is there: times in seconds, kept with the crawl."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from crawler.frontier import decode, verbs
from crawler.frontier.frontier import Frontier

_DIGEST: Final = 8
"""Bytes."""


def since(frontier: Frontier, digests: Collection[bytes], now: int) -> dict[bytes, int]:
    """Since when each of the findings with these *digests* is there, in seconds; *now* of new ones.

    The others are forgotten: one that comes back begins anew. Raises OutOfMemory when Redis is full, and then nothing
    new is noted.
    """
    shard, wanted = frontier.shards[0], set(digests)
    before = dict(_stored(frontier))
    known = {one: min(before[one], now) for one in wanted & before.keys()}
    gone = sorted(before.keys() - wanted)
    for some in _batches(gone):
        shard.ask(verbs.note_findings(shard, {}, some))
    fresh = dict.fromkeys(sorted(wanted - before.keys()), now)
    for some in _batches(list(fresh)):
        shard.ask(verbs.note_findings(shard, dict.fromkeys(some, now)))
    return known | fresh


def _stored(frontier: Frontier) -> Iterator[tuple[bytes, int]]:
    shard = frontier.shards[0]
    for pairs in shard.scan("HSCAN", shard.keys.findings):
        for digest, raw in pairs:
            if len(digest) == _DIGEST and (seconds := decode.number(raw)) > 0:
                yield digest, seconds


def _batches(items: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(items), verbs.MAX_REQUESTS):
        yield items[start : start + verbs.MAX_REQUESTS]
