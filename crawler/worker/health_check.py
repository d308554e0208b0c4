"""Holds back results that may be the fault of this machine, or returns their leases, before they become outcomes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from crawler import url as urls
from crawler.errors import RedisAway, UnreadableRecord
from crawler.fetch.canary import Canaries
from crawler.fetch.fetcher import FetchError, FetchResult, Response
from crawler.frontier.crawldb import CrawlDb
from crawler.policy.machine_health import Fate, Health
from crawler.worker.downloader import Download

LOOK: Final = 0.05
"""Seconds between checks of the results held back."""
_ASK_AGAIN: Final = 30.0
_ASK_SOON: Final = 2.0
"""The frontier is asked again for hosts that answered other workers: after it named some, and after none. Seconds."""
_REMEMBER_AGAIN: Final = 0.1
"""One answering host is remembered in this many seconds."""
_HOSTS: Final = 20
"""How many waiting hosts, and how many records, are searched for hosts that have answered."""


class MachineHealth:
    """The health of one worker's machine, and the results that wait until it is known."""

    def __init__(self, crawldb: CrawlDb, *, proxied: bool) -> None:
        """*proxied*: a proxy resolves names and connects to hosts."""
        self._crawldb = crawldb
        self._proxied = proxied
        self._health = Health(time.monotonic())
        self._canaries = Canaries()
        self._kept: deque[tuple[Download, FetchResult]] = deque()
        self._known: tuple[tuple[str, int], ...] = ()
        self._ask_at = self._remember_at = float("-inf")

    # -- results -------------------------------------------------------------------------------------------------------

    def answered(self, response: Response) -> None:
        """A host answered, so this machine is well. Some of these hosts may serve as canaries later."""
        now = time.monotonic()
        self._health.judge("", response, now, alone=False)
        if now < self._remember_at or self._proxied:
            return
        self._remember_at = now + _REMEMBER_AGAIN
        name, port = urls.name_and_port(response.url)
        self._health.remember("" if urls.is_address(name) else name, response.address, port)

    def fate(self, download: Download, result: FetchError, *, alone: bool) -> Fate:
        """Decide what to do with *result*; one that has to wait is kept. *alone*: nothing else is in flight."""
        now = time.monotonic()
        name = urls.name_and_port(result.url)[0]
        unconnected = result.kind in ("connect", "timeout") and not result.sent
        asks = result.kind == "dns" or (unconnected and not self._health.has_addresses)
        known = self._known_hosts(now) if asks else ()
        if known is None:
            fate: Fate = "wait"
        else:
            fate = self._health.judge(name, result, now, alone=alone and not self._kept, known=known)
        if fate == "wait":
            self._kept.append((download, result))
        if (question := self._health.question) is not None:
            self._health.question = None
            if question.about == "resolver":
                self._canaries.ask_names(question.names)
            else:
                self._canaries.ask_addresses(question.addresses)
        return fate

    def _known_hosts(self, now: float) -> Sequence[tuple[str, int]] | None:
        """Names and ports of hosts that have answered any worker of this crawl; None if Redis is away."""
        if now >= self._ask_at and not self._proxied:
            found = []
            try:
                with suppress(UnreadableRecord):
                    first = [stored.record for stored in self._crawldb.records.read(most=_HOSTS)[0]]
                    found = [urls.name_and_port(record.url) for record in first if record.status]
                waiting = self._crawldb.hosts.answered(_HOSTS)
            except RedisAway:
                return None
            self._known = tuple(dict.fromkeys([*found, *(urls.name_and_port(f"http://{host}/") for host in waiting)]))
            self._ask_at = now + (_ASK_AGAIN if self._known else _ASK_SOON)
        return self._known

    def take(self) -> list[tuple[Download, FetchResult]]:
        """Return the results that were kept, to be judged again."""
        for about, well in self._canaries.take():
            self._health.canary_said(about, well, time.monotonic())
        kept, self._kept = list(self._kept), deque()
        return kept

    def drop(self, tokens: frozenset[str]) -> None:
        """Forget what is kept for these leases."""
        self._kept = deque(pair for pair in self._kept if pair[0].lease.token not in tokens)

    def __len__(self) -> int:
        return len(self._kept)

    # -- stepping aside ------------------------------------------------------------------------------------------------

    @property
    def aside(self) -> bool:
        """This machine is in trouble: take at most one lease, to see whether the trouble is over."""
        return bool(self._health.trouble)

    @property
    def again_at(self) -> float:
        """When the next lease may be taken, on the monotonic clock."""
        return self._health.again_at if self.aside else 0.0

    @property
    def facts(self) -> dict[str, Any]:
        """The facts for the worker's heartbeat."""
        if not self.aside:
            return {}
        health = self._health
        return {"limit": "trouble", "trouble": health.words, "trouble_for": round(time.monotonic() - health.since, 1)}
