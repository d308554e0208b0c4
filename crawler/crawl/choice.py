"""Which URLs a recrawl takes: by their schedule, or by age, host, a pattern, and how the last visit ended."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from crawler import url as urls
from crawler.errors import UsageError
from crawler.frontier.blocks import name_of
from crawler.pattern import Pattern, compile_pattern
from crawler.policy import schedule
from crawler.policy.schedule import Intervals
from crawler.record import OUTCOMES
from crawler.units import duration, shown_time
from crawler.url_state import UrlState

DUE: Final = "what is due by schedule"
CHECK: Final = "what a check asks for"
FRESH: Final = 86_400
"""Seconds for which a target out of scope that was good counts as good."""
_CHECKED: Final = "checked"
_BAD_ENTRY: Final = "failed:bad-entry"
_STATUS: Final = re.compile(r"[1-9](?:[0-9]{2}|[xX]{2})")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which URLs that have ended are due. All that is named must hold; UsageError for what cannot be used.

    Without `older_than` and filters, and always with `follows`, the schedule decides (see `policy/schedule.py`). With a
    filter alone all URLs are due that it lets pass.
    """

    older_than: float | None = None
    """Seconds since the last visit, when the sweep begins; 0: all."""
    hosts: tuple[str, ...] = ()
    """Hosts, or `*.name` for a name and all below it."""
    match: str = ""
    """A regular expression that is searched for in the URL."""
    status: tuple[str, ...] = ()
    """Statuses (`404`), classes of them (`5xx`), outcomes (`failed:dns`) and first words of these (`failed`)."""
    follows: bool = False
    """The sweep is repeated for ever."""
    checks: bool = False
    """It is for another check: of targets out of the crawl's scope, those that were good lately are not asked again."""
    _names: frozenset[str] = field(init=False, repr=False, compare=False)
    _pattern: Pattern | None = field(init=False, repr=False, compare=False)
    _ends: frozenset[int | str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check and read all."""
        if self.follows and self.older_than is not None and self.older_than < 1:
            raise UsageError("--follow needs an --older-than of at least 1s: else it would never rest")
        object.__setattr__(self, "_names", frozenset(map(name_of, self.hosts)))
        object.__setattr__(self, "_ends", frozenset(end for name in self.status for end in _ends_of(name)))
        try:
            object.__setattr__(self, "_pattern", compile_pattern(self.match) if self.match else None)
        except ValueError as error:
            raise UsageError(f"--match {self.match!r} cannot be used: {error}") from None

    @classmethod
    def of(
        cls, older_than: Any = None, hosts: Iterable[str] = (), match: str | None = None, status: Iterable[str] = ()
    ) -> Choice:
        """From what a user gives. *older_than* is a time such as 7d, seconds, or a timedelta."""
        items = (item.strip() for value in status for item in value.split(","))
        if match == "":
            raise UsageError(
                "--match is empty: leave it out, or give a regular expression; --older-than 0 takes all URLs"
            )
        if isinstance(older_than, timedelta):
            older_than = older_than.total_seconds()
        try:
            age = None if older_than is None else duration(str(older_than))
        except ValueError as error:
            raise UsageError(f"--older-than {older_than!r} cannot be used: {error}") from None
        return cls(age, tuple(hosts), match or "", tuple(sorted(set(items))))

    @classmethod
    def of_check(cls) -> Choice:
        """What another check of a site asks for: all, but for what `is_fresh`."""
        return cls(0.0, checks=True)

    @property
    def has_filter(self) -> bool:
        """It takes only URLs of some hosts, that match, or that ended in some way."""
        return bool(self.hosts or self.match or self.status)

    @property
    def is_scheduled(self) -> bool:
        """The schedule decides when a URL is due."""
        return self.older_than is None and (self.follows or not self.has_filter)

    def __str__(self) -> str:
        """The same words for the same choice, as options of the command."""
        if self.checks:
            return CHECK
        age = shown_time(self.older_than) if self.older_than else "0"
        options = [
            *(["--follow"] if self.follows and self.is_scheduled and self.has_filter else []),
            *([] if self.older_than is None else [f"--older-than {age}"]),
            *(f"--host {name}" for name in sorted(self._names)),
            *([f"--match {shlex.quote(self.match)}"] if self.match else []),
            *([f"--status {','.join(self.status)}"] if self.status else []),
        ]
        return " ".join(options) or DUE

    def takes(self, state: UrlState, began: int, now: int, settings: Intervals) -> bool:
        """Whether a URL is due at *now*, in a sweep that *began* then (both in seconds since the epoch)."""
        if state.is_queued or not self._passes(state):
            return False
        if self.is_scheduled:
            return schedule.is_due(state, now, settings)
        return state.checked_at <= began - (self.older_than or 0)

    def is_fresh(self, state: UrlState, began: int) -> bool:
        """Whether this is a target that need not be asked again, if it is out of scope: it was good a short while ago.

        *began*: when the sweep did (seconds since the epoch).
        """
        return self.checks and state.is_target and state.outcome == _CHECKED and state.checked_at > began - FRESH

    def due_at(self, state: UrlState, settings: Intervals) -> int | None:
        """When a URL that is not due yet will be; None: not by itself."""
        if state.is_queued or not self._passes(state):
            return None
        if self.is_scheduled:
            return schedule.due_at(state, settings)
        return None if self.older_than is None else state.checked_at + round(self.older_than)

    def _passes(self, state: UrlState) -> bool:
        if state.outcome == _BAD_ENTRY:  # there is no URL to ask
            return False
        if self._ends:
            if not {state.outcome, state.outcome.partition(":")[0], state.status} & self._ends:
                return False
        elif state.outcome in schedule.UNASKED:  # only where their outcome is named
            return False
        if self._names and not _is_of(urls.host(state.url), self._names):
            return False
        return self._pattern is None or self._pattern.search(state.url.encode()) is not None


def _is_of(host: str, names: frozenset[str]) -> bool:
    """Whether one of *names* means *host*, as in `blocks`."""
    if host in names:
        return True
    labels = host.partition(":")[0].split(".")
    return any(f"*.{'.'.join(labels[n:])}" in names for n in range(len(labels)))


def _ends_of(name: str) -> Iterable[int | str]:
    if _STATUS.fullmatch(name):
        first = int(name.lower().replace("x", "0"))
        return range(first, first + (100 if name[1] in "xX" else 1))
    if name in OUTCOMES or any(outcome.startswith(f"{name}:") for outcome in OUTCOMES):
        return [name]
    raise UsageError(
        f"--status {name!r}: a status such as 404, a class such as 5xx, or an outcome is needed: failed, dropped,"
        f" {', '.join(OUTCOMES)}"
    )
