"""Tables of data in Markdown; tables that only arrange a page are none. Pure.

A cell that spans columns is followed by empty ones, a cell that spans rows has empty ones below it. Spans are capped as
the HTML standard says (1,000 columns, 65,534 rows), and all empty cells of a table together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from crawler.parse.tokens import Token, names, value_of

_MAX_COLUMNS: Final = 1_000
_MAX_ROWS: Final = 65_534
_MAX_EMPTY: Final = 20_000
"""Cells of a table that only spans make."""
_ARRANGED: Final = names("h1 h2 h3 table form article section")
_SELDOM: Final = names("pre blockquote hr")
"""What a cell of data does not contain, and what few do."""
_COUNTED: Final = _ARRANGED | _SELDOM | names("tr td th li p")
_MAX_SHORT: Final = 80
"""Characters a row, white space included, up to which one column is data."""


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


def data_tables(tokens: Sequence[Token], first: int) -> frozenset[int]:
    """The tables whose cells are data, by the numbers of their tags, of the *first* one and all within it."""
    found: set[int] = set()
    around: list[_Count] = []
    for at in range(first, len(tokens)):
        name, attributes, text = tokens[at]
        if name == "table":
            if around:
                around[-1].parts["table"] += 1
            around.append(_Count(at, attributes))
        elif name == "/table":
            count = around.pop()
            if count.is_data():
                found.add(count.at)
            if not around:
                break
        elif name in _COUNTED:
            around[-1].parts[name] += 1
        around[-1].size += len(text)
    found.update(count.at for count in around if count.is_data())  # the limit of tags has cut off their ends
    return frozenset(found)


class _Count:
    """What a table contains."""

    def __init__(self, at: int, attributes: str) -> None:
        self.at, self.parts, self.size = at, Counter[str](), 0
        self._arranges = 'role="presentation"' in attributes or 'role="none"' in attributes

    def is_data(self) -> bool:
        parts = self.parts
        rows, cells = parts["tr"], parts["td"] + parts["th"]
        arranged, seldom = (sum(map(parts.__getitem__, each)) for each in (_ARRANGED, _SELDOM))
        if self._arranges or not rows or 4 * arranged > rows:
            return False
        if parts["th"]:
            return seldom <= rows
        if 4 * seldom > rows or parts["li"] > 3 * cells or parts["p"] > 3 * cells:
            return False
        return cells >= 2 * rows or (rows > 1 and self.size <= _MAX_SHORT * cells)
