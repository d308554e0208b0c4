"""Tables of data in Markdown; tables that only arrange a page are none. Pure.

A cell that spans columns is followed by empty ones, a cell that spans rows has empty ones below it. Spans are capped as
the HTML standard says (1,000 columns, 65,534 rows), and all empty cells of a table together.
"""

from __future__ import annotations

import re
from typing import Final

from crawler.parse.code_blocks import is_code_table
from crawler.parse.tokens import Token, names, value_of

_MAX_COLUMNS: Final = 1_000
_MAX_ROWS: Final = 65_534
_MAX_EMPTY: Final = 20_000
"""Cells of a table that only spans make."""
_ARRANGED: Final = names("h1 h2 h3 h4 h5 h6 table pre form article section blockquote hr")
"""What a cell of data does not contain."""


_ENDS: Final = [("/table", "", "")] * 100
"""What the limit of tags may have cut off."""


class Table:
    """A table that is open. Only one of data collects cells."""

    def __init__(self, is_data: bool) -> None:
        self.is_data = is_data
        self.is_open = False
        """A cell is open."""
        self._rows: list[list[str]] = []
        self._heads = True
        self._row: list[str] | None = None
        self._span = 1
        self._down: dict[int, int] = {}
        """Column -> further rows that a cell above takes."""
        self._rest = 1
        self._room = _MAX_EMPTY
        self._has_head = False

    def row(self) -> None:
        """Begin or end a row."""
        if self._row:
            if not self._rows:
                self._has_head = self._heads
            self._rows.append(self._row)
        self._row = None

    def begin(self, attributes: str, is_head: bool) -> None:
        """Begin a cell."""
        if self._row is None:
            self._row, self._heads = [], True
        self._heads = self._heads and is_head
        self._fill()
        self._span = _number(attributes, "colspan", _MAX_COLUMNS)
        self._rest = _number(attributes, "rowspan", _MAX_ROWS) - 1
        self.is_open = True

    def _fill(self) -> None:
        """Leave the columns empty that cells of the rows above take."""
        row = self._row
        while row is not None and self._down.get(len(row)):
            self._down[len(row)] -= 1
            row.append("")

    def end(self, text: str) -> None:
        """End a cell that contains *text*."""
        self.is_open = False
        row = self._row
        if row is None:
            return
        span = min(self._span, 1 + self._room)
        for column in range(len(row), len(row) + span):
            if self._rest > 0 and self._room > 0:
                self._down[column] = self._rest
                self._room -= 1
            elif column in self._down:
                del self._down[column]
        self._room -= span - 1
        row.append(text.replace("|", "\\|") if text else "")
        row.extend([""] * (span - 1))

    def lines(self, marks: bool) -> list[str]:
        """The table, a line a row."""
        self.row()
        rows = [row for row in self._rows if any(row)]
        if not marks:
            return [" | ".join(cell.replace("\\|", "|") for cell in row).rstrip(" |") for row in rows]
        width = max((_width(row) for row in rows), default=0)
        if not rows:
            return []
        if width == 1 and not self._has_head:
            return [cell for row in rows for cell in (row[0].replace("\\|", "|"), "") if row[0]][:-1]
        head = rows.pop(0) if self._has_head and self._rows[0] is rows[0] else []
        head = [*head, *[""] * (width - len(head))][:width]
        rows = [row[: max(_width(row), 1)] for row in rows]
        return [f"| {' | '.join(row)} |" for row in (head, ["---"] * width, *rows)]


def _width(row: list[str]) -> int:
    """The number of cells up to the last one with text."""
    width = len(row)
    while width and not row[width - 1]:
        width -= 1
    return width


def _number(attributes: str, name: str, most: int) -> int:
    if not attributes or name not in attributes:
        return 1
    found = re.match(r"\s*(\d{1,6})", value_of(attributes, name) or "")
    return min(max(int(found[1]), 1), most) if found else 1


def data_tables(tokens: list[Token]) -> frozenset[int]:
    """The tables, by the numbers of their tags, whose cells are data."""
    found: set[int] = set()
    open_tables: list[list[int]] = []  # tag, rows, cells, cells of heads, parts that are no data
    for at, (name, attributes, _) in enumerate([*tokens, *_ENDS]):
        if name == "table":
            if open_tables:
                open_tables[-1][4] += 1
            layout = 'role="presentation"' in attributes or 'role="none"' in attributes or is_code_table(attributes)
            open_tables.append([at, 0, 0, 0, 100_000 * layout])
        elif not open_tables:
            continue
        elif name == "/table":
            at_table, rows, cells, heads, others = open_tables.pop()
            if others * 4 <= rows and (heads or cells >= 2 * rows > 0):
                found.add(at_table)
        elif name == "tr":
            open_tables[-1][1] += 1
        elif name == "td" or name == "th":
            open_tables[-1][2] += 1
            open_tables[-1][3] += name == "th"
        elif name in _ARRANGED:
            open_tables[-1][4] += 1
    return frozenset(found)
