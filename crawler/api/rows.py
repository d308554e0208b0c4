"""What programs take out of a crawl: rows for tables, and files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike, fsdecode
from typing import Any, TypedDict

from crawler.export import Selection, Shape, Wanted
from crawler.export.shape import FIELDS, fields_of
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
    drain: bool
    """Free Redis of each record that is safely in the output."""


def several(given: Strings | None) -> Sequence[str]:
    """One string, or several."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def shape_of(fields: Strings, *, items: bool, raw_cells: bool = False) -> Shape:
    """What a row holds. UsageError for a field that no record has."""
    return Shape(fields_of(several(fields)), items, not raw_cells)


def wanted_of(output: Path, options: ExportOptions) -> Wanted:
    """The export that is asked for. UsageError for what cannot be."""
    shape = shape_of(
        options.get("fields", ()), items=options.get("items", False), raw_cells=options.get("raw_cells", False)
    )
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
    )


def contents_of(shape: Shape) -> list[str]:
    """The contents of pages that rows of *shape* need."""
    return [name for name in CONTENTS if shape.reads is None or name in shape.reads]


def rows_of(record: Record, shape: Shape) -> Iterator[dict[str, Any]]:
    """The rows of *record*, all with the same keys; None is unknown. Items without named fields have their own keys."""
    names = shape.fields or (() if shape.items else FIELDS)
    for row in shape.rows(record):
        yield dict.fromkeys(names) | row
