"""Runs the worker processes of one crawl on this machine until it is over, and reports what keeps them from work."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from crawler.crawl.cpus import worker_count
from crawler.crawl.journal import Journal
from crawler.crawl.pool import STOP_PATIENCE, Losses, Pool, machine
from crawler.crawl.process import Job, load_for_workers
from crawler.crawl.session import Session
from crawler.crawl.signals import interrupts
from crawler.crawl.sweep import Sweep, Sweeper
from crawler.crawl.webhook import Webhook, target_of
from crawler.errors import CrawlDeleting, NoCrawl, NoNetwork, OutOfMemory, RedisAway, RedisUnavailable
from crawler.fetch.machine import raise_limit
from crawler.frontier.bounds import LOOK_AFTER, bound
from crawler.frontier.frontier import Frontier
from crawler.frontier.keys import channel
from crawler.frontier.messages import refuse_deleting
from crawler.frontier.redis.channel import Publisher
from crawler.frontier.status import NO_WORKERS, Monitor, Status
from crawler.settings import Settings, format_value, stored_names
from crawler.text import option_name
from crawler.worker.options import sees_addresses

TICK: Final = 0.05
LOOK_EVERY: Final = 0.5
LATE: Final = 10.0
"""How much later (s) than this process a worker may reach Redis again: longer than the pauses between its attempts."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How `run_workers` ended."""

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
            raise NoNetwork(
                f"gave up: {self.stuck}; {left:,} URLs stay queued: fix it, then give the same command again"
            )


@dataclass(frozen=True, slots=True)
class Way:
    """How workers are run."""

    until_done: bool = True
    """Until the crawl is done; else until they are stopped."""
    copies: bool = False
    """The process runs nothing else, so workers may be copies of it (see `launcher`)."""
    sweep: Sweep | None = None
    """Meanwhile this queues what is due to be visited again."""


BEHIND_PROXY: Final = "behind a proxy addresses are not known: limits of hosts at one address do not hold"


def run_workers(
    session: Session,
    frontier: Frontier,
    way: Way,
    *,
    show: Callable[[Status, float], None] = lambda *_: None,
    stops: Callable[[], int] = lambda: 0,
) -> Ended:
    """Run worker processes until the crawl is over or a signal arrives. *show* gets a status twice a second.

    *stops*: how often the program asked to stop; that counts as signals do.
    """
    began, until_done = time.monotonic(), way.until_done
    if way.copies:  # they need not do the same again
        raise_limit()
        load_for_workers(session.settings.fetcher)
    with (
        closing(session.redis.new_connection()) as connection,  # it watches while Redis is away
        interrupts() as signals,
        _journal_of(session) as journal,
    ):
        asked, own = _Asked(signals, stops), frontier.on(connection)
        before = session.redis.patience.through(lambda: _endings(own))
        job = _job_of(session, own, journal, until_done=until_done)
        pool = Pool(own, job, session.say, copies=way.copies, tell=journal.tell)
        outlook = _Outlook(session, own, pool, journal, lambda it: show(it, time.monotonic() - began))
        sweeper = Sweeper(way.sweep, own)
        try:
            _say_of_proxy(session)
            pool.start(worker_count(session.settings.workers))
            _watch(session, pool, asked, outlook, sweeper)
            outlook.report_lacks()
            journal.is_patient = asked() < 2
        except BaseException:
            pool.kill()
            raise
        finally:
            sweeper.leave()
        status, stuck = outlook.last_status(interrupted=asked() > 0), outlook.stuck if until_done else ""
        return Ended(status, status.endings - before, pool.losses, time.monotonic() - began, asked() > 0, stuck)


def _endings(frontier: Frontier) -> int:
    """How often a URL ended so far."""
    return frontier.state().ended + frontier.crawldb.counters().get("revisited", 0)


@contextmanager
def _journal_of(session: Session) -> Iterator[Journal]:
    """The journal of this process and its workers. Raises UsageError if the webhook has no key."""
    settings, target = session.settings, target_of(session.settings)
    publisher = Publisher(session.redis.url, channel(settings.crawl), session.say)
    webhook = None if target is None else Webhook(target)
    journal = Journal(f"{machine()}-{os.getpid()}", publisher, webhook, session.say)
    try:
        yield journal
    finally:
        journal.close()


def _job_of(session: Session, frontier: Frontier, journal: Journal, *, until_done: bool) -> Job:
    """The job of each worker; its name and watch file are its own."""
    return Job(
        worker="",
        watch="",
        redis=session.redis.url,
        generation=frontier.generation,
        until_done=until_done,
        settings=session.settings,
        parent=os.getpid(),
        origins=tuple(session.origins),
        events=journal.fd,
        hook_name=session.hook_name,
        hook_code=session.hook_code,
        embedded=session.redis.embedded,
    )


def _say_of_proxy(session: Session) -> None:
    settings = session.settings
    if not sees_addresses(settings) and (settings.delay or settings.per_ip):
        session.say(BEHIND_PROXY)


@dataclass(frozen=True, slots=True)
class _Asked:
    """How often it was asked to stop."""

    signals: Callable[[], int]
    stops: Callable[[], int]

    def __call__(self) -> int:
        return self.signals() + self.stops()


def _watch(session: Session, pool: Pool, asked: _Asked, outlook: _Outlook, sweeper: Sweeper) -> None:
    """Tick the pool until its workers are gone. The first request asks them to leave, the second ends them.

    If they work until the crawl is done, they are also asked to leave when no worker of it can do anything.
    """
    asked_before, kill_at, look_at = 0, float("inf"), 0.0
    while pool.tick():
        now = time.monotonic()
        if asked() > asked_before:
            asked_before = asked()
            if asked_before == 1:
                if asked.signals():
                    session.say("stopping: pages in flight may finish; a second signal stops at once")
                pool.stop()
                kill_at = now + STOP_PATIENCE
            else:
                kill_at = now
        if now >= kill_at:
            pool.kill()
            return
        outlook.journal.look()
        if now >= look_at:
            look_at = now + LOOK_EVERY
            outlook.look()
            if outlook.stuck and pool.until_done and kill_at == float("inf"):
                pool.stop()
                kill_at = now + STOP_PATIENCE
        sweeper.leave() if asked() else sweeper.work()
        time.sleep(TICK)


class _Outlook:
    """Watches the crawl and Redis, and reports what keeps workers from their work: each problem once."""

    def __init__(
        self, session: Session, frontier: Frontier, pool: Pool, journal: Journal, show: Callable[[Status], None]
    ) -> None:
        self._session, self._frontier, self._pool, self._show = session, frontier, pool, show
        self.journal = journal
        self._settings = session.settings
        self._monitor = Monitor(frontier)
        self._bound_at = 0.0
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
        patience, pool = self._session.redis.patience, self._pool
        self.report_lacks()
        if patience.since is not None and time.monotonic() < patience.again_at:
            return
        try:
            self._see_whether_full()
            self._bound_queues()
            status = self._monitor.look()
            settings = self._session.settings.with_stored(self._frontier.crawldb.settings())
            pool.page_timeout = settings.page_timeout
            self._report_changes(settings)
        except RedisAway as error:
            if patience.since is None:
                self.journal.tell("redis-away", error=str(error))
            patience.failed(error)
            self._trouble = ""
            self._session.redis.restart()
        except (NoCrawl, CrawlDeleting):
            return  # the workers see it as well, and leave
        else:
            if patience.since is not None:
                self.journal.tell("redis-back", elapsed_ms=round((time.monotonic() - patience.since) * 1000))
            patience.answered()
            self._see_what_workers_wait_for()
            self._report_troubles(status, settings.host_patience)
            if status.limit == NO_WORKERS and pool.pids:
                status = replace(status, limit="the workers are starting")
            self._show(status)

    def _report_changes(self, settings: Settings) -> None:
        for name in sorted(stored_names()):
            before, after = getattr(self._settings, name), getattr(settings, name)
            if before != after:
                shown = {"before": format_value(name, before), "after": format_value(name, after)}
                self.journal.tell("setting-changed", setting=option_name(name), **shown)
        self._settings = settings

    def last_status(self, *, interrupted: bool) -> Status:
        """The status at the end. If *interrupted*, nobody wants to wait for a Redis that is away."""
        look = self._monitor.look
        status = look() if interrupted else self._session.redis.patience.through(look)
        refuse_deleting(self._frontier.crawl, status.state)
        return status

    def report_lacks(self) -> None:
        """Report once what this machine lacks for the configured work, and how its hook failed."""
        self._say_once(self._pool.lacks)
        self._say_once(f"hook failed on {url}: {error}" for error, url in self._pool.hook_failures.items())

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
        for name in {text.partition(":")[0] for text in over}:
            self._session.say(f"{name}: works again")
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
            self._frontier.crawldb.probe()
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
