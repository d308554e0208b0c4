"""Counts what an export writes, and finds names in `--fields` that none of it has: they are misspelt, or not stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final

from crawler.export.shape import FIELDS, Shape, is_column, items_of
from crawler.record import CONTENTS, Link, Record

_MAX_PATHS: Final = 500
"""Paths that are remembered for a guess."""
_MAX_DEPTH: Final = 4
"""Keys in a path."""
_MAX_ELEMENTS: Final = 10
"""Elements of a list that are looked at."""
_NEAR: Final = 0.65


class Tally:
    """What was written of records that have these *stored* contents, in rows of *shape*."""

    def __init__(self, shape: Shape, stored: Collection[str]) -> None:
        self._shape, self._stored = shape, stored
        self._missing = dict.fromkeys(shape.fields)
        """Fields that no row had so far."""
        self._paths = dict.fromkeys(f"links.{name}" for name in Link.__struct_fields__)
        self.records = 0
        self.items: int | None = 0 if shape.items else None

    def add(self, records: Iterable[Record]) -> None:
        """These were written."""
        for record in records:
            self.records += 1
            if self.items is not None:
                self.items += len(items_of(record.data) or ())
            if self._missing:
                self._look(record)

    def _look(self, record: Record) -> None:
        for row in replace(self._shape, fields=tuple(self._missing)).rows(record):
            for name in row:
                self._missing.pop(name, None)
        for path in self._paths_in(record) if self._missing else ():
            if len(self._paths) >= _MAX_PATHS:
                break
            self._paths[path] = None

    def _paths_in(self, record: Record) -> Iterator[str]:
        if not self._shape.items:
            yield from _paths(record.data, "data.")
            return
        for item in (items_of(record.data) or ())[:_MAX_ELEMENTS]:
            yield from _paths(item, "")
        yield from _paths(record.data, "page.data.")

    def absent(self, *, new: bool = False) -> str:
        """A line on the fields that nothing had, with guesses; empty if all were there. *new*: of a later export."""
        if not self._missing or not (self.records if self.items is None else self.items):
            return ""
        names = [f"{name} ({meant})" if (meant := self._meant(name)) else name for name in self._missing]
        return f"no {'new ' if new else ''}{'record' if self.items is None else 'item'} has {', '.join(names)}"

    def _meant(self, name: str) -> str:
        field = (name.removeprefix("page.") if self.items is not None else name).partition(".")[0]
        if self.items is not None:
            own = name.removeprefix("data.").removeprefix("items.")
            if own != name and own in self._paths:
                return f"with --items name the item's own field: {own}"
            if name in FIELDS:
                return f"that of its page is page.{name}"
        if field in CONTENTS and field not in (*self._stored, "data"):
            return f"the crawl does not keep it: --store {field}"
        if name in FIELDS:
            return ""
        by_key = {_last(path): path for path in reversed(self._paths)}
        near = get_close_matches(_last(name), by_key, 1, _NEAR)
        return f"did you mean {by_key[near[0]]}?" if near else ""


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _paths(value: Any, before: str, depth: int = 0) -> Iterator[str]:
    """The paths into *value* that a field can name."""
    if isinstance(value, list):
        for element in value[:_MAX_ELEMENTS]:
            if isinstance(element, dict):
                yield from _paths(element, before, depth)
    elif isinstance(value, dict) and depth < _MAX_DEPTH:
        for key, inner in value.items():
            if is_column(key):
                yield before + key
                yield from _paths(inner, f"{before}{key}.", depth + 1)
