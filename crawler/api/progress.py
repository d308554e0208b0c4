"""Progress of a run in Python: the live screen on a terminal, an output that is updated in a notebook, else lines."""

from __future__ import annotations

import html
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from crawler.crawl.supervisor import Ended
from crawler.frontier.status import Status
from crawler.monitor import screen
from crawler.monitor.display import Display
from crawler.monitor.progress import Progress
from crawler.text import printable

Say = Callable[[str], None]


class NoProgress:
    """Shows nothing."""

    def __call__(self, status: Status, seconds: float) -> None:
        """Nothing to do."""

    def say(self, text: str) -> bool:
        """False: *text* is not shown here."""
        return False

    def close(self, ended: Ended | None) -> None:
        """Nothing to do."""


class OfTerminal(NoProgress):
    """The live screen on a terminal, and the summary in its place at the end; without one a line a minute."""

    def __init__(self, say: Say) -> None:
        self._line = Display()
        self._progress = Progress(self._line, say)

    def __call__(self, status: Status, seconds: float) -> None:
        """Show *status*, *seconds* after the beginning."""
        self._progress(status, seconds)

    def say(self, text: str) -> bool:
        """Write a message above what is drawn; False if nothing is drawn."""
        return self._line.say(f"crawler: {printable(text)}")

    def close(self, ended: Ended | None) -> None:
        """Put the summary in place of what is drawn."""
        self._line.clear()
        if ended is not None and self._line.on:
            with suppress(OSError):
                print("\n".join(_summary(ended)), file=sys.stderr)


class OfNotebook(NoProgress):
    """One output of a notebook's cell, which is updated."""

    def __init__(self) -> None:
        self._output: Any = None

    def __call__(self, status: Status, seconds: float) -> None:
        """Show *status*, *seconds* after the beginning."""
        self._show([screen.live(status, seconds)])

    def close(self, ended: Ended | None) -> None:
        """Show the summary."""
        if ended is not None:
            self._show(_summary(ended))

    def _show(self, lines: Sequence[str]) -> None:
        text = printable("\n".join(lines)) if len(lines) == 1 else "\n".join(map(printable, lines))
        data = {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}
        if self._output is None:
            from IPython.display import display

            self._output = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._output.update(data, raw=True)


def _summary(ended: Ended) -> list[str]:
    return [printable(text) for text in screen.summary(ended.status, ended.here, ended.seconds)]


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    if (ipython := sys.modules.get("IPython")) is None:
        return False
    return getattr(ipython.get_ipython(), "kernel", None) is not None


def progress_for(show: bool, say: Say) -> NoProgress:
    """What shows the progress of a run; with *show* false, nothing."""
    if not show:
        return NoProgress()
    return OfNotebook() if in_notebook() else OfTerminal(say)


NO_PROGRESS: Final = NoProgress()
