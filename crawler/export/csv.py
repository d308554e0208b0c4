"""CSV (RFC 4180): a header, then a line for each record; UTF-8 without a byte order mark, lines end with CR LF.

An unknown value is an empty cell. `outlinks` and `data` are JSON. NUL, which most readers of CSV refuse, is written as
U+FFFD. Texts can be longer than what readers take for granted: Python's stop at `csv.field_size_limit()`, 128 KiB.

A spreadsheet runs a cell that begins like a formula, and whoever wrote a page chose its title. So such cells get an
apostrophe in front (OWASP "CSV Injection"; ASVS 5.0, 1.2.10). It is undone by taking one apostrophe off each cell
that `defuse` would change without it. Numbers are numbers and stay as they are.
"""

from __future__ import annotations

import csv
import re
from typing import Any, Final

import msgspec

from crawler.records import Record
from crawler.text import printable

FIELDS: Final = (
    "url",
    "outcome",
    "status",
    "title",
    "description",
    "lang",
    "text",
    "content_type",
    "charset",
    "size",
    "truncated",
    "digest",
    "depth",
    "via",
    "hops",
    "redirect_to",
    "canonical",
    "duplicate_of",
    "links",
    "outlinks",
    "etag",
    "last_modified",
    "sitemap",
    "lastmod",
    "fetched_at",
    "elapsed_ms",
    "attempts",
    "error",
    "data",
)
"""The columns."""

# Spreadsheets skip space, quotes and what cannot be seen; East Asian ones take the full-width signs for plain ones.
# What matches still does with an apostrophe in front: that makes it possible to undo.
_FORMULA: Final = re.compile(r"""[\s"'\ufffd\ufeff\u200b-\u200f\u2060]*[\t\r\n\ufffd=+\-@\uff1d\uff0b\uff0d\uff20]""")


class _Line:
    """A file whose `write` hands the line back: `writerow` returns what it returns."""

    @staticmethod
    def write(line: str) -> str:
        return line


_writer: Final[Any] = csv.writer(_Line())


def row(cells: list[str]) -> bytes:
    """One line of the file."""
    line: str = _writer.writerow(cells)
    return line.encode()


HEAD: Final = row(list(FIELDS))


def defuse(cell: str) -> str:
    """*cell* with an apostrophe in front if a spreadsheet might run it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def encode(record: Record) -> bytes:
    """The record's line, safe to open in a spreadsheet."""
    return row([defuse(text) if may_run else text for text, may_run in _cells(record)])


def encode_raw(record: Record) -> bytes:
    """The record's line with values as they are: for programs."""
    return row([text for text, _ in _cells(record)])


def harmless(line: bytes) -> bytes:
    """The line for a terminal: what could steer it is U+FFFD, a row is one line."""
    return printable(line.decode().removesuffix("\r\n")).encode() + b"\r\n"


def _cells(record: Record) -> list[tuple[str, bool]]:
    return [_cell(field, getattr(record, field)) for field in FIELDS]


def _cell(field: str, value: Any) -> tuple[str, bool]:
    """A value as text, and whether a spreadsheet might run it: numbers and truth values it does not."""
    if value is None:
        return "", False
    if isinstance(value, str) and field != "data":
        return value.replace("\0", "\ufffd"), True
    plain = isinstance(value, bool | int | float)
    return msgspec.json.encode(value).decode(), not plain
