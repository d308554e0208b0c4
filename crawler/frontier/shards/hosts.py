"""What one shard knows of its hosts: politeness, queues, robots.txt, accepted URLs, and the roots of the crawl."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Final, Literal

from crawler.frontier import decode
from crawler.frontier import segment as segments
from crawler.frontier.host_facts import HostRow
from crawler.frontier.messages import HostTrouble
from crawler.frontier.shards.reader import Reader

_MAX_ROBOTS: Final = 1 << 20  # bytes of a robots.txt: twice what is stored of one (`robots.MAX_BYTES`)

_MAX_RESTING: Final = 100
"""Hosts that fail of which it is looked whether any URL waits for them."""
_OF_ROW: Final = (
    *(
        "queued",
        "in_flight",
        "done",
        "errors",
        "latency",
        "due",
        "delay",
        "trouble",
        "trouble_ms",
        "blocked",
        "own_delay",
    ),
)


def _row(name: bytes, facts: Sequence[bytes | None], now: int, least: int) -> HostRow:
    queued, in_flight, done, errors, latency, due, delay = (decode.number(value) for value in facts[:7])
    words, since, blocked, own = facts[7:]
    least = least if own is None else decode.number(own)
    trouble = HostTrouble.of((words or b"").decode("utf-8", "replace"), decode.number(since))
    due_in, host = max(due - now, 0), name.decode("utf-8", "replace")
    return HostRow(
        host, queued, in_flight, done, errors, latency, due_in, max(delay, least), trouble, blocked is not None
    )


class ShardHosts:
    """Reads what one shard knows of its hosts."""

    def __init__(self, shard: Reader) -> None:
        self._shard, self._keys = shard, shard.keys

    def due(self, most: int = 100) -> tuple[int, list[tuple[float, str]]]:
        """How many hosts wait with URLs; of the *most* that are due first when (server's clock, ms), and the name."""
        indexes = self._keys.indexes
        counts = self._shard.read(*(("ZCARD", index) for index in indexes))
        firsts = self._shard.read(*(("ZRANGE", index, 0, most - 1, "WITHSCORES") for index in indexes))
        dues = sorted((float(due), raw) for first in firsts for raw, due in decode.pairs(first))
        return sum(map(int, counts)), [(due, raw.decode("utf-8", "replace")) for due, raw in dues[:most]]

    def answered(self, most: int) -> list[str]:
        """Which of the *most* hosts that are due first have answered this crawl: with a page, or about robots.txt."""
        names = [name for _, name in self.due(most)[1]]
        found = self._shard.read(*(("HMGET", self._keys.host(name), "latency", "robots_rev") for name in names))
        return [name for name, facts in zip(names, found, strict=True) if facts != [None, None]]

    def all(self, match: str = "") -> Iterator[HostRow]:
        """All hosts that are known, or those whose names match the glob *match*; in no order."""
        for keys in self._shard.scan("SCAN", match=f"{self._keys.pattern('host:')[:-1]}{match or '*'}"):
            yield from self._rows(keys)

    def rows(self, hosts: Sequence[str]) -> list[HostRow]:
        """What is known of each of *hosts*."""
        return list(self._rows([self._keys.host(host).encode() for host in hosts]))

    def _rows(self, keys: Sequence[bytes]) -> Iterator[HostRow]:
        names = [key.removeprefix(self._keys.host("").encode()) for key in keys]
        *found, clock, delay = self._shard.read(
            *(("HMGET", key, *_OF_ROW) for key in keys), ("TIME",), ("HGET", self._keys.meta, "delay")
        )
        now, least = decode.now_ms(clock), decode.number(delay)
        return (_row(name, facts, now, least) for name, facts in zip(names, found, strict=True))

    def failing(self, most: int) -> tuple[int, list[tuple[str, HostTrouble]]]:
        """How many hosts fail now, and the *most* that fail for longest, with what is wrong."""
        (count,), (rows,) = (
            self._shard.read(("ZCARD", self._keys.failing)),
            self._shard.read(("ZRANGE", self._keys.failing, 0, most - 1, "WITHSCORES")),
        )
        pairs = decode.pairs(rows)
        words = self._shard.read(*(("HGET", self._keys.host(name.decode()), "trouble") for name, _ in pairs))
        found = [
            (name.decode("utf-8", "replace"), HostTrouble.of((text or b"").decode("utf-8", "replace"), int(float(at))))
            for (name, at), text in zip(pairs, words, strict=True)
        ]
        return int(count), [(name, trouble) for name, trouble in found if trouble is not None]

    def resting(self) -> int:
        """How many hosts with queued URLs fail, of those that fail for longest."""
        (names,) = self._shard.read(("ZRANGE", self._keys.failing, 0, _MAX_RESTING - 1))
        queued = self._shard.read(
            *(("HGET", self._keys.host(name.decode("utf-8", "replace")), "queued") for name in names)
        )
        return sum(decode.number(n) > 0 for n in queued)

    def blocked(self) -> list[str]:
        """The names that are blocked."""
        (found,) = self._shard.read(("SMEMBERS", self._keys.blocked))
        return sorted(name.decode("utf-8", "replace") for name in found)

    def settings(self) -> dict[str, int]:
        """What counts for single hosts in place of the crawl's settings."""
        (found,) = self._shard.read(("HGETALL", self._keys.host_settings))
        return {name.decode("utf-8", "replace"): decode.number(value) for name, value in decode.pairs(found)}

    def robots(self, origins: Sequence[str]) -> list[bytes | None]:
        """The stored robots.txt of each origin; none where it is not known, or cannot be read."""
        stored = self._shard.read(*(("GET", self._keys.robots(origin)) for origin in origins))
        return [decode.readable(raw, _MAX_ROBOTS) if raw else raw for raw in stored]

    def packed_robots(self, origin: str) -> bytes | None:
        """The robots.txt of *origin* as it is stored; it may hold no longer."""
        [raw] = self._shard.read(("GET", self._keys.robots(origin)))
        return raw if isinstance(raw, bytes) else None

    def forget_robots(self, origin: str) -> None:
        """The stored robots.txt of *origin* is no use: it is asked for again before the next page of its host."""
        self._shard.read(("DEL", self._keys.robots(origin)))

    def queued(self, host: str, priority: int) -> Iterator[bytes]:
        """The entries of one of a host's queues, the next one first; read in slices while others take from it."""
        yield from self._entries(host, priority)
        if priority == 1:
            for segment in chain.from_iterable(self._shard.slices("LRANGE", self._keys.queue(host, "packed"), 1)):
                with suppress(ValueError):
                    yield from segments.decode(segment)
            yield from self._entries(host, "tail")

    def _entries(self, host: str, part: int | Literal["tail"]) -> Iterator[bytes]:
        return chain.from_iterable(self._shard.slices("LRANGE", self._keys.queue(host, part)))

    def roots(self, candidates: Sequence[str]) -> list[bool]:
        """Which of *candidates* are roots of the scope."""
        if not candidates:
            return []
        (found,) = self._shard.read(("SMISMEMBER", self._keys.roots, *candidates))
        return [bool(x) for x in found]

    def every_root(self) -> Iterator[str]:
        """The roots of the scope that live here, in no order; one may come twice."""
        for raw in chain.from_iterable(self._shard.scan("SSCAN", self._keys.roots)):
            yield raw.decode("utf-8", "replace")

    def has_seen_before(self) -> bool:
        """Whether fingerprints of another crawl were imported."""
        (found,) = self._shard.read(("HGET", self._keys.meta, "seen_before"))
        return found is not None

    def seen_before(self, numbers: Sequence[int]) -> list[bool]:
        """Which of the numbers of fingerprints were imported."""
        found = self._shard.read(*(("SISMEMBER", self._keys.seen_before(n), n) for n in numbers))
        return [bool(x) for x in found]
