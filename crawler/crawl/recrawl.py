"""What a recrawl needs beside workers: a sweep that finds something to do, and a verdict at the end."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from crawler.crawl.choice import Choice
from crawler.crawl.pool import machine
from crawler.crawl.session import Session
from crawler.crawl.sweep import NOTHING, Sweep, run
from crawler.errors import NothingFetched, UsageError
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import OVER
from crawler.frontier.status import Status
from crawler.text import lasting

_FAILED: Final = "failed"


def sweep_of(session: Session, frontier: Frontier, choice: Choice) -> Sweep:
    """The sweep of this process. UsageError if nothing was ever visited."""
    if not (frontier.state().ended or frontier.crawldb.counters().get("revisited")):
        raise UsageError(
            f"crawl {session.settings.crawl!r} has visited nothing yet, so there is nothing to visit again:"
            " `crawler run` begins with that"
        )
    sweep = Sweep(frontier, session.settings, choice, f"{machine()}-{os.getpid()}")
    sweep.say = session.say
    return sweep


def finds_nothing(sweep: Sweep, stopped: Callable[[], bool]) -> bool:
    """Sweep until something is queued, or another process sweeps; whether it came to its end before that.

    One that follows has no end.
    """
    try:
        return run(sweep, stopped, lambda: sweep.queued > 0 or sweep.waits or sweep.follows)
    except BaseException:
        sweep.release()
        raise


def queue(sweep: Sweep, stopped: Callable[[], bool]) -> bool:
    """Sweep, and leave the visits to others; whether it came to its end."""
    try:
        return run(sweep, stopped)
    finally:
        sweep.release()


def nothing_due(sweep: Sweep, frontier: Frontier) -> str:
    """That nothing is due, and when something will be, in words."""
    if sweep.next_due is not None:
        return f"{NOTHING}; the next URL will be in {lasting(max(sweep.next_due - frontier.crawldb.clock() / 1000, 0))}"
    if not sweep.choice.has_filter or frontier.state().waiting:  # what fits may wait already
        return NOTHING
    hint = " (`crawler hosts` lists them, with their ports)" if sweep.choice.hosts else ""
    return f"{NOTHING}: no URL that was visited fits {sweep.choice}{hint}"


def refuse_failed(status: Status) -> None:
    """Raise NothingFetched if all that the visit asked for failed, or no page of the crawl is good."""
    failed = status.found.get(_FAILED, 0)
    if (failed and failed == sum(status.found.values())) or (status.fetched == 0 and status.state in OVER):
        raise NothingFetched(
            "nothing was fetched in this visit: `crawler status`, `crawler failed` and `crawler fetch URL` tell why"
        )
