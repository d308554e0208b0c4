"""Second visits of whole crawls: what is requested with conditions, of servers that keep to them and of others."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate

import pytest

from tests.servers import Call, head
from tests.stories.commands import Commands, by_url
from tests.stories.sites import ROBOTS, Site, Sites, html

pytestmark = pytest.mark.slow

OPTIONS = ["--delay", "0", "--per-host", "4", "--workers", "2"]
AGAIN = ["recrawl", "--older-than", "0", "--workers", "2"]
OLD = 1_700_000_000
PATHS = ("/1", "/2", "/3", "/4")

Tag = Callable[[bytes], str]
"""A body to its ETag."""


class Changing:
    """A site whose pages can be changed; `tag` and `dates` say what validators it sends, and it answers by them."""

    def __init__(
        self,
        site: Site,
        tag: Tag | None = None,
        dates: Mapping[str, int] | None = None,
        more: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.site, self.tag, self.dates, self.more = site, tag, dates, more
        self.bodies = {"/": html(PATHS), **{path: html(title=path) for path in PATHS}}
        for path in self.bodies:
            site.pages[path] = self._answer

    def change(self, path: str) -> None:
        self.bodies[path] = html(title=f"{path} has changed", head="<meta name=x>" * 3)

    def _answer(self, call: Call) -> None:
        path, asked = call.seen.path, call.seen.headers
        body = self.bodies[path]
        fields = [("Date", formatdate(usegmt=True)), *self.more]
        same = False
        if self.tag is not None:
            tag = self.tag(body)
            fields.append(("ETag", tag))
            same = asked.get("if-none-match") == tag
        if self.dates is not None:
            fields.append(("Last-Modified", formatdate(self.dates[path], usegmt=True)))
            same = same or asked.get("if-modified-since") == formatdate(self.dates[path], usegmt=True)
        call.send(head(304, fields)) if same else call.answer(body, headers=fields)

    def conditional(self) -> dict[str, list[bool]]:
        """Of each page, for each request whether it had conditions."""
        names = ("if-none-match", "if-modified-since")
        found: dict[str, list[bool]] = {}
        for seen in self.site.seen:
            if seen.path in self.bodies:
                found.setdefault(seen.path, []).append(any(name in seen.headers for name in names))
        return found


def crc(body: bytes) -> str:
    return f'"{zlib.crc32(body)}"'


def crawl(commands: Commands, site: Site, *options: str) -> None:
    done = commands.run("run", site.url("/"), *OPTIONS, *options)
    assert done.code == 0, done.err


def again(commands: Commands, *options: str) -> dict[str, int]:
    """Visit all pages again; what the visit has found, counted."""
    done = commands.run(*AGAIN, *options)
    assert done.code == 0, done.err
    found: dict[str, int] = commands.status()["found"]
    return found


@pytest.mark.parametrize("fetcher", ["curl", "requests"])
def test_pages_with_validators_are_not_transferred_again(fetcher: str, commands: Commands, sites: Sites) -> None:
    site = Changing(sites.add(), tag=crc)
    crawl(commands, site.site, "--fetcher", fetcher)
    site.change("/2")
    assert again(commands, "--fetcher", fetcher) == {"changed": 1, "unchanged": 4}
    assert again(commands, "--fetcher", fetcher) == {"unchanged": 5}
    assert site.conditional() == {path: [False, True, True] for path in site.bodies}


def test_dates_alone_are_enough(commands: Commands, sites: Sites) -> None:
    site = Changing(sites.add(), dates=dict.fromkeys(("/", *PATHS), OLD))
    crawl(commands, site.site)
    assert again(commands) == {"unchanged": 5}
    assert site.conditional() == {path: [False, True] for path in site.bodies}


def test_a_constant_tag_hides_no_change(commands: Commands, sites: Sites) -> None:
    """The crawl finds out at the first visit, and later visits send no conditions, whichever worker makes them."""
    site = Changing(sites.add(), tag=lambda _: '"constant"')
    crawl(commands, site.site)
    for path in site.bodies:
        site.change(path)
    assert again(commands) == {"changed": 5}
    assert site.conditional() == {path: [False, False] for path in site.bodies}


def unquoted(_: bytes) -> str:
    return "constant"


def empty(_: bytes) -> str:
    return '""'


BROKEN: dict[str, Callable[[Site], Changing]] = {
    "a tag without quotes": lambda site: Changing(site, tag=unquoted),
    "an empty tag": lambda site: Changing(site, tag=empty),
    "the same date for ever": lambda site: Changing(site, dates=dict.fromkeys(("/", *PATHS), 1)),
    "a date in the future": lambda site: Changing(site, dates=dict.fromkeys(("/", *PATHS), 4_000_000_000)),
    "304 for ever, by Vary": lambda site: Changing(site, tag=crc_of_nothing, more=[("Vary", "*")]),
}


def crc_of_nothing(_: bytes) -> str:
    return crc(b"")


@pytest.mark.parametrize("server", BROKEN.values(), ids=BROKEN)
def test_validators_that_tell_no_versions_apart_are_not_sent(
    server: Callable[[Site], Changing], commands: Commands, sites: Sites
) -> None:
    site = server(sites.add())
    crawl(commands, site.site)
    site.change("/3")
    assert again(commands) == {"changed": 1, "unchanged": 4}
    assert site.conditional() == {path: [False, False] for path in site.bodies}


def test_tags_that_change_while_the_page_does_not_are_renewed(commands: Commands, sites: Sites) -> None:
    versions = iter(range(1000))
    site = Changing(sites.add(), tag=lambda _: f'"{next(versions)}"')
    crawl(commands, site.site)
    assert again(commands) == {"unchanged": 5}
    assert again(commands) == {"unchanged": 5}
    sent = [seen.headers.get("if-none-match") for seen in site.site.seen if seen.path == "/4"]
    assert sent[0] is None and len({*sent}) == 3


def test_a_304_that_nobody_asked_for_is_requested_past_all_caches(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html(["/stubborn", "/cached"]))
    site.pages["/stubborn"] = lambda call: call.send(head(304))

    def cached(call: Call) -> None:
        call.answer(html()) if call.seen.headers.get("cache-control") == "no-cache" else call.send(head(304))

    site.pages["/cached"] = cached
    done = commands.run("run", site.url("/"), *OPTIONS, "-o", "-")
    assert done.code == 0, done.err
    records = by_url(done.records())
    stubborn = records[site.url("/stubborn")]
    assert (stubborn["outcome"], stubborn["status"]) == ("failed:http", 304)
    assert "304 Not Modified" in stubborn["error"]
    assert records[site.url("/cached")]["status"] == 200
    assert site.asked() == {"/": 1, "/stubborn": 2, "/cached": 2, ROBOTS: 1}


def test_a_sitemap_and_robots_txt_are_asked_with_conditions(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.robots = b"Sitemap: /map.xml\n"
    page = site.serve("/page", html())
    site.serve("/", html())
    urls = f"<urlset><url><loc>{page}</loc></url></urlset>".encode()

    def sitemap(call: Call) -> None:
        fields = [("ETag", '"map"'), ("Content-Type", "application/xml")]
        known = call.seen.headers.get("if-none-match") == '"map"'
        call.send(head(304, fields)) if known else call.answer(urls, headers=fields)

    site.pages["/map.xml"] = sitemap
    crawl(commands, site)
    assert again(commands) == {"unchanged": 2}
    asked = [seen.headers.get("if-none-match") for seen in site.seen if seen.path == "/map.xml"]
    assert asked == [None, '"map"']
    assert site.asked()[ROBOTS] == 1
