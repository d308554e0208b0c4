"""A Redis server of a test's own: on a unix socket in a temporary folder, reached by nobody else."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from crawler.frontier.redis.binary import Binary
from crawler.frontier.redis.embedded import TORN, rewrite

START_LIMIT = 60.0
"""Seconds that a server may take to start on a busy machine."""


class PrivateRedis:
    """One server; `durable` keeps each acknowledged write over `kill`, else only `restart` keeps the data."""

    def __init__(self, binary: Binary, *, durable: bool = False) -> None:
        self.binary = binary
        self.durable = durable
        # Short: the path of a unix socket has at most about 100 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="crw-"))
        self.url = f"unix://{self.folder}/s"
        self.more: list[str] = []
        """Further options of the server, from its next start on."""
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id, for tests that stop and continue the server."""
        assert self._process is not None
        return self._process.pid

    def client(self, **kwargs: Any) -> redis.Redis:
        """A new client that retries nothing; *kwargs* as of `redis.Redis`."""
        kwargs.setdefault("retry", Retry(NoBackoff(), 0))
        return redis.Redis.from_url(self.url, **kwargs)

    def start(self) -> None:
        """Start the server, if it is not running, and wait until it answers with its data loaded."""
        if self.alive:
            return
        options = [
            *("--port", "0", "--unixsocket", "s", "--dir", "."),
            *("--set-max-intset-entries", "20000", "--maxmemory-policy", "noeviction"),
            *("--save", "", "--appendonly", "yes" if self.durable else "no", "--appendfsync", "always"),
            *self.more,
        ]
        with (self.folder / "log").open("ab") as log:
            began = log.tell()
            self._process = subprocess.Popen(
                [self.binary.path, *options],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_LIMIT
        with self.client(socket_timeout=START_LIMIT) as client:
            while True:
                try:
                    client.ping()
                    if TORN in (self.folder / "log").read_bytes()[began:]:
                        rewrite(client)
                    return
                except redis.RedisError as error:
                    if not self.alive or time.monotonic() > until:
                        raise RuntimeError((self.folder / "log").read_text()) from error
                    time.sleep(0.005)

    def stop(self) -> None:
        """Shut it down in order; the data are kept."""
        if self._process is not None and self.alive:
            with self.client() as client, suppress(redis.RedisError):
                client.shutdown(save=not self.durable, nosave=self.durable)
            try:
                self._process.wait(START_LIMIT)
            except subprocess.TimeoutExpired:
                self.kill()

    def restart(self) -> None:
        """Stop, if it runs, and start again with the data."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """kill -9; returns when the process is gone. `start` brings it back."""
        if self._process is not None and self.alive:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def reset(self) -> None:
        """Running, empty and without a memory limit, whatever the last test did to it."""
        if self._process is not None and self.alive:
            self._process.send_signal(signal.SIGCONT)
        self.start()
        with self.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
            client.config_set("maxmemory", 0)
            client.flushall()
            client.script_flush()

    def close(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
