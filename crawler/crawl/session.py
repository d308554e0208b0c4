"""A command's session: its Redis, embedded or shared, and the crawl that its settings name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from crawler import headers
from crawler.crawl.seeds import Seeded, Seeder, lines
from crawler.crawl.signals import interrupts
from crawler.errors import CrawlExists, DamagedCrawl, FixedSetting, NoCrawl, RedisUnavailable
from crawler.frontier.crawldb import CrawlDb, crawls
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import shards_known
from crawler.frontier.redis.connection import Backoff, Connection
from crawler.frontier.redis.embedded import EmbeddedRedis, check_server
from crawler.frontier.shards.crawldb import ShardedCrawlDb
from crawler.frontier.shards.frontier import create, find, ledger_of
from crawler.settings import TABLE, Kind, Loaded, Settings, format_value
from crawler.worker.options import form_of, limits_of, plan_of, scope_of

Say = Callable[[str], None]


class Session:
    """A command's access to its Redis, embedded or shared, and to the crawl that its settings name."""

    def __init__(self, loaded: Loaded, say: Say, *, begins: bool = True) -> None:
        """*begins*: the command may create a crawl; else no new embedded Redis is created."""
        self.settings = loaded.settings
        self._begins = begins
        self.made = False
        """This session created the crawl."""
        self.named = loaded.named
        self.origins: set[str] = set()
        """Origins that the SOURCEs seeded by this session name: only they get a secret `--header`."""
        self.say = say
        self.patience = Backoff(say, mend=self.restart_redis)
        self._server: EmbeddedRedis | None = None
        self._connection: Connection | None = None
        self._frontier: Frontier | None = None

    def __enter__(self) -> Self:
        """Connect to Redis; start or join the embedded one if none is named. Raises RedisUnavailable, NoCrawl.

        If a shared Redis cannot be reached at first, this waits only with the setting `wait`; later it always waits.
        """
        if not self._begins and not has_begun(self.settings):
            raise NoCrawl(f"there is no crawl {self.settings.crawl!r}: begin one with `crawler run` or `crawler seed`")
        if self.settings.redis is None:
            self._server = EmbeddedRedis(Path(self.settings.folder))
            self._server.__enter__()
        try:
            self._connection = Connection(self.url, patience=self.patience if self.settings.wait else None)
            self._connection.ask(self._connection.client.ping)
            warnings = self._connection.ask(lambda: check_server(self.connection.client, writing=self._begins))
            self._connection.patience = self.patience
        except BaseException:
            self.close()
            raise
        if self._server is None and self._begins:
            for warning in warnings:
                self.say(f"warning: {warning}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect from Redis; the last user of an embedded one stops it."""
        self._frontier = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._server is not None:
            self._server.leave()
            self._server = None

    @property
    def url(self) -> str:
        """The URL of Redis."""
        if self._server is not None:
            return self._server.url
        return self.settings.redis or ""

    @property
    def connection(self) -> Connection:
        """The connection of this process, which waits while Redis is away."""
        if self._connection is None:
            raise RedisUnavailable("the session is closed")
        return self._connection

    def new_connection(self) -> Connection:
        """A connection that does not wait, for a caller with other work to do. The caller closes it."""
        return Connection(self.url)

    @property
    def embedded(self) -> tuple[bytes, int] | None:
        """Folder of the embedded Redis, and the descriptor that workers must inherit, which keeps it alive."""
        return None if self._server is None else (os.fsencode(self._server.folder), self._server.users_fd)

    def restart_redis(self) -> None:
        """Restart the embedded Redis if it died."""
        if self._server is not None:
            self._server.ensure()

    @property
    def crawldb(self) -> CrawlDb:
        """What the crawl has stored."""
        if self._frontier is None:
            return CrawlDb(self.connection, self.settings.crawl)
        return ledger_of(self._frontier)

    def names(self) -> list[str]:
        """All crawls on this Redis."""
        return crawls(self.connection)

    # -- the crawl -----------------------------------------------------------------------------------------------------

    def find(self) -> Frontier:
        """The existing crawl; its stored settings become this session's. Raises NoCrawl."""
        self._frontier = frontier = find(self.connection, self.settings.crawl)
        self.settings = self.stored()
        return frontier

    def stored(self) -> Settings:
        """This session's settings, updated with those stored in the crawl now."""
        return self.settings.with_stored(self.crawldb.settings())

    def require(self) -> None:
        """Raise NoCrawl if there is no crawl to join."""
        Frontier.find(self.connection, self.settings.crawl)

    def wait_for(self, what: str, stopped: Callable[[], bool] = lambda: False) -> Frontier | None:
        """Wait for the crawl to exist, saying once that *what* waits. None if *stopped* meanwhile."""
        said = False
        while not stopped():
            try:
                return self.find()
            except NoCrawl:
                if not said:
                    said = True
                    self.say(f"{what}: waiting for crawl {self.settings.crawl!r} to begin (`crawler seed`)")
                time.sleep(0.2)
        return None

    @contextmanager
    def interruptible(self) -> Iterator[Callable[[], bool]]:
        """Whether a signal asked the command to end. A wait for Redis then gives up with RedisAway."""
        with interrupts() as asked:
            self.patience.stopped = lambda: asked() > 0
            try:
                yield self.patience.stopped
            finally:
                self.patience.stopped = lambda: False

    def create_or_join(self) -> Frontier:
        """Create the crawl with these settings, or join it and change its changeable settings.

        Raises FixedSetting if a fixed setting was named with another value.
        """
        plan_of(self.settings)  # report what cannot be used before anything is created
        try:
            frontier = create(
                self.connection,
                self.settings.crawl,
                self.settings.encode(),
                limits_of(self.settings),
                form=form_of(self.settings),
                shards=self.settings.shards,
            )
        except CrawlExists:
            return self._join()
        self._frontier, self.made = frontier, True
        if self.settings.max_time is not None:
            frontier.configure(self.settings.encode(), limits_of(self.settings), self.settings.max_time)
        return frontier

    def _join(self) -> Frontier:
        asked = self.settings
        frontier = self.find()
        changed = {name: getattr(asked, name) for name in self.named if TABLE[name].kind is Kind.CHANGEABLE}
        for name in self.named:
            there, wanted = getattr(self.settings, name), getattr(asked, name)
            if TABLE[name].kind is Kind.FIXED and there != wanted:
                flag = name.replace("_", "-")
                raise FixedSetting(
                    f"crawl {asked.crawl!r} was begun with --{flag} {format_value(name, there)}, which cannot change:"
                    f" leave it out, name another --crawl, or start over with `crawler run --fresh`"
                )
        self.change(frontier, changed)
        return frontier

    def change(self, frontier: Frontier, changed: dict[str, Any]) -> None:
        """Change settings of the crawl, and report which."""
        different = {name: value for name, value in changed.items() if value != getattr(self.settings, name)}
        plan_of(replace(self.settings, **different))  # report what cannot be used before anything is changed
        for name, value in different.items():
            before = format_value(name, getattr(self.settings, name))
            self.say(f"{name.replace('_', '-')}: {before} -> {format_value(name, value)}")
        if different.keys() & {"ignore_sitemaps", "sitemap_only"}:
            self.say("sitemaps are looked up when a host's robots.txt is read: for known hosts, within 24 h")
        if not different and changed.get("max_time") is None:
            return
        self.settings = replace(self.settings, **different)
        max_time = self.settings.max_time if "max_time" in changed else "-"
        frontier.configure(self.settings.encode(), limits_of(self.settings), max_time)

    def delete(self) -> int:
        """Delete the crawl and everything it stored, even if it is damaged; returns how many keys there were."""
        with suppress(DamagedCrawl):
            self.require()
        shards = shards_known(self.connection, self.settings.crawl)
        for shard in range(shards):
            Frontier.condemn(self.connection, self.settings.crawl, shard, shards)
        self._frontier = None
        return ShardedCrawlDb(self.connection, self.settings.crawl, shards).sweep()

    def discard(self, frontier: Frontier) -> None:
        """Delete a crawl that this session created and that got no URL: its settings should not bind the next one."""
        if self.made and frontier.state().accepted == 0:
            self.delete()

    def seed(
        self,
        frontier: Frontier,
        sources: Sequence[str],
        progress: Callable[[Seeded], None],
        sitemaps: Sequence[str] = (),
    ) -> Seeded:
        """Put the URLs of *sources* (URLs, files, `-`) and of *sitemaps* into the frontier."""
        seeder = Seeder(frontier, scope_of(self.settings), self.say, progress, alone=not sources)
        seeded = seeder.seed(lines(sources), sitemaps)
        self.origins |= seeded.origins
        if seeded.more_origins and any(headers.parse(line).needs_host for line in self.settings.header):
            self.say(
                f"the SOURCEs name more than {headers.MAX_ORIGINS:,} origins: the others do not get the --header lines;"
                " name the hosts that should: CRAWLER_HEADER='HOST: Name: value'"
            )
        return seeded


def has_begun(settings: Settings) -> bool:
    """Whether a crawl can exist: on a shared Redis always, else if an embedded one was created before."""
    return settings.redis is not None or Path(settings.folder).is_dir()
