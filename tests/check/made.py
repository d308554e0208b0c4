"""Findings made up for tests: of real sizes, and with what hostile sites would write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crawler.check.selection import Selection
from crawler.check.summary import Summary
from crawler.findings import CODES, Finding, FoundOn

SITE = "https://example.org/"
MARKUP = "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>"
HOSTILE = f"{MARKUP}\x1b[2J\u202egnp\r\n::error::x\ufffe]]>&amp;"


def on(url: str, line: int | None = 12, text: str | None = "Read more", **more: Any) -> FoundOn:
    return FoundOn(url, line, text, **more)


def made(code: str = "broken", target: str = "https://example.org/gone", cause: str = "404", **more: Any) -> Finding:
    more.setdefault("pages", [on("https://example.org/a")])
    severity = more.pop("severity", None) or CODES[code].severity
    return Finding(code, severity, target, cause, **more)


def pages(count: int, name: str = "page", **more: Any) -> list[FoundOn]:
    return [on(f"https://example.org/{name}/{n}", **more) for n in range(count)]


def summary(findings: Sequence[Finding] = (), selection: Selection | None = None, **facts: Any) -> Summary:
    """The summary of *findings*, which were selected."""
    given: dict[str, Any] = {"pages": 1234, "targets": 5678, "external": 321, "seconds": 133.0, "is_complete": True}
    given |= {"site": SITE, "began": 1_796_040_000.0, "ended": 1_796_040_133.0} | facts
    chosen = selection or Selection()
    return chosen.completed(Summary(**given), chosen.select(findings))


def one_of_each() -> list[Finding]:
    """A finding of each code, the worst first."""
    found = [made(code, f"https://example.org/{code}", f"cause of {code}", pages=pages(2, code)) for code in CODES]
    return sorted(found, key=lambda finding: ("error", "warning", "notice").index(finding.severity))


def hostile() -> list[Finding]:
    """What a site could write into each value."""
    place = FoundOn(f"https://example.org/{MARKUP}", 3, HOSTILE, [f"https://example.org/{MARKUP}"])
    return [
        made("title-duplicate", HOSTILE, HOSTILE, pages=[place]),
        made("url-invalid", "javascript:window.pwned=1", HOSTILE, pages=[FoundOn("javascript:window.pwned=1")]),
        made("broken", f"https://example.org/?q={MARKUP}", HOSTILE, pages=[place], since="2026-01-01T00:00:00Z"),
        made("broken", "=cmd|' /C calc'!A0", "@SUM(1+9)", pages=[on("https://example.org/", text="+1;=2")]),
    ]
