"""What a hook prints or logs, as messages of its worker: `sys.stdout` and `sys.stderr` of a worker with a hook."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, Final, cast

_STDERR: Final = 2
_MAX_LINE: Final = 8 << 10
"""Bytes after which a line is shown though it has not ended."""


class _Lines(io.RawIOBase):
    """Takes bytes and shows each line of them."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._begun = bytearray()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """That of stderr, for the programs that a hook starts."""
        return _STDERR

    def flush(self) -> None:
        """Show a line that has not ended."""
        if self._begun:
            self.write(b"\n")

    def write(self, data: Any) -> int:
        *lines, rest = (bytes(self._begun) + bytes(data)).split(b"\n")
        self._begun[:] = rest
        if len(rest) > _MAX_LINE:
            lines, self._begun[:] = [*lines, rest], b""
        for line in lines:
            self._show(line.decode("utf-8", "replace"))
        return memoryview(data).nbytes


def capture(show: Callable[[str], None]) -> None:
    """From now on *show* gets each line that is written to stdout or stderr through Python."""
    for name in ("stdout", "stderr"):
        raw = cast(BinaryIO, _Lines(show))  # without a buffer, as Python's own under -u
        setattr(sys, name, io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True))
