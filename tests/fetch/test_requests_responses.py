"""`responses` mocks the requests engine: what it answers passes through all of ours that comes after the adapter."""

from __future__ import annotations

import gzip
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import responses
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth
from responses.matchers import header_matcher

from crawler.fetch.fetcher import FetcherOptions, FetchError, FetchRequest, FetchResult, Response
from crawler.fetch.requests import RequestsFetcher
from tests.fetch.conftest import fetch_by
from tests.servers import Call, Server, page

URL = "http://example.test/page"
Mocked = Callable[..., FetchResult]


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as running:
        yield running


@pytest.fixture
def fetch() -> Iterator[Mocked]:
    fetcher = RequestsFetcher(FetcherOptions(user_agent="test", concurrency=2))
    yield lambda url=URL, **limits: fetch_by(fetcher, url, **limits)
    fetcher.close()


@pytest.mark.parametrize("status", [200, 206, 404, 410, 429, 503, 999])
def test_status_headers_and_body_pass(mock: responses.RequestsMock, fetch: Mocked, status: int) -> None:
    mock.get(URL, body=b"<p>hello", status=status, headers={"ETag": '"1"'}, content_type="text/html; charset=utf-8")
    result = fetch()
    assert isinstance(result, Response)
    assert (result.status, result.body, result.url) == (status, b"<p>hello", URL)
    assert (result.headers.get("ETag"), result.content_type) == ('"1"', "text/html")
    assert 0 < result.first_byte <= result.elapsed


def test_the_request_is_the_one_we_send(mock: responses.RequestsMock, fetch: Mocked) -> None:
    mock.get(URL, body=b"")
    fetch(headers=(("If-None-Match", '"1"'),))
    sent = mock.calls[0].request
    assert sent.headers == {
        "User-Agent": "test",
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate, br",
        "If-None-Match": '"1"',
    }


@pytest.mark.parametrize("status", [200, 405])
def test_head_passes_without_a_body(mock: responses.RequestsMock, fetch: Mocked, status: int) -> None:
    mock.head(URL, body=b"<p>hello", status=status, headers={"Content-Encoding": "gzip"})
    result = fetch(method="HEAD", types=("text/",))
    assert isinstance(result, Response)
    assert (result.status, result.body, result.skipped, result.truncated) == (status, b"", False, False)


@pytest.mark.parametrize("location", ["/other", "http://[::1/", "", "mailto:a@b"])
def test_redirects_are_handed_back(mock: responses.RequestsMock, fetch: Mocked, location: str) -> None:
    mock.get(URL, status=301, headers={"Location": location}, body=b"moved")
    result = fetch()
    assert isinstance(result, Response)
    assert (result.status, result.headers.get("location"), result.body) == (301, location, b"moved")
    assert len(mock.calls) == 1


def test_a_redirect_in_bytes_keeps_them(mock: responses.RequestsMock, fetch: Mocked) -> None:
    mock.get(URL, status=301, headers={"Location": "/caf\xe9", "X-Name": "caf\xe9"})
    result = fetch(URL)
    assert isinstance(result, Response)
    assert (result.headers.get("location"), result.headers.get("x-name")) == ("/caf%E9", "café")


def test_limits_and_types_hold(mock: responses.RequestsMock, fetch: Mocked) -> None:
    mock.get(URL, body=b"x" * 100_000)
    mock.get("http://example.test/image", body=b"x" * 100_000, content_type="image/png")
    cut, skipped = fetch(max_body=1000), fetch("http://example.test/image", types=("text/",))
    assert isinstance(cut, Response) and (len(cut.body), cut.truncated) == (1000, True)
    assert isinstance(skipped, Response) and (skipped.body, skipped.skipped) == (b"", True)


def test_an_encoded_body_is_decoded(mock: responses.RequestsMock, fetch: Mocked) -> None:
    mock.get(URL, body=gzip.compress(b"hello"), headers={"Content-Encoding": "gzip"})
    mock.get("http://example.test/bad", body=b"hello", headers={"Content-Encoding": "gzip"})
    good, bad = fetch(), fetch("http://example.test/bad")
    assert isinstance(good, Response) and good.body == b"hello"
    assert isinstance(bad, FetchError) and bad.kind == "protocol"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (requests.exceptions.ConnectionError("gone"), "connect"),
        (requests.exceptions.ChunkedEncodingError("gone"), "connect"),
        (requests.exceptions.ConnectTimeout("slow"), "timeout"),
        (requests.exceptions.ReadTimeout("slow"), "timeout"),
        (requests.exceptions.SSLError("bad certificate"), "tls"),
        (requests.exceptions.InvalidURL("bad"), "protocol"),
        (ConnectionResetError("reset"), "connect"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "protocol"),
        (RuntimeError("unheard of"), "protocol"),
        (SystemExit("even this"), "protocol"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
def test_every_exception_becomes_a_value(
    mock: responses.RequestsMock, fetch: Mocked, error: BaseException, kind: str
) -> None:
    mock.get(URL, body=error)
    result = fetch()
    assert isinstance(result, FetchError) and result.kind == kind
    assert result.detail.strip() == result.detail != ""
    mock.get("http://example.test/next", body=b"next")  # the thread lives on
    assert isinstance(fetch("http://example.test/next"), Response)


def test_a_url_without_a_mock_is_a_lost_connection(fetch: Mocked) -> None:
    with responses.RequestsMock():
        result = fetch()
    assert isinstance(result, FetchError) and result.kind == "connect"


# A Session of one's own


def own(factory: Callable[[], requests.Session], **options: Any) -> RequestsFetcher:
    return RequestsFetcher(FetcherOptions(user_agent="test", concurrency=2, **options), factory)


def test_the_auth_of_a_session_is_used_and_the_guard_holds(server: Server) -> None:
    def protected(call: Call) -> None:
        if "authorization" in call.seen.headers:
            call.answer(b"welcome")
        else:
            call.answer(b"who?", 401, [("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')])

    def factory() -> requests.Session:
        session = requests.Session()
        session.auth = HTTPDigestAuth("me", "secret")
        return session

    url = server.on("/a", protected)
    fetcher = own(factory)
    refused = fetch_by(fetcher, url)
    fetcher.allow(frozenset({server.authority}))
    result = fetch_by(fetcher, url)
    fetcher.close()
    assert isinstance(refused, FetchError) and refused.kind == "refused"
    assert isinstance(result, Response) and (result.status, result.body) == (200, b"welcome")
    assert [seen.connection for seen in server.seen] == [1, 1]


def test_an_adapter_of_ones_own_is_kept() -> None:
    class Canned(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
            answer = requests.Response()
            answer.status_code, answer.request, answer.url = 200, request, str(request.url)
            answer.headers["Content-Type"] = "text/plain"
            answer.raw = io.BytesIO(b"canned")
            return answer

    def factory() -> requests.Session:
        session = requests.Session()
        session.mount("http://", Canned())
        return session

    fetcher = own(factory)
    result = fetch_by(fetcher, URL)
    fetcher.close()
    assert isinstance(result, Response)
    assert (result.status, result.content_type, result.body) == (200, "text/plain", b"canned")


def test_a_factory_that_fails_is_a_value() -> None:
    def factory() -> requests.Session:
        raise RuntimeError("no password")

    fetcher = own(factory)
    results = [fetch_by(fetcher, URL) for _ in range(3)]
    fetcher.close()
    assert [(r.kind, r.detail, r.sent) for r in results if isinstance(r, FetchError)] == [
        ("protocol", "no password", False)
    ] * 3


def test_a_resolver_that_hangs_holds_its_place_but_not_the_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.otherwise = page(b"ok")
    release = threading.Event()
    monkeypatch.setattr("crawler.fetch.requests_connection._resolve", lambda name, port: release.wait(10) and [])
    fetcher = RequestsFetcher(FetcherOptions(user_agent="test", concurrency=2, allow_private=True))
    result = fetch_by(fetcher, server.url("/"), connect_timeout=0.2)
    assert isinstance(result, FetchError) and (result.kind, result.sent) == ("timeout", False)
    assert fetcher.free == 1  # its thread is not back yet
    monkeypatch.undo()
    assert isinstance(fetch_by(fetcher, server.url("/")), Response)
    release.set()
    fetcher.close()
    assert fetcher.free == 2


def test_a_request_that_waits_for_a_thread_can_be_cancelled(server: Server) -> None:
    fetcher = RequestsFetcher(FetcherOptions(user_agent="test", concurrency=1, allow_private=True))
    fetcher.submit(FetchRequest(server.on("/a", lambda call: call.wait(20))), "a")
    assert server.wait_for(1)
    assert fetcher.cancel("a")
    result = fetch_by(fetcher, server.url("/b"))
    fetcher.close()
    assert isinstance(result, Response) and server.paths() == ["/a", "/b"]


def test_a_304_passes_with_its_headers_and_without_a_body(mock: responses.RequestsMock, fetch: Mocked) -> None:
    renewed = {"ETag": 'W/"2"', "Cache-Control": "max-age=60", "Vary": "*"}
    mock.get(URL, status=304, headers=renewed, match=[header_matcher({"If-None-Match": 'W/"1"'})])
    result = fetch(headers=(("If-None-Match", 'W/"1"'),), types=("text/",))
    assert isinstance(result, Response)
    assert (result.status, result.body, result.freshness, result.skipped) == (304, b"", 60, False)
    assert result.headers.get("etag") == 'W/"2"'
