"""Where an export's bytes go: a replaced file, a file or pipe written directly, stdout, or a file that is appended to.

All raise OSError when writing fails; byte_stream.py turns that into a message for the user.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from crawler import owners
from crawler.errors import UsageError
from crawler.export import files
from crawler.export.bucket import is_url
from crawler.export.files import mode_of, reason
from crawler.export.s3 import Upload, size_of
from crawler.export.stream import Stream, never, stream_to
from crawler.export.writer import KnownOutput

_TAIL: Final = 4096
"""Bytes at the end of a file by which it is identified."""


class Target(ABC):
    """One place to write bytes to, see OutputStream. `abort` may be called at any time, and more than once."""

    live = False
    """Readers see each write at once."""
    kept = "what was written before is whole"
    """What a person can rely on when writing failed."""
    size = 0
    """How many bytes exist already and must not be written again."""
    known = KnownOutput()
    """What a state needs to know of it, as of its opening or the last `sync`."""
    terminal = waits = given_up = False
    continued = False
    """Others read it between two checkpoints, and a killed export leaves it as it is."""
    cut = b""

    @abstractmethod
    def write(self, pieces: Sequence[bytes], stopped: Callable[[], bool] = never, *, whole: bool = False) -> int:
        """See OutputStream."""

    @abstractmethod
    def sync(self) -> None:
        """Make what was written survive a power loss, if the place can."""

    @abstractmethod
    def finish(self) -> None:
        """All was written: make it durable."""

    @abstractmethod
    def abort(self) -> None:
        """Give up; never raises OSError."""


def open_target(name: str, *, follow: bool) -> Target:
    """The target *name*, `-` for stdout; UsageError, before a byte is written, if it cannot be written to."""
    if name == "-":
        return Stdout()
    if is_url(name):
        return Uploaded(name)
    try:
        place = owners.resolved(name)  # a symbolic link stays: the file that it points to is replaced
        kind = mode_of(place)
        if stat.S_ISDIR(kind):
            raise UsageError(f"{name} is a folder: name a file in it")
        if follow or (kind and not stat.S_ISREG(kind)):
            return FileInPlace(place)
        return ReplacedFile(Path(os.path.realpath(place)))
    except (OSError, ValueError) as error:
        raise _unusable(name, error) from None


def has_content(name: str) -> bool:
    """Whether there is a file or an object *name* that is not empty. OutputError if a bucket does not say."""
    if is_url(name):
        return size_of(name) > 0
    with suppress(OSError, ValueError):
        found = Path(name).stat()
        return name != "-" and stat.S_ISREG(found.st_mode) and found.st_size > 0
    return False


def append_to(name: str, known: KnownOutput | None, *, follow: bool) -> Target:
    """The target *name*, to append to after what is *known* of it; None: it must be new or empty.

    UsageError, with nothing changed, if it cannot be continued.
    """
    check_appendable(name)
    if name == "-":
        return Stdout(known)
    try:
        return AppendedFile(owners.resolved(name), name, known, live=follow)
    except (OSError, ValueError) as error:
        raise _unusable(name, error) from None


def check_appendable(name: str) -> None:
    """UsageError unless the target *name* is stdout, a file, or does not exist yet."""
    if is_url(name):
        raise UsageError(
            f"{name}: one object of a bucket appears whole at the end: leave out --state and --drain; a folder of parts"
            f" has them: -o {name}/"
        )
    try:
        kind = 0 if name == "-" else mode_of(Path(name))
    except (OSError, ValueError) as error:
        raise _unusable(name, error) from None
    if kind and not stat.S_ISREG(kind):
        raise UsageError(f"{name} is no regular file: with a state name a file, or - for stdout")


def _unusable(name: str, error: Exception) -> UsageError:
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{name}: its folder does not exist; create it first")
    return UsageError(f"{name} cannot be written to: {reason(error)}")


class _File(Target):
    """A file by its descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, pieces: Sequence[bytes], stopped: Callable[[], bool] = never, *, whole: bool = False) -> int:
        """Append to the file."""
        data = b"".join(pieces)
        files.write(self._fd, data)
        self.size += len(data)
        return len(pieces)

    def sync(self) -> None:
        """Make the content survive a power loss."""
        os.fsync(self._fd)

    def abort(self) -> None:
        """Close the file; what was written stays."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)


class ReplacedFile(_File):
    """A part file in the same folder, renamed to the target at the end: readers see the old file or the new one."""

    kept = "the file is as it was before"

    def __init__(self, path: Path) -> None:
        self._path = path
        mode = files.writable_mode(path)
        files.remove_orphans(path)
        self._part, fd = files.new_part(path)
        super().__init__(fd)
        if mode is not None:
            with suppress(OSError):  # a file system without modes
                os.fchmod(fd, mode)

    def finish(self) -> None:
        """Rename the part file to the target; after this it survives a power loss."""
        self.sync()
        self._part.replace(self._path)
        self.kept = "the new file is in its place, but a power loss may undo that"
        super().abort()
        files.sync_folder(self._path.parent)

    def abort(self) -> None:
        """Remove the part file."""
        if self._fd >= 0:
            with suppress(OSError):
                self._part.unlink()
        super().abort()


class Uploaded(_File):
    """A temporary file that becomes one object of a bucket at the end: readers see the old object or the new one."""

    kept = "the object is as it was before"

    def __init__(self, name: str) -> None:
        self._upload = Upload(name)
        super().__init__(os.open(self._upload.path, os.O_WRONLY | os.O_CLOEXEC))

    def finish(self) -> None:
        """Upload the file."""
        self._upload.finish()
        super().abort()

    def abort(self) -> None:
        """Remove the temporary file."""
        super().abort()
        self._upload.close()


class FileInPlace(_File):
    """A file that readers see grow, or a pipe or device. A file is locked (flock) for life.

    What is in it stays until there is something to write, or until `finish`. After a write that failed the file ends
    where that write began: with a whole line.
    """

    live = True

    def __init__(self, path: Path) -> None:
        super().__init__(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | owners.nofollow(path), 0o666))
        self.terminal = os.isatty(self._fd)
        self._stream = Stream(self._fd)
        self.waits = self._stream.waits
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        try:
            if self._regular:
                _lock(self._fd, str(path))
        except BaseException:
            os.close(self._fd)
            raise

    def write(self, pieces: Sequence[bytes], stopped: Callable[[], bool] = never, *, whole: bool = False) -> int:
        """Append to the file."""
        if not self._regular:
            taken = self._stream.write(pieces, stopped, whole=whole)
            self.given_up, self.cut = self._stream.given_up, self._stream.cut
            return taken
        self._empty()
        try:
            return super().write(pieces)
        except BaseException:  # Ctrl-C in the middle of a write, too
            with suppress(OSError):
                os.ftruncate(self._fd, self.size)
            raise

    def finish(self) -> None:
        """Make what was written survive a power loss."""
        if self._regular:
            self._empty()
            self.sync()
        self.abort()

    def _empty(self) -> None:
        """Remove what was in it before."""
        if not self.size:
            os.ftruncate(self._fd, 0)


class AppendedFile(_File):
    """A file that is continued after the part that its state covers; locked (flock) for life.

    What follows that part was never acknowledged: it is cut off. So is what was not synced when an export ends early.
    """

    kept = "it ends where its state says, and the same command continues there"
    continued = True

    def __init__(self, path: Path, name: str, known: KnownOutput | None, *, live: bool) -> None:
        self.live = live
        self._path, self._name = path, name
        try:
            flags = os.O_RDWR | os.O_CLOEXEC | owners.nofollow(path)
            super().__init__(os.open(path, flags | (0 if known and known.length else os.O_CREAT), 0o666))
        except FileNotFoundError:
            if known and known.length:
                raise UsageError(_lost(name, "is gone", known)) from None
            raise
        try:
            _lock(self._fd, name)
            self.size = self._checked(known)
            os.ftruncate(self._fd, self.size)
            os.lseek(self._fd, self.size, os.SEEK_SET)
            self.sync()
        except BaseException:
            os.close(self._fd)
            raise

    def _checked(self, known: KnownOutput | None) -> int:
        """How much of the file stays; UsageError if it is not the one that is *known*."""
        size = os.fstat(self._fd).st_size
        if known is None:
            if size:
                raise UsageError(f"{self._name} is not empty, and not written by this state: name a new file")
            return 0
        if size < known.length:
            raise UsageError(_lost(self._name, f"has {size:,} bytes", known))
        if size and tail_of(self._fd, known.length) != known.tail:
            raise UsageError(_lost(self._name, "has other content", known))
        return known.length

    def sync(self) -> None:
        """Make the file and its name survive a power loss."""
        super().sync()
        files.sync_folder(self._path.parent)
        self.known = KnownOutput(self.size, tail_of(self._fd, self.size))

    def finish(self) -> None:
        """Close the file: all of it was synced."""
        self.abort()

    def abort(self) -> None:
        """Cut off what was not synced, and close the file."""
        with suppress(OSError):
            if self._fd >= 0 and os.fstat(self._fd).st_size > self.known.length:
                os.ftruncate(self._fd, self.known.length)
        super().abort()


class Stdout(Target):
    """Standard output. After an error it points at /dev/null, so that the interpreter's last flush does not fail again.

    What is *known* of it is how many bytes it has taken from all exports of one state: together they make one file. Its
    tail records the written part of a last line that its reader left unfinished, and identifies that line.
    """

    live = True

    def __init__(self, known: KnownOutput | None = None) -> None:
        if sys.stdout is None:
            raise UsageError("there is no stdout: name a file")
        sys.stdout.flush()
        self._out = sys.stdout.buffer
        self._stream = stream_to(self._out)
        self.waits = self._stream.waits
        self.terminal = sys.stdout.isatty()
        self.known = known or KnownOutput()
        self.size, self._begun = self.known.length, self.known.tail

    def write(self, pieces: Sequence[bytes], stopped: Callable[[], bool] = never, *, whole: bool = False) -> int:
        """Write *pieces* as they are taken."""
        rest = [self._rest_of(pieces[0]), *pieces[1:]] if self._begun and not whole else pieces
        try:
            taken = self._stream.write(rest, stopped, whole=whole)
        except OSError:
            files.lead_nowhere(self._out.fileno())
            raise
        self.given_up = self._stream.given_up
        if self._stream.cut:
            self.cut = pieces[taken][: max(len(pieces[taken]) - len(rest[taken]), 0)] + self._stream.cut
        if taken:
            self._begun = ""
        self.size += sum(map(len, rest[:taken]))
        return taken

    def _rest_of(self, line: bytes) -> bytes:
        """The missing rest of *line*, whose beginning was written by an export that ended early."""
        number = self._begun.partition(" ")[0]
        size = int(number) if number.isdecimal() else 0
        same = f"{size} {_digest(line[:size])}" == self._begun
        return line[size:] if same else b"\n" + line  # its record was replaced since

    def sync(self) -> None:
        """Each write is flushed. Count what was taken, and note what was cut."""
        self.known = KnownOutput(self.size, f"{len(self.cut)} {_digest(self.cut)}" if self.cut else self._begun)

    def finish(self) -> None:
        """Nothing to do: each write is flushed."""

    def abort(self) -> None:
        """Nothing to do."""


def tail_of(fd: int, length: int) -> str:
    """A digest of the end of the first *length* bytes of a file; if it has none, the file's identity."""
    if length == 0:
        return f"inode {os.fstat(fd).st_ino}"
    return _digest(os.pread(fd, min(length, _TAIL), max(length - _TAIL, 0)))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _lost(name: str, what: str, known: KnownOutput) -> str:
    return (
        f"{name} {what}, but its state knows of {known.length:,} bytes in it: put it back, continue in a new file"
        " (another -o), or start over with another --state"
    )


def _lock(fd: int, name: str) -> None:
    if files.locked_by_another(fd):
        raise UsageError(f"{name} is being written by another export: stop it, or name another file")
