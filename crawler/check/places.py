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
_MAX_LINE: Final = (1 << 32) - 1


class Places:
    """Pages, by 48 bits of their ids, and lines."""

    __slots__ = ("_lines", "_pages")

    def __init__(self) -> None:
        self._pages, self._lines = array("Q"), array("I")

    def add(self, page: int, line: int) -> None:
        """The place at that line of the page; 0: not known."""
        self._pages.append(page)
        self._lines.append(min(line, _MAX_LINE))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._pages, self._lines, strict=True)

    def __len__(self) -> int:
        return len(self._pages)
