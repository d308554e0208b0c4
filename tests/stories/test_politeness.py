"""What hosts see of a crawl with many workers: never too fast, never two at once, robots.txt once; by their logs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final

import pytest

from tests.servers import Call
from tests.stories.commands import Commands, by_url, outcomes, wait_until
from tests.stories.sites import ROBOTS, Site, Sites, html

pytestmark = pytest.mark.slow

TOLERANCE: Final = 0.010
"""Seconds: clocks of Redis tick in milliseconds, and a busy machine wakes threads late."""


def _slowly(body: bytes) -> Callable[[Call], object]:
    """An answer that takes a while, so that two at once would be seen."""

    def answer(call: Call) -> None:
        call.wait(0.03)
        call.answer(body)

    return answer


def _chain(site: Site, length: int) -> list[str]:
    """Pages each of which links to the next alone: the queue of their host is empty while one is in flight."""
    for n in range(length):
        site.pages[f"/{n}"] = _slowly(html([f"/{n + 1}"] if n + 1 < length else []))
    return [site.url(f"/{n}") for n in range(length)]


def _wide(site: Site, width: int) -> list[str]:
    """A page with links to all the others."""
    site.pages["/0"] = _slowly(html(f"/{n}" for n in range(1, width)))
    for n in range(1, width):
        site.pages[f"/{n}"] = _slowly(html())
    return [site.url(f"/{n}") for n in range(width)]


def _check(site: Site, delay: float, pages: int) -> None:
    gaps = site.gaps()
    assert len(gaps) == pages  # robots.txt and the pages, each once
    assert min(gaps) >= delay - TOLERANCE, sorted(gaps)[:5]
    assert site.most_at_once == 1
    assert site.asked()[ROBOTS] == 1


def test_delay_holds_for_all_workers_together(commands: Commands, sites: Sites) -> None:
    """On a host whose queue runs empty after each page, on one with many pages, and on one that asks for more."""
    chain, wide, calm = sites.add(), sites.add("127.0.0.2"), sites.add("127.0.0.3")
    calm.robots = b"User-agent: *\nCrawl-delay: 0.6\n"
    wide.robots = b"User-agent: *\nCrawl-delay: 0.05\n"
    urls = _chain(chain, 8) + _wide(wide, 12) + _wide(calm, 5)
    done = commands.run(
        "run", chain.url("/0"), wide.url("/0"), calm.url("/0"), "--delay", "0.3", "--workers", "4", "-o", "-"
    )
    assert done.code == 0, done.err
    assert outcomes(by_url(done.records())) == dict.fromkeys(urls, "fetched")
    _check(chain, 0.3, 8)
    _check(wide, 0.3, 12)
    _check(calm, 0.6, 5)


def test_delay_outlives_the_processes(commands: Commands, sites: Sites) -> None:
    """Stopped and started again at once, a host is asked no sooner."""
    site = sites.add()
    urls = _wide(site, 8)
    going = commands.start("run", urls[0], "--delay", "2.5s", "--workers", "1")
    wait_until(lambda: len(site.seen) >= 2, "the first page")
    going.signal(signal.SIGINT)
    assert going.wait().code == 130
    done = commands.run("run", "--max-pages", "2", "--workers", "1")
    assert done.code == 0, done.err
    _check(site, 2.5, 2)


def test_one_at_a_time_without_a_delay(commands: Commands, sites: Sites) -> None:
    """`--per-host 1` (the default) holds over all workers; `--per-host 3` lets three at once, no more."""
    one, three = sites.add(), sites.add("127.0.0.2")
    assert commands.run("run", *_wide(one, 25)[:1], "--delay", "0", "--workers", "2").code == 0
    done = commands.run(
        "run", *_wide(three, 40)[:1], "--delay", "0", "--per-host", "3", "--workers", "2", "--crawl", "b"
    )
    assert done.code == 0
    assert one.most_at_once == 1
    assert 1 < three.most_at_once <= 3


def test_robots_txt_rules(commands: Commands, sites: Sites) -> None:
    """Disallowed pages are not asked for; a missing robots.txt allows all; 5xx allows nothing until patience ends."""
    strict, open_, broken = sites.add(), sites.add("127.0.0.2"), sites.add("127.0.0.3")
    strict.robots = b"User-agent: *\nDisallow: /\nAllow: /public\n\nUser-agent: mybot\nDisallow: /mine\n"
    broken.serve(ROBOTS, b"oops", 503)
    for site in (strict, open_, broken):
        for path in ("/public", "/private", "/mine"):
            site.serve(path, html())
    seeds = [site.url(path) for site in (strict, open_, broken) for path in ("/public", "/private", "/mine")]
    done = commands.run("run", *seeds, "--delay", "0", "--host-patience", "2s", "--workers", "1", "-o", "-")
    assert done.code == 0, done.err
    found = outcomes(by_url(done.records()))
    allowed = {strict.url("/public"), *(open_.url(path) for path in ("/public", "/private", "/mine"))}
    refused = {strict.url("/private"), strict.url("/mine")}
    assert found == (
        dict.fromkeys(allowed, "fetched")
        | dict.fromkeys(refused, "dropped:robots")
        | {broken.url(path): "failed:robots" for path in ("/public", "/private", "/mine")}
    )
    assert set(strict.asked()) == {ROBOTS, "/public"}
    assert set(broken.asked()) == {ROBOTS}


def test_robots_txt_is_read_for_our_name(commands: Commands, sites: Sites) -> None:
    """The group that names our product token counts, and with --ignore-robots nobody asks for the file."""
    site = sites.add()
    site.robots = b"User-agent: *\nDisallow: /\n\nUser-agent: mybot\nDisallow: /mine\n"
    for path in ("/public", "/mine"):
        site.serve(path, html())
    seeds = [site.url("/public"), site.url("/mine")]
    agent = "MyBot/2.0 (+https://example.org)"
    assert commands.run("run", *seeds, "--delay", "0", "--user-agent", agent, "--workers", "1").code == 0
    assert outcomes(commands.records()) == {seeds[0]: "fetched", seeds[1]: "dropped:robots"}
    assert {seen.headers["user-agent"] for seen in site.seen} == {agent}
    assert commands.run("run", *seeds, "--delay", "0", "--ignore-robots", "--crawl", "b", "--workers", "1").code == 0
    assert outcomes(commands.records("--crawl", "b")) == dict.fromkeys(seeds, "fetched")
    assert site.asked()[ROBOTS] == 1
