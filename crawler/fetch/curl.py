"""The default fetcher: libcurl's multi interface in one thread.

libcurl tells by callbacks which sockets to watch and when to wake it (`curl_multi_socket_action`): that knows no limit
of 1,024 descriptors as `curl_multi_fdset` does. What an answer is, is judged in `answer`; bodies are decoded there too,
because libcurl does not tell that a compressed stream ended early.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import pycurl

from crawler import url as urls
from crawler.fetch import machine, names
from crawler.fetch.answer import Answer, BadAnswer
from crawler.fetch.curl_errors import MAY_STARVE, diagnose
from crawler.fetch.fetcher import FailureKind, FetcherOptions, FetchError, FetchRequest, FetchResult, Lack
from crawler.fetch.guard import Guard
from crawler.fetch.outgoing import (
    REFUSED_BY_PROXY,
    ca_bundle,
    environment_proxies,
    environment_proxy,
    fixed_headers,
    header_lines,
    milliseconds,
    refusal_of,
    request_headers,
)
from crawler.fetch.sockets import open_socket, stirs

_ABORT: Final = -1
"""Returned by a callback: libcurl ends the transfer."""
_DNS_CACHE: Final = 300
"""Seconds that a resolved name is kept; each address is guarded anew whenever it is connected to."""
_IDLE: Final = 256
"""Idle connections kept open, at least."""
_DESCRIPTORS: Final = 3  # a transfer has at most: two sockets (RFC 8305), and what the resolver opens
_LOOK: Final = 0.05  # seconds between two looks at what stirs no socket: answers about names, descriptors
_IN, _OUT = select.POLLIN, select.POLLOUT
_WATCH: Final = {pycurl.POLL_IN: _IN, pycurl.POLL_OUT: _OUT, pycurl.POLL_INOUT: _IN | _OUT}
_CSELECT_IN, _CSELECT_OUT = 1, 2  # without a name in pycurl


class _Transfer:
    """One easy handle with its callbacks, used for one request after the other."""

    def __init__(self, options: FetcherOptions, guard: Guard, used: dict[int, int]) -> None:
        self._guard = guard
        self._used = used
        self._fixed = fixed_headers(options)
        self._headed = self._fresh = False
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
        set_option = self.easy.setopt
        set_option(pycurl.NOSIGNAL, 1)
        set_option(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        set_option(pycurl.FOLLOWLOCATION, 0)
        set_option(pycurl.HTTP09_ALLOWED, 0)
        set_option(pycurl.HTTP_CONTENT_DECODING, 0)
        version = pycurl.CURL_HTTP_VERSION_2TLS if options.http2 else pycurl.CURL_HTTP_VERSION_1_1
        set_option(pycurl.HTTP_VERSION, version)
        set_option(pycurl.DNS_CACHE_TIMEOUT, _DNS_CACHE)
        set_option(pycurl.NETRC, pycurl.NETRC_OPTIONAL if options.trust_env else pycurl.NETRC_IGNORED)
        set_option(pycurl.PROXY, self._proxy)  # an empty one keeps libcurl from reading the environment
        set_option(pycurl.NOPROXY, "")
        set_option(pycurl.SSL_VERIFYPEER, int(options.verify_tls))
        set_option(pycurl.SSL_VERIFYHOST, 2 if options.verify_tls else 0)
        set_option(pycurl.CAINFO, ca_bundle())
        set_option(pycurl.HTTPHEADER, header_lines(request_headers(self._fixed)))
        set_option(pycurl.WRITEFUNCTION, self.on_body)
        set_option(pycurl.HEADERFUNCTION, self.on_header)
        set_option(pycurl.OPENSOCKETFUNCTION, self.on_open)
        set_option(pycurl.PREREQFUNCTION, self.on_ready)

    def start(self, request: FetchRequest, ticket: str, proxy: str) -> None:
        """Set what changes from request to request; pycurl.error or UnicodeError where it cannot be sent."""
        self.request = request
        self.ticket = ticket
        self.answer = Answer(request)
        self.host = urls.host(request.url)
        self.fault = None
        self.barred = ""
        self.asked = self.opened = self.dirty = self.starved = False
        self.started = time.monotonic()
        easy = self.easy
        if self._fresh:
            self._fresh = False
            easy.setopt(pycurl.FRESH_CONNECT, 0)
        easy.setopt(pycurl.URL, request.url)
        if request.headers or self._headed:
            self._headed = bool(request.headers)
            easy.setopt(pycurl.HTTPHEADER, header_lines(request_headers(self._fixed, request)))
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

    def forget_name(self) -> None:
        """Have the name resolved anew: libcurl remembers that it did not."""
        parts = urlsplit(self.request.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self.easy.setopt(pycurl.RESOLVE, [f"-{parts.hostname}:{port}"])

    def again(self) -> None:
        """Get ready for another try, on a new connection."""
        self._fresh = True
        self.dirty = self.starved = self.opened = False
        self.easy.setopt(pycurl.FRESH_CONNECT, 1)

    # Callbacks. An exception in one would be printed by pycurl and lost, so each keeps its own.

    def on_open(self, purpose: int, address: tuple[int, int, int, tuple[Any, ...]]) -> Any:
        """Open a socket for the very address that libcurl connects to next, if the guard lets it."""
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
            self.asked = True
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
            if answer.version.startswith(b"HTTP/1"):
                self._used[self.local_port] = info(pycurl.ACTIVESOCKET)  # -1 where the connection ended with the answer
            if self.proxied and answer.status == REFUSED_BY_PROXY:
                return self.error("connect", refusal_of(self._proxy), now, "proxy")
            elapsed, first = info(pycurl.TOTAL_TIME_T) / 1e6, info(pycurl.STARTTRANSFER_TIME_T) / 1e6
            return answer.response(elapsed, first, now, info(pycurl.PRIMARY_IP) or "")
        if self.fault is not None:
            return self.error(*self.fault, now)
        if code == pycurl.E_OK:
            return self.error("connect", "closed before the end of the header", now)
        if self.barred and not self.opened:
            return self.error("refused", self.barred, now)
        kind, detail, lack = diagnose(self.easy, code, message, self._proxy, self.opened or self.asked)
        return self.error(kind, detail, now, lack)

    def error(self, kind: FailureKind, detail: str, now: float, lack: Lack = "") -> FetchError:
        sent = self.asked or (kind not in ("expired", "refused") and self.easy.getinfo(pycurl.CONNECT_TIME_T) > 0)
        return FetchError(self.request.url, kind, detail, sent, now - self.started, now, lack)

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
        self._used: dict[int, int] = {}  # local port -> descriptor of HTTP/1 connections that answered
        self._idle: list[_Transfer] = []
        self._active: dict[str, _Transfer] = {}
        self._ended: deque[tuple[str, FetchResult]] = deque()
        self._raised: BaseException | None = None
        self._silence = float("inf")  # no first-byte deadline is due before this time
        self._wake = float("inf")  # when libcurl wants to be called though no socket stirs
        self._poller = select.poll()
        self._doubts = names.Doubts()
        self._unresolved: set[str] = set()  # hosts whose names did not resolve when they were last asked for
        self._starving: list[_Transfer] = []  # found no descriptor: begun anew at this time
        self._feed_at = 0.0
        self._room = machine.allowance(options.concurrency, max(_IDLE, options.concurrency), _DESCRIPTORS)
        self._throttle = machine.Throttle(options.concurrency, self._room)
        self._multi = pycurl.CurlMulti()
        self._bound()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)

    @property
    def free(self) -> int:
        return self._throttle.allowed - len(self._active) - len(self._doubts) - len(self._ended)

    @property
    def lack(self) -> str:
        return self._throttle.words

    def submit(self, request: FetchRequest, ticket: str) -> None:
        if ticket in self._active or ticket in self._doubts:
            raise ValueError(f"ticket {ticket!r} is in use")
        if self._throttle.relieve(time.monotonic()):
            self._bound()
        transfer = self._idle.pop() if self._idle else _Transfer(self._options, self._guard, self._used)
        try:
            proxy = self._proxy_for(request.url)
            transfer.start(request, ticket, proxy)
            if transfer.host in self._unresolved:
                self._unresolved.discard(transfer.host)
                transfer.forget_name()
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
            waits = self._doubts or self._starving
            if waits:
                self._look_after(now)
            if self._ended or not (self._active or self._doubts) or now >= deadline:
                break
            wait = min(deadline, self._silence, self._wake, now + _LOOK if waits else deadline) - now
        if self._raised is not None:
            error, self._raised = self._raised, None
            raise error
        return [self._ended.popleft() for _ in range(min(most, len(self._ended)))]

    def cancel(self, ticket: str) -> bool:
        transfer = self._active.get(ticket)
        if transfer is not None:
            self._release(transfer)
            return True
        if self._doubts.drop(ticket):
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
        self._doubts.clear()
        for transfer in self._idle:
            transfer.easy.close()
        self._idle.clear()
        self._multi.close()

    def _proxy_for(self, url: str) -> str:
        """The proxy for *url*, or "": the option's, or the environment's where it is trusted."""
        if not self._proxies:
            return self._options.proxy or ""
        return environment_proxy(url, self._proxies)

    def _refuse(self, transfer: _Transfer, ticket: str, error: FetchError) -> None:
        self._idle.append(transfer)
        self._ended.append((ticket, error))

    def _release(self, transfer: _Transfer) -> None:
        if transfer in self._starving:
            self._starving.remove(transfer)
        else:
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
                if easy.transfer.dirty:
                    self._again(easy.transfer)
                elif easy.transfer.starved or (code in MAY_STARVE and machine.is_short()):
                    self._starve(easy.transfer, now)
                else:
                    self._fail(easy.transfer, easy.transfer.result(code, message, now), now)

    def _fail(self, transfer: _Transfer, result: FetchResult, now: float) -> None:
        """End a transfer that failed; one whose name did not resolve only when it is known why."""
        if not isinstance(result, FetchError) or result.lack != "resolver":
            return self._end(transfer, result)
        self._unresolved.add(transfer.host)
        self._release(transfer)
        return self._doubts.add(transfer.ticket, result, now)

    def _look_after(self, now: float) -> None:
        """Take the answers about names that have come, and begin anew what found no descriptor."""
        self._ended += self._doubts.settled(now)
        if self._starving and now >= self._feed_at:
            starving, self._starving = self._starving, []
            for transfer in starving:
                transfer.again()
                self._multi.add_handle(transfer.easy)

    def _starve(self, transfer: _Transfer, now: float) -> None:
        """There was no descriptor: for a while fewer connections, and another try soon."""
        at_work = len(self._active) - len(self._starving) - 1
        self._throttle.starve(at_work, now)
        self._bound(max(at_work, 1))
        limits = transfer.request.connect_timeout, transfer.request.first_byte_timeout
        if now - transfer.started >= min(limits):
            self._end(transfer, transfer.error("connect", os.strerror(errno.EMFILE), now, "shortage"))
            return
        self._multi.remove_handle(transfer.easy)
        self._starving.append(transfer)
        self._feed_at = now + _LOOK

    def _bound(self, most: int = 1 << 30) -> None:
        """Let there be *most* connections, if there is room for them; idle ones go first."""
        wanted, room = self._options.concurrency, min(most, self._room.connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, min(max(_IDLE, 2 * wanted), room))
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, room if room < wanted + _IDLE else 0)

    def _again(self, transfer: _Transfer) -> None:
        self._multi.remove_handle(transfer.easy)
        transfer.again()
        self._multi.add_handle(transfer.easy)

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

    def _on_socket(self, what: int, fd: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            with suppress(KeyError):
                self._poller.unregister(fd)
        elif what in _WATCH:
            self._poller.register(fd, _WATCH[what])

    def _on_timer(self, milliseconds: int) -> None:
        self._wake = float("inf") if milliseconds < 0 else time.monotonic() + milliseconds / 1000
