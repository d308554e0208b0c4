"""Crawls that keep no text: pages are read by their heads alone as soon as their links are known, and none is lost."""

from __future__ import annotations

import pytest

from tests.stories.commands import Commands, Json, by_url
from tests.stories.sites import Site, Sites, html

MENU = [f"/p{n}" for n in range(12)]
OWN = ("fetched_at", "elapsed_ms", "link_count")
"""What differs between two crawls, and what is not counted on a page that was skimmed."""


def _crawl(commands: Commands, *arguments: str) -> dict[str, Json]:
    options = ("--delay", "0", "--workers", "1", "--store", "meta", "-o", "-", "--fresh", "--yes")
    done = commands.run("run", *arguments, *options)
    assert done.code == 0, done.err
    return by_url(done.records())


def _serve_menu(site: Site) -> None:
    """Pages that all have one menu, and one link of their own."""
    site.serve("/", html(MENU))
    for n, path in enumerate(MENU):
        own = f"{path}/own"
        head = f'<meta name="description" content="about {n}"><link rel="canonical" href="{path}">'
        site.serve(path, html([*MENU, own], f"page {n}", head))
        site.serve(own, html(MENU, f"own {n}"))


def test_a_crawl_finds_the_same_by_skimming_and_by_parsing(commands: Commands, sites: Sites) -> None:
    """Page by page the same record, but for the number of links; of pages with a link of their own all is counted."""
    site = sites.add()
    _serve_menu(site)
    parsed = _crawl(commands, site.url("/"), "--parse-all")
    skimmed = _crawl(commands, site.url("/"))
    assert len(parsed) == 1 + 2 * len(MENU)
    assert {url for url, record in parsed.items() if "link_count" not in record} == set()
    assert {url for url, record in skimmed.items() if "link_count" not in record} == {
        url for url in parsed if url.endswith("/own")
    }
    for records in (parsed, skimmed):
        for record in records.values():
            for name in OWN:
                record.pop(name, None)
    assert skimmed == parsed


@pytest.mark.parametrize(
    ("first", "options"),
    [
        ('<a href="/x" rel="nofollow">', ()),
        ('<meta name="robots" content="nofollow"><a href="/x">', ()),
        ("".join(f'<a href="/{n}">' for n in range(3)) + '<a href="/x">', ("--max-links", "3")),
    ],
    ids=["nofollow", "nofollow of the page", "the cap of links"],
)
def test_what_one_page_does_not_follow_another_does(
    commands: Commands, sites: Sites, first: str, options: tuple[str, ...]
) -> None:
    """/x is left out on the first page and linked to plainly on the second, which is crawled later."""
    site = sites.add()
    site.serve("/", html(["/a", "/way"]))
    site.serve("/a", html() + first.encode())
    site.serve("/way", html(["/b"]))
    site.serve("/b", html(["/a", "/x", "/c"]))
    site.serve("/c", html(["/a", "/b", "/x"]))
    site.serve("/x", html())
    records = _crawl(commands, site.url("/"), *options)
    assert records[site.url("/x")]["depth"] == 3


def test_pages_at_the_greatest_depth_are_skimmed(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html(["/a"]))
    site.serve("/a", html(["/never"], "the last"))
    records = _crawl(commands, site.url("/"), "--max-depth", "1")
    assert records.keys() == {site.url("/"), site.url("/a")}
    assert records[site.url("/a")]["title"] == "the last"
    assert "link_count" not in records[site.url("/a")]


def test_links_are_counted_where_they_are_kept(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    _serve_menu(site)
    records = _crawl(commands, site.url("/"), "--store", "links")
    assert {len(record["links"]) for record in records.values()} == {len(MENU), len(MENU) + 2}  # its canonical, too


def test_what_was_leased_is_known(commands: Commands, sites: Sites) -> None:
    """A seed was sent by nobody that crawls: a page that names itself is skimmed all the same."""
    site = sites.add()
    site.serve("/", html(["/", "#top"], "alone", '<link rel="canonical" href="/">'))
    (record,) = _crawl(commands, site.url("/")).values()
    assert (record["title"], record["canonical"]) == ("alone", site.url("/"))
    assert "link_count" not in record
