"""Finds the type of a column from its values: the narrowest that holds them all, nested ones included.

1, 2.5  -> a number     {"a": 1}, {"b": "x"} -> a struct of a and b     1, "x" -> text (JSON where it is no string)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

MAX_FIELDS: Final = 100
"""Fields of a struct; what has more keys is a map, not a struct, and becomes JSON text."""
MAX_DEPTH: Final = 8
"""Levels of lists and structs; what is deeper becomes JSON text."""
MAX_LEAVES: Final = 500
"""Plain values in a column, over all of its structs; what has more becomes JSON text, since each is a column inside."""
_LARGEST: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Type:
    """A type. `kind` is `null`, `bool`, `int`, `float`, `str`, `json`, `list` or `struct`."""

    kind: str
    element: Type | None = None
    """Of a list."""
    fields: tuple[tuple[str, Type], ...] = ()
    """Of a struct, in the order in which they came."""


NULL: Final = Type("null")
TEXT: Final = Type("str")
JSON: Final = Type("json")
"""Text: a string is itself, any other value its JSON."""
_INT, _FLOAT = Type("int"), Type("float")
_NUMBERS: Final = (_INT, _FLOAT)
_TEXTS: Final = (TEXT, JSON)


def type_of(value: Any, depth: int = 0) -> Type:
    """The type of one value."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return Type("bool")
    if isinstance(value, int):
        return _INT if -_LARGEST <= value < _LARGEST else JSON
    if isinstance(value, float):
        return _FLOAT
    if isinstance(value, str):
        return TEXT
    return JSON if depth >= MAX_DEPTH else _nested(value, depth)


def _nested(value: Any, depth: int) -> Type:
    if isinstance(value, list):
        element = NULL
        for one in value:
            element = merged(element, type_of(one, depth + 1))
        return Type("list", element)
    if not value or len(value) > MAX_FIELDS:  # Parquet has no struct without fields
        return JSON
    return Type("struct", fields=tuple((key, type_of(one, depth + 1)) for key, one in value.items()))


def merged(one: Type, other: Type) -> Type:
    """The narrowest type that holds the values of both."""
    if one == other or other == NULL:
        return one
    if one == NULL:
        return other
    if one in _NUMBERS and other in _NUMBERS:
        return _FLOAT
    if one.element is not None and other.element is not None:
        return Type("list", merged(one.element, other.element))
    if one.fields and other.fields:
        fields = dict(one.fields)
        for key, kind in other.fields:
            fields[key] = merged(fields.get(key, NULL), kind)
        return Type("struct", fields=tuple(fields.items())) if len(fields) <= MAX_FIELDS else JSON
    return JSON


def bounded(kind: Type) -> Type:
    """*kind*, or JSON text if it has more than MAX_LEAVES plain values."""
    return kind if _leaves(kind) <= MAX_LEAVES else JSON


def _leaves(kind: Type) -> int:
    if kind.element is not None:
        return _leaves(kind.element)
    return sum(_leaves(of) for _, of in kind.fields) or 1


def conform(value: Any, kind: Type) -> Any:
    """*value*, of a type that was merged into *kind*, as a column of that type holds it."""
    if value is None or kind.kind == "null":
        return None
    if kind in _TEXTS:
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if kind.element is not None:
        return [conform(one, kind.element) for one in value]
    if kind.fields:
        return {key: conform(value.get(key), of_key) for key, of_key in kind.fields}
    return float(value) if kind == _FLOAT else value
