"""From the outbox of one shard into the shards that its parcels are for.

A parcel is put first, then told to be delivered, so a courier that dies delivers it twice at worst, which does no harm.
What was delivered is kept for a while, for the server that took it may lose its last second with its life: one that has
another run id than at the last delivery gets all that is kept once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from crawler.errors import FrontierError, OutOfMemory, RedisAway
from crawler.frontier import replies
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import OutboxBatch
from crawler.frontier.redis.connection import Call
from crawler.frontier.shards.outbox import OutboxMessage

TERM: Final = 2.0
"""Seconds for which nobody else is given the parcels of a shard."""
MAX_MESSAGES: Final = 32
"""Parcels taken at once for one shard."""


class Relay:
    """Delivers what lies in one shard's outbox; any number may be at work, each is safe beside the others."""

    def __init__(self, home: Frontier, shards: Sequence[Frontier], name: str) -> None:
        self._home, self._name = home, name
        self._targets = {shard.shard: shard for shard in shards if shard.shard != home.shard}

    def carry(self) -> int:
        """Deliver what there is, at most MAX_MESSAGES parcels a shard; how many they were.

        A shard that is away, or full, is left out: its parcels wait. Raises RedisAway when the own shard is away.
        """
        sacks = self._home.collect(self._name, TERM, MAX_MESSAGES, list(self._targets))
        return sum(self._deliver(sack, self._targets[sack.target]) for sack in sacks)

    def _deliver(self, sack: OutboxBatch, target: Frontier) -> int:
        try:
            run = target.run_id()  # before they are put: what restarts meanwhile has another one at the next time
            taken = self._put(sack, target)
        except RedisAway:
            return 0
        self._home.ack_delivered(sack.target, run, sack.parcels[taken - 1][0] if taken else b"")
        return taken

    @staticmethod
    def _put(sack: OutboxBatch, target: Frontier) -> int:
        """How many of the parcels were taken, the first ones in a row."""
        calls: list[Call] = []
        whose = []
        for number, (_, raw) in enumerate(sack.parcels):
            with suppress(ValueError):  # what something else wrote is passed over
                calls.append(_call(target, OutboxMessage.of(raw)))
                whose.append(number)
        taken, long = len(sack.parcels), set[str]()
        for number, reply in zip(whose, target.run(calls), strict=True):
            if isinstance(reply, OutOfMemory):
                taken = number
                break
            if isinstance(reply, FrontierError):
                raise reply
            long.update(reply.long)
        target.tidy(long, (), lambda _: None)  # nothing is said of packing
        return taken


def _call(target: Frontier, parcel: OutboxMessage) -> Call:
    keys, args = parcel.laid_out(target.keys)
    return target.call("put", keys, ["", 0, len(parcel.roots), *parcel.roots, 0, *args], replies.accepted)
