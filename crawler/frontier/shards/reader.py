"""Reads the keys of one shard, on whichever server holds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from crawler.frontier import decode
from crawler.frontier.corruption import naming
from crawler.frontier.keys import Keys
from crawler.frontier.redis.connection import Connection

SLICE: Final = 1_000
"""Members of a key that are read at a time."""


class Reader:
    """The keys of one shard, and the connection to the server that holds them."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        """*connection* may be to any server of a cluster."""
        self.keys = keys
        self.connection = connection.at(keys.meta)

    def read(self, *commands: Sequence[Any]) -> list[Any]:
        """The replies to *commands*, in one round trip. Raises RedisAway, and DamagedCrawl if a key is of another kind.

        They must be safe to repeat: they are sent again if their replies were lost.
        """

        def send() -> list[Any]:
            pipe: Any = self.connection.client.pipeline(transaction=False)  # a new one for each attempt
            for command in commands:
                pipe.execute_command(*command)
            replies: list[Any] = pipe.execute()
            return replies

        if not commands:
            return []
        with naming(self.connection, self.keys):
            return self.connection.ask(send)

    def slices(self, command: str, key: str, size: int = SLICE) -> Iterator[list[Any]]:
        """A list (LRANGE) or a sorted set (ZRANGE) in slices. What moves meanwhile may be missed, or read twice."""
        at, found = 0, [b""] * size
        while len(found) == size:
            (found,) = self.read((command, key, at, at + size - 1))
            yield found
            at += size

    def scan(self, verb: str, key: str = "", match: str = "") -> Iterator[list[Any]]:
        """What SCAN, SSCAN or HSCAN finds, in batches: names, members, or pairs."""
        cursor = None
        while cursor != 0:
            command = (verb, *([key] if key else []), cursor or 0, *(["MATCH", match] if match else []))
            ((raw, found),) = self.read((*command, "COUNT", SLICE))
            yield decode.pairs(found) if verb == "HSCAN" else list(found)
            cursor = int(raw)
