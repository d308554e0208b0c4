"""How many CPUs count: the least of affinity, quotas of all cgroups above, and the machine's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crawler.crawl import cpus
from crawler.errors import UsageError

V2 = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1 = "31 23 0:27 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
OTHERS = (
    "22 1 8:1 / / rw - ext4 /dev/sda1 rw\nbroken line\n"
    "32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 64 CPUs, all of them allowed."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    if hasattr(os, "process_cpu_count"):
        monkeypatch.setattr(os, "process_cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)


def system(folder: Path, cgroup: str, mounts: str, files: dict[str, str]) -> Path:
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(cgroup)
    (folder / "proc/self/mountinfo").write_text(OTHERS + mounts)
    for name, text in files.items():
        path = folder / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


CASES = {
    "none": ("0::/a/b\n", V2.format(root="/"), {"a/b/cpu.max": "max 100000\n"}, 64),
    "one and a half": ("0::/a/b\n", V2.format(root="/"), {"a/b/cpu.max": "150000 100000\n"}, 2),
    "a tenth": ("0::/\n", V2.format(root="/"), {"cpu.max": "10000 100000\n"}, 1),
    "one above": (
        "0::/pod/box/app\n",
        V2.format(root="/"),
        {"pod/cpu.max": "300000 100000", "pod/box/cpu.max": "max 100000", "pod/box/app/cpu.max": "900000 100000"},
        3,
    ),
    "mounted as the root": ("0::/kube/box\n", V2.format(root="/kube/box"), {"cpu.max": "200000 100000\n"}, 2),
    "its name is the host's": ("0::/../other\n", V2.format(root="/"), {"cpu.max": "400000 100000\n"}, 4),
    "version 1": (
        "4:cpu,cpuacct:/docker/x\n3:memory:/docker/x\n0::/\n",
        V1.format(root="/docker/x"),
        {"cpu,cpuacct/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/cpu.cfs_period_us": "50000\n"},
        5,
    ),
    "version 1 without": (
        "4:cpu,cpuacct:/\n",
        V1.format(root="/"),
        {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
        64,
    ),
    "nonsense": ("x\n0::/\n::\n", V2.format(root="/"), {"cpu.max": "many 0\n"}, 64),
    "a period of nothing": ("0::/\n", V2.format(root="/"), {"cpu.max": "100000 0\n"}, 64),
}


@pytest.mark.parametrize(("cgroup", "mounts", "files", "expected"), CASES.values(), ids=CASES.keys())
def test_quotas(tmp_path: Path, cgroup: str, mounts: str, files: dict[str, str], expected: int) -> None:
    assert cpus.usable(system(tmp_path, cgroup, mounts, files)) == expected


def test_no_linux_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cpus.usable(tmp_path) == 64


def test_the_least_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = system(tmp_path, "0::/\n", V2.format(root="/"), {"cpu.max": "800000 100000"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 9, 11}, raising=False)
    assert cpus.usable(quota) == 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_that_may_run_on_one_cpu() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from crawler.crawl import cpus"
    done = subprocess.run([sys.executable, "-c", f"{code}; print(cpus.usable())"], capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr


def test_memory_is_the_least_of_the_machine_and_its_cgroups(tmp_path: Path) -> None:
    """`max` is no limit; version 1 counts too."""
    files = {"a/memory.max": "700000000\n", "a/b/memory.max": "max\n"}
    assert cpus.memory(system(tmp_path / "2", "0::/a/b\n", V2.format(root="/"), files)) == 700_000_000
    files = {"memory/x/memory.limit_in_bytes": "500000000\n"}
    assert cpus.memory(system(tmp_path / "1", "3:memory:/x\n", "", files)) == 500_000_000
    assert cpus.memory(tmp_path / "none") > 0


def test_more_workers_than_the_machine_holds_are_refused(tmp_path: Path) -> None:
    """By its CPUs or its memory, and the message says how many would do."""
    small = {"cpu.max": "200000 100000\n", "memory.max": "4000000000\n"}
    two = system(tmp_path / "two", "0::/\n", V2.format(root="/"), small)
    assert [cpus.worker_count(n, two) for n in (None, 1, 32)] == [2, 1, 32]
    with pytest.raises(UsageError, match="-n 1,000: this machine holds at most 32 workers, 16 for each of 2 CPUs"):
        cpus.worker_count(1000, two)
    tight = {"memory.max": "350000000\n"}
    full = system(tmp_path / "full", "0::/\n", V2.format(root="/"), tight)
    assert [cpus.worker_count(n, full) for n in (None, 3)] == [3, 3]
    with pytest.raises(UsageError, match="at most 3 workers, 100 MB each in 350 MB of memory"):
        cpus.worker_count(4, full)
