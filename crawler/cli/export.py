"""`crawler export`: writes the records to a file or a pipe, once or while the crawl runs, and frees Redis of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Final

import click

from crawler.cli.options import OF_REDIS, F, examples, load_given, settings
from crawler.cli.terminal import line, say
from crawler.cli.usage import once
from crawler.crawl.session import Session
from crawler.crawl.signals import INTERRUPTED, interrupts
from crawler.errors import UsageError
from crawler.export import ExportResult, ExportState, How, Output, Selection, Shape, Wanted, Written
from crawler.export.formats import endings
from crawler.export.selection import as_options
from crawler.export.shape import fields_of
from crawler.export.since import Since
from crawler.export.stream import GRACE
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import OVER, refuse_deleting
from crawler.frontier.shards.records import Stored
from crawler.text import counted

_OUTPUT: Final = ("output", "form", "fields", "items", "unique", "raw_cells")


def output_options(text: str, *, required: bool = False) -> Callable[[F], F]:
    """The option -o, which may be given once, and what belongs to it. `wanted_of` reads them."""
    options = (
        click.option("-o", "--output", metavar="FILE", multiple=True, required=required, callback=once, help=text),
        click.option("--format", "form", metavar="NAME", help=f"{endings()}: if FILE's ending does not show it"),
        click.option(
            "--fields",
            metavar="NAMES",
            multiple=True,
            help="only these fields, as columns or keys: url,title,data.price",
        ),
        click.option(
            "--items", is_flag=True, help="a row for each item that a hook or a rule found, with its page's url"
        ),
        click.option("--unique", is_flag=True, help="of copies and near copies the earliest page alone"),
        click.option("--raw-cells", is_flag=True, help="CSV: do not escape cells that a spreadsheet would run"),
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def wanted_of(given: dict[str, Any], **more: Any) -> Wanted | None:
    """The export that was asked for, taken out of the options; None without -o."""
    asked = {name: given.pop(name) for name in _OUTPUT}
    if asked["output"] is None:
        if flag := next((name for name in ("form", "fields", "items", "unique", "raw_cells") if asked[name]), None):
            raise UsageError(f"--{_FLAGS.get(flag, flag)} is for an export: name its output with -o")
        return None
    shape = Shape(fields_of(asked["fields"]), asked["items"], not asked["raw_cells"])
    selection = Selection(more.pop("only", ()), more.pop("status", ()), asked["unique"])
    return Wanted(asked["output"], format=asked["form"], selection=selection, shape=shape, **more)


_FLAGS: Final = {"form": "format", "raw_cells": "raw-cells"}


@click.command(
    "export",
    short_help="write the records to a file or a pipe, free Redis of them",
    epilog=examples(
        "crawler export -o pages.jsonl",
        "crawler export -o pages.csv.gz --only fetched",
        "crawler export -o gone.csv --only missing,failed --status 4xx   both must hold",
        "crawler export -o prices.csv --items               a row an item",
        "crawler export -o pages.sqlite                     the same again: only what is new",
        "crawler export -o docs/ --format markdown --unique a file a page",
        "crawler export -o pages/ --format parquet          a folder of parts, as it grows",
        "crawler export -o s3://bucket/pages.parquet/       the same in a bucket",
        "crawler export -o - --follow | jq .title           while the crawl runs",
        "crawler export -o pages.jsonl --state pages.state  the same again: only what is new, appended",
        "crawler export -o part-2.jsonl --state pages.state continue in a new file",
        "crawler export -o pages.jsonl.gz --drain --follow  free Redis while the crawl runs",
        "crawler export -o new.jsonl --changed-since last   what the latest visit found new, changed, gone",
        "crawler export -o pages.sqlite --changed-since 2026-01-01  a table, kept in step by the same again each week",
    ),
)
@output_options(
    "where to; - is stdout, a / at the end is a folder, s3://BUCKET/... a bucket."
    f" Its ending names the format: {endings('.')}",
    required=True,
)
@click.option("--only", metavar="OUTCOME", multiple=True, help="these: fetched,redirected,dropped,failed:dns, ...")
@click.option("--status", "statuses", metavar="STATUS", multiple=True, help="these HTTP statuses: 200,3xx, ...")
@click.option(
    "--changed-since",
    "since",
    metavar="TIME",
    help="only what visits found new, changed, gone or moved since TIME: 2026-11-01, 7d (ago), or `last`, since the"
    " latest visit began. With a state the next export continues where the one before ended",
)
@click.option("--follow", "following", is_flag=True, help="continue until the crawl is done; waits for it to begin")
@click.option(
    "--state",
    metavar="FILE",
    help="keep the progress in FILE, and resume there: after kill -9 or a full disk the same command completes"
    " the output, with each record once. On stdout at least once: what a pipe has taken counts as written."
    " Folders and databases keep it themselves",
)
@click.option(
    "--drain",
    is_flag=True,
    help="free Redis of each record that is in the output and synced. It keeps each URL's outcome; dead"
    " letters stay whole. Keeps its progress in the output's name plus .state, unless --state names a file",
)
@settings(*OF_REDIS)
def export_(
    only: tuple[str, ...],
    statuses: tuple[str, ...],
    since: str | None,
    following: bool,
    state: str | None,
    drain: bool,
    **given: Any,
) -> int:
    """Write the records of the crawl in the order of their commits.

    A file appears whole at the end; with --follow, --state or --drain it grows in place. Folders and databases are
    continued. If a URL is in it twice, it was visited again in between: use the later line.
    """
    changed = None if since is None else Since(since)
    wanted = wanted_of(given, only=only, status=statuses, state=state, follow=following, drain=drain, since=changed)
    assert wanted is not None  # -o is required
    loaded = load_given(given)
    with Output(wanted) as output:
        kept = output.state
        if isinstance(kept, ExportState) and state is None and kept.mark is None:
            say(f"the progress of this export is kept in {kept.name}")
        with Session(loaded, say, begins=following) as session:
            if following or kept is not None:
                return _continue(session, output)
            frontier = session.find(older=True)
            check_output(session, frontier, output)
            write_all(session, frontier, output)
    return 0


def check_output(session: Session, frontier: Frontier, output: Output) -> None:
    """Report what is not as the user may expect it. UsageError if the crawl cannot be exported to *output* at all."""
    output.check(frontier, session.settings.store)
    for hint in output.hints(frontier, session.settings.store):
        say(hint)


def write_all(session: Session, frontier: Frontier, output: Output) -> None:
    """Write all records so far to *output*, and report their number.

    Raises KeyboardInterrupt if a signal asked to end before. A slow reader gets whole records until then.
    """
    with interrupts() if output.waits else nullcontext(lambda: 0) as asked:
        written = output.write(
            frontier, session.settings.store, How(_show, lambda: asked() > 0, _columns(session, output))
        )
    _report(written, output)
    if asked():
        raise KeyboardInterrupt
    written.result.refuse_left_out()


def _continue(session: Session, output: Output) -> int:
    """An export that follows the crawl, or that has a state."""
    wanted = output.wanted
    with session.redis.interruptible() as stopped:
        frontier = session.wait_for("export", stopped) if wanted.follow else session.find(older=not wanted.drain)
        if frontier is None:
            return INTERRUPTED
        check_output(session, frontier, output)
        is_over = partial(_is_over, frontier, stopped) if wanted.follow else None
        written = output.write(
            frontier, session.settings.store, How(_show, stopped, _columns(session, output), is_over)
        )
        _report(written, output)
        written.result.refuse_left_out()
        if stopped() and output.state is not None:
            say("interrupted; the same command continues")
        return INTERRUPTED if stopped() else 0


def _columns(session: Session, output: Output) -> tuple[str, ...]:
    """The keys that the crawl's rules find, of items or of pages."""
    if not session.settings.rule_set:
        return ()
    from crawler.worker.options import rules_of  # loads the parser; other exports do without it

    rules = rules_of(session.settings).rules
    if output.wanted.shape.items:
        return tuple(field.name for rule in rules if rule.items for field in rule.items.fields)
    return tuple(field.name for rule in rules for field in rule.fields)


def _show(result: ExportResult, _: Sequence[Stored]) -> None:
    line.show(f"exporting: {counted(result.count, 'record')}")


def _is_over(frontier: Frontier, stopped: Callable[[], bool]) -> bool:
    if stopped():
        return True
    word = frontier.state().word
    refuse_deleting(frontier.crawl, word)  # what was written is not everything
    return word in OVER


def _report(written: Written, output: Output) -> None:
    line.clear()
    records, items = counted(written.records, "record"), written.tally.items
    if items is not None:
        records = f"{counted(items, 'item')} of {records}"
    unit = "" if items is None else "records "
    in_all = "" if written.in_all is None else f", {written.in_all:,} {unit}in all"
    drained = f", {written.drained:,} drained" if output.wanted.drain else ""
    say(f"{records} written to {output.name}{in_all}{drained}")
    if written.missing:
        say(written.missing)
    if absent := written.tally.absent(new=written.in_all not in (None, written.records)):
        say(absent)
    if not written.records:
        _report_nothing(output)
    if written.cut:
        say(f"{output.name} ends within a record: nobody read for {GRACE:g} s")


def _report_nothing(output: Output) -> None:
    selection = output.wanted.selection
    options = as_options(*selection.names, selection.unique)
    if options:
        say(f"no record matches {options}: `crawler status` counts outcomes and statuses")
    elif selection.changes:
        say("no visit has found a change since then")
