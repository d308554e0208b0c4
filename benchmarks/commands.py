"""The crawler's commands as processes, each crawl in a new folder, and a Redis of one's own on TCP or a socket."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis

from benchmarks.site import free_ports
from crawler.crawl.process import NAME
from crawler.frontier.redis.binary import find_binary
from crawler.frontier.redis.embedded import INTSET_ENTRIES

PROGRAM: Final = str(Path(sys.executable).with_name("crawler"))
PATIENCE: Final = 300.0
"""Seconds for a command, on a busy machine and a big site."""
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Unexpected(Exception):
    """A command did something else than it should: its message is the finding."""


def wait_until(happened: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait for an event that can only be looked for; Unexpected if it does not come."""
    until = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > until:
            raise Unexpected(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.002)


def environment() -> dict[str, str]:
    """The environment without what would change a crawl."""
    return {k: v for k, v in os.environ.items() if not k.startswith("CRAWLER_") and k.lower() not in _PROXIES}


def children(pid: int) -> list[int]:
    """The processes that *pid* started and that are there."""
    with suppress(OSError):
        tasks = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
        return [int(child) for path in tasks for child in path.read_text().split()]
    return []


def _command_line(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _is_worker(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == NAME
    return False


class Running:
    """A command that runs in a session of its own."""

    def __init__(self, arguments: tuple[str, ...], folder: Path, env: dict[str, str], number: int) -> None:
        self.name = arguments[0]
        self._err = folder / f"{number}.err"
        with self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [PROGRAM, *arguments],
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err,
                start_new_session=True,
            )

    @property
    def err(self) -> str:
        """What it has said so far."""
        return self._err.read_text(encoding="utf-8", errors="replace")

    def wait(self, code: int = 0) -> None:
        """Wait for its end; Unexpected where it ends with another *code* or a traceback."""
        try:
            ended = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Unexpected(f"`{self.name}` did not end: {self.err[-500:]}") from None
        if ended != code or "Traceback" in self.err or "defect" in self.err:
            raise Unexpected(f"`{self.name}` ended with {ended}: {self.err[-500:]}")

    def workers(self) -> list[int]:
        """The pids of its worker processes."""
        return [pid for pid in children(self.process.pid) if _is_worker(pid)]

    def interrupt(self) -> None:
        """Ctrl-C, as a terminal sends it: to the command and all that it started."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """End the command and its workers at once."""
        if self.process.poll() is None:
            workers = self.workers()
            self.process.kill()
            for pid in workers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()


class Home:
    """A new folder in which commands run, on its embedded Redis or on *redis_url*; all ends with the `with`."""

    def __init__(self, redis_url: str | None = None) -> None:
        self._base = Path(tempfile.mkdtemp(prefix="crw-"))  # short: a socket's path has at most about 100 bytes
        self.folder = self._base / "home"
        self.folder.mkdir()
        self._env = environment() | {"TMPDIR": str(self._base)}
        if redis_url is not None:
            self._env["CRAWLER_REDIS"] = redis_url
        self._running: list[Running] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for running in self._running:
            running.kill()
        for file in self.folder.glob("**/redis.pid"):
            with suppress(OSError, ValueError):
                pid = int(file.read_text())
                if b"redis" in _command_line(pid) or b"valkey" in _command_line(pid):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self._base, ignore_errors=True)

    def start(self, *arguments: str) -> Running:
        """Start a command."""
        self._running.append(Running(arguments, self.folder, self._env, len(self._running)))
        return self._running[-1]

    def run(self, *arguments: str) -> Running:
        """Run a command to its end; Unexpected if it fails."""
        running = self.start(*arguments)
        running.wait()
        return running

    def records(self, file: str = "pages.jsonl") -> list[dict[str, Any]]:
        """The records of an exported file; it is exported first where it is not there."""
        path = self.folder / file
        if not path.exists():
            self.run("export", "-o", file)
        with path.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]


class Redis:
    """A `redis-server` of one's own, as durable as the embedded one, on a free TCP port of loopback."""

    def __init__(self, intset_entries: int = INTSET_ENTRIES) -> None:
        """*intset_entries*: numbers of a set that stays packed; Redis's default is 512."""
        self._intset_entries = intset_entries
        self._folder = Path(tempfile.mkdtemp(prefix="crw-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        (port,) = free_ports(["127.0.0.1"], 1)
        self.url = f"redis://127.0.0.1:{port}/0"
        self._start()
        return self

    def _start(self) -> None:
        port = self.url.rpartition(":")[2].partition("/")[0]
        options = {
            "port": port,
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "set-max-intset-entries": str(self._intset_entries),
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [str(find_binary().path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._answers, "the Redis", 20)

    def restart(self) -> None:
        """SIGKILL, and a new server with the data of the old one."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._start()

    def _answers(self) -> bool:
        with suppress(redis.RedisError), redis.Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def flush(self) -> None:
        """Forget all."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def cpu(self) -> float:
        """Seconds of CPU, user and system, that the server has used so far."""
        with redis.Redis.from_url(self.url) as client:
            used: dict[str, Any] = client.info("cpu")
        return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])

    def memory(self) -> int:
        """Bytes that the server holds."""
        with redis.Redis.from_url(self.url) as client:
            return int(client.info("memory")["used_memory"])

    def peak(self) -> int:
        """Bytes that the server has held at most."""
        with redis.Redis.from_url(self.url) as client:
            return int(client.info("memory")["used_memory_peak"])
