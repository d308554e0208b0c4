"""The Redis of a chaos run: it is killed, stopped, and loses its last second as by a power cut."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from crawler.frontier.redis.binary import Binary, find_binary
from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import wait_until

_SAMPLE: Final = 0.05
LOST: Final = 1.0
"""Seconds of acknowledged writes that a power cut takes away: what `appendfsync everysec` may lose."""


class ChaosRedis(PrivateRedis):
    """One server with an append-only file; *fsync* is `always` or `everysec`."""

    def __init__(self, fsync: str, binary: Binary | None = None) -> None:
        self.fsync = fsync
        self._lengths: deque[tuple[float, Path, int]] = deque(maxlen=200)
        self._over = threading.Event()
        super().__init__(binary or find_binary(), durable=True)
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    @property
    def socket(self) -> Path:
        """Its unix socket."""
        return self.folder / "s"

    def start(self) -> None:
        """Start it with its data, and wait until it answers."""
        super().start()
        with self.client() as client:
            client.config_set("appendfsync", self.fsync)
            client.config_set("auto-aof-rewrite-percentage", 0)  # so that the last file only grows

    def kill_synced(self) -> None:
        """kill -9 with nothing unwritten: with `everysec`, Redis answers before it writes while a sync is under way.

        What that costs is a shorter `cut_power`.
        """
        with self.client() as client:
            wait_until(lambda: not client.info("persistence")["aof_pending_bio_fsync"], "the sync to end")
        self.kill()

    def terminate(self) -> None:
        """SIGTERM: it saves what it has and leaves."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def cut_power(self) -> float:
        """Kill it, and cut the file to what it had `LOST` seconds ago; how many seconds are lost really."""
        self.kill()
        now, file = time.monotonic(), self._last_file()
        lengths = [(at, length) for at, path, length in list(self._lengths) if path == file and at <= now - LOST]
        if file is None or not lengths:
            return 0.0
        at, length = lengths[-1]
        with file.open("r+b") as data:
            data.truncate(min(length, file.stat().st_size))
        return now - at

    def _last_file(self) -> Path | None:
        """The file that is being appended to: since 7.0 it lies in a folder, and its number grows."""
        files = list(self.folder.glob("appendonlydir/*.incr.aof")) or list(self.folder.glob("appendonly.aof"))
        return max(files, key=lambda path: path.stat().st_mtime, default=None)

    def _sample(self) -> None:
        while not self._over.wait(_SAMPLE):
            with suppress(OSError):
                if (file := self._last_file()) is not None:
                    self._lengths.append((time.monotonic(), file, file.stat().st_size))

    def close(self) -> None:
        """Kill it and remove its folder."""
        self._over.set()
        with suppress(AssertionError):
            self.thaw()
        super().close()
