"""What can be seen of a crawl from beside, straight in its Redis: who holds which URL, and which leases ran out."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import redis

from crawler import url as urls
from crawler.frontier.keys import Keys
from crawler.record import Entry
from tests.chaos.graph import ROBOTS
from tests.chaos.redis_server import ChaosRedis

CRAWL: Final = "default"
EVERY: Final = 0.1
_ANSWER_LIMIT: Final = 1.0
_INEXACT: Final = 0.2
"""Seconds by which a deadline may be nearer than it seems: answers take their time."""


@dataclass(frozen=True, slots=True)
class Held:
    """One lease that is out. Times are of this machine's monotonic clock."""

    token: str
    worker: str
    url: str
    crashes: int
    """Workers that died while handling it before."""
    deadline: float


@dataclass(frozen=True, slots=True)
class RanOut:
    """A lease that ended when its deadline was over: it may have been reaped, which charges its URL."""

    held: Held
    at: float
    """When it was seen to be gone."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the crawl."""

    at: float
    held: Mapping[str, Held] = field(default_factory=dict)
    accepted: int = 0
    queued: int = 0
    leased: int = 0
    ended: int = 0
    sources: int = 0
    pending: int = 0
    """Parcels between shards."""

    @property
    def done(self) -> bool:
        """Nothing is left to do."""
        return self.accepted > 0 and self.queued + self.leased + self.sources + self.pending == 0

    def urls(self) -> set[str]:
        """What is in anybody's hands."""
        return {held.url for held in self.held.values()}


class Observer:
    """Looks ten times a second, and whenever it is asked to."""

    def __init__(self, server: ChaosRedis, shards: int = 1) -> None:
        self.ran_out: list[RanOut] = []
        self.looks: list[Look] = []
        """The latest looks, for a minute."""
        self.gap = 0.0
        """Seconds between two looks at most."""
        self._seen = time.monotonic()
        self._server = server
        self._shards = [Keys(CRAWL, shard, shards) for shard in range(shards)]
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._client = self._connect()
        self._last = Look(0.0)
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._client.close()

    def _connect(self) -> redis.Redis:
        return self._server.client(socket_timeout=_ANSWER_LIMIT)

    def _watch(self) -> None:
        due = time.monotonic() + EVERY
        while not self._over.wait(max(due - time.monotonic(), 0.0)):
            due = time.monotonic() + EVERY
            with suppress(redis.RedisError):
                self.gap = max(self.gap, self.look().at - self._seen)
                self._seen = self._last.at

    def look(self) -> Look:
        """What is seen now; raises redis.RedisError while Redis is away."""
        with self._lock:
            look = self._look()
            for token, held in self._last.held.items():
                if token not in look.held and held.deadline <= look.at + _INEXACT:
                    self.ran_out.append(RanOut(held, look.at))
            self._last = look
            self.looks = [*self.looks[-600:], look]
            return look

    def _look(self) -> Look:
        pipe = self._client.pipeline(transaction=True)
        pipe.time()
        for keys in self._shards:
            pipe.hgetall(keys.leased)
            pipe.zrange(keys.leases, 0, -1, withscores=True)
            pipe.hmget(keys.counters, "accepted", "queued", "leased", "ended")
            pipe.zrange(keys.sources, 0, -1, withscores=True)
            pipe.hget(keys.outbox, "pending")
        (seconds, micros), *replies = pipe.execute()
        at, now = time.monotonic(), seconds + micros / 1e6
        held: dict[str, Held] = {}
        totals = [0] * 6
        for n in range(0, len(replies), 5):
            leased, deadlines, counts, sources, pending = replies[n : n + 5]
            sources = sum(score / 1000 > now for _, score in sources)  # those of the dead stay
            until = {token: at + score / 1000 - now for token, score in deadlines}
            held |= {token.decode(): _held(token, value, until.get(token, at)) for token, value in leased.items()}
            numbers = (*counts, sources, pending)
            totals = [total + int(number or 0) for total, number in zip(totals, numbers, strict=True)]
        return Look(at, held, *totals)


def _held(token: bytes, value: bytes, deadline: float) -> Held:
    kind, worker, host, raw = value.split(b" ", 3)
    name = host.decode()
    if kind.startswith(b"R"):
        return Held(token.decode(), worker.decode(), urls.origin(name, int(raw)) + ROBOTS, 0, deadline)
    entry = Entry.decode(name, raw)
    return Held(token.decode(), worker.decode(), entry.request.url, entry.crashes, deadline)
