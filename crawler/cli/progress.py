"""Runs the workers of a command: a live line meanwhile, a summary at the end."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from crawler.cli.terminal import line, say
from crawler.crawl.session import Session
from crawler.frontier.frontier import Frontier
from crawler.frontier.status import Status
from crawler.monitor import screen
from crawler.text import printable

if TYPE_CHECKING:
    from crawler.crawl.supervisor import Ended

FIRST: Final = 10.0
LATER: Final = 60.0
"""Without a terminal there is a line after the first seconds, and then after so many more each."""


def run_with_summary(session: Session, frontier: Frontier, *, until_done: bool) -> Ended:
    """Run workers until the crawl is over or a signal arrives, and print how it ended."""
    from crawler.crawl.supervisor import run_workers  # loads all that a worker needs; other commands do not

    ended = run_workers(session, frontier, until_done=until_done, show=Progress(), copies=True)
    line.clear()
    lost = ended.losses
    losses = f"workers: {lost.died} died, {lost.hung} were killed on a page that hung" if lost.died or lost.hung else ""
    for text in screen.summary(ended.status, ended.here, ended.seconds, losses):
        with suppress(OSError):  # nobody may be there to read it
            click.echo(printable(text), err=True)
    return ended


class Progress:
    """The live line of a terminal; on anything else a line now and then."""

    def __init__(self) -> None:
        self._next = FIRST

    def __call__(self, status: Status, seconds: float) -> None:
        """Show the crawl's *status* after *seconds*."""
        text = screen.live(status, seconds)
        if sys.stderr.isatty():
            line.show(text)
        elif seconds >= self._next:
            self._next = seconds + LATER
            say(text)
