"""How workers begin: a copy of the pool's process holds nothing of it but what it is given, and never becomes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from crawler.crawl import launcher as launching
from crawler.crawl.launcher import launch
from crawler.crawl.process import EXIT_CODES, GIVES_UP, Job
from crawler.settings import Settings
from crawler.worker.watchdog import Watchdog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are copies on Linux alone")

PROLOGUE = """
import gc, json, os, pathlib, signal, socket, sys, time
from crawler.crawl import launcher as launch, process
from crawler.settings import Settings
from crawler.crawl.process import Job
def job():
    return Job("w", watch="", redis="", generation="g", until_done=True, settings=Settings(), parent=os.getpid())
def begin(act, keep=()):
    launch.live = act
    return launch.launch(job(), keep, copies=True)
"""


def alone(code: str, *descriptors: int, **env: str) -> subprocess.CompletedProcess[str]:
    """Run *code* in an interpreter with one thread: this one may have more."""
    return subprocess.run(
        [sys.executable, "-c", PROLOGUE + code],
        capture_output=True,
        text=True,
        timeout=150,
        pass_fds=descriptors,
        env=os.environ | env,
    )


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def test_how_it_ends_is_told() -> None:
    done = alone(
        """
codes = [begin(lambda job, code=code: code).wait() for code in (0, 1, 10, 14)]
sleeper = begin(lambda job: time.sleep(60))
print(sleeper.poll())
sleeper.kill()
print(codes, sleeper.wait(), sleeper.poll())
sleeper.kill(), sleeper.terminate()  # it is gone: nobody else is meant
"""
    )
    assert done.stdout.splitlines() == ["None", "[0, 1, 10, 14] -9 -9"], done.stderr


def test_it_dies_of_sigterm_and_not_by_the_handlers_of_its_pool() -> None:
    done = alone(
        """
signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
signal.signal(signal.SIGINT, lambda *_: print("handled", flush=True))
sleeper = begin(lambda job: time.sleep(60))
sleeper.terminate()
print(sleeper.wait(), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    )
    assert done.stdout.splitlines() == ["-15 set()"], done.stderr


def test_it_has_a_group_of_its_own_and_no_input_and_output() -> None:
    done = alone(
        """
def act(job):
    assert os.getpgid(0) == os.getpid(), "group"
    assert os.environ[process.IN_WORKER] == "1"
    assert sys.stdin.read() == "" and os.read(0, 10) == b""
    print("never seen", flush=True)
    print("seen", file=sys.stderr)
    return 7
print("buffered", end="")
print(begin(act).wait(), process.IN_WORKER in os.environ)
"""
    )
    assert done.stdout == "buffered7 False\n"
    assert done.stderr == "seen\n"


def test_a_defect_ends_it_and_is_told() -> None:
    done = alone(
        """
def act(job): raise ValueError("a defect")
import atexit
atexit.register(print, "once")
print(begin(act).wait())
"""
    )
    assert done.stdout.splitlines() == ["1", "once"]
    assert "ValueError: a defect" in done.stderr


def test_it_holds_no_descriptor_but_those_given(pipe: tuple[int, int]) -> None:
    """The end of a pipe is only seen when nobody holds its other end: a copy that kept it would hide it."""
    done = alone(
        f"""
ours, theirs = socket.socketpair()
kept = os.dup({pipe[1]})
file = open("/dev/shm/x-{os.getpid()}", "w+b")
file.write(b"not yet flushed")
def act(job):
    links = {{int(p.name): os.readlink(p) for p in pathlib.Path("/proc/self/fd").iterdir() if p.is_symlink()}}
    os.write(kept, json.dumps(links).encode())
    return 5
print(begin(act, (kept,)).wait())
file.close()
""",
        pipe[1],
    )
    links = json.loads(os.read(pipe[0], 10_000))
    Path(f"/dev/shm/x-{os.getpid()}").unlink()
    assert done.stdout == "5\n", done.stderr
    kinds = {target.partition(":")[0] for target in links.values()}
    assert "socket" not in kinds
    assert [number for number, target in links.items() if target.startswith("pipe:") and number != "2"]
    assert all(target == os.devnull or target.startswith(("pipe:", "/proc/")) for target in links.values()), links


def test_what_the_pools_objects_close_in_a_copy_is_nothing_of_its_own() -> None:
    """A socket of the pool whose object ends in the copy closes its number: it must not be one that was given anew."""
    done = alone(
        """
held = [socket.socket() for _ in range(5)]
def act(job):
    ours, theirs = socket.socketpair()
    held.clear()
    gc.collect()
    theirs.send(b"through")
    return 0 if ours.recv(10) == b"through" else 3
print(begin(act).wait())
"""
    )
    assert done.stdout == "0\n", done.stderr


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ("threads", "threading.Thread(target=gate.wait, daemon=True).start()"),
        ("a hook", "settings = replace(settings, hook='hook.py:f')"),
        ("not asked for", "copies = False"),
    ],
)
def test_where_it_may_not_be_a_copy_an_interpreter_begins(why: str, code: str) -> None:
    done = alone(
        f"""
import threading
from dataclasses import replace
gate, settings, copies = threading.Event(), Settings(), True
launch._START = "import os, sys; sys.stdin.read(); sys.exit(20 if os.environ['CRAWLER_IN_WORKER'] else 1)"
{code}
launch.live = lambda job: 3
print(launch.launch(Job("w", "", "", "g", True, settings, 1), (), copies=copies).wait())
"""
    )
    assert done.stdout == "20\n", done.stderr


def test_a_copy_does_what_an_interpreter_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both with a Redis that cannot be: they give up, and leave the same last words."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    words = []
    for copies in (False, True):
        monkeypatch.setattr(launching, "_is_alone", lambda: True)
        watch = Watchdog.create("g", f"w-{os.getpid()}-{copies}")
        job = Job(
            worker=watch.path.name,
            watch=str(watch.path),
            redis="nonsense://",
            generation="g",
            until_done=True,
            settings=Settings(),
            parent=os.getpid(),
        )
        process = launch(job, (), copies=copies)
        assert process.wait() == GIVES_UP
        words.append(watch.words())
        watch.remove()
    assert words[0] == words[1] != ""
    assert GIVES_UP not in EXIT_CODES.values()


def test_a_descriptor_above_the_limit_is_closed() -> None:
    """The limit was lowered after it was opened, so its number cannot be taken again."""
    done = alone(
        """
import resource
read, write = os.pipe()
high = os.dup2(write, 251)
os.close(write)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
def act(job):
    try:
        os.fstat(251)
    except OSError:
        return 11
    return 12
print(begin(act).wait())
"""
    )
    assert (done.stdout.split(), done.stderr) == (["11"], "")
