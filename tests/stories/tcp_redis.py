"""A Redis on a TCP port of loopback, as a shared one would be."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.redis_for_tests import START_LIMIT


class TcpServer:
    """A server process on a port of its own, with a folder for what it reads and writes."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        self._folder = Path(tempfile.mkdtemp(prefix="crw-"))

    def _start(self, *command: str | Path) -> None:
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


class TcpRedis(TcpServer):
    """One server, without persistence; with *password* it asks for it. *more* are further options of the server."""

    def __init__(self, binary: Path, password: str = "", more: Sequence[str] = ()) -> None:
        super().__init__()
        self.url = f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *more]
        if password:
            options += ["--requirepass", password]
        self._start(binary, *options)
        self._wait()

    def client(self) -> redis.Redis:
        """A new client that retries nothing."""
        return redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0))

    def _wait(self) -> None:
        until = time.monotonic() + START_LIMIT
        with self.client() as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.RedisError as error:
                    if self._process.poll() is not None or time.monotonic() > until:
                        raise RuntimeError((self._folder / "log").read_text()) from error
                    time.sleep(0.005)
