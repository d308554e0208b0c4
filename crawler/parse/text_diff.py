"""The lines in which two texts differ, as a unified diff. Pure; bounded in time and memory for any texts.

The shortest edit script by the greedy algorithm of Myers ("An O(ND) Difference Algorithm and Its Variations", 1986),
between the lines that both texts begin and end with. `difflib` may take cubic time, so it is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from operator import eq
from typing import Final

MAX_LINES: Final = 4_000
MAX_EDITS: Final = 400
"""If the part that differs has more lines, or more than that are added and removed, all of it is shown as replaced."""
_CONTEXT: Final = 3
"""Lines around a change that are shown, as `diff -u` does."""

_Edit = tuple[str, str]
"""A line, after the character that says what becomes of it: space, `-` or `+`."""


def unified_diff(before: str, after: str) -> str:
    """The diff without names of files: hunks that begin with `@@`. Empty if the texts have the same lines."""
    old, new = _lines(before), _lines(after)
    if old == new:
        return ""
    begin = _same(old, new)
    end = _same(old[begin:][::-1], new[begin:][::-1])
    inner_old, inner_new = old[begin : len(old) - end], new[begin : len(new) - end]
    edits = [(" ", line) for line in old[:begin]]
    edits += _edits(inner_old, inner_new) or _replaced(inner_old, inner_new)
    edits += [(" ", line) for line in old[len(old) - end :]]
    return "\n".join(_hunks(edits))


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines are the same, from the first on."""
    return sum(1 for _ in takewhile(bool, map(eq, one, other)))


def _replaced(old: Sequence[str], new: Sequence[str]) -> list[_Edit]:
    return [*(("-", line) for line in old), *(("+", line) for line in new)]


def _edits(old: Sequence[str], new: Sequence[str]) -> list[_Edit]:
    """The shortest edit script; empty if that takes too long."""
    if len(old) + len(new) > 2 * MAX_LINES:
        return []
    reach = {1: 0}
    trace: list[dict[int, int]] = []
    for distance in range(min(len(old) + len(new), MAX_EDITS) + 1):
        trace.append(dict(reach))
        for diagonal in range(-distance, distance + 1, 2):
            source = _from(reach, diagonal, distance)
            x = reach[source] + (source < diagonal)
            while x < len(old) and x - diagonal < len(new) and old[x] == new[x - diagonal]:
                x += 1
            reach[diagonal] = x
            if x >= len(old) and x - diagonal >= len(new):
                return _script(trace, old, new)
    return []


def _from(reach: dict[int, int], diagonal: int, distance: int) -> int:
    """From which diagonal the furthest path leads to *diagonal*: the next one by a new line, the last by an old one."""
    if diagonal == -distance or (diagonal != distance and reach[diagonal - 1] < reach[diagonal + 1]):
        return diagonal + 1
    return diagonal - 1


def _script(trace: list[dict[int, int]], old: Sequence[str], new: Sequence[str]) -> list[_Edit]:
    """The path that *trace* has found, from its end."""
    x, y = len(old), len(new)
    edits: list[_Edit] = []
    for distance in range(len(trace) - 1, -1, -1):
        source = _from(trace[distance], x - y, distance)
        from_x = trace[distance][source]
        from_y = from_x - source
        while x > from_x and y > from_y:
            x, y = x - 1, y - 1
            edits.append((" ", old[x]))
        if distance:
            edits.append(("+", new[from_y]) if source > x - y else ("-", old[from_x]))
        x, y = from_x, from_y
    return edits[::-1]


def _hunks(edits: list[_Edit]) -> list[str]:
    """The changes with the lines around them, each group after its `@@` line."""
    lines: list[str] = []
    places = [place for place, (mark, _) in enumerate(edits) if mark != " "]
    begin = 0
    old = new = 1
    done = 0
    while begin < len(places):
        end = begin
        while end + 1 < len(places) and places[end + 1] - places[end] <= 2 * _CONTEXT + 1:
            end += 1
        first, last = max(places[begin] - _CONTEXT, done), min(places[end] + _CONTEXT + 1, len(edits))
        old, new = old + first - done, new + first - done
        hunk = edits[first:last]
        removed = sum([mark != "+" for mark, _ in hunk])
        added = sum([mark != "-" for mark, _ in hunk])
        lines.append(f"@@ -{_range(old, removed)} +{_range(new, added)} @@")
        lines += [mark + line for mark, line in hunk]
        old, new, done, begin = old + removed, new + added, last, end + 1
    return lines


def _range(first: int, count: int) -> str:
    return f"{first}" if count == 1 else f"{first if count else first - 1},{count}"
