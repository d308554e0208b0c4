"""The type of a column holds every value that it was found from, and is bounded whatever they are."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.export.formats.parquet import _arrow_type
from crawler.export.types import JSON, MAX_LEAVES, NULL, TEXT, Type, bounded, conform, merged, type_of

INTEGERS = st.integers(-(2**70), 2**70)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | INTEGERS
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab\u85e4", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 2], Type("int")),
        ([1, 2.5], Type("float")),
        ([True, 1], JSON),
        (["a", 1], JSON),
        ([2**63], JSON),
        ([{}], JSON),
        ([[1], [2.5, None]], Type("list", Type("float"))),
        ([{"a": 1}, {"b": "x"}], Type("struct", fields=(("a", Type("int")), ("b", TEXT)))),
        ([{"a": 1}, [1]], JSON),
        ([None], NULL),
    ],
)
def test_the_narrowest_type_that_holds_all(values: list[Any], kind: Type) -> None:
    assert reduce(merged, map(type_of, values)) == kind


@settings(derandomize=True, deadline=None)
@given(st.lists(VALUES, max_size=5))
def test_every_value_fits_its_column_and_says_the_same(values: list[Any]) -> None:
    kind = bounded(reduce(merged, map(type_of, values), NULL))
    column = pyarrow.array([conform(value, kind) for value in values], _arrow_type(kind))
    for value, found in zip(values, column.to_pylist(), strict=True):
        assert _same(value, found)


def _same(value: Any, found: Any) -> bool:
    """Whether a column says what *value* is: as it is, as a number of the same size, or as its JSON."""
    if isinstance(value, dict) and isinstance(found, dict):
        return all(_same(value.get(key), one) for key, one in found.items()) and value.keys() <= found.keys()
    if isinstance(value, list) and isinstance(found, list):
        return len(value) == len(found) and all(map(_same, value, found))
    if isinstance(value, int) and isinstance(found, float):
        return float(value) == found
    return bool(value == found) or (isinstance(found, str) and bool(json.loads(found) == value))


def test_keys_without_end_become_json() -> None:
    wide = {str(n): n for n in range(101)}
    deep = {str(n): {str(m): m for m in range(90)} for n in range(MAX_LEAVES // 90 + 1)}
    assert type_of(wide) == JSON
    assert bounded(type_of(deep)) == JSON
    nest: Any = 1
    for _ in range(500):
        nest = [nest]
    assert json.loads(conform([nest], Type("list", JSON))[0]) == nest
    levels, kind = 0, type_of(nest)
    while kind.element is not None:
        levels, kind = levels + 1, kind.element
    assert (levels, kind) == (8, JSON)
