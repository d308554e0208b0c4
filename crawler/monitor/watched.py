"""A crawl that is watched for long: it may come, be replaced or deleted, and Redis may be away meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import TypeVar

from crawler.crawl.session import Session
from crawler.errors import CrawlerError, DamagedCrawl, NoCrawl, RedisUnavailable
from crawler.frontier.frontier import Frontier
from crawler.frontier.redis.connection import Connection
from crawler.frontier.status import Monitor, Status

T = TypeVar("T")


class Watched:
    """Asks one crawl questions over a connection of its own, one at a time. It never waits for Redis."""

    def __init__(self, session: Session) -> None:
        """The *session* is open; its crawl need not exist yet."""
        self._session = session
        self._lock = Lock()
        self._connection: Connection | None = None
        self._frontier: Frontier | None = None
        self._monitor: Monitor | None = None

    def ask(self, question: Callable[[Frontier], T]) -> T:
        """The answer to *question*. Raises what it raises, NoCrawl, and RedisUnavailable; the next call looks anew."""
        with self._lock:
            try:
                return question(self._found())
            except (NoCrawl, DamagedCrawl):
                self._frontier = self._monitor = None
                raise
            except RedisUnavailable:
                with suppress(CrawlerError):
                    self._session.redis.restart()
                raise

    def look(self) -> Status:
        """A snapshot; its rate is that since the last ones. Raises as `ask` does."""
        return self.ask(self._look)

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = self._frontier = self._monitor = None

    def _found(self) -> Frontier:
        if self._frontier is None:
            if self._connection is None:
                self._connection = self._session.redis.new_connection()
            self._frontier = Frontier.find(self._connection, self._session.settings.crawl)
        return self._frontier

    def _look(self, frontier: Frontier) -> Status:
        if self._monitor is None:
            self._monitor = Monitor(frontier)
        return self._monitor.look()
