"""A command's session: the crawl that its settings name, created, joined, changed, seeded or deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from crawler import headers
from crawler.config import Loaded
from crawler.crawl.purpose import NO_PURPOSE, Purpose
from crawler.crawl.redis_access import RedisAccess, Say
from crawler.crawl.rule_set import with_rules
from crawler.crawl.seeds import Seeded, Seeder, lines
from crawler.errors import CrawlExists, FixedSetting, HookFailed, NoCrawl, RedisUnavailable
from crawler.frontier import verbs
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier, delete
from crawler.frontier.identity import Identity
from crawler.frontier.redis.address import shown
from crawler.frontier.status import Status
from crawler.policy import schedule
from crawler.settings import TABLE, Kind, Settings, format_value
from crawler.text import option_name
from crawler.worker.hook import hook_name, refuse_other
from crawler.worker.options import form_of, limits_of, plan_of, scope_of


class Session:
    """A command's crawl: the one that its settings name, on the Redis that they name."""

    def __init__(self, loaded: Loaded, say: Say, *, begins: bool = True) -> None:
        """*begins*: the command may create a crawl; else no new embedded Redis is created."""
        self.loaded, self.settings = loaded, loaded.settings
        self.redis = RedisAccess(loaded.settings, say, begins=begins)
        self.say = say
        self.made = False
        """This session created the crawl."""
        self.hook_name = hook_name(loaded.settings.hook or "")
        """The name of the hook that this command brings."""
        self.hook_code = b""
        """The hook itself, if workers cannot import it."""
        self.origins: set[str] = set()
        """Origins that the SOURCEs seeded by this session name: only they get a secret `--header`."""
        self.begins = begins
        """The command may create a crawl."""
        self._frontier: Frontier | None = None

    def __enter__(self) -> Self:
        """Connect to Redis (see `RedisAccess.open`). Raises RedisUnavailable, NoCrawl."""
        if not self.begins and not has_begun(self.settings):
            raise self._no_crawl()
        try:
            self.redis.open()
        except RedisUnavailable as error:
            if decided := self.loaded.decided.get("redis"):
                error.args = (f"{error} (its URL is from {decided})",)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect from Redis."""
        self._frontier = None
        self.redis.close()

    @property
    def crawldb(self) -> CrawlDb:
        """What the crawl has stored."""
        if self._frontier is None:
            return CrawlDb(self.redis.connection, self.settings.crawl)
        return self._frontier.crawldb

    def _no_crawl(self) -> NoCrawl:
        ways = "`crawler check URL`" if self.settings.check else "`crawler run URL` or `crawler seed`"
        return NoCrawl(
            f"there is no crawl {self.settings.crawl!r} {place_of(self.loaded)}: begin one with {ways},"
            " or name where it is with --redis, --folder, --crawl"
        )

    def find(self, *, older: bool = False) -> Frontier:
        """The existing crawl (see `Frontier.find`); its stored settings become this session's. Raises NoCrawl."""
        try:
            self._frontier = frontier = Frontier.find(self.redis.connection, self.settings.crawl, older=older)
        except NoCrawl:
            raise self._no_crawl() from None
        self.settings = self.settings.with_stored(self.crawldb.settings())
        return frontier

    def wait_for(self, what: str, stopped: Callable[[], bool] = lambda: False) -> Frontier | None:
        """Wait for the crawl to exist, saying once that *what* waits. None if *stopped* meanwhile."""
        said = False
        while not stopped():
            try:
                return self.find()
            except NoCrawl:
                if not said:
                    said = True
                    name = self.settings.crawl
                    self.say(f"{what}: waiting for crawl {name!r} to begin (`crawler seed`) {place_of(self.loaded)}")
                time.sleep(0.2)
        return None

    def create_or_join(self, purpose: Purpose = NO_PURPOSE, *, runs: bool = False) -> Frontier:
        """Create the crawl with these settings, or join it and change its changeable settings.

        *runs*: this command runs workers, so its hook has to be that of the crawl (see `claim_hook`).

        Raises UsageError if *purpose* is not that of the crawl, FixedSetting if a fixed setting was named with another
        value, NoCrawl if the command may create none.
        """
        self.settings = with_rules(self.settings)
        plan_of(self.settings)  # report what cannot be used before anything is created
        if not self.begins:
            return self._join(purpose, runs)
        if runs:
            self.settings = replace(self.settings, hook_name=self.hook_name)
        try:
            identity = Identity.new(form_of(self.settings), self.settings.shards, purpose.fields)
            encoded, limits = self.settings.encode(), limits_of(self.settings)
            frontier = Frontier.create(self.redis.connection, self.settings.crawl, identity, encoded, limits)
        except CrawlExists:
            return self._join(purpose, runs)
        self._frontier, self.made = frontier, True
        self._say_what_does_not_count(self.settings)
        if self.settings.max_time is not None:
            frontier.configure(self.settings.encode(), limits_of(self.settings), self.settings.max_time)
        return frontier

    def _join(self, purpose: Purpose, runs: bool) -> Frontier:
        asked = self.settings
        frontier = self.find()
        if runs:
            self._refuse_other_hook()
        purpose.check(frontier.crawldb, scope_of(self.settings), f"crawl {asked.crawl!r} {place_of(self.loaded)}")
        changed = {name: getattr(asked, name) for name in self.loaded.named if TABLE[name].kind is Kind.CHANGEABLE}
        for name in self.loaded.named:
            there, wanted = getattr(self.settings, name), getattr(asked, name)
            if TABLE[name].kind is Kind.FIXED and there != wanted:
                flag = option_name(name)
                raise FixedSetting(
                    f"crawl {asked.crawl!r} was begun with --{flag} {format_value(name, there)}, which cannot change:"
                    f" leave it out, name another --crawl, or start over with `crawler run --fresh`"
                )
        self.bring_rules(frontier)
        self.change(frontier, changed)
        if sources := purpose.missing(frontier.crawldb.meta()):
            frontier.shards[0].ask(verbs.remember(frontier.shards[0], sources))
        if runs:
            self.claim_hook(frontier)
        return frontier

    def _refuse_other_hook(self) -> None:
        if not self.settings.no_hook:
            refuse_other(self.settings.crawl, self.hook_name, self.settings.hook_name)

    def claim_hook(self, frontier: Frontier) -> None:
        """The first command that brings a hook names that of the crawl. HookError if the crawl has another one."""
        self._refuse_other_hook()
        if self.hook_name and not self.settings.hook_name:
            self._store(frontier, {"hook_name": self.hook_name})

    def set_hook(self, frontier: Frontier, name: str) -> None:
        """Make *name* that of the crawl's hook; workers with another one leave. Empty: it has none."""
        self.say(f"hook: {self.settings.hook_name or 'none'} -> {name or 'none'}")
        self._store(frontier, {"hook_name": name})

    def bring_rules(self, frontier: Frontier) -> None:
        """Make the rules that this command brings, if it does, those of the crawl."""
        if self.loaded.settings.rules is not None:
            self.set_rules(frontier, with_rules(self.loaded.settings).rule_set)

    def set_rules(self, frontier: Frontier, text: str) -> None:
        """Make *text* the crawl's extraction rules, and report that. Empty: it has none."""
        if text == self.settings.rule_set:
            return
        before, after = (format_value("rule_set", rules) for rules in (self.settings.rule_set, text))
        change = f"{after} (changed)" if before == after else f"{before} -> {after}"
        self.say(f"rules: {change}; pages that were fetched before keep their data")
        self._store(frontier, {"rule_set": text})

    def change(self, frontier: Frontier, changed: dict[str, Any]) -> None:
        """Change settings of the crawl, and report which."""
        different = {name: value for name, value in changed.items() if value != getattr(self.settings, name)}
        plan_of(replace(self.settings, **different))  # report what cannot be used before anything is changed
        for name, value in different.items():
            before = format_value(name, getattr(self.settings, name))
            self.say(f"{option_name(name)}: {before} -> {format_value(name, value)}")
        if different.keys() & schedule.SETTINGS:
            self._say_what_does_not_count(replace(self.settings, **different))
        if different.keys() & {"ignore_sitemaps", "sitemap_only"}:
            self.say("sitemaps are looked up when a host's robots.txt is read: for known hosts, within 24 h")
        if not different and changed.get("max_time") is None:
            return
        self._store(frontier, different, changed.get("max_time", "-"))

    def _say_what_does_not_count(self, settings: Settings) -> None:
        if text := schedule.contradiction(settings):
            self.say(text)

    def _store(self, frontier: Frontier, changed: dict[str, Any], max_time: float | str | None = "-") -> None:
        self.settings = replace(self.settings, **changed)
        frontier.configure(self.settings.encode(), limits_of(self.settings), max_time)

    def delete(self) -> int:
        """Delete the crawl and everything it stored, even if it is damaged; returns how many keys there were."""
        self._frontier = None
        return delete(self.redis.connection, self.settings.crawl)

    def refuse_failed_hook(self, status: Status) -> None:
        """Raise HookFailed if all calls of the hook failed."""
        if self.settings.hook and status.hook_errors and status.hook_errors == status.hook_calls:
            raise HookFailed(
                f"the hook failed in all of its {status.hook_calls:,} calls: correct it, then start over with --fresh"
            )

    def discard(self, frontier: Frontier) -> None:
        """Delete a crawl that this session created and that got no URL: its settings should not bind the next one."""
        if self.made and frontier.state().accepted == 0:
            self.delete()

    def seed(
        self,
        frontier: Frontier,
        sources: Sequence[str],
        sitemaps: Sequence[str] = (),
        progress: Callable[[Seeded], None] = lambda _: None,
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


def place_of(loaded: Loaded) -> str:
    """Where the crawl is looked for, for messages; and what decided that, if not the command line."""
    folder, redis = loaded.settings.folder, loaded.settings.redis
    place = f"in {Path(folder).absolute()}" if redis is None else f"on {shown(redis)}"
    decided = loaded.decided.get("folder" if redis is None else "redis")
    return f"{place} (from {decided})" if decided else place
