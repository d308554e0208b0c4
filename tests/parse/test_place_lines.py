"""Each place is in the line in which its tag begins, or its `url()`, whatever the source looks like."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.parse.numbered_page import NumberedPage
from crawler.parse.page_places import find_places
from tests.parse.place_pages import ALL, again, lines, page_of, places_of


@pytest.mark.parametrize(
    ("html", "wanted"),
    [
        ("\n<a\n class=x\n href='/x'>", 2),
        ("<p>\r\n<p>\r\n<a href=/x>", 3),
        ("<p>\r<a href=/x>", 2),
        ("<p>\r\r\n<p>\r<a href=/x>", 2),
        ("<!-- <a href=/x>\n-->\n<a href=/x>", 3),
        ("<script>'<a href=/x>\n'</script>\n<a href=/x>", 3),
        ("<p title='<a href=/x>\n'><a href=/x>", 2),
        ("<textarea>\n<a href=/x></textarea>\n<a href=/x>", 3),
        ("<title>\n<a href=/x></title>\n<a href=/x>", 3),
        ("<p a=1 <a href=/y>\n<a href=/x>", 2),
        ("<p a=<a\n>\n<A HREF=/x>", 3),
        ("\n<a/href=/x>", 2),
        ("\n<a _n=7 href=/x>", 2),
        ("\n<a href='&#x2f;x'>", 2),
        ("\n<a href='/\nx'>", 2),
        ("<table>\n<tr><a href=/x>misplaced</a><td></table>", 2),
        ("<!DOCTYPE html [\n<a href=/no>\n<a href=/x>", 3),
        ("\ufeff\n<a href=/x>", 2),
        ("<style>\n\n a { background: url(/x) }</style>", 3),
        ("<style\n media='>'\n>a {\n background: url(/x) }</style>", 4),
        ("<p\n style='\n background: url(/x)'>", 1),
        ("\n<img alt='' srcset='\n/x 2x'>", 2),
        ("<iframe srcdoc='\n<a href=/x>'></iframe>", 2),
        ("\n<iframe srcdoc='\n&lt;a href=/x>'></iframe>", 2),
        ("<!--[if IE]>\n<link rel=stylesheet href=/x><![endif]-->", 2),
        ("<svg>\n<a xlink:href=/x>", 2),
        ("<noscript>\n<a href=/x></noscript>", 2),
        ("<div><template shadowrootmode=open>\n<a href=/x></template></div>", 2),
    ],
)
def test_a_line_is_that_of_the_tag(html: str, wanted: int) -> None:
    assert lines(html) == [("/x", wanted)]


def test_a_link_that_a_parser_splits_is_one_place() -> None:
    assert lines("<a href=/x><p>1<p>2</a>\n<a href=/x><table><a href=/y>") == [("/x", 1), ("/x", 2), ("/y", 2)]


def test_each_mention_is_a_place() -> None:
    assert lines("<a href=/x></a>\n<a href=/x></a><a href=/x></a>") == [("/x", 1), ("/x", 2), ("/x", 2)]


def test_text_in_another_encoding_keeps_its_lines() -> None:
    html = "<p>\n<a href=/x>\u0a0a</a>\n<a href=/y>"
    assert lines(html.encode("utf-16"), kind="text/html") == [("/x", 2), ("/y", 3)]


NOISE = st.sampled_from(
    [
        "\n",
        "\r\n",
        "<p class='a\nb'>",
        "<!-- <a href=/no>\n -->",
        "<script>\n'<a href=/no>'</script>",
        "<style>/* url(no)\n */</style>",
        "text & <b>bold</b>",
        "<p title='<img src=/no>'>",
        "<textarea>\n<a href=/no></textarea>",
        "<template>\n<a href=/no></template>",
    ]
)
PLACE = st.sampled_from(
    [
        '<a class="x" href="{}">x</a>',
        "<A\n HREF={}\n>x</A>",
        '<img alt="" src="{}">',
        "<img alt='>' srcset='{} 2x'>",
        "<link rel=stylesheet href={}>",
        "<p style=\"background:url('{}')\">",
        "<style>a{{b:url({})}}</style>",
        "<svg><image xlink:href='{}'/></svg>",
        "<iframe src='{}'></iframe>",
        "<video src={}></video>",
    ]
)


@settings(deadline=None)
@given(st.lists(st.tuples(NOISE, PLACE), max_size=20))
def test_places_of_a_generated_page(parts: list[tuple[str, str]]) -> None:
    html, wanted = "<!DOCTYPE html><title>t</title><body>", []
    for number, (noise, place) in enumerate(parts):
        html += noise
        wanted.append((f"/{number}", html.count("\n") + 1))
        html += place.format(f"/{number}")
    assert lines(html) == wanted


@settings(deadline=None)
@given(st.lists(st.tuples(NOISE, PLACE), max_size=20), st.sampled_from(["", "<base href=/other/>"]), st.data())
def test_some_lines_of_a_page_have_what_they_have_in_the_whole(
    parts: list[tuple[str, str]], base: str, data: st.DataObject
) -> None:
    html = f"<!DOCTYPE html>{base}<title>t</title><body>"
    html += "".join(noise + place.format(f"{number}") for number, (noise, place) in enumerate(parts))
    some = data.draw(st.sets(st.integers(1, html.count("\n") + 2)))
    page = page_of(html)
    whole = [place for place in again(page).places if place.line in some]
    found = find_places(page, ALL, numbered=NumberedPage(page, some)).places
    assert [place for place in found if place.line in some] == whole


@settings(deadline=None)
@given(st.text(alphabet="<>a/ =\"'!-\nhrefimgsc;&?", max_size=80), st.integers(0, 3))
def test_any_source_is_read(noise: str, breaks: int) -> None:
    found = places_of(noise + "\n" * breaks)
    assert all(1 <= place.line <= noise.count("\n") + 1 for place in found.places)
