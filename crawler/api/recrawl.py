"""The choice of a recrawl as keyword arguments of `Crawl.recrawl`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from types import UnionType
from typing import Any, TypedDict

from crawler import headers
from crawler.api.access import Access
from crawler.crawl.choice import Choice
from crawler.crawl.purpose import NO_PURPOSE
from crawler.crawl.recrawl import finds_nothing, nothing_due, queue, sweep_of
from crawler.crawl.signals import forget
from crawler.crawl.supervisor import Way
from crawler.errors import UsageError
from crawler.frontier.frontier import Frontier
from crawler.keywords import Number, Strings
from crawler.text import did_you_mean


class RecrawlOptions(TypedDict, total=False):
    """See `Crawl.recrawl`."""

    older_than: Number | timedelta
    """Last visited longer ago than this: "7d", seconds, or a timedelta; 0: all."""
    host: Strings
    """Of these hosts, or of *.name."""
    match: str
    """A regular expression that is searched for in the URL."""
    status: Strings | int | Sequence[str | int]
    """That ended so: 404, "5xx", "failed", "failed:dns"; one or several."""
    queue_only: bool
    """Leave the visits to workers of others."""
    follow: bool
    """For ever, until it is stopped."""


def begin_recrawl(
    access: Access, options: RecrawlOptions, stops: Callable[[], int], *, show: bool
) -> tuple[Frontier, Way | None]:
    """The crawl, and how workers are to be run for its recrawl; None if there is nothing (more) to do.

    *show*: say so where nothing is due.
    """
    choice, queue_only = choice_of(options), options.get("queue_only", False)
    headers.require_hosts(access.loaded.settings.header, access.purpose.sources or access.origins)
    access.check_hook()
    frontier = access.join(NO_PURPOSE, runs=not queue_only, begins=False)
    forget()
    sweep = sweep_of(access.session, frontier, choice)
    if queue_only:
        queue(sweep, lambda: stops() > 0)
        return frontier, None
    is_over = finds_nothing(sweep, lambda: stops() > 0)
    if not (is_over and frontier.state().idle):
        return frontier, Way(not choice.follows, sweep=None if is_over else sweep)
    if show:
        access.say(nothing_due(sweep, frontier))
    return frontier, None


def choice_of(options: RecrawlOptions) -> Choice:
    """What *options* choose. UsageError for what cannot be used."""
    for name in options:
        if name not in RecrawlOptions.__annotations__:
            known = did_you_mean(name, RecrawlOptions.__annotations__, "docs/recrawl.md lists them")
            raise UsageError(f"{name!r} is no choice of a recrawl: {known}")
    match = options.get("match")
    if not isinstance(match, str | None):
        raise UsageError(f"match={match!r}: a regular expression as text is needed")
    hosts, status = _texts("host", options.get("host"), str), _texts("status", options.get("status"), str | int)
    found = Choice.of(options.get("older_than"), hosts, match, status)
    return replace(found, follows=bool(options.get("follow")))


def _texts(name: str, given: Any, kind: type | UnionType) -> list[str]:
    """One of *kind*, or several, as texts. UsageError for anything else."""
    several = [given] if isinstance(given, kind) else [] if given is None else given
    if not isinstance(several, Iterable) or not all(isinstance(one, kind) for one in several):
        raise UsageError(f"{name}={given!r}: a text is needed, or several of them")
    return list(map(str, several))
