"""Runs the workers of a command: their progress meanwhile, a summary at the end."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from crawler.cli.terminal import line, say
from crawler.crawl.session import Session
from crawler.errors import CrawlerError
from crawler.frontier.frontier import Frontier
from crawler.frontier.status import Status
from crawler.monitor import screen
from crawler.settings import Settings
from crawler.text import printable

if TYPE_CHECKING:
    from crawler.crawl.supervisor import Ended
    from crawler.monitor.live_screen import LiveScreen

FIRST: Final = 10.0
LATER: Final = 60.0
"""Without a terminal there is a line after the first seconds, and then after so many more each."""


class Progress:
    """Shows the status of a crawl: the live screen, plain lines, or without a terminal a line a minute."""

    def __init__(self) -> None:
        self._screen: LiveScreen | None = None
        self._next = FIRST

    def __call__(self, status: Status, seconds: float) -> None:
        """Show *status*, *seconds* after the beginning."""
        text = screen.live(status, seconds)
        line.show(text, lambda columns, rows: self._live_screen().frame(status, seconds, columns, rows))
        if not line.on and seconds >= self._next:
            self._next = seconds + LATER
            say(text)

    def _live_screen(self) -> LiveScreen:
        from crawler.monitor.live_screen import LiveScreen  # loads a library that nothing else needs

        self._screen = self._screen or LiveScreen()
        return self._screen


def run_with_summary(session: Session, frontier: Frontier, *, until_done: bool) -> Ended:
    """Run workers until the crawl is over or a signal arrives, and print how it ended."""
    from crawler.crawl.supervisor import run_workers  # loads all that a worker needs; other commands do not
    from crawler.monitor.rule_notes import rule_notes
    from crawler.worker.options import rules_of

    ended = run_workers(session, frontier, until_done=until_done, show=Progress(), copies=True)
    line.clear()
    lost = ended.losses
    losses = f"workers: {lost.died} died, {lost.hung} were killed on a page that hung" if lost.died or lost.hung else ""
    notes = [f"  {note}" for note in rule_notes(rules_of(_settings_now(session, frontier)), ended.status)]
    for text in [*screen.summary(ended.status, ended.here, ended.seconds, losses), *notes]:
        with suppress(OSError):  # nobody may be there to read it
            click.echo(printable(text), err=True)
    return ended


def _settings_now(session: Session, frontier: Frontier) -> Settings:
    """The settings of the crawl, in which `crawler set` may have changed the rules."""
    try:
        return session.settings.with_stored(frontier.crawldb.settings())
    except CrawlerError:  # Redis is away, or the crawl was deleted
        return session.settings
