"""What a pool sees of its workers, alive or dead, through the files that both have mapped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crawler.errors import UsageError
from crawler.worker.watchdog import MAX_FAILURES, Snapshot, Watchdog, dead_watches

GENERATION = "0123456789abcdef"
TOKEN = "f" * 16 + ":256"

HOLDER = """
import sys
from pathlib import Path
from crawler.worker.watchdog import Watchdog
watch = Watchdog(Path(sys.argv[1]), hold=True)
watch.enter("hook", sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def _dead_pid() -> int:
    """The pid of a process that has just ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_what_is_entered_is_seen() -> None:
    """Turn by turn: stage, token, and since when; by another mapping of the same file."""
    pools = Watchdog.create(GENERATION, f"machine-{os.getpid()}-00000001")
    workers = Watchdog(pools.path, hold=True)
    assert (pools.look().turn, pools.look().stage, pools.look().token) == (0, "idle", "")
    before = time.monotonic()
    workers.enter("handle", TOKEN)
    seen = pools.look()
    assert (seen.turn, seen.stage, seen.token) == (1, "handle", TOKEN)
    assert before <= seen.since <= time.monotonic()
    workers.enter("poll")
    assert (pools.look().turn, pools.look().stage, pools.look().token) == (2, "poll", "")
    workers.close()
    pools.remove()
    assert not pools.path.exists()


def test_words_are_left_for_the_pool() -> None:
    """The last ones only, as far as there is room; they outlive the worker."""
    pools = Watchdog.create(GENERATION, "machine-1-00000001")
    workers = Watchdog(pools.path, hold=True)
    assert pools.words() == ""
    for words in ("Redis is away", "", "Grüße: it is back", "é" * 1_000):
        workers.say(words)
        workers.enter("poll")
        assert pools.words() == words[:255]
        assert pools.look().stage == "poll"
    workers.close()
    assert pools.words() == "é" * 255
    pools.remove()


def test_files_are_private() -> None:
    watch = Watchdog.create(GENERATION, "machine-1-00000001")
    assert watch.path.parent.stat().st_mode & 0o777 == 0o700
    assert watch.path.parent.parent.stat().st_mode & 0o777 == 0o700
    watch.remove()


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"crawler-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="TMPDIR"):
        Watchdog.create(GENERATION, "machine-1-00000001")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_dead_are_found_and_the_living_are_not() -> None:
    """A worker is dead when its pool is and nobody holds its file; what it was doing is still there to see."""
    pool = _dead_pid()
    dead = Watchdog.create(GENERATION, f"machine-{pool}-00000001")
    dead.enter("handle", TOKEN)
    held = Watchdog.create(GENERATION, f"machine-{pool}-00000002")
    of_a_living_pool = Watchdog.create(GENERATION, f"machine-{os.getppid()}-00000003")
    strange = held.path.with_name("no worker")
    strange.write_bytes(b"")
    code = [sys.executable, "-c", HOLDER, str(held.path), TOKEN]
    with subprocess.Popen(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        found = dead_watches(GENERATION)
        assert [(worker, seen.stage, seen.token) for worker, seen in found] == [(dead.path.name, "handle", TOKEN)]
        assert held.is_held()
        holder.kill()
    assert not held.is_held()
    found = dead_watches(GENERATION)
    assert {worker for worker, _ in found} == {dead.path.name, held.path.name}
    assert all(isinstance(seen, Snapshot) and seen.token == TOKEN for _, seen in found)
    assert of_a_living_pool.path.exists()
    for watch in (dead, held, of_a_living_pool):
        watch.close()


def test_a_pid_that_was_given_again() -> None:
    """In a container the pool may have the same pid at each start: files that bear it are of the one before."""
    left = Watchdog.create(GENERATION, f"machine-{os.getpid()}-00000001")
    left.close()
    assert [worker for worker, _ in dead_watches(GENERATION)] == [left.path.name]


def test_other_crawls_are_not_looked_at() -> None:
    left = Watchdog.create("another", f"machine-{_dead_pid()}-00000001")
    left.close()
    assert dead_watches(GENERATION) == []
    Watchdog.forget("another", left.path.name)
    assert not left.path.parent.exists()


def test_a_file_that_is_cut_short_is_passed_over() -> None:
    """A pool that was killed while it made the file, or a disk that was full."""
    watch = Watchdog.create(GENERATION, f"machine-{_dead_pid()}-00000001")
    watch.close()
    watch.path.write_bytes(b"")
    assert [worker for worker, seen in dead_watches(GENERATION) if seen.token] == []


def test_forgetting_twice_is_no_error() -> None:
    watch = Watchdog.create(GENERATION, "machine-1-00000001")
    watch.remove()
    Watchdog.forget(GENERATION, "machine-1-00000001")
    assert not watch.path.exists()


WRITER = """
import sys
from pathlib import Path
from crawler.worker.watchdog import Watchdog
watch = Watchdog(Path(sys.argv[1]), hold=True)
watch.enter("poll")
print("writing", flush=True)
while True:
    watch.enter("handle", "f" * 16 + ":1")
    watch.enter("poll")
"""


def test_a_word_that_is_being_written_is_not_taken_for_an_old_one() -> None:
    """A pool that sees zeros for a time would kill a healthy worker."""
    pools = Watchdog.create(GENERATION, f"machine-{os.getpid()}-00000009")
    began = time.monotonic()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(pools.path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == b"writing\n"
        assert min(pools.look().since for _ in range(200_000)) >= began
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
        pools.remove()


def test_the_first_failures_of_a_hook_are_left_for_the_pool() -> None:
    pools = Watchdog.create(GENERATION, f"machine-{os.getpid()}-00000009")
    workers = Watchdog(pools.path, hold=True)
    assert pools.failures() == []
    for n in range(MAX_FAILURES + 3):
        workers.say_failure(f"http://a.example/{n}", f"KeyError: {n}")
    workers.close()
    assert pools.failures() == [(f"KeyError: {n}", f"http://a.example/{n}") for n in range(MAX_FAILURES)]
    assert (pools.words(), pools.lack()) == ("", "")
    pools.remove()
