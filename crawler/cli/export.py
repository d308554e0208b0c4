"""`crawler export`: writes the records to a file or a pipe, once or while the crawl runs, and frees Redis of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import click

from crawler.cli.options import OF_REDIS, F, examples, load_given, settings
from crawler.cli.terminal import line, say
from crawler.cli.usage import once
from crawler.crawl.session import Session
from crawler.crawl.signals import INTERRUPTED, interrupts
from crawler.export import Checkpoints, Export, ExportResult, ExportState, Selection, Wanted, Writer, open_writer
from crawler.export.formats import endings
from crawler.export.selection import ALL, as_options
from crawler.export.stream import GRACE
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import OVER, refuse_deleting
from crawler.frontier.shards.records import Stored
from crawler.text import counted

format_option = click.option("--format", "form", metavar="NAME", help=f"{endings()}: if FILE's ending does not show it")


def output_option(text: str, *, required: bool = False) -> Callable[[F], F]:
    """The option -o, which may be given once."""
    return click.option("-o", "--output", metavar="FILE", multiple=True, required=required, callback=once, help=text)


@click.command(
    "export",
    short_help="write the records to a file or a pipe, free Redis of them",
    epilog=examples(
        "crawler export -o pages.jsonl",
        "crawler export -o pages.csv.gz --only fetched",
        "crawler export -o gone.csv --only missing,failed --status 4xx   both must hold",
        "crawler export -o - --follow | jq .title           while the crawl runs",
        "crawler export -o pages.jsonl --state pages.state  the same again: only what is new, appended",
        "crawler export -o part-2.jsonl --state pages.state continue in a new file",
        "crawler export -o pages.jsonl.gz --drain --follow  free Redis while the crawl runs",
    ),
)
@output_option(f"where to; - is stdout. Its ending names the format: {endings('.')}", required=True)
@format_option
@click.option("--only", metavar="OUTCOME", multiple=True, help="these: fetched,redirected,dropped,failed:dns, ...")
@click.option("--status", "statuses", metavar="STATUS", multiple=True, help="these HTTP statuses: 200,3xx, ...")
@click.option("--follow", "following", is_flag=True, help="continue until the crawl is done; waits for it to begin")
@click.option(
    "--state",
    metavar="FILE",
    help="keep the progress in FILE, and resume there: after kill -9 or a full disk the same command completes"
    " the output, with each record once. On stdout at least once: what a pipe has taken counts as written",
)
@click.option(
    "--drain",
    is_flag=True,
    help="free Redis of each record that is in the output and synced. It keeps each URL's outcome; dead"
    " letters stay whole. Keeps its progress in the output's name plus .state, unless --state names a file",
)
@click.option("--raw-cells", is_flag=True, help="CSV: do not escape cells that a spreadsheet would run")
@settings(*OF_REDIS)
def export_(  # noqa: PLR0913 - one for each option
    output: str,
    form: str | None,
    only: tuple[str, ...],
    statuses: tuple[str, ...],
    following: bool,
    state: str | None,
    drain: bool,
    raw_cells: bool,
    **given: Any,
) -> int:
    """Write the records of the crawl in the order of their commits.

    A file appears whole at the end; with --follow, --state or --drain it grows in place. If a URL is in it twice, it
    was tried again in between (`crawler retry`): use the later line.
    """
    loaded, selection = load_given(given), Selection(only, statuses)
    if state is not None or drain:
        wanted = Wanted(output, state or f"{output}.state", form, selection, not raw_cells, following, drain)
        with ExportState(wanted.state) as kept:
            if state is None and kept.mark is None:
                say(f"the progress of this export is kept in {wanted.state}")
            with Session(loaded, say, begins=following) as session:
                return _resume(session, kept, wanted)
    with Session(loaded, say, begins=following) as session:
        if following:
            return _follow(session, output, form, selection, not raw_cells)
        session.find(older=True)
        with open_writer(output, form, defuse=not raw_cells) as writer:
            write_all(session.crawldb, writer, selection)
    return 0


def write_all(crawldb: CrawlDb, writer: Writer, selection: Selection = ALL) -> None:
    """Write all records so far to *writer*, finish it, and report their number.

    Raises KeyboardInterrupt if a signal asked to end before. A slow reader gets whole records until then.
    """
    _report_drained(crawldb)
    with interrupts() if writer.waits else nullcontext(lambda: 0) as asked:
        export = Export(crawldb.records, writer, selection=selection, note=_show, stopped=lambda: asked() > 0)
        result = export.run()
        writer.finish()
    line.clear()
    _report(result.count, writer, selection)
    if asked():
        raise KeyboardInterrupt
    result.refuse_left_out()


def _follow(session: Session, output: str, form: str | None, selection: Selection, defuse: bool) -> int:
    with session.redis.interruptible() as stopped:
        frontier = session.wait_for("export", stopped)
        if frontier is None:
            return INTERRUPTED
        with open_writer(output, form, follow=True, defuse=defuse) as writer:
            _report_drained(session.crawldb)
            export = Export(session.crawldb.records, writer, selection=selection, note=_show, stopped=stopped)
            result = export.follow(partial(_is_over, frontier, stopped), time.sleep)
            writer.finish()
        line.clear()
        _report(result.count, writer, selection)
        result.refuse_left_out()
        return INTERRUPTED if stopped() else 0


def _resume(session: Session, state: ExportState, wanted: Wanted) -> int:
    """An export with a state: from where it stopped to the end, or for as long as the crawl runs."""
    with session.redis.interruptible() as stopped:
        frontier = session.wait_for("export", stopped) if wanted.follow else session.find(older=not wanted.drain)
        if frontier is None:
            return INTERRUPTED
        with Checkpoints(state, frontier, wanted) as checkpoints:
            if checkpoints.fresh:
                _report_drained(frontier.crawldb)
            writer, note = checkpoints.writer, partial(_note, checkpoints)
            export = Export(frontier.crawldb.records, writer, selection=wanted.selection, note=note, stopped=stopped)
            if wanted.follow:
                result = export.follow(partial(_is_over, frontier, stopped), time.sleep, checkpoints.cursor)
            else:
                result = export.run(checkpoints.cursor)
        line.clear()
        drained = f", {checkpoints.drained:,} drained" if wanted.drain else ""
        _report(checkpoints.written, writer, wanted.selection, f", {checkpoints.records:,} in all{drained}")
        result.refuse_left_out()
        if stopped():
            say("interrupted; the same command continues")
        return INTERRUPTED if stopped() else 0


def _note(checkpoints: Checkpoints, result: ExportResult, written: Sequence[Stored]) -> None:
    checkpoints.note(result, written)
    _show(result, written)


def _show(result: ExportResult, _: Sequence[Stored]) -> None:
    line.show(f"exporting: {counted(result.count, 'record')}")


def _is_over(frontier: Frontier, stopped: Callable[[], bool]) -> bool:
    if stopped():
        return True
    word = frontier.state().word
    refuse_deleting(frontier.crawl, word)  # what was written is not everything
    return word in OVER


def _report(count: int, writer: Writer, selection: Selection, more: str = "") -> None:
    say(f"{counted(count, 'record')} written to {writer.output}{more}")
    if not count and (options := as_options(*selection.names)):
        say(f"no record matches {options}: `crawler status` counts outcomes and statuses")
    if writer.cut:
        say(f"{writer.output} ends within a record: nobody read for {GRACE:g} s")


def _report_drained(crawldb: CrawlDb) -> None:
    drained = crawldb.counters().get("drained", 0)
    if drained:
        say(f"drained before, and so in the files written then, not in this one: {counted(drained, 'record')}")
