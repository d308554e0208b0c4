"""Many hosts at once: one that does not answer holds nobody up but itself."""

from __future__ import annotations

import threading
from typing import Final

import pytest

from tests.servers import Call
from tests.stories.commands import Commands, by_url, outcomes, wait_until
from tests.stories.sites import ROBOTS, Site, Sites, html

pytestmark = pytest.mark.slow

HOSTS: Final = 40
PAGES: Final = 5
LONG: Final = 60.0
"""Seconds that the slow host would wait for the others."""


def _fast(site: Site) -> list[str]:
    """A start page that links to the others; all their URLs."""
    paths = [f"/{site.port}/{n}" for n in range(1, PAGES)]
    site.serve("/", html(paths, title=site.authority))
    return [site.url("/"), *(site.serve(path, html(title=f"{site.authority}{path}")) for path in paths)]


def test_a_slow_host_holds_up_nobody(commands: Commands, sites: Sites) -> None:
    """Every page of the others is asked for while its first answer is awaited, by which it holds one transfer."""
    others_done = threading.Event()
    slow, fast = sites.add(), [sites.add(f"127.0.1.{n + 1}") for n in range(HOSTS)]

    def late(call: Call) -> None:
        others_done.wait(LONG)
        call.answer(html())

    for n in range(20):
        slow.pages[f"/{n}"] = late
    waiting = [slow.url(f"/{n}") for n in range(20)]
    urls = [url for site in fast for url in _fast(site)]
    seeds = [*waiting, *(site.url("/") for site in fast)]
    going = commands.start(
        "run", *seeds, "--delay", "0", "--workers", "1", "--concurrency", "4", "--timeout", f"{LONG:g}s", "-o", "-"
    )
    try:
        wait_until(slow.asked_of_pages, "the first page of the slow host")
        wait_until(lambda: sum(len(site.asked_of_pages()) for site in fast) == len(urls), "all pages of the fast hosts")
        assert slow.asked() == {ROBOTS: 1, "/0": 1}
        assert slow.most_at_once == 1
    finally:
        others_done.set()
    done = going.wait()
    assert done.code == 0, done.err
    assert outcomes(by_url(done.records())) == dict.fromkeys([*urls, *waiting], "fetched")
    assert all(site.asked()[ROBOTS] == 1 for site in (slow, *fast))
