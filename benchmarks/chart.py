"""The results of `peers.py` as a picture: bars of pages a second and of CPU a page, as SVG."""

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
    parts.append(_text(16, y + 4, f"Medians of rounds by turns, {where}", "small"))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 20}" viewBox="0 0 {WIDTH} {y + 20}"'
    card = f'<rect class="card" width="{WIDTH}" height="{y + 20}"/>'
    return "\n".join([f'{head} role="img"><style>{_STYLE}</style>', card, *parts, "</svg>"]) + "\n"


def _block(result: Result, top: int) -> tuple[list[str], int]:
    bars = sorted((_bar(name, runs) for name, runs in result.runs.items()), key=lambda bar: -bar.rate)
    pages = next(iter(result.runs.values()))[0].pages
    right = _LEFT + _BAR + _GAP
    parts = [
        _text(16, top + 12, f"{pages:,} pages: {result.what}", "title"),
        _text(_LEFT, top + 34, "pages a second", "small"),
        _text(right, top + 34, "CPU milliseconds a page", "small"),
    ]
    fastest, dearest = max(bar.rate for bar in bars), max(bar.cpu for bar in bars)
    for n, bar in enumerate(bars):
        y = top + _HEAD + n * _ROW
        parts.append(_text(_LEFT - 10, y, bar.name, "", "end"))
        parts += _drawn(_LEFT, y, bar.rate / fastest, f"{bar.rate:,.0f}", bar.name)
        parts += _drawn(right, y, bar.cpu / dearest, f"{bar.cpu:.2f}", bar.name)
    return parts, top + _HEAD + len(bars) * _ROW + 16


def _bar(name: str, runs: Sequence[Run]) -> _Bar:
    return _Bar(name, median(runs, lambda run: run.rate), 1000 * median(runs, lambda run: run.cpu / run.pages))


def _drawn(x: int, y: int, part: float, value: str, name: str) -> list[str]:
    width = max(part * _BAR, 1)
    kind = "ours" if name.startswith("crawler") else "other"
    bar = f'<rect class="{kind}" x="{x}" y="{y - 12}" width="{width:.1f}" height="16" rx="2"/>'
    return [bar, _text(round(x + width) + 6, y, value, "small")]


def _text(x: int, y: int, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
