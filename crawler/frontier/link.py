"""The connection to Redis: sends script calls in one pipeline and turns the library's errors into ours.

The library's own retries are off: it would send a call twice without our knowing. Every verb may be repeated, and who
repeats has one policy: `Patience`. A link that is given one waits by itself until Redis is back, which is what commands
want; one without says RedisAway, for a loop that has something else to do meanwhile (and extends its leases first).
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterError,
    ConnectionError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)
from redis.retry import Retry

from crawler.errors import FrontierError, OutOfMemory, RedisAway, RedisUnavailable, UsageError
from crawler.frontier.scripts import Script

T = TypeVar("T")

_AWAY: Final = frozenset({"BUSY", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "READONLY", "UNKILLABLE"})
_CODE: Final = re.compile(r"(?:^|: -?)([A-Z]{3,})\b")
"""The code of an error: at its beginning, or where 6.2 puts it: `Error running script (...): @user_script:9: -OOM`."""
_NO_PERMISSION: Final = re.compile("user executing the script can't|ACL failure in script|unauthenticated")

_STOP_TICK: Final = 0.1
"""Seconds between two looks at whether to stop waiting."""

_REFUSED: Final = (AuthenticationError, AuthorizationError, NoPermissionError)
_ABSENT: Final = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, ClusterError, TryAgainError, AskError)


@dataclass(frozen=True, slots=True)
class Call:
    """One script with its keys and arguments, and how to read its reply."""

    script: Script
    keys: Sequence[str]
    args: Sequence[str | bytes | int]
    read: Callable[[list[Any]], Any]


def shown(url: str) -> str:
    """A Redis URL without its password, for messages."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    database = parts.path if parts.path[1:].isdigit() else ""  # anything else may be a piece of an unescaped password
    return f"{parts.scheme}://{parts.hostname or 'localhost'}:{parts.port or 6379}{database}"


class Link:
    """One process's connection to one Redis; not shared between threads or processes."""

    def __init__(
        self, url: str, *, timeout: float = 20.0, connect_timeout: float = 5.0, patience: Patience | None = None
    ) -> None:
        """*url* is redis://, rediss:// or unix://; *timeout* is how long to wait for a reply, in seconds.

        With *patience* everything waits while Redis is away; else it raises RedisAway.
        """
        self.url = url
        self.patience = patience
        self.timeout = timeout
        self.connect_timeout = connect_timeout
        self.connections = 0
        """How often it was connected: the library reconnects silently when it finds a connection closed."""
        self.client = self._client(timeout, redis_connect_func=self._count_connection)
        self._waiting: redis.Redis | None = None

    def _count_connection(self, connection: Any) -> None:
        connection.on_connect()
        self.connections += 1

    def _client(self, timeout: float, **more: Any) -> redis.Redis:
        if not self.url.startswith(("redis://", "rediss://", "unix://")):
            raise UsageError("the Redis URL must begin with redis://, rediss:// or unix://")
        try:
            return redis.Redis.from_url(
                self.url,
                socket_timeout=timeout,
                socket_connect_timeout=self.connect_timeout,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                decode_responses=False,
                **more,
            )
        except ValueError:  # its message may quote a piece of the password
            raise UsageError(
                "the Redis URL cannot be used: check host and port, and write special characters of the password as %XX"
            ) from None

    def execute(self, calls: Sequence[Call]) -> list[Any]:
        """Send all calls in one round trip; each result is what its `read` gives, or the FrontierError it raised.

        Raises RedisAway (the same calls may be sent again) or RedisUnavailable (they will not go through).
        """
        return self._through(lambda: self._execute(calls))

    def _execute(self, calls: Sequence[Call]) -> list[Any]:
        pipe = self.client.pipeline(transaction=False)
        for call in calls:
            pipe.evalsha(call.script.digest, len(call.keys), *call.keys, *call.args)
        replies = self._ask(lambda: pipe.execute(raise_on_error=False))
        unknown = [call for call, reply in zip(calls, replies, strict=True) if isinstance(reply, NoScriptError)]
        again = iter(())
        if unknown:
            self._load({call.script.digest: call.script for call in unknown}.values())
            again = iter(self._execute(unknown))
        return [
            next(again) if isinstance(reply, NoScriptError) else self._read(call, reply)
            for call, reply in zip(calls, replies, strict=True)
        ]

    def _load(self, scripts: Iterable[Script]) -> None:
        for script in scripts:
            self._ask(partial(self.client.script_load, script.source))

    def _read(self, call: Call, reply: Any) -> Any:
        if isinstance(reply, RedisError):
            error = self._translated(reply)
            if isinstance(error, RedisUnavailable):
                raise error
            return error
        try:
            return call.read(reply)
        except FrontierError as error:
            return error

    def ask(self, question: Callable[[], T]) -> T:
        """Do something with the client that may be repeated, its errors translated."""
        return self._through(lambda: self._ask(question))

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except RedisError as error:
            raise self._translated(error) from None

    def _translated(self, error: RedisError) -> FrontierError | RedisUnavailable:
        found = translate(error, self.url)
        if isinstance(found, RedisAway) and isinstance(error, ResponseError):
            self.client.connection_pool.disconnect()  # a replica answers: ask again where the master is by then
        return found

    def _through(self, question: Callable[[], T]) -> T:
        return question() if self.patience is None else self.patience.through(question)

    def wait(self, key: str, seconds: float) -> bool:
        """Block on the list *key* for at most *seconds*, on a connection of its own; true if it held something."""
        if self._waiting is None:
            self._waiting = self._client(timeout=30.0)
        waiting = self._waiting
        return bool(self._ask(lambda: waiting.blpop([key], timeout=max(seconds, 0.01))))

    def forget_waiting(self) -> None:
        """A wait was broken off: its connection is in the middle of a reply and is not used again."""
        if self._waiting is not None:
            self._waiting.connection_pool.disconnect()
            self._waiting = None

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()
        if self._waiting is not None:
            self._waiting.close()


def translate(error: RedisError, url: str) -> FrontierError | RedisUnavailable:
    """What a library's error means to us, as one line."""
    text = _line(str(error))
    found = _CODE.search(text)
    code = found[1] if found else ""
    where = shown(url)
    if isinstance(error, _REFUSED) or _NO_PERMISSION.search(text):
        return RedisUnavailable(f"Redis at {where} refuses this user: {text}; check name, password and permissions")
    if isinstance(error, OutOfMemoryError) or code == "OOM":
        return OutOfMemory(f"Redis at {where} is full: raise its maxmemory, or export and delete a crawl")
    if isinstance(error, _ABSENT) or code in _AWAY or "non local key" in text:
        return RedisAway(f"Redis at {where} cannot be reached: {text}; start it, or name another with --redis")
    if code == "WRONGTYPE":
        return FrontierError(f"Redis at {where} holds a key of another kind under the crawl's name: {text}")
    return FrontierError(f"Redis at {where} refused a script: {text}")


def _line(text: str) -> str:
    return " ".join(text.split())[:200] or "no answer"


class Patience:
    """When to try again while Redis is away: exponential with jitter, told once at its begin and end."""

    def __init__(
        self,
        say: Callable[[str], None],
        first: float = 0.1,
        most: float = 5.0,
        mend: Callable[[], None] = lambda: None,
    ) -> None:
        """Seconds of the *first* and of the longest pause; *mend* is done before each new try."""
        self._say = say
        self._mend = mend
        self.stopped: Callable[[], bool] = lambda: False
        """Nobody wants to wait any longer: the RedisAway is raised."""
        self._first, self._most = first, most
        self._step = first
        self.since: float | None = None
        self.again_at = 0.0

    def failed(self, error: RedisAway) -> float:
        """Redis did not answer: seconds to wait before the next try."""
        if self.since is None:
            self.since = time.monotonic()
            self._say(f"{error}; waiting for it")
        pause = self._step * random.uniform(0.5, 1.0)
        self._step = min(self._step * 2, self._most)
        self.again_at = time.monotonic() + pause
        return pause

    def answered(self) -> bool:
        """Redis answered: true if it had been away."""
        if self.since is None:
            return False
        self._say(f"Redis is back after {time.monotonic() - self.since:.1f} s; going on")
        self.since, self._step = None, self._first
        return True

    def through(self, question: Callable[[], T]) -> T:
        """Repeat *question* until Redis answers it; for commands, which have nothing else to do meanwhile."""
        while True:
            try:
                result = question()
            except RedisAway as error:
                until = time.monotonic() + self.failed(error)
                while (left := until - time.monotonic()) > 0:
                    if self.stopped():
                        raise
                    time.sleep(min(left, _STOP_TICK))
                self._mend()
            else:
                self.answered()
                return result
