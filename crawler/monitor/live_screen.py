"""The live screen of a crawl: its numbers, its rate over time, what limits it, and the hosts that fail."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from crawler.frontier.status import Status
from crawler.monitor import screen
from crawler.text import counted, printable

CELLS: Final = 60
"""Columns of the rate over time, at most."""
_BARS: Final = "▁▂▃▄▅▆▇█"
_MAX_HOST: Final = 40
_MAX_WORDS: Final = 200
"""Characters of a host and of a reason that are shown."""
_COLORS: Final = {"running": "green", "done": "green", "paused": "yellow", "limit": "yellow"}
_OUTCOME_COLORS: Final = {"fetched": "green", "failed": "red"}


class Rates:
    """How fast the crawl was since this began, in up to 2 * CELLS steps of equal length."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, int]] = []
        self._step = 1.0

    def add(self, seconds: float, ended: int) -> None:
        """*ended* URLs had ended after *seconds*."""
        if self._marks and seconds - self._marks[-1][0] < self._step:
            return
        self._marks.append((seconds, ended))
        if len(self._marks) > 2 * CELLS:
            self._marks, self._step = self._marks[::2], self._step * 2

    def last(self, cells: int) -> list[float]:
        """URLs a second from the beginning on, in up to *cells* values."""
        every = -(-(len(self._marks) - 1) // max(cells, 1)) or 1
        marks = self._marks[::-1][::every][::-1]
        return [max(after[1] - before[1], 0) / (after[0] - before[0]) for before, after in pairwise(marks)]


class LiveScreen:
    """Makes the lines of the screen, and remembers the rate over time."""

    def __init__(self) -> None:
        self._rates = Rates()

    def frame(self, status: Status, seconds: float, width: int, height: int) -> list[str]:
        """Lines of up to *width* columns, up to *height* of them; the most important ones come first."""
        self._rates.add(seconds, status.endings)
        console = Console(
            file=io.StringIO(), force_terminal=True, force_jupyter=False, width=width, legacy_windows=False
        )
        with console.capture() as drawn:
            console.print(_head(status, seconds), self._rows(status, width))
        lines = (line.rstrip() for line in drawn.get().splitlines())  # spaces would wrap on a terminal made narrower
        return ["", *lines][:height]

    def _rows(self, status: Status, width: int) -> Table:
        rows = Table.grid(padding=(0, 1, 0, 0))
        rows.add_column(no_wrap=True, style="dim", min_width=7)
        rows.add_column(overflow="fold")
        rows.add_row("rate", self._rate(status, width))
        rows.add_row("queue", _queue(status))
        rows.add_row("now", Text(_shown(status.limit)))
        if status.seconds_left is not None:
            rows.add_row("left", screen.time_left(status.seconds_left))
        for label, text in _problems(status):
            rows.add_row(label, Text(text, "red"))
        rows.add_row("ended", _ended(status))
        if found := screen.found(status):
            rows.add_row("visit", found.removeprefix("visit "))
        if status.sweeper:
            rows.add_row("due", screen.swept(status))
        return rows

    def _rate(self, status: Status, width: int) -> Text:
        text = Text(f"{status.rate:.1f}/s", "bold")
        wide = width >= 60
        rates = self._rates.last(min(CELLS, width - (38 if wide else 20)))
        if rates and max(rates) > 0:
            bars = "".join(_BARS[min(int(rate / max(rates) * 8), 7)] for rate in rates)
            text.append(f"  {bars}", "not bold cyan")
            text.append(f"  highest {max(rates):.1f}/s" if wide else "", "not bold dim")
        return text


def _shown(text: str, most: int = _MAX_WORDS) -> str:
    text = printable(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _head(status: Status, seconds: float) -> Text:
    state = "running" if status.state == "waiting" else status.state  # it changes with each page; `now` says for what
    color = _COLORS.get(state, "red")
    return Text.assemble(f"crawl {_shown(status.crawl)!r} ", (state, f"bold {color}"), f"  {screen.clock(seconds)}")


def _queue(status: Status) -> Text:
    parts = [
        counted(status.queued, "URL"),
        f"{status.leased:,} in flight",
        counted(status.workers, "worker") + (f" ({status.silent_workers:,} silent)" if status.silent_workers else ""),
        f"{screen.size(status.bytes)} read",
        *([f"{status.held:,} held (blocked hosts)"] if status.held else []),
    ]
    return Text(", ".join(parts))


def _problems(status: Status) -> Iterator[tuple[str, str]]:
    for n, (host, why) in enumerate(status.failing_hosts):
        yield "" if n else "failing", f"{_shown(host, _MAX_HOST)}: {_shown(why)}"
    if (more := status.failing - len(status.failing_hosts)) > 0:
        yield "", f"and {counted(more, 'more host')}: crawler hosts --failing"
    if status.hook_errors:
        yield "hook", screen.hook_errors(status)
    if status.will_fit is False:
        yield "Redis", screen.memory(status)
    if status.lost:
        yield "lost", screen.lost(status)


def _ended(status: Status) -> Text:
    text = Text(f"{status.ended:,}")
    for n, (outcome, count) in enumerate(status.outcomes.items()):
        color = _OUTCOME_COLORS.get(outcome.partition(":")[0], "default")
        text.append(", " if n else ": ").append(f"{outcome} {count:,}", color)
    return text
