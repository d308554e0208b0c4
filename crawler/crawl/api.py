"""The Python API: `Crawl("https://example.org").run()` does the same as `crawler run` does.

from crawler import Crawl

def titles(page):
    return {"h1": [node.text() for node in page.css("h1")]}

if __name__ == "__main__":
    with Crawl("https://example.org", hook=titles, delay=0.5) as crawl:
        print(crawl.run())
        for record in crawl.records():
            print(record.url, record.data)
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final

from crawler import headers
from crawler.crawl.cpus import usable
from crawler.crawl.launcher import check_hook
from crawler.crawl.pool import STOP_PATIENCE, Losses, Pool
from crawler.crawl.process import IN_WORKER, load_for_workers
from crawler.crawl.seeds import Seeded, check_sources
from crawler.crawl.session import Say, Session
from crawler.crawl.signals import ends_in_order, forget, interrupts, left_by
from crawler.errors import CrawlDeleting, NoCrawl, NoNetwork, OutOfMemory, RedisAway, RedisUnavailable, UsageError
from crawler.export import read
from crawler.fetch.machine import raise_limit
from crawler.frontier.bounds import LOOK_AFTER, bound
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import refuse_deleting
from crawler.frontier.shards.frontier import ledger_of
from crawler.frontier.status import NO_WORKERS, Monitor, Status
from crawler.record import Record
from crawler.settings import coerce, load
from crawler.worker.hook import Hook, spec_of
from crawler.worker.options import sees_addresses

TICK: Final = 0.1
LOOK_EVERY: Final = 0.5
LATE: Final = 10.0
"""How much later (s) than this process a worker may reach Redis again: longer than the pauses between its attempts."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How `work` ended."""

    status: Status
    here: int
    """URLs that ended meanwhile."""
    losses: Losses
    seconds: float
    interrupted: bool
    stuck: str = ""
    """Why no worker could do anything for longer than a host's patience."""

    def refuse_stuck(self) -> None:
        """Raise NoNetwork if the crawl ended because no worker could do anything."""
        if self.stuck and not self.status.done:
            left = self.status.queued + self.status.leased
            raise NoNetwork(f"gave up: {self.stuck}; {left:,} URLs stay queued: fix it, then run `crawler run` again")


BEHIND_PROXY: Final = "behind a proxy addresses are not known: limits of hosts at one address do not hold"


def _say_of_proxy(session: Session) -> None:
    settings = session.settings
    if not sees_addresses(settings) and (settings.delay or settings.per_ip):
        session.say(BEHIND_PROXY)


def _prepare_copies() -> None:
    """Prepare this process, so that its copies need not do the same again."""
    raise_limit()
    load_for_workers()


def work(
    session: Session,
    frontier: Frontier,
    *,
    until_done: bool,
    show: Callable[[Status, float], None] = lambda *_: None,
    copies: bool = False,
) -> Ended:
    """Run worker processes until the crawl is over or a signal arrives. *show* gets a status twice a second.

    *copies*: the process runs nothing else, so workers may be copies of it (see `launcher`).
    """
    began = time.monotonic()
    if copies:
        _prepare_copies()
    before = frontier.state().ended
    with closing(session.new_connection()) as connection, interrupts() as asked:  # it watches while Redis is away
        own = frontier.on(connection)
        crawldb = ledger_of(own)
        monitor = Monitor(own, crawldb)
        pool = Pool(
            own,
            crawldb,
            session.settings,
            redis_url=session.url,
            until_done=until_done,
            say=session.say,
            embedded=session.embedded,
            copies=copies,
            origins=session.origins,
        )
        try:
            _say_of_proxy(session)
            pool.start(session.settings.workers or usable())
            outlook = _Outlook(session, own, pool, monitor, crawldb, lambda it: show(it, time.monotonic() - began))
            _watch(session, pool, asked, outlook, until_done=until_done)
            outlook.report_lacks()
        except BaseException:
            pool.kill()
            raise
        interrupted = asked() > 0  # then nobody wants to wait for a Redis that is away
        status = monitor.look() if interrupted else session.patience.through(monitor.look)
        refuse_deleting(frontier.crawl, status.state)
    stuck = outlook.stuck if until_done else ""
    return Ended(status, status.ended - before, pool.losses, time.monotonic() - began, interrupted, stuck)


def _watch(session: Session, pool: Pool, asked: Callable[[], int], outlook: _Outlook, *, until_done: bool) -> None:
    """Tick the pool until its workers are gone. The first signal asks them to leave, the second ends them.

    *until_done*: they are also asked to leave when no worker of the crawl can do anything.
    """
    asked_before, kill_at, look_at = 0, float("inf"), 0.0
    while pool.tick():
        now = time.monotonic()
        if asked() > asked_before:
            asked_before = asked()
            if asked_before == 1:
                session.say("stopping: pages in flight may finish; a second signal stops at once")
                pool.stop()
                kill_at = now + STOP_PATIENCE
            else:
                kill_at = now
        if now >= kill_at:
            pool.kill()
            return
        if now >= look_at:
            look_at = now + LOOK_EVERY
            outlook.look()
            if outlook.stuck and until_done and kill_at == float("inf"):
                pool.stop()
                kill_at = now + STOP_PATIENCE
        time.sleep(TICK)


class _Outlook:
    """Watches the crawl and Redis, and reports what keeps workers from their work: each problem once."""

    def __init__(
        self,
        session: Session,
        frontier: Frontier,
        pool: Pool,
        monitor: Monitor,
        crawldb: CrawlDb,
        show: Callable[[Status], None],
    ) -> None:
        self._frontier = frontier
        self._bound_at = 0.0
        self._session, self._pool, self._monitor, self._crawldb, self._show = session, pool, monitor, crawldb, show
        self._full = False
        self._said: set[str] = set()
        """Problems of machines, and what this one lacks, that were reported."""
        self._troubles: set[str] = set()
        self.stuck = ""
        """Why no worker can continue, once that has lasted longer than a host's patience."""
        self._trouble = ""
        """What a worker waits for although Redis answers this process, and since when."""
        self._since = 0.0
        self._reported = ""

    def look(self) -> None:
        """Check once, but not while Redis is away and its next attempt is not yet due."""
        patience, pool = self._session.patience, self._pool
        self.report_lacks()
        if patience.since is not None and time.monotonic() < patience.again_at:
            return
        try:
            self._see_whether_full()
            self._bound_queues()
            status = self._monitor.look()
            settings = self._session.settings.with_stored(self._crawldb.settings())
            pool.page_timeout = settings.page_timeout
        except RedisAway as error:
            patience.failed(error)
            self._trouble = ""
            self._session.restart_redis()
        except (NoCrawl, CrawlDeleting):
            return  # the workers see it as well, and leave
        else:
            patience.answered()
            self._see_what_workers_wait_for()
            self._report_troubles(status, settings.host_patience)
            if status.limit == NO_WORKERS and pool.pids:
                status = replace(status, limit="the workers are starting")
            self._show(status)

    def report_lacks(self) -> None:
        """Report once what this machine lacks for the configured work."""
        self._say_once(self._pool.lacks)

    def _say_once(self, texts: Iterable[str]) -> None:
        for text in texts:
            if text not in self._said:
                self._said.add(text)
                self._session.say(text)

    def _report_troubles(self, status: Status, patience: float) -> None:
        """Report a machine's problem once, and its recovery. After *patience* (s) without work, set `stuck`."""
        self._say_once(status.troubles)
        gone = self._troubles - set(status.troubles)
        over = {text for text in gone if text.partition(":")[0] in status.machines}  # else it only has another problem
        for machine in {text.partition(":")[0] for text in over}:
            self._session.say(f"{machine}: works again")
        self._said -= over
        self._troubles = (self._troubles - over) | set(status.troubles)
        is_over_patience = patience > 0 and status.stuck_for > patience
        if is_over_patience and status.troubles and status.state in ("running", "waiting"):
            self.stuck = status.troubles[0]

    def _bound_queues(self) -> None:
        """Now and then: a site whose queue fills Redis gets no new links (see `frontier.bounds`)."""
        if time.monotonic() < self._bound_at:
            return
        self._bound_at = time.monotonic() + LOOK_AFTER
        try:
            for site in bound(self._frontier):
                self._session.say(f"the queue of {site} fills Redis: its new links are dropped until there is room")
        except RedisAway:
            raise
        except RedisUnavailable:  # a user who may not ask how full it is
            self._bound_at = float("inf")

    def _see_whether_full(self) -> None:
        """Check with an empty write: reads alone would not show what keeps workers from writing."""
        try:
            self._crawldb.probe()
        except OutOfMemory as error:
            if not self._full:
                self._session.say(f"{error}; no new page starts until then")
            self._full = True
        else:
            if self._full:
                self._session.say("Redis has room again; continuing")
            self._full = False

    def _see_what_workers_wait_for(self) -> None:
        """A worker may be refused where this process is admitted: with too many clients, for example."""
        now, before = time.monotonic(), self._trouble
        self._trouble = self._pool.trouble
        if self._trouble != before:
            self._since = now
        elif self._trouble and self._trouble != self._reported and now - self._since > LATE:
            self._reported = self._trouble
            self._session.say(f"a worker waits: {self._trouble}")


def _say(line: str) -> None:
    with suppress(OSError):  # nobody may be there to read it
        print(f"crawler: {line}", file=sys.stderr)


class Crawl(AbstractContextManager["Crawl"]):
    """A crawl by name, on an embedded Redis or on *redis*. Settings are named as on the command line, with `_` for `-`.

    It is created or joined on first use of `seed`, `run`, `status` or `records`. Use it in a `with`, or call `close`.
    """

    def __init__(
        self,
        *seeds: str,
        name: str = "default",
        redis: str | None = None,
        hook: Hook | str | None = None,
        sitemaps: Sequence[str] = (),
        say: Say = _say,
        **settings: Any,
    ) -> None:
        """*seeds* are URLs or files of URLs, *sitemaps* URLs of sitemaps.

        *hook* gets each Page in a worker and returns the value of the record's `data`.
        """
        flags = {setting: coerce(setting, value) for setting, value in settings.items()}
        flags["crawl"] = coerce("crawl", name)
        if redis is not None:
            flags["redis"] = redis
        if hook is not None:
            flags["hook"] = hook if isinstance(hook, str) else spec_of(hook)
        self._seeds = seeds
        self._sitemaps = (sitemaps,) if isinstance(sitemaps, str) else tuple(sitemaps)
        loaded = load(flags)
        if loaded.file is not None:
            say(f"settings are read from {loaded.file}")
        self._session = Session(loaded, say)
        self._frontier: Frontier | None = None
        self._hook_is_fine = False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect from Redis; what the crawl stored stays."""
        self._frontier = None
        self._session.close()

    def _open(self) -> Frontier:
        if os.environ.get(IN_WORKER):
            raise UsageError('a worker is importing this script: put its crawl under `if __name__ == "__main__":`')
        if self._frontier is None:
            check_sources(self._seeds, self._sitemaps)
            self._session.__enter__()
            try:
                self._frontier = self._session.create_or_join()
            except BaseException:
                self._session.close()
                raise
        return self._frontier

    def seed(self, *sources: str) -> Seeded:
        """Add URLs, or the lines of files, to the frontier. Raises UsageError for a source that cannot be used."""
        check_sources(sources)
        with ends_in_order():
            return self._session.seed(self._open(), sources, lambda _: None)

    def run(self, *, until_done: bool = True) -> Status:
        """Seed, crawl until nothing is left (or Ctrl-C), and return the crawl's status.

        Raises HookError, before anything is stored, if workers could not load the hook. Raises NoNetwork if no working
        machine could resolve or connect for too long. Raises SystemExit if the terminal was closed meanwhile (SIGHUP),
        or on SIGQUIT.
        """
        headers.require_hosts(self._session.settings.header, self._seeds or tuple(self._session.origins))
        with ends_in_order():
            self._check_hook()
            frontier = self._open()
            if self._seeds or self._sitemaps:
                self._session.seed(frontier, self._seeds, lambda _: None, self._sitemaps)
            forget()
            ended = work(self._session, frontier, until_done=until_done)
        if (code := left_by()) is not None:
            raise SystemExit(code)
        ended.refuse_stuck()
        return ended.status

    def _check_hook(self) -> None:
        hook = self._session.settings.hook
        if hook and not self._hook_is_fine and not os.environ.get(IN_WORKER):
            check_hook(hook)
            self._hook_is_fine = True

    def status(self) -> Status:
        """The crawl's status now."""
        return Monitor(self._open(), self._session.crawldb).look()

    def records(self) -> Iterator[Record]:
        """All records so far, in the order of their commits; `via` is a URL.

        Raises FrontierError at the end if some could not be read.
        """
        self._open()
        yield from read(self._session.crawldb)

    def delete(self) -> None:
        """Delete the crawl and everything it stored."""
        self._open()
        self._session.delete()
        self._frontier = None
        self._session.close()
