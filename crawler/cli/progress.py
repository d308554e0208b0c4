"""Runs the workers of a command: their progress meanwhile, a summary at the end."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from crawler.cli.terminal import line, say
from crawler.crawl.session import Session
from crawler.errors import CrawlerError
from crawler.frontier.frontier import Frontier
from crawler.monitor import screen
from crawler.monitor.progress import Progress
from crawler.settings import Settings
from crawler.text import printable

if TYPE_CHECKING:
    from crawler.crawl.supervisor import Ended
    from crawler.crawl.sweep import Sweep


def run_with_summary(
    session: Session, frontier: Frontier, *, until_done: bool = True, sweep: Sweep | None = None
) -> Ended:
    """Run workers until the crawl is over or a signal arrives, and print how it ended."""
    from crawler.crawl.supervisor import Way, run_workers  # loads all that a worker needs; other commands do not
    from crawler.monitor.rule_notes import rule_notes
    from crawler.worker.options import rules_of

    ended = run_workers(session, frontier, Way(until_done, True, sweep), show=Progress(line, say))
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
