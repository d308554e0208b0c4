"""Dead letters: URLs that were given up. Which there are, and how they are queued again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from crawler import url as urls
from crawler.errors import InvalidURL, OutOfMemory, UsageError
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.shards.records import Letter
from crawler.monitor.explain import explain
from crawler.monitor.revive import revive
from crawler.record import OUTCOMES, Record, Request
from crawler.settings import Settings
from crawler.units import moment

BAD_ENTRY: Final = "failed:bad-entry"
UNREADABLE: Final = "unreadable"
TRAP: Final = "dropped:trap"
_FAILED: Final = "failed:"
_SCOPE: Final = "dropped:scope"
"""A URL that changed filters refuse: tried again where it is named, or its reason is."""
NOT_AGAIN: Final = {
    BAD_ENTRY: "a foreign client wrote it into a queue, so there is no URL to try again",
    UNREADABLE: "its stored record cannot be read: does another version write it?",
}
"""Dead letters that cannot be tried again, and why."""


# -- which -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters to take; empty fields match any. Times are in milliseconds of the server's clock."""

    reasons: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None

    @classmethod
    def of(
        cls, crawldb: CrawlDb, reasons: Iterable[str], hosts: Iterable[str], since: str | None, until: str | None
    ) -> Filter:
        """From what a user names: outcomes with or without `failed:`, hosts, times ago or dates."""
        now = crawldb.clock()
        return cls(
            frozenset(map(_outcome, reasons)),
            frozenset(map(_host, hosts)),
            None if since is None else _moment("--since", since, now),
            None if until is None else _moment("--until", until, now),
        )

    def __bool__(self) -> bool:
        """Whether it excludes anything."""
        return bool(self.reasons or self.hosts) or (self.since, self.until) != (None, None)

    def pick(self, crawldb: CrawlDb) -> Iterator[Letter]:
        """The matching dead letters, oldest first; what was dropped is there only if its reason is asked for."""
        for letter in crawldb.records.letters(self.since, self.until):
            reason = reason_of(letter)
            if reason not in self.reasons if self.reasons else reason in (TRAP, _SCOPE):
                continue
            if self.hosts and (letter.record is None or urls.host(letter.record.url) not in self.hosts):
                continue
            yield letter


def reason_of(letter: Letter) -> str:
    """The outcome of a dead letter, or UNREADABLE."""
    return UNREADABLE if letter.record is None else letter.record.outcome


def _outcome(name: str) -> str:
    outcome = name if name.startswith(_FAILED) or name == _SCOPE else _FAILED + name
    if outcome not in OUTCOMES:
        known = ", ".join(word.removeprefix(_FAILED) for word in OUTCOMES if word.startswith(_FAILED))
        hint = "; `crawler quarantine` has traps" if name in ("trap", TRAP) else ""
        raise UsageError(f"--reason {name!r}: there are {known}, {_SCOPE}{hint}")
    return outcome


def _host(name: str) -> str:
    try:
        return urls.host(urls.canonicalize(name if "://" in name else f"http://{name}/"))
    except InvalidURL:
        raise UsageError(f"--host {name!r}: a host such as example.org or example.org:8080 is needed") from None


def _moment(flag: str, text: str, now: int) -> int:
    try:
        return moment(text, now)
    except ValueError as error:
        raise UsageError(f"{flag} {text!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class Failure:
    """A URL that was given up. Fields are None if unknown."""

    id: str
    """The id of the URL in this crawl."""
    outcome: str
    """Why: `failed:timeout`, for example; `unreadable` if its record cannot be read."""
    failed_at: str
    """When (RFC 3339, UTC)."""
    url: str | None = None
    """The URL in its canonical form."""
    error: str | None = None
    """What went wrong, in words."""
    status: int | None = None
    """Status code of the last answer."""
    attempts: int | None = None
    """Number of attempts."""
    depth: int | None = None
    """Number of links from a seed."""
    host: str | None = None
    """The host, with its port if it is not that of the scheme."""
    via: str | None = None
    """URL of the page on which it was first found."""

    def to_dict(self) -> dict[str, Any]:
        """The fields that are known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def failures(crawldb: CrawlDb, letters: Iterable[Letter]) -> Iterator[Failure]:
    """Dead letters as values for users."""
    for letter in letters:
        record, bare = letter.record, Failure(letter.id, reason_of(letter), letter.when)
        if record is None:
            yield bare
            continue
        known = {name: getattr(record, name) for name in ("url", "error", "status", "attempts", "depth")}
        via = crawldb.records.urls([record.via]).get(record.via) if record.via else None
        yield replace(bare, **known, host=urls.host(record.url), via=via)


# -- again -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Retried:
    """What became of the dead letters to be retried."""

    queued: int = 0
    """URLs that were queued again."""
    left: Counter[str] = field(default_factory=Counter)
    """Those that cannot be retried, by reason."""
    refused: int = 0
    """Named URLs that are no dead letters."""

    def to_dict(self) -> dict[str, Any]:
        """The counts, for programs."""
        return {"queued": self.queued, "left": dict(self.left), "refused": self.refused}


def letters_of(
    frontier: Frontier, settings: Settings, named: Sequence[str], retried: Retried, say: Callable[[str], None]
) -> Iterator[Letter]:
    """The dead letters among *named* URLs. Each of the others is counted, and *say* gets its state."""
    for given in named:
        try:
            url = frontier.form.apply(urls.given(given))
            asked = (frontier.shards[0].id_of(Request(url, target=target)) for target in (False, True))
            letter = next(filter(None, map(frontier.crawldb.records.letter, asked)), None)
            if letter is not None and reason_of(letter) != TRAP:
                yield letter
                continue
            state = explain(frontier, settings, given).state
            hint = ": see `crawler quarantine`" if state == TRAP else ""
            say(f"{given} is no dead letter, it is {state}{hint}")
        except InvalidURL as error:
            say(str(error))
        retried.refused += 1


def retry(frontier: Frontier, letters: Iterable[Letter], retried: Retried, *, dry_run: bool = False) -> None:
    """Queue dead letters again, as if never tried; count them in *retried*."""

    def again() -> Iterator[tuple[int, Record]]:
        for letter in letters:
            if letter.record is None or reason_of(letter) in NOT_AGAIN:
                retried.left[reason_of(letter)] += 1
            else:
                yield letter.at, letter.record

    try:
        for queued in (1 for _ in again()) if dry_run else revive(frontier, again()):
            retried.queued += queued
    except OutOfMemory as error:
        raise OutOfMemory(f"{error}; {retried.queued:,} are queued again, run the command again then") from None
