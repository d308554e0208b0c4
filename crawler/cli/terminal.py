"""The terminal of a command: its progress, and messages for people on stderr."""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import click
import msgspec

from crawler.export.files import lead_nowhere
from crawler.export.stream import Patient
from crawler.monitor.display import Display
from crawler.text import escaped, printable

line = Display()


def say(text: str) -> None:
    """Print a message on stderr; if nobody can read it, drop it."""
    message = f"crawler: {printable(text)}"
    with suppress(OSError):
        if not line.say(message):
            click.echo(message, err=True)


class _Said(logging.Handler):
    """Prints warnings of the library as messages of the command."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def show_warnings() -> None:
    """Print warnings of the library in this process as `say` does."""
    logger = logging.getLogger("crawler")
    if not logger.handlers:
        logger.addHandler(_Said(logging.WARNING))


def echo_json(value: Any) -> None:
    """Print *value* as one line of JSON on stdout."""
    click.echo(escaped(msgspec.json.encode(value).decode()))


def occupy_standard_streams() -> None:
    """Point closed streams (`2>&-`) at /dev/null: else the next file or socket would get their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for life
    sys.stdout, sys.stderr = _patient(sys.stdout, sys.__stdout__), _patient(sys.stderr, sys.__stderr__)


def _patient(stream: TextIO, own: TextIO | None) -> TextIO:
    """Wrap the interpreter's *own* stream, which may be non-blocking or interrupted; leave another one as it is."""
    if stream is None or stream is not own:
        return stream
    return io.TextIOWrapper(
        cast(BinaryIO, Patient(stream.fileno())),  # without a buffer, as Python's own under -u
        encoding=stream.encoding,
        errors=stream.errors,
        write_through=True,
    )


def flush_stdout() -> None:
    """Write the buffered output to stdout; if that fails, drop it."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        lead_stdout_nowhere()


def lead_stdout_nowhere() -> None:
    """stdout cannot be written: drop its buffered output, so that the interpreter's last flush does not fail."""
    lead_nowhere(sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
