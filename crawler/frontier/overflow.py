"""Long queues: the middle of a host's queue lies compressed in Redis, which only a client can do.

A host's pages are leased from the head of its queue. When that is full, new ones go to the tail; the oldest of a long
tail become a segment (`pack`), the oldest segment goes to a head that is low (`unpack`). The answers of `put`, `commit`
and `lease` name the hosts for which that is due, and who was told does it (`tidy`). If he dies, another is told; if
several do it, one of them succeeds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from crawler.errors import OutOfMemory
from crawler.frontier import replies
from crawler.frontier import segment as segments
from crawler.frontier.corruption import naming
from crawler.frontier.keys import Keys
from crawler.frontier.redis.connection import Call, Connection

_SLICE: Final = 1_024
"""Entries read at a time."""


class Packing(ABC):
    """What a frontier does with queues that are long."""

    link: Connection
    keys: Keys

    @abstractmethod
    def call(
        self, verb: str, keys: Sequence[str], args: Iterable[str | bytes | int], read: Callable[[list[Any]], Any]
    ) -> Call: ...

    @abstractmethod
    def run_one(self, call: Call) -> Any:
        """Send one call and raise what it refused."""

    def pack_call(self, host: str, entries: Sequence[bytes]) -> Call:
        """Make a segment of *entries*, with which the tail of *host* begins; whether more of it is to be packed.

        Nothing changes where the tail begins otherwise: somebody else has packed or moved it.
        """
        _, packed, tail = self.keys.pages(host)
        args: list[str | bytes | int] = [len(entries), segments.digest(entries), segments.encode(entries)]
        return self.call("pack", [tail, packed], args, lambda r: bool(replies.ok(r)[1]))

    def pack(self, host: str, entries: Sequence[bytes]) -> bool:
        """`pack_call`, sent alone."""
        return bool(self.run_one(self.pack_call(host, entries)))

    def unpack_call(self, host: str, segment: bytes) -> Call:
        """Move the entries of *segment*, the oldest of *host*, to its head; how many URLs are lost, if it is damaged.

        Nothing changes where another one is the oldest, or when the head is not low (any more).
        """
        entries: list[bytes] = []
        with suppress(ValueError):
            entries = segments.decode(segment)
        head, packed, _ = self.keys.pages(host)
        args: list[str | bytes | int] = [host, segments.digest([segment]), *entries]
        return self.call("unpack", [self.keys.host(host), head, packed], args, lambda r: int(replies.ok(r)[1]))

    def unpack(self, host: str, segment: bytes) -> int:
        """`unpack_call`, sent alone. Raises OutOfMemory when Redis is full: nothing is leased then either."""
        return int(self.run_one(self.unpack_call(host, segment)))

    def tidy(self, long: Iterable[str], low: Iterable[str], say: Callable[[str], None]) -> None:
        """Pack the tails of the hosts in *long*, unpack a segment for each in *low*; *say* is told what is lost.

        May be broken off at any moment, and done again. Raises RedisAway, and what the frontier refuses.
        """
        for host in long:
            while (entries := segments.fill(self._tail(host))) and self.pack(host, entries):
                pass
        for host in low:
            segment = self._oldest_segment(host)
            with suppress(OutOfMemory):
                if segment is not None and (lost := self.unpack(host, segment)):
                    say(f"another hand changed the queue of {host} in Redis: {lost:,} URLs of it are lost")

    def _tail(self, host: str) -> Iterator[bytes]:
        """The entries of a host's tail, oldest first; read in slices while others may change it."""
        at, found = 0, [b""] * _SLICE
        while len(found) == _SLICE:
            found = self._read("LRANGE", self.keys.queue(host, "tail"), at, at + _SLICE - 1)
            yield from found
            at += _SLICE

    def _oldest_segment(self, host: str) -> bytes | None:
        found: bytes | None = self._read("LINDEX", self.keys.queue(host, "packed"), 0)
        return found

    def _read(self, *command: str | int) -> Any:
        client: Any = self.link.client
        with naming(self.link, self.keys):
            return self.link.ask(lambda: client.execute_command(*command))
