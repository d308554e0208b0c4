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
_CORES: Final = os.cpu_count() or 1
QUIET: Final = 0.2
"""Cores that others may use when a run begins."""


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
    redis: float = 0.0
    """CPU of the Redis, which is not part of the tree."""
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


def measure(command: Sequence[str], sites: Sites, folder: Path) -> Run:
    """Run *command* in *folder* to its end, while it asks *sites*; Unexpected where it fails."""
    mark, before, served = sites.mark(), busy(), cpu_of(sites.pid)
    began = time.monotonic()
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:  # Ctrl-C: what was started must not outlive its sites and its Redis
        _kill_tree(process.pid)
        raise
    wall = time.monotonic() - began
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if code:
        tail = (folder / "said").read_text(encoding="utf-8", errors="replace")[-500:]
        raise Unexpected(f"{command[0]} ended with {code}: {tail}")
    cpu = usage.ru_utime + usage.ru_stime
    others = busy() - before - cpu - (cpu_of(sites.pid) - served)
    hits = [hit for hit in sites.hits(mark) if not hit.is_robots]
    if not hits:
        raise Unexpected(f"{command[0]} asked for no page")
    return Run(
        pages=len({hit.url for hit in hits}),
        requests=len(hits),
        crawling=hits[-1].time - hits[0].time,
        wall=wall,
        cpu=cpu,
        rss=usage.ru_maxrss * (1024 if os.uname().sysname == "Linux" else 1),
        others=max(others, 0.0) / wall,
    )


def _kill_tree(pid: int) -> None:
    for child in children(pid):
        _kill_tree(child)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


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
