"""JUnit XML, as Jenkins, GitLab and others read it: a test suite for each code, a test case for each target.

A finding that makes the command fail is a failure. A milder one is a test that passed, with what was found as its
output. A check that found nothing is one test that passed, since programs take a file without tests for an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from crawler.check.outputs import words
from crawler.check.summary import Summary
from crawler.findings import CODES, NUMBERS, Finding
from crawler.text import printable, rfc3339

_PLACES: Final = 100
"""Places of one finding that are named."""
_NO_XML: Final = re.compile("[\ufffe\uffff]")
"""What `printable` leaves and XML 1.0 forbids (section 2.2, Char)."""


def junit(findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    """The lines of the file."""
    failures = sum(finding.severity in summary.failing for finding in findings)
    troubles = _troubles(summary)
    is_clean = not findings and not troubles
    tests = len(findings) + len(troubles) + is_clean
    time = f"{max(summary.seconds, 0):.3f}"
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield (
        f'<testsuites name="crawler check" tests="{tests}" failures="{failures}" errors="{len(troubles)}"'
        f' time="{time}">\n'
    )
    if is_clean or troubles:
        yield _head("check", summary, max(len(troubles), 1), 0, len(troubles))
        for trouble in troubles:
            yield _case(summary.site, "check", f"<error message={_attribute(trouble)}/>")
        if is_clean:
            yield _case(summary.site, "check", "")
        yield "  </testsuite>\n"
    for code, found in groupby(sorted(findings, key=_rank), lambda finding: finding.code):
        yield from _suite(code, list(found), summary)
    yield "</testsuites>\n"


def _rank(finding: Finding) -> int:
    return NUMBERS.get(finding.code, len(NUMBERS))


def _troubles(summary: Summary) -> list[str]:
    """What is wrong with the check as a whole."""
    found = []
    if not summary.is_complete:
        found.append("the check is not complete: it was interrupted, or a limit ended it")
    if summary.start_trouble:
        found.append(f"the start page could not be read: {summary.start_trouble}")
    return found


def _suite(code: str, findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    failures = sum(finding.severity in summary.failing for finding in findings)
    yield _head(code, summary, len(findings), failures, 0)
    for finding in findings:
        message = f"message={_attribute(f'{finding.cause} {words.held(finding)}'.strip())}"
        text = escape(_text(finding))
        if finding.severity in summary.failing:
            yield _case(finding.target, code, f'<failure {message} type="{finding.severity}">{text}</failure>')
        else:
            yield _case(finding.target, code, f"<system-out>{text}</system-out>")
    yield "  </testsuite>\n"


def _head(name: str, summary: Summary, tests: int, failures: int, errors: int) -> str:
    began = rfc3339(summary.began).removesuffix("Z")
    return (
        f'  <testsuite name={_attribute(name)} tests="{tests}" failures="{failures}" errors="{errors}" skipped="0"'
        f' time="0" timestamp={_attribute(began)}>\n'
    )


def _case(name: str, code: str, content: str) -> str:
    begin = f'    <testcase name={_attribute(name)} classname="crawler.check.{_attribute(code)[1:-1]}" time="0"'
    return f"{begin}>{content}</testcase>\n" if content else f"{begin}/>\n"


def _text(finding: Finding) -> str:
    """What was found and where, on lines of their own."""
    kind = CODES.get(finding.code)
    lines = [f"{finding.severity}: {finding.cause}", *([f"{kind.sentence}; {kind.advice}"] if kind else [])]
    if finding.since:
        lines.append(f"since {finding.since}")
    lines += [f"{place.url}{words.where(place)}" for place in finding.pages[:_PLACES]]
    if (more := len(finding.pages) - _PLACES) > 0:
        lines.append(f"and {more:,} more places")
    return "\n".join(_clean(line) for line in lines)


def _attribute(text: str) -> str:
    return quoteattr(_clean(text))


def _clean(text: str) -> str:
    return _NO_XML.sub("\ufffd", printable(text))
