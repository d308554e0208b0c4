"""Names and the addresses behind them: every fetcher connects to the very address that the guard has judged.

No resolver is asked: `socket.getaddrinfo` is replaced.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from crawler.fetch import curl, guard, names
from crawler.fetch.fetcher import Fetcher, FetcherOptions, FetchError, FetchRequest, FetchResult, Response
from tests.fetch.conftest import Fetch, OpenFetcher, fetch_by, has_ipv6
from tests.servers import Server, head, page, raw

NAME: Final = "rebind.test"
PRIVATE, PUBLIC, NOBODY = "127.0.0.1", "127.0.0.2", "127.0.0.3"
Resolve = Callable[[int, list[str]], None]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Let NAME have these addresses from now on; it is asked for with one port."""
    told: dict[int, list[str]] = {}

    def getaddrinfo(name: str, port: int | None, *_: object, **__: object) -> list[Any]:
        assert name == NAME
        port = port or next(iter(told))
        return [(_family(ip), socket.SOCK_STREAM, 0, "", (ip, port)) for ip in told[port]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return told.__setitem__


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


def test_a_name_that_changes_its_address_gains_nothing(
    resolve: Resolve, guarded: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when it is asked for the first time, private later."""
    monkeypatch.setattr(curl, "NAMES_KEPT", 0.0)
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
def test_a_resolver_that_fails(fetch: Fetch, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """SERVFAIL and its like: one failed fetch, and nothing was sent."""

    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "failed")

    monkeypatch.setattr(names, "_servers", lambda: [])
    monkeypatch.setattr(socket, "getaddrinfo", fails)
    result = fetch(f"http://{NAME}/")
    assert isinstance(result, FetchError) and (result.kind, result.sent, result.lack) == ("dns", False, "resolver")


def _results(fetcher: Fetcher, number: int) -> dict[str, FetchResult]:
    found: dict[str, FetchResult] = {}
    while len(found) < number and (batch := fetcher.poll(10)):
        found |= dict(batch)
    return found


def test_names_that_nobody_answers_for_hold_up_no_other(
    open_fetcher: OpenFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than any resolver has threads of its own; each ends by the time for connecting."""
    answer = threading.Event()

    def getaddrinfo(name: str, port: int | None, *_: object, **__: object) -> list[Any]:
        if name.startswith("lost"):
            assert answer.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (PRIVATE, port or 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    fetcher = open_fetcher(concurrency=64)
    with Server(PRIVATE) as server:
        for n in range(40):
            fetcher.submit(FetchRequest(server.url("/", f"lost{n}.test"), connect_timeout=2.0), str(n))
        fetcher.submit(FetchRequest(server.url("/good", NAME)), "good")
        assert [type(result) for result in _results(fetcher, 1).values()] == [Response]
        rest = _results(fetcher, 40)
        answer.set()
        kinds = [(result.kind, result.lack) for result in rest.values() if isinstance(result, FetchError)]
        assert kinds == [("timeout", "resolver")] * 40
        assert server.paths() == ["/good"]


def test_a_name_is_resolved_once_for_all_who_wait_and_those_who_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def getaddrinfo(name: str, port: int | None, *_: object, **__: object) -> list[Any]:
        asked.append(name)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (PRIVATE, port or 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    fetcher = curl.CurlFetcher(FetcherOptions(user_agent="test", concurrency=8, allow_private=True))
    with Server(PRIVATE) as server:
        for n in range(3):
            fetcher.submit(FetchRequest(server.url(f"/{n}", "dotted.test.")), str(n))
        fetcher.cancel("1")
        assert sorted(_results(fetcher, 2)) == ["0", "2"]
        fetcher.submit(FetchRequest(server.url("/3", "dotted.test.")), "3")
        assert isinstance(_results(fetcher, 1)["3"], Response)
        assert asked == ["dotted.test."]
    fetcher.close()
