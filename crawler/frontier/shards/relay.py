"""From the outbox of one shard into the shards that its messages are for.

A message is put first, then acknowledged, so a relay that dies delivers it twice at worst, which does no harm. What
was delivered is kept for a while, because the server that took it may lose its last second when it dies: a server that
has another run id than at the last delivery gets all that is kept once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from crawler.errors import FrontierError, OutOfMemory, RedisAway
from crawler.frontier import verbs
from crawler.frontier.messages import Accepted, OutboxBatch
from crawler.frontier.overflow import compact
from crawler.frontier.redis.connection import Call
from crawler.frontier.shards.outbox import OutboxMessage
from crawler.frontier.shards.shard import Shard

TERM: Final = 2.0
"""Seconds for which no other relay is given the messages of a shard."""
MAX_MESSAGES: Final = 32
"""Messages taken at once for one shard."""


class Relay:
    """Delivers what lies in one shard's outbox; several may be at work at once."""

    def __init__(self, home: Shard, shards: Sequence[Shard], name: str) -> None:
        self._home, self._name = home, name
        self._targets = {shard.number: shard for shard in shards if shard is not home}

    def deliver(self) -> int:
        """Deliver what there is, at most MAX_MESSAGES a shard; how many messages they were.

        A shard that is away, or full, is left out: its messages wait. Raises RedisAway when the own shard is away.
        """
        batches = self._home.ask(verbs.collect(self._home, self._name, TERM, MAX_MESSAGES, list(self._targets)))
        return sum(self._deliver(batch, self._targets[batch.target]) for batch in batches)

    def _deliver(self, batch: OutboxBatch, target: Shard) -> int:
        try:
            # Before they are put: a server that restarts meanwhile has another run id at the next delivery.
            run = str(target.info("server")["run_id"])
            taken = self._put(batch, target)
        except RedisAway:
            return 0
        at = batch.messages[taken - 1][0] if taken else b""
        self._home.ask(verbs.ack_delivered(self._home, batch.target, run, at))
        return taken

    @staticmethod
    def _put(batch: OutboxBatch, target: Shard) -> int:
        """How many of the messages were taken, the first ones in a row."""
        calls: list[Call[Accepted]] = []
        numbers = []
        for number, (_, raw) in enumerate(batch.messages):
            with suppress(ValueError):  # what a foreign client wrote is passed over
                calls.append(verbs.put_message(target, OutboxMessage.of(raw)))
                numbers.append(number)
        taken, long = len(batch.messages), set[str]()
        for number, reply in zip(numbers, target.run(calls), strict=True):
            if isinstance(reply, OutOfMemory):
                taken = number
                break
            if isinstance(reply, FrontierError):
                raise reply
            long.update(reply.long)
        compact(target, long, (), lambda _: None)  # packing loses nothing
        return taken
