"""GitHub annotations: workflow commands that a step prints, see "Workflow commands for GitHub Actions"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from crawler.check.outputs import words
from crawler.check.outputs.files import file_of
from crawler.check.summary import Summary
from crawler.findings import CODES, Finding, FoundOn
from crawler.text import printable

_PLACES: Final = 10
"""Annotations of one finding. GitHub shows ten errors, ten warnings and ten notices of a step."""
_MAX_TEXT: Final = 1000
"""Characters of one message."""


def github(findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    """A command for each place of a finding, up to ten of each; the result of the check at the end."""
    for finding in findings:
        places = finding.pages[:_PLACES] or (None,)
        more = len(finding.pages) - len(places)
        for number, place in enumerate(places, 1):
            yield _command(finding, place, more if number == len(places) else 0)
    for note in (words.counts(summary), *words.notes(summary), summary.verdict):
        yield f"{_data(f'crawler check: {note}')}\n"


def _command(finding: Finding, place: FoundOn | None, more: int) -> str:
    file = file_of(place.url) if place is not None else None
    facts = {"file": file, "line": place.line if file and place is not None else None, "title": finding.code}
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in facts.items() if value)
    return f"::{finding.severity} {properties}::{_data(_message(finding, place, file, more))}\n"


def _message(finding: Finding, place: FoundOn | None, file: str | None, more: int) -> str:
    message = f"{finding.target[:_MAX_TEXT]}: {finding.cause[:_MAX_TEXT]}"
    if finding.code in CODES:
        message += f" ({CODES[finding.code].advice})"
    if place is not None and file is None:
        message += f"; {place.url[:_MAX_TEXT]}{words.where(place)}"
    elif place is not None:  # the annotation has its file and line
        message += words.where(FoundOn(place.url, None, place.text, place.used_by))
    return message + (f", and in {more:,} more places" if more > 0 else "")


def _data(text: str) -> str:
    """*text* as one line that begins no command."""
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    """The value of a property."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
