"""From a site to the report on it: crawled by real workers, joined from what they left in Redis."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crawler.check.report import ReportOptions, findings_of
from crawler.findings import Finding
from crawler.frontier.frontier import Frontier
from crawler.frontier.redis.connection import Connection
from crawler.settings import Settings
from tests.redis_for_tests import PrivateRedis
from tests.servers import page
from tests.stories.commands import Commands
from tests.stories.sites import Site, Sites
from tests.stories.test_sitemaps import XML, urlset

pytestmark = pytest.mark.slow

OPTIONS = ("--delay", "0", "--per-host", "4", "--plain", "--allow-private")
_HEAD = '<!doctype html><html lang=en><head><meta charset=utf-8><title>{}</title><meta name=description content="{}">'
HEAD = '<link rel=stylesheet href="/style.css"><link rel=alternate hreflang=x-default href="/b">'
CSS = [("Content-Type", "text/css")]


@pytest.fixture
def machine(commands_on: Callable[[str], Commands], redis_server: PrivateRedis) -> Commands:
    """A machine whose crawls are checks."""
    commands = commands_on(redis_server.url)
    commands.env["CRAWLER_CHECK"] = "yes"
    return commands


def document(name: str, body: str, head: str = "") -> bytes:
    """A page about which there is nothing to say."""
    return f"{_HEAD.format(name, f'About {name}')}{head}</head>\n<body>\n<h1>{name}</h1>\n{body}</body></html>".encode()


def reported(redis: PrivateRedis) -> dict[tuple[str, str], Finding]:
    """The report."""
    link = Connection(redis.url)
    frontier = Frontier.find(link, "default")
    settings = Settings(delay=0.0).with_stored(frontier.crawldb.settings())
    found = {one.key: one for one in findings_of(frontier, ReportOptions(settings=settings))}
    link.close()
    return found


def a_site(sites: Sites) -> tuple[Site, Site]:
    """A site with something wrong of many kinds, and another one that it links to."""
    site, away = sites.add(), sites.add("127.0.0.2")
    away.serve("/good", document("good", ""))
    site.redirect("/old", "/b", 301)
    site.serve("/style.css", b"p { color: red }\nbody { background: url(/no.png) }\n", headers=CSS)
    site.serve("/alone", document("alone", ""))
    site.serve("/b", document("b", '<p id=here>\n<a href="/#nowhere">up</a>'))
    links = [
        '<a href="/b#here">b</a>',
        '<a href="/b#away">no such place</a>',
        '<a href="/gone">our history</a>',
        '<a href="/old">old</a>',
        f'<a href="{away.url("/good")}">good</a> <a href="{away.url("/bad")}">bad</a>',
        '<img src="/missing.png" alt="a picture">',
        '<a rel=nofollow href="/alone2">nofollow</a>',
    ]
    site.serve("/alone2", document("alone2", ""))
    site.serve("/", document("start", "\n".join(links), HEAD))
    site.serve("/sitemap.xml", urlset(site.url("/"), site.url("/alone"), site.url("/alone2")), headers=XML)
    site.robots = f"Sitemap: {site.url('/sitemap.xml')}\n".encode()
    return site, away


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_site_is_crawled_and_all_that_is_wrong_is_reported(
    machine: Commands, sites: Sites, redis_server: PrivateRedis, workers: str
) -> None:
    site, away = a_site(sites)
    more = () if workers == "1" else ("--shards", "2")
    done = machine.run("run", site.url("/"), *OPTIONS, "--workers", workers, *more)
    assert done.code in (0, 1), done.err
    found = reported(redis_server)
    start, b, sheet = site.url("/"), site.url("/b"), site.url("/style.css")
    places = {key: [(at.url, at.line, at.text) for at in one.pages] for key, one in found.items()}
    line = 5  # of the second link
    assert places == {
        ("broken", site.url("/gone")): [(start, line + 1, "our history")],
        ("broken", away.url("/bad")): [(start, line + 3, "bad")],
        ("broken", site.url("/missing.png")): [(start, line + 4, "a picture")],
        ("broken", site.url("/no.png")): [(sheet, 2, None)],
        ("broken-fragment", f"{b}#away"): [(start, line, "no such place")],
        ("broken-fragment", f"{start}#nowhere"): [(b, 5, "up")],
        ("redirect-permanent", site.url("/old")): [(start, line + 2, "old")],
        ("orphan", site.url("/alone")): [(site.url("/sitemap.xml"), None, None)],
    }
    assert list(found["broken", site.url("/no.png")].pages[0].used_by) == [start]


def test_a_second_check_finds_the_same_since_the_same_time(
    machine: Commands, sites: Sites, redis_server: PrivateRedis
) -> None:
    site, _ = a_site(sites)
    machine.run("run", site.url("/"), *OPTIONS, "--workers", "1")
    first = reported(redis_server)
    site.pages["/gone"] = page(document("gone", ""))
    done = machine.run("recrawl", "--older-than", "0", "--delay", "0", "--plain", "--workers", "1")
    assert done.code == 0, done.err
    second = reported(redis_server)
    assert second == {key: one for key, one in first.items() if key != ("broken", site.url("/gone"))}
