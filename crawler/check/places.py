"""Places that hold a finding, packed: a site's menu may hold one on each of its pages."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

from crawler.checked_page import PLACES

KIND: Final = {name: number for number, name in enumerate(PLACES)}
"""Kinds of places by name."""
_NAMING: Final = ("canonical", "hreflang", "sitemap", "preload", "social", "ping", "cite")
LINKING: Final = frozenset(number for name, number in KIND.items() if name not in _NAMING)
"""Kinds by which a page is linked: a person or a browser gets there."""
SHEETS: Final = frozenset((KIND["style"], KIND["css"], KIND["manifest"], KIND["preload"]))
"""Kinds that may name a style sheet or a manifest."""
MAX_PLACES: Final = 10_000_000
"""That a report holds, of 12 bytes each."""
NEW: Final = 50
"""Places that take as much memory as the first one of a further note."""
_MAX_LINE: Final = (1 << 32) - 1


class Room:
    """How many more places a report may hold: a hostile site could have any number."""

    __slots__ = ("is_short", "left")

    def __init__(self, most: int = MAX_PLACES) -> None:
        self.left, self.is_short = most, False

    def take(self, places: int = 1) -> bool:
        """Room for so many; whether there is."""
        if self.left < places:
            self.is_short = True
            return False
        self.left -= places
        return True


class Places:
    """Pages, by 48 bits of their ids, and lines."""

    __slots__ = ("_lines", "_pages", "_room")

    def __init__(self, room: Room) -> None:
        self._room, self._pages, self._lines = room, array("Q"), array("I")

    def add(self, page: int, line: int) -> None:
        """The place at that line of the page; 0: not known. It is left out if there is no more room."""
        if self._room.take():
            self._pages.append(page)
            self._lines.append(min(line, _MAX_LINE))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._pages, self._lines, strict=True)

    def __len__(self) -> int:
        return len(self._pages)
