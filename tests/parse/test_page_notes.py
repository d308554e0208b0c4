"""What is wrong with a page by itself, and what only looks like it."""

from __future__ import annotations

import pytest

from tests.parse.place_pages import WHOLE, notes

SECURE = "https://h.example/dir/page"


def codes(body: str | bytes, *headers: tuple[str, str]) -> list[tuple[str, int]]:
    return [(code, line) for code, line, _ in notes(body, *headers)]


def test_a_whole_page_has_no_notes() -> None:
    assert notes(WHOLE) == []


@pytest.mark.parametrize(
    ("html", "code"),
    [
        ("<meta name=description content=d><h1>h</h1>", "title-missing"),
        ("<title> </title><meta name=description content=d><h1>h</h1>", "title-missing"),
        ("<svg><title>t</title></svg><meta name=description content=d><h1>h</h1>", "title-missing"),
        ("<title>t</title><h1>h</h1>", "description-missing"),
        ("<title>t</title><meta name=description content=' '><h1>h</h1>", "description-missing"),
        ("<title>t</title><meta name=description content=d><p>h", "h1-missing"),
        ("<title>t</title><meta name=description content=d><p>h<h1> </h1>", "h1-missing"),
        ("<title>t</title><meta name=description content=d><img src=a alt=b>", "h1-missing"),
    ],
)
def test_what_is_missing(html: str, code: str) -> None:
    assert codes(html) == [(code, 0)]


@pytest.mark.parametrize(
    "html",
    [
        "<meta http-equiv=refresh content='0; url=/x'><p>moved",
        "<frameset><frame src=a></frameset>",
        "<frameset><frame src=a><noframes>no frames</noframes></frameset>",
        "<div id=app></div><script>run()</script><noscript>Needs scripts</noscript>",
        "<html></html>",
    ],
)
def test_a_page_without_content_misses_nothing(html: str) -> None:
    assert codes(html) == []


@pytest.mark.parametrize("heading", ["<h1><img src=a alt='Name'></h1>", "<p role=heading aria-level=1>Name"])
def test_other_headings(heading: str) -> None:
    assert codes(WHOLE.replace("<h1>h</h1>", heading)) == []


def test_the_second_heading_is_noted() -> None:
    assert notes(f"{WHOLE}\n<template><h1>t</h1></template><h1 hidden>x</h1>\n<h1>two</h1>\n<h1>three</h1>") == [
        ("h1-multiple", 3, "two")
    ]


@pytest.mark.parametrize(
    "image",
    [
        "<img src=x>",
        "<a href=y>text<img src=x></a>",
        "<figure><img src=x><figcaption>c</figcaption></figure>",
        "<img src=x title=''>",
        "<img data-src=x>",
        "<picture><source srcset=y><img src=x></picture>",
        "<img src=x width=100 height=1>",
        "<input type=image src=x>",
        "<map><area href=x></map>",
        "<p role=presentation><img src=x></p>",
    ],
)
def test_an_image_without_text(image: str) -> None:
    assert notes(f"{WHOLE}\n{image}") == [("alt-missing", 2, "http://h.example/dir/x")]


@pytest.mark.parametrize(
    "image",
    [
        "<img src=x alt>",
        "<img src=x alt=''>",
        "<img src=x role=presentation>",
        "<img src=x role=none>",
        "<img src=x aria-hidden=true>",
        "<p aria-hidden=true><b><img src=x></b></p>",
        "<p hidden><img src=x></p>",
        "<img src=x aria-label=l>",
        "<img src=x aria-labelledby=l>",
        "<img src=x title=t>",
        "<img src=x width=1 height=1>",
        "<img src=x width=0 height=1px>",
        "<img src=x style='display: none'>",
        "<noscript><img src=x height=1 width=1 style='display:none'></noscript>",
        "<img>",
        "<map><area></map>",
        "<map><area href=x title=t></map>",
        "<input type=text>",
        "<svg><image href=x /></svg>",
        "<template><img src=x></template>",
        "<!-- <img src=x> -->",
    ],
)
def test_an_image_that_needs_none(image: str) -> None:
    assert notes(f"{WHOLE}\n{image}") == []


@pytest.mark.parametrize(
    "html",
    [
        "<img src=http://o.example/x alt=''>",
        "<script src=http://o.example/x></script>",
        "<link rel=stylesheet href=http://o.example/x>",
        "<iframe src=http://o.example/x></iframe>",
        "<video src=http://o.example/x></video>",
        "<style>a{b:url(http://o.example/x)}</style>",
        "<style>@font-face{src:url(http://o.example/x)}</style>",
        "<object data=http://o.example/x></object>",
        "<form action=http://o.example/x></form>",
        "<base href=http://o.example/><img src=x alt=''>",
    ],
)
def test_mixed_content(html: str) -> None:
    assert notes(f"{WHOLE}\n{html}", url=SECURE) == [("mixed-content", 2, "http://o.example/x")]
    assert notes(f"{WHOLE}\n{html}") == []


@pytest.mark.parametrize(
    "html",
    [
        "<a href=http://o.example/x>x</a>",
        "<link rel=canonical href=http://h.example/x>",
        "<link rel=alternate hreflang=de href=http://o.example/x>",
        "<meta property=og:image content=http://o.example/x>",
        "<img src=//o.example/x alt=''>",
        "<img src=http://localhost:8000/x alt=''><img src=http://127.0.0.1/x alt=''>",
        "<blockquote cite=http://o.example/x></blockquote>",
        "<meta http-equiv=Content-Security-Policy content=Upgrade-Insecure-Requests><embed src=http://o.example/x>",
    ],
)
def test_what_is_not_loaded_is_not_mixed(html: str) -> None:
    assert notes(f"{WHOLE}\n{html}", url=SECURE) == []


def test_a_sheet_of_https_may_not_load_by_http() -> None:
    found = notes("a{}\nb{c:url(http://o.example/x)}", url="https://h.example/a.css", kind="text/css")
    assert found == [("mixed-content", 2, "http://o.example/x")]


def test_a_header_may_ask_browsers_to_load_by_https() -> None:
    policy = ("Content-Security-Policy", "default-src 'self'; upgrade-insecure-requests")
    assert notes(f"{WHOLE}<img src=http://o.example/x alt=''>", policy, url=SECURE) == []


RUSSIAN = "Широкая электрификация южных губерний даст мощный толчок подъёму сельского хозяйства. " * 8
FRENCH = "<p>Été à la plage, garçon naïf"
CHINESE = "<p>" + "网页的编码与声明的编码不同时读者看到的是乱码" * 20


@pytest.mark.parametrize(
    ("body", "header", "words"),
    [
        (FRENCH.encode("latin-1"), "utf-8", "declared as utf-8, but it is not UTF-8"),
        (RUSSIAN.encode("cp1251"), "utf-8", "declared as utf-8, but it is windows-1251"),
        ((FRENCH * 2).encode(), "iso-8859-1", "declared as windows-1252, but it is utf-8"),
        (RUSSIAN.encode("koi8-r"), "windows-1251", "declared as windows-1251, but it is koi8-r"),
        (RUSSIAN.encode("cp1251"), "iso-8859-1", "declared as windows-1252, but it is windows-1251"),
        (CHINESE.encode("gbk"), "big5", "declared as big5, but it is gb18030"),
        (CHINESE.encode(), "gbk", "declared as gbk, but it is utf-8"),
    ],
)
def test_bytes_of_another_encoding(body: bytes, header: str, words: str) -> None:
    assert notes(WHOLE.encode() + body, kind=f"text/html; charset={header}") == [("charset-wrong", 0, words)]


def test_the_declaration_of_a_page_has_its_line() -> None:
    html = WHOLE.replace("<title>", "\n<meta\n charset=utf-8><title>").encode() + FRENCH.encode("latin-1")
    assert notes(html, kind="text/html") == [("charset-wrong", 3, "declared as utf-8, but it is not UTF-8")]


def test_declarations_that_contradict_each_other() -> None:
    html = WHOLE.replace("<title>", "\n<meta charset=windows-1251><title>")
    assert notes(html) == [("charset-wrong", 2, "the header says utf-8, the page says windows-1251")]
    marked = b"\xef\xbb\xbf" + WHOLE.encode()
    assert notes(marked, kind="text/html; charset=latin1") == [
        ("charset-wrong", 0, "the byte order mark says utf-8, the header says windows-1252")
    ]


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (b"plain", "iso-8859-1"),
        (b"plain", "koi8-r"),
        (FRENCH.encode(), "utf-8"),
        (FRENCH.encode("latin-1"), "iso-8859-1"),
        (FRENCH.encode("latin-1"), "iso-8859-15"),
        ("<p>café".encode(), "iso-8859-1"),  # too short to tell
        ("<p>Šířka".encode("cp1250"), "windows-1250"),
        (RUSSIAN.encode("cp1251"), "windows-1251"),
        (RUSSIAN.encode("koi8-r"), "koi8-u"),
        (CHINESE.encode("gbk"), "gb2312"),
        (CHINESE.encode("gb18030"), "gb18030"),
        ("<p>こんにちは、世界".encode("shift_jis"), "shift_jis"),
        ("<p>안녕하세요 여러분".encode("euc-kr"), "euc-kr"),
        (b"<meta charset=utf-16>" + FRENCH.encode(), "utf-8"),
        (b"<meta charset=latin1>" + FRENCH.encode("latin-1"), "windows-1252"),
        (b"<meta charset=nonsense>" + FRENCH.encode(), "utf-8"),
        (FRENCH.encode() * 20 + b"\xff", "utf-8"),
    ],
)
def test_an_encoding_that_is_right_or_unsure(body: bytes, header: str) -> None:
    head = b"<!DOCTYPE html>"
    rest = WHOLE.encode().removeprefix(head)
    assert notes(head + body + rest, kind=f"text/html; charset={header}") == []


def test_a_page_that_is_cut_within_a_character_is_right() -> None:
    assert notes(WHOLE.encode() + b"\xc3") == []


def test_an_encoding_that_nobody_declares_is_not_wrong() -> None:
    assert notes(WHOLE.encode() + RUSSIAN.encode("cp1251"), kind="text/html") == []
