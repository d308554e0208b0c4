"""The connection to Redis: sends script calls in one pipeline and turns the library's errors into ours.

The library's own retries are off: it would send a call twice without our knowledge. Every verb may be repeated, and
callers that repeat have one policy: `Backoff`. A connection that has one waits until Redis is back, which is what
commands want. One without raises RedisAway, for a loop with other work to do (which extends its leases first).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeVar

import msgspec
import redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from crawler.errors import FrontierError, RedisAway, RedisUnavailable
from crawler.frontier.keys import slot_of
from crawler.frontier.redis.address import Address
from crawler.frontier.redis.errors import translate
from crawler.frontier.scripts import Script

T = TypeVar("T")

ANSWER_LIMIT: Final = 20.0
"""Seconds in which Redis answers, or it counts as away."""
WAITING_LIMIT: Final = 30.0
"""The same while a list is blocked on, for which it is asked to wait itself."""
_STOP_TICK: Final = 0.1
"""Seconds between two looks at whether to stop waiting."""


class Call(msgspec.Struct, Generic[T], frozen=True):
    """One script with its keys and arguments, and how to read its reply."""

    script: Script
    keys: Sequence[str]
    args: Sequence[str | bytes | int]
    read: Callable[[list[Any]], T]


class Connection:
    """One process's connection to one Redis; not shared between threads or processes."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float | None = None,
        connect_timeout: float = 5.0,
        patience: Backoff | None = None,
        first: Connection | None = None,
        slot: int = 0,
    ) -> None:
        """*url* is any of `address.SCHEMES`; *timeout* is how long to wait for a reply, in seconds (ANSWER_LIMIT).

        With *patience* everything waits while Redis is away; else it raises RedisAway. In a cluster it is to the server
        of one *slot*; those to others share the patience of the *first* (see `at`).
        """
        self.url = url
        self.address = Address.of(url)
        self._patience = patience
        self.timeout = ANSWER_LIMIT if timeout is None else timeout
        self.connect_timeout = connect_timeout
        self.connections = 0
        """How often it was connected: the library reconnects silently when it finds a connection closed."""
        self.slot = slot
        self._first = first or self
        self._by_slot: dict[int, Connection] = {slot: self}
        self.client = self.address.client(self.timeout, connect_timeout, self._count_connection, slot)
        self._waiting: redis.Redis | None = None

    @property
    def patience(self) -> Backoff | None:
        """What waits while Redis is away."""
        return self._first._patience

    @patience.setter
    def patience(self, patience: Backoff | None) -> None:
        self._first._patience = patience

    def at(self, key: str) -> Connection:
        """The connection to the server that holds *key*: this one, but for a cluster, which has one for each slot."""
        return self._at_slot(slot_of(key)) if self.address.clustered else self

    def _at_slot(self, slot: int) -> Connection:
        first = self._first
        if slot not in first._by_slot:
            first._by_slot[slot] = Connection(
                first.url, timeout=first.timeout, connect_timeout=first.connect_timeout, first=first, slot=slot
            )
        return first._by_slot[slot]

    def masters(self) -> list[Connection]:
        """Connections to all servers that hold a part of the data: this one, or the masters of the cluster."""
        if not self.address.clustered:
            return [self]
        found = self.ask(lambda: {place: start for start, _, place in self.address.nodes().slots()})
        return [self._at_slot(start) for start in found.values()]

    def _count_connection(self) -> None:
        self.connections += 1

    def execute(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Send all calls in one round trip; each result is what its `read` gives, or the FrontierError it raised.

        Raises RedisAway (the same calls may be sent again) or RedisUnavailable (they will not go through).
        """
        return self._through(lambda: self._execute(calls))

    def _execute(self, calls: Sequence[Call[Any]]) -> list[Any]:
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

    def _read(self, call: Call[Any], reply: Any) -> Any:
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
        found = self.address.explain(error, self.client) or translate(error, str(self.address), self._place())
        if isinstance(found, RedisAway) and isinstance(error, ResponseError):
            # A replica answers: ask again where the master is by then.
            self.client.connection_pool.disconnect()
            self.forget_waiting()
        return found

    def _place(self) -> tuple[str, int] | str | None:
        """Where the first words of a server that hangs up may be read (see `errors.translate`)."""
        address = self.address
        if address.tls or address.master or address.clustered:
            return None
        return address.path or address.hosts[0]

    def _through(self, question: Callable[[], T]) -> T:
        return question() if self.patience is None else self.patience.through(question)

    def wait(self, key: str, seconds: float) -> bool:
        """Block on the list *key* for at most *seconds*, on a connection of its own; true if it held something."""
        if self._waiting is None:
            self._waiting = self.address.client(WAITING_LIMIT, self.connect_timeout, lambda: None, self.slot)
        waiting = self._waiting
        return bool(self._ask(lambda: waiting.blpop([key], timeout=max(seconds, 0.01))))

    def forget_waiting(self) -> None:
        """A wait was broken off: its connection is in the middle of a reply and is not used again."""
        if self._waiting is not None:
            self._waiting.connection_pool.disconnect()
            self._waiting = None

    def close(self) -> None:
        """Give the connections back."""
        for connection in self._by_slot.values():
            if connection is not self:
                connection.close()
        self.client.close()
        if self._waiting is not None:
            self._waiting.close()


class Backoff:
    """When to try again while Redis is away: exponential with jitter. Reports each trouble once, and its end."""

    def __init__(
        self,
        say: Callable[[str], None],
        first: float = 0.1,
        most: float = 5.0,
        before_retry: Callable[[], None] = lambda: None,
        trouble: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Seconds of the *first* and of the longest pause; *before_retry* is called before each new try.

        *trouble* gets what is waited for, and an empty text when that is over.
        """
        self._say = say
        self._before_retry, self._trouble = before_retry, trouble
        self.stopped: Callable[[], bool] = lambda: False
        """Nobody wants to wait any longer: the RedisAway is raised."""
        self._first, self._most = first, most
        self._step = first
        self._reported: set[str] = set()
        self.since: float | None = None
        self.again_at = 0.0

    def another(self) -> Backoff:
        """One for another server, which reports to the same people."""
        return Backoff(self._say, self._first, self._most, self._before_retry, self._trouble)

    def failed(self, error: RedisAway) -> float:
        """Redis did not answer: seconds to wait before the next try."""
        if self.since is None:
            self.since = time.monotonic()
        if error.why not in self._reported:
            self._reported.add(error.why)
            self._say(f"{error}; waiting for it")
            self._trouble(str(error))
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
        self._reported.clear()
        self._trouble("")
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
                self._before_retry()
            else:
                self.answered()
                return result
