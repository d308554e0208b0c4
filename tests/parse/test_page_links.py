"""The links of a page as a record lists them: where they lead, their text, their rel, their line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.fetch.fetcher import Headers, Response
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.record import Link

URL = "http://h.example/dir/page"


def links(html: str, *headers: tuple[str, str]) -> list[Link]:
    options = ExtractOptions(want=frozenset({"links"}), agent="ourbot")
    fields = Headers([("Content-Type", "text/html; charset=utf-8"), *headers])
    return Extractor(options).extract(Response(URL, 200, fields, html.encode())).links


def lines(html: str) -> list[tuple[str, int | None]]:
    return [(link.url.removeprefix("http://h.example"), link.line) for link in links(html)]


def test_a_link_has_its_text_its_rel_and_its_line() -> None:
    html = "<html>\n<body>\n<p>x\n<a\n rel='NoFollow  ugc' href='/a?b=1&amp;c=2#d'>To <b>the</b>\n place</a>"
    assert links(html) == [Link(url="http://h.example/a?b=1&c=2", text="To the place", rel="nofollow ugc", line=4)]


def test_each_occurrence_is_listed_in_its_order() -> None:
    assert lines("<a href=/a>1</a>\n<a href=/b>2</a>\n\n<a href=/a>3</a>") == [("/a", 1), ("/b", 2), ("/a", 4)]


def test_an_image_has_its_alternative_text() -> None:
    html = "<a href=/a><img src=x alt=' A cat '></a><map><area href=/b alt='The north'></map><a href=/c> </a>"
    assert [link.text for link in links(html)] == ["A cat", "The north", None]


def test_what_only_looks_like_a_link_shifts_no_line() -> None:
    html = """<!-- <a href=/a> -->
<script>document.write("<a href=/a>")</script>
<style>/* <a href=/a> */</style>
<a title="<a href=/a>" href=/b>b</a>
<a href=/a>a</a>"""
    assert lines(html) == [("/b", 4), ("/a", 5)]


def test_other_links_of_a_page() -> None:
    html = """<head><link rel=next href=/next>
<meta http-equiv=refresh content="5; url=/there"></head>
<iframe src=/frame></iframe>"""
    found = links(html, ("Link", "</prev>; rel=prev"))
    assert [(link.url.removeprefix("http://h.example"), link.rel, link.line) for link in found] == [
        ("/prev", "prev", None),
        ("/next", "next", 1),
        ("/there", "refresh", 2),
        ("/frame", None, 3),
    ]


def test_what_is_no_page_of_the_web_is_not_listed() -> None:
    assert links("<a href=mailto:a@b.example>m</a><a href='#top'>t</a><a href='javascript:x()'>j</a>") == []


@pytest.mark.parametrize("directive", ["nofollow", "noindex"])
def test_a_page_that_asks_not_to_be_stored_has_no_links(directive: str) -> None:
    found = links(f"<meta name=robots content={directive}><a href=/a>x</a>")
    assert len(found) == (0 if directive == "noindex" else 1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=30))
def test_lines_are_those_of_the_source(parts: list[tuple[str, int]]) -> None:
    html, wanted = "", []
    for name, breaks in parts:
        html += "\n" * breaks
        wanted.append((f"/{name}", html.count("\n") + 1))
        html += f'<a class="x" href="/{name}">{name}</a>'
    assert lines(html) == wanted
