"""About how long a crawl will take for the URLs that are queued."""

from __future__ import annotations

import time
from typing import Final

from crawler.frontier.crawldb import Hosts
from crawler.frontier.host_facts import HostRow
from crawler.frontier.messages import CrawlState

AGAIN: Final = 5.0
"""Seconds after which hosts are looked at again."""
SAMPLE: Final = 100
"""Hosts that are looked at: those that are due first, which are others each time."""
_SLOW: Final = 10.0
"""Seconds between two pages of a host from which a rate of 0 over ten seconds means nothing."""


class Estimate:
    """Each host takes its queue times its delay, and the crawl as long as the host that takes longest.

    It takes longer if the rate does not suffice for all that is queued.
    """

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._longest: HostRow | None = None
        self._look_at = 0.0

    def seconds(self, state: CrawlState, rate: float) -> float | None:
        """Seconds at *rate* (URLs a second); None if that cannot be known."""
        if state.word not in ("running", "waiting"):
            return None
        row = self._look()
        left = state.queued - state.held + state.leased
        if left <= 0 or not (rate or (row and _interval(row) >= _SLOW)):
            return None
        by_rate = left / rate if rate else 0.0
        if state.max_pages is not None and rate and state.max_pages - state.fetched < left:
            return max(state.max_pages - state.fetched, 0) / rate
        return max(by_rate, _seconds(row) if row else 0.0)

    def _look(self) -> HostRow | None:
        """The host that takes longest, as far as is known."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + AGAIN
            names = {name for _, name in self._hosts.due(SAMPLE)[1]}
            rows = self._hosts.rows(sorted(names | ({self._longest.host} if self._longest else set())))
            able = [row for row in rows if row.queued and not row.trouble and not row.blocked]
            self._longest = max(able, key=_seconds, default=None)
        return self._longest


def _seconds(row: HostRow) -> float:
    return row.queued * _interval(row)


def _interval(row: HostRow) -> float:
    """Seconds between two pages of a host; 0 without a delay. A slow host rests as long as its answers take."""
    return (max(row.delay_ms, row.latency_ms) + row.latency_ms) / 1000 if row.delay_ms else 0.0
