"""Divides a worker's transfers: no host or site takes them all while others are due.

A transfer of a new host is stuck once it lasts longer than GRACE; every transfer of a host that failed last time is
stuck. Stuck transfers count for at most a quarter of all. Further ones run in addition, up to three times
`--concurrency` in total. So proven hosts always have three quarters, and no request is cancelled for them. Only when
that extra room is full too, and new hosts wait, the oldest transfers of new hosts are cancelled.
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
from crawler.frontier.scripts import HEAVY_MS, LABOUR_MAX_MS, LABOUR_PARTS
from crawler.frontier.shards.outbox import site_key

GRACE: Final = 0.3
"""A new host's transfer is stuck after these seconds."""
MIN_PATIENCE: Final = 1.0
"""A new host always has these seconds to answer, even if others wait."""
PARTS: Final = 4
"""One part in this many is reserved for new and failing hosts."""
MAX_WANTED: Final = 256
"""Most URLs leased in one call."""
MAX_SITES: Final = 8
"""Most sites that a lease call names: those with the most leases."""


HEAVY: Final = HEAVY_MS / 1000
"""From these CPU seconds on, one page may count as its site's."""
ORDINARY: Final = 0.5e-6
"""CPU seconds per byte that an ordinary page may take: about five times the usual."""
ASIDE_WAIT: Final = 0.02
"""Seconds between checks of results set aside, while nothing else is in flight."""
ALIVE: Final = 10.0
"""A site counts as active for these seconds after its latest answer."""


class InFlight(Protocol):
    """A lease with a request under way, or with a result that is not yet processed."""

    @property
    def lease(self) -> Lease: ...

    @property
    def began(self) -> float:
        """When the request started, on the monotonic clock."""


class Results(Protocol):
    """Results of transfers: those to process now, and those set aside for later."""

    results: deque[tuple[Any, Any]]
    aside: deque[tuple[Any, Any]]

    @property
    def moving(self) -> bool:
        """Whether something is under way that has no result yet."""


def room(concurrency: int) -> int:
    """The most transfers that may run at once, including stuck ones."""
    return concurrency if concurrency < PARTS else 3 * concurrency


@lru_cache(maxsize=10_000)
def site_of(host: str) -> str:
    """The site of a host, as the frontier counts it."""
    return site_key(host) or host


@dataclass(slots=True)
class Load:
    """What is in flight, by how it counts."""

    proven: int = 0
    young: int = 0
    """Transfers of new hosts that are not stuck."""
    failing: int = 0
    old: int = 0
    """Stuck transfers of new hosts."""

    @classmethod
    def of(cls, downloads: Iterable[InFlight], now: float) -> Load:
        """The load of all *flights* at the time *now*."""
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
        """How many more transfers of new and failing hosts may start: three quarters are kept for proven hosts."""
        kept = concurrency - concurrency // PARTS
        return max(room(concurrency) - max(kept, self.proven) - self.young - self.stuck, 0)


def shares(concurrency: int, downloads: Sequence[InFlight], now: float, *, sees_addresses: bool = True) -> Shares:
    """What to lease, given what is in flight."""
    load, quarter = Load.of(downloads, now), concurrency // PARTS
    counted = load.proven + load.young + min(load.stuck, quarter or load.stuck)
    want = max(min(concurrency - counted, room(concurrency) - len(downloads), MAX_WANTED), 0)
    spare = load.spare(concurrency) if quarter else want
    sure = max(quarter - load.stuck, quarter // 2) - load.young if quarter else want
    failing = max(min(quarter // PARTS - load.failing, spare), 0)
    if not quarter and want and random.random() < 1 / PARTS:  # too few to divide: they alternate
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
    """The sites with the most transfers: all of them, and those of hosts that are not failing."""
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
    """The tokens that make room for new hosts, oldest first: as many as are missing from a quarter."""
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
    """Measures the CPU time that processing one result takes.

    Waiting for Redis or for a busy machine does not count, nor does the time of the user's hook.
    """

    def __init__(self) -> None:
        self._begun_at, self._began = time.monotonic(), time.thread_time()
        self._ordinary = HEAVY

    def begin(self, result: FetchResult) -> None:
        """*result* is about to be processed."""
        self._begun_at, self._began = time.monotonic(), time.thread_time()
        self._ordinary = max(HEAVY, ORDINARY * len(result.body)) if isinstance(result, Response) else HEAVY

    def leave_out(self, seconds: float) -> None:
        """Do not count these seconds of CPU."""
        self._began += seconds

    @property
    def took_ms(self) -> int:
        """Milliseconds since `begin`, if more than a page of its size should take; else 0."""
        is_quick = time.monotonic() - self._begun_at < self._ordinary  # the thread's CPU clock costs a system call
        took = 0.0 if is_quick else time.thread_time() - self._began
        return round(took * 1000) if took >= self._ordinary else 0


class CpuShares:
    """Sites whose pages took this worker long: their results wait while other sites have work.

    Meanwhile the frontier leases nothing of such a site. This handles what was already in flight.
    """

    def __init__(self) -> None:
        self._rests: dict[str, float] = {}
        """Site -> until when."""
        self._latest = self._other = ("", float("-inf"))
        """The two sites that were processed last, and when."""

    def __bool__(self) -> bool:
        return bool(self._rests)

    def note(self, host: str, took: float) -> None:
        """A result of *host* took *took* seconds of CPU."""
        site, now = site_of(host), time.monotonic()
        if site != self._latest[0]:
            self._other = self._latest
        self._latest = site, now
        if took >= HEAVY:
            self._rests = {name: until for name, until in self._rests.items() if until > now}
            self._rests[site] = now + min(took * LABOUR_PARTS, LABOUR_MAX_MS / 1000)

    def sort(self, results: Results, *, stopping: bool) -> None:
        """Set aside results whose site rests while others have work. Take back those that may proceed."""
        if not (self._rests and (results.results or results.aside)):
            return
        pairs, now = [*results.results, *results.aside], time.monotonic()
        waits = [not stopping and self.waits(site_of(download.lease.host), now) for download, _ in pairs]
        results.results = deque(pair for pair, waiting in zip(pairs, waits, strict=True) if not waiting)
        results.aside = deque(pair for pair, waiting in zip(pairs, waits, strict=True) if waiting)
        if results.aside and not results.results and not results.moving:
            time.sleep(ASIDE_WAIT)

    def waits(self, site: str, now: float) -> bool:
        """Whether other sites go before *site*."""
        if self._rests.get(site, 0.0) <= now:
            return False
        return any(now - at < ALIVE and other != site for other, at in (self._latest, self._other))
