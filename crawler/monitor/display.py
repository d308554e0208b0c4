"""A terminal: lines that are drawn again and again, and messages above them. It never waits for the terminal.

The cursor rests at the beginning of what is drawn. So whatever another process writes there pushes the lines down, and
after a change of the terminal's size all that has to be erased is below the cursor.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TextIO

from crawler.logs import ERASE, is_dumb
from crawler.text import printable

EVERY: Final = 10.0
"""Seconds between two lines where the cursor cannot move, or must not."""
_MAX_UNSENT: Final = 1 << 16
"""Bytes that are kept for a terminal that takes nothing; messages beyond that are lost."""

Frame = Callable[[int, int], Sequence[str]]
"""Makes the lines to draw from the columns and rows that there are."""


class Display:
    """Shows the progress of a command on a terminal; on anything else nothing."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self.on = self._stream is not None and self._stream.isatty()
        """It is a terminal."""
        self.plain = is_dumb()
        """A line now and then, without any escape code."""
        self._fd = -1
        self._unsent = b""
        self._drawn, self._drawn_for = "", (0, 0)
        self._next, self._last = 0.0, ""

    def show(self, line: str, frame: Frame | None = None) -> None:
        """Show *line*, or what *frame* makes if the terminal can show more than a line."""
        if not self.on:
            return
        if self.plain:
            self._add(line)
        elif self._in_foreground():
            columns, rows = size = self._size()
            lines = frame(columns - 1, rows - 1) if frame else [printable(line)[: columns - 1]]
            up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
            self._drawn = "\r" + "\x1b[K\r\n".join(lines) + f"\x1b[J{up}\r"
            again = ERASE if size != self._drawn_for else ""  # lines that a terminal has wrapped are joined again later
            self._drawn_for = size
            self._send(again + self._drawn, droppable=True)

    def say(self, text: str) -> bool:
        """Write a message above what is drawn. False if nothing is drawn."""
        if self._drawn:
            self._send(f"{ERASE}{text}\r\n{self._drawn}")
        return bool(self._drawn)

    def clear(self) -> None:
        """Erase what is drawn, for other output. Now it waits for the terminal."""
        if self._drawn:
            with suppress(OSError):  # a terminal that is closed
                self._stream.write(f"{self._unsent.decode(errors='ignore')}{ERASE}")
                self._stream.flush()
            self._drawn, self._unsent = "", b""

    def _add(self, line: str) -> None:
        """Write *line* below the last one, if there is anything new."""
        if time.monotonic() >= self._next and line != self._last:
            self._next, self._last = time.monotonic() + EVERY, line
            self._send(f"{printable(line)}\n", droppable=True)

    def _in_foreground(self) -> bool:
        """False for a job in the background: the terminal is used by another command."""
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except OSError:  # it is not the terminal of this session
            return True

    def _size(self) -> tuple[int, int]:
        try:
            columns, rows = os.get_terminal_size(self._stream.fileno())
        except OSError:
            columns, rows = 0, 0
        return columns or 80, rows or 24

    def _send(self, text: str, *, droppable: bool = False) -> None:
        """Write as much as the terminal takes now; the rest goes first the next time."""
        if not (self._unsent and droppable) and len(self._unsent) < _MAX_UNSENT:
            self._unsent += text.encode(self._stream.encoding, "replace")
        try:
            fd = self._descriptor()
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            if poll.poll(0):
                self._unsent = self._unsent[os.write(fd, self._unsent) :]
        except BlockingIOError:
            pass
        except (OSError, ValueError):  # the terminal is closed
            self._unsent = b""

    def _descriptor(self) -> int:
        """A descriptor that does not block. That of the stream must stay as it is: other processes share it."""
        if self._fd < 0:
            own = self._stream.fileno()
            try:
                flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
                self._fd = os.open(os.ttyname(own), flags)
            except OSError:  # no name, or the terminal of another user
                self._fd = own
        return self._fd
