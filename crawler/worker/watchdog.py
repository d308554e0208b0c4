"""Shows a pool what its worker is doing, through a small file that both have mapped.

A parser that hangs in C holds the GIL: no thread or signal handler of its process can report it, but shared memory can.
The file outlives its worker, so even a pool started later sees what a dead worker was processing.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from crawler.errors import UsageError

Stage = Literal["poll", "handle", "hook", "redis", "idle", "ended"]
"""`ended`: the loop is over, and the token is the exit code of the process."""
_STAGES: Final[tuple[Stage, ...]] = ("poll", "handle", "hook", "redis", "idle", "ended")
_FORM: Final = struct.Struct("=QdB63s")  # turn, monotonic seconds, stage, token
_LENGTH: Final = struct.Struct("=H")
_WORDS: Final = struct.Struct("=H510s")  # after it, for each message: number of bytes, words in UTF-8
_LACK: Final = _FORM.size + _WORDS.size
_FAILURES: Final = _LACK + _WORDS.size
MAX_FAILURES: Final = 5
"""Different failures of its hook that a worker reports. All are counted."""
_SIZE: Final = _FAILURES + MAX_FAILURES * _WORDS.size


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the pool saw: the loop's turn, its stage, since when (monotonic seconds), and the token."""

    turn: int
    since: float
    stage: Stage
    token: str


class Watchdog:
    """One worker's mapped file. The worker writes with `enter` and `say`, its pool reads with `look` and `words`."""

    def __init__(self, path: Path, *, hold: bool = False) -> None:
        """Map *path*. The worker itself passes *hold*: its lock on the file shows that it is alive.

        ValueError if the file is too short.
        """
        self.path = path
        self._file = path.open("r+b")
        if hold:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self._map = mmap.mmap(self._file.fileno(), _SIZE)
        except ValueError:
            self._file.close()
            raise
        self._turn = self._failures = 0

    def fileno(self) -> int:
        """The descriptor that holds the file."""
        return self._file.fileno()

    def is_held(self) -> bool:
        """Whether the worker is alive: it still holds its file."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return False

    @classmethod
    def create(cls, generation: str, worker: str) -> Watchdog:
        """A new file for *worker* of a crawl's *generation*, in a folder that only this user can read."""
        path = _folder(generation) / worker
        path.write_bytes(_FORM.pack(0, time.monotonic(), _STAGES.index("idle"), b"") + bytes(_SIZE - _FORM.size))
        return cls(path)

    @staticmethod
    def forget(generation: str, worker: str) -> None:
        """Remove the file of a dead worker."""
        folder = _folder(generation)
        (folder / worker).unlink(missing_ok=True)
        with suppress(OSError):  # other files are in it
            folder.rmdir()

    def enter(self, stage: Stage, token: str = "") -> None:
        """Record that a stage begins."""
        self._turn += 1
        # Copied in one step: `pack_into` first fills the place with zeros, and a pool might read those.
        self._map[: _FORM.size] = _FORM.pack(self._turn, time.monotonic(), _STAGES.index(stage), token.encode())

    def look(self) -> Snapshot:
        """The last entry. The worker may write meanwhile, so the pool acts only on what it sees twice."""
        turn, since, stage, token = _FORM.unpack_from(self._map, 0)
        return Snapshot(turn, since, _STAGES[stage % len(_STAGES)], token.rstrip(b"\0").decode("ascii", "replace"))

    def say(self, text: str) -> None:
        """Leave a message for the pool, replacing the last: what this worker waits for, or why it ends."""
        self._write(_FORM.size, text)

    def words(self) -> str:
        """The last message; empty if there is none."""
        return self._read(_FORM.size)

    def say_lack(self, text: str) -> None:
        """Report what this machine lacks for the configured work."""
        self._write(_LACK, text)

    def lack(self) -> str:
        """The last such report; empty if there is none."""
        return self._read(_LACK)

    def say_failure(self, url: str, error: str) -> None:
        """Report a failure of the hook; only the first few find room."""
        if self._failures < MAX_FAILURES:
            self._write(_FAILURES + self._failures * _WORDS.size, f"{error}\n{url}")
            self._failures += 1

    def failures(self) -> list[tuple[str, str]]:
        """The first failures of the hook: text and URL of each."""
        found = [self._read(_FAILURES + n * _WORDS.size) for n in range(MAX_FAILURES)]
        return [(error, url) for error, _, url in (text.partition("\n") for text in found if text)]

    def _write(self, at: int, text: str) -> None:
        raw = text.encode("utf-8", "replace")[: _WORDS.size - _LENGTH.size]
        begin = at + _LENGTH.size
        self._map[at:begin] = _LENGTH.pack(0)  # a pool that looks meanwhile never sees half of it
        self._map[begin : begin + len(raw)] = raw
        self._map[at:begin] = _LENGTH.pack(len(raw))

    def _read(self, at: int) -> str:
        length, raw = _WORDS.unpack_from(self._map, at)
        return str(raw[:length].decode("utf-8", "replace"))

    def close(self) -> None:
        """Unmap; the file stays."""
        self._map.close()
        self._file.close()

    def remove(self) -> None:
        """Unmap and remove the file."""
        self.close()
        self.forget(self.path.parent.name, self.path.name)


def dead_watches(generation: str) -> list[tuple[str, Snapshot]]:
    """The workers of this crawl on this machine whose pool died before them, and what each was last doing."""
    found = []
    for path in list(_folder(generation).iterdir()):
        pid = path.name.rpartition("-")[0].rpartition("-")[2]
        # A container's pool has the same pid at each start: files with our pid were left by an earlier pool.
        if not pid.isdigit() or (int(pid) != os.getpid() and _is_alive(int(pid))):
            continue
        try:
            watch = Watchdog(path)
        except ValueError:  # its pool died while it made the file: there was no worker yet
            path.unlink(missing_ok=True)
            continue
        except FileNotFoundError:  # another pool was quicker
            continue
        if not watch.is_held():
            found.append((path.name, watch.look()))
        watch.close()
    return found


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _folder(generation: str) -> Path:
    """The folder for the watch files of one crawl. Raises UsageError if another user owns it."""
    base = Path(tempfile.gettempdir()) / f"crawler-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    if base.is_symlink() or base.stat().st_uid != os.getuid():
        raise UsageError(f"{base} belongs to somebody else: remove it, or set TMPDIR to a folder of your own")
    path = base / generation
    path.mkdir(mode=0o700, exist_ok=True)
    return path
