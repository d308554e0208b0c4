"""Downloads in flight: the leases whose requests are under way, and the fetcher that carries them out."""

from __future__ import annotations

import math
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from crawler import url as urls
from crawler.clock import since_boot
from crawler.errors import RedisAway
from crawler.fetch.fetcher import Fetcher, FetchRequest, FetchResult
from crawler.frontier.messages import Lease
from crawler.parse import documents, sitemap
from crawler.policy import challenges, robots
from crawler.policy.cookies import Chain
from crawler.worker.link_filter import LinkFilter, is_private_name
from crawler.worker.options import ACCEPT_PAGES, MANIFEST, READ_TYPES, WorkerOptions
from crawler.worker.outcome import LeasedPage
from crawler.worker.shares import giving_way
from crawler.worker.stored_robots import StoredRobots

MAX_RESULTS: Final = 16
"""Results taken in one go. Between pages the worker extends leases and drives transfers."""
NOT_AFTER_MARGIN: Final = 2.0
"""A request is not sent in the last seconds of its lease."""
LONG_STALL: Final = 1.0
"""If transfers were not driven for this many seconds, their time-outs are our own fault."""
CONNECT_TIMEOUT: Final = 10.0
MAX_TARGET: Final = challenges.MAX_READ
"""Bytes that are kept of a target: some answers say in their body that they are for people alone."""
RANGE: Final = ("Range", "bytes=0-1023")
"""What is asked for of a target whose server does not answer HEAD (RFC 9110 section 14.2)."""
NO_CACHE: Final = ("Cache-Control", "no-cache")
"""Asks caches on the way not to answer by themselves (RFC 9111 section 5.2.1.4)."""
MAX_SITEMAPS: Final = 2
"""Sitemaps downloaded at once: each may have 50 MiB."""


@dataclass(slots=True)
class Download:
    """A lease with a request under way: for a page, or for a robots.txt and the redirects followed for it."""

    lease: Lease
    held: LeasedPage | None = None
    hops: int = 0
    chain: Chain | None = None
    """The redirects that were followed for the page within its lease."""
    began: float = math.inf
    """When the request started, on the monotonic clock."""
    url: str = ""
    """What was last requested."""
    stored: StoredRobots | None = None
    """The robots.txt that is still stored, if the request depends on whether that has changed."""
    insists: bool = False
    """The request passes all caches: one without conditions was answered with 304."""

    @property
    def is_conditional(self) -> bool:
        """Whether its last request had conditions, so that a 304 says that nothing has changed."""
        if self.held is None:
            return self.stored is not None and not self.hops
        return bool(self.held.conditions) and self.chain is None

    @property
    def is_target(self) -> bool:
        """Whether what it asks for is not read."""
        return self.held is not None and self.held.entry.request.target

    @property
    def is_head(self) -> bool:
        """Whether it asks by HEAD."""
        return self.held is not None and self.held.entry.request.target and not self.held.entry.request.get


class Downloader:
    """Downloads by lease token, and the results that are not yet processed."""

    def __init__(self, fetcher: Fetcher, links: LinkFilter, plan: WorkerOptions) -> None:
        self.plan = plan
        self.results: deque[tuple[Download, FetchResult]] = deque()
        self.aside: deque[tuple[Download, FetchResult]] = deque()
        """Results whose sites rest while other sites have work (see `shares.CpuShares`)."""
        self.stalled = False
        """Whether transfers had stood still for too long before they were last driven."""
        self._fetcher = fetcher
        self._links = links
        self._downloads: dict[str, Download] = {}
        self._sitemaps: set[str] = set()
        """Tokens of sitemaps whose downloads have begun and that are not yet processed."""
        self._waiting: deque[Download] = deque()
        """Sitemaps that wait for others to finish. The rest of the worker treats them as in flight."""
        self._resting: list[tuple[float, Download]] = []
        """When (monotonic) to request the next page of a redirect chain, after its host's delay; and its download."""
        self._private: frozenset[str] = frozenset()
        """Hosts at private addresses that a seed named."""
        self._polled = time.monotonic()

    def __len__(self) -> int:
        return len(self._downloads)

    @property
    def moving(self) -> bool:
        """Whether something is under way that has no result yet."""
        moving = len(self._downloads) - len(self._waiting) - len(self._resting)
        return moving > len(self.results) + len(self.aside)

    @property
    def only_rests(self) -> bool:
        """Whether all downloads wait for their host's delay to end."""
        return len(self._downloads) == len(self._resting)

    @property
    def free(self) -> int:
        """How many more requests the fetcher can take."""
        return max(self._fetcher.free - len(self._waiting) - len(self._resting), 0)

    @property
    def lack(self) -> str:
        """Why fewer requests may be under way at once than were configured; empty if there is no shortage."""
        return self._fetcher.lack

    @property
    def downloads(self) -> list[Download]:
        """All downloads, including those whose results are waiting to be processed."""
        return list(self._downloads.values())

    @property
    def tokens(self) -> list[str]:
        """The leases of all downloads, including those whose results are waiting to be processed."""
        return list(self._downloads)

    def poll(self, seconds: float) -> None:
        """Drive transfers for up to *timeout* seconds, or until one ends."""
        self.stalled = time.monotonic() - self._polled > LONG_STALL
        if self._waiting:
            self._begin_waiting()
        if self._resting:
            seconds = min(seconds, self._begin_rested())
            if not self.moving:  # else the fetcher would return at once
                time.sleep(seconds)
        for token, result in self._fetcher.poll(seconds, MAX_RESULTS):
            if token in self._downloads:
                self.results.append((self._downloads[token], result))
        self._polled = time.monotonic()

    def fetch_page(self, held: LeasedPage) -> None:
        """Start the download of a page. A sitemap starts only when few sitemaps are under way."""
        download = Download(held.lease, held)
        if held.entry.request.target:
            self._submit(download, held.entry.request.url, None, MAX_TARGET)
        elif not held.entry.request.sitemap:
            self._submit(download, held.entry.request.url, self._types, self.plan.max_size)
        elif len(self._sitemaps) < MAX_SITEMAPS:
            self._fetch_sitemap(download)
        else:
            self._waiting.append(download)
            self._downloads[held.lease.token] = download

    @property
    def _types(self) -> tuple[str, ...]:
        """The types of pages whose bodies are read."""
        if self.plan.hook_on_all:
            return ("",)
        types = (*READ_TYPES, MANIFEST) if self.plan.check else READ_TYPES
        return (*types, *documents.TYPES) if self.plan.documents == "read" else types

    def _fetch_sitemap(self, download: Download) -> None:
        assert download.held is not None
        self._submit(download, download.held.entry.request.url, None, sitemap.MAX_BYTES)
        self._sitemaps.add(download.lease.token)

    def _begin_waiting(self) -> None:
        """Start waiting sitemaps as others finish. While Redis cannot be asked about their hosts, they keep waiting."""
        with suppress(RedisAway):
            while self._waiting and len(self._sitemaps) < MAX_SITEMAPS:
                self._fetch_sitemap(self._waiting[0])
                self._waiting.popleft()

    def follow(self, download: Download, chain: Chain, target: str, ended: float) -> bool:
        """Request *target* within the lease, after the host's delay since *ended* (monotonic). False if no time is
        left.
        """
        if not self._rest(download, ended):
            return False
        chain.go(target)
        download.chain = chain
        return True

    def insist(self, download: Download, ended: float) -> bool:
        """Request the same again within the lease, like `follow`, and past all caches. False if that was done before,
        or no time is left.
        """
        if download.insists or not self._rest(download, ended):
            return False
        download.insists = True
        return True

    def _rest(self, download: Download, ended: float) -> bool:
        """Continue after the host's delay since *ended*, if the lease allows it."""
        at = ended + download.lease.delay_ms / 1000
        if since_boot() + max(at - time.monotonic(), 0.0) > download.lease.deadline - NOT_AFTER_MARGIN:
            return False
        self._resting.append((at, download))
        return True

    def _begin_rested(self) -> float:
        """Request the pages whose hosts have rested. Returns the seconds until the next one has."""
        now = time.monotonic()
        with suppress(RedisAway):
            for pair in [pair for pair in self._resting if pair[0] <= now]:
                self._go_on(pair[1])
                self._resting.remove(pair)
        return max(min((at for at, _ in self._resting), default=float("inf")) - now, 0.0)

    def _go_on(self, download: Download) -> None:
        url = download.url if download.chain is None else download.chain.at
        if download.held is None:
            self.fetch_robots(download, url)
        elif download.held.entry.request.target:
            self._submit(download, url, None, MAX_TARGET)
        elif download.lease.token in self._sitemaps:
            self._submit(download, url, None, sitemap.MAX_BYTES)
        else:
            self._submit(download, url, self._types, self.plan.max_size)

    def fetch_robots(self, download: Download, url: str) -> None:
        """Start the download of a robots.txt, or of what it redirects to."""
        self._submit(download, url, None, robots.MAX_BYTES + 1)

    def _submit(self, download: Download, url: str, types: tuple[str, ...] | None, max_body: int) -> None:
        """Submit to the fetcher. Seeds that name a private address let its host pass the guard. May raise RedisAway."""
        if not self.plan.allow_private and is_private_name(url, proxied=self.plan.proxied):
            self._let_through_if_seeded(url)
        request = FetchRequest(
            url,
            method="HEAD" if download.is_head else "GET",
            headers=_headers(download),
            accept=ACCEPT_PAGES if types is not None or download.is_target else "*/*",
            max_body=max_body,
            types=types,
            unsure=documents.UNSURE if types is not None and self.plan.documents == "read" else (),
            connect_timeout=min(CONNECT_TIMEOUT, self.plan.timeout),
            first_byte_timeout=self.plan.timeout,
            timeout=self.plan.timeout,
            not_after=download.lease.deadline - NOT_AFTER_MARGIN,
        )
        self._fetcher.submit(request, download.lease.token)
        download.url = url
        if download.began == math.inf:
            download.began = time.monotonic()
        self._downloads[download.lease.token] = download

    def _let_through_if_seeded(self, url: str) -> None:
        host = urls.host(url)
        if host not in self._private and self._links.is_seeded(url):
            self._private |= {host}
            self._fetcher.allow(self._private)

    def make_room(self) -> list[Download]:
        """Cancel downloads that give way to new hosts (see `shares.giving_way`), but none that already has a result."""
        tokens = giving_way(self.plan.concurrency, self.downloads, time.monotonic())
        broken = [self._downloads[token] for token in tokens if self._fetcher.cancel(token)]
        for download in broken:
            self.finish(download)
        return broken

    def finish(self, download: Download) -> None:
        """The result of this download has been processed."""
        self._downloads.pop(download.lease.token, None)
        self._sitemaps.discard(download.lease.token)

    def drop(self, tokens: frozenset[str]) -> None:
        """These leases were given to others: cancel their downloads."""
        self._waiting = deque(download for download in self._waiting if download.lease.token not in tokens)
        self._resting = [pair for pair in self._resting if pair[1].lease.token not in tokens]
        for token in tokens & self._downloads.keys():
            self._fetcher.cancel(token)
            del self._downloads[token]
            self._sitemaps.discard(token)
        self.results = deque(pair for pair in self.results if pair[0].lease.token not in tokens)
        self.aside = deque(pair for pair in self.aside if pair[0].lease.token not in tokens)

    def refit(self, fetcher: Fetcher, plan: WorkerOptions) -> None:
        """Continue with another fetcher; nothing may be in flight."""
        self._fetcher.close()
        self._fetcher, self.plan = fetcher, plan
        self._fetcher.allow(self._private)

    def close(self) -> None:
        """Close the fetcher. Downloads in flight are lost to this worker, not to the crawl."""
        for token in self._downloads:
            self._fetcher.cancel(token)
        self._fetcher.close()


def _headers(download: Download) -> tuple[tuple[str, str], ...]:
    """What is special about the next request of *download*. Conditions are for its first request alone."""
    if download.chain is not None:
        own: tuple[tuple[str, str], ...] = (("Cookie", download.chain.cookie),)
    elif download.held is not None:
        own = download.held.conditions
    elif download.stored is not None and not download.hops:
        own = download.stored.conditions
    else:
        own = ()
    if download.is_target and not download.is_head:
        own = (*own, RANGE)
    return (*own, NO_CACHE) if download.insists else own
