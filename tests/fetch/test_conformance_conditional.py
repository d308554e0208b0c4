"""Conditional requests: what every fetcher sends, and what it makes of 304."""

from __future__ import annotations

import time

import pytest

from crawler.fetch.fetcher import FetchRequest, FetchResult, Response
from crawler.policy.validators import conditions, validators_of
from tests.fetch.conftest import Fetch, OpenFetcher, fetch_by
from tests.servers import Call, Server, chunk, head, page, raw

DATED = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
TYPES = ("text/",)


def origin(call: Call, tag: str = '"1"') -> None:
    """A page with both validators, which is not sent again to a client that has it."""
    known = call.seen.headers.get("if-none-match") == tag
    headers = [("ETag", tag), DATED]
    call.send(head(304, headers)) if known else call.answer(b"<p>page", headers=headers)


def status_of(result: FetchResult) -> int:
    assert isinstance(result, Response), result
    return result.status


@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', '"a,b:c;d"', '"!#$%&\'()*+-./"'])
def test_validators_go_back_as_they_came(server: Server, fetch: Fetch, tag: str) -> None:
    url = server.on("/", lambda call: origin(call, tag))
    first = fetch(url, types=TYPES)
    assert isinstance(first, Response)
    second = fetch(url, types=TYPES, headers=conditions(validators_of(first, int(time.time()))))
    assert isinstance(second, Response)
    assert (second.status, second.body, second.headers.get("etag")) == (304, b"", tag)
    assert (second.truncated, second.skipped) == (False, False)
    sent = server.seen[1].headers
    assert (sent["if-none-match"], sent["if-modified-since"]) == (tag, DATED[1])


def test_a_request_without_conditions_has_none_after_one_that_had_some(server: Server, fetch: Fetch) -> None:
    url = server.on("/", origin)
    assert [status_of(fetch(url, headers=headers)) for headers in ((("If-None-Match", '"1"'),), ())] == [304, 200]
    assert "if-none-match" not in server.seen[1].headers


BODY = b"<p>a body that 304 must not have"
ODD = {
    "the length of the page": head(304, [("Content-Length", "123456"), ("Content-Type", "text/html")]),
    "another type": head(304, [("Content-Length", "123456"), ("Content-Type", "image/png")]),
    "chunked without chunks": head(304, [("Transfer-Encoding", "chunked")]),
    "an encoding": head(304, [("Content-Encoding", "gzip"), ("Content-Length", "20")]),
    "no header at all": head(304),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_a_304_ends_with_its_header_and_leaves_the_connection_usable(
    server: Server, fetch: Fetch, answer: bytes
) -> None:
    server.on("/odd", raw(answer, close=False))
    server.on("/next", page(b"<p>next"))
    before = time.monotonic()
    result = fetch(server.url("/odd"), types=TYPES, headers=(("If-None-Match", '"1"'),))
    assert isinstance(result, Response)
    assert (result.status, result.body, result.truncated, result.skipped) == (304, b"", False, False)
    following = fetch(server.url("/next"))
    assert isinstance(following, Response)
    assert following.body == b"<p>next"
    assert time.monotonic() - before < 3
    assert [seen.connection for seen in server.seen] == [1, 1]


WITH_BODY = {
    "of its length": head(304, [("Content-Length", str(len(BODY)))]) + BODY,
    "chunked": head(304, [("Transfer-Encoding", "chunked")]) + chunk(BODY) + chunk(b""),
    "of no length": head(304) + BODY,
    "like an answer": head(304) + head(200, [("Content-Length", "4")]) + b"evil",
}


@pytest.mark.parametrize("answer", WITH_BODY.values(), ids=WITH_BODY)
def test_the_body_of_a_304_is_never_that_of_the_next_page(server: Server, fetch: Fetch, answer: bytes) -> None:
    server.on("/odd", raw(answer, close=False))
    server.on("/next", page(b"<p>next"))
    result = fetch(server.url("/odd"), headers=(("If-None-Match", '"1"'),))
    assert isinstance(result, Response)
    assert (result.status, result.body) == (304, b"")
    for _ in range(3):
        following = fetch(server.url("/next"))
        assert isinstance(following, Response)
        assert following.body == b"<p>next"


def test_a_304_that_nobody_asked_for_is_handed_back(server: Server, fetch: Fetch) -> None:
    assert status_of(fetch(server.on("/", raw(head(304, [("ETag", '"1"')]), close=False)))) == 304
    assert "if-none-match" not in server.seen[0].headers


def test_many_conditional_requests_at_once_keep_their_own_conditions(server: Server, open_fetcher: OpenFetcher) -> None:
    def answer(call: Call) -> None:
        call.send(head(304, [("ETag", call.seen.headers["if-none-match"])]))

    fetcher = open_fetcher()
    for n in range(8):
        url = server.on(f"/{n}", answer)
        fetcher.submit(FetchRequest(url, headers=(("If-None-Match", f'"{n}"'),), timeout=5.0), str(n))
    found: dict[str, str | None] = {}
    while len(found) < 8:
        results = fetcher.poll(5.0)
        assert results, "nothing came within five seconds"
        for ticket, result in results:
            assert isinstance(result, Response)
            found[ticket] = result.headers.get("etag")
    assert found == {str(n): f'"{n}"' for n in range(8)}


def test_no_cache_replaces_what_the_operator_says(server: Server, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher(headers=(("cache-control", "max-age=60"),))
    fetch_by(fetcher, server.on("/", page()), headers=(("Cache-Control", "no-cache"),))
    assert [line for line in server.seen[0].lines if line.lower().startswith("cache-control")] == [
        "Cache-Control: no-cache"
    ]


def test_http2_has_it_too(open_fetcher: OpenFetcher, h2_server: str) -> None:
    result = fetch_by(
        open_fetcher(verify_tls=False), f"{h2_server}/not-modified", headers=(("If-None-Match", 'W/"2"'),)
    )
    assert isinstance(result, Response)
    assert (result.status, result.body, result.headers.get("etag")) == (304, b"", 'W/"2"')
