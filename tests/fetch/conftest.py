"""Both engines, and servers for them.

`engine`        the engine's name: each test that uses it (or what follows) runs once for each
`open_fetcher`  opens a fetcher with the options given; loopback is let through unless said otherwise
`fetch`         fetches one URL by a fetcher that all calls of the test share, and hands back its result
`server`        a plain server (see tests.servers)
`authority`     a certificate authority that nobody trusts
`h2_server`     the URL of a server that speaks HTTP/2 and 1.1 over TLS and answers with the version it was asked in
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from crawler import fetch as engines
from crawler.fetch.fetcher import Fetcher, FetcherOptions, FetchRequest, FetchResult
from tests.servers import Server

OpenFetcher = Callable[..., Fetcher]
Fetch = Callable[..., FetchResult]


@pytest.fixture(params=engines.ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_fetcher(engine: str) -> Iterator[OpenFetcher]:
    opened: list[Fetcher] = []

    def open_(**options: Any) -> Fetcher:
        options = {"user_agent": "test", "concurrency": 8, "allow_private": True, **options}
        opened.append(engines.open_fetcher(engine, FetcherOptions(**options)))
        return opened[-1]

    yield open_
    for fetcher in opened:
        fetcher.close()


@pytest.fixture
def fetch(open_fetcher: OpenFetcher) -> Fetch:
    fetcher = open_fetcher()
    return lambda url, **limits: fetch_by(fetcher, url, **limits)


def fetch_by(fetcher: Fetcher, url: str, **limits: Any) -> FetchResult:
    """Fetch one URL; *limits* are fields of its FetchRequest."""
    fetcher.submit(FetchRequest(url, **{"timeout": 5.0, **limits}), "the one")
    results = fetcher.poll(10)
    assert [ticket for ticket, _ in results] == ["the one"]
    return results[0][1]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def tls_context(certificate: trustme.LeafCert, *protocols: str) -> ssl.SSLContext:
    """The server's side of TLS with *certificate*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@pytest.fixture(scope="session")
def h2_server(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("h2")
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    with socket.create_server(("127.0.0.1", 0)) as listener:  # those who come early wait in its queue
        fd, port = listener.fileno(), listener.getsockname()[1]
        command = [sys.executable, str(Path(__file__).with_name("h2_app.py"))]
        arguments = [str(folder / "cert.pem"), str(folder / "key.pem"), str(fd)]
        process = subprocess.Popen([*command, *arguments], pass_fds=[fd])
    yield f"https://localhost:{port}"
    process.terminate()
    process.wait(10)


@pytest.fixture
def trusted(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For this test the authority is one that fetchers trust."""
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
