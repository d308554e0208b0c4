"""`crawler recrawl`: visits URLs again that are due."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import click

from crawler import headers
from crawler.cli.options import OF_CRAWL, OF_REDIS, examples, load_given, settings
from crawler.cli.progress import run_with_summary
from crawler.cli.terminal import say
from crawler.cli.usage import how_to_continue
from crawler.cli.working import OF_WORK, check, check_webhook, hint_at_failures
from crawler.crawl.choice import Choice
from crawler.crawl.session import Session
from crawler.crawl.signals import INTERRUPTED
from crawler.frontier.frontier import Frontier
from crawler.frontier.status import workers_alive
from crawler.settings import TABLE, Kind
from crawler.text import counted

_OF_CRAWL: Final = tuple(name for name in OF_CRAWL if TABLE[name].kind is Kind.CHANGEABLE)


@click.command(
    "recrawl",
    short_help="visit URLs again that are due",
    epilog=examples(
        "crawler recrawl                          what is due by schedule",
        "crawler recrawl --older-than 7d          what was not visited for a week; 0: everything",
        "crawler recrawl --status 404,failed      what was missing or failed",
        "crawler recrawl --match /news/ --host example.org",
        "crawler recrawl --queue-only             leave the visits to `crawler work`",
        "crawler recrawl --follow                 for ever, each URL when it is due",
    ),
)
@click.option("--older-than", metavar="TIME", help="last visited longer ago than this: 7d, 12h; 0: all")
@click.option("--host", "hosts", metavar="HOST", multiple=True, help="of this host, or of *.name; may be repeated")
@click.option("--match", metavar="REGEX", help="whose URL matches somewhere")
@click.option("--status", metavar="LIST", multiple=True, help="that ended so: 404, 5xx, failed, failed:dns, ...")
@click.option("--queue-only", is_flag=True, help="queue them and end; workers of other commands visit them")
@click.option("--follow", is_flag=True, help="do not end: queue each URL when it is due, for ever")
@settings(*_OF_CRAWL, *OF_WORK, *OF_REDIS)
def recrawl(
    older_than: str | None,
    hosts: tuple[str, ...],
    match: str | None,
    status: tuple[str, ...],
    queue_only: bool,
    follow: bool,
    **given: Any,
) -> int:
    """Queue the URLs that are due to be visited again, crawl until nothing is left, and print what was found.

    Without a choice those are due whose time has come by the schedule (--interval). With --host, --match or --status
    all of these are due, with --older-than those that were not visited for so long. New links are crawled as always.

    Ctrl-C stops cleanly; the same command continues, and asks for no page twice. One process at a time looks for what
    is due, over all machines; the same command on others helps with the visits.
    """
    choice = replace(Choice.of(older_than, hosts, match, status), follows=follow)
    loaded = load_given(given)
    check(loaded, ())
    headers.require_hosts(loaded.settings.header, ())
    check_webhook(loaded)
    with Session(loaded, say, begins=False) as session:
        frontier = session.create_or_join(runs=not queue_only)
        return _queue(session, frontier, choice) if queue_only else _visit(session, frontier, choice)


def _queue(session: Session, frontier: Frontier, choice: Choice) -> int:
    """Sweep, and leave the visits to others."""
    from crawler.crawl.recrawl import nothing_due, queue, sweep_of

    sweep = sweep_of(session, frontier, choice)
    with session.redis.interruptible() as stopped:
        is_over = queue(sweep, stopped)
    if not is_over:
        return 0 if choice.follows else _interrupted(session)
    if sweep.queued:
        works = "running workers visit them" if workers_alive(frontier.crawldb) else "`crawler work` visits them"
        say(f"{counted(sweep.queued, 'URL')} queued (visit {sweep.visit:,}); {works}")
    else:
        say(nothing_due(sweep, frontier))
    return 0


def _visit(session: Session, frontier: Frontier, choice: Choice) -> int:
    """Sweep, and run workers meanwhile."""
    from crawler.crawl.recrawl import finds_nothing, nothing_due, refuse_failed, sweep_of

    sweep = sweep_of(session, frontier, choice)
    with session.redis.interruptible() as stopped:
        is_over = finds_nothing(sweep, stopped)
        if stopped():
            sweep.release()
            return 0 if choice.follows else _interrupted(session)
    if is_over and frontier.state().idle:
        say(nothing_due(sweep, frontier))
        return 0
    if frontier.state().word == "paused":
        say(f"crawl {session.settings.crawl!r} is paused: `crawler resume` continues it")
    ended = run_with_summary(session, frontier, until_done=not choice.follows, sweep=None if is_over else sweep)
    hint_at_failures(ended.status)
    if ended.interrupted:
        return 0 if choice.follows else _interrupted(session)
    ended.refuse_stuck()
    refuse_failed(ended.status)
    session.refuse_failed_hook(ended.status)
    return 0


def _interrupted(session: Session) -> int:
    say(f"interrupted; {how_to_continue(session.loaded)}")
    return INTERRUPTED
