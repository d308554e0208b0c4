"""One worker's client for one shard.

Each turn sends one pipeline: commits for finished pages, extensions for open leases, and a request for new leases.
Calls without a reply are sent again; every verb is idempotent, so a lost reply does no harm. While Redis is away
nothing is leased. After it returns, open leases are extended first.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from crawler.errors import FrontierError, LeaseLost, OutOfMemory, RedisAway
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier, new_call
from crawler.frontier.messages import Accepted, Leased, Quarantined, Shares
from crawler.frontier.redis.connection import Backoff, Call
from crawler.frontier.repair import repair
from crawler.frontier.shards.relay import Relay
from crawler.worker.link_filter import SeenCache
from crawler.worker.pending_call import PendingCall
from crawler.worker.trap_sampler import TrapSampler

ASK_AGAIN: Final = 0.5
"""Redis is asked for leases again after these seconds, whatever it answered: others may have put or ended something."""
CARRY: Final = 0.1
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


class ShardClient:
    """The client of one shard: all its calls, and when the next one is due."""

    def __init__(
        self,
        frontier: Frontier,
        known: SeenCache,
        worker: str,
        term: float,
        say: Callable[[str], None],
        patience: Backoff,
        *,
        relay: Relay | None = None,
    ) -> None:
        """*relay* delivers messages to other shards; only the first shard gets the worker's heartbeats."""
        self.term = term
        self.sampler = TrapSampler()
        """Samples of templates' pages, to be sent to the frontier."""
        self.pending: list[PendingCall] = []
        self.not_ours = 0
        """Commits that came too late: their leases had been given to others."""
        self.frontier = frontier
        self._known = known
        self._worker = worker
        self._say = say
        self._patience = patience
        self._asked: tuple[Call, Shares | int] | None = None
        """The lease call that was not answered; it is repeated as it is."""
        self._connected = time.monotonic()
        """Since when the connection has lasted."""
        self._connections = 0
        """The connection's count of connects at the last turn."""
        self._extend_at = 0.0
        self._heartbeat_at = 0.0
        self._reap_at = 0.0
        self._room_at = 0.0
        """Redis is full: when to put again the links that do not fit into a commit."""
        self._long: set[str] = set()
        """Hosts whose queues need compacting."""
        self._look_at = 0.0
        self._repair_at = 0.0
        self._relay = relay
        self._carry_at = 0.0
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
        return self._patience.since is not None

    @property
    def held_up(self) -> bool:
        """Redis is away, or all waiting outcomes need free memory in it."""
        return self.away or (bool(self.pending) and self.due_at() > time.monotonic())

    def due_at(self) -> float:
        """When something next has to be sent, on the monotonic clock; leases aside."""
        if self.away:
            return self._patience.again_at
        routine = min(self._extend_at, float("inf") if self.frontier.shard else self._heartbeat_at)
        if self._relay is not None:
            routine = min(routine, self._carry_at)
        if not self.pending:
            return routine
        return min(routine, self._room_at) if all(out.before for out in self.pending) else 0.0

    def failed(self, error: RedisAway) -> None:
        """Redis did not answer: leave it alone for a while, longer each time."""
        self._patience.failed(error)

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
            if self._relay is not None and now >= self._carry_at:
                self._carry(self._relay)
        except RedisAway as error:
            self.failed(error)
            return SyncResult()
        self._patience.answered()
        self._see_whether_reconnected()
        self._tidy(synced.leased)
        return SyncResult(synced.leased, synced.lost | lost)

    def _carry(self, relay: Relay) -> None:
        carried = relay.carry()
        self._carry_at = time.monotonic() + (CARRY if carried else LOOK_AFTER) * random.uniform(0.5, 1.0)

    def _tidy(self, leased: Leased | None) -> None:
        """Compact long queues as the replies ask. What an outage interrupts is asked for again."""
        long, self._long = self._long, set()
        try:
            self.frontier.tidy(long, leased.low if leased is not None else (), self._say)
        except RedisAway as error:
            self.failed(error)

    def _see_whether_reconnected(self) -> None:
        """A new connection may be to a Redis that restarted between two turns: treat it like an outage."""
        connections = self.frontier.link.connections
        if connections != self._connections:
            if self._connections:
                self._known.forget()
                self._extend_at = 0.0
            self._connections, self._connected = connections, time.monotonic()

    def _come_back(self, held: Sequence[str]) -> frozenset[str]:
        """After an outage: extend open leases, forget which links Redis knew. Returns the tokens reaped meanwhile.

        Waiting outcomes are still sent: the frontier knows whether it got them before.
        """
        self._known.forget()
        tokens = [*held, *(out.token for out in self.pending)]
        lost = self.frontier.extend(tokens, self.term) if tokens else NOTHING_LOST
        return lost & set(held)

    def _put_first(self) -> None:
        """Put the links that do not fit into a commit before the commit itself, which waits for them."""
        if time.monotonic() < self._room_at:
            return
        for out in self.pending:
            while out.before:
                try:
                    accepted = self.frontier.run_one(out.before[0])
                    self._long.update(accepted.long)
                    if accepted.over_budget:
                        out.urls = ()
                except OutOfMemory:
                    self._room_at = time.monotonic() + ROOM_AGAIN * random.uniform(0.5, 1.0)
                    return
                out.before.pop(0)

    def _send(self, now: float, want: Shares | int, held: Sequence[str], heartbeat: Callable[[], bytes]) -> SyncResult:
        ready = [out for out in self.pending if not out.before]
        waiting = [out for out in self.pending if out.before]
        calls = [out.call for out in ready]
        tokens = [*held, *(out.token for out in waiting)] if now >= self._extend_at else []
        if tokens:
            calls.append(self.frontier.extend_call(tokens, self.term))
        calls += self._routine(now, heartbeat)
        if want:
            if self._asked is None:
                self._asked = (
                    self.frontier.lease_call(new_call(self.frontier.shard), want, self.term, self._worker),
                    want,
                )
            calls.append(self._asked[0])
        replies = self.frontier.run(calls)
        self._set_timers(now)
        self.pending = waiting
        for out, reply in zip(ready, replies, strict=False):
            self._acknowledge(out, reply)
        for reply in replies:
            if isinstance(reply, Quarantined):
                self._report_quarantined(reply.templates)
        lost = _value(replies[len(ready)]) if tokens else NOTHING_LOST
        return SyncResult(self._leased(replies[-1]) if want else None, lost)

    def _routine(self, now: float, heartbeat: Callable[[], bytes]) -> list[Call]:
        """Send the heartbeat, and reap dead leases, but only after a full term of unbroken connection."""
        calls = []
        due = now >= self._heartbeat_at
        if due and not self.frontier.shard:
            calls.append(self.frontier.heartbeat_call(self._worker, heartbeat()))
        if samples := self.sampler.take(due=due):
            calls.append(self.frontier.judge_templates_call(samples))
        if now >= self._reap_at and now - self._connected >= self.term:
            calls.append(self.frontier.reap_call())
        return calls

    def _set_timers(self, now: float) -> None:
        if now >= self._extend_at:
            self._extend_at = now + self.term * EXTEND_PART
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + HEARTBEAT
        if now >= self._reap_at:
            self._reap_at = now + self.term * REAP_PART * random.uniform(0.8, 1.2)

    def _leased(self, reply: Any) -> Leased:
        self._asked = None
        leased: Leased = _value(reply)
        now = time.monotonic()
        wait = leased.wait_ms / 1000 if leased.wait_ms >= 0 else ASK_AGAIN
        self.lease_at = now + min(max(wait, 0.0 if leased.leases else 0.01), ASK_AGAIN)
        self.asked_at, self.idle = now, leased.idle and not leased.leases
        self.revisions = leased.settings_rev, leased.roots_rev, leased.traps_rev
        if leased.pending:
            self._carry_at = min(self._carry_at, now + CARRY)
        return leased

    def _acknowledge(self, out: PendingCall, reply: Any) -> None:
        if isinstance(reply, LeaseLost):
            self.not_ours += 1
        elif isinstance(reply, OutOfMemory):
            self.pending.append(out)
        elif isinstance(reply, FrontierError):
            raise reply
        elif not (isinstance(reply, Accepted) and (reply.left_out or reply.over_budget)):
            self._known.acknowledge(out.urls)
        if isinstance(reply, Accepted):
            self._long.update(reply.long)

    def _report_quarantined(self, templates: Sequence[str]) -> None:
        for template in templates:
            self._say(f"quarantined: {template} (its pages hold nothing new); `crawler quarantine` shows more")

    # -- when nothing is given -----------------------------------------------------------------------------------------

    def is_done(self, leased: Leased) -> bool:
        """Whether nothing is left to do, after a reply without leases. Counters that cannot be right are repaired."""
        now = time.monotonic()
        if now < max(self._repair_at, 0.0 if leased.idle else self._look_at):
            return False
        self._look_at = now + LOOK_AGAIN
        try:
            if self.frontier.state().odd:
                self._repair_at = now + REPAIR_AGAIN * random.uniform(0.5, 1.0)
                shard = self.frontier
                if repaired := repair(shard, CrawlDb(shard.link, shard.crawl, shard.shard, shard.count)):
                    self._repair_at = 0.0
                    self._say(str(repaired))
                return False
            return leased.idle and self.frontier.done()
        except RedisAway as error:
            self.failed(error)
            return False

    def leave(self, held: Sequence[str]) -> None:
        """Sign off: send outcomes, return unused leases. Raises RedisAway, or what the frontier refuses."""
        self._put_first()
        self.frontier.run([out.call for out in self.pending if not out.before])
        held = [*held, *(out.token for out in self.pending if out.before)]
        closing = [self.frontier.release_call(held)] if held else []
        if not self.frontier.shard:
            closing.append(self.frontier.heartbeat_call(self._worker, b""))
        self.frontier.run(closing)


def _value(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply
