"""Counts the CPUs that this process may use: a container may have one of a machine's 64."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_SYSTEM: Final = Path("/")


def usable(system: Path = _SYSTEM) -> int:
    """The smallest of: the machine's CPUs, those that this process may run on, and its quotas rounded up; at least 1.

    *system* is the folder that contains `/proc` and the cgroups.
    """
    return max(min([_allowed(), *(math.ceil(quota) for quota in _quotas(system))]), 1)


def _allowed() -> int:
    """By affinity (including cpusets); since Python 3.13 also by PYTHON_CPU_COUNT."""
    count = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    return min(count, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else count


def _quotas(system: Path) -> Iterator[float]:
    """CPUs by the quota of each cgroup of this process, up to the root: v2 and v1 (cgroups(7))."""
    for kind, path in _cgroups(system):
        for mount_kind, root, at in _mounts(system):
            if mount_kind != kind:
                continue
            # In a container its own cgroup may be mounted as the root, while its name is still the host's.
            inner = path.removeprefix(root.rstrip("/")) if (path + "/").startswith(root.rstrip("/") + "/") else ""
            mount = system / at.lstrip("/")
            folder = mount / inner.strip("/")
            while True:
                yield from _quota(folder)
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


def _cgroups(system: Path) -> Iterator[tuple[str, str]]:
    """The cgroup of this process, in v2 (`cgroup2`) and in v1's CPU controller (`cgroup`)."""
    for line in _lines(system / "proc/self/cgroup"):
        number, controllers, path = (*line.split(":", 2), "", "", "")[:3]
        if number == "0" and not controllers:
            yield "cgroup2", path
        elif "cpu" in controllers.split(","):
            yield "cgroup", path


def _mounts(system: Path) -> Iterator[tuple[str, str, str]]:
    """Kind, root within the hierarchy, and place of each cgroup mount that concerns CPUs (proc_pid_mountinfo(5))."""
    for line in _lines(system / "proc/self/mountinfo"):
        mount, _, rest = line.partition(" - ")
        fields, kind = mount.split(), rest.split()
        if (
            len(fields) > 4
            and kind
            and (kind[0] == "cgroup2" or (kind[0] == "cgroup" and "cpu" in kind[-1].split(",")))
        ):
            yield kind[0], fields[3], fields[4]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
