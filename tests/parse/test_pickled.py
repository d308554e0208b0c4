"""Pickles are read, never run: plain values come out as they went in, all else is OPAQUE."""

from __future__ import annotations

import datetime
import os
import pickle
import pickletools
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.parse.pickled import OPAQUE, read

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
KEYS = st.text() | st.integers() | st.none()
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5) | st.lists(inner, max_size=5).map(tuple) | st.dictionaries(KEYS, inner, max_size=5)
    ),
    max_leaves=20,
)
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Bomb:
    """Removes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.unlink, (str(self.path),)


@given(VALUES, st.sampled_from(range(3, pickle.HIGHEST_PROTOCOL + 1)))
def test_plain_values_are_read_as_unpickling_would(value: Any, protocol: int) -> None:
    raw = pickle.dumps(value, protocol)
    assert read(raw) == pickle.loads(raw) == value
    assert read(pickletools.optimize(raw)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_not_plain_is_opaque_and_its_neighbours_are_read(protocol: int) -> None:
    value = {"url": "http://x/", "meta": {"at": datetime.datetime(2026, 1, 1), "in": OrderedDict(a=1), "depth": 3}}
    found = read(pickle.dumps(value, protocol))
    assert found == {"url": "http://x/", "meta": {"at": OPAQUE, "in": OPAQUE, "depth": 3}}
    assert repr(OPAQUE) == "OPAQUE"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_run(protocol: int, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("here")
    raw = pickle.dumps({"url": "http://x/", "bomb": Bomb(kept)}, protocol)
    assert read(raw) == {"url": "http://x/", "bomb": OPAQUE}
    assert kept.read_text() == "here"
    pickle.loads(raw)
    assert not kept.exists()


@given(st.binary(max_size=60) | st.builds(lambda v, n: pickle.dumps(v)[:n], VALUES, st.integers(0, 60)))
def test_what_is_no_pickle_is_a_value_error_or_a_value(raw: bytes) -> None:
    try:
        read(raw)
    except ValueError as error:
        assert "\n" not in str(error)


def test_a_value_that_is_repeated_is_shared() -> None:
    """A list of lists of lists ... : 2 to the power of 200 leaves in 1 KB."""
    value: Any = "x" * 100
    for _ in range(200):
        value = [value, value]
    raw = pickle.dumps(value)
    tracemalloc.start()
    read(raw)
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b".",
        b"s.",
        b"\x80\x04}(\x8c\x01a\x94u.",  # a key without a value
        b"h\x05.",  # of the memo there is none
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.",  # says that it is 2**63 bytes long
        b"\x80\x04N" + b"0" * 9,
        b"(" * 1_000_000,
        b"\x80\x04" + b"]" * (17 << 20),
    ],
    ids=range(9),
)
def test_damaged_and_huge_ones_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        read(raw)
