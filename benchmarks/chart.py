"""Results as pictures (SVG): two bars a row. `draw` shows those of `peers.py`, `bars` any others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from benchmarks.measure import Run
from benchmarks.report import Report, Result, median

WIDTH: Final = 860
_LEFT: Final = 220
_BAR: Final = 220
_GAP: Final = 60
_ROW: Final = 24
_HEAD: Final = 56
_STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 11px; fill: #59636e }
  .title { font-weight: 600 }
  .other { fill: #8c959f } .ours { fill: #0969da }
  .card { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .card { fill: #0d1117 }
    .other { fill: #656c76 } .ours { fill: #4493f8 }
  }
"""


@dataclass(frozen=True, slots=True)
class Bars:
    """One row: its name, its two values, and how they are shown."""

    name: str
    values: tuple[float, float]
    shown: tuple[str, str]
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class _Bar:
    name: str
    rate: float
    """Pages a second."""
    cpu: float
    """Milliseconds a page."""


def draw(report: Report) -> str:
    """Medians of all results, one block for each set of pages."""
    parts: list[str] = []
    y = 16
    for result in report.results:
        block, y = _block(result, y)
        parts += block
    where = ", ".join(report.where.split(", ")[:4])  # the date, cores, the processor, Python
    return _framed(parts, y, f"Medians of rounds by turns, {where}")


def bars(title: str, heads: tuple[str, str], rows: Sequence[Bars], note: str) -> str:
    """A block of *rows*; *heads* say what their values are."""
    return _framed(*_rows(title, heads, rows, 16), note)


def _framed(parts: Sequence[str], y: int, note: str) -> str:
    parts = [*parts, _text(16, y + 4, note, "small")]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 20}" viewBox="0 0 {WIDTH} {y + 20}"'
    card = f'<rect class="card" width="{WIDTH}" height="{y + 20}"/>'
    return "\n".join([f'{head} role="img"><style>{_STYLE}</style>', card, *parts, "</svg>"]) + "\n"


def _block(result: Result, top: int) -> tuple[list[str], int]:
    found = sorted((_bar(name, runs) for name, runs in result.runs.items()), key=lambda bar: -bar.rate)
    pages = next(iter(result.runs.values()))[0].pages
    rows = [
        Bars(bar.name, (bar.rate, bar.cpu), (f"{bar.rate:,.0f}", f"{bar.cpu:.2f}"), bar.name.startswith("crawler"))
        for bar in found
    ]
    return _rows(f"{pages:,} pages: {result.what}", ("pages a second", "CPU milliseconds a page"), rows, top)


def _rows(title: str, heads: tuple[str, str], rows: Sequence[Bars], top: int) -> tuple[list[str], int]:
    """What is drawn, and where it ends."""
    right = _LEFT + _BAR + _GAP
    parts = [_text(16, top + 12, title, "title")]
    parts += [_text(x, top + 34, head, "small") for x, head in zip((_LEFT, right), heads, strict=True)]
    most = [max(row.values[n] for row in rows) for n in (0, 1)]
    for n, row in enumerate(rows):
        y = top + _HEAD + n * _ROW
        parts.append(_text(_LEFT - 10, y, row.name, "", "end"))
        parts += _drawn(_LEFT, y, row.values[0] / most[0], row.shown[0], row.is_ours)
        parts += _drawn(right, y, row.values[1] / most[1], row.shown[1], row.is_ours)
    return parts, top + _HEAD + len(rows) * _ROW + 16


def _bar(name: str, runs: Sequence[Run]) -> _Bar:
    return _Bar(name, median(runs, lambda run: run.rate), 1000 * median(runs, lambda run: run.cpu / run.pages))


def _drawn(x: int, y: int, part: float, value: str, is_ours: bool) -> list[str]:
    width = max(part * _BAR, 1)
    kind = "ours" if is_ours else "other"
    bar = f'<rect class="{kind}" x="{x}" y="{y - 12}" width="{width:.1f}" height="16" rx="2"/>'
    return [bar, _text(round(x + width) + 6, y, value, "small")]


def _text(x: int, y: int, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
