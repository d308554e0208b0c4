"""`crawler check`: what is broken on a site, and where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

import click

from crawler import headers
from crawler.cli import working
from crawler.cli.options import OF_REDIS, examples, load_given, settings
from crawler.cli.progress import run_with_summary
from crawler.cli.status import delete_crawl
from crawler.cli.terminal import say
from crawler.cli.usage import command_to_continue, how_to_continue
from crawler.config import Loaded
from crawler.crawl.session import Session, has_begun
from crawler.crawl.signals import INTERRUPTED
from crawler.errors import UsageError
from crawler.findings import SEVERITIES
from crawler.frontier.crawldb import crawls
from crawler.frontier.frontier import Frontier
from crawler.settings import CHECK_PATIENCE
from crawler.units import duration, positive, size

if TYPE_CHECKING:
    from crawler.check.outputs import Output
    from crawler.check.selection import Selection
    from crawler.check.source import Source

_OF_CHECK: Final = (
    *(
        "places",
        "no_external",
        "scope",
        "include",
        "exclude",
        "max_depth",
        "max_pages",
        "max_time",
        "delay",
        "per_host",
    ),
    *("user_agent", "ignore_robots", "ignore_sitemaps", "timeout", "retries", "max_size"),
    *("allow_private", "insecure", "shards"),
)
_OF_WORK: Final = ("workers", "concurrency", "fetcher", "header", "proxy", "trust_env")
_OF_REDIS: Final = tuple(name for name in OF_REDIS if name != "crawl")
_NAME: Final = "check-"
"""Names of checks begin with it."""


def _parsed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """A callback that reads an option's value; UsageError says what is wrong."""

    def read(context: click.Context, param: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise UsageError(f"{param.opts[-1]} {text!r} cannot be used: {error}") from None

    return read


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The report that a command asks for."""

    selection: Selection
    slow: float
    large: int
    outputs: Sequence[Output]

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        """Take the options of the report out of *given*. UsageError for what cannot be used."""
        from crawler.check.outputs import outputs_of  # other commands need nothing of a check
        from crawler.check.selection import Selection

        names = ("only", "ignore", "fail_on", "max_findings", "baseline")
        baseline = given["baseline"]
        selection = Selection.of(**{name: given.pop(name) for name in names})
        outputs = outputs_of(given.pop("outputs"), given.pop("form"), baseline)
        return cls(selection, given.pop("slow"), given.pop("large"), outputs)


_REPORT: Final = (
    click.option(
        "-o",
        "--output",
        "outputs",
        metavar="FILE",
        multiple=True,
        help="write the report to this file too: .html, .json, .jsonl, .csv, .xml (JUnit) or .sarif; may be repeated",
    ),
    click.option(
        "--format",
        "form",
        metavar="NAME",
        help="what to print, or the format of a FILE without such an"
        " ending: table, html, json, jsonl, csv, junit, sarif, github",
    ),
    click.option(
        "--only",
        metavar="WHAT",
        multiple=True,
        help="report these alone: codes, severities, patterns of URLs, or CODE:PATTERN; may be repeated",
    ),
    click.option("--ignore", metavar="WHAT", multiple=True, help="do not report these; as --only"),
    click.option(
        "--fail-on",
        metavar="SEVERITY",
        default="error",
        show_default=True,
        help=f"exit with 1 if there are findings as bad as this: {', '.join((*SEVERITIES, 'never'))}",
    ),
    click.option("--max-findings", metavar="N", callback=_parsed(positive), help="show up to N findings"),
    click.option("--baseline", metavar="FILE", help="report only what this earlier report (.json, .jsonl) has not"),
    click.option(
        "--slow",
        metavar="TIME",
        default="3s",
        show_default=True,
        callback=_parsed(duration),
        help="report pages that take longer",
    ),
    click.option(
        "--large",
        metavar="SIZE",
        default="5MiB",
        show_default=True,
        callback=_parsed(size),
        help="report pages that are larger",
    ),
    click.option("--report-only", is_flag=True, help="check nothing: report what was found before"),
)


def _report_options(command: Any) -> Any:
    for option in reversed(_REPORT):
        command = option(command)
    return command


@click.command(
    "check",
    short_help="what is broken on a site, and where",
    epilog=examples(
        "crawler check https://example.org                 check a site, its images and its external links",
        "crawler check ./public                            a folder of files, before it is published",
        "crawler check ./public --base https://example.org the same, with links to its future address",
        "crawler check https://example.org -o report.html -o report.json",
        "crawler check https://example.org --baseline report.json   report only what is new",
        "crawler check                                     check again what was checked before",
    ),
)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--base", metavar="URL", default="", help="the address that the folder will have")
@click.option("--sitemap", "sitemaps", metavar="URL", multiple=True, help="read this sitemap as well")
@_report_options
@click.option("--add", is_flag=True, help="add SOURCEs of other sites to a check that exists")
@click.option("--fresh", is_flag=True, help="delete what this check has stored and start over (asks)")
@click.option("--yes", is_flag=True, help="do not ask")
@settings(*_OF_CHECK, *_OF_WORK, *_OF_REDIS, host_patience=CHECK_PATIENCE, crawl="check-HOST")
def check(sources: tuple[str, ...], base: str, sitemaps: tuple[str, ...], **given: Any) -> int:
    """Check the site at SOURCE (URLs, or one folder of files) and report what is broken, and where.

    Each page of the site is read. What pages name, on other sites too, is asked for once and not read further. The
    same command checks again: it asks only what may have changed, and external targets once a day.

    Ctrl-C stops cleanly; the same command continues. The exit code is 0 if nothing was found, 1 if something was, 2
    for wrong usage, 3 if Redis cannot be used.
    """
    from crawler.check.source import Source

    add, fresh, yes, report_only = (given.pop(name) for name in ("add", "fresh", "yes", "report_only"))
    wanted = _Wanted.of(given)
    is_named = bool(sources or sitemaps)
    if fresh and (report_only or not is_named):
        raise UsageError("--fresh starts over: name the SOURCE to check, and leave out --report-only")
    source = Source.of(sources, sitemaps, base)
    if source.folder is not None and not base and (address := source.folder.named_address):
        say(f"hint: its pages name {address} as their address: --base {address} checks links to that within the folder")
    loaded = source.settings_of(load_given(given))
    if not is_named:
        loaded = _named(loaded)
    working.check(loaded, ())
    headers.require_hosts(loaded.settings.header, source.urls)
    begins = is_named and not report_only
    with source.served(loaded) as served, Session(served, say, begins=begins) as session:
        if report_only:
            return _report_only(session, source, wanted)
        if fresh:
            delete_crawl(session, yes, missing_ok=True)
        return _run(session, source, wanted, add=add)


def _named(loaded: Loaded) -> Loaded:
    """The settings of the only check that there is. UsageError if there is none, or more than one."""
    if "crawl" in loaded.named:
        return loaded
    names = []
    if has_begun(loaded.settings):
        with Session(loaded, say, begins=False) as session:
            names = [name for name in crawls(session.redis.connection) if name.startswith(_NAME)]
    if not names:
        raise UsageError("nothing was checked yet: name a URL, or the folder of a site")
    if len(names) > 1:
        raise UsageError(f"there are several checks: name the SOURCE of one, or --crawl {' or '.join(names[:9])}")
    return replace(loaded, settings=replace(loaded.settings, crawl=names[0]))


def _run(session: Session, source: Source, wanted: _Wanted, *, add: bool) -> int:
    """Check, and report."""
    from crawler.check.run import begin, refuse_other  # loads all that a worker needs; other commands do not

    refuse_other(session, source)
    with session.redis.interruptible() as stopped:
        begun = begin(session, source, add=add, stopped=stopped)
        if stopped():
            if begun.sweep is not None:
                begun.sweep.release()
            return _interrupted(session)
    if not begun.is_done:
        if begun.frontier.state().word == "paused":
            say(f"crawl {session.settings.crawl!r} is paused: `crawler resume` continues it")
        ended = run_with_summary(session, begun.frontier, until_done=True, sweep=begun.sweep)
        if ended.interrupted:
            return _interrupted(session)
        if ended.stuck and not ended.status.done:
            say(f"gave up: {ended.stuck}; --no-external checks without other sites")
            return _report(session, begun.frontier, source, wanted, ended.stuck)
    return _report(session, begun.frontier, source, wanted)


def _report_only(session: Session, source: Source, wanted: _Wanted) -> int:
    """Report what is there."""
    from crawler.check.run import find

    return _report(session, find(session), source, wanted)


def _interrupted(session: Session) -> int:
    say(f"interrupted, so there is no report; {how_to_continue(session.loaded, names_sources=True)}")
    again = command_to_continue(session.loaded, names_sources=True)
    say(f"`{again} --report-only` reports what was found until now")
    return INTERRUPTED


def _report(session: Session, frontier: Frontier, source: Source, wanted: _Wanted, given_up: str = "") -> int:
    """Write the report to all its places; the exit code. *given_up*: why not all could be asked."""
    from crawler.check.outputs import write
    from crawler.check.report import ReportOptions
    from crawler.check.run import findings, summary_of, why_incomplete

    options = ReportOptions(slow=wanted.slow, large=wanted.large)
    selected = wanted.selection.select(findings(session, frontier, source, options))
    summary = wanted.selection.completed(summary_of(session, frontier, source, given_up), selected)
    shown = wanted.selection.shown(selected.findings)
    if not summary.is_complete:
        say(f"the report is not complete: {why_incomplete(frontier)}")
    for output in wanted.outputs:
        write(shown, summary, output.name, output.form)
    return summary.exit_code
