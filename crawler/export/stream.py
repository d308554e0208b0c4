"""Writes to a pipe, a socket or a terminal, whose reader may take less than it is given, or nothing yet.

That happens if the descriptor is non-blocking (parents that use asyncio or node create such pipes), or if a signal
interrupts. So each write is repeated until all is taken; while there is no room, poll(2) waits.

A pipe takes up to PIPE_BUF bytes whole or not at all (POSIX, write). Output is written in chunks of at most that size
that end with a line if possible. So most lines are never cut, whatever happens to this process.
"""

from __future__ import annotations

import io
import os
import select
import stat
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

GRACE: Final = 5.0
"""Seconds that an export, once asked to end, waits for a reader that takes nothing of a line under way."""
_LOOK_EVERY: Final = 100
"""While waiting for the reader, it checks after these milliseconds whether it should end."""
_REST: Final = 0.01
"""Seconds to wait if poll(2) reports room and write(2) does not accept data."""


def never() -> bool:
    """Never stop: nothing asks to end."""
    return False


class OutputStream(Protocol):
    """Takes pieces in order."""

    waits: bool
    """Whether a reader decides how fast it takes them."""

    @property
    def given_up(self) -> bool:
        """The reader took nothing more of the piece under way, and this was asked to end: nothing more is written."""

    @property
    def cut(self) -> bytes:
        """The part of that piece that was written."""

    def write(self, pieces: Sequence[bytes], stopped: Callable[[], bool] = never, *, whole: bool = False) -> int:
        """Write *pieces*; returns how many were taken whole. Raises OSError if not even the first was.

        Once *stopped*, no new piece is begun, and the piece under way is finished. If the reader takes nothing of it
        for GRACE seconds, it is given up. With *whole* the pieces belong together, as one piece under way.
        """


class Stream:
    """A descriptor to write to, see OutputStream. If its reader has left, it raises BrokenPipeError."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.waits = not stat.S_ISREG(os.fstat(fd).st_mode)
        self.given_up = False
        self.cut = b""
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def write(self, pieces: Sequence[bytes], stopped: Callable[[], bool] = never, *, whole: bool = False) -> int:
        data = b"".join(pieces)
        ends = [len(data)] if whole else list(accumulate(map(len, pieces)))
        taken, done, rest = 0, 0, memoryview(data)
        waited_since = time.monotonic()
        while done < len(data) and not self.given_up:
            begun = whole or done > (ends[taken - 1] if taken else 0)
            if not begun and stopped():
                break
            try:
                count = self._put(rest[done : self._until(done, ends)])
            except OSError:
                self._cut_back(done - (ends[taken - 1] if taken else 0))
                if not taken:
                    raise
                break
            if count:
                done, waited_since = done + count, time.monotonic()
                taken = bisect_right(ends, done)
            elif begun and stopped():
                self.given_up = time.monotonic() - waited_since > GRACE
        if self.given_up and not self.cut:
            self.cut = data[ends[taken - 1] if taken else 0 : done]
        return (len(pieces) if taken else 0) if whole else taken

    def _until(self, done: int, ends: Sequence[int]) -> int:
        """Where the next chunk ends: after a piece, if possible."""
        if not self.waits:
            return ends[-1]
        most = done + select.PIPE_BUF
        last = bisect_right(ends, most) - 1
        return ends[last] if last >= 0 and ends[last] > done else most

    def _put(self, data: memoryview) -> int:
        """Write as much of *data* as is taken at once; returns how much."""
        if not self._poll.poll(_LOOK_EVERY):
            return 0
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            time.sleep(_REST)
            return 0
        except ConnectionResetError as error:  # a socket's reader that left unread bytes
            raise BrokenPipeError(error.errno, error.strerror) from None

    def _cut_back(self, size: int) -> None:
        """A file after `>` on a full disk should end with a whole piece: remove *size* bytes from its end."""
        if size and not self.waits:
            with suppress(OSError):
                end = os.lseek(self._fd, 0, os.SEEK_CUR)
                if os.fstat(self._fd).st_size == end:
                    os.ftruncate(self._fd, end - size)
                    os.lseek(self._fd, end - size, os.SEEK_SET)


class Captured:
    """A replacement for stdout in a program that captures the output, see OutputStream."""

    waits = given_up = False
    cut = b""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, pieces: Sequence[bytes], stopped: Callable[[], bool] = never, *, whole: bool = False) -> int:
        self._out.write(b"".join(pieces))
        self._out.flush()
        return len(pieces)


class Patient(io.RawIOBase):
    """A descriptor as a file for `print` and similar: `write` returns when all is taken."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._number = fd
        self._stream = Stream(fd)

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of *data*; raises OSError if that fails."""
        raw = bytes(data)
        rest = raw
        while rest:
            rest = b"" if self._stream.write([rest], whole=True) else rest
        return len(raw)


def stream_to(out: BinaryIO) -> OutputStream:
    """A stream to *out*, the buffer of `sys.stdout`: directly to its descriptor, if it has one."""
    if isinstance(out, io.BufferedWriter | io.FileIO | Patient):
        return Stream(out.fileno())
    return Captured(out)
