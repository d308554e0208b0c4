"""A worker's cache of parsed robots.txt rules, and what an answer to a robots lease means."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.fetch.fetcher import FetchError, FetchResult, Response
from crawler.frontier.messages import Lease, RobotsResult
from crawler.policy import robots
from crawler.policy.politeness import ROBOTS_TTL, judge_robots
from crawler.record import HostEvent

_OF_BYTE: Final = 14
_OF_ORIGIN: Final = 500
"""Bytes of memory for parsed rules: per byte of the text, and per file."""


@dataclass(frozen=True, slots=True)
class RobotsAnswer:
    """The result of a robots lease, or the URL to request next."""

    follow: str | None = None
    event: HostEvent = "ok"
    text: bytes = b""
    crawl_delay: float | None = None
    rest_ms: int = 0
    sitemaps: tuple[str, ...] = ()
    """As written in robots.txt."""
    trouble: str = ""
    """See `politeness.RobotsVerdict`."""

    def result(self, lease: Lease, ip: str, refused: Mapping[str, int], handling_ms: int = 0) -> RobotsResult:
        """What ends *lease*. *ip* is the address that answered, if known; *refused* counts sitemaps by reason."""
        return RobotsResult(
            lease,
            self.event,
            self.text,
            ROBOTS_TTL,
            self.crawl_delay,
            self.rest_ms,
            ip,
            handling_ms,
            {f"refused:{reason}": n for reason, n in refused.items()},
            self.trouble,
        )


class StoredRules(Protocol):
    """Where robots.txt files are stored (see `crawldb.Hosts`)."""

    def robots(self, origins: Sequence[str]) -> list[bytes | None]:
        """The stored robots.txt of each origin."""

    def forget_robots(self, origin: str) -> None:
        """It is of no use."""


class RobotsCache:
    """Parsed rules by origin and revision. Reads missing ones from Redis, many in one round trip."""

    def __init__(self, stored: StoredRules, agent: str, cache: int) -> None:
        """*cache*: approximate bytes of rules to remember; when it is full, all are forgotten."""
        self.agent = agent
        self._size = self._room = cache
        self._stored = stored
        self._rules: dict[tuple[str, int], robots.Rules] = {}

    def learn(self, leases: Sequence[Lease]) -> None:
        """Load the rules of all *leases*; may raise RedisAway."""
        asked = {(lease.origin, lease.robots_rev) for lease in leases}
        wanted = [key for key in asked if key not in self._rules]
        if not wanted:
            return
        if self._room <= 0:
            self._rules.clear()
            self._room = self._size
            wanted = list(asked)
        for key, text in zip(wanted, self._stored.robots([origin for origin, _ in wanted]), strict=True):
            if text is not None:
                self._rules[key] = robots.parse(text) if text else robots.ALLOW_ALL
                self._room -= _OF_ORIGIN + _OF_BYTE * len(text)

    def knows(self, lease: Lease) -> bool:
        """Whether its rules were loaded. If not, the stored rules cannot be used and are deleted.

        The lease is to be given back then. May raise RedisAway.
        """
        if (lease.origin, lease.robots_rev) in self._rules:
            return True
        self._stored.forget_robots(lease.origin)
        return False

    def allows(self, lease: Lease, url: str) -> bool:
        """Whether the page may be fetched. Its rules must be loaded."""
        rules: robots.Rules = self._rules[lease.origin, lease.robots_rev]
        return rules.allowed(url, self.agent)

    def allows_hop(self, lease: Lease, url: str) -> bool:
        """Whether *url*, of the lease's own origin, may be fetched. Forgotten rules are read again.

        May raise RedisAway.
        """
        self.learn([lease])
        rules = self._rules.get((lease.origin, lease.robots_rev))
        return rules is not None and rules.allowed(url, self.agent)

    def answer(self, lease: Lease, result: FetchResult, hops: int, *, forgiving: bool = False) -> RobotsAnswer:
        """What an answer to robots.txt, after *hops* redirects, means. *forgiving*: a time-out is our own fault."""
        if forgiving and isinstance(result, FetchError) and result.kind == "timeout":
            return RobotsAnswer(event="none")
        verdict = judge_robots(result, hops)
        if verdict.step == "follow" and isinstance(result, Response):
            try:
                target = urls.canonicalize(result.headers.get("location") or "", result.url)
            except InvalidURL:
                target = ""
            if target and not urls.leads_to_bad_port(result.url, target):
                return RobotsAnswer(follow=target)
            return RobotsAnswer(text=zlib.compress(b""), rest_ms=_rest_ms(lease, result))
        if verdict.step == "fail":
            return RobotsAnswer(event=verdict.event, rest_ms=_rest_ms(lease, result), trouble=verdict.trouble)
        if verdict.step == "parse" and isinstance(result, Response):
            rules = robots.parse(result.body)
            delay = rules.crawl_delay(self.agent)
            rest_ms = _rest_ms(lease, result, delay or 0.0)
            text = zlib.compress(rules.body)
            return RobotsAnswer(text=text, crawl_delay=delay, rest_ms=rest_ms, sitemaps=rules.sitemaps)
        return RobotsAnswer(text=zlib.compress(b""), rest_ms=_rest_ms(lease, result))


def _rest_ms(lease: Lease, result: FetchResult, crawl_delay: float = 0.0) -> int:
    """What is left of the host's delay since the end of the fetch; a *crawl_delay* (s) applies from here on."""
    if not result.ended:
        return 0
    delay_ms = max(lease.delay_ms, round(crawl_delay * 1000))
    return max(delay_ms - round((time.monotonic() - result.ended) * 1000), 0)
