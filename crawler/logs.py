"""Logging: a line on stderr for people, a line of JSON in a file for machines; control characters are escaped."""

from __future__ import annotations

import errno
import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import msgspec

from crawler import owners
from crawler.errors import UsageError
from crawler.events import Ended, Event, encoded, stamp
from crawler.text import escaped, printable

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Log:
    """Where a process sends messages that a person should know."""

    say: Callable[[str], None]
    """On stderr, and in the log file."""
    note: Callable[[str], None]
    """In the log file; on stderr only with -v."""
    write: Callable[[Sequence[Ended | Event]], None]
    """As `note`."""
    file: LogFile | None = None


ERASE: Final = "\r\x1b[J"
"""Clears what is below: the pool, another process, may have its live screen there."""


def is_dumb() -> bool:
    """Whether the terminal knows no escape codes."""
    return os.environ.get("TERM", "").lower() in ("", "dumb", "unknown")


_END: Final = b"\n"[0]
_LOOK_AGAIN: Final = 1.0
"""Seconds between checks whether the file was moved away, and between attempts to open it again."""


class _JsonLines(logging.Formatter):
    def __init__(self, who: str) -> None:
        super().__init__()
        self._who = who

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.msg, Ended | Event):
            return encoded(record.msg).decode()
        level, message = record.levelname.lower(), record.getMessage()
        line = {"time": stamp(record.created), "level": level, "worker": self._who, "message": message}
        return escaped(msgspec.json.encode(line).decode())


class LogFile(logging.Handler):
    """Appends whole lines, some with each write, so several processes may share the file.

    It never waits and never raises. While the file cannot be written, lines are dropped and counted. A file that was
    moved away (logrotate) is replaced by a new one.
    """

    def __init__(self, name: str, report: Report | None) -> None:
        """*report* gets one message when the file cannot be written any more. Raises OSError, ValueError."""
        super().__init__()
        self._named = name
        self.report = report or logging.getLogger("crawler").warning
        self._place = Path(name).absolute()  # a hook may change the current folder
        self._fd: int | None = self._open()
        self._look_at = time.monotonic() + _LOOK_AGAIN
        self._is_torn = False
        """The last line was written in part."""
        self._missing = 0
        """Lines dropped since the last one that was written."""
        self._has_reported = False
        self.lost = 0
        """Lines dropped in all."""

    def _open(self) -> int:
        place = owners.resolved(self._place)  # no link of another user is followed
        if place.match("/proc/*/fd/*") and place.name != "2":
            raise OSError(errno.EINVAL, "of the standard streams workers have stderr alone: use /dev/stderr")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | owners.nofollow(place)
        return os.open(place, flags, 0o666)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.append(self.format(record).encode("utf-8", "replace") + b"\n")

    def append(self, lines: bytes) -> None:
        """Write whole lines."""
        whole = 0
        try:
            written = self._write(lines)
            whole = lines.count(b"\n", 0, written)
            if written < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            missing = lines.count(b"\n") - whole
            self.lost += missing
            self._missing += missing
            if not self._has_reported:
                self._has_reported = True
                self.report(f"--log-file {self._named}: cannot be written: {error.strerror}; its lines are dropped")
            return
        if self._missing:
            missing, self._missing, self._has_reported = self._missing, 0, False
            note = f"{missing:,} lines before this one could not be written"
            self.emit(logging.makeLogRecord({"msg": note, "levelname": "WARNING", "created": time.time()}))

    def _write(self, lines: bytes) -> int:
        """Returns how many of the bytes were written."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_AGAIN
            self._see_whether_moved()
        if self._fd is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        before = b"\n" if self._is_torn else b""
        written = os.write(self._fd, before + lines) - len(before)
        self._is_torn = written < 0 or (0 < written < len(lines) and lines[written - 1] != _END)
        return max(written, 0)

    def _see_whether_moved(self) -> None:
        if self._fd is not None:
            ours = os.fstat(self._fd)
            if not stat.S_ISREG(ours.st_mode):
                return
            try:
                if os.path.samestat(ours, self._place.stat()):
                    return
            except OSError:  # it is gone
                pass
            os.close(self._fd)
            self._fd = None
        self._fd, self._is_torn = self._open(), False

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        super().close()


class _Screen(logging.StreamHandler[TextIO]):
    """Logs to stderr, where nobody may be there to read it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the library's
        """Report nothing: there is nowhere to report it."""


class _Plain(logging.Formatter):
    def __init__(self, plain: bool) -> None:
        super().__init__()
        self._before = "" if plain or is_dumb() or not os.isatty(2) else ERASE

    def format(self, record: logging.LogRecord) -> str:
        return f"{self._before}crawler: {printable(record.getMessage())}"


def open_log(file: str | None, verbose: bool, who: str, report: Report | None = None, *, plain: bool = False) -> Log:
    """Set up logging of this process. UsageError if *file* cannot be written.

    *report*: see `LogFile`. *plain*: no escape codes on stderr.
    """
    logger = logging.getLogger("crawler")
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.handlers.clear()
    logger.propagate = False
    screen = _Screen(sys.stderr)
    screen.setFormatter(_Plain(plain))
    screen.setLevel(logging.DEBUG if verbose else logging.WARNING)
    logger.addHandler(screen)
    lines = None
    if file is not None:
        try:
            lines = LogFile(file, report)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"--log-file {file}: cannot be written: {why}") from None
        lines.setFormatter(_JsonLines(who))
        logger.addHandler(lines)
    return Log(logger.warning, logger.info, write_lines, lines)


def write_line(line: Ended | Event) -> None:
    """Log *line* as a message of level INFO. Its caller is not searched for: that takes longer than all the rest."""
    logger = logging.getLogger("crawler")
    if logger.isEnabledFor(logging.INFO):
        logger.handle(logger.makeRecord(logger.name, logging.INFO, "", 0, line, (), None))


def write_lines(lines: Sequence[Ended | Event]) -> None:
    """The same for many, of this process's own handlers: a log file gets them with one write."""
    logger = logging.getLogger("crawler")
    for handler in logger.handlers:
        if isinstance(handler, LogFile):
            handler.append(b"".join([encoded(line) + b"\n" for line in lines]))
        elif handler.level <= logging.INFO:
            for line in lines:
                handler.handle(logger.makeRecord(logger.name, logging.INFO, "", 0, line, (), None))


def log_file() -> LogFile | None:
    """The log file of this process."""
    return next((handler for handler in logging.getLogger("crawler").handlers if isinstance(handler, LogFile)), None)
