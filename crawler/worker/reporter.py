"""Reports what a worker saw, once Redis has acknowledged it: URLs that ended, hosts that fail or work again, traps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from crawler.events import Ended, Event, cut, stamp
from crawler.frontier.messages import Commit, HostTrouble, LeaseEnd, Release

MAX_HOSTS: Final = 10_000
"""Failing hosts that a worker remembers; beyond that it forgets all."""
AGAIN: Final = 60.0
"""A host that still fails after these seconds is reported again: its pool may have seen it work meanwhile."""


class _Fields(msgspec.Struct):
    """What a line of the log needs of a record."""

    url: str
    outcome: str
    status: int | None = None
    elapsed_ms: int | None = None
    size: int | None = None
    attempts: int = 1
    error: str | None = None


_FIELDS: Final = msgspec.json.Decoder(_Fields)


class Reporter:
    """One worker's reporter. It never waits and never raises."""

    def __init__(
        self,
        worker: str = "",
        tell: Callable[[Event], None] | None = None,
        lines: Sequence[Callable[[Sequence[Ended]], None]] = (),
    ) -> None:
        """*tell* gets each event, *lines* get the URLs that ended, with each `flush`."""
        self._worker, self._tell, self._lines = worker, tell, lines
        self._ended: list[Ended] = []
        self._failing: dict[str, float] = {}
        """Host that fails -> when it is reported next, on the monotonic clock."""

    def acknowledged(self, message: LeaseEnd) -> None:
        """Redis has accepted the end of a lease."""
        if isinstance(message, Release):
            return
        lease = message.lease
        if message.trouble:
            self._fails(lease.host, message.trouble)
        elif message.event == "ok" and (self._failing.pop(lease.host, 0.0) or lease.cause):
            self._event("host-recovered", host=lease.host)
        if self._lines and isinstance(message, Commit):
            self._ended.append(ended(message, self._worker))

    def flush(self) -> None:
        """Write the lines of all URLs that ended: once for all that Redis acknowledged in one reply."""
        if self._ended:
            for take in self._lines:
                take(self._ended)
            self._ended = []

    def trap(self, template: str) -> None:
        """A template was quarantined."""
        self._event("trap-found", template=cut(template))

    def hook_failed(self, url: str, error: str) -> None:
        """The hook failed in a way that was not seen before."""
        self._event("hook-failed", url=url, error=cut(error))

    def _event(self, name: str, **facts: Any) -> None:
        if self._tell is not None:
            self._tell(Event(time=stamp(), event=name, worker=self._worker, **facts))

    def _fails(self, host: str, trouble: str) -> None:
        now = time.monotonic()
        if now < self._failing.get(host, 0.0):
            return
        if len(self._failing) >= MAX_HOSTS:
            self._failing.clear()
        self._failing[host] = now + AGAIN
        if (found := HostTrouble.of(trouble)) is not None:
            self._event("host-failing", host=host, trouble=cut(found.text), trouble_kind=found.kind)


def ended(commit: Commit, worker: str) -> Ended:
    """The line of a URL that *commit* ended."""
    state = commit.state
    bare = _Fields(state.url, state.outcome, state.status or None)
    fields = bare if commit.record is None else _FIELDS.decode(commit.record)
    return Ended(
        time=stamp(),
        url=fields.url,
        host=commit.lease.host,
        outcome=fields.outcome,
        status=fields.status,
        elapsed_ms=fields.elapsed_ms,
        bytes=fields.size,
        attempt=fields.attempts,
        worker=worker,
        error=fields.error,
    )
