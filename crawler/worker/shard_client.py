"""A worker's talk with one shard: in a pipeline a turn it tells all that has ended, keeps what is held, leases more.

What is not acknowledged is kept and sent again; while Redis is away nothing is leased, and after it came back what is
held is extended before anything else. Every verb may be repeated, so a reply that was lost does no harm.
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
"""Seconds after which Redis is asked for leases again, whatever it said: others may have put or ended something."""
CARRY: Final = 0.1
LOOK_AFTER: Final = 1.0
"""Seconds between two deliveries while parcels are pending, and between two looks at those that were delivered."""
HEARTBEAT: Final = 1.0
"""Seconds between two heartbeats."""
EXTEND_PART: Final = 1 / 3
REAP_PART: Final = 1 / 6
"""Leases are extended, and overdue ones reaped, after this part of their term."""
LOOK_AGAIN: Final = 1.0
"""Seconds between two looks at whether the counts of a crawl that gives nothing can be right."""
ROOM_AGAIN: Final = 1.0
"""Seconds after which a Redis that is full is tried again with links that did not go in."""
REPAIR_AGAIN: Final = 5.0
"""Seconds after which they are repaired once more, if they still cannot."""
NOTHING_LOST: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What Redis answered: new leases if any were asked for, and the tokens that are no longer ours."""

    leased: Leased | None = None
    lost: frozenset[str] = NOTHING_LOST


class ShardClient:
    """Everything between a worker and its frontier, and when it is next to be done."""

    def __init__(
        self,
        frontier: Frontier,
        known: SeenCache,
        worker: str,
        term: float,
        say: Callable[[str], None],
        patience: Backoff,
        *,
        courier: Relay | None = None,
    ) -> None:
        """*courier* delivers what is for other shards; the first shard is the one that hears of the worker."""
        self.term = term
        self.harvest = TrapSampler()
        """What pages of templates held, on its way to the frontier."""
        self.pending: list[PendingCall] = []
        self.not_ours = 0
        """Ends that came too late: their leases had been given to others."""
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
        """How often the link had been connected at the last turn."""
        self._extend_at = 0.0
        self._heartbeat_at = 0.0
        self._reap_at = 0.0
        self._room_at = 0.0
        """Redis is full: when links beyond what a commit takes are put again."""
        self._long: set[str] = set()
        """Hosts whose queues are to be packed."""
        self._look_at = 0.0
        self._repair_at = 0.0
        self._courier = courier
        self._carry_at = 0.0
        self.lease_at = 0.0
        """When there is next something to be leased, or to ask for it."""
        self.asked_at = random.random()
        """When it was last asked for, at first in any order."""
        self.revisions = (0, 0, 0)
        """Of settings, roots and traps."""
        self.idle = False
        """Nothing was left to do when it was last asked for."""

    # -- when ----------------------------------------------------------------------------------------------------------

    @property
    def away(self) -> bool:
        """Redis did not answer the last time."""
        return self._patience.since is not None

    @property
    def held_up(self) -> bool:
        """Redis is away, or all that has ended waits for room in it."""
        return self.away or (bool(self.pending) and self.due_at() > time.monotonic())

    def due_at(self) -> float:
        """When there is next something to say, on the monotonic clock; leases aside."""
        if self.away:
            return self._patience.again_at
        routine = min(self._extend_at, float("inf") if self.frontier.shard else self._heartbeat_at)
        if self._courier is not None:
            routine = min(routine, self._carry_at)
        if not self.pending:
            return routine
        return min(routine, self._room_at) if all(out.before for out in self.pending) else 0.0

    def failed(self, error: RedisAway) -> None:
        """Redis did not answer: it is left alone for a while, longer each time."""
        self._patience.failed(error)

    # -- what ----------------------------------------------------------------------------------------------------------

    def sync(self, want: Shares | int, held: Sequence[str], heartbeat: Callable[[], bytes]) -> SyncResult:
        """Say what is due, and ask for *want* leases. *held* are the tokens of all leases that have not ended.

        When Redis is away there are no news. Raises NoCrawl or CrawlDeleting when the crawl is gone, and what nobody
        can go on with: RedisUnavailable where Redis refuses us, FrontierError where a script fails.
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
            if self._courier is not None and now >= self._carry_at:
                self._carry(self._courier)
        except RedisAway as error:
            self.failed(error)
            return SyncResult()
        self._patience.answered()
        self._see_whether_reconnected()
        self._tidy(synced.leased)
        return SyncResult(synced.leased, synced.lost | lost)

    def _carry(self, courier: Relay) -> None:
        carried = courier.carry()
        self._carry_at = time.monotonic() + (CARRY if carried else LOOK_AFTER) * random.uniform(0.5, 1.0)

    def _tidy(self, leased: Leased | None) -> None:
        """Do what the answers ask for in queues that are long; what an outage breaks off is asked for again."""
        long, self._long = self._long, set()
        try:
            self.frontier.tidy(long, leased.low if leased is not None else (), self._say)
        except RedisAway as error:
            self.failed(error)

    def _see_whether_reconnected(self) -> None:
        """A new connection may be to a Redis that restarted between two turns: no less careful than after an outage."""
        connections = self.frontier.link.connections
        if connections != self._connections:
            if self._connections:
                self._known.forget()
                self._extend_at = 0.0
            self._connections, self._connected = connections, time.monotonic()

    def _come_back(self, held: Sequence[str]) -> frozenset[str]:
        """After an outage: keep what is held, forget which links Redis knew; the tokens that were reaped meanwhile.

        Ends that wait to be sent are sent all the same: the frontier knows whether they went through before.
        """
        self._known.forget()
        tokens = [*held, *(out.token for out in self.pending)]
        lost = self.frontier.extend(tokens, self.term) if tokens else NOTHING_LOST
        return lost & set(held)

    def _put_first(self) -> None:
        """Links beyond what one script takes are put before their page's commit; without them it waits."""
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
                self._tell_quarantined(reply.templates)
        lost = _value(replies[len(ready)]) if tokens else NOTHING_LOST
        return SyncResult(self._leased(replies[-1]) if want else None, lost)

    def _routine(self, now: float, heartbeat: Callable[[], bytes]) -> list[Call]:
        """The heartbeat, and leases of dead workers: reaped after a whole term of unbroken connection."""
        calls = []
        due = now >= self._heartbeat_at
        if due and not self.frontier.shard:
            calls.append(self.frontier.heartbeat_call(self._worker, heartbeat()))
        if samples := self.harvest.take(due=due):
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

    def _tell_quarantined(self, templates: Sequence[str]) -> None:
        for template in templates:
            self._say(f"quarantined: {template} (its pages hold nothing new); `crawler quarantine` tells more")

    # -- when nothing is given -----------------------------------------------------------------------------------------

    def is_done(self, leased: Leased) -> bool:
        """Whether nothing is left to do, after an answer without leases. Counts that cannot be right are repaired."""
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
        """The last word: what has ended, what is given back unused. Raises RedisAway, or what the frontier refuses."""
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
