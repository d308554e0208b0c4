"""A command's access to Redis: the embedded server of its folder, or a shared one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from crawler.crawl.signals import interrupts
from crawler.errors import RedisUnavailable
from crawler.frontier.redis.connection import Backoff, Connection
from crawler.frontier.redis.embedded import EmbeddedRedis, check_server
from crawler.settings import Settings

Say = Callable[[str], None]


class RedisAccess:
    """Joins or starts the embedded Redis if the settings name no other, and connects."""

    def __init__(self, settings: Settings, say: Say, *, begins: bool) -> None:
        """*begins*: the command may create a crawl, so warnings about the server concern it."""
        self._settings, self._say, self._begins = settings, say, begins
        self.patience = Backoff(say, before_retry=self.restart)
        self._server: EmbeddedRedis | None = None
        self._connection: Connection | None = None

    def open(self) -> None:
        """Connect to Redis; start or join the embedded one if none is named. Raises RedisUnavailable.

        If a shared Redis cannot be reached at first, this waits only with the setting `wait`; later it always waits.
        """
        if self._settings.redis is None:
            self._server = EmbeddedRedis(Path(self._settings.folder))
            self._server.__enter__()
        try:
            connection = Connection(self.url, patience=self.patience if self._settings.wait else None)
            self._connection = connection
            connection.ask(connection.client.ping)
            warnings = connection.ask(lambda: check_server(connection.client, writing=self._begins))
            connection.patience = self.patience
        except BaseException:
            self.close()
            raise
        if self._server is None and self._begins:
            for warning in warnings:
                self._say(f"warning: {warning}")

    def close(self) -> None:
        """Disconnect; the last user of an embedded Redis stops it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._server is not None:
            self._server.leave()
            self._server = None

    def restart(self) -> None:
        """Restart the embedded Redis if it died."""
        if self._server is not None:
            self._server.ensure()

    @property
    def url(self) -> str:
        """The URL of Redis."""
        return self._settings.redis or "" if self._server is None else self._server.url

    @property
    def embedded(self) -> tuple[bytes, int] | None:
        """Folder of the embedded Redis, and the descriptor that workers must inherit, which keeps it alive."""
        return None if self._server is None else (os.fsencode(self._server.folder), self._server.users_fd)

    @property
    def connection(self) -> Connection:
        """The connection of this process, which waits while Redis is away."""
        if self._connection is None:
            raise RedisUnavailable("the session is closed")
        return self._connection

    def new_connection(self) -> Connection:
        """A connection that does not wait, for a caller with other work to do. The caller closes it."""
        return Connection(self.url)

    @contextmanager
    def interruptible(self) -> Iterator[Callable[[], bool]]:
        """Whether a signal asked the command to end. A wait for Redis then gives up with RedisAway."""
        with interrupts() as asked:
            self.patience.stopped = lambda: asked() > 0
            try:
                yield self.patience.stopped
            finally:
                self.patience.stopped = lambda: False
