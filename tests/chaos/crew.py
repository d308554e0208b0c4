"""The pools of a chaos run and their workers, as processes that can be found, stopped and killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crawler.worker.watchdog import Watchdog
from tests.stories.commands import Commands, Running, is_worker, kill_hard

_BEGUN: Final = 3
"""Turns after which a worker is at its work."""
HOOK: Final = """
import time

def hook(page):
    time.sleep(0.008)  # so that a worker can be caught with a page in its hands
"""
AGAIN: Final = "recrawl"
_STOPPED: Final = ("T", "t")


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process that is at its work."""

    pid: int
    slot: int
    name: str
    """By which Redis knows it."""
    watch: Path

    def handling(self) -> str:
        """The token of the page that it is handling; empty when it handles none."""
        try:
            watch = Watchdog(self.watch)
        except (OSError, ValueError):
            return ""
        seen = watch.look()
        watch.close()
        return seen.token if seen.stage in ("handle", "hook") else ""


@dataclass(slots=True)
class Slot:
    """One pool, over and over: the command that runs it is started again when it has ended."""

    number: int
    arguments: Sequence[str]
    running: Running | None = None
    start_at: float = 0.0


class Crew:
    """Some pools of *workers* each, all on one machine: in one folder for temporary files."""

    def __init__(self, commands: Commands, pools: int, workers: int) -> None:
        self.commands = commands
        self.workers_each = workers
        self.said: list[str] = []
        """What each command had said that has ended."""
        commands.write("hook.py", HOOK)
        self._number = ("-n", str(workers), "--wait", "--hook", "hook.py:hook")
        self.slots = [Slot(n, ()) for n in range(pools)]
        self.over: Callable[[], bool] = lambda: False
        """Whether a second visit has come to its end: the same command would begin a third one."""
        self._pids: set[int] = set()
        self.takes(("work", "--until-done"), ("run",))

    def takes(self, *lines: Sequence[str]) -> None:
        """The commands that the pools run from their next start on, alternately."""
        for slot in self.slots:
            slot.arguments = (*lines[slot.number % len(lines)], *self._number)

    def tend(self) -> None:
        """Note which pools have ended, and start those that are to be started."""
        for slot in self.slots:
            if slot.running is not None and slot.running.process.poll() is not None:
                self._note(slot)
            if slot.running is None and time.monotonic() >= slot.start_at and not self._is_over(slot):
                self.start(slot)

    def _is_over(self, slot: Slot) -> bool:
        return slot.arguments[0] == AGAIN and self.over()

    def start(self, slot: Slot) -> None:
        """Start a pool's command."""
        slot.running = self.commands.start(*slot.arguments)

    def _note(self, slot: Slot) -> None:
        assert slot.running is not None
        with suppress(OSError):
            slot.running.stdin.close()
        self.said.append(slot.running.out + slot.running.err)
        slot.running = None

    def alive(self) -> list[Slot]:
        """The pools that run."""
        return [slot for slot in self.slots if slot.running is not None and slot.running.process.poll() is None]

    def workers(self, slots: Sequence[Slot] | None = None) -> list[Worker]:
        """The workers (of these pools) that are at their work."""
        found = []
        for slot in self.alive() if slots is None else slots:
            for pid in slot.running.workers() if slot.running is not None else ():
                self._pids.add(pid)
                watch = _watch_of(pid, self.commands.temporary)
                if watch is not None:
                    found.append(Worker(pid, slot.number, watch.name, watch))
        return found

    def leave(self, seconds: float) -> bool:
        """Wait until all pools have ended of their own accord; false if they do not."""
        until = time.monotonic() + seconds
        while any(slot.running is not None for slot in self.slots):
            for slot in self.slots:
                if slot.running is not None and slot.running.process.poll() is not None:
                    self._note(slot)
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def kill_strays(self) -> None:
        """End what is left of workers, also of those whose pool is gone."""
        for pid in self._pids:
            if is_worker(pid):
                kill_hard(pid)


def stop(pid: int) -> bool:
    """SIGSTOP, and wait until it stands; false if it is gone."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        return False
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        state = _state(pid)
        if state in _STOPPED:
            return True
        if state in ("", "Z", "X"):
            return False
        time.sleep(0.001)
    return False


def go_on(pid: int) -> None:
    """SIGCONT."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def _watch_of(pid: int, temporary: Path) -> Path | None:
    """The file by which its pool watches a worker: it holds it open. None before it has begun."""
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = link.readlink()
                if temporary in target.parents and target.parent.parent.name.startswith("crawler-"):
                    return target if _has_begun(target) else None
    return None


def _has_begun(path: Path) -> bool:
    try:
        watch = Watchdog(path)
    except (OSError, ValueError):
        return False
    turn = watch.look().turn
    watch.close()
    return turn >= _BEGUN
