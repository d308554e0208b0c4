"""One libcurl handle, used for one request after the other, and its callbacks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import pycurl

from crawler import url as urls
from crawler.errors import without_credentials
from crawler.fetch import certificate, machine
from crawler.fetch.answer import Answer, BadAnswer
from crawler.fetch.fetcher import FailureKind, FetcherOptions, FetchError, FetchRequest, FetchResult, Lack
from crawler.fetch.guard import Guard
from crawler.fetch.libcurl import diagnose, set_up
from crawler.fetch.request_headers import (
    REFUSED_BY_PROXY,
    fixed_headers,
    header_lines,
    milliseconds,
    own_headers,
    refusal_of,
    request_headers,
)
from crawler.fetch.sockets import open_socket, received, stirs

_ABORT: Final = -1
"""Returned by a callback: libcurl ends the transfer."""
_MAX_EXPIRIES: Final = 10_000
_NO_ANSWER: Final = frozenset({pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_FTP_WEIRD_SERVER_REPLY})
"""libcurl's codes for what does not begin as an answer does."""
_REFUSED: Final = -2
"""Stands for a descriptor: the previous connection took no request and was not used."""


class Transfer:
    """One easy handle with its callbacks, used for one request after the other."""

    def __init__(
        self,
        options: FetcherOptions,
        guard: Guard,
        used: dict[int, int],
        http1: dict[str, None],
        expiries: dict[str, float],
    ) -> None:
        self._guard = guard
        self._used = used
        self._options = options
        self._http1 = http1
        self._expiries = expiries
        self._is_head = False
        self._version = self._best = pycurl.CURL_HTTP_VERSION_2TLS if options.http2 else pycurl.CURL_HTTP_VERSION_1_1
        self._fixed = fixed_headers(options)
        self._lines: tuple[str, tuple[tuple[str, str], ...]] | None = None
        self._fresh = False
        self._proxy = options.proxy or ""
        self._connect_ms = self._timeout_ms = 0
        self.proxied = bool(options.proxy)
        self.ticket = ""
        self.fault: tuple[FailureKind, str] | None = None
        self.raised: BaseException | None = None
        self.easy = pycurl.Curl()
        self.easy.transfer = self
        self._set_up(options)

    def _set_up(self, options: FetcherOptions) -> None:
        """Set what never changes."""
        set_up(self.easy, options)
        set_option = self.easy.setopt
        set_option(pycurl.HTTP_VERSION, self._version)
        set_option(pycurl.PROXY, self._proxy)  # an empty one keeps libcurl from reading the environment
        set_option(pycurl.WRITEFUNCTION, self.on_body)
        set_option(pycurl.HEADERFUNCTION, self.on_header)
        set_option(pycurl.OPENSOCKETFUNCTION, self.on_open)
        set_option(pycurl.PREREQFUNCTION, self.on_ready)

    def start(self, request: FetchRequest, ticket: str, proxy: str) -> None:
        """Set what changes from request to request; pycurl.error or UnicodeError if it cannot be sent."""
        self.request = request
        self.ticket = ticket
        self.host = urls.host(request.url)
        self.started = time.monotonic()
        self._begin()
        easy = self.easy
        if self._fresh:
            self._fresh = False
            easy.setopt(pycurl.FRESH_CONNECT, 0)
        easy.setopt(pycurl.URL, request.url)
        self._set_version()
        if (is_head := request.method == "HEAD") != self._is_head:
            self._is_head = is_head
            easy.setopt(pycurl.NOBODY, int(is_head))
        lines = request.accept, own_headers(self._options, request)
        if lines != self._lines:
            self._lines = lines
            easy.setopt(pycurl.HTTPHEADER, header_lines(request_headers(self._fixed, *lines)))
        if (connect_ms := milliseconds(request.connect_timeout)) != self._connect_ms:
            self._connect_ms = connect_ms
            easy.setopt(pycurl.CONNECTTIMEOUT_MS, connect_ms)
        if (timeout_ms := milliseconds(request.timeout)) != self._timeout_ms:
            self._timeout_ms = timeout_ms
            easy.setopt(pycurl.TIMEOUT_MS, timeout_ms)
        if proxy != self._proxy:
            self._proxy = proxy
            easy.setopt(pycurl.PROXY, proxy)
        self.proxied = bool(proxy)

    def _begin(self) -> None:
        """Nothing was sent or received yet."""
        self.answer = Answer(self.request)
        self.fault = None
        self.barred = ""
        self.asked = self.opened = self.dirty = self.starved = self.naming = False
        self._sent_fresh = False
        self._framing: int | None = None

    def _set_version(self) -> None:
        """Hosts whose HTTP/2 is at fault get HTTP/1.1."""
        version = pycurl.CURL_HTTP_VERSION_1_1 if self.host in self._http1 else self._best
        if version != self._version:
            self._version = version
            self.easy.setopt(pycurl.HTTP_VERSION, version)

    @property
    def name(self) -> str:
        """The host's name, without its port."""
        return self.host.partition(":")[0]

    @property
    def needs_name(self) -> bool:
        """Whether the host has a name to be resolved here. libcurl knows what localhost is (RFC 6761, 6.3).

        libcurl would read an address for "*" as one for every name.
        """
        name = self.name
        is_local = f".{name.removesuffix('.')}".endswith(".localhost")
        return not (self.proxied or is_local or "*" in name or urls.is_address(name))

    @property
    def patience(self) -> float:
        """Seconds from its start within which an address, or the first byte of an answer, must arrive."""
        limit = self.request.first_byte_timeout
        return min(limit, self.request.connect_timeout) if self.naming else limit

    def lead_to(self, addresses: Sequence[str]) -> None:
        """The name resolved to *addresses*: pass them to libcurl for a while, and give it the time that is left."""
        self.naming = False
        ports = self.host.partition(":")[2:] if ":" in self.host else ("80", "443")
        both = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
        self.easy.setopt(pycurl.RESOLVE, [f"+{self.name}:{port}:{both}" for port in ports])
        self._keep_time()

    def again(self) -> None:
        """Prepare for another try, on a new connection."""
        self._fresh = True
        self.dirty = self.starved = self.opened = False
        self.easy.setopt(pycurl.FRESH_CONNECT, 1)

    def met_leftovers(self, code: int) -> bool:
        """Whether what arrived on a used connection is no answer: a body of the one before, such as one to HEAD."""
        is_none = code in _NO_ANSWER or (self.fault is not None and self.fault[0] == "protocol")
        return is_none and self.asked and not self.opened and not self.answer.status and self._left > 0

    def again_anew(self) -> None:
        """Prepare for another try, on a new connection and within the same time, after bytes that were no answer."""
        self._begin()
        self.again()
        self._keep_time()

    @property
    def can_do_http1(self) -> bool:
        """Whether this try was not restricted to HTTP/1.1, and time is left for another one."""
        return self._version != pycurl.CURL_HTTP_VERSION_1_1 and self._left > 0

    def again_by_http1(self) -> None:
        """Prepare for another try, by HTTP/1.1 and within the same time."""
        self._begin()
        self._set_version()
        self._keep_time()

    def _keep_time(self) -> None:
        """Give libcurl the time that is left."""
        self._timeout_ms = milliseconds(self._left)
        self.easy.setopt(pycurl.TIMEOUT_MS, self._timeout_ms)

    @property
    def _left(self) -> float:
        return self.request.timeout - (time.monotonic() - self.started)

    # Callbacks. pycurl would print an exception raised in one and lose it, so each stores its own.

    def on_open(self, purpose: int, address: tuple[int, int, int, tuple[Any, ...]]) -> Any:
        """Open a socket for the address that libcurl connects to next, if the guard admits it."""
        try:
            family, kind, protocol, target = address
            reason = None if self.proxied else self._guard.check(self.host, str(target[0]))
            if reason is not None:
                self.barred = f"{target[0]} is {reason}"
                return pycurl.SOCKET_BAD
            opened = open_socket(family, kind, protocol)
            self.opened = True
            return opened
        except OSError as error:
            self.starved = error.errno in machine.SHORTAGES
            self.fault = None if self.starved else ("connect", str(error))
            return pycurl.SOCKET_BAD
        except BaseException as error:
            self._keep(error)
            return pycurl.SOCKET_BAD

    def on_ready(self, address: str, _local: str, _port: int, local_port: int) -> int:
        """The last moment before the request is sent, on a new connection or a used one."""
        try:
            self.local_port = local_port
            fd = None if self.opened else self._used.get(local_port)
            if fd is not None and fd >= 0 and stirs(fd):
                self.dirty = True
                return int(pycurl.PREREQFUNC_ABORT)
            if self.request.is_too_late:
                self.fault = ("expired", "not_after passed while connecting")
                return int(pycurl.PREREQFUNC_ABORT)
            reason = None if self.proxied else self._guard.check(self.host, address)
            if reason is not None:
                self.fault = ("refused", f"{address} is {reason}")
                return int(pycurl.PREREQFUNC_ABORT)
            if self._sent_fresh:  # REFUSED_STREAM or GOAWAY: libcurl would send it five more times
                self._used[local_port] = _REFUSED
                self.fault = ("connect", "the server closes each stream or connection without taking the request")
                return int(pycurl.PREREQFUNC_ABORT)
            self.asked = True
            self._sent_fresh = self.opened or self._used.get(local_port) == _REFUSED
            return int(pycurl.PREREQFUNC_OK)
        except BaseException as error:
            self._keep(error)
            return int(pycurl.PREREQFUNC_ABORT)

    def on_header(self, line: bytes) -> int | None:
        try:
            if self.asked:  # before that it is the proxy that answers CONNECT
                self.answer.line(line)
            return None
        except BadAnswer as error:
            self.fault = ("protocol", str(error))
        except BaseException as error:
            self._keep(error)
        return _ABORT

    def on_body(self, data: bytes) -> int | None:
        try:
            return None if self.answer.feed(data) else _ABORT
        except BadAnswer as error:
            self.fault = ("protocol", str(error))
        except BaseException as error:
            self._keep(error)
        return _ABORT

    def _keep(self, error: BaseException) -> None:
        """End this transfer with *error*; anything but an Exception (KeyboardInterrupt) is raised again by `poll`."""
        self.fault = ("protocol", f"{type(error).__name__}: {error}")
        if not isinstance(error, Exception):
            self.raised = error

    # Results

    def result(self, code: int, message: str, now: float) -> FetchResult:
        """The result of the request that ended with libcurl's *code*."""
        answer = self.answer
        is_complete = (code == pycurl.E_OK and answer.status) or (answer.cut and self.fault is None)
        if is_complete or answer.breaks_off():
            info = self.easy.getinfo
            by_http1 = answer.version.startswith(b"HTTP/1")
            self._used[self.local_port] = info(pycurl.ACTIVESOCKET) if by_http1 else -1  # also -1 if it has ended
            if self.proxied and answer.status == REFUSED_BY_PROXY:
                return self.error("connect", refusal_of(self._proxy), now, "proxy")
            elapsed, first = info(pycurl.TOTAL_TIME_T) / 1e6, info(pycurl.STARTTRANSFER_TIME_T) / 1e6
            return answer.response(elapsed, first, now, info(pycurl.PRIMARY_IP) or "", self._certificate_expires())
        if self.fault is not None:
            return self.error(*self.fault, now)
        if code == pycurl.E_OK:
            return self.error("connect", "closed before the end of the header", now)
        if self.barred and not self.opened:
            return self.error("refused", self.barred, now)
        kind, detail, lack = diagnose(self.easy, code, message, self._proxy, self.opened or self.asked)
        return self.error(kind, detail, now, lack)

    def _certificate_expires(self) -> float | None:
        """When the certificate of the host expires. libcurl says it once a connection, and not if TLS was resumed."""
        if not self._options.certificates or not self.request.url.startswith("https:"):
            return None
        if self.opened:
            found = certificate.expiry_of_chain(self.easy.getinfo_raw(pycurl.INFO_CERTINFO))
            if found is not None:
                self._expiries[self.host] = found
            if len(self._expiries) > _MAX_EXPIRIES:
                del self._expiries[next(iter(self._expiries))]
        return self._expiries.get(self.host)

    def error(self, kind: FailureKind, detail: str, now: float, lack: Lack = "") -> FetchError:
        had_it = not self.naming and kind not in ("dns", "expired", "refused")  # else libcurl means another request
        sent = self.asked or (had_it and self.easy.getinfo(pycurl.CONNECT_TIME_T) > 0)
        detail = without_credentials(detail)  # those of a proxy
        return FetchError(self.request.url, kind, detail, sent, now - self.started, now, lack)

    def wastes(self) -> bool:
        """Whether the body consists mostly of chunk extensions and the like. Compares with the last call: ask now and
        then.

        libcurl skips them silently, so the kernel is asked how much was received.
        """
        answer = self.answer
        if not answer.version.startswith(b"HTTP/1"):  # connections of HTTP/2 are shared
            return False
        framing = received(self.easy.getinfo(pycurl.ACTIVESOCKET)) - answer.received
        if self._framing is None:
            self._framing = framing
        return answer.is_wasteful(framing - self._framing)

    @property
    def silent(self) -> bool:
        """Whether nothing of the answer has arrived yet. (libcurl counts from the first whole line.)"""
        return self.naming or (not self.answer.status and self.easy.getinfo(pycurl.STARTTRANSFER_TIME_T) == 0)
