"""Writing to what a reader empties: a pipe, a socket, a terminal. It may take less than it is given, or nothing yet.

That is so where the descriptor is non-blocking (parents that use asyncio or node make such pipes), and where a signal
comes in between. So each write is repeated until all is taken; as long as there is no room, poll(2) waits for it.

A pipe takes up to PIPE_BUF bytes whole or not at all (POSIX, write). Lines go out in chunks of at most that size which
end with a line where that is possible: then most lines are never cut, whatever happens to this process.
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
"""Seconds for which an export that is asked to end waits for a reader that takes nothing of a line that was begun."""
_LOOK_EVERY: Final = 100
"""Milliseconds after which a wait for the reader looks whether it should end."""
_REST: Final = 0.01
"""Seconds to wait where poll(2) sees room and write(2) does not."""


def never() -> bool:
    """Nothing asks to end."""
    return False


class Writer(Protocol):
    """Takes pieces in order."""

    waits: bool
    """A reader decides how fast it takes them."""

    @property
    def given_up(self) -> bool:
        """The reader took nothing of what was begun, and this was asked to end: nothing more is written."""

    @property
    def cut(self) -> bytes:
        """What was written then of the piece that was begun."""

    def write(self, pieces: Sequence[bytes], stopped: Callable[[], bool] = never, *, whole: bool = False) -> int:
        """Write *pieces*; how many of them were taken whole. Raises OSError if not even the first was.

        Once *stopped*, no piece is begun, and the one that was begun is finished: where the reader takes nothing of it
        for GRACE seconds, it is given up. With *whole* the pieces belong together, as one that was begun.
        """


class Stream:
    """A descriptor to write to, see Writer. A reader that has left is a BrokenPipeError."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.waits = not stat.S_ISREG(os.fstat(fd).st_mode)
        self.given_up = False
        self.cut = b""
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def write(self, pieces: Sequence[bytes], stopped: Callable[[], bool] = never, *, whole: bool = False) -> int:
        """See Writer."""
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
        """Where the next chunk ends: with a piece, if it can."""
        if not self.waits:
            return ends[-1]
        most = done + select.PIPE_BUF
        last = bisect_right(ends, most) - 1
        return ends[last] if last >= 0 and ends[last] > done else most

    def _put(self, data: memoryview) -> int:
        """Write what is taken of *data* at once; how much that is."""
        if not self._poll.poll(_LOOK_EVERY):
            return 0
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            time.sleep(_REST)
            return 0
        except ConnectionResetError as error:  # a socket's reader that left unread bytes behind
            raise BrokenPipeError(error.errno, error.strerror) from None

    def _cut_back(self, size: int) -> None:
        """A file behind `>` whose disk is full shall end with a whole piece: take *size* bytes off its end."""
        if size and not self.waits:
            with suppress(OSError):
                end = os.lseek(self._fd, 0, os.SEEK_CUR)
                if os.fstat(self._fd).st_size == end:
                    os.ftruncate(self._fd, end - size)
                    os.lseek(self._fd, end - size, os.SEEK_SET)


class Captured:
    """What stands in the place of stdout in a program that wants to have what is written, see Writer."""

    waits = given_up = False
    cut = b""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, pieces: Sequence[bytes], stopped: Callable[[], bool] = never, *, whole: bool = False) -> int:
        """See Writer."""
        self._out.write(b"".join(pieces))
        self._out.flush()
        return len(pieces)


class Patient(io.RawIOBase):
    """A descriptor as a file, for `print` and the like: `write` returns when all is taken."""

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


def writer_to(out: BinaryIO) -> Writer:
    """A writer to *out*, which is the buffer of `sys.stdout`: behind its back, if a descriptor is all that it is."""
    if isinstance(out, io.BufferedWriter | io.FileIO | Patient):
        return Stream(out.fileno())
    return Captured(out)
