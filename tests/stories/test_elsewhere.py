"""Where robots.txt, sitemaps, links and redirects lead away from the page that a seed names, and where not."""

from __future__ import annotations

import pytest

from tests.stories.commands import Commands, by_url, outcomes
from tests.stories.sites import ROBOTS, Sites, html
from tests.stories.test_sitemaps import XML, index, urlset

pytestmark = pytest.mark.slow

OPTIONS = ["--delay", "0", "--per-host", "4", "--workers", "1", "-o", "-"]
SMTP = "http://127.0.0.1:25"


def crawl(commands: Commands, *arguments: str) -> dict[str, str]:
    """The outcomes of a crawl."""
    done = commands.run("run", *arguments, *OPTIONS)
    assert done.code == 0, done.err
    return outcomes(by_url(done.records()))


@pytest.mark.parametrize("fetcher", ["curl", "requests"])
def test_a_seed_below_the_root_of_a_private_host(commands: Commands, sites: Sites, fetcher: str) -> None:
    """In a scope by prefix robots.txt of its host is obeyed, its sitemaps are read; no other host is asked."""
    site, other = sites.add(), sites.add("127.0.0.2")
    secret, found = site.serve("/docs/secret", html()), site.serve("/docs/found", html())
    seed = site.serve("/docs/", html([secret, site.url("/elsewhere"), other.url("/docs/")]))
    site.serve("/maps/all.xml", urlset(found, site.url("/elsewhere")), headers=XML)
    site.redirect("/map.xml", "/maps/all.xml")
    site.robots = f"User-agent: *\nDisallow: /docs/secret\nSitemap: /map.xml\nSitemap: {other.url('/x')}\n".encode()
    ended = crawl(commands, seed, "--scope", "prefix", "--fetcher", fetcher)
    assert ended == {
        **dict.fromkeys([seed, found, site.url("/maps/all.xml")], "fetched"),
        site.url("/map.xml"): "redirected",
        secret: "dropped:robots",
    }
    assert site.asked() == dict.fromkeys([ROBOTS, "/docs/", "/docs/found", "/map.xml", "/maps/all.xml"], 1)
    assert other.connections == 0


@pytest.mark.parametrize("scope", ["site", "prefix"])
def test_robots_txt_may_name_a_sitemap_on_another_site(commands: Commands, sites: Sites, scope: str) -> None:
    """It is read as that site's robots.txt allows, its pages are judged by the scope; what it names itself is not."""
    site, cdn, strict, moved = sites.add(), sites.add("127.0.0.2"), sites.add("127.0.0.3"), sites.add("127.0.0.4")
    first, second = site.serve("/only-in-map", html()), site.serve("/moved", html())
    foreign = [cdn.serve("/map.xml", urlset(first, cdn.url("/page")), headers=XML)]
    foreign.append(strict.serve("/map.xml", urlset(site.url("/never")), headers=XML))
    moved.serve("/map.xml", urlset(second), headers=XML)
    own = site.redirect("/map.xml", moved.url("/map.xml"))
    cdn.robots = f"Sitemap: {cdn.serve('/more.xml', urlset(site.url('/never')))}\n".encode()
    strict.robots = b"User-agent: *\nDisallow: /\n"
    within = site.serve("/index.xml", index(cdn.url("/never.xml")), headers=XML)
    site.robots = "".join(f"Sitemap: {url}\n" for url in (*foreign, own, within)).encode()
    home = site.serve("/", html())
    assert crawl(commands, home, "--allow-private", "--scope", scope) == {
        **dict.fromkeys([home, first, second, foreign[0], moved.url("/map.xml"), within], "fetched"),
        own: "redirected",
        foreign[1]: "dropped:robots",
    }
    assert cdn.asked() == {ROBOTS: 1, "/map.xml": 1}
    assert strict.asked() == {ROBOTS: 1}
    assert commands.status()["refused"] == {"scope": 2}


def test_the_hosts_that_a_robots_txt_names_are_bounded(commands: Commands, sites: Sites) -> None:
    site, others = sites.add(), [sites.add(f"127.0.0.{n}") for n in range(2, 10)]
    maps = [other.serve(f"/{n}.xml", urlset(), headers=XML) for other in others for n in range(2)]
    site.robots = "".join(f"Sitemap: {url}\n" for url in maps).encode()
    ended = crawl(commands, site.serve("/", html()), "--allow-private")
    assert [url in ended for url in maps] == [True] * 10 + [False] * 6
    assert commands.status()["refused"] == {"sitemap-hosts": 6}


def test_ports_of_other_protocols_are_asked_for_by_nobody(commands: Commands, sites: Sites) -> None:
    """Neither for links, redirects, refreshes, sitemaps, canonical URLs nor for what robots.txt redirects to."""
    site, lost = sites.add(), sites.add()
    refresh = f'<meta http-equiv="refresh" content="0;url={SMTP}/refresh">'
    canonical = f'<link rel="canonical" href="{SMTP}/canonical">'
    pages = [
        site.redirect("/redirect", f"{SMTP}/redirect"),
        site.serve("/refresh", html(head=refresh)),
        site.serve("/canonical", html(head=canonical)),
        lost.serve("/", html()),
    ]
    lost.redirect(ROBOTS, f"{SMTP}/robots.txt")
    named = site.serve("/map.xml", urlset(f"{SMTP}/listed"), headers=XML)
    site.robots = f"Sitemap: {SMTP}/map.xml\nSitemap: {named}\n".encode()
    home = site.serve("/", html([*pages, f"{SMTP}/link", "http://127.0.0.1:6667/irc"]))
    ended = crawl(commands, home, "--allow-private", "--canonical", "obey", "--scope", "all")
    assert ended == {
        **dict.fromkeys([home, named, *pages], "fetched"),
        pages[0]: "redirected",
    }
    assert commands.status()["refused"] == {"port": 7}
    assert by_url(commands.run("export", "-o", "-").records())[pages[2]].get("duplicate_of") is None
    assert "port" in commands.run("explain", f"{SMTP}/link").out


@pytest.mark.parametrize("by", ["redirect", "refresh"])
def test_a_seed_does_not_lead_to_such_a_port(by: str, commands: Commands, sites: Sites) -> None:
    """It takes its root along when it redirects to another host, but not to this."""
    site = sites.add()
    refresh = f'<meta http-equiv="refresh" content="0;url={SMTP}/x">'
    seed = site.redirect("/", f"{SMTP}/x") if by == "redirect" else site.serve("/", html(head=refresh))
    records = commands.run("run", seed, "--allow-private", *OPTIONS).records()
    assert [record["url"] for record in records] == [seed]
    assert commands.status()["refused"] == ({"port": 1} if by == "redirect" else {"scope": 1})


def test_a_seed_may_name_such_a_port(commands: Commands) -> None:
    """A person knows why; links to this very port are then followed. `crawler fetch` says what a crawl would do."""
    done = commands.run("run", f"{SMTP}/seed", "--ignore-robots", "--retries", "0", *OPTIONS)
    assert [(record["url"], record["outcome"]) for record in done.records()] == [(f"{SMTP}/seed", "failed:connect")]
    done = commands.run("explain", f"{SMTP}/other")
    assert "a link to it is followed" in done.out
    assert "port belongs to another protocol" in commands.run("fetch", f"{SMTP}/seed", "--ignore-robots").out


def test_fetch_follows_no_redirect_to_such_a_port(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.redirect(ROBOTS, f"{SMTP}/robots.txt")
    done = commands.run("fetch", site.redirect("/", f"{SMTP}/x"), "--allow-private")
    assert done.out.count("port belongs to another protocol") == 2
    assert f"{SMTP}/x is not requested" in done.out
