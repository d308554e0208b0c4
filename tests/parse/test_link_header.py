"""The Link header, by the grammar and the rules of RFC 8288."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.parse.link_header import MAX_LINKS, parse


@pytest.mark.parametrize(
    ("value", "links"),
    [
        ('</a>; rel="next"', [("/a", "next")]),
        ("</a>;rel=next", [("/a", "next")]),
        ("<a> ; REL = next ; title=x", [("a", "next")]),
        ('</a>; rel="next prev", </b>; rel=canonical', [("/a", "next prev"), ("/b", "canonical")]),
        ('</a,b;c>; title="x, y; <z>"; rel=next,</c>;rel=prev', [("/a,b;c", "next"), ("/c", "prev")]),
        ('</a>; title="a \\" b"; rel=next', [("/a", "next")]),
        ("</a>; rel=next; rel=prev", [("/a", "next")]),
        (", ,</a>;;rel=next,,", [("/a", "next")]),
        ("</a>; rel=next junk, </b>; rel=prev", [("/a", "next junk"), ("/b", "prev")]),
        ("</a> junk; rel=next, </b>; rel=prev", [("/a", None), ("/b", "prev")]),
        ('</a>; rel="next', [("/a", "next")]),
        ("</a>; rel=next; anchor=/other, </b>; rel=prev", [("/b", "prev")]),
        ("</a>; preload; rel=next", [("/a", "next")]),
        ("< /a >; rel=next", [("/a", "next")]),
        ("<>; rel=next", [("", "next")]),
        ("/a; rel=next", []),
        ("</a; rel=next", []),
        ("", []),
    ],
)
def test_links_of_a_header(value: str, links: list[tuple[str, str | None]]) -> None:
    assert [(link["href"], link.get("rel")) for link in parse(value)] == links


@pytest.mark.parametrize(
    "piece", ["<", ">", "<a>", "<a>;", ";", ",", '"', '\\"', ";a=", " ", "\t;", '<a>;b="c', "<a>;b,"]
)
def test_a_header_of_any_length_costs_little(piece: str) -> None:
    started = time.process_time()
    assert len(parse("<a>;rel=" + piece * 80_000)) <= MAX_LINKS
    parse(piece * 80_000)
    assert time.process_time() - started < 2


@given(st.text(alphabet='<>;,="\\ ar', max_size=60))
def test_any_header_is_some_links(value: str) -> None:
    assert all(isinstance(link["href"], str) and ">" not in link["href"] for link in parse(value))


def test_a_hundred_links_are_read() -> None:
    assert len(parse("</a>; rel=next," * 1000)) == MAX_LINKS
