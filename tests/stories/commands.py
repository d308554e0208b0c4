"""The command line as a user runs it: processes of their own in a folder of their own, and a look at them from outside.

crawl = Commands(folder)
done = crawl.run("run", url, "--delay", "0")           # waits for its end
going = crawl.start("run", url)                        # goes on meanwhile
going.workers()                                        # the pids of its worker processes
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crawler.crawl.process import NAME

PROGRAM: Final = str(Path(sys.executable).with_name("crawler"))
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
PATIENCE: Final = 150.0
"""Seconds for a command or an event on a busy machine; a test that waits so long has failed."""

Json = dict[str, Any]


def wait_until(happened: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait for an event that can only be looked for; AssertionError if it does not come."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.005)


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it said on stderr, without the hint at a contact, which stands on nearly every one."""
        return [line for line in self.err.splitlines() if not line.startswith("crawler: hint: ")]

    def records(self) -> list[Json]:
        """stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def children(pid: int) -> list[int]:
    """The processes that *pid* started and that are alive or not yet waited for."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def command_line(pid: int) -> bytes:
    """The arguments of a process as `ps` shows them; nothing if it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_worker(pid: int) -> bool:
    """Whether a process is a worker, by the name that it gave itself."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == NAME
    except OSError:
        return False


def peak_memory(pid: int) -> int:
    """Bytes that a process had in memory at most so far (VmHWM); 0 if it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def kill_hard(pid: int) -> None:
    """kill -9; a process that is gone is as dead."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Running:
    """A command that runs."""

    def __init__(self, arguments: Sequence[str], folder: Path, env: dict[str, str], number: int) -> None:
        self._out, self._err = folder / f"{number}.out", folder / f"{number}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                arguments,
                cwd=folder,
                env=env,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        assert self.process.stdin is not None
        self.stdin = self.process.stdin

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def out(self) -> str:
        """What it has written to stdout so far."""
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text(encoding="utf-8", errors="replace")

    def feed(self, text: str) -> None:
        """Write *text* to its stdin and close it; one that does not read is no error."""
        if self.stdin.closed:
            return
        with suppress(BrokenPipeError):
            self.stdin.write(text.encode())
        with suppress(BrokenPipeError):
            self.stdin.close()

    def wait(self, seconds: float = PATIENCE) -> Done:
        """Wait for its end; AssertionError if it does not come."""
        self.feed("")
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            said = self.err
            self.kill()
            raise AssertionError(f"it did not end within {seconds:g} s; it said: {said[-2000:]}") from None
        return Done(code, self.out, self.err)

    def workers(self) -> list[int]:
        """Its worker processes that are alive."""
        return [pid for pid in children(self.pid) if is_worker(pid)]

    def wait_for_workers(self, count: int) -> list[int]:
        """Its worker processes, as soon as there are *count*."""
        wait_until(lambda: len(self.workers()) >= count, f"{count} workers")
        return self.workers()

    def wait_to_say(self, text: str, times: int = 1) -> None:
        """Wait until it has said *text* on stderr so many *times*; AssertionError if it ends before."""

        def said() -> bool:
            ended = self.process.poll() is not None
            found = self.err.count(text) >= times
            assert found or not ended, f"it ended with {self.process.returncode} and never said {text!r}: {self.err}"
            return found

        wait_until(said, f"it to say {text!r}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command alone, not to its workers."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9 of the command and its workers, not of the embedded Redis; returns when all are gone."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)  # so that it starts no worker meanwhile
            workers = self.workers()
            self.process.kill()
            for pid in workers:
                kill_hard(pid)
            self.process.wait()
            wait_until(lambda: not any(command_line(pid) for pid in workers), "the end of the workers")


class Commands:
    """Commands in one new folder, on its embedded Redis or on *redis*; `close` ends all that is left of them."""

    def __init__(self, redis: str | None = None) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="crw-"))  # short: a socket's path has at most about 100 bytes
        self.folder = self.base / "home"
        self.temporary = self.base / "tmp"
        self.folder.mkdir()
        self.temporary.mkdir()
        self.redis = redis
        self.within: list[str] = []
        """What stands before each command, as of `machines.machine`."""
        self.env = _clean_environment() | {"TMPDIR": str(self.temporary), "HOME": str(self.base)}
        if redis is not None:
            self.env["CRAWLER_REDIS"] = redis
        self._started: list[Running] = []

    def start(self, *arguments: str, python: str | None = None) -> Running:
        """Start a command, or the script *python* of the folder."""
        program = [PROGRAM] if python is None else [sys.executable, python]
        running = Running([*self.within, *program, *arguments], self.folder, self.env, len(self._started))
        self._started.append(running)
        return running

    def run(self, *arguments: str, stdin: str = "", seconds: float = PATIENCE, python: str | None = None) -> Done:
        """Run a command to its end."""
        running = self.start(*arguments, python=python)
        running.feed(stdin)
        return running.wait(seconds)

    def write(self, name: str, text: str) -> str:
        """Write a file into the folder; its name."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def exported(self, *arguments: str) -> list[Json]:
        """All records, in the order of their commits."""
        done = self.run("export", "-o", "-", *arguments)
        assert done.code == 0, done.err
        return done.records()

    def records(self, *arguments: str) -> dict[str, Json]:
        """All records by URL; each must be there once."""
        return by_url(self.exported(*arguments))

    def written(self, name: str) -> dict[str, Json]:
        """The records in a file that a command wrote, by URL; each must be there once."""
        return by_url([json.loads(line) for line in (self.folder / name).read_text(encoding="utf-8").splitlines()])

    def status(self, *arguments: str) -> Json:
        """`status --json`."""
        done = self.run("status", "--json", *arguments)
        assert done.code == 0, done.err
        found: Json = json.loads(done.out)
        return found

    def watch_files(self) -> list[Path]:
        """Files by which pools watch their workers, of those that were not settled."""
        return [path for path in self.temporary.glob("crawler-*/*/*") if path.is_file()]

    def close(self) -> None:
        """End all that was started here, the embedded Redis too, and remove the folder."""
        for running in self._started:
            running.kill()
            with suppress(OSError):
                running.stdin.close()
        for pid_file in self.base.glob("**/redis.pid"):
            with suppress(OSError, ValueError):
                pid = int(pid_file.read_text())
                if b"redis" in command_line(pid) or b"valkey" in command_line(pid):
                    kill_hard(pid)
                    wait_until(lambda pid=pid: not command_line(pid), "the end of the embedded Redis")  # type: ignore[misc]
        shutil.rmtree(self.base, ignore_errors=True)


def by_url(records: Sequence[Json]) -> dict[str, Json]:
    """Records by URL; AssertionError if one is there twice."""
    found = {record["url"]: record for record in records}
    assert len(found) == len(records), "a URL has more than one record"
    return found


def outcomes(records: dict[str, Json]) -> dict[str, str]:
    """URL -> outcome."""
    return {url: record["outcome"] for url, record in records.items()}


def _clean_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CRAWLER_", "COV_", "PYTEST_")) and name.lower() not in _PROXIES
    }
