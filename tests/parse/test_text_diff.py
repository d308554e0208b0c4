"""Diffs of texts: what they show, that they can be applied, and that no texts make them slow."""

from __future__ import annotations

import difflib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.parse import text_diff
from crawler.parse.text_diff import MAX_EDITS, MAX_LINES, unified_diff

LINES = st.lists(st.sampled_from(["a", "b", "c", "", "- x", "@@ y"]), max_size=30).map("\n".join)


def applied(text: str, diff: str) -> list[str]:
    """The lines that *diff* makes of *text*, which must have what it takes away."""
    old = text.splitlines()
    new: list[str] = []
    at = 0
    for line in diff.splitlines() if diff else []:
        if found := re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@", line):
            first = int(found[1]) - (found[2] != "0")
            new += old[at:first]
            at = first
        elif line[0] == "+":
            new.append(line[1:])
        else:
            assert old[at] == line[1:]
            at += 1
            new += [line[1:]] if line[0] == " " else []
    return new + old[at:]


def test_a_changed_line_is_shown_with_the_lines_around_it() -> None:
    before = "\n".join(f"line {n}" for n in range(1, 21))
    after = before.replace("line 10\n", "line ten\n")
    assert unified_diff(before, after) == (
        "@@ -7,7 +7,7 @@\n line 7\n line 8\n line 9\n-line 10\n+line ten\n line 11\n line 12\n line 13"
    )


def test_texts_with_the_same_lines_have_no_diff() -> None:
    assert unified_diff("a\nb", "a\nb\n") == ""
    assert unified_diff("", "") == ""


@pytest.mark.parametrize(
    ("before", "after", "diff"),
    [("", "a\nb", "@@ -0,0 +1,2 @@\n+a\n+b"), ("a", "", "@@ -1 +0,0 @@\n-a"), ("a", "b", "@@ -1 +1 @@\n-a\n+b")],
)
def test_texts_that_begin_or_end(before: str, after: str, diff: str) -> None:
    assert unified_diff(before, after) == diff


@given(LINES, LINES)
def test_a_diff_makes_the_new_text_of_the_old_one(before: str, after: str) -> None:
    diff = unified_diff(before, after)
    assert applied(before, diff) == after.splitlines()
    assert (diff == "") == (before.splitlines() == after.splitlines())


@given(LINES, LINES)
def test_it_changes_no_more_lines_than_difflib_does(before: str, after: str) -> None:
    ours = [line for line in unified_diff(before, after).splitlines() if line[0] in "+-"]
    others = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm=""))[2:]
    assert len(ours) <= len([line for line in others if line[0] in "+-"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["x"] * MAX_LINES, ["x", "y"] * (MAX_LINES // 2)),
        ([f"a{n}" for n in range(50_000)], [f"b{n}" for n in range(50_000)]),
        ([str(n % 7) for n in range(MAX_LINES)], [str(n % 5) for n in range(MAX_LINES)]),
    ],
    ids=["one line again and again", "nothing in common", "many lines in common"],
)
def test_texts_that_differ_much_are_shown_as_replaced(
    before: list[str], after: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def step(*found: object) -> int:
        nonlocal steps
        steps += 1
        return source(*found)  # type: ignore[arg-type]

    source = text_diff._from
    monkeypatch.setattr(text_diff, "_from", step)
    diff = unified_diff("\n".join(before), "\n".join(after))
    assert applied("\n".join(before), diff) == after
    assert re.fullmatch(r"( .*\n)*(-.*\n)*(\+.*(\n|\Z))*( .*(\n|\Z))*", diff.partition("\n")[2])
    assert steps <= 2 * (MAX_EDITS + 2) ** 2
