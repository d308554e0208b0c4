"""Reads pages of a crawl again, one after the other, as its workers would: by robots.txt, after each host's delay."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from crawler import url as urls
from crawler.checked_page import PLACES
from crawler.crawl.fetch_one import FetchOne
from crawler.errors import CrawlerError
from crawler.frontier.frontier import Frontier
from crawler.parse.numbered_page import NumberedPage
from crawler.parse.page import Page
from crawler.parse.page_places import find_places
from crawler.record import Request
from crawler.settings import Settings

TIMEOUT: Final = 10.0
"""Seconds for a page, at most."""
_MAX_FAILURES: Final = 2
"""Of a host, after which it is left alone."""


class NamedAgain(NamedTuple):
    """A place that names a URL, on a page that was read again."""

    line: int
    url: str
    """Canonical, without its fragment."""
    fragment: str | None = None
    """Decoded; None where it is not stored, or need not be the name of an element."""
    text: str | None = None
    """What a reader sees there."""


class PagesAgain:
    """Pages that are read again."""

    def __init__(self, frontier: Frontier, settings: Settings, origins: Sequence[str] = ()) -> None:
        """*origins* are those that the command's SOURCEs name: only they get the headers that are meant for these."""
        # As a crawl that looks for nothing on the page: its places are read here.
        self._settings = replace(
            settings, check=False, store=("meta",), max_depth=0, hook=None, timeout=min(settings.timeout, TIMEOUT)
        )
        self._hosts = frontier.crawldb.hosts
        self._origins = origins
        self._one: FetchOne | None = None
        self._due: dict[str, float] = {}
        """Host -> when it may be asked next, on the monotonic clock."""
        self._failures: Counter[str] = Counter()

    def close(self) -> None:
        """Close all connections."""
        if self._one is not None:
            self._one.close()

    def read(self, url: str, lines: Collection[int], until: float) -> list[NamedAgain] | None:
        """What the page names in these lines.

        None where it cannot be read before *until* (monotonic clock), or is another one now.
        """
        host = urls.host(url)
        if self._failures[host] >= _MAX_FAILURES or not self._wait(host, until):
            return None
        one = self._one = self._one or FetchOne(self._settings, self._origins, lambda _: None)
        one.admit(self._roots(one, url))
        one.page = None
        try:
            found = one.run(Request(url), follows=False)
        except CrawlerError:
            self._failures[host] += 1
            return None
        if found.record.outcome.startswith("failed:"):
            self._failures[host] += 1
        page = one.page
        return None if found.record.url != url or page is None else _named(page, lines)

    def _wait(self, host: str, until: float) -> bool:
        """Wait until *host* may be asked; whether that was possible in time. The next request has to wait again."""
        (row,) = self._hosts.rows([host])
        now = time.monotonic()
        due = self._due.setdefault(host, now + row.due_in_ms / 1000)
        if row.blocked or row.trouble is not None or due >= until or now >= until:
            return False
        time.sleep(max(due - now, 0))
        self._due[host] = time.monotonic() + row.delay_ms / 1000
        return True

    def _roots(self, one: FetchOne, url: str) -> list[str]:
        candidates = one.candidates(url)
        return [root for root, known in zip(candidates, self._hosts.roots(candidates), strict=True) if known]


def _named(page: Page, lines: Collection[int]) -> list[NamedAgain]:
    if not (page.is_html and 200 <= page.status < 300):  # all else has no texts
        return []
    found = find_places(page, frozenset(PLACES), numbered=NumberedPage(page, lines))
    return [NamedAgain(one.line, one.url, one.fragment, one.text) for one in found.places]
