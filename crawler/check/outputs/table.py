"""The findings for people, on a terminal or in the log of a build. What comes from sites cannot control a terminal."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, TextIO

from crawler.check.outputs import words
from crawler.check.outputs.priorities import first_fixes
from crawler.check.summary import Summary
from crawler.findings import CODES, NUMBERS, SEVERITIES, Finding
from crawler.logs import is_dumb
from crawler.text import counted, lasting, printable, rfc3339

_LISTED: Final = {"error": (20, 5), "warning": (10, 3), "notice": (5, 2)}
"""Severity -> findings of one code that are listed, and places of each of them."""
_MIN_WIDTH: Final = 20
"""Columns. On a narrower terminal lines are broken by the terminal itself."""
_MAX_TEXT: Final = 2000
"""Characters of a URL or a text that are shown."""
_COLORS: Final = {"error": "31", "warning": "33", "notice": "36", "strong": "1", "soft": "2"}
_ALL: Final = "(all of them with -o report.html)"


def wants_color(stream: TextIO) -> bool:
    """Whether *stream* is a terminal that shows colors, and the user has not set NO_COLOR."""
    return stream.isatty() and not is_dumb() and not os.environ.get("NO_COLOR")


def table(findings: Sequence[Finding], summary: Summary, width: int | None = None, *, color: bool = False) -> str:
    """The lines, each with its end. *width* is that of the terminal in columns; None breaks no line."""
    made = _Lines(width, color, rfc3339(summary.began))
    groups: defaultdict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.severity, finding.code].append(finding)
    for severity, code in sorted(groups, key=lambda key: (SEVERITIES.index(key[0]), NUMBERS.get(key[1], 99))):
        made.group(severity, code, groups[severity, code], summary.codes.get(code, 0))
    made.end(findings, summary)
    return "".join(f"{line}\n" for line in made.lines)


class _Lines:
    """Collects lines of up to *width* columns."""

    def __init__(self, width: int | None, color: bool, began: str) -> None:
        """*began*: when the check did (RFC 3339); what was there before that day has its date."""
        self.lines: list[str] = []
        self._width = max(width, _MIN_WIDTH) if width else None
        self._color, self._day = color, began[:10]

    def group(self, severity: str, code: str, findings: Sequence[Finding], count: int) -> None:
        """The findings of one code."""
        kind = CODES.get(code)
        self._add(f"{severity}: {code} ({max(count, len(findings)):,})", 0, severity)
        if kind:
            self._add(f"{kind.sentence}; {kind.advice}", 0, "soft")
        most, places = _LISTED[severity]
        for finding in sorted(findings, key=lambda finding: -len(finding.pages))[:most]:
            self._finding(finding, places)
        if (more := len(findings) - most) > 0:
            self._add(f"and {more:,} more {_ALL}", 2, "soft")
        self._add("")

    def _finding(self, finding: Finding, places: int) -> None:
        self._add(finding.target, 2, "strong")
        is_of_page = words.is_of_page(finding)
        where = words.where(finding.pages[0]).removeprefix(", ").strip() if is_of_page else words.held(finding)
        since = f"since {finding.since[:10]}" if finding.since and finding.since[:10] < self._day else ""
        if facts := ", ".join(filter(None, (words.cause(finding), since, where))):
            self._add(facts, 4)
        for place in () if is_of_page else finding.pages[:places]:
            self._add(f"{place.url}{words.where(place)}", 6)
        if (more := len(finding.pages) - places) > 0:
            self._add(f"and {more:,} more {_ALL}", 6, "soft")

    def end(self, findings: Sequence[Finding], summary: Summary) -> None:
        """What was looked at, what to fix first, and the exit status."""
        self._add(f"{summary.site}: {words.looked_at(summary)}, in {lasting(summary.seconds)}", 0)
        self._add(words.counts(summary), 0, "strong")
        for note in words.notes(summary):
            self._add(note, 0)
        fixes = first_fixes(findings) if len(findings) > 1 else []
        if fixes:
            self._add("")
            self._add("fix first:", 0, "strong")
        for number, fix in enumerate(fixes, 1):
            self._add(f"{number}. {fix.what}", 2)
            removed = f"removes {counted(len(fix.findings), 'finding')} in {counted(fix.places, 'place')}"
            self._add(f"{fix.how} ({removed})" if fix.how else removed, 5, "soft")
        if fixes:
            self._add("")
        self._add(summary.verdict, 0, "strong")

    def _add(self, text: str, indent: int = 0, style: str = "") -> None:
        """One text on as many lines as it needs, which begin after *indent* columns."""
        shown = printable(text[:_MAX_TEXT]) + ("\u2026" if len(text) > _MAX_TEXT else "")
        for line in folded(shown, self._width - indent) if self._width else [shown]:
            painted = f"\x1b[{_COLORS[style]}m{line}\x1b[0m" if self._color and style and line else line
            self.lines.append(" " * indent + painted if line else "")


def folded(text: str, width: int) -> list[str]:
    """*text* in lines of up to *width* columns, broken at spaces if there are any; a URL is broken anywhere."""
    lines, line, used = [], "", 0
    for word in _pieces(text, width):
        size = columns(word)
        if line and used + size > width:
            lines.append(line.rstrip(" "))
            line, used = "", 0
            word = word.lstrip(" ")
            size = columns(word)
        line, used = line + word, used + size
    return [*lines, line.rstrip(" ")]


def _pieces(text: str, width: int) -> Iterator[str]:
    """The words, each with the space before it, none wider than *width*."""
    for number, word in enumerate(text.split(" ")):
        piece, used = (" " if number else ""), (1 if number else 0)
        for char in word:
            size = columns(char)
            if used + size > width:
                yield piece
                piece, used = "", 0
            piece, used = piece + char, used + size
        yield piece


def columns(text: str) -> int:
    """How many columns of a terminal *text* takes (Unicode Standard Annex #11)."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
