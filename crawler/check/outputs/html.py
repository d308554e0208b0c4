"""The findings as one HTML file: nothing from elsewhere, a list without scripts, filters and sorting with them.

What comes from sites is text: it is escaped, and what hides or reorders text is shown. Only http and https become
links. The Content-Security-Policy allows the one style and the one script of the file, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from crawler.check.outputs import words
from crawler.check.outputs.priorities import first_fixes
from crawler.check.summary import Summary
from crawler.findings import CODES, SEVERITIES, Finding, FoundOn
from crawler.text import counted, lasting, printable, rfc3339

MAX_FINDINGS: Final = 10_000
"""Findings in one file; browsers stay quick with as many."""
_PLACES: Final = 100
"""Places of one finding that are listed."""
MAX_PLACES: Final = 50_000
"""Places of all findings that are listed. If there are more, each finding lists fewer."""
_BUDGET: Final = 16 << 20
"""Characters of all places. Once they are used, no further places are listed."""
_MAX_TEXT: Final = 300
"""Characters of a URL or a text that are shown."""
_MAX_LINK: Final = 2048
"""Characters of a URL that still becomes a link."""
_ELSEWHERE: Final = "CSV and JSON (-o report.csv, -o report.json) have all of them"
_FOLDER: Final = Path(__file__).parent


def html(findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    """The file in pieces."""
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    yield _head(summary, style, script)
    yield from _overview(findings, summary)
    if findings:
        yield from _list(findings)
        yield f"<script>{script}</script>\n"
    else:
        yield '<p class="card">Nothing was found.</p>\n'
    yield f'<p class="soft">{_text(summary.verdict)}</p>\n</main>\n</body>\n</html>\n'


def _head(summary: Summary, style: str, script: str) -> str:
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    site, when = (
        _text(summary.site),
        f"{rfc3339(summary.began)} to {rfc3339(summary.ended)}, {lasting(summary.seconds)}",
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>Check of {site}</title>
<style>{style}</style>
</head>
<body>
<main>
<header>
<h1>Check of {_link(summary.site, summary.site)}</h1>
<p class="soft">{_text(when)}</p>
</header>
"""


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _overview(findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    tiles: list[tuple[str, int, str]] = [
        *((f"{severity}s", summary.severities.get(severity, 0), severity) for severity in SEVERITIES),
        *(("pages with findings", summary.affected, ""), ("pages read", summary.pages, "")),
        *(("targets asked for", summary.targets, ""), ("of them external", summary.external, "")),
    ]
    yield '<dl class="tiles">\n'
    for name, n, severity in tiles:
        yield f'<div><dt>{name}</dt><dd class="{severity if n else ""}">{n:,}</dd></div>\n'
    yield "</dl>\n"
    for note in words.notes(summary):
        yield f'<p class="note">{_text(note[0].upper() + note[1:])}.</p>\n'
    if len(findings) > 1 and (fixes := first_fixes(findings, 5)):
        yield '<h2>What to fix first</h2>\n<ol class="card fixes">\n'
        for fix in fixes:
            removed = f"removes {counted(len(fix.findings), 'finding')} in {counted(fix.places, 'place')}"
            how = f'<span class="soft">{_text(fix.how)} ({removed})</span>'
            yield f"<li>{_mark(fix.severity)} {_text(fix.what)}<br>{how}</li>\n"
        yield "</ol>\n"
    if summary.codes:
        yield '<h2>By code</h2>\n<div class="card"><table class="codes">\n<tbody>\n'
        codes = sorted(filter(summary.codes.get, CODES), key=lambda code: SEVERITIES.index(CODES[code].severity))
        yield from (_row(code, summary.codes[code]) for code in codes)
        yield "</tbody>\n</table></div>\n"


def _row(code: str, n: int) -> str:
    kind = CODES[code]
    return (
        f'<tr><td class="n">{n:,}</td><td>{_mark(kind.severity)}</td>'
        f'<td><a href="#findings" data-code="{code}"><code>{code}</code></a></td>'
        f'<td class="sentence">{_text(kind.sentence)}</td></tr>\n'
    )


def _list(findings: Sequence[Finding]) -> Iterator[str]:
    listed = findings[:MAX_FINDINGS]
    most = _places_each(listed)
    yield "<h2>Findings</h2>\n"
    if len(findings) > len(listed):
        yield f'<p class="note">The worst {len(listed):,} of {len(findings):,}; {_ELSEWHERE}.</p>\n'
    if most < _PLACES and any(len(finding.pages) > most for finding in listed):
        yield f'<p class="note">Up to {counted(most, "place")} of each are listed; {_ELSEWHERE}.</p>\n'
    yield _controls(listed)
    yield '<div id="findings">\n'
    left = _BUDGET
    for finding in listed:
        places: list[str] = []
        for place in finding.pages[:most]:
            if left > 0:
                places.append(_place(place))
                left -= len(places[-1])
        yield _finding(finding, places)
    yield "</div>\n"


def _places_each(findings: Sequence[Finding]) -> int:
    """How many places of each finding are listed, so that there are not too many in all."""
    sizes = sorted(min(len(finding.pages), _PLACES) for finding in findings)
    left = MAX_PLACES
    for number, size in enumerate(sizes):
        share = left // (len(sizes) - number)
        if size > share:
            return max(share, 1)
        left -= size
    return _PLACES


def _controls(findings: Sequence[Finding]) -> str:
    codes = [code for code in CODES if any(finding.code == code for finding in findings)]
    orders = ("severity", "places", "target", "newest", "oldest")
    return (
        '<div class="controls" id="controls" hidden>\n'
        '<input type="search" id="text" placeholder="Search URLs, causes, pages, texts" aria-label="Search">\n'
        f'<select id="severity" aria-label="Severity"><option value="">all severities{_options(SEVERITIES)}</select>\n'
        f'<select id="code" aria-label="Code"><option value="">all codes{_options(codes)}</select>\n'
        f'<select id="order" aria-label="Order">{_options(orders, "by ")}</select>\n'
        '<button type="button" id="open">Open all</button>\n<button type="button" id="close">Close all</button>\n'
        '<output id="shown"></output>\n</div>\n'
    )


def _options(names: Sequence[str], before: str = "") -> str:
    return "".join(f'<option value="{name}">{before}{name}' for name in names)


def _finding(finding: Finding, places: Sequence[str]) -> str:
    kind = CODES.get(finding.code)
    advice = f"{kind.sentence[0].upper()}{kind.sentence[1:]}: {kind.advice}." if kind else ""
    since = f" Found since {finding.since}." if finding.since else ""
    link = _link(finding.target, "Open the target") if _is_link(finding.target) else ""
    data = f'data-severity="{finding.severity}" data-code="{_text(finding.code)}"'
    data += f' data-since="{_text(finding.since or "")}" data-places="{len(finding.pages)}"'
    more = len(finding.pages) - len(places)
    return (
        f'<details class="finding" {data}>\n'
        f'<summary>{_mark(finding.severity)} <span class="target">{_short(finding.target)}</span>'
        f' <span class="count soft">{words.held(finding)}</span>'
        f' <span class="cause"><code>{_text(finding.code)}</code> {_short(finding.cause)}</span></summary>\n'
        f'<div class="body">\n<p>{_text(advice)}{_text(since)} {link}</p>\n'
        + (f'<ol class="places">\n{"".join(places)}</ol>\n' if places else "")
        + (f'<p class="soft">and {more:,} more places</p>\n' if more > 0 else "")
        + "</div>\n</details>\n"
    )


def _place(place: FoundOn) -> str:
    return f"<li>{_link(place.url, place.url)}{_short(words.where(place))}</li>\n"


def _link(url: str, text: str) -> str:
    if not _is_link(url):
        return _short(text)
    return f'<a href="{escape(url)}" rel="noreferrer noopener nofollow">{_short(text)}</a>'


def _is_link(url: str) -> bool:
    return url.lower().startswith(("http://", "https://")) and len(url) <= _MAX_LINK and printable(url) == url


def _short(text: str) -> str:
    return _text(text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}\u2026")


def _text(text: str) -> str:
    return escape(printable(text))


def _mark(severity: str) -> str:
    return f'<span class="mark {severity}">{severity}</span>'
