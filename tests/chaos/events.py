"""What happens to a crawl under chaos: its workers, its Redis and the network between them, by the dice of a seed.

An event is over when the next begins. It is written down with what was in the hands of those whom it hit, so that the
proof can tell what it explains: which pages were fetched again, which were charged.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import redis

from tests.chaos.crew import Crew, Slot, Worker, go_on, stop
from tests.chaos.observer import Held, Look, Observer
from tests.chaos.proxy import Proxy
from tests.chaos.redis_server import ChaosRedis
from tests.stories.commands import kill_hard

KINDS: Final = {
    "worker-kill": 6,
    "worker-freeze": 4,
    "worker-freeze-long": 2,
    "worker-term": 2,
    "pool-kill": 1,
    "pool-kill-alone": 1,
    "pool-term": 1,
    "redis-kill": 3,
    "redis-restart": 1,
    "redis-freeze": 1,
    "power-cut": 2,
    "clients-killed": 1,
    "scripts-flushed": 1,
    "net-reset": 2,
    "net-stall": 1,
    "net-lost-replies": 2,
    "net-refused": 1,
}
"""The kinds of events and how often each is chosen."""
DOWN: Final = 0.6
"""Seconds that Redis is away at least after a power cut: longer than any delay, so that no host is asked too early."""
AFTER_SEEDING: Final = 3.0
"""Seconds after seeding in which no power is cut: seeds of the very last second may be lost with it."""


_BUSY_PART: Final = 0.8
_IN_HAND_PART: Final = 0.5
"""Of the workers that are hit, those that hold URLs; of those that are killed, those that are handling a page."""
_A_PAGE: Final = 0.5
_HALF: Final = 0.7
_LOOK_TICK: Final = 0.02
_ALONE: Final = 1.0
_LOOKS: Final = 100
_MAX_CRASHES: Final = 2


@dataclass(slots=True)
class Event:
    """One that happened. Times are of the monotonic clock."""

    kind: str
    began: float
    over: float = 0.0
    handled: list[Held] = field(default_factory=list)
    """What workers that died of it were handling: each is charged once."""
    held: set[str] = field(default_factory=set)
    """The URLs in the hands of those whom it hit."""
    lost: float = 0.0
    """Seconds of what Redis had acknowledged that are gone."""


class Chaos:
    """Makes events happen. *kinds* are those that may, with their weights."""

    def __init__(  # noqa: PLR0913 - one for each thing that it breaks or watches
        self,
        seed: str,
        kinds: dict[str, int],
        crew: Crew,
        server: ChaosRedis,
        proxy: Proxy,
        observer: Observer,
        term: float,
    ) -> None:
        self.events: list[Event] = []
        self._dice = random.Random(f"events {seed}")
        known = {kind: weight for kind, weight in kinds.items() if kind != "power-cut" or server.fsync == "everysec"}
        self._names, self._weights = list(known), list(known.values())
        self._crew, self._server, self._proxy, self._observer = crew, server, proxy, observer
        self._term = term
        self._no_cut_before = time.monotonic() + AFTER_SEEDING
        self._after = 0.0
        """When the next event may begin."""

    def pause(self, shortest: float, longest: float) -> None:
        """No event for a while."""
        self._after = time.monotonic() + self._dice.uniform(shortest, longest)

    def due(self) -> bool:
        """The next event may begin."""
        return time.monotonic() >= self._after

    def happen(self) -> Event | None:
        """Let the next event happen; None when there is nobody that it could hit just now, or a page that it must not.

        That is one that two workers died with. A third charge would end it (`failed:crash`), though it did nothing: its
        worker may be killed, its lease may run out, or come back when Redis loses its last second.
        """
        if self._would_condemn():
            return None
        kind = self._dice.choices(self._names, self._weights)[0]
        if kind == "power-cut" and time.monotonic() < self._no_cut_before:
            return None
        doing: Callable[[Event], bool] = getattr(self, "_" + kind.replace("-", "_"))
        event = Event(kind, time.monotonic())
        if not doing(event):
            return None
        event.over = time.monotonic()
        self.events.append(event)
        return event

    # -- workers -------------------------------------------------------------------------------------------------------

    def _look(self) -> Look:
        with suppress(redis.RedisError):
            return self._observer.look()
        return self._observer.looks[-1] if self._observer.looks else Look(0.0)

    def _one(self) -> Worker | None:
        """A worker: one that holds URLs, mostly; there is more to lose."""
        workers = self._crew.workers()
        if workers and self._dice.random() < _BUSY_PART:
            holding = {held.worker for held in self._look().held.values()}
            workers = [worker for worker in workers if worker.name in holding] or workers
        return self._dice.choice(workers) if workers else None

    def _wait_for_a_page(self, worker: Worker) -> None:
        """Until it handles one, which takes the hook of these crawls some milliseconds."""
        until = time.monotonic() + _A_PAGE
        while not worker.handling() and time.monotonic() < until:
            pass

    def _stop(self, event: Event, workers: list[Worker]) -> list[Worker]:
        """Stop them, and note what they hold and handle."""
        stopped = [worker for worker in workers if stop(worker.pid)]
        look = self._look()
        names = {worker.name for worker in stopped}
        event.held |= {held.url for held in look.held.values() if held.worker in names}
        tokens = {worker.handling() for worker in stopped} - {""}
        event.handled += [held for token in tokens if (held := self._seen(token, look)) is not None]
        return stopped

    def _seen(self, token: str, look: Look) -> Held | None:
        """The lease of that token, when it was last seen: Redis may be away just now."""
        looks = [look, *reversed(self._observer.looks[-_LOOKS:])]
        return next((one.held[token] for one in looks if token in one.held), None)

    def _worker_kill(self, event: Event) -> bool:
        worker = self._one()
        if worker is None:
            return False
        if self._dice.random() < _IN_HAND_PART:
            self._wait_for_a_page(worker)
        stopped = self._stop(event, [worker])
        if _condemns(event):
            go_on(worker.pid)
            return False
        for one in stopped:
            kill_hard(one.pid)
        return True

    def _would_condemn(self) -> bool:
        """Such a page is leased, or was a moment ago."""
        looks = [self._look(), *self._observer.looks[-_LOOKS:]]
        return any(held.crashes >= _MAX_CRASHES for look in looks for held in look.held.values())

    def _frozen(self, event: Event, seconds: float, *, until_reaped: bool = False) -> bool:
        worker = self._one()
        if worker is None:
            return False
        self._stop(event, [worker])
        event.handled.clear()  # nobody died
        until = time.monotonic() + seconds
        while time.monotonic() < until and not (until_reaped and self._holds_nothing(worker)):
            time.sleep(_LOOK_TICK)
        others = [one for one in self._crew.workers() if one.pid != worker.pid] if until_reaped else []
        others = [one for one in others if stop(one.pid)]
        go_on(worker.pid)
        if others:
            time.sleep(_ALONE)
            for one in others:
                go_on(one.pid)
        return True

    def _holds_nothing(self, worker: Worker) -> bool:
        return worker.name not in {held.worker for held in self._look().held.values()}

    def _worker_freeze(self, event: Event) -> bool:
        return self._frozen(event, self._dice.uniform(0.2, min(2.0, self._term - 1)))

    def _worker_freeze_long(self, event: Event) -> bool:
        """Half of them go on at the moment when their leases were reaped, the others standing still in their turn: so
        they may be given again what they bring too late."""
        until_reaped = self._dice.random() < _HALF
        return self._frozen(event, self._term + self._dice.uniform(0.3, 1.5), until_reaped=until_reaped)

    def _worker_term(self, event: Event) -> bool:
        worker = self._one()
        if worker is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGTERM)
        return True

    # -- pools ---------------------------------------------------------------------------------------------------------

    def _pool(self) -> Slot | None:
        alive = [slot for slot in self._crew.alive() if self._crew.workers([slot])]
        return self._dice.choice(alive) if alive else None

    def _pool_kill(self, event: Event) -> bool:
        slot = self._pool()
        if slot is None or slot.running is None:
            return False
        stop(slot.running.pid)
        stopped = self._stop(event, self._crew.workers([slot]))
        if _condemns(event):
            for pid in (slot.running.pid, *(worker.pid for worker in stopped)):
                go_on(pid)
            return False
        slot.running.kill()
        self._start_later(slot)
        return True

    def _pool_kill_alone(self, event: Event) -> bool:
        slot = self._pool()
        if slot is None or slot.running is None:
            return False
        names = {worker.name for worker in self._crew.workers([slot])}
        event.held |= {held.url for held in self._look().held.values() if held.worker in names}
        kill_hard(slot.running.pid)
        slot.running.process.wait()
        self._start_later(slot)
        return True

    def _pool_term(self, event: Event) -> bool:
        slot = self._pool()
        if slot is None or slot.running is None:
            return False
        slot.running.signal(signal.SIGTERM)
        self._start_later(slot)
        return True

    def _start_later(self, slot: Slot) -> None:
        slot.start_at = time.monotonic() + self._dice.uniform(0.0, 1.0)

    # -- Redis ---------------------------------------------------------------------------------------------------------

    def _meanwhile(self, begin: Callable[[], object], end: Callable[[], object], least: float, most: float) -> bool:
        """*begin*, and some seconds later *end*."""
        begin()
        time.sleep(self._dice.uniform(least, most))
        end()
        return True

    def _redis_kill(self, event: Event) -> bool:
        return self._meanwhile(self._server.kill_synced, self._server.start, 0.0, 1.2)

    def _redis_restart(self, event: Event) -> bool:
        return self._meanwhile(self._server.terminate, self._server.start, 0.0, 0.5)

    def _redis_freeze(self, event: Event) -> bool:
        return self._meanwhile(self._server.freeze, self._server.thaw, 0.5, 2.0)

    def _power_cut(self, event: Event) -> bool:
        event.held |= self._look().urls()
        event.lost = self._server.cut_power()
        time.sleep(DOWN + self._dice.uniform(0.0, 0.8))
        self._server.start()
        return True

    def _clients_killed(self, event: Event) -> bool:
        with self._server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        return True

    def _scripts_flushed(self, event: Event) -> bool:
        with self._server.client() as client:
            client.script_flush()
        return True

    # -- the network ---------------------------------------------------------------------------------------------------

    def _net_reset(self, event: Event) -> bool:
        self._proxy.reset_all()
        return True

    def _net_stall(self, event: Event) -> bool:
        return self._meanwhile(self._proxy.stall, self._proxy.resume, 1.0, self._term + 2)

    def _net_lost_replies(self, event: Event) -> bool:
        return self._meanwhile(self._proxy.drop_replies, self._proxy.pass_replies, 0.05, 0.6)

    def _net_refused(self, event: Event) -> bool:
        return self._meanwhile(self._proxy.refuse, self._proxy.accept, 0.3, self._term)


def _condemns(event: Event) -> bool:
    """A worker handles such a page just now."""
    return any(held.crashes >= _MAX_CRASHES for held in event.handled)
