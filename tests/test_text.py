"""No text of the web steers a terminal or begins a line of a log."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.text import counted, escaped, guess, printable, rfc3339


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
        ("a\u00ad\u2061\u180e\u3164\u200b\u2060b", f"a{chr(0xFFFD) * 6}b"),
        ("tags \U000e0041\U000e007f", "tags \ufffd\ufffd"),
        (
            "\u0645\u06cc\u200c\u062e ❤\ufe0f 👩\u200d❤\ufe0f\u200d👩",
            "\u0645\u06cc\u200c\u062e ❤\ufe0f 👩\u200d❤\ufe0f\u200d👩",
        ),
        ("pay\u200dpal\ufe0f \u202e\u200d", "pay\ufffdpal\ufffd \ufffd\ufffd"),
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


def test_a_time_is_told_whatever_it_is() -> None:
    """Times are read from Redis, where something else may have written them."""
    assert rfc3339(0) == "1970-01-01T00:00:00Z"
    assert rfc3339(1_706_929_506.9) == "2024-02-03T03:05:06Z"
    assert rfc3339(2**63 / 1000).startswith("2922")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("--dely", "delay"),
        ("concurency", "concurrency"),
        ("DEPTH", "max-depth"),
        ("max_depht", "max-depth"),
        *((name, "") for name in ("--js", "--accept", "--keep-bodies", "--rate", "--robots", "host", "", "-")),
    ],
)
def test_a_name_is_guessed_only_if_it_is_near(name: str, meant: str) -> None:
    known = [
        "delay",
        "concurrency",
        "max-depth",
        "yes",
        "redis",
        "format",
        "ignore-robots",
        "per-host",
        "max-hosts",
        "max-pages-per-host",
    ]
    assert guess(name, known) == meant


def test_counts() -> None:
    assert [counted(n, "URL") for n in (0, 1, 2000)] == ["0 URLs", "1 URL", "2,000 URLs"]
