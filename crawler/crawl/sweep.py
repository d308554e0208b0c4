"""The sweep: looks at the states of all URLs that have ended, and queues those that are due to be visited again.

It goes from bucket to bucket: first for sitemaps, if there are any, so that these are read before pages, then for
pages. So it needs no memory for each URL, and another process can go on where it stopped. One process at a time does
it, over all machines: the others wait for it to end or to die. It never queues more than MAX_QUEUED URLs; it waits for
workers instead.

A server that restarts may have lost what was queued last. So the sweep then goes back to the cursor that is stored, or
to the first bucket where there are several servers, which queues nothing twice. It does not end before what it queued
is safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from crawler.crawl.choice import Choice
from crawler.errors import CrawlDeleting, CrawlerError, NoCrawl, OutOfMemory, RedisAway, UsageError
from crawler.frontier import visits
from crawler.frontier.frontier import Frontier
from crawler.frontier.revisits import begin_visit, revisit
from crawler.frontier.status import workers_alive
from crawler.frontier.visits import ALL, DONE, END, PAGES, SITEMAPS, Ended, SweepState
from crawler.settings import Settings
from crawler.text import counted, lasting, rfc3339
from crawler.url_state import LAYOUT, UrlState
from crawler.worker.link_filter import LinkFilter
from crawler.worker.options import scope_of

NOTHING: Final = "nothing is due"
MAX_QUEUED: Final = 200_000
"""URLs that wait in the frontier, over all shards, from which on the sweep queues no more until workers took some."""
TERM: Final = 15.0
"""Seconds of the sweeper's lease: so long after its death another one takes over."""
WAIT: Final = 1.0
"""Seconds between looks of one that waits for room, for another sweeper's end, or for Redis."""
SAFE: Final = 3.0
"""Seconds after which what was queued survives a power cut: a server writes to its disk each second."""
SLICE: Final = 1_000
"""States that one step looks at, about."""
MAX_BUCKETS: Final = 1_024
"""Buckets of a step at most."""
SMALL: Final = 300
"""States of a bucket, on average, up to which it is read at once."""
SHARE: Final = 0.005
"""Seconds for which a process that watches its workers sweeps at a time, ten times a second: about one step."""
PAUSE: Final = 8.0
"""One that only sweeps, while workers are alive, rests after each step for so many times as long as that took."""
LOOK: Final = 2.0
"""Seconds between its looks whether any is."""
WAKES: Final = 60.0
"""Seconds after which one that follows looks again at the latest, if a sweep takes no more than a hundredth of that."""
_REST: Final = 4
"""One that follows rests this many times as long as its last sweep took, at least."""
_MIN_REST: Final = 1.0


class Sweep:
    """One process's part in the sweep: `step` after `step`, until it returns None."""

    def __init__(self, frontier: Frontier, settings: Settings, choice: Choice, owner: str) -> None:
        self.frontier = frontier
        """May be replaced by the same on another connection."""
        self.choice = choice
        self._settings = settings
        self._mine = SweepState(owner, choice=str(choice))
        self.say: Callable[[str], None] = lambda _: None
        self._said: set[str] = set()
        self._at = (0, 0, 0)
        """Phase, shard and bucket of the next step."""
        self._buckets = 8
        self._small = False
        """The buckets are small (see `ShardStates.swept`)."""
        self._has_begun_visit = False
        self._links = LinkFilter(scope_of(settings), lambda roots: self.frontier.crawldb.hosts.roots(roots))
        """Says what is in scope."""
        self._room = 0
        self._open_until = self._read_at = float("-inf")
        self._clock = 0.0
        """The server's clock in seconds, less the monotonic clock of this process."""
        self._began_at = 0.0
        self._next_due: float | None = None
        self._rest_until = 0.0
        self._servers: tuple[str, ...] = ()
        """The run ids of the servers of all shards, when this process took the sweep."""
        self._starts_over = False
        self._queued_at = float("-inf")
        self._has_said_that_it_waits = False

    @property
    def queued(self) -> int:
        """URLs that the sweep has queued, also those that were queued before it came to this process."""
        return self._mine.queued

    @property
    def follows(self) -> bool:
        """It is repeated for ever."""
        return self.choice.follows

    @property
    def waits(self) -> bool:
        """Another process sweeps, or has done so just now."""
        return not self._mine.is_mine

    @property
    def visit(self) -> int:
        """The visit that the sweep has begun; 0: nothing was due so far."""
        return self._mine.visit

    @property
    def next_due(self) -> float | None:
        """When the first of the URLs that are not due yet will be (seconds since the epoch), as far as this one saw."""
        return self._next_due

    def step(self) -> float | None:
        """Go one step further; the seconds to wait until the next, None when the sweep is over.

        Raises RedisAway: call it again; UsageError if a sweep with another choice runs.
        """
        if not self._mine.is_mine:
            return self._claim()
        if self._mine.is_over:
            return self._rest() if self.choice.follows else self._end()
        if (left := self._until_next_second()) > 0:
            return left
        try:
            if not self._has_room():
                self._keep()
                return WAIT
            self._look()
        except OutOfMemory as error:
            self._say_once(f"{error}; what is due waits until then")
            self._keep()
            return WAIT
        return 0.0

    def _end(self) -> float | None:
        """End the sweep, once what it has queued is safe."""
        if (left := self._queued_at + SAFE - time.monotonic()) > 0:
            self._keep()
            return left
        if self._has_lost():
            return 0.0
        self._keep(0.0)
        self._close()
        return None

    def _has_lost(self) -> bool:
        """Whether a server has restarted, so that what was queued last may be lost; then the sweep goes back."""
        if self._run_ids() == self._servers:
            return False
        self._starts_over = True
        self._mine = replace(self._mine, is_mine=False)
        return True

    def _run_ids(self) -> tuple[str, ...]:
        return tuple(str(shard.info("server")["run_id"]) for shard in self.frontier.shards)

    def was_away(self) -> None:
        """A server was away: see what it has lost before anything else."""
        self._mine = replace(self._mine, is_mine=False)

    def release(self) -> None:
        """Give the lease up, so that another one can go on at once; Redis may be away."""
        with suppress(CrawlerError):
            if self._mine.is_mine:
                self._keep(0.0)
            self._close()

    # -- the lease -----------------------------------------------------------------------------------------------------

    def _claim(self) -> float | None:
        """Take the lease, or see who has it."""
        first, latest = self.frontier.shards[0], self.frontier.crawldb.visit().sweep
        asked, servers = SweepState(self._mine.owner, choice=str(self.choice)), self._run_ids()
        if self._servers and servers != self._servers and len(set(servers)) > 1:
            self._starts_over = True  # a single server has lost the last steps of the cursor as well
        is_past = latest.began != self._mine.began and self._is_past(latest)  # ours is not over before we end it
        found: SweepState = first.ask(visits.sweep(first, asked, TERM, latest.began if is_past else 0))
        self._servers = servers
        if found.is_mine:
            self._take(found, latest)
            return 0.0
        if found.choice != asked.choice:
            raise UsageError(
                f"another recrawl is under way, of {found.choice} (by {found.owner}): let it end, or stop it, and give"
                f" the command again; one that was killed counts for {TERM:.0f} s more"
            )
        if found.is_over and not self.choice.follows:
            self._close()
            return None
        if not found.is_over:
            self._open()  # workers stay until that one has ended, or this one has taken over
        self._say_once(f"{found.owner} queues what is due; this one takes over if that one dies")
        return WAIT

    def _is_past(self, latest: SweepState) -> bool:
        """Whether the latest sweep is not to be continued: all of it was visited, or its visit is at a limit."""
        state = self.frontier.state()
        return state.state == "limit" or (latest.is_over and state.idle)

    def _take(self, found: SweepState, latest: SweepState) -> None:
        """The sweep is ours: a new one, one that another process left, or ours that a server has lost a part of."""
        if self._starts_over:
            found = replace(found, cursor="")
            self._starts_over = False
        if found.began == latest.began != self._mine.began and found.cursor:
            self._say_once(f"going on with the recrawl that began at {rfc3339(found.began / 1000)}")
        counters, shards = self.frontier.crawldb.counters(), self.frontier.shards
        self._small = counters.get("accepted", 0) < SMALL * shards[0].keys.ended_buckets * len(shards)
        if not found.cursor and not counters.get("sitemaps"):
            found = replace(found, cursor=f"{ALL}.0.0")
        self._mine, self._at = found, found.place(len(shards))
        self._has_begun_visit, self._next_due, self._room = False, None, 0
        now = time.monotonic()
        self._clock, self._began_at = self.frontier.crawldb.clock() / 1000 - now, now
        self._read_settings()
        self._open()

    def _keep(self, term: float = TERM) -> None:
        """Store how far the sweep is, and keep the lease; it may be lost to another process."""
        first = self.frontier.shards[0]
        found: SweepState = first.ask(visits.sweep(first, self._mine, term))
        self._mine = replace(self._mine, is_mine=found.is_mine)
        if found.is_mine and not self._mine.is_over:
            self._open()

    def _open(self) -> None:
        """The crawl is not done while the sweep runs."""
        if time.monotonic() > self._open_until - TERM:
            self.frontier.open(self._source, 2 * TERM)  # longer than the lease: another one may take over
            self._open_until = time.monotonic() + 2 * TERM

    def _close(self) -> None:
        if self._open_until > float("-inf"):
            self.frontier.close(self._source)
            self._open_until = float("-inf")

    @property
    def _source(self) -> str:
        return f"sweep-{self._mine.owner}"

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def _read_settings(self) -> None:
        self._settings = self._settings.with_stored(self.frontier.crawldb.settings())
        self._read_at = time.monotonic()

    # -- looking -------------------------------------------------------------------------------------------------------

    def _until_next_second(self) -> float:
        """Seconds to wait before anything is queued, so that no visit of this sweep ends in the second it began in.

        States have whole seconds: a new page that is crawled in that second would be taken again by `--older-than 0`.
        """
        if self.choice.is_scheduled or (self.choice.older_than or 0) >= 1:
            return 0.0
        return self._mine.began // 1000 + 1 - self._now()

    def _has_room(self) -> bool:
        """Whether the frontier can take more."""
        if self._room <= 0:
            self._room = MAX_QUEUED - self.frontier.state().waiting
        if self._room <= 0:
            self._say_once(f"{counted(MAX_QUEUED, 'URL')} wait: more are queued when workers have taken some")
        return self._room > 0

    def _look(self) -> None:
        """Queue what is due in the next buckets."""
        phase, shard, bucket = self._at
        seen = 0
        for states in self.frontier.crawldb.records.swept(shard, bucket, self._buckets, small=self._small):
            seen += len(states)
            self._queue(list(self._due(states, phase)))
        self._at = self._behind(phase, shard, bucket + self._buckets)
        self._buckets = max(1, min(MAX_BUCKETS, self._buckets * SLICE // max(seen, 1)))
        cursor = END if self._at[0] == DONE else ".".join(map(str, self._at))
        self._mine = replace(self._mine, cursor=cursor)
        self._keep()
        if self._mine.is_over and self.choice.follows:
            self._close()
            self._rest_until = self._wakes_at()
            self._say_that_it_waits()

    def _behind(self, phase: int, shard: int, bucket: int) -> tuple[int, int, int]:
        if bucket < self.frontier.shards[shard].keys.ended_buckets:
            return phase, shard, bucket
        if shard + 1 < len(self.frontier.shards):
            return phase, shard + 1, 0
        return (PAGES if phase == SITEMAPS else DONE), 0, 0

    def _due(self, states: list[tuple[bytes, bytes]], phase: int) -> Iterator[Ended]:
        now, began = self._now(), self._mine.began // 1000
        for field, raw in states:
            if phase != ALL and is_sitemap(raw) != (phase == SITEMAPS):
                continue
            try:
                state = UrlState.decode(raw)
            except ValueError:  # a foreign client wrote there
                continue
            if self.choice.is_fresh(state, began) and not self._links.inside([state.url]):
                continue
            if self.choice.takes(state, began, int(now), self._settings):
                yield Ended(str(int.from_bytes(field, "big")), raw, state)
            elif (due := self.choice.due_at(state, self._settings)) is not None:
                self._next_due = due if self._next_due is None else min(due, self._next_due)

    def _queue(self, due: list[Ended]) -> None:
        if not due:
            return
        if not self._has_begun_visit:
            self._begin_visit()
        more = revisit(self.frontier, [(one, one.request()) for one in due])
        if more:
            self._queued_at = time.monotonic()
        self._mine = replace(self._mine, queued=self._mine.queued + more)
        self._room -= more

    def _begin_visit(self) -> None:
        """Begin the next visit; one that follows begins none while the one before goes on."""
        if not self._mine.visit:
            visit = self.frontier.crawldb.visit().number
            state = self.frontier.state()
            goes_on = self.choice.follows and state.waiting + state.leased + state.pending > 0
            self._mine = replace(self._mine, visit=visit if goes_on and visit > 1 else visit + 1)
            self._keep()
        begin_visit(self.frontier, self._mine.visit, self._settings.max_time)
        self._has_begun_visit = True

    def _now(self) -> float:
        """The server's clock in seconds since the epoch."""
        return self._clock + time.monotonic()

    # -- for ever ------------------------------------------------------------------------------------------------------

    def _wakes_at(self) -> float:
        """When the next sweep begins, on the monotonic clock: when something is due, but not all the time."""
        now = time.monotonic()
        took = now - self._began_at
        soonest = self.choice.older_than or self._settings.min_interval
        due = min(self._next_due or float("inf"), self._now() + soonest) - self._clock
        return max(min(due, now + max(WAKES, took * 100)), now + max(_MIN_REST, took * _REST))

    def _say_that_it_waits(self) -> None:
        """Once: without that the command would look as if it hung."""
        if self._has_said_that_it_waits or self.queued or not self.frontier.state().idle:
            return
        self._has_said_that_it_waits = True
        due = self._next_due
        rest = "" if due is None else f"; the next URL will be in {lasting(max(due - self._now(), 0))}"
        self.say(f"{NOTHING}{rest}; waiting")

    def _rest(self) -> float:
        """Wait for the next sweep; look at each minute whether the schedule was changed."""
        now = time.monotonic()
        if now - self._read_at > WAKES:
            before = self._settings
            self._read_settings()
            if _intervals(before) != _intervals(self._settings):
                self._rest_until = now
        if now < self._rest_until:
            self._keep()
            return min(self._rest_until - now, TERM / 3)
        first = self.frontier.shards[0]
        asked = SweepState(self._mine.owner, choice=self._mine.choice)
        found: SweepState = first.ask(visits.sweep(first, asked, TERM, self._mine.began))
        if found.is_mine:
            self._take(found, found)
        else:
            self._mine = replace(self._mine, is_mine=False)
        return 0.0


def is_sitemap(raw: bytes) -> bool:
    """Whether a packed state is that of a sitemap; to unpack it takes longer."""
    return len(raw) > LAYOUT["FLAGS"] and raw[LAYOUT["FLAGS"]] & LAYOUT["SITEMAP"] > 0


class Sweeper:
    """Lets a sweep work between other things, a short time each."""

    def __init__(self, sweep: Sweep | None, frontier: Frontier) -> None:
        """*frontier* is on a connection that does not wait for a Redis that is away."""
        self._sweep = sweep
        self._next_at = 0.0
        if sweep is not None:
            sweep.frontier = frontier

    @property
    def is_at_work(self) -> bool:
        """Whether there is anything left to do."""
        return self._sweep is not None

    def work(self) -> None:
        """Sweep for up to SHARE, if there is anything to do."""
        until = time.monotonic() + SHARE
        while self._sweep is not None and self._next_at <= time.monotonic() < until:
            try:
                wait = self._sweep.step()
            except RedisAway:
                self._sweep.was_away()
                wait = WAIT
            except (NoCrawl, CrawlDeleting):  # the workers see it as well, and leave
                wait = None
            except UsageError as error:  # another one took over, with another choice
                self._sweep.say(str(error))
                wait = None
            self._next_at = time.monotonic() + (wait or 0.0)
            if wait is None:
                self._sweep = None

    def leave(self) -> None:
        """Do no more, and let another one go on."""
        if self._sweep is not None:
            self._sweep.release()
            self._sweep = None


def run(sweep: Sweep, stopped: Callable[[], bool], enough: Callable[[], bool] = lambda: False) -> bool:
    """Sweep to the end, until *stopped*, or *enough*; whether it came to its end. Redis may be away meanwhile."""
    look_at, share = 0.0, 0.0
    while not stopped():
        began = time.monotonic()
        try:
            if began >= look_at:
                look_at, share = began + LOOK, PAUSE if workers_alive(sweep.frontier.crawldb) else 0.0
            wait = sweep.step()
        except RedisAway:
            sweep.was_away()
            wait = WAIT
        if wait is None or enough():
            return wait is None
        until = time.monotonic() + max(wait, (time.monotonic() - began) * share)
        while not stopped() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
    return False


def _intervals(settings: Settings) -> tuple[float, float, float]:
    return settings.interval, settings.min_interval, settings.max_interval
