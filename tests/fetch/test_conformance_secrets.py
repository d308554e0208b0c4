"""What may be a secret, in the access logs of servers: each engine sends it to the origins it is for, to no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crawler.fetch.fetcher import FetcherOptions, FetchError, FetchRequest, Response
from crawler.fetch.request_headers import own_headers, request_headers
from crawler.headers import OriginHeader
from tests.fetch.conftest import OpenFetcher, fetch_by, tls_context
from tests.fetch.hostile import self_signed
from tests.servers import Call, Server, page, tunnel

SECRET = "Bearer s3cr3t"


def bound(*origins: str, name: str = "Authorization", value: str = SECRET) -> OriginHeader:
    return OriginHeader(name, value, frozenset(origins))


def shown(server: Server) -> list[str]:
    """Whatever a server saw of the secret."""
    return [line for seen in server.seen for line in seen.lines if "s3cr3t" in line]


def test_a_secret_goes_to_its_origin_alone_whatever_was_asked_before(server: Server, open_fetcher: OpenFetcher) -> None:
    """One handle, one session and kept connections serve all: nothing stays from one request to the next."""
    server.otherwise = page(b"ok")
    with Server("127.0.0.2") as other, Server() as port:
        fetcher = open_fetcher(origin_headers=(bound(server.url("")),), concurrency=1)
        urls = [server.url("/a"), other.url("/a"), server.url("/b"), port.url("/a"), server.url("/c", "localhost")]
        for url in [*urls, *urls]:
            assert isinstance(fetch_by(fetcher, url), Response)
        assert shown(other) == shown(port) == []
    had = [seen.path for seen in server.seen if seen.headers.get("authorization") == SECRET]
    assert had == ["/a", "/b", "/a", "/b"]


def test_a_secret_for_https_does_not_go_by_http(server: Server, open_fetcher: OpenFetcher) -> None:
    with Server(tls=self_signed()) as secure:
        fetcher = open_fetcher(origin_headers=(bound(secure.url("")),), verify_tls=False)
        for url in (secure.url("/"), server.url("/")):
            assert isinstance(fetch_by(fetcher, url), Response)
        assert len(shown(secure)) == 1
    assert shown(server) == []
    options = FetcherOptions("test", origin_headers=(bound("https://a.example"),))
    assert own_headers(options, FetchRequest("https://a.example/x")) == (("Authorization", SECRET),)
    for url in ("http://a.example/", "https://a.example:8443/", "https://b.a.example/", "https://a.example.b/"):
        assert own_headers(options, FetchRequest(url)) == ()


@pytest.mark.parametrize("name", ["Host", "Proxy-Authorization", "Cookie", "X-Own"])
def test_any_name_can_be_bound(server: Server, open_fetcher: OpenFetcher, name: str) -> None:
    with Server("127.0.0.2") as other:
        fetcher = open_fetcher(origin_headers=(bound(server.url(""), name=name, value="s3cr3t.example"),))
        for url in (server.url("/"), other.url("/")):
            assert isinstance(fetch_by(fetcher, url), Response)
        assert shown(other) == []
    assert shown(server) == [f"{name}: s3cr3t.example"]


def test_cookies_of_a_request_join_those_of_the_operator(server: Server, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher(origin_headers=(bound(server.url(""), name="cookie", value="a=1; b=1"),))
    fetch_by(fetcher, server.url("/"), headers=(("Cookie", "b=2"),))
    fetch_by(fetcher, server.url("/"))
    assert [seen.headers["cookie"] for seen in server.seen] == ["a=1; b=2", "a=1; b=1"]
    lines = request_headers((("A", "1"),), "*/*", (("a", "2"), ("Cookie", "c\r\nX: y")))
    assert lines == {"Accept": "*/*", "a": "2", "Cookie": "cX: y"}


# Proxies


@pytest.fixture
def proxy() -> Iterator[Server]:
    def behaviour(call: Call) -> None:
        tunnel(call) if call.seen.method == "CONNECT" else call.answer(b"by proxy")

    with Server() as running:
        running.otherwise = behaviour
        yield running


@pytest.fixture
def secure(authority: object) -> Iterator[Server]:
    context = tls_context(authority.issue_cert("localhost"))  # type: ignore[attr-defined]
    with Server(tls=context) as running:
        running.otherwise = page(b"secret")
        yield running


@pytest.mark.usefixtures("trusted")
def test_a_proxys_password_goes_to_the_proxy_and_a_pages_secret_through_the_tunnel(
    proxy: Server, secure: Server, open_fetcher: OpenFetcher
) -> None:
    url = secure.url("/", "localhost")
    fetcher = open_fetcher(proxy=f"http://me:hunter2@{proxy.authority}", origin_headers=(bound(url[:-1]),))
    for asked in (url, "http://example.test/", url):
        assert isinstance(fetch_by(fetcher, asked), Response)
    assert {seen.headers.get("authorization") for seen in secure.seen} == {SECRET}
    assert not any("proxy-authorization" in seen.headers for seen in secure.seen)
    assert shown(proxy) == []
    assert {seen.method for seen in proxy.seen} == {"CONNECT", "GET"}
    assert all(seen.headers["proxy-authorization"].startswith("Basic ") for seen in proxy.seen)


def test_a_proxys_password_stays_away_from_hosts_that_are_asked_directly(
    proxy: Server, server: Server, open_fetcher: OpenFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One handle and one session go through the proxy and past it."""
    monkeypatch.setenv("http_proxy", f"http://me:hunter2@{proxy.authority}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    fetcher = open_fetcher(trust_env=True, concurrency=1)
    for url in ("http://example.test/", server.url("/"), "http://example.test/", server.url("/")):
        assert isinstance(fetch_by(fetcher, url), Response)
    assert len(server.seen) == 2
    assert not any("proxy-authorization" in seen.headers for seen in server.seen)
    assert all("proxy-authorization" in seen.headers for seen in proxy.seen)


@pytest.mark.parametrize(
    "host",
    [
        *("metadata.google.internal", "ip6-localhost", "metadata", "printer.local", "nas.home.arpa", "wiki.corp"),
        *("127.0.0.1.nip.io", "app-10-0-0-1.sslip.io", "7f000001.nip.io", "--1.sslip.io", "a.localtest.me"),
        *("10.0.0.1.unknown.example", "localhost.localdomain"),
    ],
)
def test_a_name_that_means_a_private_place_is_not_given_to_a_proxy(
    proxy: Server, open_fetcher: OpenFetcher, host: str
) -> None:
    address = f"http://{proxy.authority}"
    result = fetch_by(open_fetcher(proxy=address, allow_private=False), f"http://{host}:81/")
    assert isinstance(result, FetchError) and (result.kind, result.sent) == ("refused", False)
    assert host in result.detail
    assert proxy.seen == []
    for allowed in ({"allow_private": True}, {"allow_private": False, "allowed_hosts": frozenset({f"{host}:81"})}):
        assert isinstance(fetch_by(open_fetcher(proxy=address, **allowed), f"http://{host}:81/"), Response)
    assert len(proxy.seen) == 2
