"""Pages that would take a parser minutes are made flat; all others come out byte by byte as they were."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.skim import pages
from crawler.fetch.fetcher import Headers, Response
from crawler.parse import bounds
from crawler.parse.bounds import MAX_DEPTH, bounded
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.parse.page import Node, Page, parse
from crawler.parse.shapes import is_costly

LINK = b"<a href=/x>before</a>"
END = b"<a href=/y>behind</a>"


def numbered(piece: str, times: int) -> bytes:
    return "".join(piece.replace("N", str(n)) for n in range(times)).encode()


SHAPES: dict[str, bytes] = {
    "div": b"<div>" * 45_000,
    "divs that are closed": b"<div>" * 45_000 + b"</div>" * 45_000,
    "list items": b"<ul><li>" * 100_000,
    "definitions": b"<dl><dd>" * 20_000,
    "details": b"<details><summary>" * 20_000,
    "preformatted": b"<pre>" * 20_000,
    "quotes with text": b"<blockquote>x" * 20_000,
    "end tags of p in spans": b"<span>" * 30_000 + b"</p>" * 30_000,
    "end tags that end nothing": b"<div></x>" * 30_000,
    "blocks in formatting": b"<b><div>" * 20_000,
    "formatting that differs": numbered("<font size=N>", 20_000),
    "formatting in paragraphs": numbered("<p><font size=N>x", 2_000),
    "links in links": b"<a><div>" * 10_000 + b"</a>" * 10_000,
    "tables": b"<table><tr><td>" * 20_000,
    "objects": b"<object>" * 20_000,
    "svg": b"<svg><g>" * 20_000,
    "a drawing in an attribute": b"<p title='<svg>'>" + b"<path/>" * 30_000 + b"</svg>",
    "a drawing in a comment": b"<!--<svg>-->" + b"<path/>" * 30_000 + b"</svg>",
    "a drawing in a script": b"<svg></svg><script>'<svg>'</script>" + b"<path/>" * 30_000 + b"</svg>",
    "a drawing in a title": b"<title><svg></title>" + b"<path/>" * 30_000 + b"</svg>",
    "a drawing that ended": b"<text><svg></text>" + b"<path/>" * 30_000 + b"</svg>",
    "a drawing that text ended": b"<svg><p></p>" + b"<path/>" * 30_000 + b"</svg>",
    "shapes whose slashes are values": b"<svg>" + b"<path d=a/>" * 30_000 + b"</svg>",
    "shapes whose slashes are values with quotes": b"<svg>" + b"<path d=a'/>" * 30_000 + b"</svg>",
    "names of attributes in a drawing": b"<svg>" + numbered("<path aN='1'/>", 30_000) + b"</svg>",
    "a drawing that a block ended": b"<div><svg></div>" + b"<path/>" * 30_000,
    "paragraphs in drawings": b"<p><svg><foreignObject>" * 10_000,
    "html in svg": b"<svg><foreignObject><div>" * 20_000,
    "attributes": b"<p " + numbered(" aN=1", 100_000) + b">",
    "attributes without values": b"<p " + numbered(" aN", 100_000) + b">",
    "attributes with signs": b"<p " + numbered(" aN='<p>\">'", 50_000) + b">",
    "attributes without spaces": b"<p " + numbered('aN="x"', 50_000) + b">",
    "attributes of a script": b"<script" + numbered(" aN", 20_000) + b"></script>",
    "attributes behind what looks like a script": b"<p title='<script>'><p" + numbered(" aN", 20_000) + b">",
    "attributes behind a script in a comment": b"<!--<script>--><p" + numbered(" aN", 20_000) + b">",
    "attributes behind a script in a drawing": b"<svg><script></svg><p" + numbered(" aN", 20_000) + b">",
    "attributes behind CDATA of a drawing": b"<svg><![CDATA[><!--]]><p" + numbered(" aN", 20_000) + b">",
    "attributes of html": numbered("<html aN=1>", 30_000),
    "attributes of body": numbered("<body aN>", 30_000),
    "names of attributes": numbered("<p aN=1></p>", 100_000),
    "names of elements": numbered("<xN></xN>", 100_000),
    "comments behind the body": b"</body></html>" + b"<!--x-->\n" * 100_000,
    "options in options": b"<select><optgroup><option>" * 40_000,
    "selects in options": b"<select><div><option>" * 20_000,
    "upper case": b"<DIV>" * 45_000,
}


def _read(body: bytes, want_text: bool = True) -> Page:
    headers = Headers([("content-type", "text/html; charset=utf-8")])
    return Extractor(ExtractOptions(want=frozenset({"text"} if want_text else ()), agent="a")).extract(
        Response("http://h.example/", 200, headers, body)
    )


def _depth(tree_of: bytes) -> int:
    """The depth of the last element that is open at the end of a document."""
    node: Node | None = parse(tree_of).root
    depth = 0
    while node is not None:
        node, depth = node.last_child, depth + 1
    return depth


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_that_takes_long_is_made_flat(shape: str) -> None:
    """What is left of it is so much: depth, attributes and names are what takes more than linear time."""
    flat, changed = bounded(LINK + SHAPES[shape] + END)
    assert changed
    assert _depth(flat) < 2 * MAX_DEPTH
    tree = parse(flat)
    assert tree.root is not None
    names = {name for node in tree.root.traverse() for name in (node.tag or "", *node.attributes)}
    assert len(names) < 2 * bounds._MAX_NAMES + 100
    assert max(len(node.attributes) for node in tree.css("*")) <= 1_000
    assert sum(1 for _ in tree.root.traverse()) < 4 * SHAPES[shape].count(b"<") + 300_000


@pytest.mark.parametrize(
    "shape", ["div", "list items", "formatting in paragraphs", "end tags that end nothing", "tables"]
)
def test_text_and_links_of_a_page_that_was_made_flat_are_kept(shape: str) -> None:
    page = _read(b"<title>t</title>" + LINK + SHAPES[shape] + b"<p>within " + END)
    assert page.is_flat
    assert (page.title, page.outlinks) == ("t", ["http://h.example/x", "http://h.example/y"])
    lines = (page.text or "").split("\n")
    assert (lines[0], lines[-1]) == ("before", "within behind")


def test_blocks_that_were_made_flat_still_break_lines_and_links_below_are_followed() -> None:
    deep = b"".join(b"<div>%d <a href=/%d>x</a>" % (n, n) for n in range(9_000))
    page = _read(deep)
    assert page.is_flat
    assert page.outlinks == [f"http://h.example/{n}" for n in range(6_000)]
    assert page.refused == {"cap": 3_000}
    assert (page.text or "").split("\n")[8_000] == "8000 x"


ORDINARY: dict[str, Callable[[], bytes]] = {
    "300 levels": lambda: b"<div>x" * 300 + b"</div>" * 300 + b"<p>y" * 20_000,
    "selects": lambda: b"<select><option>x" * 20_000,
    "60,000 tags": lambda: b"<p>x <b>y</b> z<br><img src=a></p>" * 10_000,
    "items without end tags": lambda: b"<ul>" + b"<li>x<p>y" * 20_000 + b"</ul><dl>" + b"<dt>a<dd>b" * 9_000 + b"</dl>",
    "cells without end tags": lambda: b"<table>" + b"<tr><td>x<td><p>y" * 20_000 + b"</table>",
    "options": lambda: b"<select>" + b"<option>x" * 20_000 + b"</select>",
    "groups of options": lambda: b"<select>" + b"<optgroup label=a><option>x" * 9_000 + b"</select>",
    "anchors that are not closed": lambda: b"<p><a name=x>y" * 20_000,
    "2,000 attributes": lambda: numbered("<p id=N class=x data-y='>'>x</p>", 2_000),
    "an image in an attribute": lambda: b"<p>x<img src='data:image/png;base64," + b"iVBO/Rw0+Kg" * 20_000 + b"'>y",
    "a script": lambda: b"<script>" + b'{"a": "b c", "d": 1}, ' * 20_000 + b"</script><p>y",
    "a script with tags": lambda: b"<p>x</p>" * 99 + b"<script>" + b'["<p a=1 b=2>", "c"], ' * 20_000 + b"</script>",
    "a long text": lambda: b"<pre>" + b"Some words of a text, and \"more\" of 'it'.\n" * 20_000 + b"</pre>",
    "drawings": lambda: b"<svg><g><path d='M0 0'/><title>t</title></g></svg>" * 9_000,
    "shapes": lambda: b"<svg>" + b"<path _n=7 d='M0 0' style='fill: none' /><text x='1'>t</text>" * 9_000 + b"</svg>",
    "nested lists": lambda: (b"<ul><li>x" * 20 + b"</ul>" * 20) * 1_000,
    "paragraphs with formatting": lambda: b"<p><b>x<p>y" * 20_000,
    "comments": lambda: b"<p>x<!-- y -->z</p>" * 20_000,
}


@pytest.mark.parametrize("name", ORDINARY)
def test_a_page_that_is_ordinary_stays_as_it_is(name: str) -> None:
    html = ORDINARY[name]()
    assert bounded(html) == (html, False)
    assert bounds._flat(html) == (html, False)


@pytest.mark.parametrize("name", ["drawings", "shapes"])
def test_shapes_that_a_slash_closes_are_seen_as_closed(name: str) -> None:
    """So the page is not gone through tag by tag."""
    assert not is_costly(ORDINARY[name]())


def _installed() -> list[Path]:
    folders = ("/usr/share/doc/python3.11/html", "/usr/share/doc/postgresql-doc-15/html", sysconfig.get_path("purelib"))
    return [path for folder in folders for path in islice(pages(Path(folder)), 60)]


def test_real_pages_stay_as_they_are_even_if_all_their_tags_are_gone_through() -> None:
    changed = [str(path) for path in _installed() if bounds._flat(path.read_bytes())[1]]
    assert changed == []


PIECES = (
    "<div>|</div>|<p>|</p>|<b>|</b>|<a href=x>|</a>|<table>|<tr>|<td>|</table>|<ul>|<li>|</ul>|<svg>|</svg>|<math>|<mi>"
    "|<!--|-->|<script>|</script>|<title>|</title>|<select>|<option>|</select>|<template>|</template>|<br/>|<g/>|x"
    '|<button>|</button>|<foreignObject>|<h1>|</h2>|<font size=1>|</font>|<dl>|<dd>|"|\'|=|<|>|<a b="|<pre>'
    "|</pre>|<textarea>|</textarea>|<form>"
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES.split("|")), max_size=60).map("".join))
def test_any_small_document_goes_through_unchanged(html: str) -> None:
    raw = html.encode()
    assert bounds._flat(raw) == (raw, False)


PLAIN = [piece for piece in PIECES.split("|") if piece not in ("<b>", "<a href=x>", "<font size=1>", "<select>")]
"""Copies of formatting elements are bounded by themselves."""


@settings(max_examples=30, deadline=None)
@example("<div><div><svg><svg>")
@example("<div><tr>")
@given(st.lists(st.sampled_from(PLAIN), min_size=1, max_size=6).map("".join))
def test_no_pattern_that_repeats_gets_deep(pattern: str) -> None:
    flat, _ = bounds._flat(pattern.encode() * 2_000)
    assert _depth(flat) < 3 * MAX_DEPTH


def test_the_head_of_a_page_that_is_skimmed_is_bounded_too() -> None:
    html = b"<html><head><title>t</title>" + numbered("<html aN=1>", 30_000) + b"</head><body><a href=/x>x</a>"
    page = _read(html, want_text=False)
    assert (page.is_flat, page.title, page.outlinks) == (True, "t", ["http://h.example/x"])
