"""Where an export's bytes go: a file that is replaced whole, a file or a pipe written straight through, stdout.

All raise OSError when writing fails; what that means to the user is said in sink.py. A target is `live` when readers
see each write at once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from crawler.errors import UsageError

_UNSUPPORTED: Final = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM)


class Target(Protocol):
    """One place to write to. `abort` may be called at any time, also after `finish`, and more than once."""

    live: bool
    kept: str
    """What a person may rely on when writing failed."""

    def write(self, data: bytes) -> None:
        """Write all of *data*, or raise OSError."""

    def finish(self) -> None:
        """All was written: make it last."""

    def abort(self) -> None:
        """Give up; never raises OSError."""


def open_target(name: str, *, follow: bool) -> Target:
    """The target *name*, `-` for stdout; UsageError, before a byte is written, if it cannot be written to."""
    if name == "-":
        return Stdout()
    try:
        kind = _kind(Path(name))
        if stat.S_ISDIR(kind):
            raise UsageError(f"{name} is a folder: name a file in it")
        if follow or (kind and not stat.S_ISREG(kind)):
            return FileInPlace(Path(name))
        return ReplacedFile(Path(os.path.realpath(name)))  # a symbolic link stays: the file behind it is replaced
    except FileNotFoundError:
        raise UsageError(f"{name}: its folder does not exist; make it first") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{name} cannot be written to: {reason(error)}") from None


def reason(error: Exception) -> str:
    """What the system says of *error*, without the number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _kind(path: Path) -> int:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0


class ReplacedFile:
    """A part file in the same folder, renamed over the target at the end: readers see the old file or the new one.

    A part file is named `.NAME.XXXXXXXX.part` and locked (flock) by its owner for life. One without an owner was left
    by an export that was killed; the next export of the same name removes it.
    """

    live = False
    kept = "the file is as it was before"

    def __init__(self, path: Path) -> None:
        self._path = path
        mode = _writable_mode(path)
        remove_orphans(path)
        self._part, self._fd = _new_part(path)
        if mode is not None:
            with suppress(OSError):  # a file system without modes
                os.fchmod(self._fd, mode)

    def write(self, data: bytes) -> None:
        """Write to the part file."""
        _write(self._fd, data)

    def finish(self) -> None:
        """Put the part file in the target's place; after this it outlives a power loss."""
        os.fsync(self._fd)
        self._part.replace(self._path)
        self.kept = "the new file is in its place, but a power loss may undo that"
        self._close()
        _sync_folder(self._path.parent)

    def abort(self) -> None:
        """Remove the part file."""
        if self._fd >= 0:
            with suppress(OSError):
                self._part.unlink()
            with suppress(OSError):
                self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


class FileInPlace:
    """A file that readers see grow, or a pipe or device. A file is emptied first, and locked (flock) for life.

    After a write that failed the file ends where that write began: with a whole line.
    """

    live = True
    kept = "what was written before is whole"

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._size = 0
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        if self._regular:
            if _locked_by_another(self._fd):
                os.close(self._fd)
                raise UsageError(f"{path} is being written by another export: stop it, or name another file")
            os.ftruncate(self._fd, 0)

    def write(self, data: bytes) -> None:
        """Append to the file."""
        try:
            _write(self._fd, data)
        except BaseException:  # Ctrl-C in the middle of a write, too
            if self._regular:
                with suppress(OSError):
                    os.ftruncate(self._fd, self._size)
            raise
        self._size += len(data)

    def finish(self) -> None:
        """Make what was written outlive a power loss."""
        if self._regular:
            os.fsync(self._fd)
        self.abort()

    def abort(self) -> None:
        """Close the file; what was written stays."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)


class Stdout:
    """Standard output. After an error it leads nowhere, so that the interpreter's last flush does not fail again."""

    live = True
    kept = "what was written before is whole"

    def __init__(self) -> None:
        if sys.stdout is None:
            raise UsageError("there is no stdout: name a file")
        sys.stdout.flush()
        self._out = sys.stdout.buffer

    def write(self, data: bytes) -> None:
        """Write and flush."""
        try:
            self._out.write(data)
            self._out.flush()
        except OSError:
            self._lead_nowhere()
            raise

    def _lead_nowhere(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._out.fileno())
        os.close(nowhere)

    def finish(self) -> None:
        """Nothing is left to do: each write is flushed."""

    def abort(self) -> None:
        """Nothing is left to do."""


def remove_orphans(path: Path) -> None:
    """Remove the part files that killed exports of *path* left; those with an owner stay."""
    name = re.compile(re.escape(f".{path.name}.") + r"[0-9a-f]{8}\.part")
    try:
        found = [entry for entry in os.scandir(path.parent) if name.fullmatch(entry.name)]
    except PermissionError:  # a folder that may be written but not listed
        return
    for entry in found:
        with suppress(OSError):
            fd = os.open(entry.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Path(entry.path).unlink()
            finally:
                os.close(fd)


def _new_part(path: Path) -> tuple[Path, int]:
    """A new part file for *path*, locked, and its descriptor."""
    while True:
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            continue
        if not _locked_by_another(fd) and os.fstat(fd).st_nlink == 1:
            return part, fd
        os.close(fd)  # somebody took it for an orphan before it was locked


def _writable_mode(path: Path) -> int | None:
    """The mode of the file at *path*, none if there is no file; OSError if it may not be written."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return stat.S_IMODE(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def _locked_by_another(fd: int) -> bool:
    """Lock the file for the life of *fd*; true if another process holds it. File systems without locks do without."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _sync_folder(folder: Path) -> None:
    """Make a rename outlive a power loss, where the system can do that for a folder."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(fd)
