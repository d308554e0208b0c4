"""`crawler hosts`, `block` and `unblock`: the hosts of a crawl, and which of them are not asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from crawler.cli.options import OF_REDIS, examples, load_given, settings
from crawler.cli.terminal import echo_json, say
from crawler.crawl.hosts import SORTS, check_of_host, listed, set_for
from crawler.crawl.session import Session
from crawler.errors import UsageError
from crawler.frontier import blocks
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.host_facts import HostRow
from crawler.settings import TABLE, format_value, parse_change
from crawler.text import counted, option_name, printable


@click.command(
    short_help="the hosts of the crawl",
    epilog=examples("crawler hosts", "crawler hosts --failing", "crawler hosts '*.example.org' --sort errors --json"),
)
@click.argument("match", required=False)
@click.option("--failing", is_flag=True, help="only hosts that fail now")
@click.option("--blocked", is_flag=True, help="only blocked hosts")
@click.option("--sort", type=click.Choice(list(SORTS)), default="queued", help="what comes first (queued)")
@click.option("--limit", type=click.IntRange(1), help="only so many")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line on stdout")
@settings(*OF_REDIS)
def hosts(
    match: str | None, failing: bool, blocked: bool, sort: str, limit: int | None, as_json: bool, **given: Any
) -> int:
    """List hosts: URLs queued, in flight, ended and failed, latency, when each is next due, and what is wrong.

    MATCH is a host, or a pattern such as '*.example.org'.
    """
    with Session(load_given(given), say, begins=False) as session:
        crawldb = session.find().crawldb
        rows = listed(crawldb, match or "", failing=failing, blocked=blocked, sort=sort, limit=limit)
        names = crawldb.hosts.blocked()
    if as_json:
        for row in rows:
            echo_json(row.to_dict())
        return 0
    for line in _table(rows):
        click.echo(printable(line))
    if not rows:
        say("no such host" if match or failing or blocked else "the crawl has no hosts yet")
    if names and not match:
        say(f"blocked: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}")
    return 0


def _table(rows: Sequence[HostRow]) -> list[str]:
    if not rows:
        return []
    width = min(max(len(row.host) for row in rows), 40)
    head = f"{'host':<{width}} {'queued':>9} {'flight':>6} {'done':>9} {'errors':>7} {'ms':>6} {'due':>8}  state"
    return [head, *(_line(row, width) for row in rows)]


def _line(row: HostRow, width: int) -> str:
    state = "blocked" if row.blocked else row.trouble.text if row.trouble else ""
    due = f"{row.due_in_ms / 1000:.1f} s" if row.queued and row.due_in_ms else ""
    numbers = f"{row.queued:>9,} {row.in_flight:>6} {row.done:>9,} {row.errors:>7,} {row.latency_ms:>6,} {due:>8}"
    return f"{row.host:<{width}} {numbers}  {state}".rstrip()


@click.command(
    short_help="hand out no URL of a host",
    epilog=examples("crawler block shop.example.org", "crawler block '*.example.org' example.com:8080"),
)
@click.argument("names", nargs=-1, required=True, metavar="HOST...")
@settings(*OF_REDIS)
def block(names: tuple[str, ...], **given: Any) -> int:
    """Hand out no URL of HOST until `crawler unblock`, and accept none; pages in flight finish.

    HOST is a name (for ports 80 and 443), name:port, or *.name for a name and all below it. What is queued stays.
    """
    with Session(load_given(given), say, begins=False) as session:
        hosts, held = blocks.block(session.find(), list(map(blocks.name_of, names)))
        known = counted(hosts, "known host")
        say(f"blocked: {', '.join(names)} ({known}, {held:,} URLs are held); `crawler unblock` hands them out again")
    return 0


@click.command(short_help="hand out the URLs of a host again", epilog=examples("crawler unblock shop.example.org"))
@click.argument("names", nargs=-1, required=True, metavar="HOST...")
@settings(*OF_REDIS)
def unblock(names: tuple[str, ...], **given: Any) -> int:
    """Hand out the URLs of HOST again, at once; HOST as it was blocked."""
    with Session(load_given(given), say, begins=False) as session:
        known, waiting = blocks.unblock(session.find(), list(map(blocks.name_of, names)))
        if not known:
            raise UsageError(f"{', '.join(names)} is not blocked; `crawler hosts --blocked` lists what is")
        say(f"unblocked: {', '.join(names)} ({waiting:,} URLs wait again; links refused meanwhile are not remembered)")
    return 0


def set_for_hosts(frontier: Frontier, key: str, values: tuple[str, ...], hosts: Sequence[str]) -> int:
    """`crawler set KEY [VALUE] --host HOST...`."""
    names = list(map(blocks.name_of, hosts))
    check_of_host(key)
    if not values:
        stored_here = frontier.crawldb.hosts.settings()
        for name in names:
            click.echo(printable(_shown(key, stored_here.get(f"{key} {name}"))))
        return 0
    value = None if values == ("none",) else parse_change(key, values)
    known = set_for(frontier, key, value, names)
    shown = "as the crawl's" if value is None else format_value(key, value)
    say(f"{option_name(key)} of {', '.join(names)}: {shown} ({counted(known, 'known host')})")
    return 0


def settings_of_hosts(crawldb: CrawlDb) -> Iterator[str]:
    """The settings of single hosts, a line each."""
    for of, value in sorted(crawldb.hosts.settings().items()):
        key, _, name = of.partition(" ")
        yield f"{option_name(key):<20} {_shown(key, value)}  ({name})"


def _shown(key: str, stored: int | None) -> str:
    """A setting of a host as stored: a delay in ms."""
    if stored is None:
        return "as the crawl's"
    return format_value(key, stored / 1000 if key == "delay" else stored) if key in TABLE else str(stored)
