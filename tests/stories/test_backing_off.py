"""Servers that are busy, by their own access logs: eight workers together leave them alone, and come back."""

from __future__ import annotations

import threading
import time
from email.utils import formatdate
from itertools import pairwise
from statistics import median

import pytest

from tests.servers import Call
from tests.stories.commands import Commands, outcomes
from tests.stories.sites import Site, Sites, html

pytestmark = pytest.mark.slow

PAGES = 40
OPTIONS = ["--workers", "8", "--delay", "20ms"]


class Counter:
    """Numbers requests for pages in the order of their arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def next(self) -> int:
        """The number of this one, from 1."""
        with self._lock:
            self._count += 1
            return self._count


def site_of(sites: Sites, answer: object) -> tuple[Site, list[str]]:
    """A site of PAGES pages, all but the first answered by *answer*; and their URLs."""
    site = sites.add()
    names = [f"/{n}" for n in range(PAGES)]
    urls = [site.serve("/", html(names)), *map(site.url, names)]
    site.pages |= dict.fromkeys(names, answer)  # type: ignore[arg-type]
    return site, urls


def arrivals(site: Site) -> list[float]:
    """When each request for a page came, in order; robots.txt and the first page left out."""
    return [seen.time for seen in list(site.seen) if seen.target not in ("/robots.txt", "/")]


def test_too_many_requests_and_retry_after(commands: Commands, sites: Sites) -> None:
    """One answer is enough: nobody asks until the time is over, then all goes on, and no page is lost."""
    refused: dict[str, float] = {}

    def busy(form: str) -> tuple[Site, list[str]]:
        counter = Counter()

        def answer(call: Call) -> None:
            if counter.next() != 15:
                return call.answer(html())
            refused[form] = time.monotonic()
            now = time.time()
            after = "2" if form == "seconds" else formatdate(now + 2, usegmt=True)
            return call.answer(b"", 429, [("Date", formatdate(now, usegmt=True)), ("Retry-After", after)])

        return site_of(sites, answer)

    asked = {form: busy(form) for form in ("seconds", "date")}
    done = commands.run("run", *(urls[0] for _, urls in asked.values()), *OPTIONS)
    assert done.code == 0, done.err
    assert outcomes(commands.records()) == {url: "fetched" for _, urls in asked.values() for url in urls}
    for form, (site, _) in asked.items():
        times = arrivals(site)
        after = [seen - refused[form] for seen in times if seen > refused[form]]
        print(f"429, Retry-After in {form}: the next request came after {min(after):.2f} s, then {len(after) - 1} more")
        assert (len(times), min(after) >= 1.95) == (PAGES + 1, True)


def test_a_server_that_slows_down(commands: Commands, sites: Sites) -> None:
    """The delay follows its latency, and falls again when the server is well."""
    slow = 0.2
    counter = Counter()

    def answer(call: Call) -> None:
        if 10 <= counter.next() < 18:
            time.sleep(slow)
        call.answer(html())

    site, urls = site_of(sites, answer)
    done = commands.run("run", urls[0], *OPTIONS, "--adaptive", "2")
    assert done.code == 0, done.err
    assert outcomes(commands.records()) == dict.fromkeys(urls, "fetched")
    times = arrivals(site)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    before, during, after = gaps[:8], gaps[11:17], gaps[-10:]
    shown = f"{median(before):.3f}, slowed down {median(during):.3f}, after it {median(after):.3f}"
    print(f"seconds between requests: {shown}")
    assert min(during) >= 2 * slow
    assert median(after) < median(during) / 3
    assert site.most_at_once == 1
