"""JSON, JSON Lines and CSV: all that is known of each finding, for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from crawler.check.summary import Summary
from crawler.export.formats.csv import defuse, row
from crawler.findings import Finding, FoundOn
from crawler.text import escaped, printable

COLUMNS: Final = ("code", "severity", "target", "cause", "page", "line", "text", "used_by", "since")
"""Of the CSV, which has a row for each place."""


def json(findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    """One object: `summary`, and `findings` with one a line. Controls and invisible characters are escaped."""
    yield f'{{"summary": {_json(summary.to_dict())},\n"findings": ['
    before = "\n"
    for finding in findings:
        yield f"{before}{_json(finding)}"
        before = ",\n"
    yield "\n]}\n" if findings else "]}\n"


def json_lines(findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    """One finding a line."""
    for finding in findings:
        yield f"{_json(finding)}\n"


def _json(value: object) -> str:
    return escaped(msgspec.json.encode(value).decode())


def csv(findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    """A row for each place (RFC 4180), one for a finding without places. No spreadsheet or terminal obeys a cell."""
    yield row(list(COLUMNS)).decode()
    for finding in findings:
        for place in finding.pages or (None,):
            yield row([defuse(printable(cell)) for cell in _cells(finding, place)]).decode()


def _cells(finding: Finding, place: FoundOn | None) -> tuple[str, ...]:
    before = (finding.code, finding.severity, finding.target, finding.cause)
    if place is None:
        return (*before, "", "", "", "", finding.since or "")
    line = str(place.line) if place.line else ""
    return (*before, place.url, line, place.text or "", " ".join(place.used_by), finding.since or "")
