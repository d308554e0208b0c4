"""Shows how a crawl proceeds while a command or a program waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from crawler.frontier.status import Status
from crawler.monitor import screen
from crawler.monitor.display import Display

if TYPE_CHECKING:
    from crawler.monitor.live_screen import LiveScreen

FIRST: Final = 10.0
LATER: Final = 60.0
"""Without a terminal there is a line after the first seconds, and then after so many more each."""


class Progress:
    """Shows the status of a crawl: the live screen, plain lines, or without a terminal a line a minute."""

    def __init__(self, line: Display, say: Callable[[str], None]) -> None:
        self._line, self._say = line, say
        self._screen: LiveScreen | None = None
        self._next = FIRST

    def __call__(self, status: Status, seconds: float) -> None:
        """Show *status*, *seconds* after the beginning."""
        text = screen.live(status, seconds)
        self._line.show(text, lambda columns, rows: self._live_screen().frame(status, seconds, columns, rows))
        if not self._line.on and seconds >= self._next:
            self._next = seconds + LATER
            self._say(text)

    def _live_screen(self) -> LiveScreen:
        from crawler.monitor.live_screen import LiveScreen  # loads a library that nothing else needs

        self._screen = self._screen or LiveScreen()
        return self._screen
