"""The default fetcher: libcurl's multi interface in one thread.

libcurl tells by callbacks which sockets to watch and when to wake it (`curl_multi_socket_action`): that knows no limit
of 1,024 descriptors as `curl_multi_fdset` does. What an answer is, is judged in `answer`; bodies are decoded there too,
because libcurl does not tell that a compressed stream ended early.
"""

from __future__ import annotations

import select
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final

import pycurl

from crawler import url as urls
from crawler.errors import without_credentials
from crawler.fetch.answer import WASTEFUL, Answer, BadAnswer
from crawler.fetch.fetcher import FailureKind, FetcherOptions, FetchError, FetchRequest, FetchResult
from crawler.fetch.guard import Guard
from crawler.fetch.libcurl import is_http2_fault, kind_of, name_of, set_up
from crawler.fetch.outgoing import environment_proxies, environment_proxy, fixed_headers, own_headers, request_headers
from crawler.fetch.sockets import Handed, received, stirs

_ABORT: Final = -1
"""Returned by a callback: libcurl ends the transfer."""
_IDLE: Final = 256
"""Idle connections kept open, at least."""
_IN, _OUT = select.POLLIN, select.POLLOUT
_WATCH: Final = {pycurl.POLL_IN: _IN, pycurl.POLL_OUT: _OUT, pycurl.POLL_INOUT: _IN | _OUT}
_CSELECT_IN, _CSELECT_OUT = 1, 2  # without a name in pycurl
_MAX_HTTP1_HOSTS: Final = 10_000
_REFUSED: Final = -2
"""In place of a descriptor: no request was taken by the connection before this one, which was not used."""
_LOOK: Final = 0.25
"""Seconds between two looks at what transfers receive beside their bodies."""


class _Transfer:
    """One easy handle with its callbacks, used for one request after the other."""

    def __init__(self, options: FetcherOptions, guard: Guard, used: dict[int, int], http1: dict[str, None]) -> None:
        self._guard = guard
        self._used = used
        self._options = options
        self._http1 = http1
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
        """Set what changes from request to request; pycurl.error or UnicodeError where it cannot be sent."""
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
        lines = request.accept, own_headers(self._options, request)
        if lines != self._lines:
            self._lines = lines
            easy.setopt(pycurl.HTTPHEADER, _lines(request_headers(self._fixed, *lines)))
        if (connect_ms := _milliseconds(request.connect_timeout)) != self._connect_ms:
            self._connect_ms = connect_ms
            easy.setopt(pycurl.CONNECTTIMEOUT_MS, connect_ms)
        if (timeout_ms := _milliseconds(request.timeout)) != self._timeout_ms:
            self._timeout_ms = timeout_ms
            easy.setopt(pycurl.TIMEOUT_MS, timeout_ms)
        if proxy != self._proxy:
            self._proxy = proxy
            easy.setopt(pycurl.PROXY, proxy)
        self.proxied = bool(proxy)

    def _begin(self) -> None:
        """Nothing was sent, nothing has come."""
        self.answer = Answer(self.request)
        self.fault = None
        self.barred = ""
        self.asked = self.opened = self.dirty = False
        self._sent_fresh = False
        self._framing: int | None = None

    def _set_version(self) -> None:
        """Hosts whose HTTP/2 is at fault are asked by HTTP/1.1."""
        version = pycurl.CURL_HTTP_VERSION_1_1 if self.host in self._http1 else self._best
        if version != self._version:
            self._version = version
            self.easy.setopt(pycurl.HTTP_VERSION, version)

    def again(self) -> None:
        """Get ready for another try, on a new connection."""
        self._fresh = True
        self.dirty = False
        self.easy.setopt(pycurl.FRESH_CONNECT, 1)

    @property
    def can_do_http1(self) -> bool:
        """Was this try not by HTTP/1.1 alone, and is there time for another one?"""
        return self._version != pycurl.CURL_HTTP_VERSION_1_1 and self._left > 0

    def again_by_http1(self) -> None:
        """Get ready for another try, by HTTP/1.1 and within the same time."""
        self._begin()
        self._set_version()
        self._timeout_ms = _milliseconds(self._left)
        self.easy.setopt(pycurl.TIMEOUT_MS, self._timeout_ms)

    @property
    def _left(self) -> float:
        return self.request.timeout - (time.monotonic() - self.started)

    # Callbacks. An exception in one would be printed by pycurl and lost, so each keeps its own.

    def on_open(self, purpose: int, address: tuple[int, int, int, tuple[Any, ...]]) -> Any:
        """Open a socket for the very address that libcurl connects to next, if the guard lets it."""
        try:
            family, kind, protocol, target = address
            reason = None if self.proxied else self._guard.check(self.host, str(target[0]))
            if reason is not None:
                self.barred = f"{target[0]} is {reason}"
                return pycurl.SOCKET_BAD
            self.opened = True
            return Handed(family, kind, protocol)
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
            if self._sent_fresh:  # REFUSED_STREAM or GOAWAY: libcurl would send it five times more
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
        """End this transfer by *error*; what is not an Exception (KeyboardInterrupt) is raised again by `poll`."""
        self.fault = ("protocol", f"{type(error).__name__}: {error}")
        if not isinstance(error, Exception):
            self.raised = error

    # Results

    def result(self, code: int, message: str, now: float) -> FetchResult:
        """What became of the request that ended with libcurl's *code*."""
        answer = self.answer
        if (code == pycurl.E_OK and answer.status) or (answer.cut and self.fault is None):
            info = self.easy.getinfo
            by_http1 = answer.version.startswith(b"HTTP/1")
            self._used[self.local_port] = info(pycurl.ACTIVESOCKET) if by_http1 else -1  # -1 as well where it has ended
            elapsed, first = info(pycurl.TOTAL_TIME_T) / 1e6, info(pycurl.STARTTRANSFER_TIME_T) / 1e6
            return answer.response(elapsed, first, now, info(pycurl.PRIMARY_IP) or "")
        if self.fault is not None:
            return self.error(*self.fault, now)
        if code == pycurl.E_OK:
            return self.error("connect", "closed before the end of the header", now)
        if self.barred and not self.opened:
            return self.error("refused", self.barred, now)
        return self.error(kind_of(code), message or self.easy.errstr() or name_of(code), now)

    def error(self, kind: FailureKind, detail: str, now: float) -> FetchError:
        sent = self.asked or (kind not in ("expired", "refused") and self.easy.getinfo(pycurl.CONNECT_TIME_T) > 0)
        detail = without_credentials(detail)  # a proxy's
        return FetchError(self.request.url, kind, detail, sent, now - self.started, now)

    def wastes(self) -> bool:
        """Does the body consist of chunk extensions and the like? To be asked now and then: it compares.

        libcurl reads them without a word, so the kernel is asked how much has come.
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
        """Has nothing of the answer come yet? (libcurl counts from the first whole line.)"""
        return not self.answer.status and self.easy.getinfo(pycurl.STARTTRANSFER_TIME_T) == 0


class CurlFetcher:
    """Fetches by libcurl; see `fetcher.Fetcher`. Not to be shared between threads or across a fork."""

    def __init__(self, options: FetcherOptions) -> None:
        self._options = options
        self._guard = Guard(options.allow_private, options.allowed_hosts)
        self._proxies = environment_proxies() if options.trust_env and not options.proxy else {}
        self._used: dict[int, int] = {}  # local port -> descriptor of an HTTP/1 connection that answered
        self._http1: dict[str, None] = {}  # hosts whose HTTP/2 is at fault, the longest known first
        self._idle: list[_Transfer] = []
        self._active: dict[str, _Transfer] = {}
        self._ended: deque[tuple[str, FetchResult]] = deque()
        self._raised: BaseException | None = None
        self._silence = float("inf")  # no first-byte deadline is due before this time
        self._look = 0.0  # when transfers are looked at for waste
        self._wake = float("inf")  # when libcurl wants to be called though no socket stirs
        self._poller = select.poll()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, max(_IDLE, 2 * options.concurrency))
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)

    @property
    def free(self) -> int:
        return self._options.concurrency - len(self._active) - len(self._ended)

    def submit(self, request: FetchRequest, ticket: str) -> None:
        if ticket in self._active:
            raise ValueError(f"ticket {ticket!r} is in use")
        transfer = self._idle.pop() if self._idle else self._new_transfer()
        try:
            proxy = self._proxy_for(request.url)
            transfer.start(request, ticket, proxy)
        except (pycurl.error, ValueError, IndexError) as error:
            return self._refuse(transfer, ticket, FetchError(request.url, "protocol", f"not a URL: {error}", False))
        if request.is_too_late:
            return self._refuse(transfer, ticket, transfer.error("expired", "not_after passed", transfer.started))
        if transfer.proxied and (reason := self._guard.check_name(transfer.host)):
            detail = f"{transfer.host} is {reason}"
            return self._refuse(transfer, ticket, transfer.error("refused", detail, transfer.started))
        self._active[ticket] = transfer
        self._silence = min(self._silence, transfer.started + request.first_byte_timeout)
        self._multi.add_handle(transfer.easy)

    def poll(self, timeout: float, most: int = 16) -> list[tuple[str, FetchResult]]:
        deadline = time.monotonic() + timeout
        wait = 0.0  # what waits already goes first
        while True:
            self._drive(wait)
            now = time.monotonic()
            if now >= self._silence:
                self._end_silent(now)
            if now >= self._look:
                self._end_wasteful(now)
            if self._ended or not self._active or now >= deadline:
                break
            wait = min(deadline, self._silence, self._wake) - now
        if self._raised is not None:
            error, self._raised = self._raised, None
            raise error
        return [self._ended.popleft() for _ in range(min(most, len(self._ended)))]

    def cancel(self, ticket: str) -> bool:
        transfer = self._active.get(ticket)
        if transfer is not None:
            self._release(transfer)
            return True
        before = len(self._ended)
        self._ended = deque(item for item in self._ended if item[0] != ticket)
        return len(self._ended) < before

    def allow(self, hosts: frozenset[str]) -> None:
        self._guard.allow(hosts)

    def close(self) -> None:
        for transfer in list(self._active.values()):
            self._release(transfer)
        self._ended.clear()
        for transfer in self._idle:
            transfer.easy.close()
        self._idle.clear()
        self._multi.close()

    def _new_transfer(self) -> _Transfer:
        return _Transfer(self._options, self._guard, self._used, self._http1)

    def _proxy_for(self, url: str) -> str:
        """The proxy for *url*, or "": the option's, or the environment's where it is trusted."""
        if not self._proxies:
            return self._options.proxy or ""
        return environment_proxy(url, self._proxies)

    def _refuse(self, transfer: _Transfer, ticket: str, error: FetchError) -> None:
        """Hand *error* back without having started."""
        self._idle.append(transfer)
        self._ended.append((ticket, error))

    def _release(self, transfer: _Transfer) -> None:
        self._multi.remove_handle(transfer.easy)
        self._active.pop(transfer.ticket).answer.forget()
        self._idle.append(transfer)

    def _drive(self, wait: float) -> None:
        """Wait up to *wait* seconds for a socket to stir, and let libcurl go on with what can be done."""
        act = self._multi.socket_action
        for fd, event in self._poller.poll(max(0.0, wait) * 1000):
            if event & select.POLLNVAL:
                self._poller.unregister(fd)
            # an error is for both directions to see
            act(fd, (_CSELECT_IN if event & ~_OUT else 0) | (_CSELECT_OUT if event & ~_IN else 0))
        if time.monotonic() >= self._wake:
            self._wake = float("inf")
            act(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()

    def _collect(self) -> None:
        """Turn what libcurl has ended into results."""
        queued = 1
        while queued:
            queued, done, failed = self._multi.info_read()
            now = time.monotonic()
            for easy in done:
                self._end(easy.transfer, easy.transfer.result(pycurl.E_OK, "", now))
            for easy, code, message in failed:
                if not self._again(easy.transfer, code, message):
                    self._end(easy.transfer, easy.transfer.result(code, message, now))

    def _again(self, transfer: _Transfer, code: int, message: str) -> bool:
        """Try once more what failed by a dead idle connection or a faulty HTTP/2; false where it is the end."""
        if transfer.dirty:
            ready = transfer.again
        elif transfer.fault is None and not transfer.answer.cut and is_http2_fault(code, message):
            if len(self._http1) >= _MAX_HTTP1_HOSTS:
                del self._http1[next(iter(self._http1))]
            self._http1[transfer.host] = None
            if not transfer.can_do_http1:
                return False
            ready = transfer.again_by_http1
        else:
            return False
        self._multi.remove_handle(transfer.easy)
        ready()
        self._multi.add_handle(transfer.easy)
        return True

    def _end(self, transfer: _Transfer, result: FetchResult) -> None:
        self._release(transfer)
        self._ended.append((transfer.ticket, result))
        self._raised = self._raised or transfer.raised
        transfer.raised = None

    def _end_silent(self, now: float) -> None:
        """End the transfers whose first byte is overdue, and note when the next one will be."""
        self._silence = float("inf")
        for transfer in list(self._active.values()):
            if not transfer.silent:
                continue
            due = transfer.started + transfer.request.first_byte_timeout
            if due <= now:
                limit = transfer.request.first_byte_timeout
                self._end(transfer, transfer.error("timeout", f"no answer within {limit:g} s", now))
            else:
                self._silence = min(self._silence, due)

    def _end_wasteful(self, now: float) -> None:
        """End the transfers that receive hardly any body: what libcurl passes over costs time all the same."""
        self._look = now + _LOOK
        for transfer in [each for each in self._active.values() if each.wastes()]:
            self._end(transfer, transfer.error("protocol", WASTEFUL, now))

    def _on_socket(self, what: int, fd: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            with suppress(KeyError):
                self._poller.unregister(fd)
        elif what in _WATCH:
            self._poller.register(fd, _WATCH[what])

    def _on_timer(self, milliseconds: int) -> None:
        self._wake = float("inf") if milliseconds < 0 else time.monotonic() + milliseconds / 1000


def _lines(headers: dict[str, str]) -> list[bytes]:
    """Header lines as libcurl takes them; one without a value is sent by a semicolon."""
    return [(f"{name}: {value}" if value else f"{name};").encode() for name, value in headers.items()]


def _milliseconds(seconds: float) -> int:
    """libcurl takes 0 for its own default, so the least is 1."""
    return max(1, round(seconds * 1000))
