"""JSON, JSON Lines and CSV: all that is known of each finding, for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from crawler.check.summary import Summary
from crawler.export.formats.csv import defuse, row
from crawler.findings import Finding, FoundOn
from crawler.text import escaped, printable

COLUMNS: Final = ("code", "severity", "target", "cause", "page", "line", "text", "used_by", "since")
"""Of the CSV, which has a row for each place."""
_MAX_KNOWN: Final = 500
"""Characters of a text that is remembered."""


def json(findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    """One object: `summary`, and `findings` with one a line. Controls and invisible characters are escaped."""
    yield f'{{"summary": {to_json(summary.to_dict())},\n"findings": ['
    before = "\n"
    for finding in findings:
        yield f"{before}{_finding(finding)}"
        before = ",\n"
    yield "\n]}\n" if findings else "]}\n"


def json_lines(findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    """One finding a line."""
    for finding in findings:
        yield f"{_finding(finding)}\n"


def _finding(finding: Finding) -> str:
    """A finding always has `pages`, others of its keys only if they have a value."""
    return to_json(finding if finding.pages else msgspec.to_builtins(finding) | {"pages": []})


def to_json(value: object) -> str:
    """One line of JSON. A name of a file that is not UTF-8 cannot be written: it has U+FFFD in place of such bytes."""
    try:
        return escaped(msgspec.json.encode(value).decode())
    except UnicodeEncodeError:
        return escaped(msgspec.json.encode(_encodable(msgspec.to_builtins(value))).decode())


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {name: _encodable(one) for name, one in value.items()}
    return [_encodable(one) for one in value] if isinstance(value, list | tuple) else value


def csv(findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    """A row for each place (RFC 4180), one for a finding without places. No spreadsheet or terminal obeys a cell."""
    yield row(list(COLUMNS)).decode()
    for finding in findings:
        before = [*map(_cell, (finding.code, finding.severity, finding.target, finding.cause))]
        after = _cell(finding.since or "")
        for place in finding.pages or (None,):
            yield row([*before, *_place(place), after]).decode()


def _place(place: FoundOn | None) -> tuple[str, str, str, str]:
    if place is None:
        return "", "", "", ""
    line = str(place.line) if place.line else ""
    return _cell(place.url), line, _cell(place.text or ""), _cell(" ".join(place.used_by))


def _cell(text: str) -> str:
    """*text* so that neither a spreadsheet nor a terminal obeys it."""
    return _known(text) if len(text) <= _MAX_KNOWN else _harmless(text)


def _harmless(text: str) -> str:
    return defuse(printable(text))


_known = lru_cache(maxsize=1 << 13)(_harmless)
"""The same for short texts: many findings have the same pages."""
