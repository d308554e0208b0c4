"""Long queues: the middle of a host's queue is compressed in Redis, which only a client can do.

A host's pages are leased from the head of its queue. When that is full, new ones go to the tail. The oldest entries of
a long tail become a segment (`pack`); the oldest segment goes to a head that is low (`unpack`). The replies of `put`,
`commit` and `lease` name the hosts for which that is due, and the client that gets the reply does it. If it dies,
another one gets the next reply; if several do it, one of them succeeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from typing import Final

from crawler.errors import OutOfMemory
from crawler.frontier import segment as segments
from crawler.frontier import verbs
from crawler.frontier.shards.shard import Shard

_SLICE: Final = 1_024
"""Entries read at a time."""


def compact(shard: Shard, long: Iterable[str], low: Iterable[str], say: Callable[[str], None]) -> None:
    """Pack the tails of the hosts in *long*, unpack a segment for each in *low*; *say* reports what is lost.

    May be broken off at any moment, and done again. Raises RedisAway, and what the frontier refuses.
    """
    for host in long:
        tail = shard.keys.queue(host, "tail")
        while entries := segments.fill(chain.from_iterable(shard.slices("LRANGE", tail, _SLICE))):
            if not shard.ask(verbs.pack(shard, host, entries)):
                break
    for host in low:
        (segment,) = shard.read(("LINDEX", shard.keys.queue(host, "packed"), 0))
        with suppress(OutOfMemory):
            if segment is not None and (lost := shard.ask(verbs.unpack(shard, host, segment))):
                say(f"something else changed the queue of {host} in Redis: {lost:,} URLs of it are lost")
