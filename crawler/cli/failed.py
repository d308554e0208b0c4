"""`crawler failed` lists dead letters; `crawler retry` puts them back into the queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

import click

from crawler import url as urls
from crawler.cli.options import OF_REDIS, examples, load_given, settings
from crawler.cli.terminal import echo_json, say
from crawler.crawl.session import Session
from crawler.errors import UsageError
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.shards.records import Letter
from crawler.frontier.status import workers_alive
from crawler.monitor.dead_letters import NOT_AGAIN, Filter, Retried, failures, letters_of, reason_of
from crawler.monitor.dead_letters import retry as again
from crawler.text import counted, printable

F = TypeVar("F", bound=Callable[..., Any])

_HOSTS_SHOWN: Final = 10


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
    reasons, hosts, since, until = (given.pop(name) for name in ("reasons", "hosts", "since", "until"))
    return lambda crawldb: Filter.of(crawldb, reasons, hosts, since, until)


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
    return (failure.to_dict() for failure in failures(crawldb, islice(letters, limit)))


def _line(row: dict[str, Any]) -> str:
    said = row.get("error") or (f"status {row['status']}" if "status" in row else "")
    return printable(f"{row['failed_at']}  {row['outcome']:<24} {row.get('url', row['id'])}  {said}").rstrip()


def _summary(crawl: str, letters: Iterable[Letter]) -> list[str]:
    reasons, hosts = Counter[str](), Counter[str]()
    first = last = None
    for letter in letters:
        first, last = first or letter, letter
        reasons[reason_of(letter)] += 1
        if letter.record is not None:
            hosts[urls.host(letter.record.url)] += 1
    if first is None or last is None:
        return [f"crawl {crawl!r}: no dead letters"]
    lines = [f"crawl {crawl!r}: {counted(reasons.total(), 'dead letter')}, from {first.when} to {last.when}"]
    lines += [f"  {n:>9,}  {reason}" for reason, n in reasons.most_common()]
    lines += ["  by host:", *(f"  {n:>9,}  {host}" for host, n in hosts.most_common(_HOSTS_SHOWN))]
    if len(hosts) > _HOSTS_SHOWN:
        lines.append(f"             and {len(hosts) - _HOSTS_SHOWN:,} more hosts")
    return [*lines, "`crawler failed --list` names them, `crawler retry --all` queues them again"]


# -- retry -------------------------------------------------------------------------------------------------------------


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
        of_urls = letters_of(frontier, session.settings, named, retried, say)
        again(frontier, of_urls if named else picked.pick(crawldb), retried, dry_run=dry_run)
        if as_json:
            echo_json(retried.to_dict())
        else:
            _report(session, frontier, retried, dry_run)
    return 2 if retried.refused else 0


def _report(session: Session, frontier: Frontier, retried: Retried, dry_run: bool) -> None:
    for reason, n in retried.left.items():
        say(f"{n:,} {reason} cannot be tried again: {NOT_AGAIN[reason]}")
    if dry_run:
        say(f"{counted(retried.queued, 'URL')} would be queued again")
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
        say(f"{counted(retried.queued, 'URL')} queued again; {then}")
    elif not retried.refused:
        say("there is nothing to try again")
