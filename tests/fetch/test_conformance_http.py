"""What every fetcher makes of a server that behaves."""

from __future__ import annotations

import gzip
import threading
import time
import zlib
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import pytest

from crawler import fetch as engines
from crawler import url as urls
from crawler.clock import since_boot
from crawler.errors import UsageError
from crawler.fetch.answer import header_fields
from crawler.fetch.fetcher import FetcherOptions, FetchError, FetchRequest, Response
from tests.fetch.conftest import Fetch, OpenFetcher, fetch_by
from tests.servers import Call, Server, chunk, drip, head, page, raw, silence

TEXT = b"<p>The quick brown fox.</p>" * 500


def test_a_page_comes_with_status_headers_body_and_timings(server: Server, fetch: Fetch) -> None:
    before = time.monotonic()
    result = fetch(server.on("/a", page(TEXT, headers=[("ETag", '"1"'), ("Link", "</b>"), ("Link", "</c>")])))
    assert isinstance(result, Response)
    assert (result.status, result.body, result.truncated, result.skipped) == (200, TEXT, False, False)
    assert (result.url, result.content_type, result.address) == (server.url("/a"), "text/html", "127.0.0.1")
    assert (result.headers.get("etag"), result.headers.all("Link")) == ('"1"', ["</b>", "</c>"])
    assert 0 < result.first_byte <= result.elapsed < 5
    assert before < result.ended <= time.monotonic()


def test_the_request_bears_what_the_options_say(server: Server, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher(
        user_agent="bot/1 (+https://example.org/)", headers=(("X-Key", "k"), ("accept", "text/html"))
    )
    fetch_by(fetcher, server.on("/a?q=%2F|'", page()), headers=(("If-None-Match", '"1"'), ("X-Odd", "a\r\nEvil: 1")))
    fetch_by(fetcher, server.url("/plain"))
    first, second = server.seen
    assert (first.method, first.path, first.host) == ("GET", "/a", server.authority)
    expected = {"user-agent": "bot/1 (+https://example.org/)", "x-key": "k", "accept": "text/html"}
    assert expected.items() <= first.headers.items()
    assert (first.headers["if-none-match"], first.headers["x-odd"]) == ('"1"', "aEvil: 1")
    assert first.headers["accept-encoding"] == "gzip, deflate, br"
    assert "if-none-match" not in second.headers
    assert sum(line.lower().startswith("accept:") for line in first.lines) == 1


TARGETS = ["/a?q=%2F|'", "/%zz", "/%", "/?q=%", "/a|b", "/%7Ba%7D[b]", "//x//y/", "/%2F%2F", "/a?b=c?d", "/@x:80"]


@pytest.mark.parametrize("target", TARGETS)
def test_the_request_is_for_the_very_url(server: Server, open_fetcher: OpenFetcher, target: str) -> None:
    """No library spells it anew: another spelling may be another page."""
    assert isinstance(fetch_by(open_fetcher(), server.url(target)), Response)
    proxied = open_fetcher(proxy=server.url().rstrip("/"))
    assert isinstance(fetch_by(proxied, f"http://example.test{target}"), Response)
    assert [seen.target for seen in server.seen] == [target, f"http://example.test{target}"]


def test_an_empty_query_is_asked_for(server: Server, fetch: Fetch) -> None:
    fetch(server.url("/a?"))
    assert [seen.target for seen in server.seen] == ["/a?"]


def test_connections_are_used_again(server: Server, fetch: Fetch) -> None:
    server.on("/chunked", raw(head(200, [("Transfer-Encoding", "chunked")]) + chunk(b"ab") + chunk(b""), close=False))
    for path in ("/a", "/chunked", "/b"):
        assert isinstance(fetch(server.url(path)), Response)
    assert [seen.connection for seen in server.seen] == [1, 1, 1]


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_each_framing_gives_the_whole_body(server: Server, fetch: Fetch, framing: str) -> None:
    body = bytes(range(256)) * 1000
    answers = {
        "length": [head(200, [("Content-Length", str(len(body)))]), body],
        "chunked": [
            head(200, [("Transfer-Encoding", "chunked")]),
            chunk(body[:70_000]),
            chunk(body[70_000:]),
            chunk(b""),
        ],
        "close": [head(), body],
    }
    result = fetch(server.on("/a", raw(*answers[framing])))
    assert isinstance(result, Response) and result.body == body


def _bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("X-GZIP", gzip.compress(TEXT[:5000]) + gzip.compress(TEXT[5000:]) + b"\0garbage"),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", _bare_deflate(TEXT)),
        ("br", brotli.compress(TEXT)),
        ("gzip, br", brotli.compress(gzip.compress(TEXT))),
        ("utf-8", TEXT),
    ],
)
def test_encodings_are_undone(server: Server, fetch: Fetch, encoding: str, body: bytes) -> None:
    result = fetch(server.on("/a", page(body, headers=[("Content-Encoding", encoding)])))
    assert isinstance(result, Response) and result.body == TEXT and not result.truncated


@pytest.mark.parametrize("location", [b"/b", b"", b"http://[::1/", "/ü".encode(), b"/\xfc", b"javascript:alert(1)"])
def test_redirects_are_handed_back(server: Server, fetch: Fetch, location: bytes) -> None:
    answer = head(301, [("Location", location.decode("latin-1")), ("Content-Length", "4")]) + b"gone"
    result = fetch(server.on("/a", raw(answer, close=False)))
    assert isinstance(result, Response) and (result.status, result.body) == (301, b"gone")
    assert result.headers.get("location") == {b"/\xfc": "/%FC"}.get(location, location.decode("utf-8", "replace"))
    assert server.paths() == ["/a"]


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        (b"/caf\xe9", "/caf%E9"),
        (b"/s?k=\xd6\xd0", "/s?k=%D6%D0"),
        (b"http://HOST/\x83e\x83X\x83g?\x81\\", "/%83e%83X%83g?%81\\"),
        (b"caf\xe9/\xfc", "/dir/caf%E9/%FC"),
        ("/ü?ü=é".encode(), "/%C3%BC?%C3%BC=%C3%A9"),
        ("/Ã©".encode(), "/%C3%83%C2%A9"),
        ("/ü".encode() + b"\xe9", "/%C3%BC%E9"),
        (b"/caf%e9|", "/caf%E9|"),
    ],
)
def test_a_redirect_in_bytes_asks_for_those_bytes(server: Server, fetch: Fetch, sent: bytes, asked: str) -> None:
    """As browsers do: what is UTF-8 and what is not is escaped byte by byte."""
    value = sent.replace(b"HOST", server.authority.encode()).decode("latin-1")
    answer = head(302, [("Location", value), ("X-Name", "caf\xe9"), ("Content-Length", "0")])
    result = fetch(server.on("/dir/a", raw(answer, close=False)))
    assert isinstance(result, Response) and result.headers.get("x-name") == "café"
    fetch(urls.canonicalize(result.headers.get("location") or "", result.url))
    assert server.seen[-1].target == asked


def test_links_and_refreshes_of_the_header_keep_their_bytes() -> None:
    lines = [b"Link: </caf\xe9>; rel=next\r\n", b"REFRESH: 0; url=/\xd6\xd0\r\n", b"X-Name: caf\xe9\r\n"]
    values = [value for _, value in header_fields([*lines, b"Location: /a\r\n", b" \xe9\r\n"])]
    assert values == ["</caf%E9>; rel=next", "0; url=/%D6%D0", "café", "/a %E9"]


def test_an_endless_redirect_is_cut_like_any_page(server: Server, fetch: Fetch) -> None:
    body = b"x" * 100_000
    result = fetch(server.on("/a", page(body, 302, [("Location", "/b")])), max_body=1000)
    assert isinstance(result, Response) and (result.status, len(result.body), result.truncated) == (302, 1000, True)


def test_a_conditional_request_gets_its_304(server: Server, fetch: Fetch) -> None:
    def conditional(call: Call) -> None:
        fresh = call.seen.headers.get("if-none-match") == '"1"'
        call.send(head(304, [("ETag", '"1"')]) if fresh else head(200, [("Content-Length", "3")]) + b"new")

    url = server.on("/a", conditional)
    first, second, third = fetch(url), fetch(url, headers=(("If-None-Match", '"1"'),)), fetch(url)
    assert [(r.status, r.body) for r in (first, second, third) if isinstance(r, Response)] == [
        (200, b"new"),
        (304, b""),
        (200, b"new"),
    ]
    assert server.connections == 1


def test_a_part_that_was_not_asked_for_is_marked(server: Server, fetch: Fetch) -> None:
    result = fetch(server.on("/a", page(b"hello", 206, [("Content-Range", "bytes 0-4/100")])))
    assert isinstance(result, Response) and (result.status, result.body, result.truncated) == (206, b"hello", True)


def test_types_that_are_not_wanted_are_not_read(server: Server, fetch: Fetch) -> None:
    types = ("text/", "application/xhtml+xml")
    image = [("Content-Type", "Image/PNG; a=b")]
    small = fetch(server.on("/small", page(b"p" * 1000, headers=image)), types=types)
    after = fetch(server.on("/page", page(b"<p>")), types=types)
    huge = fetch(server.on("/huge", page(b"p" * 3_000_000, headers=image)), types=types)
    endless = head(200, [*image, ("Transfer-Encoding", "chunked")]) + chunk(b"p" * 100)
    late = fetch(server.on("/endless", drip(b"x" * 1000, before=endless)), types=types)
    bare = fetch(server.on("/bare", raw(head(200, [("Content-Length", "3")]) + b"abc")), types=types)
    for result in (small, huge, late):
        assert isinstance(result, Response) and (result.status, result.skipped, result.body) == (200, True, b"")
        assert result.content_type == "image/png"
    assert isinstance(after, Response) and (after.body, after.skipped) == (b"<p>", False)
    assert isinstance(bare, Response) and (bare.body, bare.skipped) == (b"abc", False)
    assert server.seen[0].connection == server.seen[1].connection  # a small one is not worth a connection


def test_no_cookie_is_sent_back(server: Server, fetch: Fetch) -> None:
    cookies = [("Set-Cookie", f"c{number}={'x' * 3000}; Path=/") for number in range(80)]
    result = fetch(server.on("/a", page(b"ok", headers=cookies)))
    assert isinstance(result, Response) and len(result.headers.all("set-cookie")) == 80
    fetch(server.url("/b"))
    assert "cookie" not in server.seen[1].headers


def test_netrc_is_read_only_when_the_environment_is_trusted(
    server: Server, open_fetcher: OpenFetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    fetch_by(open_fetcher(), server.url("/a"))
    fetch_by(open_fetcher(trust_env=True), server.url("/b"))
    assert ["authorization" in seen.headers for seen in server.seen] == [False, True]


def test_many_are_fetched_at_once(server: Server, open_fetcher: OpenFetcher) -> None:
    def together(call: Call) -> None:
        assert server.wait_for(64)
        call.answer(call.seen.target.encode())

    server.otherwise = together
    fetcher = open_fetcher(concurrency=64)
    for number in range(64):
        fetcher.submit(FetchRequest(server.url(f"/{number}")), str(number))
    assert fetcher.free == 0
    results: dict[str, bytes] = {}
    while len(results) < 64 and (batch := fetcher.poll(10)):
        assert len(batch) <= 16
        results |= {ticket: result.body for ticket, result in batch if isinstance(result, Response)}
    assert results == {str(number): b"/%d" % number for number in range(64)}
    assert fetcher.free == 64


def test_poll_hands_back_at_most_what_is_asked_for(server: Server, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher()
    for number in range(5):
        fetcher.submit(FetchRequest(server.url(f"/{number}")), str(number))
    seen: list[str] = []
    while len(seen) < 5:
        batch = fetcher.poll(5, most=2)
        assert 1 <= len(batch) <= 2
        seen += [ticket for ticket, _ in batch]
        assert fetcher.free <= 3 + len(seen)
    assert sorted(seen) == ["0", "1", "2", "3", "4"]
    assert fetcher.poll(5) == []


def test_poll_without_time_does_not_wait(server: Server, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher()
    assert fetcher.poll(5) == []  # nothing is in flight
    fetcher.submit(FetchRequest(server.on("/a", silence)), "a")
    started = time.monotonic()
    assert fetcher.poll(0) == []
    assert time.monotonic() - started < 0.2


def test_a_cancelled_request_has_no_result(server: Server, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher(concurrency=2)
    fetcher.submit(FetchRequest(server.on("/a", silence)), "a")
    while not server.wait_for(1, 0.01):
        fetcher.poll(0)
    assert fetcher.cancel("a") and not fetcher.cancel("a") and not fetcher.cancel("never")
    assert fetcher.poll(0.1) == []
    result = fetch_by(fetcher, server.url("/b"))
    assert isinstance(result, Response) and result.status == 404
    with pytest.raises(ValueError, match="in use"):
        for _ in range(2):
            fetcher.submit(FetchRequest(server.url("/a")), "c")


def test_a_request_is_not_sent_after_its_time(server: Server, fetch: Fetch) -> None:
    result = fetch(server.url("/a"), not_after=since_boot() - 0.001)
    assert isinstance(result, FetchError) and (result.kind, result.sent) == ("expired", False)
    later = fetch(server.url("/b"), not_after=since_boot() + 60)
    assert isinstance(later, Response)
    assert server.paths() == ["/b"]


def _use_and_close(open_fetcher: OpenFetcher) -> None:
    """Leave a fetcher with idle connections, one transfer under way and a result that nobody took; then close it."""
    fetcher = open_fetcher()
    with Server() as server:
        server.on("/silent", silence)
        for path in ("/1", "/2", "/3", "/silent"):
            fetcher.submit(FetchRequest(server.url(path)), path)
        while not server.wait_for(4, 0.01):
            fetcher.poll(0, most=0)
        assert fetcher.poll(5, most=1)
        fetcher.close()
        fetcher.close()  # twice is once


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")
def test_closing_leaves_nothing_behind(open_fetcher: OpenFetcher) -> None:
    _use_and_close(open_fetcher)  # what is loaded once stays
    before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    _use_and_close(open_fetcher)
    assert (len(list(Path("/proc/self/fd").iterdir())), threading.active_count()) == before


def test_an_unknown_engine_is_the_users_error() -> None:
    with pytest.raises(UsageError, match="'wget'"):
        engines.open_fetcher("wget", FetcherOptions(user_agent="test"))
