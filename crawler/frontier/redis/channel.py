"""The pub/sub channel of a crawl in Redis. Nobody has to listen, and no crawl waits for it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final

from crawler.errors import FrontierError, RedisAway, RedisUnavailable
from crawler.frontier.redis.connection import Connection

TIME_OUT: Final = 1.0
"""Seconds that one attempt to publish may take."""
AGAIN: Final = 5.0
"""Seconds after a failed attempt until the next one."""
MAX_WAITING: Final = 10_000
"""Lines that wait for Redis; beyond that the oldest are dropped."""
_BATCH: Final = 1_000
_TICK: Final = 0.5


class Publisher:
    """Publishes lines to a channel. What Redis does not take in time waits, then is dropped and counted."""

    def __init__(self, url: str, channel: str, say: Callable[[str], None]) -> None:
        self._connection = Connection(url, timeout=TIME_OUT, connect_timeout=TIME_OUT)
        self._channel, self._say = channel, say
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._again_at = 0.0
        self._is_refused = False

    def send(self, line: bytes) -> None:
        """Publish *line* with the next `flush`."""
        if self._is_refused:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(line)

    def flush(self) -> None:
        """Publish what waits, unless Redis did not answer lately."""
        while self._waiting and time.monotonic() >= self._again_at:
            batch = [self._waiting[n] for n in range(min(len(self._waiting), _BATCH))]
            try:
                self._publish(batch)
            except RedisAway:
                self._again_at = time.monotonic() + AGAIN
            except (RedisUnavailable, FrontierError) as error:
                self._is_refused = True
                self._waiting.clear()
                self._say(f"events are not published: {error}; the right is `+publish &crawler:*`")
            else:
                for _ in batch:
                    self._waiting.popleft()

    def _publish(self, lines: list[bytes]) -> None:
        connection = self._connection.at(self._channel)
        pipe = connection.client.pipeline(transaction=False)
        for line in lines:
            pipe.publish(self._channel, line)
        connection.ask(pipe.execute)

    def close(self, *, patient: bool) -> str:
        """Disconnect. Returns how many lines were not published, for people."""
        if patient:
            self.flush()
        self._connection.close()
        left = len(self._waiting) + self._dropped
        return f"{left:,} events were not published: Redis did not take them" if left else ""


def follow(connection: Connection, channel: str, stopped: Callable[[], bool]) -> Iterator[bytes]:
    """What is published on *channel* from now on, until *stopped*. Waits while Redis is away, if *connection* does."""
    connection = connection.at(channel)
    pubsub: Any = connection.client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    with closing(pubsub):
        connection.ask(lambda: pubsub.subscribe(channel))
        while not stopped():
            message = connection.ask(lambda: pubsub.get_message(timeout=_TICK))
            if message is not None and isinstance(message["data"], bytes):
                yield message["data"]
