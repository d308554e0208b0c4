"""Files that survive kill -9 and a power loss: part files that replace a file as a whole, and locks.

A part file is named `.NAME.XXXXXXXX.part` and locked (flock) by its owner for life. One without an owner was left by a
process that was killed; the next one that writes the same file removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from crawler import owners

_UNSUPPORTED: Final = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM)


def reason(error: Exception) -> str:
    """The system's message for *error*, without the number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def mode_of(path: Path) -> int:
    """The kind of file at *path*, as in `stat`; 0 if there is none."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0


def remove_orphans(path: Path) -> None:
    """Remove the part files of *path* whose owners were killed; those with an owner stay."""
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


def new_part(path: Path) -> tuple[Path, int]:
    """A new part file for *path*, locked, and its descriptor."""
    while True:
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            continue
        if not locked_by_another(fd) and os.fstat(fd).st_nlink == 1:
            return part, fd
        os.close(fd)  # another process took it for an orphan before it was locked


def writable_mode(path: Path) -> int | None:
    """The mode of the file at *path*, None if there is no file; OSError if it may not be written."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | owners.nofollow(path))
    except FileNotFoundError:
        return None
    try:
        return stat.S_IMODE(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def locked_by_another(fd: int) -> bool:
    """Lock the file for the life of *fd*; true if another process holds it. Without lock support this succeeds."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def write(fd: int, data: bytes) -> None:
    """Write all of *data*."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def lead_nowhere(fd: int) -> None:
    """Point *fd* at /dev/null: later writes are thrown away."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd)
    os.close(nowhere)


def sync_folder(folder: Path) -> None:
    """Make a new name in *folder* survive a power loss, if the system can do that."""
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
