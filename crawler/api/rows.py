"""What programs take out of a crawl: rows for tables, and files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from os import PathLike, fsdecode
from typing import Any, TypedDict

from crawler.api.access import Access
from crawler.export import Output, Selection, Shape, Wanted, read
from crawler.export.shape import FIELDS, fields_of
from crawler.export.since import Since, When
from crawler.frontier.crawldb import CrawlDb
from crawler.keywords import Strings
from crawler.record import CONTENTS, Record

Path = str | PathLike[str]


class ExportOptions(TypedDict, total=False):
    """The options of `Crawl.export`, as those of `crawler export`."""

    format: str | None
    """Its name, if the ending of the output does not show it."""
    fields: Strings
    """Only these, as columns or keys; "data.price" is what a hook or a rule found as `price`."""
    items: bool
    """A row for each item that a hook or a rule found."""
    only: Strings
    """Outcomes, such as "fetched" or "failed"."""
    status: Strings
    """HTTP statuses, such as "200" or "4xx"."""
    unique: bool
    """Of copies and near copies the earliest page alone."""
    raw_cells: bool
    """CSV: do not escape cells that a spreadsheet would run."""
    state: Path | None
    """A file for the progress: the same export again adds only what is new."""
    changed_since: When | None
    """Only what visits found new, changed, gone or moved since then: a date, a time ago ("7d"), or "last"."""
    drain: bool
    """Free Redis of each record that is safely in the output."""


def several(given: Strings | None) -> Sequence[str]:
    """One string, or several."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def wanted_of(output: Path, options: ExportOptions) -> Wanted:
    """The export that is asked for. UsageError for what cannot be."""
    fields = fields_of(several(options.get("fields", ())))
    shape = Shape(fields, options.get("items", False), not options.get("raw_cells", False))
    only, status = several(options.get("only")), several(options.get("status"))
    selection = Selection(only, status, options.get("unique", False))
    state = options.get("state")
    return Wanted(
        fsdecode(output),
        None if state is None else fsdecode(state),
        options.get("format"),
        selection,
        shape,
        drain=options.get("drain", False),
        since=since_of(options.get("changed_since")),
    )


def written(access: Access, output: Path, options: ExportOptions) -> int:
    """How many records `Crawl.export` has written."""
    with Output(wanted_of(output, options)) as opened:
        frontier = access.find(older=not opened.wanted.drain)
        contents = access.session.settings.store
        for hint in opened.hints(frontier, contents):
            access.say(hint)
        done = opened.write(frontier, contents)
        for line in filter(None, (done.missing, done.tally.absent())):
            access.say(line)
    done.result.refuse_left_out()
    return done.records


def since_of(when: When | None) -> Since | None:
    """Where changes begin. UsageError if *when* is no time."""
    return None if when is None else Since.of(when)


def stored(crawldb: CrawlDb, changed_since: When | None) -> Iterator[Record]:
    """All records, or those of changes."""
    return _read(crawldb, CONTENTS, Selection(), since_of(changed_since))


def table(
    crawldb: CrawlDb, fields: Strings, items: bool, only: Strings, status: Strings, changed_since: When | None
) -> Iterator[dict[str, Any]]:
    """The rows of `Crawl.rows`."""
    since = since_of(changed_since)
    shape = Shape(fields_of(several(fields)), items, empty=since is not None)
    selection = Selection(several(only), several(status), items=items and since is not None)
    records = _read(crawldb, contents_of(shape), selection, since)
    return (row for record in records for row in rows_of(record, shape))


def _read(crawldb: CrawlDb, contents: Collection[str], selection: Selection, since: Since | None) -> Iterator[Record]:
    if since is None:
        return read(crawldb.records, contents, selection=selection)
    changes = replace(selection, changes=True, removes=True)
    return read(crawldb.records, contents, selection=changes, after=since.cursor(crawldb))


def contents_of(shape: Shape) -> list[str]:
    """The contents of pages that rows of *shape* need."""
    return [name for name in CONTENTS if shape.reads is None or name in shape.reads]


def rows_of(record: Record, shape: Shape) -> Iterator[dict[str, Any]]:
    """The rows of *record*, all with the same keys; None is unknown. Items without named fields have their own keys."""
    names = shape.fields or (() if shape.items else FIELDS)
    for row in shape.rows(record):
        yield dict.fromkeys(names) | row
