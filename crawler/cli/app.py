"""The program `crawler` and its commands run, seed, work, fetch and demo; errors become exit codes."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Final

import click

from crawler import headers
from crawler.cli.check import check as check_
from crawler.cli.dashboard import dashboard
from crawler.cli.events import events
from crawler.cli.explain import explain_, quarantine
from crawler.cli.export import check_output, export_, output_options, wanted_of, write_all
from crawler.cli.failed import failed, retry
from crawler.cli.fetch import fetch
from crawler.cli.hosts import block, hosts, unblock
from crawler.cli.imports import import_
from crawler.cli.metrics import metrics
from crawler.cli.options import DEMO_DELAY, OF_CRAWL, OF_REDIS, examples, load_given, settings
from crawler.cli.progress import run_with_summary
from crawler.cli.recrawl import recrawl
from crawler.cli.report import report
from crawler.cli.status import delete, delete_crawl, list_, pause, resume, set_, status
from crawler.cli.terminal import flush_stdout, lead_stdout_nowhere, line, occupy_standard_streams, say, show_warnings
from crawler.cli.usage import click_message, command_to_export, how_to_continue
from crawler.cli.working import OF_WORK, age, check, check_webhook, hint_at_failures
from crawler.crawl import signals
from crawler.crawl.purpose import Purpose
from crawler.crawl.seeds import Seeded
from crawler.crawl.session import Session
from crawler.crawl.signals import INTERRUPTED
from crawler.errors import CrawlerError, NothingFetched, OutputError, UsageError
from crawler.export import Output
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import OVER
from crawler.frontier.status import Monitor, Status
from crawler.settings import VERSION, Settings
from crawler.text import counted

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_DEFAULTS: Final = Settings()


class _InOrder(click.Group):
    """Lists commands in the order in which a user meets them, not alphabetically."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="crawler")
def cli() -> None:
    """A web crawler on a Redis queue: one command at home, many machines when needed.

    Without --redis it starts its own Redis in ./.crawler. With --redis the same commands work on many machines.
    """


# -- crawling ----------------------------------------------------------------------------------------------------------


@cli.command(
    short_help="seed, crawl until nothing is left, print a summary",
    epilog=examples(
        "crawler run https://example.org                     crawl a site, politely",
        "crawler run https://example.org -o pages.jsonl      and export what was found",
        "crawler run urls.txt --scope host --max-pages 1000  seeds from a file, one a line",
        "crawler run                                         continue after Ctrl-C",
    ),
)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@output_options("export the records when the crawl is done")
@click.option("--sitemap", "sitemaps", metavar="URL", multiple=True, help="read this sitemap as well")
@click.option("--add", is_flag=True, help="add SOURCEs of other sites to a crawl that exists")
@click.option("--fresh", is_flag=True, help="delete what this crawl has stored and start over (asks)")
@click.option("--yes", is_flag=True, help="do not ask")
@settings(*OF_CRAWL, *OF_WORK, *OF_REDIS)
def run(
    sources: tuple[str, ...],
    sitemaps: tuple[str, ...],
    add: bool,
    fresh: bool,
    yes: bool,
    **given: Any,
) -> int:
    """Seed SOURCEs (URLs, files of URLs, - for stdin), crawl until nothing is left, and print a summary.

    Ctrl-C stops cleanly; run the same command again to continue. Press it twice to stop at once.
    """
    wanted = wanted_of(given)
    loaded = load_given(given)
    check(loaded, sources, sitemaps)
    headers.require_hosts(loaded.settings.header, sources)
    check_webhook(loaded)
    if fresh and not (sources or sitemaps):
        raise UsageError("--fresh starts over: name the SOURCEs to start from")
    with (
        Output(wanted) if wanted else nullcontext() as output,
        Session(loaded, say, begins=bool(sources or sitemaps)) as session,
    ):
        if fresh and output is not None:
            output.refuse_state()
        if fresh:
            delete_crawl(session, yes, missing_ok=True)
        return _seed_and_crawl(session, Purpose(sources, sitemaps, add), output)


def _seed_and_crawl(session: Session, purpose: Purpose, output: Output | None) -> int:
    frontier = session.create_or_join(purpose, runs=True)
    if output is not None:
        _check_output(session, frontier, output)
    if session.made:
        _hint_at_contact(session)
    code = 2 if _seed(session, frontier, purpose).refused else 0
    before = Monitor(frontier).look()
    if before.accepted == 0:
        session.discard(frontier)
        raise UsageError(
            "nothing to crawl: no line of the sources is a URL"
            if purpose.sources or purpose.sitemaps
            else "give a URL or a file of URLs"
        )
    if before.done:
        pages = counted(before.fetched, "page")
        say(
            f"crawl {before.crawl!r} is done with {pages} (`crawler status`, `crawler export`), {age(frontier)}:"
            " `crawler recrawl` visits them again; name new URLs, with --add if they are of another site, or start over"
            " with --fresh"
        )
        return _finish(session, output, before, code)
    if before.state == "paused":
        say(f"crawl {before.crawl!r} is paused: `crawler resume` continues it")
    ended = run_with_summary(session, frontier, until_done=True)
    hint_at_failures(ended.status)
    if ended.interrupted:
        _hint_after_interrupt(session, output)
        return INTERRUPTED
    ended.refuse_stuck()
    return _finish(session, output, ended.status, code)


def _seed(session: Session, frontier: Frontier, purpose: Purpose) -> Seeded:
    try:
        seeded = session.seed(frontier, purpose.sources, purpose.sitemaps, _seeding)
    except KeyboardInterrupt:
        if "-" in purpose.sources:
            say("the crawl exists now: the rest of stdin needs `crawler run - --add`")
        raise
    line.clear()
    if seeded.over_budget:
        seeds = counted(seeded.over_budget, "seed")
        say(f"dropped, beyond --max-pages-per-host or --max-pages-per-site: {seeds}")
    return seeded


def _check_output(session: Session, frontier: Frontier, output: Output) -> None:
    """Find out before the crawl that its records cannot be exported as asked."""
    try:
        check_output(session, frontier, output)
    except UsageError:
        session.discard(frontier)
        raise


def _finish(session: Session, output: Output | None, status: Status, code: int) -> int:
    if output is not None:
        write_all(session, session.find(), output)
    if status.fetched == 0 and status.state in OVER:
        raise NothingFetched("nothing was fetched: `crawler status`, `crawler failed` and `crawler fetch URL` tell why")
    session.refuse_failed_hook(status)
    return code


def _hint_at_contact(session: Session) -> None:
    if session.settings.user_agent == _DEFAULTS.user_agent and not session.settings.allow_private:
        say("hint: tell sites how to reach you with --user-agent 'mybot/1.0 (+https://example.org/bot)'")


def _hint_after_interrupt(session: Session, output: Output | None) -> None:
    if output is not None:
        say(f"{output.name} was not written: the crawl is not done")
    say(f"interrupted; {how_to_continue(session.loaded)}")
    say(f"`{command_to_export(session.loaded)}` writes what is stored until now")


def _seeding(seeded: Seeded) -> None:
    line.show(f"seeding: {counted(seeded.given, 'URL')}, {seeded.new:,} new")


@cli.command(
    short_help="put URLs into the frontier",
    epilog=examples(
        "crawler seed https://example.org",
        "crawler seed urls.txt.gz --redis redis://localhost",
        "zcat urls.gz | crawler seed - --crawl big --delay 2s",
    ),
)
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option("--sitemap", "sitemaps", metavar="URL", multiple=True, help="read this sitemap as well")
@settings(*OF_CRAWL, "rules", *OF_REDIS)
def seed(sources: tuple[str, ...], sitemaps: tuple[str, ...], **given: Any) -> int:
    """Put URLs into the frontier: URLs, files of URLs (one a line, # comments, gzip), or - for stdin.

    Creates the crawl if it does not exist. Safe to repeat: a URL that was accepted once is not added again.
    """
    loaded = load_given(given)
    if not (sources or sitemaps):
        raise UsageError("name SOURCEs to seed: URLs, files of URLs, - for stdin, or --sitemap URL")
    check(loaded, sources, sitemaps)
    with Session(loaded, say) as session:
        frontier = session.create_or_join(Purpose(sources, sitemaps))
        seeded = session.seed(frontier, sources, sitemaps, _seeding)
        session.discard(frontier)
        line.clear()
        over = (
            f", {seeded.over_budget:,} refused (over a budget of host or site, or of a blocked host)"
            if seeded.over_budget
            else ""
        )
        refused = f", {seeded.refused:,} refused" if seeded.refused else ""
        say(f"{counted(seeded.new, 'new URL')}, {seeded.seen:,} known{over}{refused}; crawl {session.settings.crawl!r}")
        return 2 if seeded.refused else 0


cli.add_command(import_)


@cli.command(
    "work",
    short_help="run worker processes on this machine",
    epilog=examples(
        "crawler work -n 8 --redis redis://queue.example.org   on as many machines as you like",
        "crawler work --until-done                             exit when the crawl is done",
    ),
)
@click.option("--until-done", is_flag=True, help="exit when the crawl is done; else wait for more")
@settings(*OF_WORK, *OF_REDIS)
def work_(until_done: bool, **given: Any) -> int:
    """Run worker processes on this machine. Waits for a crawl to begin, and for more URLs when there are none."""
    loaded = load_given(given)
    check(loaded, ())
    headers.require_hosts(loaded.settings.header, ())
    check_webhook(loaded)
    with Session(loaded, say) as session:
        with session.redis.interruptible() as stopped:
            frontier = session.wait_for("work", stopped)
        if frontier is None:
            return INTERRUPTED
        session.claim_hook(frontier)
        session.bring_rules(frontier)
        ended = run_with_summary(session, frontier, until_done=until_done)
        hint_at_failures(ended.status)
        ended.refuse_stuck()
        if not ended.interrupted:
            session.refuse_failed_hook(ended.status)
        return INTERRUPTED if ended.interrupted and until_done else 0


cli.add_command(recrawl)
cli.add_command(check_)


# -- results -----------------------------------------------------------------------------------------------------------


cli.add_command(export_)


# -- trying out -------------------------------------------------------------------------------------------------------


cli.add_command(fetch)


@cli.command(
    short_help="crawl a small site served by itself: works offline",
    epilog=examples("crawler demo", "crawler demo -n 4", "crawler demo -o pages.jsonl"),
)
@output_options("export the records")
@settings("workers", "fetcher", "plain", delay=DEMO_DELAY)
def demo(**given: Any) -> int:
    """Crawl a small site that this command serves on loopback: works offline, takes half a minute."""
    from crawler.cli.demo import run_demo  # only this command needs a web server

    wanted = wanted_of(given)
    loaded = load_given(given)
    with Output(wanted) if wanted else nullcontext() as output:
        return run_demo(loaded, output)


for command in (
    *(status, events, hosts, explain_, failed, retry, quarantine, list_, dashboard, report, metrics),
    *(set_, block, unblock, pause, resume, delete),
):
    cli.add_command(command)


def main(args: Sequence[str] | None = None) -> None:
    """Run a command; every error becomes one line and an exit code."""
    occupy_standard_streams()
    show_warnings()
    signals.raise_from_now_on()  # exit as after Ctrl-C: an embedded Redis is stopped
    code = _main(args)
    left = signals.left_by()
    if left is not None:  # the terminal may be gone: its buffered output cannot be written
        flush_stdout()
    sys.exit(code if left is None else left)


def _main(args: Sequence[str] | None) -> int:
    try:
        return _run(args)
    except click.ClickException as error:
        say(click_message(error))
        return 2
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return INTERRUPTED
    except CrawlerError as error:
        say(str(error))
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno not in _FULL:
            return _defect(error, args)
        lead_stdout_nowhere()
        say(f"output cannot be written: {error.strerror}")
        return OutputError.exit_code
    except Exception as error:
        return _defect(error, args)


def _run(args: Sequence[str] | None) -> int:
    try:
        return cli.main(args, prog_name="crawler", standalone_mode=False) or 0
    finally:
        line.clear()


def _defect(error: Exception, args: Sequence[str] | None) -> int:
    """A defect of ours: show no traceback unless asked for."""
    say(f"this is a defect of the crawler: {type(error).__name__}: {error}; please report it with the output of -v")
    if "-v" in (args or sys.argv) or "--verbose" in (args or sys.argv):
        traceback.print_exception(error)
    return 1
