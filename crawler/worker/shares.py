"""What a worker's transfers are given to: no host or site takes them all while others are due.

A transfer of a new host that lasts longer than GRACE is stuck, as is each of a host that failed the last time. Stuck
ones count for a quarter of the transfers at most; those beyond are in flight beside the others, up to three times as
many as `--concurrency` says in all. So proven hosts always find their three quarters, and no request is broken off for
their sake. Only where even that room is full, and new hosts wait, the oldest of new hosts give way.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import nlargest
from itertools import islice
from operator import itemgetter
from typing import Any, Final, Protocol

from crawler.fetch.fetcher import FetchResult, Response
from crawler.frontier.messages import Lease, Shares
from crawler.frontier.shards.outbox import site_key

GRACE: Final = 0.3
"""Seconds of a new host's transfer after which it is stuck."""
MIN_PATIENCE: Final = 1.0
"""Seconds that a new host has to answer, whoever waits."""
PARTS: Final = 4
"""New and failing hosts are sure of one of so many parts of the transfers."""
MAX_WANTED: Final = 256
"""URLs leased in one call at most."""
MAX_SITES: Final = 8
"""Sites with most leases that a call of lease names."""


HEAVY: Final = 0.1
"""Seconds of CPU for one page from which on they may count as its site's (HEAVY_MS in shared/head.lua)."""
ORDINARY: Final = 0.5e-6
"""Seconds of CPU a byte that an ordinary page may take: some five times what most do."""
LABOUR_PARTS: Final = 20
MAX_REST: Final = 300.0
"""A site whose page took long rests so many times as long, at most so many seconds, while others are at work."""
ASIDE_WAIT: Final = 0.02
"""Seconds between two looks at results that were set aside, while nothing else is in flight."""
ALIVE: Final = 10.0
"""Seconds after its latest answer for which a site counts as being at work."""


class InFlight(Protocol):
    """A lease with a transfer in flight, or a result that is not yet handled."""

    @property
    def lease(self) -> Lease: ...

    @property
    def began(self) -> float:
        """When it did, on the monotonic clock."""


class Results(Protocol):
    """What has come of transfers: to be handled, and set aside for later."""

    results: deque[tuple[Any, Any]]
    aside: deque[tuple[Any, Any]]

    @property
    def moving(self) -> bool:
        """Something is on its way that has not come to its result."""


def room(concurrency: int) -> int:
    """How many transfers there may be at once, stuck ones among them."""
    return concurrency if concurrency < PARTS else 3 * concurrency


@lru_cache(maxsize=10_000)
def site_of(host: str) -> str:
    """The site of a host, as the frontier counts by it."""
    return site_key(host) or host


@dataclass(slots=True)
class Load:
    """What is in flight, by what it counts for."""

    proven: int = 0
    young: int = 0
    """Of new hosts; they may yet be quick."""
    failing: int = 0
    old: int = 0
    """Stuck ones of new hosts."""

    @classmethod
    def of(cls, downloads: Iterable[InFlight], now: float) -> Load:
        """Of all *flights*, at the time *now*."""
        load = cls()
        for download in downloads:
            standing = download.lease.standing
            if standing == "failing":
                load.failing += 1
            elif standing == "new" and now - download.began > GRACE:
                load.old += 1
            elif standing == "new":
                load.young += 1
            else:
                load.proven += 1
        return load

    @property
    def stuck(self) -> int:
        """Those that count for a quarter at most."""
        return self.failing + self.old

    def spare(self, concurrency: int) -> int:
        """How many more of new and failing hosts there may be: three quarters are kept for proven ones."""
        kept = concurrency - concurrency // PARTS
        return max(room(concurrency) - max(kept, self.proven) - self.young - self.stuck, 0)


def shares(concurrency: int, downloads: Sequence[InFlight], now: float, *, sees_addresses: bool = True) -> Shares:
    """What to ask for beside what is in flight."""
    load, quarter = Load.of(downloads, now), concurrency // PARTS
    counted = load.proven + load.young + min(load.stuck, quarter or load.stuck)
    want = max(min(concurrency - counted, room(concurrency) - len(downloads), MAX_WANTED), 0)
    spare = load.spare(concurrency) if quarter else want
    sure = max(quarter - load.stuck, quarter // 2) - load.young if quarter else want
    failing = max(min(quarter // PARTS - load.failing, spare), 0)
    if not quarter and want and random.random() < 1 / PARTS:  # too few to divide: they take turns
        want, sure, failing = want - 1, want - 1, 1
    return Shares(
        want,
        new=max(min(sure, want, spare), 0),
        most_new=min(want, spare),
        failing=failing,
        most=max(min(concurrency - len(downloads), spare, MAX_WANTED), 0),
        reserve=quarter,
        half=max(concurrency // 2, 1),
        sees_addresses=sees_addresses,
        sites=_sites(downloads),
    )


def _sites(downloads: Sequence[InFlight]) -> list[tuple[str, int, int]]:
    """The sites with most flights: how many, and how many of hosts that are not failing."""
    all_of: dict[str, int] = {}
    moving: dict[str, int] = {}
    for download in downloads:
        lease = download.lease
        site = site_of(lease.host)
        all_of[site] = all_of.get(site, 0) + 1
        if lease.standing != "failing":
            moving[site] = moving.get(site, 0) + 1
    most = [(site, n) for site, n in all_of.items() if n > 1] if len(all_of) > MAX_SITES else list(all_of.items())
    if len(most) > MAX_SITES:
        most = nlargest(MAX_SITES, most, key=itemgetter(1))
    most = most or list(islice(all_of.items(), MAX_SITES))  # any of them shows that others are at work
    return [(site, n, moving.get(site, 0)) for site, n in most]


def giving_way(concurrency: int, downloads: Sequence[InFlight], now: float) -> list[str]:
    """The tokens of those that make room for new hosts, the oldest first; as many as are missing from a quarter."""
    quarter = concurrency // PARTS
    if len(downloads) + concurrency <= room(concurrency):  # nothing can be missing
        return []
    missing = quarter - Load.of(downloads, now).spare(concurrency)
    if not quarter or missing <= 0:
        return []
    old = [
        download for download in downloads if download.lease.standing == "new" and now - download.began > MIN_PATIENCE
    ]
    return [download.lease.token for download in islice(sorted(old, key=lambda download: download.began), missing)]


class PageClock:
    """The CPU that handling one result takes.

    What waits for Redis, or for a busy machine, is not the page's, nor is what the user's hook does with it.
    """

    def __init__(self) -> None:
        self._begun_at, self._began = time.monotonic(), time.thread_time()
        self._ordinary = HEAVY

    def begin(self, result: FetchResult) -> None:
        """*result* is about to be handled."""
        self._begun_at, self._began = time.monotonic(), time.thread_time()
        self._ordinary = max(HEAVY, ORDINARY * len(result.body)) if isinstance(result, Response) else HEAVY

    def leave_out(self, seconds: float) -> None:
        """Do not count these seconds of CPU."""
        self._began += seconds

    @property
    def took_ms(self) -> int:
        """Milliseconds since it began, if they are more than a page of its size should take; else 0."""
        is_quick = time.monotonic() - self._begun_at < self._ordinary  # the clock of the thread costs a system call
        took = 0.0 if is_quick else time.thread_time() - self._began
        return round(took * 1000) if took >= self._ordinary else 0


class CpuShares:
    """Which sites' pages took this worker long: their results wait while other sites are at work.

    The frontier leases nothing of such a site meanwhile; this is for what was in flight by then.
    """

    def __init__(self) -> None:
        self._rests: dict[str, float] = {}
        """Site -> until when."""
        self._latest = self._other = ("", float("-inf"))
        """The two sites that were handled last, and when."""

    def __bool__(self) -> bool:
        return bool(self._rests)

    def note(self, host: str, took: float) -> None:
        """A result of *host* was handled in *took* seconds of CPU."""
        site, now = site_of(host), time.monotonic()
        if site != self._latest[0]:
            self._other = self._latest
        self._latest = site, now
        if took >= HEAVY:
            self._rests = {name: until for name, until in self._rests.items() if until > now}
            self._rests[site] = now + min(took * LABOUR_PARTS, MAX_REST)

    def sort(self, results: Results, *, stopping: bool) -> None:
        """Set those aside whose site rests while others are at work, and take those back that may go on."""
        if not (self._rests and (results.results or results.aside)):
            return
        pairs, now = [*results.results, *results.aside], time.monotonic()
        waits = [not stopping and self.waits(site_of(download.lease.host), now) for download, _ in pairs]
        results.results = deque(pair for pair, waiting in zip(pairs, waits, strict=True) if not waiting)
        results.aside = deque(pair for pair, waiting in zip(pairs, waits, strict=True) if waiting)
        if results.aside and not results.results and not results.moving:
            time.sleep(ASIDE_WAIT)

    def waits(self, site: str, now: float) -> bool:
        """Whether others go before *site*."""
        if self._rests.get(site, 0.0) <= now:
            return False
        return any(now - at < ALIVE and other != site for other, at in (self._latest, self._other))
