"""What a row of an export holds: the fields of a record, those that `--fields` names, or those of one of its items.

--fields url,title,data.price     a path leads into what a hook or a rule found, and into links
--items                           a row an item: the URL of its page, then its own fields
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from crawler.errors import UsageError
from crawler.record import Record

FIELDS: Final = Record.__struct_fields__
_NESTED: Final = ("data", "links")
"""Fields into which a path may lead."""
_PAGE: Final = "page."
"""With items: the prefix of a field of the page."""
MAX_COLUMNS: Final = 100
"""Columns that are made for what hooks and rules found. Where keys are without end, the rest stays in `data`."""
_MAX_KEY: Final = 100


@dataclass(frozen=True, slots=True)
class Shape:
    """What a row holds. UsageError for a field that no record has."""

    fields: tuple[str, ...] = ()
    """Their names, in order; none: all."""
    items: bool = False
    """A row an item."""
    defuse: bool = True
    """CSV: keep spreadsheets from running cells."""
    empty: bool = False
    """With items: a page without any has a row with its URL alone, so that a copy elsewhere can drop its items."""

    def __post_init__(self) -> None:
        """Check the names."""
        for name in self.fields:
            if not self.items:
                _check(name)
            elif name.startswith(_PAGE):
                _check(name.removeprefix(_PAGE))

    @property
    def plain(self) -> bool:
        """Whether a row is a record, with all of its fields."""
        return not (self.fields or self.items)

    @property
    def reads(self) -> frozenset[str] | None:
        """The fields of a record that are needed; None: all."""
        if self.items:
            named = [name.removeprefix(_PAGE) for name in self.fields if name.startswith(_PAGE)]
            return frozenset({"data", *(name.partition(".")[0] for name in named)})
        return frozenset(name.partition(".")[0] for name in self.fields) or None

    def rows(self, record: Record) -> Iterator[dict[str, Any]]:
        """The rows of *record*: what is known, by column. Values are those of JSON."""
        if self.items:
            for item in items_of(record.data) or ([{}] if self.empty else ()):
                yield self._named_of(record, item) if self.fields else _row_of(record, item)
        elif self.fields:
            yield _known((name, _field(record, name)) for name in self.fields)
        else:
            yield _known((name, _field(record, name)) for name in FIELDS)

    def _named_of(self, record: Record, item: Any) -> dict[str, Any]:
        own = _row_of(record, item)
        return _known(
            (name, _field(record, name.removeprefix(_PAGE)) if name.startswith(_PAGE) else value_at(own, name))
            for name in self.fields
        )


ALL_FIELDS: Final = Shape()
"""A row a record, with all of its fields."""


def fields_of(values: Iterable[str]) -> tuple[str, ...]:
    """The names in values of `--fields`, each of which may hold several with commas between.

    UsageError if there are values, and none has a name.
    """
    given = tuple(values)
    names = tuple(dict.fromkeys(name for value in given for part in value.split(",") if (name := part.strip())))
    if given and not names:
        raise UsageError("--fields is empty: name fields, as in url,title,data.price, or leave it out for all")
    return names


def items_of(data: Any) -> list[Any] | None:
    """The items that a hook or a rule found: `data` itself if it is a list, or its `items`. None: there are none."""
    found = data.get("items") if isinstance(data, dict) else data
    return found if isinstance(found, list) and found else None


def own_of(item: Any) -> dict[str, Any]:
    """What an item has of its own, by column. A URL, as a product has, is `item.url`; what is no object is `value`."""
    own = item if isinstance(item, dict) else {"value": item}
    return {"item.url" if key == "url" else key: value for key, value in own.items()}


def value_at(value: Any, path: str) -> Any:
    """What *path* leads to, with dots between keys; None if nothing is there.

    A number is a place in a list. Any other key is looked up in each element of a list.
    """
    if not path:
        return value
    if isinstance(value, dict) and path in value:
        return value[path]
    key, _, rest = path.partition(".")
    if isinstance(value, dict):
        return value_at(value.get(key), rest)
    if not isinstance(value, list):
        return None
    if key.isdecimal():
        return value_at(value[int(key)], rest) if int(key) < len(value) else None
    found = [value_at(one, path) for one in value]
    return found if any(one is not None for one in found) else None


def columns_of(rows: Iterable[Any], *, without: Sequence[str] = ()) -> tuple[str, ...]:
    """The keys of *rows* that are dicts, in the order in which they appear; at most MAX_COLUMNS."""
    found: dict[str, None] = {}
    for row in rows:
        for key in row if isinstance(row, dict) else ():
            if is_column(key) and key not in without and len(found) < MAX_COLUMNS:
                found[key] = None
    return tuple(found)


def is_column(key: str) -> bool:
    """Whether a key can be the name of a column: short, and nothing but printable characters."""
    return 0 < len(key) <= _MAX_KEY and key.isprintable()


def divide(data: Any, columns: Sequence[str]) -> tuple[dict[str, Any], Any]:
    """The values of *data* that have a column, and what is left of it; None if that is nothing."""
    if not isinstance(data, dict):
        return {}, data
    own = {key: data[key] for key in columns if key in data}
    rest = {key: value for key, value in data.items() if key not in own}
    return own, None if own and not rest else rest


def _field(record: Record, path: str) -> Any:
    name, _, rest = path.partition(".")
    value = getattr(record, name)
    if name == "links" and value is not None:
        value = msgspec.to_builtins(value)
    return value_at(value, rest)


def _known(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if value is not None}


def _row_of(record: Record, item: Any) -> dict[str, Any]:
    """An item with the URL of its page."""
    return {"url": record.url} | own_of(item)


def _check(path: str) -> None:
    name, dot, _ = path.partition(".")
    if name in FIELDS and (not dot or name in _NESTED):
        return
    if name in FIELDS:
        raise UsageError(f"--fields {path}: {name} has no parts: name {name}")
    near = get_close_matches(name, FIELDS, 1, 0.75)
    meant = f"did you mean {near[0]}?" if near else f"what a hook or a rule found is data.{path};"
    raise UsageError(f"--fields {path}: a record has no {name}: {meant} docs/records.md lists the fields")
