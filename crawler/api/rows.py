"""Records as rows of a table: dicts that all have the same keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from crawler.errors import UsageError
from crawler.record import Record
from crawler.text import did_you_mean

FIELDS: Final = Record.__struct_fields__
_NESTED: Final = "data."


def check_fields(names: Iterable[str]) -> tuple[str, ...]:
    """*names* as columns; none: all fields of a record. UsageError, with a guess, for a field that no record has."""
    names = tuple(name.strip() for several in names for name in several.split(","))
    for name in names:
        if name not in FIELDS and not name.startswith(_NESTED):
            guess = did_you_mean(name, FIELDS, f"what a hook found is data.{name}; docs/records.md lists the fields")
            raise UsageError(f"fields: a record has no {name!r}: {guess}")
    return names or FIELDS


def rows_of(record: Record, fields: tuple[str, ...], *, items: bool) -> Iterator[dict[str, Any]]:
    """The row of *record*: a value for each of *fields*, None where it is unknown.

    With *items* a row for each of its items: `url`, then the item's own fields.
    """
    if items:
        for item in _items_of(record.data):
            own = item if isinstance(item, dict) else {"value": item}
            yield {"url": record.url} | {("item.url" if key == "url" else key): value for key, value in own.items()}
    else:
        yield {name: _value(record, name) for name in fields}


def _items_of(data: Any) -> list[Any]:
    found = data.get("items") if isinstance(data, dict) else data
    return found if isinstance(found, list) else []


def _value(record: Record, name: str) -> Any:
    """A field of a record, or what a path such as `data.price` leads to within what a hook found."""
    if not name.startswith(_NESTED):
        return msgspec.to_builtins(getattr(record, name))
    value = record.data
    for key in name.removeprefix(_NESTED).split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
