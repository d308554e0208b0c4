"""Hosts that hold transfers up for good ones; what is said behind a proxy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.servers import Call
from tests.stories.commands import Commands, wait_until
from tests.stories.sites import ROBOTS, Site, Sites, html

pytestmark = pytest.mark.slow

PAGES = 8
SILENT = 40
LONG = 60.0
"""Seconds that a silent host would take: no test waits for it."""


@pytest.fixture
def hold() -> Iterator[Callable[[Call], None]]:
    """An answer that does not come before the test is over."""
    over = threading.Event()

    def held(call: Call) -> None:
        over.wait(LONG)
        call.answer(html())

    yield held
    over.set()


def _good(sites: Sites, n: int) -> Site:
    """A host whose pages are a chain, so that it has to be asked again and again."""
    site = sites.add(f"127.0.3.{n + 1}")
    for page in range(PAGES):
        site.serve(f"/{page}", html([f"/{page + 1}"] if page < PAGES - 1 else [], title=f"{site.authority}{page}"))
    return site


def _silent(what: str, site: Site, hold: Callable[[Call], None]) -> None:
    """From which request on *site* says nothing."""
    if what == "robots.txt":
        site.otherwise = hold
    elif what == "page":
        site.pages["/0"] = hold
    else:
        site.serve("/0", html(["/1", "/2"], title=site.authority))
        site.pages["/1"] = site.pages["/2"] = hold


@pytest.mark.parametrize("fetcher", ["curl", "requests"])
@pytest.mark.parametrize("what", ["robots.txt", "page", "second page"])
def test_silent_hosts_hold_good_ones_up_no_longer_than_they_are_asked_first(
    commands: Commands, sites: Sites, hold: Callable[[Call], None], what: str, fetcher: str
) -> None:
    """Five times as many as there are transfers come first; the good ones end while no silent one has."""
    silent = [sites.add(f"127.0.2.{n + 1}") for n in range(SILENT)]
    for site in silent:
        _silent(what, site, hold)
    good = [_good(sites, n) for n in range(3)]
    seeds = [site.url("/0") for site in (*silent, *good)]
    options = [
        "--delay",
        "50ms",
        "--workers",
        "1",
        "--concurrency",
        "8",
        "--timeout",
        f"{LONG:g}s",
        "--fetcher",
        fetcher,
    ]
    commands.start("run", *seeds, *options)
    wait_until(
        lambda: all(len(site.asked_of_pages()) == PAGES for site in good), "all pages of the good hosts", LONG / 2
    )
    assert sum(site.asked()[ROBOTS] > 0 for site in silent) == SILENT


def test_a_proxy_turns_limits_by_address_off_and_that_is_said_once(commands: Commands, sites: Sites) -> None:
    proxy = sites.add()
    proxy.otherwise = lambda call: call.answer(html())
    done = commands.run("run", "http://a.example/", "--proxy", f"http://{proxy.authority}", "--workers", "2")
    assert [line for line in done.lines if "behind a proxy addresses are not known" in line] == [
        "crawler: behind a proxy addresses are not known: limits of hosts at one address do not hold"
    ]
