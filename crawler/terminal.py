"""The terminal of a command: one live line, and lines for people on stderr."""

from __future__ import annotations

import click

from crawler.monitor.screen import LiveLine
from crawler.text import printable

line = LiveLine()


def say(text: str) -> None:
    """A line for people, on stderr."""
    line.clear()
    click.echo(f"crawler: {printable(text)}", err=True)
