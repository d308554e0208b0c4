"""What a worker is built from, and what it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crawler.fetch.fetcher import Fetcher
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.redis.connection import Backoff
from crawler.worker.hook import Hook
from crawler.worker.options import WorkerOptions
from crawler.worker.pending_call import PendingCall
from crawler.worker.watchdog import Watchdog


@dataclass(slots=True)
class Tally:
    """What a worker has done so far, for its heartbeat."""

    pages: int = 0
    bytes: int = 0
    errors: int = 0
    retried: int = 0
    lost: int = 0

    def add(self, pending: PendingCall) -> None:
        """Count one end or retry."""
        self.pages += pending.ends
        self.retried += not pending.ends
        self.bytes += pending.size
        self.errors += pending.failed

    def facts(self, lost: int) -> dict[str, int]:
        """What was counted, with *lost* ends that came too late, for the heartbeat."""
        counts = {"pages": self.pages, "bytes": self.bytes, "errors": self.errors, "retried": self.retried}
        return counts | {"lost": self.lost + lost}


@dataclass(slots=True)
class Context:
    """What a worker is built from; all of it belongs to this process alone."""

    frontier: Frontier
    ledger: CrawlDb
    fetcher: Fetcher
    watch: Watchdog
    say: Callable[[str], None]
    """For a person."""
    note: Callable[[str], None]
    """For the log: what the pool tells people, or need not be told."""
    patience: Backoff
    replan: Callable[[bytes], WorkerOptions]
    """The plan from the settings stored in Redis."""
    refit: Callable[[bytes], Fetcher]
    """A fetcher for the settings stored in Redis."""
    orphaned: Callable[[], bool] = lambda: False
    """The pool that started this worker is gone."""
    fuse: Callable[[float], object] = lambda seconds: None
    """End this process in so many seconds unless called again; 0: never. For a page that hangs with no pool left."""
    hook: Hook | None = None
