"""Names and the addresses behind them: every fetcher connects to the very address that the guard has judged.

No resolver is asked: for one engine `socket.getaddrinfo` is replaced, the other is told the addresses by libcurl's own
option. What cannot be done so (a resolver that fails or hangs inside libcurl) is in docs/hostile.md.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pycurl
import pytest

from crawler.fetch import curl, guard
from crawler.fetch.fetcher import FetcherOptions, FetchError, Response
from crawler.fetch.requests import RequestsFetcher
from tests.fetch.conftest import Fetch, OpenFetcher, fetch_by, has_ipv6
from tests.servers import Server, head, page, raw

NAME: Final = "rebind.test"
PRIVATE, PUBLIC, NOBODY = "127.0.0.1", "127.0.0.2", "127.0.0.3"
Resolve = Callable[[int, list[str]], None]


@pytest.fixture
def resolve(engine: str, monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Let NAME have these addresses from now on; it is asked for with one port."""
    told: dict[int, list[str]] = {}
    patch = _tell_curl if engine == "curl" else _tell_python
    patch(told, monkeypatch)
    return told.__setitem__


def _tell_curl(told: dict[int, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    start = curl.Transfer.start

    def started(self: Any, *args: Any) -> None:
        start(self, *args)
        self.easy.setopt(pycurl.RESOLVE, [f"{NAME}:{port}:{','.join(ips)}" for port, ips in told.items()])

    monkeypatch.setattr(curl.Transfer, "start", started)


def _tell_python(told: dict[int, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(name: str, port: int, *_: object, **__: object) -> list[Any]:
        assert name == NAME
        return [(_family(ip), socket.SOCK_STREAM, 0, "", (ip, port)) for ip in told[port]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


@contextmanager
def two_sides() -> Iterator[tuple[Server, socket.socket]]:
    """A server at PUBLIC, and a listener on the same port of PRIVATE."""
    while True:
        with Server(PUBLIC) as server:
            try:
                private = socket.create_server((PRIVATE, server.port))
            except OSError:  # somebody has the port
                continue
            with private:
                private.setblocking(False)
                server.otherwise = raw(head(200, [("Connection", "close"), ("Content-Length", "6")]) + b"public")
                yield server, private
                return


def nobody_came(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return True
    return False


@pytest.fixture
def guarded(open_fetcher: OpenFetcher, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    """Fetch by a fetcher for which PUBLIC is an address like any other, though it is of loopback."""
    forbidden = guard.forbidden
    monkeypatch.setattr(guard, "forbidden", lambda ip: None if ip == PUBLIC else forbidden(ip))
    fetcher = open_fetcher(allow_private=False)
    return lambda url: fetch_by(fetcher, url)


def test_a_name_that_changes_its_address_gains_nothing(resolve: Resolve, guarded: Fetch) -> None:
    """DNS rebinding: public when it is asked for the first time, private later."""
    with two_sides() as (server, private):
        resolve(server.port, [PUBLIC])
        first = guarded(server.url("/a", NAME))
        resolve(server.port, [PRIVATE])
        second = guarded(server.url("/b", NAME))
        assert isinstance(first, Response) and (first.body, first.address) == (b"public", PUBLIC)
        assert isinstance(second, FetchError) and (second.kind, second.sent) == ("refused", False)
        assert (server.paths(), nobody_came(private)) == (["/a"], True)


@pytest.mark.parametrize("addresses", [[PRIVATE, PUBLIC], [PUBLIC, PRIVATE]])
def test_of_many_addresses_only_public_ones_are_used(resolve: Resolve, guarded: Fetch, addresses: list[str]) -> None:
    with two_sides() as (server, private):
        resolve(server.port, addresses)
        result = guarded(server.url("/a", NAME))
        assert isinstance(result, Response) and (result.body, result.address) == (b"public", PUBLIC)
        assert nobody_came(private)


def test_the_next_address_is_tried_where_nobody_listens(resolve: Resolve, fetch: Fetch) -> None:
    with Server(PUBLIC) as server:
        resolve(server.port, [NOBODY, PUBLIC])
        result = fetch(server.url("/a", NAME))
        assert isinstance(result, Response) and result.address == PUBLIC


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback")
def test_a_name_with_nothing_but_ipv6(resolve: Resolve, fetch: Fetch) -> None:
    with Server("::1") as server:
        server.otherwise = page(b"six")
        resolve(server.port, ["::1"])
        result = fetch(server.url("/a", NAME))
        assert isinstance(result, Response) and (result.body, result.address) == (b"six", "::1")


@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_NONAME, socket.EAI_FAIL])
def test_a_resolver_that_fails(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """SERVFAIL and its like: one failed fetch, and nothing was sent."""

    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "failed")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    fetcher = RequestsFetcher(FetcherOptions(user_agent="test", concurrency=2))
    result = fetch_by(fetcher, f"http://{NAME}/")
    fetcher.close()
    assert isinstance(result, FetchError) and (result.kind, result.sent) == ("dns", False)


def test_libcurl_resolves_beside_the_loop() -> None:
    """So that a slow resolver holds up one transfer, whose deadlines go on, and not the worker."""
    features = pycurl.version_info()[4]
    assert features & pycurl.VERSION_ASYNCHDNS
