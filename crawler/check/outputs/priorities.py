"""What to fix first: what one correction removes, the most first. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from crawler import url as urls
from crawler.findings import CODES, SEVERITIES, Finding
from crawler.text import counted

_OF_ONE_PAGE: Final = frozenset(
    {
        *("title-missing", "description-missing", "h1-missing", "h1-multiple", "alt-missing"),
        *("charset-wrong", "slow", "large"),
    }
)
"""Codes that pages have by themselves. Where many pages have one, their template does."""
_OF_ONE_HOST: Final = frozenset({"broken", "certificate", "certificate-expiring"})
"""Codes that all targets on a host may have for one reason."""
_LINKS: Final = frozenset({"broken", "broken-fragment", "redirect-chain", "redirect-loop", "redirect-permanent"})
_MIN_OF_A_PAGE: Final = 3
"""Findings that a page must hold alone to be named."""
_MANY: Final = 3
"""Pages that hold the same, with the same text, by a template."""


@dataclass(frozen=True, slots=True)
class Fix:
    """One correction."""

    severity: str
    what: str
    """What is wrong, in words."""
    how: str
    """What to do about it."""
    findings: tuple[int, ...]
    """Numbers of the findings that it removes."""
    places: int
    """How many places name them."""


def first_fixes(findings: Sequence[Finding], most: int = 3) -> list[Fix]:
    """Up to *most* corrections: errors first, then what removes the most places. None removes what another does."""
    ranked = sorted(_candidates(findings), key=lambda fix: (SEVERITIES.index(fix.severity), -fix.places))
    chosen: list[Fix] = []
    gone: set[int] = set()
    for fix in ranked:
        if len(chosen) == most:
            break
        if gone.isdisjoint(fix.findings):
            chosen.append(fix)
            gone.update(fix.findings)
    return chosen


def _candidates(findings: Sequence[Finding]) -> Iterator[Fix]:
    hosts: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    pages: defaultdict[str, list[int]] = defaultdict(list)
    codes: defaultdict[str, list[int]] = defaultdict(list)
    for number, finding in enumerate(findings):
        if finding.code in _OF_ONE_PAGE:
            codes[finding.code].append(number)
            continue
        yield _of_target(number, finding)
        if finding.code in _OF_ONE_HOST and not finding.cause[:1].isdigit() and "://" in finding.target:
            hosts[finding.code, urls.host(finding.target), finding.cause].append(number)
        if finding.code in _LINKS and len(holders := {page.url for page in finding.pages}) == 1:
            pages[holders.pop()].append(number)
    for (code, host, cause), numbers in hosts.items():
        if len(numbers) > 1:
            what = f"{counted(len(numbers), 'target')} on {host} ({code}: {cause})"
            yield _of(findings, numbers, what, CODES[code].advice)
    for page, numbers in pages.items():
        if len(numbers) >= _MIN_OF_A_PAGE:
            yield _of(
                findings, numbers, f"{page} alone holds {counted(len(numbers), 'finding')}", "go through its links"
            )
    for code, numbers in codes.items():
        yield _of(findings, numbers, f"{code} on {counted(_pages(findings, numbers), 'page')}", _advice(code, numbers))


def _advice(code: str, numbers: Sequence[int]) -> str:
    many = "; so many pages may share a template" if len(numbers) >= _MANY else ""
    return f"{CODES[code].advice}{many}"


def _of_target(number: int, finding: Finding) -> Fix:
    places, pages = len(finding.pages), len({page.url for page in finding.pages})
    held = f", on {counted(pages, 'page')}" if pages else ""
    what = f"{finding.target} ({finding.code}: {finding.cause}){held}"
    how = _code_advice(finding.code)
    texts = Counter(page.text for page in finding.pages if page.text)
    text, same = texts.most_common(1)[0] if texts else ("", 0)
    if pages >= _MANY and same * 10 >= places * 9:
        how += f"; all name it with the text \u201c{text}\u201d: look in their template"
    return Fix(finding.severity, what, how, (number,), max(places, 1))


def _code_advice(code: str) -> str:
    return CODES[code].advice if code in CODES else ""


def _of(findings: Sequence[Finding], numbers: Sequence[int], what: str, how: str) -> Fix:
    places = sum(max(len(findings[number].pages), 1) for number in numbers)
    worst = min((findings[number].severity for number in numbers), key=SEVERITIES.index)
    return Fix(worst, what, how, tuple(numbers), places)


def _pages(findings: Sequence[Finding], numbers: Sequence[int]) -> int:
    held = {page.url for number in numbers for page in findings[number].pages}
    return len(held | {findings[number].target for number in numbers if not findings[number].pages})
