"""A worker's results, before they come to an outcome: what may be its machine's own fault is kept, or given back."""

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
from crawler.policy.health import Fate, Health
from crawler.worker.downloader import Download

LOOK: Final = 0.05
"""Seconds between two looks at what is kept."""
_ASK_AGAIN: Final = 30.0
_ASK_SOON: Final = 2.0
"""Seconds after which the frontier is asked again for hosts that have answered others, if it named some, or none."""
_REMEMBER_AGAIN: Final = 0.1
"""Seconds between two answers whose hosts are remembered."""
_HOSTS: Final = 20
"""Hosts that wait with URLs, and records, in which some that have answered are looked for."""


class MachineHealth:
    """The health of one worker's machine, and the results that wait until more is known of it."""

    def __init__(self, ledger: CrawlDb, *, proxied: bool) -> None:
        """*proxied*: names are resolved, and hosts connected to, by a proxy."""
        self._ledger = ledger
        self._proxied = proxied
        self._health = Health(time.monotonic())
        self._canaries = Canaries()
        self._kept: deque[tuple[Download, FetchResult]] = deque()
        self._known: tuple[tuple[str, int], ...] = ()
        self._ask_at = self._remember_at = float("-inf")

    # -- results -------------------------------------------------------------------------------------------------------

    def answered(self, response: Response) -> None:
        """A host answered: no trouble of this machine is left. Some of those may be canaries later."""
        now = time.monotonic()
        self._health.judge("", response, now, alone=False)
        if now < self._remember_at or self._proxied:
            return
        self._remember_at = now + _REMEMBER_AGAIN
        name, port = urls.name_and_port(response.url)
        self._health.remember("" if urls.is_address(name) else name, response.address, port)

    def fate(self, download: Download, result: FetchError, *, alone: bool) -> Fate:
        """What is to be done with *result*; one that has to wait is kept. *alone*: nothing else is in flight."""
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
        """Names and ports of hosts that have answered this crawl, whichever worker asked; None if Redis is away."""
        if now >= self._ask_at and not self._proxied:
            found = []
            try:
                with suppress(UnreadableRecord):
                    first = [stored.record for stored in self._ledger.records(most=_HOSTS)[0]]
                    found = [urls.name_and_port(record.url) for record in first if record.status]
                waiting = [host.host for host in self._ledger.hosts(_HOSTS)[1] if host.answered]
            except RedisAway:
                return None
            self._known = tuple(dict.fromkeys([*found, *(urls.name_and_port(f"http://{host}/") for host in waiting)]))
            self._ask_at = now + (_ASK_AGAIN if self._known else _ASK_SOON)
        return self._known

    def take(self) -> list[tuple[Download, FetchResult]]:
        """The results that were kept, to be judged again."""
        for about, well in self._canaries.take():
            self._health.canary_said(about, well, time.monotonic())
        kept, self._kept = list(self._kept), deque()
        return kept

    def drop(self, tokens: frozenset[str]) -> None:
        """Forget what is kept of these leases."""
        self._kept = deque(pair for pair in self._kept if pair[0].lease.token not in tokens)

    def __len__(self) -> int:
        return len(self._kept)

    # -- stepping aside ------------------------------------------------------------------------------------------------

    @property
    def aside(self) -> bool:
        """The machine has a trouble of its own: no more than one lease is taken, to see whether it is over."""
        return bool(self._health.trouble)

    @property
    def again_at(self) -> float:
        """When the next lease may be taken, on the monotonic clock."""
        return self._health.again_at if self.aside else 0.0

    @property
    def facts(self) -> dict[str, Any]:
        """For the worker's heartbeat."""
        if not self.aside:
            return {}
        health = self._health
        return {"limit": "trouble", "trouble": health.words, "trouble_for": round(time.monotonic() - health.since, 1)}
