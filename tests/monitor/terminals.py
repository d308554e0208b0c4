"""A terminal for tests: a pty, and what a person would see on it."""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import struct
import termios
from contextlib import suppress
from typing import TextIO

_PIECE = re.compile(r"\x1b\[([\d;]*)([A-Za-z])|\x1b.|[\r\n]|[^\x1b\r\n]+", re.DOTALL)


class Screen:
    """Draws what is written as a terminal of *columns* without end below; AssertionError for codes it does not know."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._lines = [""]
        self._row, self._column = 0, 0

    def feed(self, text: str) -> None:
        """Write *text*."""
        for piece in _PIECE.finditer(text):
            if piece[2]:
                self._steer(piece[2], int(piece[1] or 1) if piece[2] == "A" else 1)
            elif piece[0] == "\r":
                self._column = 0
            elif piece[0] == "\n":
                self._down()
            else:
                self._write(piece[0])

    def _steer(self, code: str, n: int) -> None:
        if code == "A":
            self._row = max(self._row - n, 0)
        elif code == "K":
            self._lines[self._row] = self._lines[self._row][: self._column]
        elif code == "J":
            self._steer("K", 1)
            del self._lines[self._row + 1 :]
        else:
            assert code == "m", f"unknown code {code}"

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._lines):
            self._lines.append("")

    def _write(self, text: str) -> None:
        assert "\x1b" not in text
        for character in text:
            if self._column == self.columns:
                self._down()
                self._column = 0
            line = self._lines[self._row].ljust(self._column)
            self._lines[self._row] = line[: self._column] + character + line[self._column + 1 :]
            self._column += 1

    @property
    def lines(self) -> list[str]:
        """All lines, the oldest first, without blank ones at the end."""
        return "\n".join(line.rstrip() for line in self._lines).rstrip("\n").split("\n")


class Terminal:
    """A pty. `stream` is what a command writes to; `read` is what a terminal has got since."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.ours, self.theirs = os.openpty()
        self.resize(columns, rows)
        os.set_blocking(self.ours, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.stream: TextIO = open(self.theirs, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - see close

    def resize(self, columns: int, rows: int) -> None:
        """Change its size."""
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self) -> str:
        """What was written since the last time."""
        found = b""
        with suppress(BlockingIOError):
            while piece := os.read(self.ours, 65_536):
                found += piece
        return self._decoder.decode(found)

    def close(self) -> None:
        """Close both ends."""
        with suppress(OSError):
            self.stream.close()
        for fd in (self.ours, self.theirs):
            with suppress(OSError):
                os.close(fd)
