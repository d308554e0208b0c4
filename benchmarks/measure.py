"""What a program cost: CPU of its whole process tree, peak memory, and its speed by the log of the server it asked."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.commands import Unexpected, children, environment
from benchmarks.site import Sites

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_CORES: Final = os.cpu_count() or 1
QUIET: Final = 0.2
"""Cores that others may use when a run begins."""
LOOK: Final = 0.1
"""Seconds between two looks at whether a program has ended, and at its memory."""
IDLE_AFTER: Final = 3.0
"""Seconds without a request and (almost) without CPU, after which a program that does not end is taken to be done."""
IDLE_CORES: Final = 0.1
LONGEST: Final = 900.0
"""Seconds after which a run is given up."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Times are in seconds."""

    pages: int
    """Different URLs that were asked for, robots.txt apart."""
    requests: int
    crawling: float
    """From the first answer to the last."""
    wall: float
    """From the start of the program to its end."""
    cpu: float
    """User and system, of the program and all that it started and waited for."""
    rss: int
    """Bytes, of its biggest process at its peak."""
    memory: int = 0
    """Bytes that all its processes held together at their peak; what they share counts in each."""
    redis: float = 0.0
    """CPU of the Redis, which is not part of the tree."""
    redis_kept: int = 0
    """Bytes (used_memory) by which the Redis had grown at the end."""
    redis_peak: int = 0
    """Bytes by which it had grown at its peak."""
    others: float = 0.0
    """Cores' worth of CPU that the rest of the machine used meanwhile: not the program, its Redis or nginx."""

    @property
    def rate(self) -> float:
        """Pages a second, start and end of the program left out."""
        return self.pages / self.crawling if self.crawling > 0 else 0.0


def busy() -> float:
    """Seconds of CPU that the whole machine has used since it started, all cores together."""
    with suppress(OSError):
        words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(word) for word in words[:8])
        return (user + nice + system + irq + softirq + steal) / _TICKS
    return 0.0


def cpu_of(pid: int) -> float:
    """Seconds of CPU, user and system, that one process has used so far."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / _TICKS
    return 0.0


def rss_of(pid: int) -> int:
    """Bytes of memory that one process holds now; 0 where it is gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    return 0


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *(each for child in children(pid) for each in tree(child))]


class Program:
    """One or more commands that are measured as one program, from their start to the end of the last."""

    def __init__(self, commands: Sequence[Sequence[str]], folder: Path, ends: Sequence[int]) -> None:
        """*ends* are the exit codes that mean success."""
        self.name = commands[0][0]
        self.cpu, self.rss, self.memory = 0.0, 0, 0
        self._said, self._ends = folder / "said", ends
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        with self._said.open("wb") as said:
            for command in commands:
                process = subprocess.Popen(
                    command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=said
                )
                self._running[process.pid] = process

    def has_ended(self) -> bool:
        """Look once: whether all is over, and how much memory it holds; Unexpected where it failed."""
        self.memory = max(self.memory, sum(rss_of(pid) for root in self._running for pid in tree(root)))
        for pid in list(self._running):
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                self._reap(pid, os.waitstatus_to_exitcode(status))
                self.cpu += usage.ru_utime + usage.ru_stime
                self.rss = max(self.rss, usage.ru_maxrss * (1024 if os.uname().sysname == "Linux" else 1))
        return not self._running

    def _reap(self, pid: int, code: int) -> None:
        self._running.pop(pid).returncode = code
        if code not in self._ends:
            tail = self._said.read_text(encoding="utf-8", errors="replace")[-500:]
            raise Unexpected(f"{self.name} ended with {code}: {tail}")

    def cpu_so_far(self) -> float:
        """Seconds of CPU of the processes that are running."""
        return sum(cpu_of(pid) for root in self._running for pid in tree(root))

    def interrupt(self) -> None:
        """Ctrl-C."""
        for process in self._running.values():
            process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End all of it at once: what was started must not outlive its sites and its Redis."""
        for root in list(self._running):
            for pid in reversed(tree(root)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._running.pop(root).wait()


class Idleness:
    """Sees when a program that does not end by itself has nothing more to do."""

    def __init__(self, program: Program, sites: Sites, mark: int) -> None:
        self._program, self._sites, self._mark = program, sites, mark
        self._since, self._hits, self._cpu = time.monotonic(), 0, 0.0

    def seen(self) -> bool:
        """It has asked for something, and for IDLE_AFTER seconds neither asked for anything nor worked."""
        hits, now = self._sites.count(self._mark), time.monotonic()
        if hits != self._hits or now - self._since > IDLE_AFTER:
            cpu = self._program.cpu_so_far()
            idle = 0 < hits == self._hits and cpu - self._cpu < IDLE_CORES * (now - self._since)
            self._since, self._hits, self._cpu = now, hits, cpu
            return idle
        return False


def measure(
    commands: Sequence[Sequence[str]],
    sites: Sites,
    folder: Path,
    *,
    ends: Sequence[int] = (0,),
    endless: bool = False,
) -> Run:
    """Run *commands* at once in *folder* to their end, while they ask *sites*; Unexpected where one fails.

    *ends* are the exit codes that mean success. An *endless* program is interrupted when it is idle.
    """
    mark, before, served = sites.mark(), busy(), cpu_of(sites.pid)
    began = time.monotonic()
    program = Program(commands, folder, ends)
    idleness = Idleness(program, sites, mark) if endless else None
    try:
        while not program.has_ended():
            if idleness is not None and idleness.seen():
                program.interrupt()
                idleness = None
            if time.monotonic() - began > LONGEST:
                raise Unexpected(f"{program.name} did not end within {LONGEST:g} s")
            time.sleep(LOOK)
    finally:
        program.kill()
    wall = time.monotonic() - began
    others = busy() - before - program.cpu - (cpu_of(sites.pid) - served)
    hits = [hit for hit in sites.hits(mark) if not hit.is_robots]
    if not hits:
        raise Unexpected(f"{program.name} asked for no page")
    return Run(
        pages=len({hit.url for hit in hits}),
        requests=len(hits),
        crawling=hits[-1].time - hits[0].time,
        wall=wall,
        cpu=program.cpu,
        rss=program.rss,
        memory=max(program.memory, program.rss),
        others=max(others, 0.0) / wall,
    )


def wait_until_quiet(patience: float) -> None:
    """Wait until the machine has used less than QUIET of a core for a second, or *patience* seconds are over."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        before = busy()
        time.sleep(1)
        if busy() - before < QUIET:
            return


def load() -> str:
    """How busy the machine is, in words."""
    return f"load {os.getloadavg()[0]:.2f} on {_CORES} cores"
