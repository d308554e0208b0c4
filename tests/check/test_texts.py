"""What a reader sees at a place: from stored links, else from reading the page again, politely and not for ever."""

from __future__ import annotations

import time
import zlib
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest

from crawler.check import texts
from crawler.check.drafts import Draft
from crawler.check.report import ReportOptions, _Report
from crawler.check.texts import Read, Texts
from crawler.crawl import read_again
from crawler.crawl.read_again import NamedAgain, PagesAgain
from crawler.frontier.keys import CONTENT_FIELDS
from crawler.record import Link as StoredLink
from crawler.settings import Settings
from tests.check.crawled import NOW, SITE, Crawled, Link, Page
from tests.servers import Server, page, silence

WITH_TEXTS = ReportOptions(now=NOW)


@pytest.fixture
def one(redis_url: str) -> Iterator[Crawled]:
    """A crawl in one shard without delay."""
    made = Crawled(redis_url, delay=0.0)
    yield made
    made.link.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A site."""
    with Server() as running:
        yield running


def shown(crawled: Crawled, options: ReportOptions = WITH_TEXTS) -> dict[tuple[str, int | None], str | None]:
    """The text of each place, by target and line."""
    return {(one.target, at.line): at.text for one in crawled.findings(options) for at in one.pages}


def root(crawled: Crawled, server: Server) -> None:
    """The server's host is a root of the crawl, as that of a seed is."""
    for shard in crawled.frontier.shards:
        shard.read(("SADD", shard.keys.roots, server.authority))


def broken_page(crawled: Crawled, url: str, target: str, line: int) -> None:
    """A page with a broken link."""
    crawled.page(url, Page([Link(target, line)]))
    crawled.state(target, "missing", 404)


def store_links(crawled: Crawled, url: str, *links: StoredLink) -> None:
    """The links of a page as `--store links` keeps them."""
    shard, url_id = crawled.frontier.shards[0], crawled.id(url)
    packed = zlib.compress(msgspec.json.encode(list(links)))
    shard.read(("HSET", shard.keys.page(url_id), CONTENT_FIELDS["links"], packed))


def learned(crawled: Crawled, read: Read | None) -> tuple[list[Draft], Texts]:
    """The findings in the making, and their texts by *read*."""
    report = _Report(crawled.frontier, WITH_TEXTS)
    drafts, found = report._drafts(), Texts(crawled.frontier, read)
    found.learn(drafts, report._urls)
    return drafts, found


# -- stored ------------------------------------------------------------------------------------------------------------


def test_stored_links_show_their_texts_and_nothing_is_asked_for(one: Crawled, server: Server) -> None:
    url, gone = server.url("/"), server.url("/gone")
    root(one, server)
    one.page(url, Page([Link(gone, 3), Link(gone, 5), Link(gone, 7)]))
    one.state(gone, "missing", 404)
    links = [StoredLink(url=gone, text=f"the text in {n}", line=n) for n in (3, 4)]
    store_links(one, url, *links, StoredLink(url=url, text="another link", line=5), StoredLink(url=gone, line=7))
    assert shown(one) == {(gone, 3): "the text in 3", (gone, 5): None, (gone, 7): None}
    assert server.paths() == []


@pytest.mark.parametrize("raw", [b"", b"damaged", zlib.compress(b"[1, 2]"), zlib.compress(b"[" * 100_000)])
def test_stored_links_that_cannot_be_read_count_as_absent(one: Crawled, raw: bytes) -> None:
    broken_page(one, f"{SITE}/", f"{SITE}/gone", 3)
    shard = one.frontier.shards[0]
    shard.read(("HSET", shard.keys.page(one.id(f"{SITE}/")), CONTENT_FIELDS["links"], raw))
    (draft,), found = learned(one, None)
    assert found.of(*next(draft.all_places()), draft) is None


# -- read again --------------------------------------------------------------------------------------------------------


def test_a_page_is_read_again_where_its_links_are_not_stored(one: Crawled, server: Server) -> None:
    root(one, server)
    server.on("/", page(b'<p>\n<a href="/gone">our\n history</a>\n<a href="/gone"><img alt="logo"></a>'))
    broken_page(one, server.url("/"), server.url("/gone"), 2)
    one.page(server.url("/"), Page([Link(server.url("/gone"), 2), Link(server.url("/gone"), 4)]))
    assert shown(one) == {(server.url("/gone"), 2): "our history", (server.url("/gone"), 4): "logo"}
    assert server.paths() == ["/robots.txt", "/"]


def test_pages_that_robots_txt_disallows_that_moved_or_failed_are_without_text(one: Crawled, server: Server) -> None:
    root(one, server)
    server.on("/robots.txt", page(b"User-agent: *\nDisallow: /private"))
    server.on("/moved", page(b"", 302, [("Location", "/elsewhere")]))
    for path in ("/private", "/moved", "/missing"):
        broken_page(one, server.url(path), server.url("/gone"), 1)
    assert set(shown(one).values()) == {None}
    assert sorted(server.paths()) == ["/missing", "/moved", "/robots.txt"]


def test_nothing_is_asked_for_where_nothing_is_wrong_or_texts_are_not_wanted(one: Crawled, server: Server) -> None:
    root(one, server)
    one.page(server.url("/"), Page([Link(server.url("/"))], noindex=True))
    assert shown(one) == {}
    broken_page(one, server.url("/"), server.url("/gone"), 1)
    assert shown(one, replace(WITH_TEXTS, texts=False)) == {(server.url("/gone"), 1): None}
    assert server.paths() == []


def test_a_host_that_is_away_costs_two_requests(one: Crawled, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_again, "TIMEOUT", 0.2)
    root(one, server)
    server.otherwise = silence
    for n in range(6):
        broken_page(one, server.url(f"/{n}"), server.url("/gone"), 1)
    assert set(shown(one).values()) == {None}
    assert len(server.seen) <= 4


def test_requests_keep_the_delay_of_the_host(redis_url: str, server: Server) -> None:
    crawled = Crawled(redis_url, delay=0.3)
    root(crawled, server)
    server.otherwise = page(b'<a href="/gone">text</a>')
    for n in range(3):
        broken_page(crawled, server.url(f"/{n}"), server.url("/gone"), 1)
    assert set(shown(crawled).values()) == {"text"}
    times = [seen.time for seen in server.seen if seen.path != "/robots.txt"]
    assert min(after - before for before, after in pairwise(times)) >= 0.28
    crawled.link.close()


def test_no_more_pages_and_seconds_than_a_report_may_cost(
    one: Crawled, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    root(one, server)
    server.otherwise = page(b'<a href="/gone">text</a>')
    for n in range(5):
        broken_page(one, server.url(f"/{n}"), server.url("/gone"), 1)
    monkeypatch.setattr(texts, "MAX_PAGES", 3)
    assert list(shown_at(one).values()).count("text") == 3
    monkeypatch.setattr(texts, "MAX_OF_FINDING", 2)
    assert list(shown_at(one).values()).count("text") == 2
    monkeypatch.setattr(texts, "MAX_SECONDS", 0.0)
    assert list(shown_at(one).values()).count("text") == 0


def shown_at(crawled: Crawled) -> dict[str, str | None]:
    """The text of each place, by its page."""
    return {at.url: at.text for one in crawled.findings(WITH_TEXTS) for at in one.pages}


def test_headers_of_the_command_go_only_to_the_origins_that_it_names(one: Crawled, server: Server) -> None:
    root(one, server)
    server.otherwise = page(b'<a href="/gone">text</a>')
    settings = Settings(delay=0.0, header=("Cookie: secret",))
    for origins in ((), (server.url("").rstrip("/"),)):
        with_header = PagesAgain(one.frontier, settings, origins)
        assert with_header.read(server.url("/x"), [1], time.monotonic() + 20)
        with_header.close()
    assert [seen.headers.get("cookie") for seen in server.seen if seen.path == "/x"] == [None, "secret"]


# -- names of fragments ------------------------------------------------------------------------------------------------


def test_the_name_of_a_broken_fragment_is_read_from_a_page_that_asks_for_it(one: Crawled) -> None:
    one.start(Link(f"{SITE}/b", 3, fragment="töp"), Link(f"{SITE}/b", 4, fragment="other"))
    one.page(f"{SITE}/b", Page(names=["there"]))
    asked: list[str] = []

    def read(url: str, lines: Collection[int], until: float) -> list[NamedAgain]:
        asked.append(url)
        return [NamedAgain(3, f"{SITE}/b", "töp", "to the top"), NamedAgain(4, f"{SITE}/c", "other", "no")]

    drafts, found = learned(one, read)
    assert asked == [f"{SITE}/"]
    shown = {draft.shown: found.of(*next(draft.all_places()), draft) for draft in drafts}
    assert shown.pop(f"{SITE}/b#töp") == "to the top"
    ((unknown, text),) = shown.items()
    assert unknown.startswith(f"{SITE}/b#?")
    assert text is None


def test_a_link_of_a_template_is_looked_up_on_some_pages_only(one: Crawled) -> None:
    """Where all show the same text, the rest of the pages is not read; where one differs, all are."""
    same, other = f"{SITE}/same", f"{SITE}/other"
    for number in range(2 * texts.SAME):
        one.page(f"{SITE}/{number}", Page([Link(same, 3)]))
        one.page(f"{SITE}/x{number}", Page([Link(other, 3)]))
    for target in (same, other):
        one.state(target, "missing", 404)
    asked: list[str] = []

    def read(url: str, lines: Collection[int], until: float) -> list[NamedAgain]:
        asked.append(url)
        if "/x" in url:
            return [NamedAgain(3, other, None, url)]
        return [NamedAgain(3, same, None, "the same")]

    drafts, found = learned(one, read)
    assert sum("/x" in url for url in asked) == 2 * texts.SAME
    assert sum("/x" not in url for url in asked) == texts.SAME
    draft = next(draft for draft in drafts if draft.target == same)
    shown_texts = [found.of(page, line, draft) for page, line in draft.all_places()]
    assert shown_texts.count("the same") == texts.SAME
