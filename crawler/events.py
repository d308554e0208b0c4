"""What happens in a crawl: a line of JSON for programs, a sentence for people."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Final

import msgspec

from crawler.text import escaped

EVENTS: Final = (
    *("worker-started", "worker-died", "host-failing", "host-recovered", "redis-away", "redis-back"),
    *("setting-changed", "trap-found", "hook-failed"),
)
"""The names of all events."""
MAX_ERROR: Final = 500
"""Longest `error`, `trouble` and value of a setting in an event, in characters."""


class Ended(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A URL that ended, after Redis acknowledged it. `attempt` counts from 1."""

    time: str
    url: str
    host: str
    outcome: str
    status: int | None = None
    elapsed_ms: int | None = None
    bytes: int | None = None
    attempt: int
    worker: str
    error: str | None = None

    def __str__(self) -> str:
        status = "" if self.status is None else f" {self.status}"
        counts = [
            *([] if self.elapsed_ms is None else [f"{self.elapsed_ms} ms"]),
            *([] if self.bytes is None else [f"{self.bytes:,} bytes"]),
            *([f"attempt {self.attempt}"] if self.attempt > 1 else []),
        ]
        text = f"{self.outcome}{status} {self.url}" + (f" ({', '.join(counts)})" if counts else "")
        return text if self.error is None else f"{text}: {self.error}"


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An event: `time`, `event` (one of EVENTS) and `worker` are always present, other keys as the event has them."""

    time: str
    event: str
    host: str = ""
    url: str = ""
    elapsed_ms: int | None = None
    worker: str
    pid: int | None = None
    error: str = ""
    trouble: str = ""
    trouble_kind: str = ""
    template: str = ""
    setting: str = ""
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        lasted = f"{(self.elapsed_ms or 0) / 1000:.1f} s"
        return {
            "worker-started": f"worker {self.worker} started (pid {self.pid})",
            "worker-died": f"worker {self.worker} (pid {self.pid}) {self.error}",
            "host-failing": f"{self.host} fails: {self.trouble}",
            "host-recovered": f"{self.host} works again after {lasted}",
            "redis-away": f"Redis is away: {self.error}",
            "redis-back": f"Redis is back after {lasted}",
            "setting-changed": f"{self.setting}: {self.before} -> {self.after}",
            "trap-found": f"trap found: {self.template}",
            "hook-failed": f"the hook failed on {self.url}: {self.error}",
        }.get(self.event, self.event)


def encoded(line: Ended | Event) -> bytes:
    """One line of JSON without its end. Nothing in it can control a terminal."""
    raw = msgspec.json.encode(line)
    if raw.isascii() and b"\x7f" not in raw:  # it has escaped all other controls
        return raw
    return escaped(raw.decode()).encode()


def stamp(seconds: float | None = None) -> str:
    """A time since the epoch, or now, as RFC 3339 in UTC with milliseconds."""
    seconds = time.time() if seconds is None else seconds
    return f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def cut(text: str) -> str:
    """*text*, at most MAX_ERROR characters of it."""
    return text if len(text) <= MAX_ERROR else text[: MAX_ERROR - 1] + "…"
