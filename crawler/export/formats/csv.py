"""CSV (RFC 4180): a header, then one line per record; UTF-8 without a byte order mark, lines end with CR LF.

An unknown value is an empty cell, and what is no text, number or truth value is JSON. What a hook or rule found gets a
column for each key, `data.KEY`: those of the first records that were found when the file was begun. The rest stays in
`data`. NUL, which most readers of CSV refuse, is written as U+FFFD. Texts can be longer than readers accept by default:
Python's `csv.field_size_limit()` is 128 KiB.

A spreadsheet runs a cell that begins like a formula, and the author of a page chose its title. So such cells get an
apostrophe in front (OWASP "CSV Injection"; ASVS 5.0, 1.2.10). Where the list separator is `;` or TAB, as in most of
Europe, a spreadsheet also starts new cells at these, and rows at line ends, inside our cells: it honours quotes only at
the start of a cell. So text that begins like a formula after one of these also gets an apostrophe, and cells that
contain one are quoted. `restore` undoes it. Numbers stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from crawler.errors import OutputError
from crawler.export.byte_stream import ByteStream
from crawler.export.shape import ALL_FIELDS, Shape, divide
from crawler.record import Record
from crawler.text import INVISIBLE, printable

_AFTER_DIGEST: Final = ("depth", "via", "hops", "redirect_to", "canonical", "duplicate_of")
_fields = [name for name in Record.__struct_fields__ if name not in _AFTER_DIGEST]
_place = _fields.index("digest") + 1
FIELDS: Final = (*_fields[:_place], *_AFTER_DIGEST, *_fields[_place:])
"""The columns: the fields of a record, some of which have another place here."""

# Spreadsheets skip space, quotes and invisible characters; East Asian ones read full-width signs as plain ones.
# What matches still matches with an apostrophe in front: that makes it possible to undo.
_SIGNS: Final = r"=+\-@\uff1d\uff0b\uff0d\uff20"
_FORMULA: Final = re.compile(rf"""[\s"'\ufffd{INVISIBLE}]*[\t\r\n\ufffd{_SIGNS}]""")
_SEPARATORS: Final = ";\t\r\n"
_FORMULA_INSIDE: Final = rf"""(?=(?:[^\S\t\r\n]|["'\ufffd{INVISIBLE}])*[{_SIGNS}])"""
# One for each separator: a pattern that begins with a plain character is searched for much faster.
_INSIDE: Final = tuple((mark, re.compile(mark + _FORMULA_INSIDE)) for mark in _SEPARATORS)
_DEFUSED_INSIDE: Final = re.compile(f"([{_SEPARATORS}])'{_FORMULA_INSIDE}")
_TO_QUOTE: Final = re.compile(f'[",{_SEPARATORS}]')


def row(cells: list[str]) -> bytes:
    """One line of the file."""
    return (",".join(map(_quoted, cells)) + "\r\n").encode()


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _TO_QUOTE.search(cell) else cell


def defuse(cell: str) -> str:
    """*cell* with an apostrophe before each part that a spreadsheet might run."""
    safe = f"'{cell}" if _FORMULA.match(cell) else cell
    for mark, begins in _INSIDE:
        if mark in safe:
            safe = begins.sub(f"{mark}'", safe)
    return safe


def restore(cell: str) -> str:
    """The cell before `defuse`."""
    raw = _DEFUSED_INSIDE.sub(r"\1", cell)
    return raw[1:] if raw[:1] == "'" and _FORMULA.match(raw, 1) else raw


def harmless(lines: bytes) -> bytes:
    """The lines for a terminal: control characters become U+FFFD, and a row is one line."""
    return b"".join(printable(line).encode() + b"\r\n" for line in _rows_in(lines.decode()))


def _rows_in(text: str) -> Iterator[str]:
    """The rows of whole lines, each without its end: an end within quotes is none."""
    begun = ""
    for part in text.removesuffix("\r\n").split("\r\n"):
        begun += part
        if begun.count('"') % 2 == 0:
            yield begun
            begun = ""
        else:
            begun += "\r\n"


class _Columns:
    """The columns of a file: those that every file of the shape has, and those for what hooks and rules *found*.

    What has no column stays in the column `data`, except where the fields were named.
    """

    def __init__(self, shape: Shape, found: tuple[str, ...] = (), complete: bool = False) -> None:
        """*complete*: all items so far have columns for all that they have."""
        self._shape, self._found = shape, found
        if shape.fields:
            self.names = shape.fields
        elif shape.items:
            self.names = ("url", *found) if complete else ("url", *found, "data")
        else:
            self.names = (*FIELDS, *(f"data.{key}" for key in found))

    def head(self) -> bytes:
        """The first line of a file."""
        return self._line([(name, True) for name in self.names])

    def encode(self, record: Record) -> bytes:
        """The lines of *record*."""
        if self._shape.plain:
            return self._line(self._cells_of(record))
        return b"".join(
            self._line([_cell(name, row.get(name)) for name in self.names])
            for row in map(self._placed, self._shape.rows(record))
        )

    def _cells_of(self, record: Record) -> list[tuple[str, bool]]:
        found, rest = divide(record.data, self._found)
        cells = [_cell(name, rest if name == "data" else getattr(record, name)) for name in FIELDS]
        return cells + [_cell(f"data.{key}", found.get(key)) for key in self._found]

    def _placed(self, row: dict[str, Any]) -> dict[str, Any]:
        """An item's row, with what has no column in `data`."""
        if self._shape.fields:
            return row
        own = {name: row.pop(name) for name in ("url", *self._found) if name in row}
        if row and "data" not in self.names:
            raise OutputError("an item with new fields came while the export began: run the same command again")
        return own | {"data": row or None}

    def _line(self, cells: list[tuple[str, bool]]) -> bytes:
        if not self._shape.defuse:
            return row([text for text, _ in cells])
        return row([defuse(text) if may_run else text for text, may_run in cells])


def _cell(field: str, value: Any) -> tuple[str, bool]:
    """A value as text, and whether a spreadsheet might run it: it runs no numbers and truth values."""
    if value is None:
        return "", False
    if isinstance(value, str) and field != "data":
        return value.replace("\0", "\ufffd"), True
    plain = isinstance(value, bool | int | float)
    return msgspec.json.encode(value).decode(), not plain


def _format(shape: Shape, found: tuple[str, ...] = (), complete: bool = False) -> ByteStream:
    columns = _Columns(shape, found, complete)
    name = "csv" if shape.defuse else "csv with raw cells"
    learn = None if shape.fields else partial(_format, shape)
    return ByteStream(name, columns.encode, "csv", harmless, columns.head(), _format, learn, shape)


FORMAT: Final = _format(ALL_FIELDS)
encode: Final = FORMAT.encode
encode_raw: Final = _format(Shape(defuse=False)).encode
