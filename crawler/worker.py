"""One worker: one process, one loop, no threads of its own.

A turn: collect what the fetcher has finished, take each page to its outcome, tell Redis all of it in one pipeline and
lease as many URLs as there are free transfers, submit them; block only when there is nothing in flight. While Redis is
away the loop goes on collecting, keeps finished work, and leases nothing.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from crawler import ending as endings
from crawler import url as urls
from crawler.ending import Held
from crawler.errors import CrawlDeleting, CrawlerError, FrontierError, LeaseLost, NoCrawl, OutOfMemory, RedisAway
from crawler.extract import Extractor
from crawler.fetch.fetcher import Fetcher, FetchRequest, FetchResult
from crawler.frontier.frontier import Frontier, new_call
from crawler.frontier.ledger import Ledger
from crawler.frontier.leases import Lease, Leased
from crawler.frontier.link import Call, Patience
from crawler.handling import Handler, Outgoing
from crawler.hook import Hook
from crawler.links import Links, is_private_name
from crawler.plan import READ_TYPES, Plan
from crawler.rulebook import Rulebook
from crawler.watch import Watch

MOST_RESULTS: Final = 16
"""Results a turn handles at most, so that leases are extended and transfers driven in between."""
MOST_WANTED: Final = 256
"""URLs leased in one call at most."""
CRASH_LIMIT: Final = 3
"""Deaths of workers while handling a URL after which it is given up (`failed:crash`)."""
NOT_AFTER_MARGIN: Final = 2.0
"""Seconds before the end of its lease after which a request is not sent any more."""
LONG_STALL: Final = 1.0
"""Seconds of not driving transfers after which their time-outs are our own fault."""
IDLE_WAIT: Final = 5.0
BEAT: Final = 1.0


@dataclass(slots=True)
class Flight:
    """One lease that is being worked on: a page, or a robots.txt with the redirects followed for it."""

    lease: Lease
    held: Held | None = None
    hops: int = 0


@dataclass(slots=True)
class Tally:
    """What this worker has done so far, for its beat."""

    pages: int = 0
    bytes: int = 0
    errors: int = 0
    retried: int = 0
    lost: int = 0


@dataclass(slots=True)
class _Timers:
    """Monotonic times at which something is next to be done."""

    lease: float = 0.0
    extend: float = 0.0
    reap: float = 0.0
    beat: float = 0.0


@dataclass(slots=True)
class Tools:
    """What a worker is built from; all of it belongs to this process alone."""

    frontier: Frontier
    ledger: Ledger
    fetcher: Fetcher
    watch: Watch
    say: Callable[[str], None]
    replan: Callable[[bytes], Plan]
    """The plan from the settings stored in Redis."""
    refit: Callable[[bytes], Fetcher]
    """A fetcher for the settings stored in Redis."""
    orphaned: Callable[[], bool] = lambda: False
    """The pool that started this worker is gone."""
    hook: Hook | None = None


class Worker:
    """The loop. `run` returns when the crawl is done (with *until_done*), at its limit, gone, or `stop` was called."""

    def __init__(self, name: str, tools: Tools, plan: Plan, *, until_done: bool) -> None:
        self.name = name
        self.tools = tools
        self.plan = plan
        self.until_done = until_done
        self.tally = Tally()
        self.reason = ""
        """Why the loop ended: done, limit, gone, stopped, failed."""
        self._frontier, self._fetcher, self._watch = tools.frontier, tools.fetcher, tools.watch
        self._links = Links(plan.scope, tools.ledger.roots)
        self._rules = Rulebook(tools.ledger, plan.agent)
        self._handler = self._new_handler()
        self._flights: dict[str, Flight] = {}
        self._results: deque[tuple[str, FetchResult]] = deque()
        self._outgoing: list[Outgoing] = []
        self._unplaced: list[Lease] = []
        """Leased, but not yet judged by robots.txt."""
        self._suspects: list[Lease] = []
        """Leased pages during which a worker died: each is run alone."""
        self._allowed: set[str] = set()
        self._timers = _Timers()
        self._asked: tuple[Call, int] | None = None
        """The lease call that has not been answered; it is repeated as it is."""
        self._patience = Patience(tools.say)
        self._connected = time.monotonic()
        self._settings_rev = -1
        self._refit: bytes | None = None
        """Settings that the fetcher does not obey yet."""
        self._limit = "starting"
        self._stopping_by: float | None = None
        self._can_be_woken = False
        self._told_full = False
        self._driven = time.monotonic()

    # -- the whole crawl, top to bottom --------------------------------------------------------------------------------

    def run(self) -> str:
        """Crawl until it is over; the reason why it ended."""
        while not self.reason:
            try:
                self._turn()
            except Woken:  # the signal came in the last instant of a wait
                continue
        self._leave()
        return self.reason

    def _turn(self) -> None:
        self._collect()
        leased = self._exchange()
        if leased is not None:
            self._unplaced.extend(leased.leases)
            self._learn(leased)
        self._refit_fetcher()
        self._place()
        self._see_whether_over(leased)
        if not self.reason and not self._busy():
            self._idle(leased)

    def stop(self, grace: float) -> None:
        """End soon: lease nothing more, give what is in flight *grace* seconds, release the rest. Safe in a signal."""
        self._stopping_by = min(self._stopping_by or float("inf"), time.monotonic() + grace)
        if self._can_be_woken:
            self._can_be_woken = False
            raise Woken

    # -- collecting and handling ---------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Drive the transfers and take each finished one to its outcome."""
        self._watch.enter("poll")
        stalled = time.monotonic() - self._driven > LONG_STALL
        if len(self._results) < MOST_RESULTS:
            self._results.extend(self._fetcher.poll(self._poll_seconds(), MOST_RESULTS - len(self._results)))
        self._driven = time.monotonic()
        for _ in range(min(len(self._results), MOST_RESULTS)):
            if self._patience.since is not None and time.monotonic() < self._patience.again_at:
                return
            ticket, result = self._results[0]
            try:
                self._handle(ticket, result, forgiving=stalled)
            except RedisAway as error:  # it is handled again when Redis is back
                self._patience.failed(error)
                return
            self._results.popleft()
            if time.monotonic() - self._driven > LONG_STALL / 10:
                self._results.extend(self._fetcher.poll(0, MOST_RESULTS))
                self._driven = time.monotonic()
        self._watch.enter("poll")

    def _poll_seconds(self) -> float:
        """How long transfers may be waited for before something else is to be done."""
        if self._results or not self._flights:
            return 0.0
        now = time.monotonic()
        if self._patience.since is not None:
            return max(min(self._patience.again_at - now, 0.5), 0.0)
        if self._outgoing or self._unplaced:
            return 0.0
        until = [self._timers.beat, self._timers.extend]
        if self._may_lease():
            until.append(self._timers.lease)
        if self._stopping_by is not None:
            until.append(self._stopping_by)
        return max(min(min(until) - now, 0.5), 0.0)

    def _handle(self, ticket: str, result: FetchResult, *, forgiving: bool) -> None:
        flight = self._flights.get(ticket)
        if flight is None:
            return
        self._watch.enter("handle", ticket)
        if flight.held is None:
            answer = self._rules.answer(flight.lease, result, flight.hops)
            if answer.follow is not None:
                self._submit(flight, answer.follow, types=None)
                flight.hops += 1
                return
            outgoing = Outgoing(answer.call(self._frontier, flight.lease), ticket)
        else:
            outgoing = self._handler.handle(flight.held, result, forgiving=forgiving)
            self._count(outgoing)
        del self._flights[ticket]
        self._outgoing.append(outgoing)

    def _count(self, outgoing: Outgoing) -> None:
        self.tally.pages += outgoing.ends
        self.tally.retried += not outgoing.ends
        self.tally.bytes += outgoing.size
        self.tally.errors += outgoing.failed

    # -- talking to Redis ----------------------------------------------------------------------------------------------

    def _exchange(self) -> Leased | None:
        """Tell Redis all that has ended, extend what is held, and lease as many as there are free transfers."""
        now = time.monotonic()
        if self._patience.since is not None and now < self._patience.again_at:
            return None
        want = self._wanted()
        if not (self._outgoing or want or now >= self._timers.extend or now >= self._timers.beat):
            return None
        self._watch.enter("redis")
        try:
            if self._patience.since is not None:
                self._hold_on()
            self._put_first()
            leased = self._send(now, want)
        except RedisAway as error:
            self._patience.failed(error)
            return None
        except (NoCrawl, CrawlDeleting) as error:
            self.tools.say(str(error))
            self.reason = "gone"
            return None
        self._came_back()
        return leased

    def _wanted(self) -> int:
        """How many leases to ask for now."""
        if self._asked is not None:
            return self._asked[1]
        if not self._may_lease() or not (self._outgoing or time.monotonic() >= self._timers.lease):
            return 0
        taken = len(self._unplaced) + len(self._suspects)
        return max(min(self._fetcher.free - taken, MOST_WANTED), 0)

    def _may_lease(self) -> bool:
        return self._stopping_by is None and not (self._suspects or self._unplaced or self._refit or self.reason)

    def _hold_on(self) -> None:
        """After an outage: before anything else, keep what is held; what was reaped meanwhile is dropped."""
        self._links.known.forget()
        tokens = self._held() + [out.token for out in self._outgoing]
        if tokens:
            self._drop(self._frontier.extend(tokens, self.plan.lease_term))
        self._connected = time.monotonic()

    def _came_back(self) -> None:
        if self._patience.answered():
            self._connected = time.monotonic()

    def _held(self) -> list[str]:
        """The tokens of all leases that are ours and have not ended: in flight, set aside, not yet placed."""
        return [*self._flights, *(lease.token for lease in (*self._suspects, *self._unplaced))]

    def _drop(self, lost: frozenset[str]) -> None:
        """Leases that were given to others: their work here is void."""
        if not lost:
            return
        self.tally.lost += len(lost)
        for token in lost & self._flights.keys():
            self._fetcher.cancel(token)
            del self._flights[token]
        self._results = deque((ticket, result) for ticket, result in self._results if ticket not in lost)
        self._suspects = [lease for lease in self._suspects if lease.token not in lost]
        self._unplaced = [lease for lease in self._unplaced if lease.token not in lost]
        # ends that are on their way are sent all the same: the frontier knows whether they went through before

    def _put_first(self) -> None:
        """Links beyond what one script takes are put before their page's commit; without them it must wait."""
        for out in self._outgoing:
            while out.before:
                try:
                    self._frontier.run_one(out.before[0])
                except OutOfMemory as error:
                    self._patience_with_memory(error)
                    break
                out.before.pop(0)

    def _send(self, now: float, want: int) -> Leased | None:
        ready = [out for out in self._outgoing if not out.before]
        waiting = [out for out in self._outgoing if out.before]
        calls = [out.call for out in ready]
        tokens = self._held() + [out.token for out in waiting] if now >= self._timers.extend else []
        if tokens:
            calls.append(self._frontier.extend_call(tokens, self.plan.lease_term))
        if now >= self._timers.reap and now - self._connected >= self.plan.lease_term:
            calls.append(self._frontier.reap_call())
        if now >= self._timers.beat:
            calls.append(self._frontier.beat_call(self.name, self._beat()))
        if want:
            if self._asked is None:
                self._asked = self._frontier.lease_call(new_call(), want, self.plan.lease_term, self.name), want
            calls.append(self._asked[0])
        replies = self._frontier.run(calls)
        self._settle_timers(now)
        self._outgoing = waiting
        for out, reply in zip(ready, replies, strict=False):
            self._acknowledge(out, reply)
        if tokens:
            self._drop(_value(replies[len(ready)]))
        if not want:
            return None
        self._asked = None
        leased: Leased = _value(replies[-1])
        if leased.status == "OOM":
            self._patience_with_memory(OutOfMemory("Redis is full: nothing new begins until there is room"))
        return leased

    def _patience_with_memory(self, error: OutOfMemory) -> None:
        """Redis is full: said once; what is in flight ends, its page waits with its links until there is room."""
        if not self._told_full:
            self._told_full = True
            self.tools.say(str(error))

    def _settle_timers(self, now: float) -> None:
        if now >= self._timers.extend:
            self._timers.extend = now + self.plan.lease_term / 3
        if now >= self._timers.beat:
            self._timers.beat = now + BEAT
        if now >= self._timers.reap:
            self._timers.reap = now + self.plan.lease_term / 6 * random.uniform(0.8, 1.2)

    def _acknowledge(self, out: Outgoing, reply: Any) -> None:
        if isinstance(reply, LeaseLost):
            self.tally.lost += 1
        elif isinstance(reply, OutOfMemory):
            self._outgoing.append(out)
        elif isinstance(reply, NoCrawl | CrawlDeleting):
            raise reply
        elif isinstance(reply, FrontierError):
            self.tools.say(f"{out.token}: {reply}")
        else:
            self._links.known.acknowledge(out.urls)

    def _beat(self) -> bytes:
        if self.tools.orphaned():
            self.stop(grace=2.0)
        facts = {
            "in_flight": len(self._flights),
            "pages": self.tally.pages,
            "bytes": self.tally.bytes,
            "errors": self.tally.errors,
            "retried": self.tally.retried,
            "lost": self.tally.lost,
            "limit": self._limit,
        }
        return msgspec.json.encode(facts)

    # -- what was leased -----------------------------------------------------------------------------------------------

    def _learn(self, leased: Leased) -> None:
        """What the answer to `lease` says beside its leases: when to ask again, and whether settings changed."""
        now = time.monotonic()
        wait = leased.wait_ms / 1000 if leased.wait_ms >= 0 else 0.5
        if leased.leases:
            self._timers.lease = now + min(wait, 0.5)
        else:
            self._timers.lease = now + min(max(wait, 0.01), 0.5)
        self._limit = self._what_limits(leased)
        if leased.settings_rev != self._settings_rev:
            self._renew(leased.settings_rev)
        self._links.at_revision(leased.roots_rev)

    def _what_limits(self, leased: Leased) -> str:
        """What the speed depends on now."""
        if leased.status != "OK":
            return {"PAUSED": "paused", "LIMIT": "limit", "OOM": "memory"}.get(leased.status, "stopping")
        if self._fetcher.free == 0:
            return "concurrency"
        if leased.queued == 0:
            return "network" if leased.leased else "links"
        return "politeness"

    def _renew(self, settings_rev: int) -> None:
        """The crawl's settings were changed: work by the new ones from now on."""
        first, self._settings_rev = self._settings_rev < 0, settings_rev
        if first and settings_rev == 0:
            return
        self._refit = self.tools.ledger.meta().get("settings", b"{}")
        self.plan = self.tools.replan(self._refit)
        self._links.renew(self.plan.scope)
        self._rules.agent = self.plan.agent
        self._handler = self._new_handler()

    def _refit_fetcher(self) -> None:
        """The fetcher follows changed settings once its transfers have ended; nothing is leased until then."""
        if self._refit is not None and not self._flights:
            self._fetcher.close()
            self._fetcher = self.tools.refit(self._refit)
            self._fetcher.allow(frozenset(self._allowed))
            self._refit = None

    def _new_handler(self) -> Handler:
        return Handler(
            self._frontier, self._links, Extractor(self.plan.extract), self.plan, self._watch, self.tools.hook
        )

    def _place(self) -> None:
        """Give every new lease its way: to the fetcher, to its end, or aside."""
        self._watch.enter("redis")
        try:
            self._rules.learn([lease for lease in self._unplaced if lease.kind == "P"] if self.plan.obey_robots else [])
            while self._unplaced:
                self._place_one(self._unplaced[0])
                self._unplaced.pop(0)
        except RedisAway as error:
            self._patience.failed(error)
        if self._suspects and not self._flights and not self._outgoing:
            lease = self._suspects.pop(0)
            self._fetch_page(Held(lease, lease.entry(), self._frontier.id(lease.entry().request.url)))

    def _place_one(self, lease: Lease) -> None:
        if lease.kind == "R":
            self._submit(Flight(lease), f"{lease.origin}/robots.txt", types=None)
            return
        try:
            entry = lease.entry()
        except (ValueError, IndexError):
            bad_id = self._frontier.id(f"bad-entry:{lease.token}")
            self._end(endings.of_bad_entry(lease, bad_id))
            return
        held = Held(lease, entry, self._frontier.id(entry.request.url))
        if lease.unreachable:
            self._end(
                endings.of_failure(held, "failed:host-unreachable", f"{lease.host} has not answered for too long")
            )
        elif entry.crashes >= CRASH_LIMIT:
            self._end(endings.of_failure(held, "failed:crash", f"{entry.crashes} workers died while handling it"))
        elif self.plan.obey_robots and not self._rules.allows(lease, entry.request.url):
            self._end(endings.of_failure(held, "dropped:robots", "robots.txt disallows it"))
        elif entry.crashes:
            self._suspects.append(lease)
        else:
            self._fetch_page(held)

    def _end(self, ending: Any) -> None:
        self._outgoing.append(Outgoing(self._frontier.commit_call(ending), ending.lease.token))

    def _fetch_page(self, held: Held) -> None:
        self._submit(Flight(held.lease, held), held.entry.request.url, types=READ_TYPES)

    def _submit(self, flight: Flight, url: str, types: tuple[str, ...] | None) -> None:
        """Begin a transfer. A seed that names a private address lets its own host through the guard."""
        if not self.plan.allow_private and is_private_name(url) and self._links.is_seeded(url):
            self._allow(url)
        request = FetchRequest(
            url,
            max_body=self.plan.max_size,
            types=types,
            connect_timeout=min(10.0, self.plan.timeout),
            first_byte_timeout=self.plan.timeout,
            timeout=self.plan.timeout,
            not_after=flight.lease.deadline - NOT_AFTER_MARGIN,
        )
        self._fetcher.submit(request, flight.lease.token)
        self._flights[flight.lease.token] = flight

    def _allow(self, url: str) -> None:
        host = urls.host(url)
        if host not in self._allowed:
            self._allowed.add(host)
            self._fetcher.allow(frozenset(self._allowed))

    # -- the end -------------------------------------------------------------------------------------------------------

    def _busy(self) -> bool:
        return bool(self._flights or self._results or self._outgoing or self._unplaced or self._suspects)

    def _see_whether_over(self, leased: Leased | None) -> None:
        if self.reason:
            return
        if self._stopping_by is not None:
            if time.monotonic() >= self._stopping_by or not (self._flights or self._results or self._outgoing):
                self.reason = "stopped"
            return
        if leased is None or self._busy():
            return
        if leased.status == "DELETING":
            self.reason = "gone"
        elif leased.status == "LIMIT" and self.until_done and leased.leased == 0:
            self.reason = "limit"
        elif leased.idle and self.until_done and leased.status == "OK" and self._is_done():
            self.reason = "done"

    def _is_done(self) -> bool:
        try:
            return self._frontier.done()
        except RedisAway as error:
            self._patience.failed(error)
        except FrontierError:
            self.reason = "gone"
        return False

    def _idle(self, leased: Leased | None) -> None:
        """Nothing to do: wait for a hint, or for the next host that is due."""
        now = time.monotonic()
        if self._patience.since is not None:
            self._sleep(max(self._patience.again_at - now, 0.01), blocking=False)
            return
        if leased is None:
            wait = max(self._timers.lease - now, 0.0)
        else:
            wait = leased.wait_ms / 1000 if leased.wait_ms >= 0 else IDLE_WAIT
        wait = min(wait, IDLE_WAIT, 0.5 if self.until_done else IDLE_WAIT)
        if wait > 0.002:
            self._sleep(wait * random.uniform(0.9, 1.1), blocking=True)
        self._timers.lease = 0.0

    def _sleep(self, seconds: float, *, blocking: bool) -> None:
        """Wait on Redis's hints, or just wait; `stop` cuts it short."""
        self._watch.enter("idle")
        try:
            self._can_be_woken = True
            if self._stopping_by is not None:
                return
            if blocking:
                self._frontier.wait(seconds)
            else:
                time.sleep(seconds)
        except RedisAway as error:
            self._patience.failed(error)
        except Woken:
            self._frontier.link.forget_waiting()
        finally:
            self._can_be_woken = False

    def _leave(self) -> None:
        """Tell Redis what has ended, give the rest back, and say good-bye; if Redis is away the leases run out."""
        self._watch.enter("redis")
        for token in self._flights:
            self._fetcher.cancel(token)
        try:
            self._put_first()
            self._frontier.run([out.call for out in self._outgoing])
            held = self._held()
            closing = [self._frontier.release_call(held)] if held else []
            self._frontier.run([*closing, self._frontier.beat_call(self.name, b"")])
        except CrawlerError as error:
            self.tools.say(f"leaving without a last word to Redis: {error}")
        self._fetcher.close()


class Woken(Exception):
    """A signal came while the worker was waiting."""


def _value(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply
