"""The connections of the `requests` engine: http.client and urllib3, mended where a crawler needs more.

- A connection resolves, asks the guard about each address, and connects to exactly the one that was judged.
- The target of a request is that of its URL, byte by byte.
- Interim answers (102, 103) are passed over: http.client skips 100 alone, so that each URL got the page before it.
- Headers have the bounds of `answer`, not http.client's hundred lines.
- Bytes after the end of a body end the connection: they would be read as the answer to the next request.
- Another thread can end a connection at a deadline (`Exchange.stop`), in whatever call it blocks.

Which request a connection works for is known by its thread: `working` names it.
"""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError

from crawler import url as urls
from crawler.errors import without_credentials
from crawler.fetch import machine, names
from crawler.fetch.answer import MAX_LINE_BYTES, Answer, BadAnswer
from crawler.fetch.fetcher import FailureKind, FetchError, FetchRequest, Headers, Lack
from crawler.fetch.guard import Guard
from crawler.fetch.request_headers import proxy_shown

_CHUNK_LINE: Final = 1025
"""Bytes read of a line with a chunk's size: it must end within them, extensions and all."""

_thread = threading.local()


class Stopped(OSError):
    """The exchange was ended from outside, or may not go on: `Exchange.fault` says why."""


class Transfer:
    """One request under way: what its connection asks and tells, seen by its own thread and by the one that polls."""

    def __init__(self, request: FetchRequest, ticket: str, guard: Guard) -> None:
        self.request = request
        self.ticket = ticket
        self.guard = guard
        self.host = urls.host(request.url)
        self.started = time.monotonic()
        self.fault: tuple[FailureKind, str] | None = None
        self._lock = threading.Lock()
        self._held: socket.socket | None = None
        self.proxy = ""
        self.lack: Lack = ""
        """What this machine may lack, if the exchange fails."""
        self.resolving = False
        self.fresh = False
        self._begin()

    def again(self) -> None:
        """Begin anew, on a new connection: those that idle may all be as dead as the one that was tried."""
        self.fresh = True
        self._begin()

    def _begin(self) -> None:
        """Nothing is sent, nothing has come."""
        self.answer = Answer(self.request)
        self.target = ""
        self.asked = False
        self.opened = False
        self.first_byte = 0.0
        self.address = ""

    def hold(self, sock: socket.socket) -> None:
        """Remember a second handle on *sock*, by which `stop` can end it; Stopped if that was called already."""
        with self._lock:
            if self.fault is not None:
                raise Stopped(self.fault[1])
            if self._held is not None:
                self._held.close()
            self._held = socket.socket(sock.family, sock.type, fileno=os.dup(sock.fileno()))

    def stop(self, kind: FailureKind, detail: str) -> None:
        """End the exchange now: a thread that blocks in connecting, sending or reading wakes with an error."""
        with self._lock:
            self.fault = self.fault or (kind, detail)
            if self._held is not None:
                with suppress(OSError):
                    self._held.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Forget the connection: it goes back to its pool, or is closed."""
        with self._lock:
            if self._held is not None:
                self._held.close()
                self._held = None

    def due(self) -> tuple[float, str]:
        """The next deadline, on `time.monotonic()`'s clock, and what it means to miss it."""
        request = self.request
        moments = [(request.timeout, f"not done within {request.timeout:g} s")]
        if not self.asked:
            moments.append((request.connect_timeout, f"not connected within {request.connect_timeout:g} s"))
        if not self.first_byte:
            moments.append((request.first_byte_timeout, f"no answer within {request.first_byte_timeout:g} s"))
        after, detail = min(moments)
        return self.started + after, detail

    def sending(self, connection: Any) -> None:
        """The last moment before bytes of the request leave on *connection*, new or used; raises Stopped."""
        self.hold(connection.sock)
        self.address = str(connection.sock.getpeername()[0])
        if self.request.is_too_late:
            self.stop("expired", "not_after passed while connecting")
        elif connection.proxy is None and (reason := self.guard.check(_host(connection), self.address)):
            self.stop("refused", f"{self.address} is {reason}")
        if self.fault is not None:
            raise Stopped(self.fault[1])
        self.asked = True

    def error(self, kind: FailureKind, detail: str, lack: Lack = "") -> FetchError:
        """The exchange as a failure, ending now."""
        now = time.monotonic()
        if kind == "timeout" and not self.opened and self.proxy:
            lack, detail = "proxy", f"the proxy {proxy_shown(self.proxy)} cannot be reached: it does not answer"
        elif kind == "timeout" and self.resolving:
            lack = "resolver"
        detail = without_credentials(detail)  # a proxy's
        sent = self.asked or kind == "tls"
        return FetchError(self.request.url, kind, detail, sent, now - self.started, now, lack or self.lack)


@contextmanager
def working(exchange: Transfer) -> Iterator[None]:
    """Connections used by this thread inside the block work for *exchange*."""
    _thread.exchange = exchange
    try:
        yield
    finally:
        _thread.exchange = None
        exchange.release()


def ask_for(url: str, whole: bool) -> None:
    """Let this thread's request name its target as *url* spells it: its path and query, or for a proxy the *whole*.

    urllib3 would escape anew what a canonical URL leaves plain (`|`, a stray `%`), and ask for another page.
    """
    _thread.exchange.target = url if whole else "/" + url.partition("://")[2].partition("/")[2]


def _host(connection: Any) -> str:
    """The politeness key (see `url.host`) of what *connection* leads to."""
    name = f"[{connection.host}]" if ":" in connection.host else connection.host
    return name if connection.port in (80, 443) else f"{name}:{connection.port}"


def _resolve(name: str, port: int) -> list[tuple[Any, ...]]:
    """Addresses of *name*, as getaddrinfo gives them; names under localhost need no resolver (RFC 6761)."""
    bare = name.rstrip(".").lower()
    if bare.endswith(".localhost"):
        name = "localhost"
    return list(socket.getaddrinfo(name.strip("[]"), port, type=socket.SOCK_STREAM))


def _connect(connection: Any) -> socket.socket:
    """A socket to the first address of the connection's host that the guard lets through and that answers."""
    exchange: Transfer = _thread.exchange
    exchange.resolving = True
    try:
        found = _resolve(connection._dns_host, connection.port)
    except (OSError, UnicodeError) as error:
        if not machine.is_short():
            _note_unresolved(connection, exchange, error)
        raise NameResolutionError(connection.host, connection, socket.gaierror(str(error))) from error
    finally:
        exchange.resolving = False
    failure: OSError | None = None
    barred = "no address"
    for family, kind, protocol, _, target in found:
        reason = None if connection.proxy else exchange.guard.check(_host(connection), target[0])
        if reason:
            barred = f"{target[0]} is {reason}"
            continue
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            failure = error
            continue
        try:
            return _open(sock, target, connection, exchange)
        except OSError as error:
            sock.close()
            failure = error
    if failure is None:
        exchange.fault = exchange.fault or ("refused", barred)
    elif connection.proxy and failure.errno not in machine.SHORTAGES:
        _note_proxy(connection, exchange, f"cannot be reached: {_said(failure)}")
    raise NewConnectionError(connection, f"{failure or barred}") from failure


def _note_unresolved(connection: Any, exchange: Transfer, error: OSError | UnicodeError) -> None:
    """Note why there is no address: of the host, or of the proxy that was to be connected to."""
    if exchange.fault is not None:
        return
    if connection.proxy:
        return _note_proxy(connection, exchange, "has a name that does not resolve")
    exchange.lack = "" if names.meaning(str(connection._dns_host), error) == "absent" else "resolver"
    exchange.fault = ("dns", f"{connection.host} does not resolve: {error}")


def _note_proxy(connection: Any, exchange: Transfer, what: str) -> None:
    if exchange.fault is None:
        exchange.lack = "proxy"
        exchange.fault = ("connect", f"the proxy {connection.host}:{connection.port} {what}")


def _said(error: OSError) -> str:
    return error.strerror or "it does not answer"


def _open(sock: socket.socket, target: Any, connection: Any, exchange: Transfer) -> socket.socket:
    for option in connection.socket_options or ():
        sock.setsockopt(*option)
    sock.settimeout(exchange.request.connect_timeout)
    exchange.hold(sock)
    exchange.opened = True
    sock.connect(target)
    return sock


class Reply(http.client.HTTPResponse):
    """An answer on the wire, read by `answer.Answer`."""

    _answer: Answer

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._sock = sock

    def begin(self) -> None:
        if self.headers is not None:
            return
        exchange: Transfer = _thread.exchange
        answer = exchange.answer = Answer(exchange.request)
        if self.fp.peek(1):
            exchange.first_byte = time.monotonic() - exchange.started
        ended = False
        while not ended:
            line = self.fp.readline(MAX_LINE_BYTES)
            if not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
                raise http.client.RemoteDisconnected("closed before the end of the header")
            ended = answer.line(line)
        self._answer = answer
        self._take(answer)

    def _take(self, answer: Answer) -> None:
        """Set what http.client and urllib3 want to know of the header."""
        if answer.version not in (b"HTTP/1.0", b"HTTP/1.1"):
            raise BadAnswer(f"unknown version {answer.version!r}")
        self.version = 10 if answer.version == b"HTTP/1.0" else 11
        self.code = self.status = answer.status
        self.reason = ""
        self.headers = self.msg = http.client.HTTPMessage()
        for name, value in answer.headers:
            self.headers[name] = value
        encodings = answer.headers.combined("transfer-encoding").lower()
        codings = {coding.strip() for coding in encodings.split(",")} - {"", "identity"}  # chunked twice is once
        if codings - {"chunked"}:
            raise BadAnswer(f"unknown Transfer-Encoding {encodings[:40]!r}")
        self.chunked = "chunked" in codings
        self.chunk_left = None
        length = _content_length(answer.headers)
        self.length = None if self.chunked else length
        if answer.status in (204, 304):
            self.length = 0
        both = self.chunked and length is not None  # RFC 9112 section 6.3: somebody may be smuggling
        closes: bool = self._check_close()  # type: ignore[attr-defined]
        self.will_close = both or closes or (not self.chunked and self.length is None)

    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline(_CHUNK_LINE)
        if not line.endswith(b"\n") and len(line) < _CHUNK_LINE:
            raise http.client.IncompleteRead(line)
        digits = line.partition(b";")[0].strip()
        if not line.endswith(b"\n") or not 0 < len(digits) <= 15 or digits.strip(b"0123456789abcdefABCDEF"):
            self._close_conn()
            raise BadAnswer(f"not a chunk size: {line[:20]!r}")
        self._answer.frame(len(line))
        return int(digits, 16)

    def _read_and_discard_trailer(self) -> None:
        """Pass over the trailers: http.client sets no bound to their number, and takes the end for the last one."""
        while (line := self.fp.readline(MAX_LINE_BYTES)) not in (b"\r\n", b"\n"):
            if not line:
                raise http.client.IncompleteRead(b"")
            self._answer.line(line)

    def _close_conn(self) -> None:
        if self.fp is not None and not self.will_close and self._leftover():
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)  # so the pool sees that it cannot be used again
        super()._close_conn()  # type: ignore[misc]

    def _leftover(self) -> bool:
        """Have bytes come that do not belong to this answer (or is it left before its end)?"""
        try:
            before = self._sock.gettimeout()
            self._sock.settimeout(0)
            try:
                return bool(self.fp.peek(1))
            finally:
                self._sock.settimeout(before)
        except (OSError, ValueError):
            return False


def _content_length(headers: Headers) -> int | None:
    """The length that *headers* promise; BadAnswer where they contradict themselves (RFC 9112 section 6.3)."""
    values = {value.strip() for line in headers.all("content-length") for value in line.split(",")}
    if not values:
        return None
    value = values.pop()
    if values or not value.isascii() or not value.isdigit() or len(value) > 18:
        raise BadAnswer(f"bad Content-Length {','.join(headers.all('content-length'))[:40]!r}")
    return int(value)


class _Guarded:
    """What both schemes' connections do more than urllib3's."""

    response_class: Any = Reply
    sock: Any

    def _new_conn(self) -> socket.socket:
        return _connect(self)

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        super().putrequest(method, _thread.exchange.target or url, *args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        _thread.exchange.sending(self)
        super().send(data)  # type: ignore[misc]


class GuardedConnection(_Guarded, HTTPConnection):
    """HTTP to an address that the guard let through."""


class GuardedTLSConnection(_Guarded, HTTPSConnection):
    """HTTPS to an address that the guard let through; name and certificate are the host's as ever."""


class _Freshening:
    """What both schemes' pools do more than urllib3's."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any = super()._get_conn(timeout)  # type: ignore[misc]
        if _thread.exchange.fresh:
            connection.close()  # it connects anew when it is used
        return connection


class _Pool(_Freshening, HTTPConnectionPool):
    ConnectionCls = GuardedConnection


class _TLSPool(_Freshening, HTTPSConnectionPool):
    ConnectionCls = GuardedTLSConnection


def guard_pools(manager: Any) -> None:
    """Let a urllib3 PoolManager make guarded connections."""
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}


def is_short(error: BaseException | None) -> bool:
    """Whether *error*, or what it came of, is that there is no descriptor left."""
    for _ in range(10):
        if error is None:
            return False
        if getattr(error, "errno", None) in machine.SHORTAGES or (
            isinstance(error, socket.gaierror) and machine.is_short()
        ):
            return True
        inner = [getattr(error, "reason", None), *error.args, error.__cause__]
        error = next((each for each in inner if isinstance(each, BaseException)), None)
    return False


def close_idle(manager: Any) -> None:
    """Close the idle connections of a PoolManager that is used on: each pool's, which makes new ones when asked."""
    for key in list(manager.pools.keys()):
        pool = manager.pools.get(key)
        waiting = pool.pool if pool is not None else None
        for connection in list(waiting.queue) if waiting is not None else ():
            if connection is not None:
                connection.close()


def close_pools(manager: Any) -> None:
    """Close the idle connections of a PoolManager."""
    for key in list(manager.pools.keys()):
        pool = manager.pools.get(key)
        if pool is not None:
            pool.close()


def silence_unverified() -> None:
    """No warning for each connection whose certificate the operator chose not to verify."""
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
