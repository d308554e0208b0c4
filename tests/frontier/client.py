"""A shard with its verbs as methods, as tests like to call them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from crawler.frontier import overflow, verbs
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Accepted, Commit, CrawlState, Lease, Leased, Limits, Retry, RobotsResult, Shares
from crawler.frontier.redis.connection import Call, Connection
from crawler.frontier.scripts import SERVER_CLOCK
from crawler.frontier.shards.shard import Shard
from crawler.record import Request
from crawler.url import Form

_OF_SHARD = ("done", "wait", "id", "id_of", "run", "ask", "call", "keys", "connection", "identity", "info", "read")


class Client:
    """`client.VERB(...)` sends the call that `verbs.VERB` builds; `client.VERB_call(...)` builds it."""

    def __init__(self, shard: Shard, frontier: Frontier) -> None:
        self.shard, self.frontier = shard, frontier
        self.crawl = frontier.crawl

    @classmethod
    def create(
        cls,
        connection: Connection,
        crawl: str,
        settings: bytes,
        limits: Limits,
        *,
        form: Form | None = None,
        clock: str = SERVER_CLOCK,
    ) -> Client:
        """Make a crawl of one shard."""
        identity = Identity.new(form or Form(), 1)
        return cls.of(Frontier.create(connection, crawl, identity, settings, limits, clock=clock))

    @classmethod
    def find(cls, connection: Connection, crawl: str, *, clock: str = SERVER_CLOCK) -> Client:
        """The crawl of that name."""
        return cls.of(Frontier.find(connection, crawl, clock=clock))

    @classmethod
    def of(cls, frontier: Frontier) -> Client:
        """The first shard of a crawl."""
        return cls(frontier.shards[0], frontier)

    @property
    def crawldb(self) -> CrawlDb:
        """What the crawl has stored."""
        return self.frontier.crawldb

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_call"):
            return partial(getattr(verbs, name.removesuffix("_call")), self.shard)
        if name in _OF_SHARD:
            return getattr(self.frontier if name == "done" else self.shard, name)
        build: Callable[..., Call[Any]] = partial(getattr(verbs, name), self.shard)
        return lambda *args, **options: self.shard.ask(build(*args, **options))

    def state(self) -> CrawlState:
        """What this shard is at."""
        return self.shard.ask(verbs.state(self.shard))

    def put(self, requests: Sequence[Request], **options: Any) -> Accepted:
        """Accept requests."""
        return self.shard.ask(verbs.put(self.shard, requests, **options))

    def commit(self, page: Commit) -> Accepted:
        """End a page's lease."""
        return self.shard.ask(verbs.commit(self.shard, page))

    def lease(self, want: Shares | int, term: float, worker: str, call: str | None = None) -> Leased:
        """Lease, under a name of its own unless one is given."""
        return self.shard.ask(verbs.lease(self.shard, call or verbs.new_call(self.shard.number), want, term, worker))

    def retry_call(self, lease: Lease, event: Any, **options: Any) -> Call[Any]:
        """`verbs.retry` of the message that the arguments make."""
        return verbs.retry(self.shard, Retry(lease, event, **options))

    def retry(self, lease: Lease, event: Any, **options: Any) -> None:
        """The same, sent alone."""
        self.shard.ask(self.retry_call(lease, event, **options))

    def robots_call(self, lease: Lease, event: Any, **options: Any) -> Call[Any]:
        """`verbs.robots` of the message that the arguments make."""
        return verbs.robots(self.shard, RobotsResult(lease, event, **options))

    def robots(self, lease: Lease, event: Any, **options: Any) -> None:
        """The same, sent alone."""
        self.shard.ask(self.robots_call(lease, event, **options))

    def compact(self, long: Any, low: Any, say: Callable[[str], None]) -> None:
        """See `overflow.compact`."""
        overflow.compact(self.shard, long, low, say)
