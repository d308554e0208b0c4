"""The terminal of a command: one live line, and lines for people on stderr."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec

from crawler.export.files import lead_nowhere
from crawler.monitor.screen import LiveLine
from crawler.text import escaped, printable

line = LiveLine()


def say(text: str) -> None:
    """A line for people, on stderr; where nobody can read it, it is not said."""
    with suppress(OSError):
        line.clear()
        click.echo(f"crawler: {printable(text)}", err=True)


def echo_json(value: Any) -> None:
    """*value* as one line of JSON, on stdout."""
    click.echo(escaped(msgspec.json.encode(value).decode()))


def occupy_standard_streams() -> None:
    """Streams that were closed (`2>&-`) lead nowhere: else the next file or socket would take their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for life


def flush_stdout() -> None:
    """Write what is held for stdout; where that fails, it is let go."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        lead_stdout_nowhere()


def lead_stdout_nowhere() -> None:
    """It cannot be written to: what is held for it is let go, so that the interpreter's last flush does not fail."""
    lead_nowhere(sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
