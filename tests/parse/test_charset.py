"""Encodings: the cases of html5lib and web-platform-tests, the order of evidence, and guesses."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.parse import charset, guess

DATA = Path(__file__).parents[1] / "data" / "charset"


def cases(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", cases("html5lib_encoding.jsonl"), ids=lambda case: case["body_b64"][-24:])
def test_html5lib(case: dict[str, Any]) -> None:
    assert charset.find_charset(base64.b64decode(case["body_b64"]), None) == case["expected"]


@pytest.mark.parametrize("case", cases("wpt_content_type_charset.jsonl"), ids=lambda case: case["content_type"][:60])
def test_content_type_of_wpt(case: dict[str, Any]) -> None:
    expected = case["charset"]
    assert charset.of_content_type(case["content_type"]) == (expected and expected.lower())


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"\xef\xbb\xbf<meta charset=koi8-r>", "text/html; charset=big5", "utf-8"),
        (b"\xff\xfea\0", "text/html; charset=big5", "utf-16le"),
        (b"\xfe\xff\0a", None, "utf-16be"),
        (b"<meta charset=koi8-r>", "text/html; charset=big5", "big5"),
        (b"<meta charset=koi8-r>", "text/html; charset=nonsense", "koi8-r"),
        (b"<meta charset=koi8-r>", "text/html", "koi8-r"),
        (b"<meta charset=x-user-defined>", None, "windows-1252"),
        (b'<?xml version="1.0" encoding="iso-8859-5"?><html/>', None, "iso-8859-5"),
        (b'<?xml version="1.0" encoding="utf-16"?><html/>', None, "utf-8"),
        (b"plain", None, "windows-1252"),
        ("Größe".encode(), None, "utf-8"),
        ("Größe €".encode()[:-1], None, "utf-8"),  # cut within a character
        ("Größe".encode("latin-1"), None, "windows-1252"),
        (b"<!-->a<meta charset=koi8-r>", None, "koi8-r"),
        (b"<p " + b"x" * 2000 + b"><meta charset=koi8-r>", None, "koi8-r"),  # after the prescan's end
    ],
)
def test_order_of_evidence(body: bytes, content_type: str | None, expected: str) -> None:
    assert charset.find_charset(body, content_type) == expected


def test_text_that_is_no_markup_declares_nothing() -> None:
    assert charset.find_charset(b"<meta charset=koi8-r>", None, markup=False) == "windows-1252"


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("ISO-8859-1", "windows-1252"),
        ("ascii", "windows-1252"),
        (" UTF8\n", "utf-8"),
        ("shift-jis", "shift_jis"),
        ("gb2312", "gbk"),
        ("nope", None),
        ("", None),
        ("\udcff", None),
        ("base64", None),
    ],
)
def test_labels(label: str, name: str | None) -> None:
    assert charset.lookup(label) == name


@pytest.mark.parametrize(
    ("encoding", "text", "name"),
    [
        ("cp1251", "Привет, как дела? Это обычная страница на русском языке.", "windows-1251"),
        ("koi8-r", "Привет, как дела? Это обычная страница на русском языке, которую никто не объявил.", "koi8-r"),
        ("koi8-r", "Привет, как дела? Это обычная страница на русском языке.", "koi8-r"),
        ("shift_jis", "日本語のページです。こんにちは世界。これは文字コードの判定テストです。", "shift_jis"),
        ("euc-jp", "日本語のページです。こんにちは世界。これは文字コードの判定テストです。", "euc-jp"),
        ("cp1253", "Αυτή είναι μια ελληνική σελίδα χωρίς δήλωση κωδικοποίησης.", "windows-1253"),
        ("latin-1", "Le café est situé à côté de la forêt; où êtes-vous allés cet été?", "windows-1252"),
        ("latin-1", "café", "windows-1252"),
    ],
)
def test_guesses(encoding: str, text: str, name: str) -> None:
    body = f"<html><title>x</title><p>{text}</p>".encode(encoding)
    assert charset.find_charset(body, "text/html") == name


def undeclared() -> Iterator[tuple[str, bool, str, str, str]]:
    """Pages of one to eight paragraphs that declare nothing: language, Western or not, text, codec, URL."""
    menu = '<ul class="menu"><li><a href="/">Home</a></li><li><a href="/news.php?id=3">News</a></li></ul>'
    for row in cases("udhr.jsonl"):
        some = row["paragraphs"]
        chunks = [some[:1], some[1:2], some[2:4], some[4:8], some]
        for codec, chunk in itertools.product(row["encodings"], filter(None, chunks)):
            text = f"<title>{chunk[0][:20]}</title>{menu}" + "".join(f"<p class='text'>{line}</p>\n" for line in chunk)
            yield row["language"], row["western"], text, codec, f"http://www.example.{row['tld']}:8080/a.b/?c.d"


@pytest.mark.parametrize(("own_domain", "least"), [(False, 0.97), (True, 0.98)], ids=["any domain", "own domain"])
def test_pages_that_declare_nothing_are_read_in_36_languages(own_domain: bool, least: float) -> None:
    wrong: list[tuple[str, str, str]] = []
    western: list[tuple[str, str, str]] = []
    total = 0
    for language, is_western, text, codec, url in undeclared():
        body = text.encode(codec)
        total += 1
        name = charset.find_charset(body, "text/html", url=url if own_domain else "http://www.example.com/")
        if charset.decode(body, name) != text:
            (western if is_western else wrong).append((language, codec, name))
    assert western == []
    assert total > 200
    assert len(wrong) <= (1 - least) * total, wrong


def test_where_firefoxs_guesser_has_no_wheel_another_one_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guess, "HAS_CHARDETNG", False)
    pages = [(text, text.encode(codec)) for _, _, text, codec, _ in undeclared()][::4]
    wrong = [text[:30] for text, body in pages if charset.decode(body, charset.find_charset(body, None)) != text]
    assert len(wrong) <= 0.05 * len(pages), wrong


def test_utf8_with_a_little_damage_is_utf8() -> None:
    whole = "Größe und Maß für Übermut, äußerst schön: Zürich, Köln, Düsseldorf, Überlingen; naïve Cafés. " * 2
    assert charset.find_charset(whole.encode() + b"\xff\xe4", None) == "utf-8"
    assert charset.find_charset(whole.encode("latin-1") + "ü".encode(), None) == "windows-1252"


def test_escapes_of_iso_2022_jp_are_no_ascii_text() -> None:
    body = "<p>日本語のページです。</p>".encode("iso2022_jp")
    assert charset.find_charset(body, "text/html") == "iso-2022-jp"
    assert charset.find_charset(b"<p>\x1b[1mbold\x1b[0m</p>", "text/html") == "windows-1252"


@pytest.mark.parametrize(
    "hostile", [b"<", b"<a ", b"<a b=c ", b"<!", b"</", b"<!---->", b"<a>", b"\x1b$B", b"\xff", b"<meta charset "]
)
def test_looking_for_a_declaration_costs_no_page_a_second(hostile: bytes) -> None:
    body = b"charset" + hostile * (10_000_000 // len(hostile))
    began = time.process_time()
    charset.find_charset(body, None)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("name", ["utf-8", "utf-16le", "utf-16be", "windows-1251", "shift_jis", "iso-2022-jp"])
def test_decode_and_as_utf8_agree(name: str) -> None:
    text = "aя" if name != "iso-2022-jp" else "a日本"
    body = text.encode(charset.codec(name))
    assert charset.decode(body, name) == text
    assert charset.as_utf8(body, name) == text.encode()
    assert charset.decode(b"", name) == ""


def test_a_bom_is_no_text() -> None:
    assert charset.decode(b"\xef\xbb\xbfa", "utf-8") == "a"
    assert charset.as_utf8(b"\xef\xbb\xbfa", "utf-8") == b"a"
    assert charset.as_utf8("\ufeffa".encode("utf-16-le"), "utf-16le") == b"a"


def test_utf8_bytes_are_not_copied() -> None:
    body = "<p>é".encode()
    assert charset.as_utf8(body, "utf-8") is body
    assert charset.as_utf8(b"ascii", "windows-1252") == b"ascii"


@pytest.mark.parametrize(
    ("reference", "name", "expected"),
    [
        ("/я?я=1&я#я", "windows-1251", "/я?%FF=1&%FF#я"),
        ("/?日", "windows-1251", "/?%26%2326085%3B"),
        ("/?я日", "windows-1251", "/?%FF%26%2326085%3B"),
        ("/?я", "utf-8", "/?я"),
        ("/?я", "utf-16le", "/?я"),
        ("/я", "windows-1251", "/я"),
    ],
)
def test_queries_follow_the_document(reference: str, name: str, expected: str) -> None:
    assert charset.encode_query(reference, name) == expected


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [
                    b"<meta ",
                    b"charset=",
                    b'"',
                    b"'",
                    b">",
                    b"<",
                    b"/",
                    b"!--",
                    b"-->",
                    b"=",
                    b" ",
                    b"koi8-r",
                    b"content=",
                ]
            ),
            max_size=30,
        ).map(b"".join),
    ),
    st.none() | st.text(max_size=40).map("text/html;charset=".__add__),
)
def test_any_bytes_have_an_encoding_and_decode(body: bytes, content_type: str | None) -> None:
    name = charset.find_charset(body, content_type)
    assert charset.lookup(name) == name
    charset.decode(body, name).encode()
    charset.as_utf8(body, name).decode("utf-8", "replace")


def test_the_prescan_is_linear() -> None:
    """Each of these took time quadratic in its length if one attribute were read more than a few times."""
    for hostile in (b'<a b="' * 300_000, b"<x " * 500_000, b"<a " + b"=" * 1_000_000, b"<a b" + b" " * 1_000_000):
        assert charset.of_meta(hostile) is None


def test_pages_that_begin_alike_are_told_apart() -> None:
    """What was declared is remembered by how a page begins, up to the end of its declaration."""
    begin = b"<!doctype html><!-- " + b"x" * 60 + b" --><meta "
    for name, other in [(b"utf-8", "utf-8"), (b"koi8-r", "koi8-r"), (b"utf-8", "utf-8")]:
        assert charset.of_meta(begin + b"charset=" + name + b"><title>") == other
        assert charset.of_meta(begin + b"charset=" + name + b"x><meta charset=gbk>") == "gbk"
        assert charset.of_meta(begin + b"charset=" + name) is None
        assert charset.of_meta(begin + b"charset=" + name + b">") == other
    assert charset.of_meta(b"<meta charset=gbk>") == "gbk"
    assert charset.of_meta(b"<meta charset=gbk x>") == "gbk"
    assert charset.of_meta(b"<meta charset=gb") is None
