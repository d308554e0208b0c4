"""Sitemaps from end to end: found by robots.txt, by name and by links; every format; loops, bombs, strangers."""

from __future__ import annotations

import gzip
from itertools import pairwise

import pytest

from tests.stories.commands import Commands, Json, by_url, outcomes
from tests.stories.sites import Site, Sites, html

pytestmark = pytest.mark.slow

XML = [("Content-Type", "application/xml")]
OPTIONS = ["--delay", "0", "--per-host", "4", "--workers", "1", "-o", "-"]


def urlset(*urls: str, lastmod: str = "") -> bytes:
    """A sitemap of *urls*."""
    dated = f"<lastmod>{lastmod}</lastmod>" if lastmod else ""
    rows = "".join(f"<url><loc>{url}</loc>{dated}</url>" for url in urls)
    return f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{rows}</urlset>'.encode()


def index(*urls: str) -> bytes:
    """A sitemap of sitemaps."""
    rows = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in urls)
    return f"<sitemapindex>{rows}</sitemapindex>".encode()


def pages(site: Site, *names: str) -> list[str]:
    """Pages without links; their URLs."""
    return [site.serve(f"/{name}", html(title=name)) for name in names]


def crawl(commands: Commands, *arguments: str, code: int = 0) -> dict[str, Json]:
    """The records of a crawl."""
    done = commands.run("run", *arguments, *OPTIONS)
    assert done.code == code, done.err
    return by_url(done.records())


def test_every_format_by_way_of_robots_txt(commands: Commands, sites: Sites) -> None:
    """An index in robots.txt leads to sitemaps of each format, packed or not; what they say of pages is kept."""
    site = sites.add()
    a, b, c, d, e = pages(site, "a", "b", "c", "d", "e")
    rss = f"<rss version='2.0'><channel><link>/</link><item><link>{c}</link></item></channel></rss>".encode()
    atom = f"<feed xmlns='http://www.w3.org/2005/Atom'><entry><link href='{d}'/></entry></feed>".encode()
    maps = [
        site.serve("/xml.gz", gzip.compress(urlset(a, lastmod="2024-02-03T04:05:06+01:00"))),
        site.serve("/list.txt", b.encode() + b"\r\n", headers=[("Content-Type", "text/plain")]),
        site.serve("/feed.rss", rss, headers=XML),
        site.serve("/feed.atom", atom, headers=XML),
    ]
    named = site.serve("/index.xml", index(*maps), headers=XML)
    site.robots = f"User-agent: *\nDisallow: /e\nSitemap: {named}\nsitemap: /second.xml\n".encode()
    site.serve("/second.xml", urlset(e), headers=XML)
    home = site.serve("/", html())
    records = crawl(commands, home)
    assert outcomes(records) == {
        **dict.fromkeys([home, named, *maps, site.url("/second.xml"), a, b, c, d], "fetched"),
        e: "dropped:robots",
    }
    assert (records[a]["via"], records[a]["depth"], records[a]["lastmod"]) == (maps[0], 1, "2024-02-03T03:05:06Z")
    assert (records[maps[0]]["via"], records[maps[0]]["link_count"]) == (named, 1)
    assert {url for url, record in records.items() if record.get("sitemap")} == {named, *maps, site.url("/second.xml")}
    assert "lastmod" not in records[b]


def test_what_a_hostile_sitemap_tries(commands: Commands, sites: Sites) -> None:
    """Loops, indexes without end, bombs and strangers: each ends, nothing is fetched that no seed allows."""
    site, stranger = sites.add(), sites.add("127.0.0.2")
    stranger.serve("/page", html())
    (page,) = pages(site, "page")
    laughs = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    bomb = f'<?xml version="1.0"?><!DOCTYPE z [<!ENTITY e0 "ha">{laughs}]><urlset><url><loc>{page}</loc></url>'
    bomb += f"<url><loc>{site.url('/')}&e9;</loc></url></urlset>"
    names = {
        "/loop.xml": index(site.url("/loop.xml")),
        "/bomb.xml": bomb.encode(),
        "/bomb.gz": gzip.compress(bytes(1 << 20)) * 200,
        "/stranger.xml": urlset(stranger.url("/page"), "ftp://a.example/", "http://user:pw@127.0.0.1/"),
        "/html.xml": html(["/never"]),
        **{f"/deep{n}.xml": index(site.url(f"/deep{n + 1}.xml")) for n in range(8)},
        "/relative.xml": urlset("/page?from=relative"),
    }
    for name, body in names.items():
        site.serve(name, body, headers=XML)
    site.redirect("/moved.xml", "/bomb.xml")
    site.redirect("/away.xml", stranger.url("/sitemap.xml"))
    first = [*(name for name in names if not name.startswith("/deep")), "/deep0.xml", "/moved.xml", "/away.xml"]
    lines = [f"Sitemap: {site.url(name)}" for name in first]
    site.robots = "\n".join(
        [*lines, f"Sitemap: {stranger.url('/sitemap.xml')}", "Sitemap: file:///etc/passwd"]
    ).encode()
    records = crawl(commands, site.serve("/", html()), "--max-size", "1M")
    assert not stranger.seen
    assert records[page]["outcome"] == "fetched"
    assert records[site.url("/page?from=relative")]["status"] == 404
    assert {path for path in site.asked() if path.startswith("/deep")} == {f"/deep{n}.xml" for n in range(4)}
    assert "no sitemap" in records[site.url("/html.xml")]["error"]
    assert records[site.url("/away.xml")]["outcome"] == "redirected"
    assert records[site.url("/moved.xml")]["redirect_to"] == site.url("/bomb.xml")
    refused = commands.status()["refused"]
    assert refused == {"scope": 3, "scheme": 2, "userinfo": 1, "sitemap-nesting": 1, "sitemap-unreadable": 2}
    assert site.asked()["/never"] == 0


@pytest.mark.parametrize("named", [True, False])
def test_a_site_from_its_sitemap_alone(commands: Commands, sites: Sites, named: bool) -> None:
    """Links of pages are not followed then; where robots.txt names no sitemap the usual place is tried."""
    site = sites.add()
    listed = site.serve("/listed", html(["/linked"], "listed"))
    site.serve("/sitemap.xml", urlset(listed), headers=XML)
    site.robots = f"Sitemap: {site.url('/sitemap.xml')}".encode() if named else b""
    home = site.serve("/", html(["/linked"]))
    records = crawl(commands, home, "--sitemap-only")
    assert outcomes(records) == dict.fromkeys([home, site.url("/sitemap.xml"), listed], "fetched")


def test_a_sitemap_that_the_operator_names(commands: Commands, sites: Sites) -> None:
    """It needs no other seed; its own site is the scope. It does not count as a page."""
    site = sites.add()
    listed = pages(site, *(f"p{n}" for n in range(9)))
    sitemap = site.serve("/maps/all.xml", urlset(*listed), headers=XML)
    records = crawl(commands, "--sitemap", sitemap, "--max-pages", "4")
    fetched = [url for url, record in records.items() if record["outcome"] == "fetched"]
    assert (sitemap in fetched, len(fetched)) == (True, 5)


def test_sitemaps_can_be_ignored_and_a_link_to_one_is_read(commands: Commands, sites: Sites) -> None:
    site, other = sites.add(), sites.add("127.0.0.2")
    for each in (site, other):
        (listed,) = pages(each, "listed")
        each.serve("/map.xml", urlset(listed), headers=XML)
        each.serve("/", html(["/map.xml"] if each is other else []))
    site.robots = f"Sitemap: {site.url('/map.xml')}".encode()
    records = crawl(commands, site.url("/"), "--ignore-sitemaps")
    assert set(records) == {site.url("/")}
    records = crawl(commands, other.url("/"), "--crawl", "other")
    assert set(records) == {other.url(path) for path in ("/", "/map.xml", "/listed")}
    assert records[other.url("/listed")]["via"] == other.url("/map.xml")


def test_many_urls_and_pages_before_more_sitemaps(commands: Commands, sites: Sites) -> None:
    """Thousands of locations are all accepted; a second sitemap waits while pages are queued."""
    site = sites.add()
    first = site.serve("/one.xml", urlset(*(site.url(f"/{n}") for n in range(2_500))), headers=XML)
    second = site.serve("/two.xml", urlset(site.url("/late")), headers=XML)
    site.robots = f"Sitemap: {first}\nSitemap: {second}".encode()
    home = site.serve("/", html())
    done = commands.run("run", home, "--max-pages", "20", "--delay", "0", "--workers", "1")
    assert done.code == 0, done.err
    status = commands.status()
    assert status["accepted"] == 2_503
    assert site.asked()["/two.xml"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--sitemap", "sitemap.xml"], "a URL is needed"),
        (["run", "--sitemap", "ftp://a.example/x"], "only http and https"),
        (["seed"], "--sitemap URL"),
    ],
)
def test_mistakes(commands: Commands, arguments: list[str], words: str) -> None:
    done = commands.run(*arguments)
    assert (done.code, len(done.lines), words in done.err) == (2, 1, True), done.err


def test_sitemaps_have_budgets_of_their_own(commands: Commands, sites: Sites) -> None:
    """They take nothing from that of pages, are never a trap, and do not fill the worker's memory all at once."""
    site = sites.add()
    listed = pages(site, *(f"p{n}" for n in range(12)))
    names = [f"/map{n}.xml" for n in range(40)]
    for n, name in enumerate(names):
        site.serve(name, urlset(listed[n % len(listed)]), headers=XML)
    site.robots = "\n".join(f"Sitemap: {site.url(name)}" for name in names).encode()
    records = crawl(commands, site.serve("/", html()), "--max-pages-per-host", "10", "--max-pages", "8")
    fetched = [url for url, record in records.items() if record["outcome"] == "fetched"]
    assert sum("/map" not in url for url in fetched) == 8
    assert sum(record.get("sitemap", False) for record in records.values()) == 40
    assert site.most_at_once <= 4


def test_a_deep_page_that_is_an_index_is_read(commands: Commands, sites: Sites) -> None:
    """Met by a link it is at its depth, which says nothing of how many indexes led to it."""
    site = sites.add()
    (listed,) = pages(site, "listed")
    chain = ["/", "/1", "/2", "/3", "/4", "/index.xml"]
    for here, there in pairwise(chain):
        site.serve(here, html([there], title=here))
    site.serve("/index.xml", index(site.url("/map.xml")), headers=XML)
    site.serve("/map.xml", urlset(listed), headers=XML)
    assert listed in crawl(commands, site.url("/"))


def test_a_sitemap_in_a_scope_by_prefix(commands: Commands, sites: Sites) -> None:
    """Alone it opens its host; beside a seed the seed says what belongs to the crawl."""
    site = sites.add()
    docs, blog = pages(site, "docs/a", "blog/a")
    sitemap = site.serve("/maps/all.xml", urlset(docs, blog), headers=XML)
    home = site.serve("/docs/", html())
    assert set(crawl(commands, "--sitemap", sitemap, "--scope", "prefix")) == {sitemap, docs, blog}
    records = crawl(commands, home, "--sitemap", sitemap, "--scope", "prefix", "--crawl", "second")
    assert set(records) == {home, sitemap, docs}


def test_one_that_failed_is_tried_again_as_a_sitemap(commands: Commands, sites: Sites) -> None:
    """Its record says that it was one; read as a page it would end as a type that is not read, and lead nowhere."""
    site = sites.add()
    found = pages(site, "a", "b")
    named = site.serve("/sitemap.xml", b"no", 500)
    home = site.serve("/", html())
    assert outcomes(crawl(commands, home, "--sitemap", named, "--retries", "0"))[named] == "failed:http"
    site.serve("/sitemap.xml", urlset(*found), headers=XML)
    assert commands.run("retry", "--all").code == 0
    records = crawl(commands)
    assert outcomes(records) == dict.fromkeys([home, named, *found], "fetched")
    assert (records[named]["sitemap"], records[named]["link_count"]) == (True, 2)
