"""Posts events to a URL: batches, signed, retried. A process of its own does so, so that no crawl waits for it.

The pool writes lines into a pipe. The process keeps those that were not accepted yet, up to MAX_WAITING.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import random
import secrets
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import msgspec

from crawler.errors import UsageError
from crawler.logs import open_log
from crawler.settings import VERSION, Settings

KEY: Final = "CRAWLER_WEBHOOK_KEY"
"""The variable of the environment that holds the key of the signatures."""
MAX_WAITING: Final = 10_000
"""Events that wait; beyond that the oldest are dropped."""
BATCH: Final = 100
GATHER: Final = 0.5
"""Seconds in which more events may join a batch."""
TIME_OUT: Final = 10.0
"""Seconds for one attempt to connect, and for each read of its answer."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds after a failed attempt; doubled with each."""
FINAL_TRIES: Final = 3
"""Attempts for a batch that the receiver refuses (4xx); any other failure is tried until the end."""
LAST_SECONDS: Final = 5.0
"""How long the end of a crawl waits for events that are not accepted yet."""
_PASSING: Final = (408, 425, 429)
_START: Final = "from crawler.crawl.webhook import main; main()"


class Target(msgspec.Struct, frozen=True):
    """Where to post, and the key of the signatures."""

    url: str
    key: str


def target_of(settings: Settings, environ: Mapping[str, str] = os.environ) -> Target | None:
    """The webhook that *settings* name; None without one. Raises UsageError if its key is missing."""
    if settings.webhook is None:
        return None
    key = environ.get(KEY, "")
    if not key:
        raise UsageError(f"--webhook signs what it posts: put a key into the environment variable {KEY}")
    return Target(settings.webhook, key)


class Webhook:
    """The pool's side: starts the process, and writes to it without ever waiting."""

    def __init__(self, target: Target) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0
        )
        assert self._process.stdin is not None
        self._fd = self._process.stdin.fileno()
        os.set_blocking(self._fd, False)
        self._waiting: deque[bytes] = deque([msgspec.json.encode(target) + b"\n"])
        self._dropped = 0

    def send(self, line: bytes) -> None:
        """Post *line* soon."""
        if len(self._waiting) >= MAX_WAITING:
            del self._waiting[1]  # the first one may be written in part
            self._dropped += 1
        self._waiting.append(line + b"\n")

    def flush(self) -> None:
        """Write as much as the process takes now."""
        with suppress(OSError):  # its pipe is full, or it is gone
            while self._waiting:
                line = self._waiting[0]
                written = os.write(self._fd, line)
                if written < len(line):
                    self._waiting[0] = line[written:]
                else:
                    self._waiting.popleft()

    def close(self, *, patient: bool) -> str:
        """End the process; *patient*: it gets some seconds for its last events. It reports what it could not post."""
        self.flush()
        assert self._process.stdin is not None
        self._process.stdin.close()
        if not patient:
            self._process.terminate()
        try:
            self._process.wait(2 * LAST_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        left = len(self._waiting) + self._dropped
        return f"--webhook: {left:,} events were not posted: its process did not take them" if left else ""


# -- the process -------------------------------------------------------------------------------------------------------


def main() -> None:
    """Read the target and then events from stdin, and post them, until stdin ends."""
    say = open_log(None, verbose=False, who="webhook").say
    line = sys.stdin.buffer.readline()
    if not line:
        return
    poster = Poster(msgspec.json.decode(line, type=Target))
    sender = threading.Thread(target=poster.run, args=(say,), daemon=True)
    sender.start()
    for line in sys.stdin.buffer:
        poster.put(line)
    poster.end()
    sender.join(LAST_SECONDS)
    if lost := poster.lost():
        say(f"--webhook: {lost:,} events were not posted: {poster.failure or 'there was no time for it'}")


class Refused(Exception):
    """The receiver does not accept the batch."""


class Poster:
    """Keeps events until the receiver has accepted them."""

    def __init__(self, target: Target) -> None:
        self._target, self._key = urlsplit(target.url), target.key.encode()
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._is_ending = False
        self._number, self._run = 0, secrets.token_hex(8)
        self._dropped = 0
        self.failure = ""
        """Why the last attempt failed; empty if it did not."""

    def put(self, line: bytes) -> None:
        """Keep one event, and give it its id."""
        with self._changed:
            self._number += 1
            self._waiting.append(b'{"id":"%b-%d",%b' % (self._run.encode(), self._number, line.strip()[1:]))
            if len(self._waiting) > MAX_WAITING:
                self._waiting.popleft()
                self._dropped += 1
            self._changed.notify()

    def end(self) -> None:
        """Nothing more comes: `run` returns once all is posted."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()

    def lost(self) -> int:
        """Events that were dropped, or are not accepted yet."""
        return self._dropped + len(self._waiting)

    def run(self, say: Callable[[str], None]) -> None:
        """Post batches until the end. Reports when it begins to fail, and when that is over."""
        pause, tries = FIRST_PAUSE, 0
        while batch := self._next():
            tries += 1
            try:
                self._post(batch)
            except (OSError, http.client.HTTPException, Refused) as error:
                if not self.failure:
                    say(f"--webhook: {_words(error)}; events wait, it is tried again")
                self.failure = _words(error)
                if isinstance(error, Refused) and tries >= FINAL_TRIES:
                    self._dropped += self._forget(batch)
                    tries = 0
                else:
                    self._rest(pause * random.uniform(0.75, 1.25))
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                if self.failure:
                    say("--webhook: events are accepted again")
                self.failure, pause, tries = "", FIRST_PAUSE, 0
                self._forget(batch)

    def _next(self) -> list[bytes]:
        """The next batch; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_ending)
            if len(self._waiting) < BATCH:
                self._changed.wait_for(lambda: len(self._waiting) >= BATCH or self._is_ending, GATHER)
            return [self._waiting[n] for n in range(min(len(self._waiting), BATCH))]

    def _forget(self, batch: list[bytes]) -> int:
        """Take *batch* out; returns how many of it were still there: the oldest may have been dropped meanwhile."""
        with self._changed:
            known, count = set(batch), 0
            while self._waiting and self._waiting[0] in known:
                self._waiting.popleft()
                count += 1
            return count

    def _rest(self, seconds: float) -> None:
        with self._changed:
            until = time.monotonic() + seconds
            self._changed.wait_for(lambda: self._is_ending, seconds)
        time.sleep(min(max(until - time.monotonic(), 0.0), FIRST_PAUSE))

    def _post(self, batch: list[bytes]) -> None:
        """Raises OSError, HTTPException, or Refused for an answer of 4xx. Redirects are not followed."""
        url, body = self._target, b"[" + b",".join(batch) + b"]"
        host = url.hostname or ""
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(host, url.port, timeout=TIME_OUT)
        try:
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request("POST", path, body, self._headers(body))
            status = connection.getresponse().status
        finally:
            connection.close()
        if 400 <= status < 500 and status not in _PASSING:
            raise Refused(f"it answered {status}")
        if not 200 <= status < 300:
            raise http.client.HTTPException(f"it answered {status}")

    def _headers(self, body: bytes) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "User-Agent": f"crawler/{VERSION} (webhook)",
            "X-Crawler-Signature": f"sha256={hmac.new(self._key, body, hashlib.sha256).hexdigest()}",
        }


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
