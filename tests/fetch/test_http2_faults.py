"""Servers whose HTTP/2 is at fault, and what libcurl would do by itself about requests that a server refuses."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest
import trustme

from crawler.fetch.curl import CurlFetcher
from crawler.fetch.fetcher import Fetcher, FetcherOptions, FetchError, Response
from tests.fetch.conftest import fetch_by, tls_context

INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 2, 7, 8, 11
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok"

Fault = Callable[["Connection", int], None]


class Connection:
    """One connection by HTTP/2."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.state.initiate_connection()

    def answer(self, stream: int) -> None:
        self.state.send_headers(stream, [(":status", "200"), ("content-length", "2"), ("content-type", "text/html")])
        self.state.send_data(stream, b"ok", end_stream=True)

    def serve(self, fault: Fault, note: Callable[[str], None]) -> None:
        self.sock.sendall(self.state.data_to_send())
        while data := self.sock.recv(65536):
            for event in self.state.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    note("2")
                    fault(self, event.stream_id)
            self.sock.sendall(self.state.data_to_send())


class Faulty:
    """A server of HTTP/1.1, which works, and HTTP/2, which does *fault* to each request; `asked` has the versions."""

    def __init__(self, context: ssl.SSLContext, fault: Fault) -> None:
        self.asked: list[str] = []
        self.fault = fault
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}/a"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._open.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        gone = (OSError, h2.exceptions.ProtocolError)
        with contextlib.suppress(*gone), self._context.wrap_socket(plain, server_side=True) as sock:
            if sock.selected_alpn_protocol() == "h2":
                return Connection(sock).serve(lambda *of: self.fault(*of), self.asked.append)
            while sock.recv(65536):
                self.asked.append("1.1")
                sock.sendall(OK)


@pytest.fixture
def faulty(authority: trustme.CA) -> Iterator[Callable[[Fault], Faulty]]:
    servers: list[Faulty] = []

    def start(fault: Fault) -> Faulty:
        context = tls_context(authority.issue_cert("localhost"), "h2", "http/1.1")
        servers.append(Faulty(context, fault))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def fetcher() -> Iterator[CurlFetcher]:
    opened = CurlFetcher(FetcherOptions(user_agent="test", concurrency=4, allow_private=True, verify_tls=False))
    yield opened
    opened.close()


def resets(code: int) -> Fault:
    return lambda connection, stream: connection.state.reset_stream(stream, code)


def goes_away(last: int | None = None, code: int = 0) -> Fault:
    return lambda connection, _: connection.state.close_connection(code, last_stream_id=last)


def breaks_off(connection: Connection, stream: int) -> None:
    connection.state.send_headers(stream, [(":status", "200"), ("content-type", "text/html")])
    connection.state.send_data(stream, b"half of")
    connection.state.reset_stream(stream, INTERNAL_ERROR)


def sends(frame: bytes) -> Fault:
    return lambda connection, _: connection.sock.sendall(connection.state.data_to_send() + frame)


FAULTS: dict[str, Fault] = {
    "internal error": resets(INTERNAL_ERROR),
    "protocol error": resets(1),
    "cancel": resets(CANCEL),
    "no error": resets(0),
    "reset within the body": breaks_off,
    "goaway with an error": goes_away(0, INTERNAL_ERROR),
    "a frame too large": sends(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"a" * 20_000),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_host_whose_http2_is_at_fault_is_asked_by_http1_from_then_on(
    faulty: Callable[[Fault], Faulty], fetcher: Fetcher, fault: Fault
) -> None:
    server = faulty(fault)
    for _ in range(3):
        result = fetch_by(fetcher, server.url)
        assert isinstance(result, Response) and result.body == b"ok"
    assert server.asked == ["2", "1.1", "1.1", "1.1"]
    other = faulty(Connection.answer)
    assert isinstance(fetch_by(fetcher, other.url), Response) and other.asked == ["2"]


def test_broken_frames_that_hang_cost_one_timeout(faulty: Callable[[Fault], Faulty], fetcher: Fetcher) -> None:
    """libcurl waits for the server to close; the next request goes by HTTP/1.1."""
    server = faulty(sends(b"\x00\x00\x04\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
    first = fetch_by(fetcher, server.url, timeout=0.7)
    assert isinstance(first, FetchError) and first.kind == "timeout"
    assert isinstance(fetch_by(fetcher, server.url), Response)
    assert server.asked == ["2", "1.1"]


def test_http1_that_fails_too_says_what_failed(faulty: Callable[[Fault], Faulty], fetcher: Fetcher) -> None:
    server = faulty(resets(INTERNAL_ERROR))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "OK", b"nonsense\r\n\r\n")
        result = fetch_by(fetcher, server.url)
    assert isinstance(result, FetchError) and result.kind == "protocol"
    assert server.asked == ["2", "1.1"]


def test_hosts_that_keep_to_http1_are_bounded(
    faulty: Callable[[Fault], Faulty], fetcher: CurlFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawler.fetch.curl._MAX_HTTP1_HOSTS", 2)
    for _ in range(4):
        fetch_by(fetcher, faulty(resets(INTERNAL_ERROR)).url)
    assert len(fetcher._http1) == 2


REFUSALS: dict[str, Fault] = {"refused stream": resets(REFUSED_STREAM), "goaway": goes_away(0)}


@pytest.mark.parametrize("fault", REFUSALS.values(), ids=REFUSALS)
def test_a_request_that_is_refused_is_sent_once(
    faulty: Callable[[Fault], Faulty], fetcher: Fetcher, fault: Fault
) -> None:
    """libcurl would send it six times at once; when to ask again is for the host's delay to say."""
    server = faulty(fault)
    for number in (1, 2, 3):
        result = fetch_by(fetcher, server.url)
        assert isinstance(result, FetchError) and (result.kind, result.sent) == ("connect", True)
        assert server.asked == ["2"] * number


def test_a_server_that_asks_to_slow_down_is_not_asked_again_at_once(
    faulty: Callable[[Fault], Faulty], fetcher: Fetcher
) -> None:
    server = faulty(resets(ENHANCE_YOUR_CALM))
    result = fetch_by(fetcher, server.url)
    assert isinstance(result, FetchError) and result.kind == "connect" and server.asked == ["2"]


def test_a_connection_that_ends_in_order_as_it_is_used_again_costs_nothing(
    faulty: Callable[[Fault], Faulty], fetcher: Fetcher
) -> None:
    """Servers send GOAWAY after some number of requests. One that came later was not taken, and is sent anew."""

    def once(connection: Connection, stream: int) -> None:
        connection.answer(stream) if stream == 1 else connection.state.close_connection(0, last_stream_id=1)

    server = faulty(once)
    for _ in range(3):
        assert isinstance(fetch_by(fetcher, server.url), Response)
    assert server.asked == ["2"] * 5


def test_a_used_connection_does_not_let_a_refusal_repeat(faulty: Callable[[Fault], Faulty], fetcher: Fetcher) -> None:
    server = faulty(Connection.answer)
    assert isinstance(fetch_by(fetcher, server.url), Response)
    server.fault = resets(REFUSED_STREAM)
    assert isinstance(fetch_by(fetcher, server.url), FetchError)
    assert server.asked == ["2"] * 3  # once more, as the used connection might have been a dead one


@pytest.mark.parametrize("length", [None, "2", "100000"])
def test_a_body_sent_to_head_is_no_fault(
    faulty: Callable[[Fault], Faulty], fetcher: Fetcher, length: str | None
) -> None:
    """HTTP/2 forbids it (RFC 9113 section 8.1.1); the header is there all the same."""

    def answers(connection: Connection, stream: int) -> None:
        lengths = [] if length is None else [("content-length", length)]
        connection.state.send_headers(stream, [(":status", "200"), ("content-type", "text/html"), *lengths])
        connection.state.send_data(stream, b"ok", end_stream=True)

    server = faulty(answers)
    for _ in range(3):
        result = fetch_by(fetcher, server.url, method="HEAD")
        assert isinstance(result, Response) and (result.status, result.body, result.truncated) == (200, b"", False)
    assert server.asked == ["2", "2", "2"]


def test_head_whose_stream_is_reset_after_the_header_has_its_answer(
    faulty: Callable[[Fault], Faulty], fetcher: Fetcher
) -> None:
    server = faulty(breaks_off)
    result = fetch_by(fetcher, server.url, method="HEAD")
    assert isinstance(result, Response) and result.status == 200 and server.asked == ["2"]
