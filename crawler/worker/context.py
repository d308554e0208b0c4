"""A worker's dependencies (`Context`) and its counters (`Tally`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from crawler.fetch.fetcher import Fetcher
from crawler.frontier.frontier import Frontier
from crawler.frontier.redis.connection import Backoff
from crawler.parse.page import Page
from crawler.policy.schedule import Intervals
from crawler.record import Request
from crawler.worker.document_reader import DocumentReader
from crawler.worker.hook_call import HookCalls
from crawler.worker.options import WorkerOptions
from crawler.worker.pending_call import PendingCall
from crawler.worker.reporter import Reporter
from crawler.worker.watchdog import Watchdog


@dataclass(slots=True)
class Tally:
    """What a worker has done so far; sent with its heartbeat."""

    pages: int = 0
    bytes: int = 0
    errors: int = 0
    retried: int = 0
    lost: int = 0

    def add(self, pending: PendingCall) -> None:
        """Count one finished page or retry."""
        self.pages += pending.ends
        self.retried += not pending.ends
        self.bytes += pending.size
        self.errors += pending.failed

    def facts(self, lost: int) -> dict[str, int]:
        """The counters for the heartbeat. *lost*: commits that came too late, their leases had been given to others."""
        counts = {"pages": self.pages, "bytes": self.bytes, "errors": self.errors, "retried": self.retried}
        return counts | {"lost": self.lost + lost}


class Stored(Protocol):
    """What is stored of other pages (see `frontier.originals`). Each lookup is in the shard of a lease's *token*."""

    def id(self, url: str) -> str:
        """The id of a canonical URL."""

    def id_of(self, request: Request) -> str:
        """The id of what *request* asks for."""

    def first_with(self, token: str, digest: str) -> str | None:
        """The id of the first page with this content."""

    def has_contents(self, token: str, url: str) -> bool:
        """Whether the page of *url* is stored with its contents."""

    def main_of(self, token: str, url_id: str) -> str | None:
        """The main text that is stored of a page."""

    def named_by(self, token: str, url_id: str) -> str | None:
        """The URL that a page names as its canonical."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What is called while a page is processed."""

    hook: HookCalls | None = None
    """The user's function."""
    sample: Callable[[str, Page], None] | None = None
    """Gets pages for trap detection; None: nothing is quarantined."""
    say: Callable[[str], None] = lambda _: None
    """Shows a message to people."""
    enter: Callable[..., object] = lambda *_: None
    """Notes the stage of the work, and the token of the lease (see `Watchdog.enter`)."""
    documents: DocumentReader = field(default_factory=DocumentReader)
    """Converts PDF and DOCX."""
    revisit: Callable[[Mapping[str, int], Intervals], object] = lambda *_: None
    """Gets what a sitemap says of changes of pages (URL -> seconds): those visited before are due (see `newer`)."""


NO_CALLBACKS: Final = Callbacks()


@dataclass(slots=True)
class Context:
    """A worker's dependencies. All of them belong to this process alone."""

    frontier: Frontier
    fetcher: Fetcher
    watch: Watchdog
    say: Callable[[str], None]
    """For a person."""
    note: Callable[[str], None]
    """For the log: messages that the pool shows to people itself, or that nobody needs to see."""
    patience: Backoff
    replan: Callable[[bytes], WorkerOptions]
    """Builds the options from the settings stored in Redis."""
    refit: Callable[[bytes], Fetcher]
    """Builds a fetcher from the settings stored in Redis."""
    orphaned: Callable[[], bool] = lambda: False
    """Whether the pool that started this worker is gone."""
    reporter: Reporter = field(default_factory=Reporter)
    fuse: Callable[[float], object] = lambda seconds: None
    """End this process after so long (s) unless called again; 0: never. For a page that hangs when no pool is left."""
    hook: HookCalls | None = None
