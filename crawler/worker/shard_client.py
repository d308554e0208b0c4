"""One worker's client for one shard.

Each turn sends one pipeline: commits for finished pages, extensions for open leases, and a request for new leases.
Calls without a reply are sent again; every verb is idempotent, so a lost reply does no harm. While Redis is away
nothing is leased. After it returns, open leases are extended first.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from crawler.errors import FrontierError, LeaseLost, OutOfMemory, RedisAway
from crawler.frontier import verbs
from crawler.frontier.messages import Accepted, Leased, Quarantined, Shares
from crawler.frontier.overflow import compact
from crawler.frontier.redis.connection import Backoff, Call
from crawler.frontier.repair import repair
from crawler.frontier.shards.relay import Relay
from crawler.frontier.shards.shard import Shard
from crawler.worker.link_filter import SeenCache
from crawler.worker.pending_call import PendingCall
from crawler.worker.reporter import Reporter
from crawler.worker.trap_sampler import TrapSampler

ASK_AGAIN: Final = 0.5
"""Redis is asked for leases again after these seconds, whatever it answered: others may have put or ended something."""
DELIVER_AGAIN: Final = 0.1
LOOK_AFTER: Final = 1.0
"""Seconds between deliveries while outbox messages are pending, and between checks of those delivered."""
HEARTBEAT: Final = 1.0
"""Seconds between heartbeats."""
EXTEND_PART: Final = 1 / 3
REAP_PART: Final = 1 / 6
"""Leases are extended, and overdue ones reaped, after this part of their term."""
LOOK_AGAIN: Final = 1.0
"""Seconds between checks of the counters of a crawl that gives no leases."""
ROOM_AGAIN: Final = 1.0
"""If Redis was full, links that were refused are sent again after these seconds."""
REPAIR_AGAIN: Final = 5.0
"""Counters that still look wrong are repaired again after these seconds."""
NOTHING_LOST: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What Redis answered: new leases if any were asked for, and tokens that are no longer ours."""

    leased: Leased | None = None
    lost: frozenset[str] = NOTHING_LOST


@dataclass(slots=True)
class Caller:
    """The worker that calls: what its clients of all shards share."""

    name: str
    term: float
    """Of future leases, in seconds."""
    known: SeenCache
    say: Callable[[str], None]
    """Shows a message to people."""
    reporter: Reporter = field(default_factory=Reporter)


@dataclass(slots=True)
class Timers:
    """When something is next due, on the monotonic clock; 0.0: at once."""

    extend: float = 0.0
    heartbeat: float = 0.0
    reap: float = 0.0
    room: float = 0.0
    """Redis is full: when to put again the links that do not fit into a commit."""
    look: float = 0.0
    repair: float = 0.0
    deliver: float = 0.0


class ShardClient:
    """The client of one shard: all its calls, and when the next one is due."""

    def __init__(self, shard: Shard, caller: Caller, backoff: Backoff, *, relay: Relay | None = None) -> None:
        """*relay* delivers messages to other shards; only the first shard gets the worker's heartbeats."""
        self.shard, self._caller, self._backoff, self._relay = shard, caller, backoff, relay
        self.sampler = TrapSampler()
        """Samples of templates' pages, to be sent to the frontier."""
        self.pending: list[PendingCall] = []
        self.not_ours = 0
        """Commits that came too late: their leases had been given to others."""
        self._asked: tuple[Call[Leased], Shares | int] | None = None
        """The lease call that was not answered; it is repeated as it is."""
        self._connected = time.monotonic()
        """Since when the connection has lasted."""
        self._connections = 0
        """The connection's count of connects at the last turn."""
        self._due = Timers()
        self._long: set[str] = set()
        """Hosts whose queues need compacting."""
        self.lease_at = 0.0
        """When a lease is next possible, or worth asking for."""
        self.asked_at = random.random()
        """When leases were last asked for; at first in any order."""
        self.revisions = (0, 0, 0)
        """Of settings, roots and traps."""
        self.idle = False
        """Nothing was left to do at the last lease call."""

    # -- when ----------------------------------------------------------------------------------------------------------

    @property
    def away(self) -> bool:
        """Redis did not answer last time."""
        return self._backoff.since is not None

    @property
    def held_up(self) -> bool:
        """Redis is away, or all waiting outcomes need free memory in it."""
        return self.away or (bool(self.pending) and self.due_at() > time.monotonic())

    def due_at(self) -> float:
        """When something next has to be sent, on the monotonic clock; leases aside."""
        if self.away:
            return self._backoff.again_at
        routine = min(self._due.extend, float("inf") if self.shard.number else self._due.heartbeat)
        if self._relay is not None:
            routine = min(routine, self._due.deliver)
        if not self.pending:
            return routine
        return min(routine, self._due.room) if all(out.before for out in self.pending) else 0.0

    def failed(self, error: RedisAway) -> None:
        """Redis did not answer: leave it alone for a while, longer each time."""
        self._backoff.failed(error)

    # -- what ----------------------------------------------------------------------------------------------------------

    def sync(self, want: Shares | int, held: Sequence[str], heartbeat: Callable[[], bytes]) -> SyncResult:
        """Send what is due, and ask for *want* leases. *held* are the tokens of all open leases.

        While Redis is away the result is empty. Raises NoCrawl or CrawlDeleting when the crawl is gone. Raises errors
        that cannot be waited out: RedisUnavailable if Redis refuses us, FrontierError if a script fails.
        """
        now = time.monotonic()
        if self._asked is not None:
            want = self._asked[1]
        if now < self.due_at() and (self.away or not want):
            return SyncResult()
        try:
            lost = self._come_back(held) if self.away else NOTHING_LOST
            self._put_first()
            synced = self._send(now, want, held, heartbeat)
            if self._relay is not None and now >= self._due.deliver:
                self._deliver(self._relay)
        except RedisAway as error:
            self.failed(error)
            return SyncResult()
        self._backoff.answered()
        self._see_whether_reconnected()
        self._compact(synced.leased)
        return SyncResult(synced.leased, synced.lost | lost)

    def _deliver(self, relay: Relay) -> None:
        delivered = relay.deliver()
        self._due.deliver = time.monotonic() + (DELIVER_AGAIN if delivered else LOOK_AFTER) * random.uniform(0.5, 1.0)

    def _compact(self, leased: Leased | None) -> None:
        """Compact long queues as the replies ask. What an outage interrupts is asked for again."""
        long, self._long = self._long, set()
        try:
            compact(self.shard, long, leased.low if leased is not None else (), self._caller.say)
        except RedisAway as error:
            self.failed(error)

    def _see_whether_reconnected(self) -> None:
        """A new connection may be to a Redis that restarted between two turns: treat it like an outage."""
        connections = self.shard.connection.connections
        if connections != self._connections:
            if self._connections:
                self._caller.known.forget()
                self._due.extend = 0.0
            self._connections, self._connected = connections, time.monotonic()

    def _come_back(self, held: Sequence[str]) -> frozenset[str]:
        """After an outage: extend open leases, forget which links Redis knew. Returns the tokens reaped meanwhile.

        Waiting outcomes are still sent: the frontier knows whether it got them before.
        """
        self._caller.known.forget()
        tokens = [*held, *(out.token for out in self.pending)]
        lost = self.shard.ask(verbs.extend(self.shard, tokens, self._caller.term)) if tokens else NOTHING_LOST
        return lost & set(held)

    def _put_first(self) -> None:
        """Put the links that do not fit into a commit before the commit itself, which waits for them."""
        if time.monotonic() < self._due.room:
            return
        for out in self.pending:
            while out.before:
                try:
                    accepted = self.shard.ask(verbs.put(self.shard, out.before[0]))
                    self._long.update(accepted.long)
                    if accepted.over_budget:
                        out.urls = ()
                except OutOfMemory:
                    self._due.room = time.monotonic() + ROOM_AGAIN * random.uniform(0.5, 1.0)
                    return
                out.before.pop(0)

    def _send(self, now: float, want: Shares | int, held: Sequence[str], heartbeat: Callable[[], bytes]) -> SyncResult:
        ready = [out for out in self.pending if not out.before]
        waiting = [out for out in self.pending if out.before]
        calls: list[Call[Any]] = [verbs.end(self.shard, out.message) for out in ready]
        tokens = [*held, *(out.token for out in waiting)] if now >= self._due.extend else []
        if tokens:
            calls.append(verbs.extend(self.shard, tokens, self._caller.term))
        calls += self._routine(now, heartbeat)
        if want:
            if self._asked is None:
                name = verbs.new_call(self.shard.number)
                self._asked = verbs.lease(self.shard, name, want, self._caller.term, self._caller.name), want
            calls.append(self._asked[0])
        replies = self.shard.run(calls)
        self._set_timers(now)
        self.pending = waiting
        try:
            for out, reply in zip(ready, replies, strict=False):
                self._acknowledge(out, reply)
        finally:
            self._caller.reporter.flush()
        for reply in replies:
            if isinstance(reply, Quarantined):
                self._report_quarantined(reply.templates)
        lost = _value(replies[len(ready)]) if tokens else NOTHING_LOST
        return SyncResult(self._leased(replies[-1]) if want else None, lost)

    def _routine(self, now: float, heartbeat: Callable[[], bytes]) -> list[Call[Any]]:
        """Send the heartbeat, and reap dead leases, but only after a full term of unbroken connection."""
        calls: list[Call[Any]] = []
        due = now >= self._due.heartbeat
        if due and not self.shard.number:
            calls.append(verbs.heartbeat(self.shard, self._caller.name, heartbeat()))
        if samples := self.sampler.take(due=due):
            calls.append(verbs.judge_templates(self.shard, samples))
        if now >= self._due.reap and now - self._connected >= self._caller.term:
            calls.append(verbs.reap(self.shard))
        return calls

    def _set_timers(self, now: float) -> None:
        if now >= self._due.extend:
            self._due.extend = now + self._caller.term * EXTEND_PART
        if now >= self._due.heartbeat:
            self._due.heartbeat = now + HEARTBEAT
        if now >= self._due.reap:
            self._due.reap = now + self._caller.term * REAP_PART * random.uniform(0.8, 1.2)

    def _leased(self, reply: Any) -> Leased:
        self._asked = None
        leased: Leased = _value(reply)
        now = time.monotonic()
        wait = leased.wait_ms / 1000 if leased.wait_ms >= 0 else ASK_AGAIN
        self.lease_at = now + min(max(wait, 0.0 if leased.leases else 0.01), ASK_AGAIN)
        self.asked_at, self.idle = now, leased.idle and not leased.leases
        self.revisions = leased.settings_rev, leased.roots_rev, leased.traps_rev
        if leased.pending:
            self._due.deliver = min(self._due.deliver, now + DELIVER_AGAIN)
        return leased

    def _acknowledge(self, out: PendingCall, reply: Any) -> None:
        if isinstance(reply, LeaseLost):
            self.not_ours += 1
        elif isinstance(reply, OutOfMemory):
            self.pending.append(out)
        elif isinstance(reply, FrontierError):
            raise reply
        else:
            self._caller.reporter.acknowledged(out.message)
            if not (isinstance(reply, Accepted) and (reply.left_out or reply.over_budget)):
                self._caller.known.acknowledge(out.urls)
        if isinstance(reply, Accepted):
            self._long.update(reply.long)

    def _report_quarantined(self, templates: Sequence[str]) -> None:
        for template in templates:
            self._caller.say(f"quarantined: {template} (its pages hold nothing new); `crawler quarantine` shows more")
            self._caller.reporter.trap(template)

    # -- when nothing is given -----------------------------------------------------------------------------------------

    def is_done(self, leased: Leased) -> bool:
        """Whether nothing is left to do, after a reply without leases. Counters that cannot be right are repaired."""
        now = time.monotonic()
        if now < max(self._due.repair, 0.0 if leased.idle else self._due.look):
            return False
        self._due.look = now + LOOK_AGAIN
        try:
            before = self.shard.ask(verbs.state(self.shard))
            if before.odd:
                self._due.repair = now + REPAIR_AGAIN * random.uniform(0.5, 1.0)
                if repaired := repair(self.shard):
                    self._due.repair = 0.0
                    self._caller.say(str(repaired))
                return False
            if not (leased.idle and before.idle):
                return False
            now_there = self.shard.ask(verbs.state(self.shard))  # read twice: a URL may be between two places
            return now_there.idle and now_there.accepted == before.accepted
        except RedisAway as error:
            self.failed(error)
            return False

    def leave(self, held: Sequence[str]) -> None:
        """Sign off: send outcomes, return unused leases. Raises RedisAway, or what the frontier refuses."""
        self._put_first()
        ready = [out for out in self.pending if not out.before]
        for out, reply in zip(
            ready, self.shard.run([verbs.end(self.shard, out.message) for out in ready]), strict=True
        ):
            if not isinstance(reply, FrontierError):
                self._caller.reporter.acknowledged(out.message)
        self._caller.reporter.flush()
        held = [*held, *(out.token for out in self.pending if out.before)]
        closing: list[Call[Any]] = [verbs.release(self.shard, held)] if held else []
        if not self.shard.number:
            closing.append(verbs.heartbeat(self.shard, self._caller.name, b""))
        self.shard.run(closing)


def _value(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply
