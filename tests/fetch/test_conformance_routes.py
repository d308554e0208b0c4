"""Where every fetcher goes: the guard of addresses, TLS, HTTP/2 and proxies."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable, Iterator

import pytest
import trustme

from crawler.clock import since_boot
from crawler.fetch.fetcher import FetchError, FetchRequest, Response
from tests.fetch.conftest import OpenFetcher, fetch_by, has_ipv6, tls_context
from tests.fetch.hostile import old_tls, self_signed, weak_exchange, weak_key
from tests.servers import Call, Server, page, tunnel

# The guard


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "0",
        "localhost",
        "a.localhost",
        "127.9.9.9",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ],
)
def test_loopback_is_refused_in_every_spelling(server: Server, open_fetcher: OpenFetcher, host: str) -> None:
    result = fetch_by(open_fetcher(allow_private=False), server.url("/", host))
    assert isinstance(result, FetchError) and (result.kind, result.sent) == ("refused", False)
    assert server.connections == 0


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback")
def test_ipv6_loopback_is_refused_and_can_be_allowed(open_fetcher: OpenFetcher) -> None:
    with Server("::1") as server:
        fetcher = open_fetcher(allow_private=False)
        result = fetch_by(fetcher, server.url("/a"))
        assert isinstance(result, FetchError) and result.kind == "refused"
        fetcher.allow(frozenset({server.authority}))
        result = fetch_by(fetcher, server.url("/b"))
        assert isinstance(result, Response) and result.address == "::1"
        assert server.paths() == ["/b"]


def test_exactly_the_allowed_host_is_let_through(server: Server, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher(allow_private=False, allowed_hosts=frozenset({server.authority}))
    with Server() as other:
        assert isinstance(fetch_by(fetcher, server.url("/a")), Response)
        for url in (server.url("/b", "localhost"), other.url("/c")):
            result = fetch_by(fetcher, url)
            assert isinstance(result, FetchError) and result.kind == "refused"
        fetcher.allow(frozenset())  # what is already connected is no way around
        result = fetch_by(fetcher, server.url("/d"))
        assert isinstance(result, FetchError) and (result.kind, result.sent) == ("refused", False)
        fetcher.allow(frozenset({server.authority, other.authority}))
        assert isinstance(fetch_by(fetcher, other.url("/e")), Response)
    assert (server.paths(), other.paths()) == (["/a"], ["/e"])


# TLS


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[Server]:
    with Server(tls=tls_context(authority.issue_cert("localhost"))) as running:
        running.otherwise = page(b"secret")
        yield running


def test_an_unknown_authority_is_refused(tls_server: Server, open_fetcher: OpenFetcher) -> None:
    result = fetch_by(open_fetcher(), tls_server.url("/", "localhost"))
    assert isinstance(result, FetchError) and result.kind == "tls"
    assert tls_server.seen == []


def test_verification_can_be_turned_off(tls_server: Server, open_fetcher: OpenFetcher) -> None:
    result = fetch_by(open_fetcher(verify_tls=False), tls_server.url("/", "localhost"))
    assert isinstance(result, Response) and result.body == b"secret"


PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
MISFITS: dict[str, Callable[[trustme.CA], ssl.SSLContext]] = {
    "name": lambda authority: tls_context(authority.issue_cert("other.test")),
    "expired": lambda authority: tls_context(authority.issue_cert("localhost", not_after=PAST)),
    "self-signed": lambda _: self_signed(),
    "TLS 1.0": lambda authority: old_tls(authority.issue_cert("localhost")),
    "a key exchange of 1024 bits": lambda authority: weak_exchange(
        authority.issue_cert("localhost", key_type=trustme.KeyType.RSA)
    ),
    "a key of 1024 bits": lambda _: weak_key(),
}


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("misfit", MISFITS.values(), ids=MISFITS)
def test_tls_that_does_not_fit_is_refused_and_can_be_accepted(
    authority: trustme.CA, open_fetcher: OpenFetcher, misfit: Callable[[trustme.CA], ssl.SSLContext]
) -> None:
    with Server(tls=misfit(authority)) as server:
        server.otherwise = page(b"secret")
        result = fetch_by(open_fetcher(), server.url("/", "localhost"))
        assert isinstance(result, FetchError) and result.kind == "tls" and result.detail
        assert server.seen == []
        result = fetch_by(open_fetcher(verify_tls=False), server.url("/", "localhost"))
        assert isinstance(result, Response) and result.body == b"secret"


@pytest.mark.usefixtures("trusted")
def test_a_trusted_authority_is_accepted_and_connections_stay(tls_server: Server, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher()
    for path in ("/a", "/b"):
        result = fetch_by(fetcher, tls_server.url(path, "localhost"))
        assert isinstance(result, Response) and (result.body, result.address) == (b"secret", "127.0.0.1")
    assert tls_server.connections == 1


def test_tls_with_a_server_that_speaks_none(server: Server, open_fetcher: OpenFetcher) -> None:
    result = fetch_by(open_fetcher(), server.url("/").replace("http:", "https:"), timeout=0.5)
    assert isinstance(result, FetchError) and result.kind in ("tls", "timeout")


# HTTP/2


@pytest.mark.usefixtures("trusted")
def test_http2_is_spoken_where_the_engine_can(engine: str, h2_server: str, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher()
    result = fetch_by(fetcher, f"{h2_server}/version")
    assert isinstance(result, Response) and result.body == (b"2" if engine == "curl" else b"1.1")
    cut = fetch_by(fetcher, f"{h2_server}/big", max_body=1000)
    assert isinstance(cut, Response) and (len(cut.body), cut.truncated) == (1000, True)
    skipped = fetch_by(fetcher, f"{h2_server}/big", types=("text/html",))
    assert isinstance(skipped, Response) and skipped.skipped
    again = fetch_by(fetcher, f"{h2_server}/version")
    assert isinstance(again, Response) and again.status == 200


@pytest.mark.usefixtures("trusted")
def test_http2_can_be_turned_off(h2_server: str, open_fetcher: OpenFetcher) -> None:
    result = fetch_by(open_fetcher(http2=False), f"{h2_server}/version")
    assert isinstance(result, Response) and result.body == b"1.1"


@pytest.mark.usefixtures("trusted")
def test_many_over_http2(h2_server: str, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher(concurrency=20)
    fetch_by(fetcher, f"{h2_server}/version")
    for number in range(20):
        fetcher.submit(FetchRequest(f"{h2_server}/big?{number}"), str(number))
    sizes: list[int] = []
    while len(sizes) < 20 and (batch := fetcher.poll(10)):
        sizes += [len(result.body) for _, result in batch if isinstance(result, Response)]
    assert sizes == [100_000] * 20


# Proxies


@pytest.fixture
def proxy() -> Iterator[Server]:
    """A proxy that answers by itself what is asked in the open, and tunnels what is not."""

    def behaviour(call: Call) -> None:
        if call.seen.method == "CONNECT":
            tunnel(call)
        else:
            call.answer(b"by proxy")

    with Server() as running:
        running.otherwise = behaviour
        yield running


def test_a_proxy_is_used_for_http(server: Server, proxy: Server, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher(proxy=proxy.url().rstrip("/"), allow_private=False)
    result = fetch_by(fetcher, "http://example.test/a?b")
    assert isinstance(result, Response) and result.body == b"by proxy"
    assert [(seen.method, seen.target) for seen in proxy.seen] == [("GET", "http://example.test/a?b")]


@pytest.mark.usefixtures("trusted")
def test_a_proxy_is_used_for_https(tls_server: Server, proxy: Server, open_fetcher: OpenFetcher) -> None:
    fetcher = open_fetcher(proxy=proxy.url().rstrip("/"))
    for path in ("/a", "/b"):
        result = fetch_by(fetcher, tls_server.url(path, "localhost"))
        assert isinstance(result, Response) and result.body == b"secret"
        assert result.headers.get("proxy-agent") is None
    assert [(seen.method, seen.target) for seen in proxy.seen] == [("CONNECT", f"localhost:{tls_server.port}")]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "localhost", "169.254.169.254", "[::1]"])
def test_a_proxy_is_no_way_around_the_guard(proxy: Server, open_fetcher: OpenFetcher, host: str) -> None:
    fetcher = open_fetcher(proxy=proxy.url().rstrip("/"), allow_private=False)
    result = fetch_by(fetcher, f"http://{host}:9/")
    assert isinstance(result, FetchError) and (result.kind, result.sent) == ("refused", False)
    assert proxy.seen == []


def test_a_proxy_that_refuses(open_fetcher: OpenFetcher) -> None:
    with Server() as proxy:
        proxy.otherwise = page(b"no", 403)
        result = fetch_by(open_fetcher(proxy=proxy.url().rstrip("/")), "https://example.test/")
        assert isinstance(result, FetchError) and result.kind in ("connect", "protocol")


def test_the_environments_proxy_is_used_only_when_trusted(
    server: Server, proxy: Server, open_fetcher: OpenFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.otherwise = page(b"direct")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy.url().rstrip("/"))
    monkeypatch.setenv("no_proxy", "no.test")
    bodies = []
    for trust in (False, True):
        result = fetch_by(open_fetcher(trust_env=trust), server.url("/"))
        bodies.append(result.body if isinstance(result, Response) else b"")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    result = fetch_by(open_fetcher(trust_env=True), server.url("/"))
    assert bodies == [b"direct", b"by proxy"]
    assert isinstance(result, Response) and result.body == b"direct"


@pytest.mark.usefixtures("trusted")
def test_the_time_of_a_request_may_pass_while_connecting(tls_server: Server, open_fetcher: OpenFetcher) -> None:
    def slowly(call: Call) -> None:
        call.wait(0.3)
        tunnel(call)

    with Server() as proxy:
        proxy.otherwise = slowly
        fetcher = open_fetcher(proxy=proxy.url().rstrip("/"))
        result = fetch_by(fetcher, tls_server.url("/", "localhost"), not_after=since_boot() + 0.1)
        assert isinstance(result, FetchError) and result.kind == "expired"
    assert tls_server.seen == []
