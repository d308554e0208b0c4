"""N worker processes on this machine: start, watch and stop them; settle the leases of those that die."""

from __future__ import annotations

import os
import platform
import re
import secrets
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from crawler.crawl.launcher import Process, launch
from crawler.crawl.process import EXIT_CODES, GIVES_UP, GRACE, LAST_WORDS, Job
from crawler.errors import CrawlerError, FrontierError, RedisAway, RedisUnavailable, named
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import Lease
from crawler.record import Charge
from crawler.settings import Settings
from crawler.worker import outcome as endings
from crawler.worker.outcome import LeasedPage
from crawler.worker.watchdog import Snapshot, Watchdog, dead_watches

SETTLE_AGAIN: Final = 1.0
"""Seconds after which a dead worker is settled once more: what it asked for may have been granted after its death."""
MAX_FALSE_STARTS: Final = 5
"""Workers in a row that die before their first turn, after which the pool gives up."""
_FIRST_TURNS: Final = 3
LINGER: Final = 2 * LAST_WORDS
"""Seconds after which a worker is killed whose loop has ended, and which should have ended itself."""


@dataclass(slots=True)
class _Member:
    """One process and what it is doing."""

    worker: str
    process: Process
    watch: Watchdog
    hung: bool = False
    seen: Snapshot | None = None
    """What it was doing when it was last looked at."""


@dataclass(slots=True)
class _Dead:
    """A worker that ended and whose leases have to be settled: one that died, now and once more later."""

    worker: str
    token: str
    """What it was handling; empty when it was not handling anything."""
    hung: bool
    due: float = 0.0
    times: int = 0


@dataclass(slots=True)
class Losses:
    """What happened to the workers so far."""

    died: int = 0
    hung: int = 0
    ended: list[str] = field(default_factory=list)
    """Why workers ended of their own accord."""


class Pool:
    """The workers of one crawl on this machine. `tick` often; it never blocks for long."""

    def __init__(
        self,
        frontier: Frontier,
        ledger: CrawlDb,
        settings: Settings,
        *,
        redis_url: str,
        until_done: bool,
        say: Callable[[str], None],
        embedded: tuple[bytes, int] | None = None,
        copies: bool = False,
        origins: Collection[str] = (),
    ) -> None:
        """*embedded* is what `Job` says; *copies*: nothing but a crawl is in this process (see `launch`).

        *origins* are those that the command's SOURCEs name (see `headers`).
        """
        self._frontier, self._ledger = frontier, ledger
        self._settings = settings
        self._redis_url = redis_url
        self._until_done = until_done
        self._say = say
        self._embedded = embedded
        self._copies = copies
        self._origins = tuple(origins)
        self._members: list[_Member] = []
        self._dead: list[_Dead] = []
        self._stopping = False
        self._false_starts = 0
        self.page_timeout = settings.page_timeout
        """Seconds in one page after which a worker is killed; may change while it runs."""
        self.losses = Losses()
        self.lacks: dict[str, None] = {}
        """What workers have said that this machine lacks, in order."""

    # -- starting ------------------------------------------------------------------------------------------------------

    def start(self, workers: int) -> None:
        """Start *workers* processes; before that, settle workers of this machine whose pool died with them."""
        for worker, glimpse in dead_watches(self._frontier.generation):
            token = glimpse.token if glimpse.stage in ("handle", "hook") else ""
            self._dead.append(_Dead(worker, token, hung=False))
        for _ in range(workers):
            self._members.append(self._spawn())

    def _spawn(self) -> _Member:
        worker = f"{machine()}-{os.getpid()}-{secrets.token_hex(4)}"
        watch = Watchdog.create(self._frontier.generation, worker)
        job = Job(
            worker=worker,
            watch=str(watch.path),
            redis=self._redis_url,
            generation=self._frontier.generation,
            until_done=self._until_done,
            settings=self._settings,
            parent=os.getpid(),
            origins=self._origins,
            embedded=self._embedded,
        )
        keep = () if self._embedded is None else (self._embedded[1],)
        return _Member(worker, launch(job, keep, copies=self._copies), watch)

    # -- watching ------------------------------------------------------------------------------------------------------

    def tick(self) -> bool:
        """Kill what hangs, settle and replace what died; false when no worker is left and none is to come.

        Raises what a worker could not go on for: no other could.
        """
        for member in list(self._members):
            self._kill_if_hanging(member)
            code = member.process.poll()
            if lack := member.watch.lack():
                self.lacks[lack] = None
            if code is not None:
                self._members.remove(member)
                self._end_children(member)
                self._bury(member, code)
        self._settle_due()
        return bool(self._members or self._dead)

    @property
    def trouble(self) -> str:
        """What a worker waits for; empty when none does."""
        return next((words for member in self._members if (words := member.watch.words())), "")

    @property
    def pids(self) -> list[int]:
        """The processes that are alive."""
        return [member.process.pid for member in self._members]

    def _kill_if_hanging(self, member: _Member) -> None:
        """One that was seen at the same page twice, for too long: a single look may fall into the middle of a word."""
        before, seen = member.seen, member.watch.look()
        member.seen = seen
        if seen.stage == "ended" and seen == before and time.monotonic() - seen.since > LINGER:
            member.process.kill()
            member.process.wait()
            return
        stuck = seen.stage in ("handle", "hook") and time.monotonic() - seen.since > self.page_timeout
        if stuck and seen == before and not member.hung:
            member.hung = True
            member.process.kill()
            member.process.wait()

    def _end_children(self, member: _Member) -> None:
        """Ask what a hook has started to end too: it is in the process group of its worker, unless it left that."""
        if self._settings.hook:
            with suppress(OSError):  # there is nothing
                os.killpg(member.process.pid, signal.SIGTERM)

    def _bury(self, member: _Member, code: int) -> None:
        """A worker has ended: of its own accord, or it died and its leases have to be settled."""
        seen = member.watch.look()
        if seen.stage == "ended" and seen.token.isdigit():  # however its process came to an end after that
            code = int(seen.token)
        if code in (*EXIT_CODES.values(), GIVES_UP):
            words = member.watch.words()
            # If Redis was away when it left, it could not give its leases back.
            self._dead.append(_Dead(member.worker, "", hung=False, times=1))
            member.watch.close()
            if code != GIVES_UP:
                self.losses.ended.append(next(why for why, known in EXIT_CODES.items() if known == code))
            elif not self._stopping:
                raise named(words) if words else CrawlerError("a worker cannot go on; see its message above")
            return
        token = seen.token if seen.stage in ("handle", "hook") else ""
        self._dead.append(_Dead(member.worker, token, member.hung))
        member.watch.close()
        if self._stopping and code == -signal.SIGTERM:
            return  # asked to leave before it had begun
        self.losses.died += not member.hung
        self.losses.hung += member.hung
        if not self._stopping:
            self._say(
                f"worker {member.process.pid} {self._how(member, code)}; its URLs go back, another takes its place"
            )
            self._false_starts = self._false_starts + 1 if seen.turn < _FIRST_TURNS else 0
            if self._false_starts >= MAX_FALSE_STARTS:
                raise CrawlerError(f"{MAX_FALSE_STARTS} workers in a row died at their start; see their messages above")
            self._members.append(self._spawn())

    @staticmethod
    def _how(member: _Member, code: int) -> str:
        if member.hung:
            return "hung on a page and was killed"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"died (exit code {code})"

    # -- settling ------------------------------------------------------------------------------------------------------

    def _settle_due(self) -> None:
        now = time.monotonic()
        for dead in list(self._dead):
            if now < dead.due:
                continue
            try:
                self._settle(dead)
            except RedisUnavailable as error:
                dead.due = now + SETTLE_AGAIN
                if self._stopping:  # its watch file stays, by which the next start on this machine settles it
                    self._dead.remove(dead)
                elif not isinstance(error, RedisAway):
                    raise
                continue
            except FrontierError:
                dead.times = 1  # the crawl is gone: nothing to settle
            dead.due, dead.times, dead.token = now + SETTLE_AGAIN, dead.times + 1, ""
            if dead.times >= 2 or self._stopping:
                self._dead.remove(dead)
                Watchdog.forget(self._frontier.generation, dead.worker)

    def _settle(self, dead: _Dead) -> None:
        """Charge what the worker was handling, a page or a host's robots.txt, and give its other leases back free."""
        leases = self._ledger.leases_of(dead.worker)
        innocent = [lease.token for lease in leases if lease.token != dead.token]
        for lease in leases:
            if lease.token == dead.token:
                self._charge(lease, dead.hung)
        if innocent:
            self._frontier.release(innocent)
        self._frontier.heartbeat(dead.worker, b"")

    def _charge(self, lease: Lease, hung: bool) -> None:
        if lease.kind == "R":
            self._frontier.robots(lease, "hang" if hung else "crash")
            return
        if not hung:
            self._frontier.retry(lease, "none", charge=Charge.CRASH)
            return
        try:
            entry = lease.entry()
        except ValueError:  # something else wrote there: the next worker that leases it ends it
            self._frontier.release([lease.token])
            return
        url = entry.request.url
        held = LeasedPage(lease, entry, self._frontier.id(url), self._frontier.form.apply(url))
        error = f"one page took more than {self.page_timeout:g} s to parse; its worker was killed"
        handling_ms = round(self.page_timeout * 1000)
        self._frontier.commit(endings.of_failure(held, "failed:hang", error, handling_ms=handling_ms))

    # -- stopping ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask all workers to end what they have in flight and leave; the second time, to leave at once."""
        self._stopping = True
        for member in self._members:
            if member.process.poll() is None:
                member.process.terminate()

    def kill(self) -> None:
        """End all workers now; their leases are settled as far as Redis answers."""
        self._stopping = True
        for member in self._members:
            member.process.kill()
            member.process.wait()
        for member in list(self._members):
            self._members.remove(member)
            self._end_children(member)
            self._bury(member, member.process.wait())
        self._settle_due()


def machine() -> str:
    """This machine's name, as it may stand in a worker's id."""
    return re.sub(r"[^A-Za-z0-9.]", "-", platform.node())[:20] or "machine"


STOP_PATIENCE: Final = GRACE + 5.0
"""Seconds after which a worker that was asked to stop is killed."""
