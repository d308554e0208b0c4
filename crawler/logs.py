"""Logging: a line on stderr for people, a line of JSON in a file for machines; control characters are escaped."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Final, TextIO

import msgspec

from crawler import owners
from crawler.errors import UsageError
from crawler.text import escaped, printable


@dataclass(frozen=True, slots=True)
class Log:
    """Where a process sends messages that a person should know."""

    say: Callable[[str], None]
    """On stderr, and in the log file."""
    note: Callable[[str], None]
    """In the log file; on stderr only with -v."""


ERASE: Final = "\r\x1b[J"
"""Clears what is below: the pool, another process, may have its live screen there."""


def is_dumb() -> bool:
    """Whether the terminal knows no escape codes."""
    return os.environ.get("TERM", "").lower() in ("", "dumb", "unknown")


class _JsonLines(logging.Formatter):
    def __init__(self, who: str) -> None:
        super().__init__()
        self._who = who

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line = {"at": at, "level": record.levelname.lower(), "who": self._who, "message": record.getMessage()}
        return escaped(msgspec.json.encode(line).decode())


class _Lines(logging.FileHandler):
    """A log file that cannot be written any more is given up. This is reported once, and the crawl continues."""

    def _open(self) -> TextIOWrapper:
        place = owners.resolved(self.baseFilename)  # no link of another user is followed
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | owners.nofollow(place)
        return os.fdopen(os.open(place, flags, 0o666), "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the library's
        error = sys.exc_info()[1]
        logger = logging.getLogger("crawler")
        if self in logger.handlers:
            logger.removeHandler(self)
            reason = error.strerror if isinstance(error, OSError) else error
            logger.warning("--log-file %s: cannot be written any more: %s; logging stops", self.baseFilename, reason)


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


def open_log(file: str | None, verbose: bool, who: str, *, plain: bool = False) -> Log:
    """Set up logging of this process. UsageError if *file* cannot be written. *plain*: no escape codes on stderr."""
    logger = logging.getLogger("crawler")
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.handlers.clear()
    logger.propagate = False
    screen = _Screen(sys.stderr)
    screen.setFormatter(_Plain(plain))
    screen.setLevel(logging.DEBUG if verbose else logging.WARNING)
    logger.addHandler(screen)
    if file is not None:
        try:
            lines = _Lines(file, encoding="utf-8")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"--log-file {file}: cannot be written: {why}") from None
        lines.setFormatter(_JsonLines(who))
        logger.addHandler(lines)
    return Log(logger.warning, logger.info)
