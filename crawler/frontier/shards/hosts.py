"""What one shard knows of its hosts: politeness, queues, robots.txt, accepted URLs, and the roots of the crawl."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Final, Literal

from crawler.frontier import decode
from crawler.frontier import segment as segments
from crawler.frontier.shards.reader import Reader

_GIVEN_UP: Final = {1: "dns", 2: "tls", 3: "hang", 4: "crash"}  # NO_NAME and what follows it in shared/head.lua
_HOST_FIELDS: Final = (
    *("queued", "in_flight", "due", "delay", "backoff", "failing_since", "accepted", "latency"),
    *("asking", "robots_rev"),
)
_MAX_ROBOTS: Final = 1 << 20  # bytes of a robots.txt: twice what is stored of one (`robots.MAX_BYTES`)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host's line in `status`. Times are in milliseconds, `due` on the server's clock."""

    host: str
    queued: int
    in_flight: int
    due: int
    delay: int
    """What its robots.txt asks for."""
    backoff: int
    failing_since: int
    asking: bool
    accepted: int = 0
    latency: int = 0
    answered: bool = False
    """It has answered this crawl: with a page, or about robots.txt."""

    @property
    def given_up(self) -> str:
        """Why it is not asked any more, whatever the patience: `dns` or `tls`; else empty."""
        return _GIVEN_UP.get(self.failing_since, "")


class ShardHosts:
    """Reads what one shard knows of its hosts."""

    def __init__(self, shard: Reader) -> None:
        self._shard, self._keys = shard, shard.keys

    def due(self, most: int = 100) -> tuple[int, list[HostFacts], int]:
        """How many hosts wait with URLs, the *most* that are due first, and the server's clock in ms."""
        counts = self._shard.read(*(("ZCARD", index) for index in self._keys.indexes))
        *firsts, clock = self._shard.read(
            *(("ZRANGE", x, 0, most - 1, "WITHSCORES") for x in self._keys.indexes), ("TIME",)
        )
        dues = [(float(due), raw) for first in firsts for raw, due in zip(first[::2], first[1::2], strict=True)]
        names = [raw.decode("utf-8", "replace") for _, raw in sorted(dues)[:most]]
        return sum(map(int, counts)), [self.get(name)[0] for name in names], decode.now_ms(clock)

    def get(self, host: str) -> tuple[HostFacts, int]:
        """One host, and the server's clock in ms."""
        values, clock = self._shard.read(("HMGET", self._keys.host(host), *_HOST_FIELDS), ("TIME",))
        queued, in_flight, due, delay, backoff, failing, accepted, latency = (decode.number(v) for v in values[:8])
        answered = values[7] is not None or values[9] is not None
        asking = bool(values[8])
        facts = HostFacts(host, queued, in_flight, due, delay, backoff, failing, asking, accepted, latency, answered)
        return facts, decode.now_ms(clock)

    def robots(self, origins: Sequence[str]) -> list[bytes | None]:
        """The stored robots.txt of each origin; none where it is not known, or cannot be read."""
        stored = self._shard.read(*(("GET", self._keys.robots(origin)) for origin in origins))
        return [decode.readable(raw, _MAX_ROBOTS) if raw else raw for raw in stored]

    def forget_robots(self, origin: str) -> None:
        """The stored robots.txt of *origin* is no use: it is asked for again before the next page of its host."""
        self._shard.read(("DEL", self._keys.robots(origin)))

    def site(self, site: str) -> tuple[int, int]:
        """How many URLs of a site were accepted, on how many hosts (see `site_key`)."""
        ((accepted, hosts),) = self._shard.read(("HMGET", self._keys.sites, site, f"{site} hosts"))
        return decode.number(accepted), decode.number(hosts)

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

    def accepted(self, places: Sequence[tuple[str, str]]) -> list[bool]:
        """Which of the URLs, each by its host and its id, were ever accepted."""
        found = self._shard.read(*(("SISMEMBER", self._keys.seen(url_id), url_id) for _, url_id in places))
        return [bool(x) for x in found]
