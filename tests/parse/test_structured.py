"""Structured data of pages: as authors write it, as the standards say, and as hostile pages have it."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.parse.microdata import microdata
from crawler.parse.page import Node, Tree, read
from crawler.parse.structured import MAX_JSONLD, Document, objects, read_json, structured_data

BASE = "http://a.example/shop/"


def data(html: str, base: str = BASE) -> dict[str, Any]:
    return structured_data(Document(read(html.encode("utf-8", "replace"))[0], base))


def script(text: str, kind: str = "application/ld+json") -> str:
    return f'<script type="{kind}">{text}</script>'


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        '{"a": 1,}',
        '{"a": 1};',
        '<!-- {"a": 1} -->',
        '<![CDATA[{"a": 1}]]>',
        '//<![CDATA[\n{"a": 1}\n//]]>',
        '/*<![CDATA[*/{"a": 1}/*]]>*/',
        '{"a": /* one */ 1} // end',
        "{&quot;a&quot;: 1}",
    ],
)
def test_json_ld_is_read_as_authors_write_it(text: str) -> None:
    assert data(script(text)) == {"jsonld": [{"a": 1}]}


def test_a_string_is_not_repaired() -> None:
    text = r'{"u": "http://x//y, ]/*z*/", "q": "a\"//", "n": "line' + "\n" + 'break", "l": [1, 2,],}'
    assert read_json(text) == {"u": "http://x//y, ]/*z*/", "q": 'a"//', "n": "line\nbreak", "l": [1, 2]}


def test_scripts_are_joined_and_those_that_cannot_be_read_are_counted() -> None:
    html = script('{"a": 1}') + script("{a: 1}") + script('[{"b": 2}, {"c": 3}]', "Application/LD+JSON; charset=utf-8")
    assert data(html + script("") + script('{"d": 4}', "application/json") + script("x", "text/ld+json")) == {
        "jsonld": [{"a": 1}, {"b": 2}, {"c": 3}],
        "jsonld_errors": 1,
    }


def test_what_json_cannot_hold_is_replaced() -> None:
    found = data(script(r'{"s": "\ud800 \u0000 \ud83d\ude00", "n": NaN, "i": -Infinity, "\udfff": 1}'))
    assert found == {"jsonld": [{"s": "\ufffd \ufffd 😀", "n": None, "i": None, "\ufffd": 1}]}
    msgspec.json.encode(found)


def test_objects_by_type() -> None:
    blocks = [
        {"@type": "WebPage", "mainEntity": {"@type": ["Thing", "https://schema.org/Product"], "name": "tea"}},
        {"@graph": [{"@type": "schema:Product", "name": "cup"}, {"@type": "Person"}]},
    ]
    assert [one["name"] for one in objects(blocks, "Product")] == ["tea", "cup"]
    assert [one.get("@type") for one in objects(blocks)] == ["WebPage", None, "schema:Product", "Person"]


def test_opengraph_has_lists_where_the_protocol_has_arrays() -> None:
    found = data(
        """<meta property="og:title" content=" Tea  pot "><meta property="og:url" content="/tea">
        <meta property="og:image" content="a.png"><meta property="og:image:width" content="300">
        <meta property="og:image" content="b.png"><meta property="og:image:alt" content="B">
        <meta property="og:image:url" content="b.png"><meta property="og:video:secure_url" content="//v.example/v">
        <meta name="og:type" content="product"><meta property="article:tag" content="x">
        <meta property="article:tag" content="y"><meta property="product:price:amount" content="3">
        <meta property="og:see_also" content="1"><meta property="og:see_also" content="2">
        <meta property="og:x" content="">
        <meta name="twitter:card" content="summary"><meta name="twitter:image" content="/t.png">"""
    )
    assert found == {
        "opengraph": {
            "title": "Tea pot",
            "url": "http://a.example/tea",
            "image": [
                {"url": "http://a.example/shop/a.png", "width": "300"},
                {"url": "http://a.example/shop/b.png", "alt": "B"},
            ],
            "video": [{"secure_url": "http://v.example/v"}],
            "type": "product",
            "article:tag": ["x", "y"],
            "product:price:amount": "3",
            "see_also": ["1", "2"],
        },
        "twitter": {"card": "summary", "image": "http://a.example/t.png"},
    }


def test_microdata_as_the_standard_writes_it() -> None:
    """The values of each element (HTML 5.2.4), URLs resolved, items within items."""
    found = data(
        """<div itemscope itemtype="https://schema.org/Product https://schema.org/Thing" itemid="urn:isbn:1">
        <h1 itemprop="name">Tea <b>pot</b></h1><meta itemprop="sku" content="S1">
        <a itemprop="url sameAs" href="tea">x</a>
        <img itemprop="image" src="/a.png"><object itemprop="o" data="d"></object>
        <data itemprop="d" value="7">seven</data>
        <meter itemprop="m" value="0.5">half</meter><time itemprop="t" datetime="2024-01-05">today</time>
        <time itemprop="t">2023</time><span itemprop="price" content="12.50">12,50 €</span><a itemprop="none">x</a>
        <div itemprop="offers" itemscope><b itemprop="seller">Ann</b>
        <span itemscope><i itemprop="p">q</i></span></div></div>"""
    )
    assert found["microdata"] == [
        {
            "type": ["https://schema.org/Product", "https://schema.org/Thing"],
            "id": "urn:isbn:1",
            "properties": {
                "name": ["Tea pot"],
                "sku": ["S1"],
                "url": ["http://a.example/shop/tea"],
                "sameAs": ["http://a.example/shop/tea"],
                "image": ["http://a.example/a.png"],
                "o": ["http://a.example/shop/d"],
                "d": ["7"],
                "m": ["0.5"],
                "t": ["2024-01-05", "2023"],
                "price": ["12.50"],
                "none": [""],
                "offers": [{"properties": {"seller": ["Ann"]}}],
            },
        },
        {"properties": {"p": ["q"]}},
    ]


def test_itemref_adds_parts_of_the_page_to_an_item() -> None:
    """The example of the standard (HTML 5.2.2), and a part that belongs to two items."""
    html = """<div itemscope id="amanda" itemref="a b"></div><p id="a">Name: <span itemprop="name">Amanda</span></p>
        <div id="b" itemprop="band" itemscope itemref="c"></div>
        <div id="c"><p>Band: <span itemprop="name">Jazz</span></p><p>Size: <span itemprop="size">12</span></p></div>
        <section itemscope><div id="d"><i itemprop="x">1</i></div></section><div itemscope itemref="d nothing"></div>"""
    band = {"properties": {"name": ["Jazz"], "size": ["12"]}}
    assert data(html)["microdata"] == [
        {"properties": {"name": ["Amanda"], "band": [band]}},
        {"properties": {"x": ["1"]}},
        {"properties": {"x": ["1"]}},
    ]


def test_an_item_that_contains_itself_ends() -> None:
    html = '<div itemscope itemref="a"></div><div id="a" itemprop="p" itemscope itemref="b"></div>'
    html += '<div id="b" itemprop="q" itemscope itemref="a"></div>'
    assert data(html)["microdata"] == [
        {"properties": {"p": [{"properties": {"q": [{"properties": {"p": ["ERROR"]}}]}}]}}
    ]


def _doubling(n: int) -> str:
    """Each item has the next one twice: written out they would be 2^n."""
    part = '<div itemscope id="{0}{1}" itemprop="p" itemref="i{2} j{2}"></div>'
    return "<div itemscope itemref=i0></div>" + "".join(part.format(x, i, i + 1) for i in range(n) for x in "ij")


# -- microdata against the algorithm of the standard, as it is written there -------------------------------------------


def crawled(tree: Tree, item: Node) -> list[Node]:
    """The elements with the properties of *item*, in the order of the document (HTML 5.2.5)."""
    by_id = {node.attributes["id"]: node for node in reversed(tree.css("[id]"))}
    pending = list(item.iter())
    names = (item.attributes.get("itemref") or "").split()
    pending += [by_id[name] for name in names if name in by_id]
    memory, results = {item.mem_id}, {}
    while pending:
        current = pending.pop()
        if current.mem_id in memory:
            continue
        memory.add(current.mem_id)
        if "itemscope" not in current.attributes:
            pending += list(current.iter())
        if current.attributes.get("itemprop"):
            results[current.mem_id] = current
    return [node for node in tree.css("[itemprop]") if node.mem_id in results]


def written(tree: Tree, item: Node, path: tuple[int, ...]) -> dict[str, Any]:
    """An item as the standard writes it as JSON (HTML 5.5.1)."""
    properties: dict[str, list[Any]] = {}
    for node in crawled(tree, item):
        value: Any = " ".join((node.text() or "").split())
        if "itemscope" in node.attributes:
            value = "ERROR" if node.mem_id in path else written(tree, node, (*path, node.mem_id))
        properties.setdefault(str(node.attributes["itemprop"]), []).append(value)
    return {"properties": properties}


PARTS = st.lists(
    st.sampled_from(
        [
            *(
                "<div>",
                "</div>",
                "</div>",
                "<p>text",
                "<div itemscope>",
                "<div itemscope itemprop=a>",
                "<b itemprop=b>x</b>",
            ),
            *(
                "<div id=i>",
                "<div id=j itemprop=c>",
                "<div id=k itemscope itemprop=d>",
                "<div itemscope itemref='i j'>",
            ),
            *("<div itemscope itemprop=e itemref=k></div>", "<div itemscope itemref='k j nothing'></div>"),
        ]
    ),
    max_size=14,
)


@given(PARTS)
def test_microdata_is_what_the_algorithm_of_the_standard_finds(parts: list[str]) -> None:
    tree = read("".join(parts).encode())[0]
    items = tree.css("[itemscope]")
    owned = {node.mem_id for item in items for node in crawled(tree, item)}
    tops = [node for node in items if node.mem_id not in owned]  # the standard also leaves out properties of no item
    assert microdata(tree, BASE) == [written(tree, top, (top.mem_id,)) for top in tops]


HOSTILE = {
    "deep": script("[" * 200_000),
    "deep objects": script('{"a":' * 900 + "1" + "}" * 900),
    "open comments": script("/*" * 200_000),
    "escaped quotes": script('"\\' * 200_000),
    "commas": script(", " * 200_000),
    "semicolons": script("; " * 200_000 + "x"),
    "a number": script("1" * 200_000),
    "scripts": script("{}") * 20_000,
    "metas": '<meta property="og:image" content="x">' * 50_000,
    "items": "<div itemscope><p itemprop=a>x</p></div>" * 30_000,
    "nested": "<div itemscope><div itemprop=a>" * 200 + "x" * 500_000,
    "references": "<div id=x>" + "<p itemprop=a>y" * 2_000 + "</div>" + "<div itemscope itemref=x></div>" * 2_000,
    "doubling": _doubling(60),
}


@pytest.mark.parametrize("html", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_pages_cost_little_time_and_space(html: str) -> None:
    tree = read(html.encode())[0]
    began = time.process_time()
    found = structured_data(Document(tree, BASE))
    assert time.process_time() - began < 3
    encoded = msgspec.json.encode(found)
    assert len(encoded) < 3 * MAX_JSONLD
    assert json.loads(encoded) == found


@given(st.text())
def test_any_script_gives_json_or_is_counted(text: str) -> None:
    document = Document(read(script(text).encode("utf-8", "replace"))[0], BASE)
    assert msgspec.json.decode(msgspec.json.encode(document.jsonld)) == document.jsonld


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_that_is_right_comes_back_as_it_is(value: Any) -> None:
    text = json.dumps(value)
    assert read_json(text) == json.loads(text.replace("\\u0000", "\\ufffd"))
