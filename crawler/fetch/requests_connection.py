"""The connections of the `requests` engine: http.client and urllib3, with changes that a crawler needs.

- A connection resolves the name, asks the guard about each address, and connects to exactly the one that was judged.
- The target of a request is that of its URL, byte by byte.
- Interim answers (102, 103) are skipped: http.client skips only 100, so each URL got the page before it.
- Headers have the bounds of `answer`, not http.client's hundred lines.
- Bytes after the end of a body end the connection: they would be read as the answer to the next request.
- Another thread can end a connection at a deadline (`Transfer.stop`), in whatever call it blocks.

The thread determines which request a connection works for: `working` sets it.
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
from crawler.fetch import certificate, machine, names
from crawler.fetch.answer import BODILESS, MAX_LINE_BYTES, Answer, BadAnswer
from crawler.fetch.fetcher import FailureKind, FetchError, FetchRequest, Headers, Lack, Response
from crawler.fetch.guard import Guard
from crawler.fetch.request_headers import proxy_shown

_CHUNK_LINE: Final = 1025
"""Longest line with a chunk's size that is read, in bytes, including extensions."""

_thread = threading.local()


class Stopped(OSError):
    """The transfer was ended from outside, or may not continue: `Transfer.fault` says why."""


class Transfer:
    """One request under way: what its connection asks and reports, used by its own thread and by the one that polls."""

    def __init__(self, request: FetchRequest, ticket: str, guard: Guard, certificates: bool) -> None:
        self.request = request
        self._asks_certificate = certificates and request.url.startswith("https:")
        self.ticket = ticket
        self.guard = guard
        self.host = urls.host(request.url)
        self.started = time.monotonic()
        self.fault: tuple[FailureKind, str] | None = None
        self._lock = threading.Lock()
        self._held: socket.socket | None = None
        self.proxy = ""
        self.lack: Lack = ""
        """What this machine may lack, if the transfer fails."""
        self.resolving = False
        self.fresh = False
        self._begin()

    def again(self) -> None:
        """Start over, on a new connection: all idle ones may be as dead as the one that was tried."""
        self.fresh = True
        self._begin()

    def _begin(self) -> None:
        """Nothing was sent or received yet."""
        self.answer = Answer(self.request)
        self.target = ""
        self.asked = False
        self.opened = False
        self.first_byte = 0.0
        self.address = ""
        self.certificate_expires: float | None = None

    def hold(self, sock: socket.socket) -> None:
        """Keep a second handle on *sock*, by which `stop` can end it; Stopped if that was already called."""
        with self._lock:
            if self.fault is not None:
                raise Stopped(self.fault[1])
            if self._held is not None:
                self._held.close()
            self._held = socket.socket(sock.family, sock.type, fileno=os.dup(sock.fileno()))

    def stop(self, kind: FailureKind, detail: str) -> None:
        """End the transfer now: a thread that blocks in connecting, sending or reading wakes with an error."""
        with self._lock:
            self.fault = self.fault or (kind, detail)
            if self._held is not None:
                with suppress(OSError):
                    self._held.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Forget the connection: it returns to its pool, or is closed."""
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
        if self._asks_certificate and hasattr(connection.sock, "getpeercert"):
            self.certificate_expires = certificate.expiry(str(connection.sock.getpeercert().get("notAfter")))

    def response(self) -> Response:
        """The transfer as an answer, ending now."""
        now = time.monotonic()
        return self.answer.response(now - self.started, self.first_byte, now, self.address, self.certificate_expires)

    def error(self, kind: FailureKind, detail: str, lack: Lack = "") -> FetchError:
        """The transfer as a failure, ending now."""
        now = time.monotonic()
        if kind == "timeout" and not self.opened and self.proxy:
            lack, detail = "proxy", f"the proxy {proxy_shown(self.proxy)} cannot be reached: it does not answer"
        elif kind == "timeout" and self.resolving:
            lack = "resolver"
        detail = without_credentials(detail)  # those of a proxy
        sent = self.asked or kind == "tls"
        return FetchError(self.request.url, kind, detail, sent, now - self.started, now, lack or self.lack)


@contextmanager
def working(transfer: Transfer) -> Iterator[None]:
    """Connections used by this thread inside the block work for *transfer*."""
    _thread.transfer = transfer
    try:
        yield
    finally:
        _thread.transfer = None
        transfer.release()


def ask_for(url: str, whole: bool) -> None:
    """Make this thread's request spell its target as *url* does: its path and query, or for a proxy the *whole* URL.

    urllib3 would escape what a canonical URL leaves plain (`|`, a stray `%`), and request another page.
    """
    _thread.transfer.target = url if whole else "/" + url.partition("://")[2].partition("/")[2]


def _host(connection: Any) -> str:
    """The politeness key (see `url.host`) of the host that *connection* leads to."""
    name = f"[{connection.host}]" if ":" in connection.host else connection.host
    return name if connection.port in (80, 443) else f"{name}:{connection.port}"


def _resolve(name: str, port: int) -> list[tuple[Any, ...]]:
    """Addresses of *name*, as getaddrinfo returns them; names under localhost need no resolver (RFC 6761)."""
    bare = name.rstrip(".").lower()
    if bare.endswith(".localhost"):
        name = "localhost"
    return list(socket.getaddrinfo(name.strip("[]"), port, type=socket.SOCK_STREAM))


def _connect(connection: Any) -> socket.socket:
    """A socket to the first address of the connection's host that the guard admits and that answers."""
    transfer: Transfer = _thread.transfer
    transfer.resolving = True
    try:
        found = _resolve(connection._dns_host, connection.port)
    except (OSError, UnicodeError) as error:
        if not machine.is_short():
            _note_unresolved(connection, transfer, error)
        raise NameResolutionError(connection.host, connection, socket.gaierror(str(error))) from error
    finally:
        transfer.resolving = False
    failure: OSError | None = None
    barred = "no address"
    for family, kind, protocol, _, target in found:
        reason = None if connection.proxy else transfer.guard.check(_host(connection), target[0])
        if reason:
            barred = f"{target[0]} is {reason}"
            continue
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            failure = error
            continue
        try:
            return _open(sock, target, connection, transfer)
        except OSError as error:
            sock.close()
            failure = error
    if failure is None:
        transfer.fault = transfer.fault or ("refused", barred)
    elif connection.proxy and failure.errno not in machine.SHORTAGES:
        _note_proxy(connection, transfer, f"cannot be reached: {_said(failure)}")
    raise NewConnectionError(connection, f"{failure or barred}") from failure


def _note_unresolved(connection: Any, transfer: Transfer, error: OSError | UnicodeError) -> None:
    """Record why there is no address: of the host, or of the proxy."""
    if transfer.fault is not None:
        return
    if connection.proxy:
        return _note_proxy(connection, transfer, "has a name that does not resolve")
    transfer.lack = "" if names.meaning(str(connection._dns_host), error) == "absent" else "resolver"
    transfer.fault = ("dns", f"{connection.host} does not resolve: {error}")


def _note_proxy(connection: Any, transfer: Transfer, what: str) -> None:
    if transfer.fault is None:
        transfer.lack = "proxy"
        transfer.fault = ("connect", f"the proxy {connection.host}:{connection.port} {what}")


def _said(error: OSError) -> str:
    return error.strerror or "it does not answer"


def _open(sock: socket.socket, target: Any, connection: Any, transfer: Transfer) -> socket.socket:
    for option in connection.socket_options or ():
        sock.setsockopt(*option)
    sock.settimeout(transfer.request.connect_timeout)
    transfer.hold(sock)
    transfer.opened = True
    sock.connect(target)
    return sock


class Reply(http.client.HTTPResponse):
    """An answer from the connection, read by `answer.Answer`."""

    _answer: Answer

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._sock = sock

    def begin(self) -> None:
        if self.headers is not None:
            return
        transfer: Transfer = _thread.transfer
        answer = transfer.answer = Answer(transfer.request)
        if start := self.fp.peek(1):
            transfer.first_byte = time.monotonic() - transfer.started
            if start[:1] not in b"H\r\n":  # it may be a line that never ends
                raise BadAnswer(f"not HTTP: {start[:60]!r}")
        ended = False
        while not ended:
            line = self.fp.readline(MAX_LINE_BYTES)
            if not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
                raise http.client.RemoteDisconnected("closed before the end of the header")
            ended = answer.line(line)
        self._answer = answer
        self._take(answer)

    def _take(self, answer: Answer) -> None:
        """Set what http.client and urllib3 need from the header."""
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
        if answer.status in BODILESS or self._method == "HEAD":  # type: ignore[attr-defined]
            self.chunked, self.length = False, 0
        both = self.chunked and length is not None  # RFC 9112 section 6.3: this may be request smuggling
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
        """Skip the trailers: http.client sets no bound to their number, and takes the end for the last one."""
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
        """Whether bytes have arrived that do not belong to this answer, or it was left before its end."""
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
    """The length that *headers* declare; BadAnswer if they contradict each other (RFC 9112 section 6.3)."""
    values = {value.strip() for line in headers.all("content-length") for value in line.split(",")}
    if not values:
        return None
    value = values.pop()
    if values or not value.isascii() or not value.isdigit() or len(value) > 18:
        raise BadAnswer(f"bad Content-Length {','.join(headers.all('content-length'))[:40]!r}")
    return int(value)


class _Guarded:
    """What both schemes' connections add to urllib3's."""

    response_class: Any = Reply
    sock: Any

    def _new_conn(self) -> socket.socket:
        return _connect(self)

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        super().putrequest(method, _thread.transfer.target or url, *args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        _thread.transfer.sending(self)
        super().send(data)  # type: ignore[misc]


class GuardedConnection(_Guarded, HTTPConnection):
    """HTTP to an address that the guard admitted."""


class GuardedTLSConnection(_Guarded, HTTPSConnection):
    """HTTPS to an address that the guard admitted; name and certificate are still the host's."""


class _Freshening:
    """What both schemes' pools add to urllib3's."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any = super()._get_conn(timeout)  # type: ignore[misc]
        if _thread.transfer.fresh:
            connection.close()  # it reconnects when it is used
        return connection


class _Pool(_Freshening, HTTPConnectionPool):
    ConnectionCls = GuardedConnection


class _TLSPool(_Freshening, HTTPSConnectionPool):
    ConnectionCls = GuardedTLSConnection


def guard_pools(manager: Any) -> None:
    """Make a urllib3 PoolManager create guarded connections."""
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}


def is_short(error: BaseException | None) -> bool:
    """Whether *error*, or its cause, is that no descriptor is left."""
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
    """Close the idle connections of a PoolManager still in use: each pool creates new ones when needed."""
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
    """Show no warning for each connection whose certificate the operator chose not to verify."""
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
