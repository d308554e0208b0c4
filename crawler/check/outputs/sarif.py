"""SARIF 2.1.0 (OASIS), as code scanning of GitHub and editors read it: a rule for each code, a result for each finding.

All places of a finding are locations of one result, since one correction may remove them all (section 3.27.12). Places
on a site are given relative to its origin: GitHub refuses a file that names URLs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final

from crawler.check.outputs import words
from crawler.check.outputs.files import artifact_of
from crawler.check.outputs.rows import to_json
from crawler.check.summary import Summary
from crawler.findings import CODES, NUMBERS, Code, Finding, FoundOn
from crawler.settings import VERSION
from crawler.text import printable, rfc3339

HELP: Final = "https://crawler.example/docs/check.md"
"""The page that describes each code, at an anchor of its name."""
SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {"error": "error", "warning": "warning", "notice": "note"}
_PROBLEMS: Final = {"error": "error", "warning": "warning", "notice": "recommendation"}
"""What GitHub filters by."""
_PLACES: Final = 100
"""Locations of one result: GitHub keeps as many."""
_LINKING: Final = re.compile(r"[\\\[\]]")
_MAX_TEXT: Final = 1000
"""Characters of a URL or a text in a message."""


def sarif(findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    """The file, with one result a line."""
    bases: dict[str, str] = {}
    driver = {
        "name": "crawler check",
        "version": VERSION,
        "informationUri": HELP,
        "rules": [_rule(code, kind) for code, kind in CODES.items()],
    }
    yield f'{{"$schema": {to_json(SCHEMA)}, "version": "2.1.0", "runs": [{{\n"tool": {to_json({"driver": driver})},\n'
    yield f'"invocations": {to_json([_invocation(summary)])},\n"columnKind": "unicodeCodePoints",\n"results": ['
    before = "\n"
    for finding in findings:
        yield before + to_json(_result(finding, summary, bases))
        before = ",\n"
    yield f'\n],\n"originalUriBaseIds": {to_json({name: {"uri": uri} for uri, name in bases.items()})},\n'
    yield f'"properties": {to_json({"summary": summary.to_dict()})}\n}}]}}\n'


def _rule(code: str, kind: Code) -> dict[str, Any]:
    sentence, advice = (f"{text[0].upper()}{text[1:]}." for text in kind[1:])
    return {
        "id": code,
        "name": "".join(map(str.capitalize, code.split("-"))),
        "shortDescription": {"text": sentence},
        "fullDescription": {"text": f"{sentence} {advice}"},
        "help": {"text": advice, "markdown": f"{advice} [More]({HELP}#{code})"},
        "helpUri": f"{HELP}#{code}",
        "defaultConfiguration": {"level": _LEVELS[kind.severity]},
        "properties": {"tags": ["site"], "problem.severity": _PROBLEMS[kind.severity]},
    }


def _invocation(summary: Summary) -> dict[str, Any]:
    return {
        "executionSuccessful": summary.is_complete,
        "startTimeUtc": rfc3339(summary.began),
        "endTimeUtc": rfc3339(summary.ended),
        "exitCode": summary.exit_code,
    }


def _result(finding: Finding, summary: Summary, bases: dict[str, str]) -> dict[str, Any]:
    places = finding.pages[:_PLACES] or (FoundOn(_place_of(finding, summary)),)
    digest = blake2b("\0".join(finding.key).encode("utf-8", "replace"), digest_size=16).hexdigest()
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": {"text": _message(finding)},
        "locations": [_location(place, bases) for place in places],
        "partialFingerprints": {"primaryLocationLineHash": f"{digest}:1", "findingHash/v1": digest},
        "properties": {"target": finding.target, "cause": finding.cause, "places": len(finding.pages)},
    }
    if finding.code in NUMBERS:
        result["ruleIndex"] = NUMBERS[finding.code]
    if finding.since:
        result["properties"]["since"] = finding.since
    return result


def _place_of(finding: Finding, summary: Summary) -> str:
    """What is named for a finding that no page holds: a result without a location is not shown."""
    return finding.target if "://" in finding.target or finding.target.startswith("/") else summary.site


def _message(finding: Finding) -> str:
    kind = CODES.get(finding.code)
    text = f"{finding.target[:_MAX_TEXT]}: {finding.cause[:_MAX_TEXT]}"
    more = len(finding.pages) - _PLACES
    rest = f" Found {words.held(finding)}, of which {_PLACES} are listed." if more > 0 else ""
    return _plain(f"{text}; {kind.advice}.{rest}" if kind else f"{text}.{rest}")


def _plain(text: str) -> str:
    """*text* in which nothing is a link (section 3.11.6): a site chose parts of it."""
    return _LINKING.sub(r"\\\g<0>", printable(text))


def _location(place: FoundOn, bases: dict[str, str]) -> dict[str, Any]:
    uri, base = artifact_of(place.url)
    artifact = {"uri": uri}
    if base:
        artifact["uriBaseId"] = bases.setdefault(base, f"SITE{len(bases) + 1}")
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": artifact, "region": {"startLine": max(place.line or 1, 1)}}
    }
    text = words.where(place).removeprefix(", ").strip()
    if place.text or place.used_by:
        location["message"] = {"text": _plain(text[:_MAX_TEXT])}
    return location
