"""When a page is due to be visited again. Pure; times are in seconds, those of states since the epoch.

The interval of a page adapts to what its visits find, as Nutch's AdaptiveFetchSchedule and Heritrix's do: half as long
after a change, one and a half times as long otherwise. So it settles where about 37 % of the visits find a change.
"""

from __future__ import annotations

from typing import Final, Protocol

from crawler.units import shown_time
from crawler.url_state import UrlState

AFTER_CHANGE: Final = 0.5
AFTER_NONE: Final = 1.5
LEAST_BY_HINT: Final = 0.5
MOST_BY_HINT: Final = 2
"""What a server says about freshness changes an interval to at least and at most this many times its length."""
LATE: Final = 86_400
"""Seconds by which clocks may differ: a date further in the future is wrong."""
_DAY: Final = 86_400
UNASKED: Final = frozenset({"dropped:trap", "dropped:scope", "dropped:limit", "failed:bad-entry"})
"""Outcomes of URLs that a crawl refuses by its own rules: another visit would end in the same way."""


SETTINGS: Final = frozenset({"interval", "min_interval", "max_interval"})
"""Names of the settings of the schedule."""


class Intervals(Protocol):
    """The settings of the schedule."""

    @property
    def interval(self) -> float:
        """Until the second visit of a page."""

    @property
    def min_interval(self) -> float:
        """The shortest time between two visits."""

    @property
    def max_interval(self) -> float:
        """The longest; it wins if it is below `min_interval`."""


def next_interval(before: int, changed: bool, settings: Intervals, freshness: int | None = None) -> int:
    """Seconds until the next visit, after one that found the page *changed* or not.

    *before* is the interval that led to this visit, 0 if the schedule has not adapted it yet. *freshness* is what the
    server says (see Response.freshness). It replaces the adapted interval if it is between half and twice as long, and
    a longer one counts as twice. A shorter one is ignored: most servers say minutes for pages that do not change in
    years. After a change it is ignored too, for the server was wrong.
    """
    adapted = _bounded(before or settings.interval, settings) * (AFTER_CHANGE if changed else AFTER_NONE)
    if freshness is not None and not changed and freshness >= adapted * LEAST_BY_HINT:
        adapted = min(freshness, adapted * MOST_BY_HINT)
    return max(round(_bounded(adapted, settings)), 1)


def due_at(state: UrlState, settings: Intervals) -> int | None:
    """When a page is due by its interval; None: never, or it is in a queue already."""
    if state.is_queued or state.outcome in UNASKED:
        return None
    return state.checked_at + max(round(_bounded(state.interval or settings.interval, settings)), 1)


def is_due(state: UrlState, now: int, settings: Intervals, lastmod: int | None = None) -> bool:
    """Whether a page is due at *now*: its interval is over, or a sitemap names a later change.

    *lastmod* is what the sitemap says. A date without a time counts until the end of its day (UTC). It makes a page due
    no earlier than `min_interval` after the last visit, and not at all if it lies in the future. A state that was
    checked in the future is wrong: it is due.
    """
    at = due_at(state, settings)
    if at is None:
        return False
    if now >= at or state.checked_at > now + LATE:
        return True
    if lastmod is None or lastmod > now + LATE:
        return False
    modified = lastmod if lastmod % _DAY else lastmod + _DAY - 1
    return modified > state.checked_at and now >= state.checked_at + _bounded(0, settings)


def contradiction(settings: Intervals) -> str:
    """What in the settings does not count, in words; empty if all does."""
    least, most, first = settings.min_interval, settings.max_interval, settings.interval
    if least > most:
        return f"min-interval is longer than max-interval, so each page is visited every {shown_time(most)}"
    if first < least:
        return f"interval is shorter than min-interval, so it counts as {shown_time(least)}"
    return f"interval is longer than max-interval, so it counts as {shown_time(most)}" if first > most else ""


def _bounded(seconds: float, settings: Intervals) -> float:
    return min(max(seconds, settings.min_interval), settings.max_interval)
