"""Runs N worker processes on this machine: starts, watches and stops them, and settles the leases of dead ones."""

from __future__ import annotations

import os
import platform
import re
import secrets
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec

from crawler.crawl.journal import Tell
from crawler.crawl.launcher import Process, launch
from crawler.crawl.process import EXIT_CODES, GIVES_UP, GRACE, LAST_WORDS, Job
from crawler.errors import CrawlerError, FrontierError, RedisAway, RedisUnavailable, named
from crawler.frontier import verbs
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import Commit, Lease, LeaseEnd, Release, Retry, RobotsResult
from crawler.logs import write_line
from crawler.record import Charge
from crawler.worker.outcome import LeasedPage, of_failure
from crawler.worker.reporter import ended
from crawler.worker.watchdog import MAX_FAILURES, Snapshot, Watchdog, dead_watches

SETTLE_AGAIN: Final = 1.0
"""A dead worker is settled once more after these seconds: its last request may have been granted after its death."""
MAX_FALSE_STARTS: Final = 5
"""The pool gives up after this many workers in a row died before their first turn."""
_FIRST_TURNS: Final = 3
LINGER: Final = 2 * LAST_WORDS
"""A worker whose loop has ended, but whose process has not, is killed after these seconds."""


@dataclass(slots=True)
class _Member:
    """One process and what it is doing."""

    worker: str
    process: Process
    watch: Watchdog
    hung: bool = False
    seen: Snapshot | None = None
    """What it was doing at the last check."""


@dataclass(slots=True)
class _Dead:
    """A dead worker whose leases have to be settled: now, and once more later."""

    worker: str
    token: str
    """What it was processing; empty if nothing."""
    hung: bool
    due: float = 0.0
    times: int = 0


@dataclass(slots=True)
class Losses:
    """What happened to the workers so far."""

    died: int = 0
    hung: int = 0
    ended: list[str] = field(default_factory=list)
    """The reasons of workers that ended by themselves."""


class Pool:
    """The workers of one crawl on this machine. Call `tick` often; it never blocks for long."""

    def __init__(
        self,
        frontier: Frontier,
        job: Job,
        say: Callable[[str], None],
        *,
        copies: bool = False,
        tell: Tell = lambda *_, **__: None,
    ) -> None:
        """*job* is that of each worker, without its name and watch file. *copies*: see `launcher.launch`.

        *tell* gets the name of an event and its facts.
        """
        self._frontier, self._job, self._say, self._copies = frontier, job, say, copies
        self._tell = tell
        self.until_done = job.until_done
        self._members: list[_Member] = []
        self._dead: list[_Dead] = []
        self._stopping = False
        self._false_starts = 0
        self.page_timeout = job.settings.page_timeout
        """A worker is killed after these seconds in one page; may change while the pool runs."""
        self.losses = Losses()
        self.lacks: dict[str, None] = {}
        """What workers reported that this machine lacks, in order."""
        self.hook_failures: dict[str, str] = {}
        """The first failures of the hook in any worker: text -> URL."""

    # -- starting ------------------------------------------------------------------------------------------------------

    def start(self, workers: int) -> None:
        """Start *workers* processes. First settle the workers of this machine whose pool died with them."""
        for worker, glimpse in dead_watches(self._frontier.generation):
            token = glimpse.token if glimpse.stage in ("handle", "hook") else ""
            self._dead.append(_Dead(worker, token, hung=False))
        for _ in range(workers):
            self._members.append(self._spawn())

    def _spawn(self) -> _Member:
        worker = f"{machine()}-{os.getpid()}-{secrets.token_hex(4)}"
        watch = Watchdog.create(self._frontier.generation, worker)
        job = msgspec.structs.replace(self._job, worker=worker, watch=str(watch.path))
        process = launch(job, job.descriptors, copies=self._copies)
        self._tell("worker-started", worker=worker, pid=process.pid)
        return _Member(worker, process, watch)

    # -- watching ------------------------------------------------------------------------------------------------------

    def tick(self) -> bool:
        """Kill workers that hang, settle and replace dead ones. False when no worker is left and none will start.

        Raises the error that a worker could not continue after, if it affects every worker.
        """
        for member in list(self._members):
            self._kill_if_hanging(member)
            code = member.process.poll()
            if lack := member.watch.lack():
                self.lacks[lack] = None
            for error, url in member.watch.failures() if self._job.settings.hook else ():
                if len(self.hook_failures) < MAX_FAILURES:
                    self.hook_failures.setdefault(error, url)
            if code is not None:
                self._members.remove(member)
                self._end_children(member)
                self._bury(member, code)
        self._settle_due()
        return bool(self._members or self._dead)

    @property
    def trouble(self) -> str:
        """What a worker waits for; empty if none does."""
        return next((words for member in self._members if (words := member.watch.words())), "")

    @property
    def pids(self) -> list[int]:
        """The pids of living workers."""
        return [member.process.pid for member in self._members]

    def _kill_if_hanging(self, member: _Member) -> None:
        """A worker seen twice at the same page, for too long. A single look may catch it in the middle of a write."""
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
        """Ask children of its hook to end too: they are in its worker's process group, unless they left it."""
        if self._job.settings.hook:
            with suppress(OSError):  # there are none
                os.killpg(member.process.pid, signal.SIGTERM)

    def _bury(self, member: _Member, code: int) -> None:
        """A worker has ended: by itself, or it died and its leases have to be settled."""
        seen, words = member.watch.look(), member.watch.words()
        member.watch.close()
        if seen.stage == "ended" and seen.token.isdigit():  # whatever its exit code was after that
            code = int(seen.token)
        if code in (*EXIT_CODES.values(), GIVES_UP):
            self._note_end(member, code, words)
        else:
            self._note_death(member, code, seen)

    def _note_end(self, member: _Member, code: int, words: str) -> None:
        # If Redis was away when it left, it could not give its leases back.
        self._dead.append(_Dead(member.worker, "", hung=False, times=1))
        if code != GIVES_UP:
            self.losses.ended.append(next(why for why, known in EXIT_CODES.items() if known == code))
        elif not self._stopping:
            raise named(words) if words else CrawlerError("a worker cannot continue; see its message above")

    def _note_death(self, member: _Member, code: int, seen: Snapshot) -> None:
        token = seen.token if seen.stage in ("handle", "hook") else ""
        self._dead.append(_Dead(member.worker, token, member.hung))
        if self._stopping and code == -signal.SIGTERM:
            return  # asked to leave before it had begun
        self.losses.died += not member.hung
        self.losses.hung += member.hung
        if not self._stopping:
            how = self._how(member, code)
            self._tell("worker-died", worker=member.worker, pid=member.process.pid, error=how)
            self._say(f"worker {member.process.pid} {how}; its URLs are queued again, another replaces it")
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
                if self._stopping:  # its watch file stays; the next start on this machine settles it
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
        """Count what it was processing (page or robots.txt) as a failed attempt; return its other leases at no cost."""
        leases = self._frontier.crawldb.leases_of(dead.worker)
        innocent = [lease.token for lease in leases if lease.token != dead.token]
        for lease in leases:
            if lease.token == dead.token:
                self._end(self._charged(lease, dead.hung), dead.worker)
        if innocent:
            self._frontier.release(innocent)
        first = self._frontier.shards[0]
        first.ask(verbs.heartbeat(first, dead.worker, b""))

    def _end(self, message: LeaseEnd, worker: str) -> None:
        shard = self._frontier.at(message.lease.token)
        shard.ask(verbs.end(shard, message))
        if isinstance(message, Commit):
            write_line(ended(message, worker))

    def _charged(self, lease: Lease, hung: bool) -> LeaseEnd:
        if lease.kind == "R":
            return RobotsResult(lease, "hang" if hung else "crash")
        if not hung:
            return Retry(lease, "none", Charge.CRASH)
        try:
            entry = lease.entry()
        except ValueError:  # a foreign client wrote there: the next worker that leases it ends it
            return Release(lease)
        url = entry.request.url
        url_id = self._frontier.at(lease.token).id_of(entry.request)
        held = LeasedPage(lease, entry, url_id, self._frontier.form.apply(url))
        error = f"one page took more than {self.page_timeout:g} s to parse; its worker was killed"
        handling_ms = round(self.page_timeout * 1000)
        return of_failure(held, "failed:hang", error, handling_ms=handling_ms)

    # -- stopping ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask all workers to finish what is in flight and leave; the second call, to leave at once."""
        self._stopping = True
        for member in self._members:
            if member.process.poll() is None:
                member.process.terminate()

    def kill(self) -> None:
        """Kill all workers now. Their leases are settled if Redis answers."""
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
    """This machine's name, in the form allowed in a worker's id."""
    return re.sub(r"[^A-Za-z0-9.]", "-", platform.node())[:20] or "machine"


STOP_PATIENCE: Final = GRACE + 5.0
"""A worker that was asked to stop is killed after these seconds."""
