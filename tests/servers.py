"""A web server for tests: threads and raw sockets on loopback, every byte under the test's hand.

    with Server() as server:
        server.on("/page", page(b"<p>hello", headers=[("ETag", '"1"')]))
        server.on("/odd", raw(head(200, [("Content-Length", "9")]) + b"short"))
        ... fetch server.url("/page") ...
        assert [seen.path for seen in server.seen] == ["/page"]

A behaviour is a callable that takes a `Call`: one request and its connection. When it returns, the connection waits for
the next request, unless the behaviour closed it. Paths are matched without their query; `server.otherwise` answers the
rest (404). `server.seen` records each request in the order of arrival, with the number of its connection (from 1).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

Pairs = Sequence[tuple[str, str]]

_REQUEST_LIMIT: Final = 64 * 1024
_IDLE: Final = 30.0
"""Seconds after which a connection that nobody uses is closed: no test waits so long."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came; header names are lower case, of one name the last value is kept in `headers`."""

    time: float
    """`time.monotonic()` when its header was complete."""
    connection: int
    method: str
    target: str
    """As in the request line: path and query, or a whole URL where the server plays a proxy."""
    headers: dict[str, str]
    lines: tuple[str, ...] = field(repr=False, default=())
    """The header lines as they came."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def host(self) -> str:
        return self.headers.get("host", "")


class Call:
    """One request that is being answered, and the connection to do it by."""

    def __init__(self, server: Server, sock: socket.socket, seen: Seen) -> None:
        self.server = server
        self.sock = sock
        self.seen = seen
        self.closed = False

    def send(self, data: bytes) -> None:
        """Send bytes as they are; a client that went away is no error, it ends the call."""
        try:
            self.sock.sendall(data)
        except OSError:
            self.close()
            raise ClientGone from None

    def answer(self, body: bytes = b"", status: int = 200, headers: Pairs = ()) -> None:
        """A plain answer with a Content-Length; *headers* come after it and Content-Type. To HEAD: without its body."""
        first = head(status, [("Content-Length", str(len(body))), *_typed(headers)])
        self.send(first if self.seen.method == "HEAD" else first + body)

    def wait(self, seconds: float) -> None:
        """Let time pass; ends the call at once when the server stops or the client hangs up."""
        self.sock.settimeout(0.01)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.server.stopping.wait(0.01):
            with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
                try:
                    gone = not self.sock.recv(1, 0 if isinstance(self.sock, ssl.SSLSocket) else socket.MSG_PEEK)
                except ConnectionError:
                    gone = True
                if gone:
                    self.close()
                    raise ClientGone
        self.sock.settimeout(_IDLE)
        if self.server.stopping.is_set():
            raise ClientGone

    def close(self) -> None:
        """Close the connection in order (FIN)."""
        self.closed = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def reset(self) -> None:
        """Break the connection (RST)."""
        self.closed = True
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class ClientGone(Exception):
    """The client hung up, or the server stops: the rest of a behaviour has no one to talk to."""


Behaviour = Callable[[Call], object]


class Server:
    """A server on *host* and a free port; with *tls* it speaks TLS. Use it as a context manager."""

    def __init__(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.stopping = threading.Event()
        self.otherwise: Behaviour = page(b"not here", status=404)
        self._tls = tls
        self._routes: dict[str, Behaviour] = {}
        self._news = threading.Condition()
        self._connections = 0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._listener.listen(256)
        self.port: int = self._listener.getsockname()[1]
        self.host = f"[{host}]" if ":" in host else host

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        with self._news:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    @property
    def authority(self) -> str:
        """Host and port: the politeness key of this server."""
        return f"{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections have been opened."""
        return self._connections

    def url(self, path: str = "/", host: str | None = None) -> str:
        """The URL of *path*, by another name or spelling of the *host* if wanted."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{host or self.host}:{self.port}{path}"

    def on(self, path: str, behaviour: Behaviour) -> str:
        """Answer *path* by *behaviour*; returns its URL."""
        self._routes[path] = behaviour
        return self.url(path)

    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [seen.path for seen in self.seen]

    def wait_for(self, count: int, seconds: float = 5.0) -> bool:
        """Wait until *count* requests have come in all; false if they do not within *seconds*."""
        with self._news:
            return self._news.wait_for(lambda: len(self.seen) >= count, seconds)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._news:
                if self.stopping.is_set():
                    sock.close()
                    return
                self._connections += 1
                self._open.add(sock)
                self._start(self._serve, sock, self._connections)

    def _serve(self, raw: socket.socket, number: int) -> None:
        sock = raw
        try:
            raw.settimeout(_IDLE)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                sock = self._tls.wrap_socket(raw, server_side=True)
                with self._news:
                    self._open.add(sock)
            while (seen := self._read(sock, number)) is not None:
                call = Call(self, sock, seen)
                self._routes.get(seen.path, self.otherwise)(call)
                if call.closed:
                    return
        except (OSError, ClientGone):
            pass
        finally:
            with self._news:
                self._open -= {raw, sock}
            sock.close()

    def _read(self, sock: socket.socket, number: int) -> Seen | None:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            piece = sock.recv(_REQUEST_LIMIT)
            data += piece
            if not piece or len(data) > _REQUEST_LIMIT:
                return None
        first, *lines = data.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        seen = Seen(time.monotonic(), number, method, target, headers, tuple(lines))
        with self._news:
            self.seen.append(seen)
            self._news.notify_all()
        return seen


# Answers


def _typed(headers: Pairs) -> list[tuple[str, str]]:
    typed = any(name.lower() == "content-type" for name, _ in headers)
    return list(headers) if typed else [("Content-Type", "text/html"), *headers]


def head(status: int = 200, headers: Pairs = (), reason: str = "Test") -> bytes:
    """A status line and header lines with the empty line after them."""
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a body with Transfer-Encoding chunked; of no bytes: the end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


# Behaviours


def page(body: bytes = b"", status: int = 200, headers: Pairs = ()) -> Behaviour:
    """A plain answer; the connection stays."""
    return lambda call: call.answer(body, status, headers)


def raw(*pieces: bytes, close: bool = True) -> Behaviour:
    """Bytes as they are, then by default the end of the connection."""

    def behaviour(call: Call) -> None:
        for piece in pieces:
            call.send(piece)
        if close:
            call.close()

    return behaviour


def drip(data: bytes, each: float = 0.05, before: bytes = b"") -> Behaviour:
    """*before* at once, then *data* byte by byte, one every *each* seconds."""

    def behaviour(call: Call) -> None:
        call.send(before)
        for byte in data:
            call.send(bytes([byte]))
            call.wait(each)

    return behaviour


def endless(piece: bytes, before: bytes) -> Behaviour:
    """*before*, then *piece* over and over until the client hangs up."""

    def behaviour(call: Call) -> None:
        call.send(before)
        while not call.server.stopping.is_set():
            call.send(piece)

    return behaviour


def once_a_connection(parties: int) -> Behaviour:
    """Answer one request of each connection and close it at the next; `/first` waits until *parties* have come.

    So that many connections idle at the same time, and all of them are dead as soon as they are used again.
    """
    together = threading.Barrier(parties)
    used: set[int] = set()

    def behaviour(call: Call) -> None:
        if call.seen.connection in used:
            return call.close()
        used.add(call.seen.connection)
        if call.seen.path == "/first":
            together.wait(5)
        return call.answer(b"body")

    return behaviour


def silence(call: Call) -> None:
    """Never answer."""
    call.wait(_IDLE)


def broken(data: bytes = b"") -> Behaviour:
    """*data*, then RST."""

    def behaviour(call: Call) -> None:
        call.send(data)
        call.reset()

    return behaviour


def tunnel(call: Call) -> None:
    """Play a proxy for CONNECT (RFC 9110 section 9.3.6): bytes go to and fro until one side ends."""
    host, _, port = call.seen.target.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=5) as far:
        call.send(b"HTTP/1.1 200 Connection established\r\nProxy-Agent: test\r\n\r\n")
        back = threading.Thread(target=_pump, args=(far, call.sock), daemon=True)
        back.start()
        _pump(call.sock, far)
        back.join(5)
    call.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
