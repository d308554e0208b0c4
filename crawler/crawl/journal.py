"""What a pool and its workers see: into the log, to people, to the crawl's channel in Redis and to a webhook.

Workers write into one pipe, which never makes them wait: what does not fit is dropped and counted. The pool reads it.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from fcntl import fcntl
from typing import Any, Final, Protocol

import msgspec

from crawler.events import Ended, Event, encoded, stamp
from crawler.logs import log_file, write_line

_SET_PIPE_SIZE: Final = 1031
_PIPE_SIZE: Final = 1 << 20
"""F_SETPIPE_SZ, fcntl(2): room for all that workers write between two looks."""
MAX_HOST_LINES: Final = 10
"""Failing hosts that are named on stderr in a minute; the others are counted."""
MINUTE: Final = 60.0
MAX_HOSTS: Final = 100_000
"""Hosts that are remembered; beyond that all are forgotten."""

_EVENT, _URL, _MESSAGE, _LOST = b"EUML"


class Tell(Protocol):
    """Takes an event that the pool saw."""

    def __call__(self, event: str, *, worker: str = "", **facts: Any) -> None:
        """*worker* is that which the event is about, else the pool."""


class Outlet:
    """A worker's end of the pipe. Each message is one write of up to PIPE_BUF bytes, so it arrives whole or not."""

    def __init__(self, fd: int) -> None:
        """*fd* below 0: nobody listens."""
        self._fd = fd
        self._dropped = 0

    def event(self, event: Event) -> None:
        """Report an event."""
        self._send(_EVENT, encoded(event))

    def urls(self, lines: Sequence[Ended]) -> None:
        """Report URLs that ended, for those who listen to the channel."""
        for line in lines:
            self._send(_URL, encoded(line))

    def message(self, text: str) -> None:
        """Have the pool show a message; of several workers' equal ones it shows one."""
        self._send(_MESSAGE, msgspec.json.encode(text))

    def leave(self, lost: int) -> None:
        """Report how many messages were dropped, and *lost* lines of the log."""
        self._send(_LOST, msgspec.json.encode((self._dropped, lost)))

    def _send(self, kind: int, content: bytes) -> None:
        line = b"%c%b\n" % (kind, content)
        if self._fd < 0:
            return
        try:
            if len(line) > select.PIPE_BUF:
                raise BlockingIOError
            os.write(self._fd, line)
        except OSError:  # it is full, or the pool is gone
            self._dropped += 1


class Listener(Protocol):
    """Gets events as lines of JSON. No method may wait for long, or raise."""

    def send(self, line: bytes) -> None:
        """Take one line."""

    def flush(self) -> None:
        """Hand on what can be handed on now."""

    def close(self, *, patient: bool) -> str:
        """End; *patient*: what is left may take some seconds. Returns what was not handed on, for people."""


class Journal:
    """A pool's journal. Call `look` often: it never waits for long."""

    def __init__(self, name: str, channel: Listener, webhook: Listener | None, say: Callable[[str], None]) -> None:
        """*name* is the `worker` of the pool's own events. URLs that ended go to the *channel* alone."""
        self._name, self._channel = name, channel
        self._listeners = [channel] if webhook is None else [channel, webhook]
        self._say = say
        self._hosts = FailingHosts(say)
        self._said: set[str] = set()
        self._hook_errors: set[str] = set()
        self.is_patient = False
        """At the end, what is left may take some seconds."""
        self._lost = [0, 0]
        """Messages of workers, and lines of the log."""
        self._rest = b""
        self._reads, self.fd = os.pipe()
        os.set_blocking(self._reads, False)
        os.set_blocking(self.fd, False)
        with suppress(OSError):  # another system, or a user with too many pipes
            fcntl(self.fd, _SET_PIPE_SIZE, _PIPE_SIZE)
        self._file = log_file()
        if self._file is not None:
            self._file.report = self._say_once

    def tell(self, event: str, *, worker: str = "", **facts: Any) -> None:
        """The pool itself saw an event."""
        self._event(Event(time=stamp(), event=event, worker=worker or self._name, **facts))

    def look(self) -> None:
        """Read what workers report, and hand it on."""
        while True:
            try:
                read = os.read(self._reads, _PIPE_SIZE)
            except BlockingIOError:
                break
            *lines, self._rest = (self._rest + read).split(b"\n")
            for line in lines:
                self._take(line[0], line[1:])
        self._hosts.look()
        for listener in self._listeners:
            listener.flush()

    def _take(self, kind: int, content: bytes) -> None:
        if kind == _URL:
            self._channel.send(content)
        elif kind == _EVENT:
            self._report(msgspec.json.decode(content, type=Event))
        elif kind == _MESSAGE:
            self._say_once(msgspec.json.decode(content, type=str))
        else:
            lost = msgspec.json.decode(content, type=tuple[int, int])
            self._lost = [sum(both) for both in zip(self._lost, lost, strict=True)]

    def _report(self, event: Event) -> None:
        """Hand on what a worker saw, unless another one has seen it before."""
        if event.event == "hook-failed":
            if event.error in self._hook_errors:
                return
            self._hook_errors.add(event.error)
        news = self._hosts.news(event)
        if news is not None:
            self._event(news)

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    def _event(self, event: Event) -> None:
        write_line(event)
        content = encoded(event)
        for listener in self._listeners:
            listener.send(content)

    def close(self) -> None:
        """Hand on what is left, and report what was not."""
        self.look()
        self._hosts.end()
        dropped, lines = self._lost
        lines += 0 if self._file is None else self._file.lost
        if dropped:
            self._say(f"{dropped:,} events of workers were dropped: there were too many at once")
        if lines:
            self._say(f"{lines:,} lines of --log-file could not be written")
        for listener in self._listeners:
            if text := listener.close(patient=self.is_patient):
                self._say(text)
        os.close(self._reads)
        os.close(self.fd)


class FailingHosts:
    """Failing hosts of all workers of a pool. Without a terminal each is named on stderr, a few a minute."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say if not sys.stderr.isatty() else lambda _: None  # the live line shows them there
        self._failing: dict[str, float] = {}
        """Host -> since when, on the monotonic clock."""
        self._reported: dict[str, float] = {}
        """Host -> when it was last reported."""
        self._since = time.monotonic()
        """Begin of the minute."""
        self._lines = 0

    def news(self, event: Event) -> Event | None:
        """The event to report: a host that begins to fail, at most once a minute, or one that works again."""
        now = time.monotonic()
        if event.event == "host-failing":
            if event.host in self._failing or now - self._reported.get(event.host, -MINUTE) < MINUTE:
                return None
            if len(self._reported) >= MAX_HOSTS:
                self._failing.clear()
                self._reported.clear()
            self._failing[event.host] = self._reported[event.host] = now
            self._lines += 1
            if self._lines <= MAX_HOST_LINES:
                self._say(str(event))
        elif event.event == "host-recovered":
            since = self._failing.pop(event.host, None)
            if since is None:
                return None
            return msgspec.structs.replace(event, elapsed_ms=round((now - since) * 1000))
        return event

    def look(self) -> None:
        """Once a minute: report how many more there were."""
        if time.monotonic() - self._since >= MINUTE:
            self.end()

    def end(self) -> None:
        """The minute is over."""
        if self._lines > MAX_HOST_LINES:
            self._say(f"{self._lines - MAX_HOST_LINES:,} more hosts fail")
        self._since, self._lines = time.monotonic(), 0
