"""Pages with nearly the same text: each is stored whole, and names the first of them."""

from __future__ import annotations

from typing import Final

import pytest

from tests.stories.commands import Commands, by_url
from tests.stories.sites import Site, Sites

TEXT: Final = " ".join(f"word{n * n % 1009}" for n in range(300))
OTHER: Final = " ".join(f"term{n * n % 1009}" for n in range(300))


def serve(site: Site, target: str, text: str, *links: str) -> str:
    """A page whose main content is *text*; its URL."""
    found = "".join(f'<a href="{link}">to {link}</a> ' for link in links)
    body = f"<title>{target}</title><body><main><p>{text}</p></main><nav>{found}</nav></body>"
    return site.serve(target, body.encode(), headers=[("Content-Type", "text/html; charset=utf-8")])


@pytest.fixture
def site(sites: Sites) -> Site:
    """Two pages that differ in a date, a copy of the second, and another one; the links lead from one to the next."""
    site = sites.add()
    serve(site, "/", OTHER, "/1")
    serve(site, "/1", f"{TEXT} Monday", "/2")
    serve(site, "/2", f"{TEXT} Tuesday", "/3")
    return site


@pytest.mark.parametrize("options", [("--store", "main"), ("--store", "markdown"), ("--near-duplicates",)])
def test_a_page_names_the_first_with_nearly_its_text(commands: Commands, site: Site, options: tuple[str, ...]) -> None:
    """Its own text is kept, and its links are followed."""
    serve(site, "/3", f"{TEXT} Wednesday", "/4")
    serve(site, "/4", f"{OTHER} also")
    done = commands.run("run", site.url("/"), "--delay", "0", "-n", "1", "-o", "-", *options)
    assert done.code == 0, done.err
    records = by_url(done.records())
    near = {url: record.get("near_duplicate_of") for url, record in records.items()}
    first, root = site.url("/1"), site.url("/")
    assert near == {root: None, first: None, site.url("/2"): first, site.url("/3"): first, site.url("/4"): root}
    kept = {"--near-duplicates": "text"}.get(options[0], options[-1])
    assert "Tuesday" in records[site.url("/2")][kept]
    assert "near duplicates: 3 (see `near_duplicate_of`)" in done.err
    status = commands.status()
    assert (status["near_duplicates"], status["duplicates"]) == (3, 0)
    assert "near      3 pages have nearly the text of another one" in commands.run("status").out


def test_the_whole_text_is_compared_only_if_that_is_wanted(commands: Commands, site: Site) -> None:
    """What most of a site's pages have, a menu say, would make them alike."""
    done = commands.run("run", site.url("/"), "--delay", "0", "-n", "1", "-o", "-")
    assert done.code == 0, done.err
    assert not any("near_duplicate_of" in record for record in done.records())
    assert commands.status()["near_duplicates"] == 0


def test_who_keeps_no_text_is_told_that_there_is_none_to_compare(commands: Commands, site: Site) -> None:
    done = commands.run("run", site.url("/"), "--delay", "0", "-n", "1", "--store", "html", "--near-duplicates")
    assert done.code == 0
    assert "hint: --near-duplicates compares texts, and this crawl keeps none: add text to --store" in done.err


def test_the_page_is_still_named_after_records_were_drained(commands: Commands, site: Site) -> None:
    seed = ("seed", site.url("/1"), "--delay", "0", "--store", "main")
    assert commands.run(*seed, "--max-pages", "1").code == 0
    assert commands.run("run", "-n", "1").code == 0
    assert commands.run("export", "-o", "first.jsonl", "--drain").code == 0
    assert commands.run("set", "max-pages", "2").code == 0
    assert commands.run("run", "-n", "1").code == 0
    assert commands.run("export", "-o", "second.jsonl").code == 0
    record = commands.written("second.jsonl")[site.url("/2")]
    assert record["near_duplicate_of"] == site.url("/1")
