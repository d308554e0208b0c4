"""The worker's main loop: one process, one loop, no threads.

One turn: collect finished downloads, process each page to its outcome, send all outcomes to Redis in one pipeline,
lease as many URLs as there are free transfers, and submit them. The loop blocks only when nothing is in flight. While
Redis is away it keeps collecting and stores finished work, but leases nothing.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from crawler.errors import CrawlDeleting, CrawlerError, NoCrawl, RedisAway
from crawler.fetch.fetcher import FetchResult, Response
from crawler.frontier.messages import NO_SHARES, Lease, Leased, LeaseEnd, Release, Retry, RobotsResult, Shares
from crawler.frontier.originals import Originals
from crawler.frontier.seen import accepted
from crawler.worker.context import Callbacks, Context, Tally
from crawler.worker.document_reader import DocumentReader
from crawler.worker.downloader import MAX_RESULTS, Download, Downloader
from crawler.worker.frontier_client import FrontierClient
from crawler.worker.health_check import LOOK, MachineHealth
from crawler.worker.link_filter import LinkFilter
from crawler.worker.newer import NewerPages
from crawler.worker.options import WorkerOptions
from crawler.worker.pending_call import PendingCall
from crawler.worker.pipeline import Pipeline
from crawler.worker.processor import Processor
from crawler.worker.robots_cache import RobotsCache
from crawler.worker.seen_before import SeenBefore
from crawler.worker.shard_client import ASK_AGAIN, Caller, SyncResult
from crawler.worker.shares import GRACE, CpuShares, shares
from crawler.worker.visit import states_before, states_of_pages

LONG_PAGE: Final = 0.1
"""If one page takes longer than these seconds to process, transfers are driven before the next one."""
IDLE_WAIT: Final = 5.0
"""Longest wait of an idle worker for a hint, in seconds."""
LATENESS: Final = 0.15
"""Redis may end a wait late by these seconds (it looks ten times a second): the worker sleeps the rest itself."""
MIN_WAIT: Final = 0.0005
FUSE_MARGIN: Final = 60.0
"""A worker ends itself this many seconds after its page time-out: its pool, which should have done so, must be gone."""
ORPHAN_GRACE: Final = 2.0
"""Seconds that transfers in flight get when the pool is gone."""
LOOK_ASIDE: Final = 1.0  # seconds between checks whether others have ended the crawl, while this machine cannot work
STOPPING_WAIT: Final = 0.05  # seconds between checks whether everything has ended, after a request to stop


class Woken(Exception):
    """A signal came while the worker was waiting."""


class Engine:
    """The main loop. `run` returns when the crawl is done (with *until_done*), at its limit, gone, or stopped."""

    def __init__(self, name: str, tools: Context, plan: WorkerOptions, *, until_done: bool) -> None:
        self.name, self.until_done = name, until_done
        self.tools = tools
        self.plan = plan
        self.tally = Tally()
        self.reason = ""
        """Why the loop ended: done, limit, gone, stopped."""
        self._frontier, self._crawldb, self._watch = tools.frontier, tools.frontier.crawldb, tools.watch
        self._links = LinkFilter(
            plan.scope, self._crawldb.hosts.roots, plan.links_cache, partial(accepted, self._frontier.shards)
        )
        self._rules = RobotsCache(self._crawldb.hosts, plan.agent, plan.rules_cache)
        caller = Caller(name, plan.lease_term, self._links.known, tools.say, tools.reporter)
        self._client = FrontierClient(tools.frontier, caller, tools.patience)
        self._downloader = Downloader(tools.fetcher, self._links, plan)
        self._documents = DocumentReader()
        self._pipeline = Pipeline(self._downloader, self._rules, self._links, self._new_processor())
        self._machine_health = MachineHealth(self._crawldb, proxied=plan.proxied)
        self._cpu_shares = CpuShares()
        self._wants: Shares = NO_SHARES
        self._is_full = False
        """Whether all transfers were taken when there was last something to lease."""
        self._new_hosts = 0
        """New hosts that were due and got nothing when something was last leased."""
        self._unplaced: deque[Lease] = deque()
        """Leased, but not yet dispatched."""
        self._limit = "starting"
        self._settings_rev, self._traps_rev = -1, 0
        self._refit: bytes | None = None
        """Changed settings that the fetcher does not use yet."""
        self._stop_by: float | None = None
        self._may_be_woken = False

    # -- the whole crawl, top to bottom --------------------------------------------------------------------------------

    def run(self) -> str:
        """Crawl until it is over; returns the reason. Raises errors that cannot be waited out: Redis refuses us, ..."""
        while not self.reason:
            try:
                self._turn()
            except Woken:  # the signal came at the very end of a wait
                continue
            except (NoCrawl, CrawlDeleting) as error:  # its pool finds out as well, and reports it
                self.tools.note(str(error))
                self.reason = "gone"
        self._leave()
        return self.reason

    def _turn(self) -> None:
        if self._stop_by is None and self.tools.orphaned():
            self._stop_by = time.monotonic() + ORPHAN_GRACE
        self._collect()
        synced = self._talk()
        self._place()
        self._see_whether_over(synced.leased)
        if self.reason:
            return
        if self._client.held_up and not self._downloader.moving:
            until = min(self._client.due_at(), self._client.lease_at)
            self._sleep(max(until - time.monotonic(), MIN_WAIT), time.sleep)
        elif not self._is_busy():
            self._wait_aside() if self._machine_health.aside else self._idle(synced.leased)

    def stop(self, grace: float) -> None:
        """End soon: lease nothing more, give downloads in flight *grace* seconds, release the rest. Signal-safe."""
        by = time.monotonic() + grace
        self._stop_by = by if self._stop_by is None else min(self._stop_by, by)
        if self._may_be_woken:
            self._may_be_woken = False
            raise Woken

    # -- collecting and processing -------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Drive the transfers and process each finished one to its outcome."""
        self._watch.enter("poll")
        transfers = self._downloader
        transfers.poll(self._poll_seconds())
        if self._machine_health:
            if len(self._machine_health) == len(transfers):
                self._sleep(LOOK, time.sleep)
            transfers.results.extend(self._machine_health.take())
        self._cpu_shares.sort(transfers, stopping=self._stop_by is not None)
        for _ in range(min(len(transfers.results), MAX_RESULTS)):
            if not transfers.results or (self._client.away and time.monotonic() < self._client.due_at()):
                break
            began = time.monotonic()
            try:
                self._handle(*transfers.results[0])
            except RedisAway as error:  # it is processed again when Redis is back
                self._client.failed(error)
                transfers.results.rotate(-1)  # results for other shards may proceed
                break
            transfers.results.popleft()
            if time.monotonic() - began > LONG_PAGE:
                transfers.poll(0.0)
                self._cpu_shares.sort(transfers, stopping=self._stop_by is not None)
        self.tools.fuse(0.0)
        self._watch.enter("poll")

    def _poll_seconds(self) -> float:
        """How long to wait for transfers before something else has to be done."""
        until = self._client.due_at()
        if not self._client.away and (self._downloader.results or self._unplaced or not self._downloader):
            return 0.0
        if self._may_lease():
            until = min(until, time.monotonic() + GRACE / 4 if self._is_full else self._client.lease_at)
        if self._machine_health:
            until = min(until, time.monotonic() + LOOK)
        if self._stop_by is not None:
            until = min(until, self._stop_by)
        return max(min(until - time.monotonic(), ASK_AGAIN), 0.0)

    def _handle(self, download: Download, result: FetchResult) -> None:
        self._watch.enter("handle", download.lease.token)
        self.tools.fuse(self.plan.page_timeout + FUSE_MARGIN)
        if not self._is_evidence(download, result):
            return
        pending = self._pipeline.handle(download, result)
        if pending is None:
            return
        if download.held is not None:
            self.tally.add(pending)
        self._downloader.finish(download)
        self._client.submit_call(pending)
        self._cpu_shares.note(download.lease.host, self._pipeline.processor.clock.took_ms / 1000)

    def _is_evidence(self, download: Download, result: FetchResult) -> bool:
        """Whether a result is evidence about its host; else it is kept until that is known, or its lease returned."""
        if isinstance(result, Response):
            self._machine_health.answered(result)
            return True
        fate = self._machine_health.fate(download, result, alone=len(self._downloader) == 1)
        if fate == "give back" or (fate == "wait" and self._stop_by is not None):
            self._machine_health.drop(frozenset([download.lease.token]))
            self._downloader.finish(download)
            self._submit(Release(download.lease))
        return fate == "believe"

    # -- talking to Redis ----------------------------------------------------------------------------------------------

    def _talk(self) -> SyncResult:
        self._watch.enter("redis")
        self._make_room()
        self._wants = self._wanted()
        synced = self._client.sync(self._wants, self._held(), self._heartbeat)
        if synced.lost:
            self._drop(synced.lost)
        if synced.leased is not None:
            self._unplaced.extend(synced.leased.leases)
            try:
                self._learn(synced.leased)
            except RedisAway as error:  # what is not known yet is reported again with the next leases
                self._client.failed(error)
        if self._refit is not None and not self._downloader:
            self._downloader.refit(self.tools.refit(self._refit), self.plan)
            self._refit = None
        return synced

    def _wanted(self) -> Shares:
        """What leases to ask for now: after something ended, or when a host is due."""
        if not self._may_lease() or not self._client.may_lease:
            return NO_SHARES
        if self._machine_health.aside:
            return NO_SHARES if self._downloader else Shares.any(1)
        plan, transfers = self.plan, self._downloader
        wanted = shares(plan.concurrency, transfers.downloads, time.monotonic(), sees_addresses=plan.sees_addresses)
        wanted = wanted.at_most(transfers.free)
        self._is_full = not wanted
        return wanted

    def _make_room(self) -> None:
        """If new hosts wait and stuck transfers fill the share of new hosts, cancel the oldest stuck ones."""
        if not self._new_hosts or self._client.away or not self._may_lease():
            return
        for download in self._downloader.make_room():
            end = RobotsResult if download.held is None else Retry
            self._submit(end(download.lease, "late"))

    def _may_lease(self) -> bool:
        if self._stop_by is not None or self._pipeline.suspects or self._unplaced or self._refit:
            return False
        return not self._machine_health.aside or time.monotonic() >= self._machine_health.again_at

    def _held(self) -> list[str]:
        """The tokens of all leases that are ours and have not ended."""
        return [
            *self._downloader.tokens,
            *(lease.token for lease in self._unplaced),
            *(held.lease.token for held in self._pipeline.suspects),
        ]

    def _drop(self, lost: frozenset[str]) -> None:
        """These leases were given to others: discard our work on them."""
        self.tally.lost += len(lost)
        self._downloader.drop(lost)
        self._machine_health.drop(lost)
        self._unplaced = deque(lease for lease in self._unplaced if lease.token not in lost)
        suspects = self._pipeline.suspects
        self._pipeline.suspects = deque(held for held in suspects if held.lease.token not in lost)

    def _heartbeat(self) -> bytes:
        self._watch.say_lack(self._downloader.lack)
        facts = {"in_flight": len(self._downloader), "limit": self._limit, "lack": self._downloader.lack}
        return msgspec.json.encode(self.tally.facts(self._client.not_ours) | facts | self._machine_health.facts)

    def _learn(self, leased: Leased) -> None:
        """Read what the reply to `lease` has beside leases: inputs for the pace, and what was changed."""
        settings_rev, roots_rev, traps_rev = self._client.revisions
        self._new_hosts = leased.new_hosts
        self._limit = leased.limit(self._wants.want)
        self._links.at_revision(roots_rev)
        if traps_rev != self._traps_rev:
            self._links.set_quarantined(self._crawldb.traps())
            self._traps_rev = traps_rev
        if settings_rev != self._settings_rev:
            if self._settings_rev >= 0 or settings_rev > 0:
                self._renew()
            self._settings_rev = settings_rev

    def _renew(self) -> None:
        """Settings were changed: apply them. The fetcher is replaced once its transfers have ended."""
        self._refit = self._crawldb.settings()
        self.plan = self.tools.replan(self._refit)
        self._links.renew(self.plan.scope)
        hosts = self._crawldb.hosts
        self._links.seen_before = SeenBefore(hosts.seen_before) if hosts.has_seen_before() else None
        self._rules.agent = self.plan.agent
        self._client.set_term(self.plan.lease_term)
        self._pipeline.processor = self._new_processor()

    def _new_processor(self) -> Processor:
        sample = self._client.sample if self.plan.quarantine else None
        revisit = NewerPages(self._frontier).revisit
        callbacks = Callbacks(self.tools.hook, sample, self.tools.say, self._watch.enter, self._documents, revisit)
        return Processor(Originals(self._frontier), self._links, self.plan, callbacks)

    # -- what was leased -----------------------------------------------------------------------------------------------

    def _place(self) -> None:
        """Dispatch every new lease: to the fetcher, to its outcome, or aside."""
        if self._client.away:
            return
        try:
            if self.plan.obey_robots:
                self._rules.learn([lease for lease in self._unplaced if lease.kind == "P"])
            states = self._crawldb.records.states
            before = states_before(self._unplaced, self._frontier.shards[0].id_of, states)
            pages = states_of_pages(self._unplaced, self._frontier.id, states, self._began)
            while self._unplaced:
                token = self._unplaced[0].token
                if pending := self._pipeline.begin(self._unplaced[0], before.get(token), pages.get(token)):
                    self._client.submit_call(pending)
                self._unplaced.popleft()
            if self._pipeline.suspects and not self._downloader and not self._client.pending:
                self._downloader.fetch_page(self._pipeline.suspects[0])
                self._pipeline.suspects.popleft()
        except RedisAway as error:
            self._client.failed(error)

    def _began(self) -> int:
        """When the crawl's latest visit did (seconds since the epoch)."""
        return self._crawldb.visit().began_ms // 1000

    def _submit(self, message: LeaseEnd) -> None:
        self._client.submit_call(PendingCall(message))

    # -- the end -------------------------------------------------------------------------------------------------------

    def _is_busy(self) -> bool:
        return bool(self._downloader or self._client.pending or self._unplaced or self._pipeline.suspects)

    def _see_whether_over(self, leased: Leased | None) -> None:
        if self._stop_by is not None:
            ended = self._downloader.only_rests and not self._client.pending
            if ended or time.monotonic() >= self._stop_by:
                self.reason = "stopped"
        elif leased is not None and not self._is_busy():
            if leased.status == "DELETING":
                self.reason = "gone"
            elif self.until_done and leased.status == "LIMIT" and leased.leased == 0:
                self.reason = "limit"
            elif leased.is_over and self._client.is_done(leased) and self.until_done:
                self.reason = "done"

    def _idle(self, leased: Leased | None) -> None:
        """Nothing to do: wait for a hint that a host became ready, or until the next one is due."""
        wait = self._client.lease_at - time.monotonic()
        if leased is not None and len(self._frontier.shards) == 1:
            hosts_wait = leased.status == "OK" and leased.wait_ms >= 0  # paused, full or at its limit: nothing is due
            wait = leased.wait_ms / 1000 if hosts_wait else IDLE_WAIT
        wait = min(wait, ASK_AGAIN if self.until_done else IDLE_WAIT)
        if wait > LATENESS:
            self._sleep((wait - LATENESS) * random.uniform(0.9, 1.0), self._client.wait)
        elif wait > MIN_WAIT:
            self._sleep(wait, time.sleep)
        self._client.ask_now()

    def _wait_aside(self) -> None:
        """Wait until this machine may be well. Take no hint meant for a healthy worker; the crawl may end meanwhile."""
        left = self._machine_health.again_at - time.monotonic()
        if left > 0:
            self._sleep(min(left, LOOK_ASIDE), time.sleep)
        try:
            word = self._frontier.state().word if self.until_done and not self._client.away else ""
            if word == "limit" or (word == "done" and self._frontier.done()):
                self.reason = word
        except RedisAway as error:
            self._client.failed(error)
        self._client.ask_now()

    def _sleep(self, seconds: float, wait: Callable[[float], None]) -> None:
        """Wait; `stop` cuts it short."""
        self._watch.enter("idle")
        try:
            self._may_be_woken = True
            wait(seconds if self._stop_by is None else min(seconds, STOPPING_WAIT))
        except RedisAway as error:
            self._client.failed(error)
        except Woken:
            self._client.forget_waiting()
        finally:
            self._may_be_woken = False

    def _leave(self) -> None:
        """Send finished outcomes to Redis, return other leases, and sign off. If Redis is away the leases expire."""
        self._watch.say_lack(self._downloader.lack)
        self._watch.enter("redis")
        try:
            if self.reason != "gone":
                self._client.leave(self._held())
        except CrawlerError as error:
            self.tools.note(f"leaving before Redis had all results: {error}")
        self._downloader.close()
        self._documents.close()
