"""No text of the web steers a terminal or begins a line of a log."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.text import escaped, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text: ünïcödé, 漢字, 🙂", "plain text: ünïcödé, 漢字, 🙂"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("\x1b]0;pwn\x07\x1b[2J", "\ufffd]0;pwn\ufffd\ufffd[2J"),
        ("\x9b31m", "\ufffd31m"),
        ("a\r\nb", "a\ufffd b"),
        ("left\u202eright\u2066x\u200f\u061c", "left\ufffdright\ufffdx\ufffd\ufffd"),
        ("\ud800", "\ufffd"),
        ("\x00\x7f\u2028\ufeff", "\ufffd" * 4),
    ],
)
def test_cases(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_nothing_that_steers_is_left(text: str) -> None:
    """No control, no separator of lines, no override of direction; what stays can be written as UTF-8."""
    shown = printable(text)
    assert {unicodedata.category(char) for char in shown}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    assert {unicodedata.bidirectional(char) for char in shown}.isdisjoint(
        {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    )
    assert len(shown) == len(text)
    assert shown.encode().decode() == shown
    assert printable(shown) == shown


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_for_a_terminal_means_the_same(text: str) -> None:
    line = json.dumps({"x": text}, ensure_ascii=False)
    shown = escaped(line)
    assert json.loads(shown) == {"x": text}
    assert printable(shown) == shown
