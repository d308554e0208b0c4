"""Logging: a line on stderr for people, a line of JSON in a file for machines; control characters never get out."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from crawler.errors import UsageError
from crawler.text import printable


@dataclass(frozen=True, slots=True)
class Log:
    """Where a process says what a person should know."""

    say: Callable[[str], None]
    """On stderr, and in the log file."""
    note: Callable[[str], None]
    """In the log file; on stderr only with -v."""


_ERASE: Final = "\r\x1b[2K"
"""Clears the line of a terminal: the pool, another process, may have its live line there."""


class _JsonLines(logging.Formatter):
    def __init__(self, who: str) -> None:
        super().__init__()
        self._who = who

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line = {"at": at, "level": record.levelname.lower(), "who": self._who, "message": record.getMessage()}
        return msgspec.json.encode(line).decode()


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{_ERASE if sys.stderr.isatty() else ''}crawler: {printable(record.getMessage())}"


def open_log(file: str | None, verbose: bool, who: str) -> Log:
    """Set up logging of this process; UsageError if *file* cannot be written."""
    logger = logging.getLogger("crawler")
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.handlers.clear()
    logger.propagate = False
    screen = logging.StreamHandler(sys.stderr)
    screen.setFormatter(_Plain())
    screen.setLevel(logging.DEBUG if verbose else logging.WARNING)
    logger.addHandler(screen)
    if file is not None:
        try:
            lines = logging.FileHandler(file, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--log-file {file}: cannot be written: {error.strerror}") from None
        lines.setFormatter(_JsonLines(who))
        logger.addHandler(lines)
    return Log(logger.warning, logger.info)
