"""Why a name does not resolve: what name servers say decides, not the code of the system's resolver."""

from __future__ import annotations

import errno
import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from crawler.fetch import machine, names
from crawler.fetch.fetcher import FetchError
from tests.cluster import wait_until
from tests.fetch.conftest import Fetch, OpenFetcher, fetch_by
from tests.machines import NameServer
from tests.servers import Server, page

GONE, THERE = "gone.example.test", "there.example.test"
Resolver = Callable[[int], None]


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """The only name server that resolv.conf names."""
    with NameServer(port=0) as running:
        running.names[THERE] = "192.0.2.1"
        monkeypatch.setattr(names, "_servers", lambda: [running.address])
        monkeypatch.setattr(names, "_PORT", running.port)
        yield running


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """Let the system's resolver fail with this code for every name; addresses stay addresses."""
    plain = socket.getaddrinfo

    def fail_with(code: int) -> None:
        def getaddrinfo(host: str, *args: object, **options: object) -> object:
            if host[-1].isdigit():
                return plain(host, *args, **options)  # type: ignore[arg-type]
            raise socket.gaierror(code, "failed")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return fail_with


def test_a_name_that_a_name_server_denies_is_absent(dns: NameServer, resolver: Resolver) -> None:
    resolver(socket.EAI_NONAME)
    assert (names.resolve(GONE), dns.asked) == ("absent", [GONE])


@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM, socket.EAI_MEMORY])
def test_a_resolver_that_could_not_ask_says_nothing_of_the_name(dns: NameServer, resolver: Resolver, code: int) -> None:
    resolver(code)
    assert (names.resolve(GONE), dns.asked) == ("silent", [])


def test_a_name_without_an_address_is_absent(dns: NameServer, resolver: Resolver) -> None:
    """No error and no record (NODATA): the name exists, for mail perhaps."""
    resolver(socket.EAI_NODATA)
    dns.names[GONE] = ""
    assert names.resolve(GONE) == "absent"


@pytest.mark.parametrize("mode", ["fails", "silent"])
def test_a_resolver_that_knows_of_no_name_server_is_not_believed(
    dns: NameServer, resolver: Resolver, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EAI_NONAME without a name server that says so: `hosts: files`, or a system that means "no network"."""
    monkeypatch.setattr(names, "_PATIENCE", 0.2)
    resolver(socket.EAI_NONAME)
    dns.mode = mode  # type: ignore[assignment]
    assert names.resolve(GONE) == "silent"


def test_a_name_that_name_servers_know_and_the_resolver_does_not_is_not_absent(
    dns: NameServer, resolver: Resolver
) -> None:
    resolver(socket.EAI_NONAME)
    assert names.resolve(THERE) == "silent"


@pytest.mark.parametrize("name", ["a..b", "a" * 64 + ".test", "x." * 130 + "test", "nothing.invalid", "INVALID."])
def test_what_can_be_no_name_is_absent_and_nobody_is_asked(dns: NameServer, name: str) -> None:
    assert (names.resolve(name), dns.asked) == ("absent", [])


def test_a_name_that_resolves_now_is_found() -> None:
    assert "127.0.0.1" in names.resolve("localhost")


def test_a_name_server_that_denies_a_name_is_there(dns: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_PATIENCE", 0.2)
    for mode, well in (("answers", True), ("fails", False), ("silent", False)):
        dns.mode = mode  # type: ignore[assignment]
        assert names.is_answered() == well
    assert len(set(dns.asked)) == 3  # it cannot know the answer from before


def test_answers_come_once_and_the_threads_end(
    dns: NameServer, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "_LINGER", 0.01)
    resolver(socket.EAI_NONAME)
    lookups = names.Lookups()
    found: dict[str, tuple[str, ...] | names.Nowhere] = {}
    for name in (GONE, "127.0.0.1", "x.onion"):
        lookups.ask(name)
    while len(found) < 3:
        assert select.select([lookups.bell], [], [], 10)[0]
        found |= dict(lookups.take())
    assert found == {GONE: "absent", "127.0.0.1": ("127.0.0.1",), "x.onion": "absent"}
    assert lookups.take() == []
    wait_until(lambda: all(thread.name != "names" for thread in threading.enumerate()), "no thread")
    lookups.close()
    lookups.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_a_proxy_does_is_told_from_what_a_host_does(open_fetcher: OpenFetcher, scheme: str) -> None:
    """407 in either way of asking, and a proxy that is not there: the proxy's; its 502 may be the host's."""
    with Server() as proxy:
        proxy.otherwise = page(b"", 407, [("Proxy-Authenticate", "Basic")])
        refused = fetch_by(open_fetcher(proxy=f"http://u:secret@{proxy.authority}"), f"{scheme}://example.test/")
        proxy.otherwise = page(b"", 502)
        broken = fetch_by(open_fetcher(proxy=f"http://u:secret@{proxy.authority}"), f"{scheme}://example.test/")
    absent = fetch_by(open_fetcher(proxy=f"http://u:secret@{proxy.authority}"), f"{scheme}://example.test/")
    assert isinstance(refused, FetchError) and refused.lack == "proxy"
    assert refused.detail == f"the proxy {proxy.authority} refuses us (407): it wants another name or password"
    assert getattr(broken, "lack", "") == ""
    assert isinstance(absent, FetchError) and (absent.lack, absent.sent) == ("proxy", False)
    assert absent.detail == f"the proxy {proxy.authority} cannot be reached: Connection refused"


def test_no_route_and_no_descriptor_are_this_machines_own() -> None:
    assert [machine.lack_of(number) for number in (errno.ENETUNREACH, errno.EMFILE, errno.ECONNREFUSED, None)] == [
        "network",
        "shortage",
        "",
        "",
    ]


def test_a_port_without_a_listener_is_the_hosts(fetch: Fetch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = fetch(f"http://127.0.0.1:{port}/")
    assert isinstance(result, FetchError) and (result.kind, result.lack, result.sent) == ("connect", "", False)
