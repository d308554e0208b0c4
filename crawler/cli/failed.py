"""`crawler failed` lists dead letters; `crawler retry` puts them back into the queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

import click

from crawler import url as urls
from crawler.cli.explain import TRAP
from crawler.cli.options import OF_REDIS, examples, load_given, settings
from crawler.cli.terminal import echo_json, say
from crawler.crawl.session import Session
from crawler.errors import InvalidURL, OutOfMemory, UsageError
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.shards.records import Letter
from crawler.frontier.status import workers_alive
from crawler.monitor.explain import explain
from crawler.monitor.revive import revive
from crawler.record import OUTCOMES, Record
from crawler.text import printable
from crawler.units import duration

F = TypeVar("F", bound=Callable[..., Any])

BAD_ENTRY: Final = "failed:bad-entry"
UNREADABLE: Final = "unreadable"
_FAILED: Final = "failed:"
_SCOPE: Final = "dropped:scope"
"""A URL that changed filters refuse: tried again where it is named, or its reason is."""
_HOSTS_SHOWN: Final = 10
_NOT_AGAIN: Final = {
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

    def __bool__(self) -> bool:
        """Whether it excludes anything."""
        return bool(self.reasons or self.hosts) or (self.since, self.until) != (None, None)

    def pick(self, crawldb: CrawlDb) -> Iterator[Letter]:
        """The matching dead letters, oldest first; what was dropped is there only if its reason is asked for."""
        for letter in crawldb.records.letters(self.since, self.until):
            reason = _reason(letter)
            if reason not in self.reasons if self.reasons else reason in (TRAP, _SCOPE):
                continue
            if self.hosts and (letter.record is None or urls.host(letter.record.url) not in self.hosts):
                continue
            yield letter


def _reason(letter: Letter) -> str:
    return UNREADABLE if letter.record is None else letter.record.outcome


def filters(command: F) -> F:
    """The options that pick dead letters."""
    for option in (
        click.option("--until", metavar="TIME", help="failed before then: 2h (ago), 2026-01-31, 2026-01-31T12:00:00Z"),
        click.option("--since", metavar="TIME", help="failed since then"),
        click.option("--host", "hosts", metavar="HOST", multiple=True, help="of this host, with its port if any"),
        click.option("--reason", "reasons", metavar="OUTCOME", multiple=True, help="timeout, dns, http, crash, ..."),
    ):
        command = option(command)
    return command


def _taken_from(given: dict[str, Any]) -> Callable[[CrawlDb], Filter]:
    """The filter that the options of `filters` ask for; they are removed from *given*."""
    return partial(_filter, *(given.pop(name) for name in ("reasons", "hosts", "since", "until")))


def _filter(
    reasons: Sequence[str], hosts: Sequence[str], since: str | None, until: str | None, crawldb: CrawlDb
) -> Filter:
    now = crawldb.clock()
    return Filter(
        frozenset(map(_outcome, reasons)),
        frozenset(map(_host, hosts)),
        None if since is None else _moment("--since", since, now),
        None if until is None else _moment("--until", until, now),
    )


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
    """A time ago, or a date (RFC 3339; without a zone it is UTC), in milliseconds."""
    try:
        return now - round(duration(text) * 1000)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        hint = "a time ago such as 2h, or a date such as 2026-01-31T12:00:00Z is needed"
        raise UsageError(f"{flag} {text!r}: {hint}") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


# -- failed ------------------------------------------------------------------------------------------------------------


@click.command(
    "failed",
    short_help="dead letters: URLs that were given up, and why",
    epilog=examples(
        "crawler failed                                   how many, by reason and host",
        "crawler failed --list --host example.org         one line each",
        "crawler failed --json --since 1h | jq .url",
    ),
)
@click.option("--list", "as_list", is_flag=True, help="one line each: when, reason, URL, error")
@click.option("--limit", metavar="N", type=click.IntRange(min=0), help="list at most N")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line on stdout")
@filters
@settings(*OF_REDIS)
def failed(as_list: bool, limit: int | None, as_json: bool, **given: Any) -> int:
    """List the URLs that were given up: how many by reason and host, or with --list one by one, oldest first."""
    wanted = _taken_from(given)
    with Session(load_given(given), say, begins=False) as session:
        session.find()
        crawldb = session.crawldb
        found = wanted(crawldb).pick(crawldb)
        if as_json or as_list or limit is not None:
            for row in _rows(crawldb, found, limit):
                echo_json(row) if as_json else click.echo(_line(row))
        else:
            for text in _summary(session.settings.crawl, found):
                click.echo(printable(text))
    return 0


def _rows(crawldb: CrawlDb, letters: Iterable[Letter], limit: int | None) -> Iterator[dict[str, Any]]:
    for n, letter in enumerate(letters):
        if limit is not None and n >= limit:
            return
        row: dict[str, Any] = {"id": letter.id, "outcome": _reason(letter), "failed_at": letter.when}
        record = letter.record
        if record is not None:
            via = crawldb.records.urls([record.via]).get(record.via) if record.via else None
            kept = ("url", "error", "status", "attempts", "depth")
            row |= {name: value for name in kept if (value := getattr(record, name)) is not None}
            row |= {"host": urls.host(record.url)} | ({"via": via} if via else {})
        yield row


def _line(row: dict[str, Any]) -> str:
    said = row.get("error") or (f"status {row['status']}" if "status" in row else "")
    return printable(f"{row['failed_at']}  {row['outcome']:<24} {row.get('url', row['id'])}  {said}").rstrip()


def _summary(crawl: str, letters: Iterable[Letter]) -> list[str]:
    reasons, hosts = Counter[str](), Counter[str]()
    first = last = None
    for letter in letters:
        first, last = first or letter, letter
        reasons[_reason(letter)] += 1
        if letter.record is not None:
            hosts[urls.host(letter.record.url)] += 1
    if first is None or last is None:
        return [f"crawl {crawl!r}: no dead letters"]
    lines = [f"crawl {crawl!r}: {_counted(reasons.total(), 'dead letter')}, from {first.when} to {last.when}"]
    lines += [f"  {n:>9,}  {reason}" for reason, n in reasons.most_common()]
    lines += ["  by host:", *(f"  {n:>9,}  {host}" for host, n in hosts.most_common(_HOSTS_SHOWN))]
    if len(hosts) > _HOSTS_SHOWN:
        lines.append(f"             and {len(hosts) - _HOSTS_SHOWN:,} more hosts")
    return [*lines, "`crawler failed --list` names them, `crawler retry --all` queues them again"]


# -- retry -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Retried:
    """What became of the dead letters to be retried."""

    queued: int = 0
    left: Counter[str] = field(default_factory=Counter)
    """Those that cannot be retried, by reason."""
    refused: int = 0
    """Named URLs that are no dead letters."""


@click.command(
    "retry",
    short_help="queue dead letters again",
    epilog=examples(
        "crawler retry --all",
        "crawler retry --reason timeout --host example.org",
        "crawler retry https://example.org/page",
        "crawler retry --since 2h --dry-run",
    ),
)
@click.argument("named", nargs=-1, metavar="[URL]...")
@click.option("--all", "of_all", is_flag=True, help="all dead letters")
@click.option("--dry-run", is_flag=True, help="show how many it would be, change nothing")
@click.option("--json", "as_json", is_flag=True, help="the result as one JSON object on stdout")
@filters
@settings(*OF_REDIS)
def retry(named: tuple[str, ...], of_all: bool, dry_run: bool, as_json: bool, **given: Any) -> int:
    """Put dead letters back into the queue, as if never tried. Hosts that were given up are tried again.

    Name URLs, or pick them by reason, host and time, or take --all. Safe to repeat, also while the crawl runs: a URL
    that was put back is no dead letter any more.
    """
    wanted = _taken_from(given)
    with Session(load_given(given), say, begins=False) as session:
        frontier, crawldb = session.find(), session.crawldb
        picked = wanted(crawldb)
        if bool(named) + (of_all or bool(picked)) != 1:
            raise UsageError("name URLs, or pick dead letters by --reason, --host, --since, --until, or take --all")
        retried = Retried()
        letters = _named(session, frontier, named, retried) if named else picked.pick(crawldb)
        _retry(frontier, letters, retried, dry_run)
        if as_json:
            echo_json({"queued": retried.queued, "left": dict(retried.left), "refused": retried.refused})
        else:
            _report(session, frontier, retried, dry_run)
    return 2 if retried.refused else 0


def _named(session: Session, frontier: Frontier, named: Sequence[str], retried: Retried) -> Iterator[Letter]:
    """The dead letters among *named* URLs. For each of the others, report its state."""
    for given in named:
        try:
            url_id = frontier.id(frontier.form.apply(urls.given(given)))
            letter = session.crawldb.records.letter(url_id)
            if letter is not None and _reason(letter) != TRAP:
                yield letter
                continue
            state = explain(frontier, session.settings, given).state
            hint = ": see `crawler quarantine`" if state == TRAP else ""
            say(f"{given} is no dead letter, it is {state}{hint}")
        except InvalidURL as error:
            say(str(error))
        retried.refused += 1


def _retry(frontier: Frontier, letters: Iterable[Letter], retried: Retried, dry_run: bool) -> None:
    def again() -> Iterator[tuple[int, Record]]:
        for letter in letters:
            if letter.record is None or _reason(letter) in _NOT_AGAIN:
                retried.left[_reason(letter)] += 1
            else:
                yield letter.at, letter.record

    try:
        for queued in (1 for _ in again()) if dry_run else revive(frontier, again()):
            retried.queued += queued
    except OutOfMemory as error:
        raise OutOfMemory(f"{error}; {retried.queued:,} are queued again, run the command again then") from None


def _report(session: Session, frontier: Frontier, retried: Retried, dry_run: bool) -> None:
    for reason, n in retried.left.items():
        say(f"{n:,} {reason} cannot be tried again: {_NOT_AGAIN[reason]}")
    if dry_run:
        say(f"{_counted(retried.queued, 'URL')} would be queued again")
    elif retried.queued:
        state = frontier.state().word
        works = (
            "running workers fetch them"
            if workers_alive(session.crawldb)
            else "`crawler run` or `crawler work` fetches them"
        )
        then = {
            "paused": "the crawl is paused, `crawler resume` continues it",
            "limit": "the crawl is at its limit",
        }.get(state, works)
        say(f"{_counted(retried.queued, 'URL')} queued again; {then}")
    elif not retried.refused:
        say("there is nothing to try again")


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")
