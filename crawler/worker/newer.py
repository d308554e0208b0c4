"""Pages that a sitemap names with a date of change newer than their last visit are due at once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from crawler import url as urls
from crawler.errors import OutOfMemory
from crawler.frontier.decode import number, state
from crawler.frontier.frontier import Frontier
from crawler.frontier.revisits import revisit
from crawler.frontier.visits import Ended
from crawler.policy.schedule import Intervals, is_due

_BATCH: Final = 1_000
"""States that are read at a time."""
_DAY: Final = 86_400
"""Seconds: a date without a time means all of the day, as `is_due` knows."""


class NewerPages:
    """Queues them again, from within a worker."""

    def __init__(self, frontier: Frontier) -> None:
        self._frontier = frontier
        self._since = 0
        """When the crawl was created, in seconds: no page was visited before."""

    def revisit(self, dated: Mapping[str, int], intervals: Intervals) -> int:
        """Queue those pages that were visited before the dates in *dated* (URL -> seconds); how many there were.

        May be repeated. Raises RedisAway. If Redis is full, what is left stays for when the sitemap is read again.
        """
        if not self._since and dated:
            self._since = number(self._frontier.crawldb.meta().get("created_ms")) // 1000
        newer = [(url, lastmod) for url, lastmod in dated.items() if lastmod > self._since - _DAY]
        queued = 0
        with suppress(OutOfMemory):
            for first in range(0, len(newer), _BATCH):
                queued += self._revisit(newer[first : first + _BATCH], intervals)
        return queued

    def _revisit(self, newer: list[tuple[str, int]], intervals: Intervals) -> int:
        places = [(urls.host(url), self._frontier.id(url)) for url, _ in newer]
        found, now = self._frontier.crawldb.records.packed(places), int(time.time())
        due = []
        for (_, lastmod), (_, url_id), raw in zip(newer, places, found, strict=True):
            known = state(raw)
            if raw is None or known is None or known.sitemap or lastmod <= known.checked_at - _DAY:
                continue
            if not is_due(known, now, intervals, lastmod):
                continue
            one = Ended(url_id, raw, known)
            due.append((one, one.request(lastmod)))
        return revisit(self._frontier, due)
