"""The lines of a Markdown document: blocks, behind the prefixes of the lists and quotes around them. Pure."""

from __future__ import annotations

from typing import Final

_MAX_NESTED: Final = 16
"""Lists and quotes within each other that are shown as such."""


class Full(Exception):
    """The text has reached its limit."""


class Lines:
    """Lines up to *limit* bytes of UTF-8; without *marks* no line is empty but in code."""

    def __init__(self, limit: int, marks: bool) -> None:
        self.marks = marks
        self._room = limit
        self._lines: list[str] = []
        self._prefix = ""
        self._first: str | None = None
        """The prefix of the next line, if it is the first one of an item."""
        self._gap: str | None = None
        """The prefix of the empty line before the next block."""
        self._around: list[tuple[str, str | None]] = []
        self._lists: list[_List] = []
        self._ended: tuple[int, _List] | None = None
        """The last list that ended, and the number of lines then."""
        self._after_item = -1
        """The number of lines when the last item ended."""

    @property
    def begins_item(self) -> bool:
        """Whether the next line is the first one of an item."""
        return self._first is not None

    def add(self, lines: list[str]) -> None:
        """Add the *lines* of a block. Raises Full at the limit."""
        prefix = self._prefix
        new = [self._gap.rstrip()] if self._gap is not None and self.marks else []
        new.append((prefix if self._first is None else self._first) + lines[0])
        if len(lines) > 1:
            empty = prefix.rstrip()
            new += [prefix + line if line else empty for line in lines[1:]] if prefix else lines[1:]
        self._add(new)
        self._first, self._gap = None, prefix

    def _add(self, lines: list[str]) -> None:
        size = _size("".join(lines)) + len(lines)
        if size <= self._room:
            self._room -= size
            self._lines += lines
            return
        for line in lines:
            self._room -= _size(line) + 1
            self._lines.append(line)
            if self._room < -1:
                raise Full

    def text(self) -> str:
        return "\n".join(self._lines)

    def cut(self) -> str:
        """The text up to the limit: whole lines, or the beginning of the only one."""
        last = self._lines.pop().encode("utf-8", "replace")
        if self._lines:
            return self.text()
        return last[: max(self._room + len(last) + 1, 0)].decode("utf-8", "ignore")

    def quote(self) -> None:
        """Begin a quotation."""
        self._push("> " if self.marks else "", "> " if self.marks else "")

    def _push(self, marker: str, rest: str) -> None:
        """Begin a part: *marker* stands before its first line, *rest* before the others."""
        self._around.append((self._prefix, self._first))
        if len(self._around) <= _MAX_NESTED:
            self._first = (self._prefix if self._first is None else self._first) + marker
            self._prefix += rest
        else:
            self._first = self._prefix + marker

    def end(self) -> None:
        """End an item or a quotation."""
        if self._around:
            if self._first is None:
                self._after_item = len(self._lines)
            self._prefix, first = self._around.pop()
            self._first = first if self._first is not None else None
            if self._gap is not None and len(self._prefix) < len(self._gap):
                self._gap = self._prefix

    def list(self, is_ordered: bool, start: int) -> None:
        """Begin a list."""
        new = _List(is_ordered, start)
        if self._ended is not None and self._ended[0] == len(self._lines) and self._ended[1].is_ordered == is_ordered:
            new.has_other_marker = not self._ended[1].has_other_marker
        self._lists.append(new)

    def end_list(self) -> None:
        if self._lists:
            self._ended = (len(self._lines), self._lists.pop())

    def item(self) -> None:
        """Begin an item, without an empty line behind another one or behind the text of the item around."""
        here = self._lists[-1] if self._lists else _List(False, 1)
        begins_within = len(self._lists) > 1 and here.number == 1 and not here.has_other_marker
        if begins_within or (here.has_items and self._after_item == len(self._lines)):
            self._gap = None
        marker = here.marker()
        self._push(marker, " " * len(marker))

    def mark_of_item(self) -> str:
        """What stands before an item that is no line of its own."""
        here = self._lists[-1] if self._lists else _List(False, 1)
        return here.marker() if here.is_ordered else "\u2022 "


def _size(text: str) -> int:
    """The bytes of *text* in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


class _List:
    """A list that is open. Behind a list of its kind it needs the other marker: else both would be one list."""

    def __init__(self, is_ordered: bool, number: int) -> None:
        self.is_ordered, self.number = is_ordered, number
        self.has_items = self.has_other_marker = False

    def marker(self) -> str:
        self.has_items = True
        if not self.is_ordered:
            return "* " if self.has_other_marker else "- "
        self.number += 1
        return f"{self.number - 1}{')' if self.has_other_marker else '.'} "
