"""Words that all outputs for people share. What comes from sites is shown as harmless text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crawler.check.summary import Summary
from crawler.findings import CODES, SEVERITIES, Finding, FoundOn
from crawler.text import counted, printable

_MAX_TEXT: Final = 200
"""Characters of a text that are shown."""


def where(place: FoundOn) -> str:
    """What follows the URL of a place: its line, its text, and who uses a style sheet."""
    parts = [f", line {place.line}"] if place.line else []
    if place.text:
        more = "\u2026" if len(place.text) > _MAX_TEXT else ""
        parts.append(f" \u201c{printable(place.text[:_MAX_TEXT])}{more}\u201d")
    if place.used_by:
        parts.append(f" (used by {counted(len(place.used_by), 'page')})")
    return "".join(parts)


def is_of_page(finding: Finding) -> bool:
    """Whether its target is the one page that holds it, as of a page without a title."""
    return len(finding.pages) == 1 and finding.pages[0].url == finding.target


def cause(finding: Finding) -> str:
    """Its cause, unless that only repeats what its code says."""
    return "" if finding.code in CODES and finding.cause == CODES[finding.code].sentence else finding.cause


def held(finding: Finding) -> str:
    """How often it was found: `312 places on 300 pages`; empty if no page holds it."""
    places, pages = len(finding.pages), len({page.url for page in finding.pages})
    if not places:
        return ""
    return f"on {counted(pages, 'page')}" if places == pages else f"{places:,} places on {counted(pages, 'page')}"


def counts(summary: Summary) -> str:
    """`2 errors, 3 warnings on 4 pages`, with what the baseline says."""
    found = [counted(n, severity) for severity in SEVERITIES if (n := summary.severities.get(severity, 0))]
    if not found:
        return "no findings"
    return ", ".join(found) + (f" on {counted(summary.affected, 'page')}" if summary.affected else "")


def looked_at(summary: Summary) -> str:
    """What the check looked at."""
    external = f", {summary.external:,} of them external" if summary.external else ""
    pages, targets = counted(summary.pages, "page"), counted(summary.targets, "target")
    return f"{pages} read, {targets} asked for{external}"


def notes(summary: Summary) -> Sequence[str]:
    """What a reader of the findings must know."""
    found = []
    if not summary.is_complete:
        found.append("the check is not complete: it was interrupted, or a limit ended it; more may be broken")
    if summary.start_trouble:
        found.append(f"the start page could not be read: {printable(summary.start_trouble)}")
    if summary.left_out:
        found.append(f"{counted(summary.left_out, 'finding')} more, left out by --max-findings")
    if summary.known:
        are = "is" if summary.known == 1 else "are"
        found.append(f"{counted(summary.known, 'finding')} of the baseline {are} still there, and not shown")
    if summary.gone is not None:
        are = "is" if summary.gone == 1 else "are"
        found.append(f"{counted(summary.gone, 'finding')} of the baseline {are} gone")
    return found
