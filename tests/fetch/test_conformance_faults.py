"""What every fetcher makes of a broken or hostile server: an error as a value, never another page's body."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import brotli  # type: ignore[import-untyped]
import pytest

from crawler.fetch.fetcher import FetchError, FetchRequest, FetchResult, Response
from tests.fetch.conftest import Fetch, OpenFetcher, fetch_by
from tests.fetch.hostile import full_queue, lined, zeros
from tests.servers import (
    Behaviour,
    Call,
    Server,
    broken,
    chunk,
    drip,
    endless,
    head,
    once_a_connection,
    page,
    raw,
    silence,
)

OK = head(200, [("Content-Length", "2")]) + b"ok"
CHUNKED = head(200, [("Transfer-Encoding", "chunked")])


def kind(result: FetchResult) -> str:
    return result.kind if isinstance(result, FetchError) else f"status {result.status}"


def eventually(true: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Does it become true in the end?"""
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.005)
    return true()


# Deadlines


def took(started: float, seconds: float) -> bool:
    """Did what began at *started* take about *seconds*? The upper bound is wide: machines are busy."""
    return seconds * 0.9 <= time.monotonic() - started < seconds + 3


def test_no_answer_ends_at_the_first_byte_deadline(server: Server, fetch: Fetch) -> None:
    started = time.monotonic()
    result = fetch(server.on("/a", silence), first_byte_timeout=0.3)
    assert isinstance(result, FetchError) and (result.kind, result.sent) == ("timeout", True)
    assert took(started, 0.3) and took(result.ended - result.elapsed, 0.3)
    assert isinstance(fetch(server.url("/b")), Response)  # and the fetcher is free for the next


@pytest.mark.parametrize("part", ["header", "status line", "body", "chunks"])
def test_a_slow_drip_ends_at_the_total_deadline(server: Server, fetch: Fetch, part: str) -> None:
    behaviours = {
        "header": drip(b"X-A: b\r\n" * 1000, before=b"HTTP/1.1 200 OK\r\n"),
        "status line": drip(b"HTTP/1.1 200 " + b"O" * 1000),
        "body": drip(b"x" * 1000, before=head(200, [("Content-Length", "1000")])),
        "chunks": drip(chunk(b"x") * 1000, before=CHUNKED),
    }
    started = time.monotonic()
    assert kind(fetch(server.on("/a", behaviours[part]), timeout=0.4, first_byte_timeout=0.4)) == "timeout"
    assert took(started, 0.4)


def test_connecting_has_a_deadline(fetch: Fetch) -> None:
    with full_queue() as port:
        started = time.monotonic()
        result = fetch(f"http://127.0.0.1:{port}/", connect_timeout=0.3)
    assert isinstance(result, FetchError) and (result.kind, result.sent) == ("timeout", False)
    assert took(started, 0.3)


# Size


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's peak of memory")
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_bomb_costs_no_more_memory_than_its_cut(server: Server, engine: str, encoding: str) -> None:
    url = server.on("/a", page(zeros(encoding), headers=[("Content-Encoding", encoding)]))
    script = """
        import re, sys
        from pathlib import Path
        from crawler.fetch import open_fetcher
        from crawler.fetch.fetcher import FetcherOptions, FetchRequest
        def peak():
            return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
        fetcher = open_fetcher(sys.argv[1], FetcherOptions(user_agent="test", allow_private=True))
        fetcher.submit(FetchRequest(sys.argv[2].replace("/a", "/small")), "small")
        fetcher.poll(10)
        before = peak()
        fetcher.submit(FetchRequest(sys.argv[2], max_body=1_000_000), "bomb")
        [(_, result)] = fetcher.poll(20)
        print(len(result.body), result.truncated, peak() - before)
        fetcher.close()
    """
    command = [sys.executable, "-c", dedent(script), engine, url]
    size, truncated, growth = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert (size, truncated) == ("1000000", "True")
    assert int(growth) < 30  # MB


WASTE = {
    "one extension": endless(b"e" * 65536, CHUNKED + b"5;"),
    "many extensions": endless((b"1;" + b"e" * 1000 + b"\r\nx\r\n") * 60, CHUNKED),
    "sizes of zeros": endless((b"0" * 15 + b"1;" + b" " * 900 + b"\r\nx\r\n") * 60, CHUNKED),
}


@pytest.mark.parametrize("behaviour", WASTE.values(), ids=WASTE)
def test_chunk_extensions_without_end_are_no_body(server: Server, fetch: Fetch, behaviour: Behaviour) -> None:
    """They cost a core as long as they come, which is not until the deadline."""
    result = fetch(server.on("/a", behaviour), timeout=60.0)
    assert isinstance(result, FetchError) and result.kind == "protocol" and result.elapsed < 50
    assert isinstance(fetch(server.url("/b")), Response)


@pytest.mark.parametrize("piece", [chunk(b"x"), b"1;" + b"e" * 30 + b"\r\nx\r\n"])
def test_a_large_body_in_tiny_chunks_is_read(server: Server, fetch: Fetch, piece: bytes) -> None:
    result = fetch(server.on("/a", raw(CHUNKED, piece * 50_000 + chunk(b""))), timeout=60.0)
    assert isinstance(result, Response) and len(result.body) == 50_000


def test_a_body_without_end_is_cut(server: Server, fetch: Fetch) -> None:
    result = fetch(server.on("/a", endless(b"x" * 50_000, head())), max_body=123_456)
    assert isinstance(result, Response) and (len(result.body), result.truncated) == (123_456, True)
    exact = fetch(server.on("/b", page(b"y" * 1000)), max_body=1000)
    assert isinstance(exact, Response) and (len(exact.body), exact.truncated) == (1000, False)


def test_gzip_members_that_hold_nothing_end_too(server: Server, fetch: Fetch) -> None:
    empty = endless(gzip.compress(b"") * 100, head(200, [("Content-Encoding", "gzip")]))
    assert kind(fetch(server.on("/a", empty))) == "protocol"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="glibc's way to give memory back")
def test_a_body_is_let_go_of_with_its_result(server: Server, fetch: Fetch) -> None:
    """No idle transfer or thread holds on to the last body that it read."""
    server.on("/a", page(b"x" * 5_000_000))
    server.on("/b", page(b"y" * 5_000_000, headers=[("Content-Length", "9000000")]))  # two lengths: an error
    tracemalloc.start()
    try:
        for path in ("/a", "/b", "/a"):
            fetch(server.url(path))
        assert eventually(lambda: tracemalloc.get_traced_memory()[0] < 4_000_000)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("lines", [b"X: y\r\n" * 600, b"X: " + b"y" * (100 * 1024 - 5) + b"\r\n", b"X: y" * 99_999])
def test_headers_have_a_limit(server: Server, fetch: Fetch, lines: bytes) -> None:
    assert kind(fetch(server.on("/a", lined(lines)))) == "protocol"


def test_a_line_just_below_the_limit_is_read(server: Server, fetch: Fetch) -> None:
    result = fetch(server.on("/a", lined(b"X: " + b"y" * (100 * 1024 - 6) + b"\r\n")))
    assert isinstance(result, Response) and len(result.headers.get("x") or "") == 100 * 1024 - 6


def test_more_than_a_hundred_header_lines_are_no_fault(server: Server, fetch: Fetch) -> None:
    result = fetch(server.on("/a", page(b"ok", headers=[(f"X-{n}", str(n)) for n in range(300)])))
    assert isinstance(result, Response) and result.headers.get("x-299") == "299"


# Bodies that are not what they were to be


def test_a_gzip_stream_that_ends_early_is_marked(server: Server, fetch: Fetch) -> None:
    text = bytes(range(256)) * 500
    for encoding, body in (
        ("gzip", gzip.compress(text)),
        ("br", brotli.compress(text)),
        ("deflate", zlib.compress(text)),
    ):
        result = fetch(server.on("/a", page(body[:-20], headers=[("Content-Encoding", encoding)])))
        assert isinstance(result, Response) and result.truncated
        assert text.startswith(result.body)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "compress, gzip", ", ".join(["gzip"] * 50)])
def test_a_body_that_is_not_so_encoded_is_an_error(server: Server, fetch: Fetch, encoding: str) -> None:
    plain = page(b"<p>This is not compressed at all.", headers=[("Content-Encoding", encoding)])
    result = fetch(server.on("/a", plain))
    assert kind(result) == "protocol"
    assert isinstance(fetch(server.url("/b")), Response)


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        (head(200, [("Content-Length", "100")]) + b"short", {"connect"}),
        (CHUNKED + b"zz\r\nhello\r\n", {"connect", "protocol"}),
        (CHUNKED + b"10\r\nhello", {"connect"}),
        (CHUNKED + chunk(b"hello"), {"connect"}),
        (CHUNKED + b"10000000000000000\r\nhello\r\n", {"connect", "protocol"}),
        (CHUNKED + b"-5\r\nhello\r\n", {"connect", "protocol"}),
        (CHUNKED + chunk(b"hello") + b"0\r\n", {"connect"}),
        (CHUNKED + b"0\r\n" + b"X: y\r\n" * 9, {"connect"}),
        (CHUNKED + b"0\r\n" + b"X: y\r\n" * 9_999, {"protocol"}),
        (CHUNKED + b"2;" + b"x" * 99_999 + b"\r\nhi\r\n", {"protocol", "connect"}),
        (head(200, [("Content-Length", "-5")]) + b"hello", {"protocol"}),
        (head(200, [("Content-Length", "5"), ("Content-Length", "6")]) + b"hello!", {"protocol", "status 200"}),
        (
            head(200, [("Content-Length", "3"), ("Transfer-Encoding", "chunked")]) + chunk(b"hi") + chunk(b""),
            {"status 200"},
        ),
        (b"", {"connect"}),
        (b"\x16\x03\x01garbage\r\n\r\n", {"protocol"}),
        (b"<p>HTTP/0.9 page", {"protocol", "connect"}),
        (b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok", {"protocol"}),
        (b"HTTP/3 200 OK\r\nContent-Length: 2\r\n\r\nok", {"protocol"}),
        (b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok", {"protocol"}),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", {"protocol"}),
        (b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", {"protocol"}),
        (b"HTTP/1.1 302 x\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", {"protocol"}),
        (b"HTTP/1.1 302 x\r\nLocation: /a\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n", {"status 302"}),
        (
            b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            {"status 200"},
        ),
        (head(999, [("Content-Length", "0")]), {"status 999"}),
        (b"HTTP/1.1 1000 OK\r\nContent-Length: 0\r\n\r\n", {"protocol"}),
        (b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", {"protocol"}),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", {"status 200"}),
        (b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n", {"status 200", "protocol"}),
        (b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n", {"status 200", "protocol"}),
        (b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n", {"status 200", "protocol"}),
        (b"HTTP/1.1 200 OK\r\n", {"connect"}),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000, {"protocol"}),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000, {"protocol"}),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", {"protocol", "connect"}),
    ],
    ids=lambda value: None if isinstance(value, set) else repr(value[:60]),
)
def test_a_broken_answer_is_a_value(server: Server, fetch: Fetch, answer: bytes, kinds: set[str]) -> None:
    assert kind(fetch(server.on("/a", raw(answer)))) in kinds
    next_one = fetch(server.on("/b", page(b"next")))
    assert isinstance(next_one, Response) and next_one.body == b"next"


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\n", head(200, [("Content-Length", "9")]) + b"some"])
def test_a_reset_is_a_lost_connection(server: Server, fetch: Fetch, before: bytes) -> None:
    result = fetch(server.on("/a", broken(before)))
    assert isinstance(result, FetchError) and (result.kind, result.sent) == ("connect", True)


def test_nobody_listens(fetch: Fetch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = fetch(f"http://127.0.0.1:{port}/")
    assert isinstance(result, FetchError) and (result.kind, result.sent) == ("connect", False)


@pytest.mark.parametrize("name", ["nothing.invalid", "a" * 64 + ".invalid", "a..b"])
def test_a_name_that_does_not_resolve(fetch: Fetch, name: str) -> None:
    result = fetch(f"http://{name}/")
    assert isinstance(result, FetchError) and not result.sent
    assert result.kind == "dns" or (name == "a..b" and result.kind == "protocol")


def test_what_is_no_url_is_an_error(server: Server, fetch: Fetch) -> None:
    """Nothing of a line end in a URL gets into the request."""
    raw_paths = [server.url(path) for path in ("/a\r\nEvil: 1", "/a b", "/a\0b", "/?a\nb", "/ü")]
    for url in ("http://[::1/", "http:///", "http://a b/", "ftp://127.0.0.1/", "nonsense", *raw_paths):
        result = fetch(url)
        assert isinstance(result, FetchError) and not result.sent
        assert "127.0.0.1" not in url or result.kind == "protocol"
    assert server.seen == []


# One connection, two answers


@pytest.mark.parametrize("status", [100, 102, 103])
def test_interim_answers_are_passed_over(server: Server, fetch: Fetch, status: int) -> None:
    interim = head(status, [("Link", "</style.css>"), ("X-Interim", "yes")])
    server.on("/a", raw(interim * 2 + head(200, [("Content-Length", "1")]) + b"a", close=False))
    server.on("/b", page(b"b"))
    for path, body in (("/a", b"a"), ("/b", b"b"), ("/a", b"a"), ("/b", b"b")):
        result = fetch(server.url(path))
        assert isinstance(result, Response) and (result.status, result.body) == (200, body)
        assert "x-interim" not in dict(result.headers)
    assert server.connections == 1


EVIL = head(200, [("Content-Length", "4")]) + b"EVIL"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("first", [OK, head(204), head(304), CHUNKED + chunk(b"ok") + chunk(b"")], ids=repr)
def test_bytes_too_many_never_come_under_the_next_url(server: Server, fetch: Fetch, first: bytes, late: bool) -> None:
    sent = threading.Event()

    def behaviour(call: Call) -> None:
        call.send(first if late else first + EVIL)
        if late:
            call.wait(0.1)
            call.send(EVIL)
        sent.set()

    server.on("/next", page(b"next"))
    assert isinstance(fetch(server.on("/a", behaviour)), Response)
    assert sent.wait(5)
    result = fetch(server.url("/next"))
    assert isinstance(result, Response) and result.body == b"next"


def test_a_connection_closed_as_it_is_used_again_is_tried_once_more(server: Server, fetch: Fetch) -> None:
    def behaviour(call: Call) -> None:
        if call.seen.connection == 1:
            call.close()
        else:
            call.answer(b"second try")

    assert isinstance(fetch(server.url("/a")), Response)
    result = fetch(server.on("/b", behaviour))
    assert isinstance(result, Response) and result.body == b"second try"
    assert [(seen.path, seen.connection) for seen in server.seen] == [("/a", 1), ("/b", 1), ("/b", 2)]


def test_many_idle_connections_may_all_be_closed_as_they_are_used(server: Server, open_fetcher: OpenFetcher) -> None:
    """The next try is not made by another one that is as dead."""
    server.otherwise = once_a_connection(4)
    fetcher = open_fetcher()
    for ticket in "abcd":
        fetcher.submit(FetchRequest(server.url("/first")), ticket)
    ended: list[str] = []
    while len(ended) < 4:
        ended += [ticket for ticket, _ in fetcher.poll(5)]
    result = fetch_by(fetcher, server.url("/again"))
    assert isinstance(result, Response) and result.body == b"body"


def test_an_idle_connection_that_was_closed_is_not_used(server: Server, fetch: Fetch) -> None:
    assert isinstance(fetch(server.on("/a", raw(OK))), Response)
    assert isinstance(fetch(server.url("/b")), Response)
    assert [(seen.path, seen.connection) for seen in server.seen] == [("/a", 1), ("/b", 2)]


def test_nothing_is_printed(server: Server, open_fetcher: OpenFetcher, capfd: pytest.CaptureFixture[str]) -> None:
    fetcher = open_fetcher()
    for answer in (
        b"garbage",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \xff\r\n\r\n",
        CHUNKED + b"zz",
    ):
        fetch_by(fetcher, server.on("/a", raw(answer)), max_body=3)
    assert capfd.readouterr() == ("", "")
