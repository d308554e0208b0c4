"""Which links another crawl has fetched, by the fingerprints that `crawler import` brought along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final

from crawler.fingerprint import numbers_of

_MOST: Final = 50_000
"""URLs found to be fetched before that are remembered: pages link to the same ones again and again."""


class SeenBefore:
    """Looks up links in the imported fingerprints, and remembers those that it found there."""

    def __init__(self, ask: Callable[[Sequence[int]], list[bool]]) -> None:
        """*ask* looks up numbers of fingerprints (see `fingerprint.number_of`) in Redis."""
        self._ask = ask
        self._known: set[str] = set()

    def __contains__(self, url: str) -> bool:
        """Whether *url* was found earlier; Redis is not asked."""
        return url in self._known

    def of(self, links: Sequence[str]) -> set[str]:
        """Those of *links* that another crawl has fetched; may raise RedisAway."""
        asked = {link: numbers_of(link) for link in links if link not in self._known}
        numbers = list(set(chain.from_iterable(asked.values())))
        there = {number for number, found in zip(numbers, self._ask(numbers), strict=True) if found}
        if len(self._known) > _MOST:
            self._known.clear()
        self._known |= {link for link, own in asked.items() if own & there}
        return self._known.intersection(links)
