"""`crawler fetch` shows what a crawl would do with one URL: by the same steps, without Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.stories.commands import Commands, Json
from tests.stories.sites import ROBOTS, Site, Sites, html

COOKIE: Final = "seen=b15cu1t"
TIMES: Final = ("fetched_at", "elapsed_ms", "last_modified")
MAP: Final = """<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
<url><loc>{0}</loc></url><url><loc>http://elsewhere.example/</loc></url></urlset>"""


def odd_site(site: Site) -> None:
    """Whatever a URL may lead to."""
    site.robots = b"User-agent: *\nDisallow: /no\n"
    site.serve("/page", html(["/a", "http://b.example/"], "a page"))
    site.serve("/gone", html(title="gone"), 404)
    site.serve("/noindex", b"<meta name=robots content=noindex><title>hidden</title><a href=/a>a</a>")
    site.serve("/copy", b"<link rel=canonical href=/page><title>copy</title>text")
    site.serve("/image", b"\x89PNG\r\n\x1a\n", headers=[("Content-Type", "image/png")])
    site.serve("/map.xml", MAP.format(site.url("/a")).encode(), headers=[("Content-Type", "application/xml")])
    site.serve("/cookie", b"", 302, [("Location", "/cookie"), ("Set-Cookie", COOKIE)])
    site.redirect("/self", "/self")
    site.redirect("/hop", "/page")
    site.redirect("/into", "/no")
    site.redirect("/broken", "http://[/")
    for n in range(25):
        site.redirect(f"/r{n}", f"/r{n + 1}")


def shown(commands: Commands, url: str, *options: str) -> Json:
    """The record that `fetch` prints."""
    record: Json = commands.run("fetch", url, "--json", *options).records()[0]
    return record


@pytest.mark.parametrize(
    ("path", "end"),
    [
        *((f"/{name}", f"/{name}") for name in ("page", "gone", "noindex", "copy", "image", "map.xml", "cookie")),
        *((f"/{name}", f"/{name}") for name in ("self", "broken", "no")),
        *(("/hop", "/page"), ("/into", "/no"), ("/r0", "/r20")),
    ],
)
def test_the_record_is_the_one_that_a_crawl_stores(path: str, end: str, commands: Commands, sites: Sites) -> None:
    site = sites.add()
    odd_site(site)
    options = ("--allow-private", "--user-agent", "bot/1")
    found = shown(commands, site.url(path), *options)
    crawl = ("--delay", "0", "--workers", "1", "--retries", "0", "--max-depth", "0")
    records = commands.run("run", site.url(path), *options, *crawl, "-o", "-").records()
    (stored,) = [record for record in records if record["url"] == site.url(end)]
    for name in (*TIMES, "via"):
        found.pop(name, None)
        stored.pop(name, None)
    assert found == stored


def test_each_step_is_shown_and_the_last_redirect_too(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    odd_site(site)
    done = commands.run("fetch", site.url("/r0"))
    assert done.code == 4
    hops = [line for line in done.out.splitlines() if line.startswith("302 ")]
    assert hops == [f"302 {site.url(f'/r{n}')} -> {site.url(f'/r{n + 1}')}" for n in range(20)]
    assert "more than 20 redirects in a row" in done.out


def test_a_robots_file_is_asked_for_once_an_origin(commands: Commands, sites: Sites) -> None:
    first, second = sites.add(), sites.add("127.0.0.2")
    for n in range(4):
        first.redirect(f"/{n}", f"/{n + 1}")
    first.redirect("/4", second.url("/"))
    second.serve("/", html(title="there"))
    assert shown(commands, first.url("/0"), "--allow-private")["title"] == "there"
    assert (first.asked()[ROBOTS], second.asked()[ROBOTS]) == (1, 1)


def test_the_links_of_a_page_and_of_a_sitemap(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    odd_site(site)
    assert shown(commands, site.url("/page"), "--links")["links"] == [
        {"url": site.url("/a"), "text": "link", "line": 1},
        {"url": "http://b.example/", "text": "link", "line": 1},
    ]
    assert "links" not in shown(commands, site.url("/page"))
    assert shown(commands, site.url("/map.xml"), "--links")["links"] == [{"url": site.url("/a")}]


def test_the_markdown_alone_or_why_there_is_none(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    url = site.serve("/page", b"<title>t</title><main><h1>Tea</h1><p>Leaves.</p></main>")
    done = commands.run("fetch", url, "--markdown")
    assert (done.code, done.out) == (0, "# Tea\n\nLeaves.\n")
    gone = commands.run("fetch", site.url("/gone"), "--markdown")
    assert (gone.code, gone.out) == (4, "")
    assert gone.lines[-1] == "crawler: no Markdown: the outcome is missing"
    both = commands.run("fetch", url, "--markdown", "--json")
    assert both.code == 2
    assert "--json --store markdown" in both.err
    assert "# Tea" in shown(commands, url, "--store", "markdown")["markdown"]


def test_a_hook_is_called_and_its_failure_ends_the_command(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    odd_site(site)
    Path(commands.folder / "hook.py").write_text(
        "def good(page): return page.title\ndef bad(page): return page.titel\n"
    )
    assert shown(commands, site.url("/page"), "--hook", "hook.py:good")["data"] == "a page"
    done = commands.run("fetch", site.url("/page"), "--hook", "hook.py:bad")
    assert done.code != 0
    assert "the hook failed: AttributeError" in done.err
    assert "Traceback" not in done.err
