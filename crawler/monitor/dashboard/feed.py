"""The live part of the dashboard: one snapshot a second, shared by all who watch, as server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from crawler.errors import CrawlerError
from crawler.frontier.status import Status
from crawler.text import printable

EVERY: Final = 1.0
"""Seconds between snapshots."""
_POINTS: Final = 600  # even, so that the latest point stays
"""Most points of the curves that a new page gets."""
_SHOWN: Final = 50
"""Most templates and troubles in a snapshot."""
_COLUMNS: Final = ("at", "rate", "queued", "failed", "failing", "bytes", "redis")


class History:
    """Points of the curves since the start. Where they are too many, every second one goes."""

    def __init__(self) -> None:
        self._points: list[tuple[float, ...]] = []
        self._step, self._due = 1, 0

    def add(self, point: tuple[float, ...]) -> None:
        """The next point, in the order of `_COLUMNS`."""
        self._due -= 1
        if self._due > 0:
            return
        self._points.append(point)
        if len(self._points) > _POINTS:
            self._points = self._points[::2]
            self._step *= 2
        self._due = self._step

    def columns(self) -> dict[str, list[float]]:
        """All points, by column."""
        each = zip(*self._points, strict=True) if self._points else ([] for _ in _COLUMNS)
        return {name: list(values) for name, values in zip(_COLUMNS, each, strict=True)}


class Feed:
    """Looks once a second, however many watch, and hands what it saw to all of them."""

    def __init__(self, look: Callable[[], Awaitable[Status]]) -> None:
        self._look = look
        self._history = History()
        self._latest = b""
        self._changed = asyncio.Condition()
        self._number = 0
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Take snapshots until `stop`."""
        while not self._over.is_set():
            began = time.monotonic()
            event = await self._snapshot()
            async with self._changed:
                self._latest, self._number = event, self._number + 1
                self._changed.notify_all()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), max(EVERY - (time.monotonic() - began), EVERY / 4))

    async def stop(self) -> None:
        """End the streams of all who watch."""
        async with self._changed:
            self._over.set()
            self._changed.notify_all()

    async def events(self) -> AsyncIterator[bytes]:
        """The curves so far, then each snapshot. A reader that is slow misses some."""
        yield _event("history", self._history.columns())
        number = 0
        while not self._over.is_set():
            if number != self._number:
                number = self._number
                yield self._latest
            async with self._changed:
                await self._changed.wait_for(lambda seen=number: self._over.is_set() or seen != self._number)  # type: ignore[misc]

    async def _snapshot(self) -> bytes:
        try:
            status = await self._look()
        except CrawlerError as error:
            return _event("away", {"error": str(error)})
        point = _point(status)
        self._history.add(point)
        return _event("snapshot", _shown(status) | {"point": dict(zip(_COLUMNS, point, strict=True))})


def _point(status: Status) -> tuple[float, ...]:
    now = round(time.time(), 1)
    counts = status.queued, status.failed, status.failing, status.bytes, status.redis_bytes or 0
    return (now, round(status.rate, 2), *counts)


def _shown(status: Status) -> dict[str, Any]:
    """The snapshot with lists of bounded length."""
    found = status.to_dict()
    lists = {name: value[:_SHOWN] for name, value in found.items() if isinstance(value, list)}
    return found | lists | {"failed": status.failed, "fetched": status.fetched}


def _event(name: str, value: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + encode(value) + b"\n\n"


def encode(value: Any) -> bytes:
    """*value* as JSON; in its texts, characters that hide or reorder text are shown."""
    return msgspec.json.encode(_printable(msgspec.to_builtins(value)))


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(name)): _printable(item) for name, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value
