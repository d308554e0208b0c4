"""A worker's talk with Redis: in one pipeline a turn it tells all that has ended, keeps what is held, and leases more.

What is not acknowledged is kept and sent again; while Redis is away nothing is leased, and after it came back what is
held is extended before anything else. Every verb may be repeated, so a reply that was lost does no harm.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from crawler.errors import CrawlDeleting, FrontierError, LeaseLost, NoCrawl, OutOfMemory, RedisAway
from crawler.frontier.frontier import Frontier, new_call
from crawler.frontier.leases import Accepted, Barren, Leased
from crawler.frontier.link import Call, Patience
from crawler.handling import Outgoing
from crawler.harvest import Harvest
from crawler.links import Known

BEAT: Final = 1.0
"""Seconds between two beats."""
EXTEND_PART: Final = 1 / 3
REAP_PART: Final = 1 / 6
"""Leases are extended, and overdue ones reaped, after this part of their term."""
NOTHING_LOST: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class News:
    """What Redis answered: new leases if any were asked for, and the tokens that are no longer ours."""

    leased: Leased | None = None
    lost: frozenset[str] = NOTHING_LOST


class Exchange:
    """Everything between a worker and its frontier, and when it is next to be done."""

    def __init__(
        self, frontier: Frontier, known: Known, worker: str, term: float, say: Callable[[str], None], patience: Patience
    ) -> None:
        self.term = term
        self.harvest = Harvest()
        """What pages of templates held, on its way to the frontier."""
        self.outgoing: list[Outgoing] = []
        self.not_ours = 0
        """Ends that came too late: their leases had been given to others."""
        self._frontier = frontier
        self._known = known
        self._worker = worker
        self._say = say
        self._patience = patience
        self._asked: tuple[Call, int] | None = None
        """The lease call that was not answered; it is repeated as it is."""
        self._connected = time.monotonic()
        """Since when the connection has lasted."""
        self._connections = 0
        """How often the link had been connected at the last turn."""
        self._extend_at = 0.0
        self._beat_at = 0.0
        self._reap_at = 0.0
        self._told_full = False

    # -- when ----------------------------------------------------------------------------------------------------------

    @property
    def away(self) -> bool:
        """Redis did not answer the last time."""
        return self._patience.since is not None

    def due_at(self) -> float:
        """When there is next something to say, on the monotonic clock; leases aside."""
        if self.away:
            return self._patience.again_at
        return 0.0 if self.outgoing else min(self._extend_at, self._beat_at)

    def failed(self, error: RedisAway) -> None:
        """Redis did not answer: it is left alone for a while, longer each time."""
        self._patience.failed(error)

    # -- what ----------------------------------------------------------------------------------------------------------

    def talk(self, want: int, held: Sequence[str], beat: Callable[[], bytes]) -> News:
        """Say what is due, and ask for *want* leases. *held* are the tokens of all leases that have not ended.

        When Redis is away there are no news. Raises NoCrawl or CrawlDeleting when the crawl is gone.
        """
        now = time.monotonic()
        if self._asked is not None:
            want = self._asked[1]
        if now < self.due_at() and (self.away or not want):
            return News()
        try:
            lost = self._come_back(held) if self.away else NOTHING_LOST
            self._put_first()
            news = self._send(now, want, held, beat)
        except RedisAway as error:
            self.failed(error)
            return News()
        self._patience.answered()
        self._see_whether_reconnected()
        return News(news.leased, news.lost | lost)

    def _see_whether_reconnected(self) -> None:
        """A new connection may be to a Redis that restarted between two turns: no less careful than after an outage."""
        connections = self._frontier.link.connections
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
        tokens = [*held, *(out.token for out in self.outgoing)]
        lost = self._frontier.extend(tokens, self.term) if tokens else NOTHING_LOST
        return lost & set(held)

    def _put_first(self) -> None:
        """Links beyond what one script takes are put before their page's commit; without them it waits."""
        for out in self.outgoing:
            while out.before:
                try:
                    self._frontier.run_one(out.before[0])
                except OutOfMemory as error:
                    self._tell_full(error)
                    return
                out.before.pop(0)

    def _send(self, now: float, want: int, held: Sequence[str], beat: Callable[[], bytes]) -> News:
        ready = [out for out in self.outgoing if not out.before]
        waiting = [out for out in self.outgoing if out.before]
        calls = [out.call for out in ready]
        tokens = [*held, *(out.token for out in waiting)] if now >= self._extend_at else []
        if tokens:
            calls.append(self._frontier.extend_call(tokens, self.term))
        calls += self._routine(now, beat)
        if want:
            if self._asked is None:
                self._asked = self._frontier.lease_call(new_call(), want, self.term, self._worker), want
            calls.append(self._asked[0])
        replies = self._frontier.run(calls)
        self._set_timers(now)
        self.outgoing = waiting
        for out, reply in zip(ready, replies, strict=False):
            self._acknowledge(out, reply)
        for reply in replies:
            if isinstance(reply, Barren):
                self._tell_quarantined(reply.templates)
        lost = _value(replies[len(ready)]) if tokens else NOTHING_LOST
        return News(self._leased(replies[-1]) if want else None, lost)

    def _routine(self, now: float, beat: Callable[[], bytes]) -> list[Call]:
        """The beat, and the leases of the dead: reaped only after a whole term of an unbroken connection of our own."""
        calls = []
        due = now >= self._beat_at
        if due:
            calls.append(self._frontier.beat_call(self._worker, beat()))
        if weights := self.harvest.take(due=due):
            calls.append(self._frontier.weigh_call(weights))
        if now >= self._reap_at and now - self._connected >= self.term:
            calls.append(self._frontier.reap_call())
        return calls

    def _set_timers(self, now: float) -> None:
        if now >= self._extend_at:
            self._extend_at = now + self.term * EXTEND_PART
        if now >= self._beat_at:
            self._beat_at = now + BEAT
        if now >= self._reap_at:
            self._reap_at = now + self.term * REAP_PART * random.uniform(0.8, 1.2)

    def _leased(self, reply: Any) -> Leased:
        self._asked = None
        leased: Leased = _value(reply)
        if leased.status == "OOM":
            self._tell_full(OutOfMemory("Redis is full: nothing new begins until there is room"))
        return leased

    def _acknowledge(self, out: Outgoing, reply: Any) -> None:
        if isinstance(reply, LeaseLost):
            self.not_ours += 1
        elif isinstance(reply, OutOfMemory):
            self.outgoing.append(out)
        elif isinstance(reply, NoCrawl | CrawlDeleting):
            raise reply
        elif isinstance(reply, FrontierError):
            self._say(f"lease {out.token}: {reply}")
        elif not (isinstance(reply, Accepted) and reply.left_out):
            self._known.acknowledge(out.urls)

    def _tell_quarantined(self, templates: Sequence[str]) -> None:
        for template in templates:
            self._say(f"quarantined: {template} (its pages hold nothing new); `crawler quarantine` tells more")

    def _tell_full(self, error: OutOfMemory) -> None:
        """Redis is full: said once. What is in flight ends; a page with too many links waits until there is room."""
        if not self._told_full:
            self._told_full = True
            self._say(str(error))

    def leave(self, held: Sequence[str]) -> None:
        """The last word: what has ended, what is given back unused. Raises RedisAway, or what the frontier refuses."""
        self._put_first()
        self._frontier.run([out.call for out in self.outgoing if not out.before])
        held = [*held, *(out.token for out in self.outgoing if out.before)]
        closing = [self._frontier.release_call(held)] if held else []
        self._frontier.run([*closing, self._frontier.beat_call(self._worker, b"")])


def _value(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply
