"""Counts the CPUs and the memory that this process may use: a container may have one of a machine's 64."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from crawler.errors import UsageError
from crawler.text import counted

_SYSTEM: Final = Path("/")
MAX_PER_CPU: Final = 16
"""More worker processes for each CPU only wait for each other."""
WORKER_BYTES: Final = 100_000_000
"""About the memory of one worker process."""


def worker_count(asked: int | None, system: Path = _SYSTEM) -> int:
    """How many worker processes to run: *asked*, or one for each CPU. UsageError if this machine cannot hold them."""
    cpus, bytes_ = usable(system), memory(system)
    by_cpus, by_memory = cpus * MAX_PER_CPU, max(bytes_ // WORKER_BYTES, 1)
    if asked is None:
        return min(cpus, by_memory)
    if asked > min(by_cpus, by_memory):
        why = f"{MAX_PER_CPU} for each of {counted(cpus, 'CPU')}"
        if by_memory < by_cpus:
            why = f"100 MB each in {bytes_ // 1_000_000:,} MB of memory"
        most = counted(min(by_cpus, by_memory), "worker")
        raise UsageError(f"-n {asked:,}: this machine holds at most {most}, {why}: name fewer")
    return asked


def usable(system: Path = _SYSTEM) -> int:
    """The smallest of: the machine's CPUs, those that this process may run on, and its quotas rounded up; at least 1.

    *system* is the folder that contains `/proc` and the cgroups.
    """
    return max(min([_allowed(), *(math.ceil(quota) for quota in _quotas(system))]), 1)


def memory(system: Path = _SYSTEM) -> int:
    """Bytes of memory: the machine's, or the least limit of the cgroups of this process."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *(limit for folder in _folders(system, "memory") for limit in _memory_limit(folder))])


def _memory_limit(folder: Path) -> Iterator[int]:
    for name in ("memory.max", "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # `max`: no limit
            yield int((folder / name).read_text())


def _allowed() -> int:
    """By affinity (including cpusets); since Python 3.13 also by PYTHON_CPU_COUNT."""
    count = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    return min(count, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else count


def _quotas(system: Path) -> Iterator[float]:
    """CPUs by the quota of each cgroup of this process."""
    for folder in _folders(system, "cpu"):
        yield from _quota(folder)


def _folders(system: Path, controller: str) -> Iterator[Path]:
    """Each cgroup of this process, up to the root: v2 and v1's *controller* (cgroups(7))."""
    for kind, path in _cgroups(system, controller):
        for mount_kind, root, at in _mounts(system, controller):
            if mount_kind != kind:
                continue
            # In a container its own cgroup may be mounted as the root, while its name is still the host's.
            inner = path.removeprefix(root.rstrip("/")) if (path + "/").startswith(root.rstrip("/") + "/") else ""
            mount = system / at.lstrip("/")
            folder = mount / inner.strip("/")
            while True:
                yield folder
                if folder == mount:
                    break
                folder = folder.parent


def _quota(folder: Path) -> Iterator[float]:
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (folder / "cpu.max").read_text().split()[:2]
        if quota != "max" and int(quota) > 0:
            yield int(quota) / int(period)
    with suppress(OSError, ValueError, ZeroDivisionError):
        micros = int((folder / "cpu.cfs_quota_us").read_text())
        if micros > 0:  # -1: none
            yield micros / int((folder / "cpu.cfs_period_us").read_text())


def _cgroups(system: Path, controller: str) -> Iterator[tuple[str, str]]:
    """The cgroup of this process, in v2 (`cgroup2`) and in v1's *controller* (`cgroup`)."""
    for line in _lines(system / "proc/self/cgroup"):
        number, controllers, path = (*line.split(":", 2), "", "", "")[:3]
        if number == "0" and not controllers:
            yield "cgroup2", path
        elif controller in controllers.split(","):
            yield "cgroup", path


def _mounts(system: Path, controller: str) -> Iterator[tuple[str, str, str]]:
    """Kind, root within the hierarchy, and place of each cgroup mount of *controller* (proc_pid_mountinfo(5))."""
    for line in _lines(system / "proc/self/mountinfo"):
        mount, _, rest = line.partition(" - ")
        fields, kind = mount.split(), rest.split()
        if (
            len(fields) > 4
            and kind
            and (kind[0] == "cgroup2" or (kind[0] == "cgroup" and controller in kind[-1].split(",")))
        ):
            yield kind[0], fields[3], fields[4]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
