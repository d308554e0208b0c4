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
from crawler.policy.politeness import NOT_MODIFIED, ROBOTS_TTL, judge_robots
from crawler.policy.validators import NO_VALIDATORS, renewed, validators_of
from crawler.record import HostEvent
from crawler.worker.stored_robots import StoredRobots

SPARE: Final = 3_600.0
SPARE_WITH_VALIDATORS: Final = 7 * 86_400.0
"""Seconds for which a text is stored beyond the time for which it holds; with validators, until a crawl that is
repeated weekly asks whether it has changed."""
FULL_EVERY: Final = 10
"""Every tenth request for the robots.txt of a host is unconditional, in case the server wrongly answers 304."""
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
    spare: float = SPARE
    """Seconds for which the text is stored beyond the time for which it holds."""

    def result(self, lease: Lease, ip: str, refused: Mapping[str, int], handling_ms: int = 0) -> RobotsResult:
        """What ends *lease*. *ip* is the address that answered, if known; *refused* counts sitemaps by reason."""
        return RobotsResult(
            lease,
            self.event,
            self.text,
            ROBOTS_TTL,
            self.spare,
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

    def packed_robots(self, origin: str) -> bytes | None:
        """The robots.txt of *origin* as it is stored."""

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

    def to_revalidate(self, lease: Lease) -> StoredRobots | None:
        """The robots.txt of a robots lease that is still stored with its validators. May raise RedisAway."""
        if not lease.robots_rev or lease.robots_rev % FULL_EVERY == 0:
            return None
        raw = self._stored.packed_robots(lease.origin)
        found = None if raw is None else StoredRobots.decode(raw)
        return found if found is not None and found.conditions else None

    def answer(
        self,
        lease: Lease,
        result: FetchResult,
        hops: int,
        stored: StoredRobots | None = None,
        *,
        forgiving: bool = False,
    ) -> RobotsAnswer:
        """What an answer to robots.txt, after *hops* redirects, means. *forgiving*: a time-out is our own fault.

        *stored* is the text that the first request asked to be compared: a 304 says that it still holds.
        """
        if forgiving and isinstance(result, FetchError) and result.kind == "timeout":
            return RobotsAnswer(event="none")
        if isinstance(result, Response) and result.status == NOT_MODIFIED and stored is not None and not hops:
            validators = renewed(stored.validators, result.headers, _now())
            return self._parsed(lease, result, StoredRobots(stored.body, validators))
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
            validators = NO_VALIDATORS if hops else validators_of(result, _now())  # they are those of another URL
            return self._parsed(lease, result, StoredRobots(result.body, validators))
        return RobotsAnswer(text=zlib.compress(b""), rest_ms=_rest_ms(lease, result))

    def _parsed(self, lease: Lease, response: Response, stored: StoredRobots) -> RobotsAnswer:
        rules = robots.parse(stored.body)
        delay = rules.crawl_delay(self.agent)
        return RobotsAnswer(
            text=StoredRobots(rules.body, stored.validators).encode(),
            crawl_delay=delay,
            rest_ms=_rest_ms(lease, response, delay or 0.0),
            sitemaps=rules.sitemaps,
            spare=SPARE_WITH_VALIDATORS if stored.conditions else SPARE,
        )


def _now() -> int:
    return int(time.time())


def _rest_ms(lease: Lease, result: FetchResult, crawl_delay: float = 0.0) -> int:
    """What is left of the host's delay since the end of the fetch; a *crawl_delay* (s) applies from here on."""
    if not result.ended:
        return 0
    delay_ms = max(lease.delay_ms, round(crawl_delay * 1000))
    return max(delay_ms - round((time.monotonic() - result.ended) * 1000), 0)
