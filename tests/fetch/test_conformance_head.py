"""HEAD and ranges, alike for both engines: the header alone, and connections that stay usable."""

from __future__ import annotations

import gzip
import socket
import time

import pytest

from crawler.fetch.fetcher import FetchError, FetchRequest, Response
from tests.fetch.conftest import Fetch, OpenFetcher, fetch_by
from tests.fetch.hostile import encoded
from tests.servers import Behaviour, Call, Server, broken, chunk, drip, head, page, raw, silence

CHUNKED = [("Transfer-Encoding", "chunked")]

HEADERS: dict[str, bytes] = {
    "a length": head(200, [("Content-Length", "100000")]),
    "no length": head(200, [("Content-Type", "text/html")]),
    "length 0": head(200, [("Content-Length", "0")]),
    "chunked": head(200, CHUNKED),
    "gzip": head(200, [("Content-Encoding", "gzip"), ("Content-Length", "900")]),
    "an encoding that nobody asked for": head(200, [("Content-Encoding", "zstd")]),
    "an image": head(200, [("Content-Type", "image/png"), ("Content-Length", "5000000")]),
    "a redirect": head(301, [("Location", "/b"), ("Content-Length", "7")]),
    "an error": head(404, [("Content-Length", "120")]),
    "an error, chunked": head(503, CHUNKED),
    "interim answers": head(103, [("Link", "</a.css>")]) + head(200, [("Content-Length", "5")]),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_head_ends_with_the_header_and_the_connection_stays(server: Server, fetch: Fetch, header: bytes) -> None:
    server.on("/a", raw(header, close=False))
    server.on("/b", page(b"b"))
    status = int(header.rpartition(b"HTTP/1.1 ")[2][:3])
    for _ in range(2):
        started = time.monotonic()
        result = fetch(server.url("/a"), method="HEAD", types=("text/html",))
        assert isinstance(result, Response) and time.monotonic() - started < 2
        assert (result.status, result.body, result.truncated, result.skipped) == (status, b"", False, False)
        after = fetch(server.url("/b"))
        assert isinstance(after, Response) and after.body == b"b"
    assert [seen.method for seen in server.seen] == ["HEAD", "GET"] * 2
    assert server.connections == 1


def test_the_request_of_head_bears_the_same_header(server: Server, fetch: Fetch) -> None:
    fetch(server.url("/a"), headers=(("X-A", "1"),))
    fetch(server.url("/a"), headers=(("X-A", "1"),), method="HEAD")
    get, by_head = server.seen
    assert get.headers == by_head.headers and (get.target, by_head.method) == (by_head.target, "HEAD")


BODY = head(200, [("Content-Length", "4")]) + b"EVIL"


@pytest.mark.parametrize(
    "sent", [BODY, head(200, CHUNKED) + chunk(b"EVIL") + chunk(b""), head(404) + b"EVIL"], ids=repr
)
def test_a_body_sent_to_head_is_never_read(server: Server, fetch: Fetch, sent: bytes) -> None:
    server.on("/a", raw(sent, close=False))
    server.on("/b", page(b"b"))
    for _ in range(2):
        result = fetch(server.url("/a"), method="HEAD")
        assert isinstance(result, Response) and (result.status in (200, 404), result.body) == (True, b"")
        after = fetch(server.url("/b"))
        assert isinstance(after, Response) and after.body == b"b"


def test_a_body_sent_late_to_head_is_not_the_next_answer(server: Server, fetch: Fetch) -> None:
    """It comes when the next request is under way on that connection: that is made again on another one."""

    def late(call: Call) -> None:
        if call.seen.method == "HEAD":
            call.send(head(200, [("Content-Length", "5")]))
            call.sock.recv(1, socket.MSG_PEEK)  # the next request
            call.send(b"hello")
        else:
            call.answer(b"hello")

    server.on("/b", page(b"b"))
    assert isinstance(fetch(server.on("/a", late), method="HEAD"), Response)
    after = fetch(server.url("/b"))
    assert isinstance(after, Response) and after.body == b"b"
    assert server.connections == 2


def test_old_http_closes_after_head(server: Server, fetch: Fetch) -> None:
    old = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n"
    for _ in range(2):
        result = fetch(server.on("/a", raw(old)), method="HEAD")
        assert isinstance(result, Response) and (result.status, result.truncated) == (200, False)
    assert server.connections == 2


@pytest.mark.parametrize("behaviour", [broken(), raw(b""), raw(b"HTTP/1.1 200 OK\r\n"), raw(b"nonsense\r\n\r\n")])
def test_head_may_fail(server: Server, fetch: Fetch, behaviour: Behaviour) -> None:
    result = fetch(server.on("/a", behaviour), method="HEAD")
    assert isinstance(result, FetchError) and result.sent
    assert isinstance(fetch(server.url("/b")), Response)


def test_head_may_go_without_an_answer(server: Server, fetch: Fetch) -> None:
    result = fetch(server.on("/a", silence), method="HEAD", first_byte_timeout=0.2)
    assert isinstance(result, FetchError) and (result.kind, result.sent) == ("timeout", True)


def test_head_and_get_at_once(server: Server, open_fetcher: OpenFetcher) -> None:
    server.otherwise = lambda call: call.answer(b"") if call.seen.method == "HEAD" else call.answer(b"body")
    fetcher = open_fetcher(concurrency=4)
    for number in range(12):
        while fetcher.free == 0:
            check(fetcher.poll(5))
        fetcher.submit(FetchRequest(server.url("/a"), method="HEAD" if number % 2 else "GET"), str(number))
    while batch := fetcher.poll(5):
        check(batch)
    assert len(server.seen) == 12 and server.connections <= 4


def check(batch: list[tuple[str, Response | FetchError]]) -> None:
    for ticket, result in batch:
        assert isinstance(result, Response) and result.body == (b"" if int(ticket) % 2 else b"body")


@pytest.mark.usefixtures("trusted")
def test_head_over_http2(h2_server: str, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher()
    for _ in range(2):
        result = fetch_by(fetcher, f"{h2_server}/big", method="HEAD")
        assert isinstance(result, Response) and (result.status, result.body, result.truncated) == (200, b"", False)
        after = fetch_by(fetcher, f"{h2_server}/big")
        assert isinstance(after, Response) and len(after.body) == 100_000


# Ranges

FIRST = (("Range", "bytes=0-9"),)


def test_a_range_that_is_served_is_a_part(server: Server, fetch: Fetch) -> None:
    result = fetch(server.on("/a", page(b"0123456789", 206, [("Content-Range", "bytes 0-9/100")])), headers=FIRST)
    assert isinstance(result, Response)
    assert (result.status, result.body, result.truncated) == (206, b"0123456789", True)
    assert server.seen[0].headers["range"] == "bytes=0-9"


def test_a_part_of_a_compressed_body_is_decoded_as_far_as_it_goes(server: Server, fetch: Fetch) -> None:
    part = gzip.compress(bytes(range(256)) * 100)[:200]
    result = fetch(server.on("/a", page(part, 206, [("Content-Encoding", "gzip")])), headers=FIRST)
    assert isinstance(result, Response) and (result.status, result.truncated) == (206, True)


def test_a_range_that_does_not_fit_is_an_answer(server: Server, fetch: Fetch) -> None:
    result = fetch(server.on("/a", page(b"", 416, [("Content-Range", "bytes */0")])), headers=FIRST)
    assert isinstance(result, Response) and result.status == 416


def test_a_range_that_is_ignored_is_cut_at_once(server: Server, fetch: Fetch) -> None:
    endless = drip(b"x" * 1000, before=head(200, [("Content-Length", "1000000")]) + b"x" * 2000)
    started = time.monotonic()
    result = fetch(server.on("/a", endless), headers=FIRST, max_body=1024)
    assert isinstance(result, Response) and (result.status, len(result.body), result.truncated) == (200, 1024, True)
    assert time.monotonic() - started < 3
    after = fetch(server.on("/b", page(b"b")))
    assert isinstance(after, Response) and after.body == b"b"


# A body that does not matter


def then_nothing(data: bytes) -> Behaviour:
    """*data*, and then the connection stays open without a word."""

    def behaviour(call: Call) -> None:
        call.send(data)
        call.wait(20)

    return behaviour


FAILING: dict[str, Behaviour] = {
    "never comes": then_nothing(head(200, [("Content-Length", "100")])),
    "too short": raw(head(200, [("Content-Length", "100")]) + b"short"),
    "reset": broken(head(200, [("Content-Length", "100")]) + b"short"),
    "stops": then_nothing(head(200, CHUNKED) + chunk(b"data: 1")),
    "not encoded": encoded("gzip", b"not gzip at all"),
    "chunks": raw(head(200, CHUNKED) + b"zz\r\nhello\r\n"),
    "an encoding that nobody asked for": encoded("zstd", b"\x28\xb5\x2f\xfd"),
}


@pytest.mark.parametrize("behaviour", FAILING.values(), ids=FAILING)
def test_a_body_that_fails_may_be_enough(server: Server, fetch: Fetch, behaviour: Behaviour) -> None:
    url = server.on("/a", behaviour)
    assert isinstance(fetch(url, timeout=0.5), FetchError)
    result = fetch(url, timeout=0.5, body_may_fail=True)
    assert isinstance(result, Response) and (result.status, result.truncated) == (200, True)
    assert isinstance(fetch(server.url("/b")), Response)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", b"nonsense\r\n\r\n"])
def test_without_a_header_it_is_a_failure_all_the_same(server: Server, fetch: Fetch, answer: bytes) -> None:
    assert isinstance(fetch(server.on("/a", raw(answer)), body_may_fail=True), FetchError)
