"""Types by the header, and by the bytes where the header names none."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch.fetcher import Response
from crawler.fetch.mime import MediaType, extract, sniff
from crawler.worker.options import READ_TYPES
from tests.fetch.conftest import Fetch
from tests.servers import Server, chunk, endless, head, page, raw

HTML = b"<!doctype html><title>T</title><p>body <a href=/q>q</a>"


@pytest.mark.parametrize(
    ("lines", "essence", "charset"),
    [
        (["text/html"], "text/html", None),
        ([" Text/HTML ; Charset=GBK"], "text/html", "GBK"),
        (["text/html, text/html"], "text/html", None),
        (["text/html", "text/html"], "text/html", None),
        (["text/html,"], "text/html", None),
        ([",text/html"], "text/html", None),
        (["text/html, */*"], "text/html", None),
        (["*/*, text/html"], "text/html", None),
        (["*/*", "text/html"], "text/html", None),
        (["text/plain", "text/html"], "text/html", None),
        (["text/html", "text/plain"], "text/plain", None),
        (["text/html;charset=gbk, text/html"], "text/html", "gbk"),
        (["text/html;charset=gbk", "text/html;charset=windows-1255"], "text/html", "windows-1255"),
        (["text/html;charset=gbk", "text/html;charset=windows-1255", "text/html"], "text/html", "gbk"),
        (["text/html;charset=gbk, text/plain, text/html"], "text/html", None),
        (["text/html;charset=gbk, */*;charset=x"], "text/html", "gbk"),
        (['text/html;x=",text/plain";charset=gbk'], "text/html", "gbk"),
        (['text/html;x="\\",text/plain'], "text/html", None),
        (["text/html;charset=gbk", 'text/html;x="'], "text/html", "gbk"),
        (['text/html;charset="";charset=gbk'], "text/html", ""),
        (["text/html;charset=\x01;charset=gbk"], "text/html", "gbk"),
        (["text/plain, text/html charset=utf-8"], "text/plain", None),
        (["text/html|charset"], "text/html|charset", None),
        (["text/html|charset=utf-8"], "", None),
        (["text/htm"], "text/htm", None),
        (["text/html charset=utf-8"], "", None),
        (['"text/html"'], "", None),
        (["text"], "", None),
        (["text/"], "", None),
        (["/html"], "", None),
        (["text /html"], "", None),
        (["charset=utf-8"], "", None),
        (["none"], "", None),
        (["*/*"], "", None),
        (["unknown/unknown"], "", None),
        (["Application/Unknown;charset=gbk"], "", "gbk"),
        ([], "", None),
        ([""], "", None),
    ],
)
def test_the_last_valid_type_of_the_list_counts(lines: list[str], essence: str, charset: str | None) -> None:
    assert extract(", ".join(lines)) == MediaType(essence, charset)


@given(st.text(alphabet='a/;=,*"\\ \tcharset\x00é', max_size=60))
def test_any_header_has_a_type_or_none(value: str) -> None:
    essence, charset = extract(value)
    assert essence == "" or re.fullmatch(r"[^\s/;,\"]+/[^\s/;,\"]+", essence)
    assert charset is None or charset in value.replace("\\", "") or "\\" in value


@pytest.mark.parametrize("piece", [",", ";", '"', '"\\', "a/b;", ";charset=", "\t", 'a/b;c="d",', "text/html,", "\\"])
def test_a_header_of_any_length_costs_little(piece: str) -> None:
    started = time.process_time()
    extract("a/b" + piece * 80_000)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (HTML, "text/html"),
        (b" \n\t<HTML>", "text/html"),
        (b"<!-- x --><p>", "text/html"),
        (b"<br/>", "text/html"),
        (b"<body ", "text/html"),
        (b"<body", "text/plain"),
        (b"<bodyx>", "text/plain"),
        (b"\xef\xbb\xbf<html>", "text/html"),
        (b"\xff\xfe" + "<html>".encode("utf-16-le"), "text/html"),
        (b"\xfe\xff" + "words".encode("utf-16-be"), "text/plain"),
        (b"\xef\xbb\xbf\x00", "text/plain"),
        (b" <?xml version='1.0'?><a/>", "text/xml"),
        (b"%PDF-1.7", "application/pdf"),
        (b"%!PS-Adobe-3.0", "application/postscript"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\xff\xff\xff\xffWEBPVP8 ", "image/webp"),
        (b"\x89PNG\r\n\x1a\n", "application/octet-stream"),
        (b"PK\x03\x04", "application/octet-stream"),
        (b"\x1f\x8b\x08", "application/octet-stream"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "application/octet-stream"),
        (b"BMW and other words", "text/plain"),
        (b"words \x1b[0m with an escape", "text/plain"),
        ("Größe".encode("latin-1"), "text/plain"),
        (b"a" * 1445 + b"\0", "text/plain"),
        (b"", "text/plain"),
    ],
)
def test_a_body_without_a_type_is_what_it_looks_like(body: bytes, kind: str) -> None:
    assert sniff(body) == kind


UNKNOWN = [
    "*/*",
    "unknown/unknown",
    "application/unknown",
    "text",
    '"text/html"',
    "none",
    "text/html charset=utf-8",
    "",
]


@pytest.mark.parametrize("value", UNKNOWN)
def test_a_page_whose_type_is_unknown_is_read_and_kept_if_it_is_text(server: Server, fetch: Fetch, value: str) -> None:
    result = fetch(server.on("/a", page(HTML, headers=[("Content-Type", value)])), types=READ_TYPES)
    assert isinstance(result, Response) and (result.body, result.skipped) == (HTML, False)
    assert (result.content_type, result.computed_type) == ("", "text/html")
    image = b"\x89PNG\r\n\x1a\n" + b"p" * 5000
    dropped = fetch(server.on("/b", page(image, headers=[("Content-Type", value)])), types=READ_TYPES)
    assert isinstance(dropped, Response) and (dropped.body, dropped.skipped) == (b"", True)


def test_lines_of_types_count_together(server: Server, fetch: Fetch) -> None:
    lines = [("Content-Type", "image/png"), ("Content-Type", "text/html;charset=gbk"), ("Content-Type", "text/html")]
    result = fetch(server.on("/a", page(HTML, headers=lines)), types=READ_TYPES)
    assert isinstance(result, Response) and (result.body, result.content_type) == (HTML, "text/html")
    assert result.headers.media_type.charset == "gbk"


def test_of_a_body_without_a_type_no_more_than_its_beginning_is_read(server: Server, fetch: Fetch) -> None:
    """If it is not text: it may be a film without end."""
    before = head(200, [("Content-Type", "*/*"), ("Transfer-Encoding", "chunked")])
    film = fetch(server.on("/film", endless(chunk(b"\0" * 4096), before)), types=READ_TYPES, max_body=1 << 40)
    assert isinstance(film, Response) and (film.body, film.skipped, film.truncated) == (b"", True, False)
    text = fetch(server.on("/text", endless(chunk(b"word " * 800), before)), types=READ_TYPES, max_body=10_000)
    assert isinstance(text, Response) and (len(text.body), text.skipped, text.truncated) == (10_000, False, True)


def test_an_unknown_type_of_a_body_that_is_small_costs_no_connection(server: Server, fetch: Fetch) -> None:
    bare = head(200, [("Content-Length", "9000")]) + b"\0" * 9000
    assert isinstance(fetch(server.on("/a", raw(bare, close=False)), types=READ_TYPES), Response)
    assert isinstance(fetch(server.on("/b", page(b"x"))), Response)
    assert [seen.connection for seen in server.seen] == [1, 1]
