"""The other fetcher: threads over `requests.Session`, for users with their own Session, auth or adapters.

Each thread has a Session; all share one adapter, and so its connections. `poll` watches the deadlines and closes the
socket of an overdue request, because socket time-outs start over with each byte.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy

from crawler.fetch import certificate, machine, requests_connection
from crawler.fetch.answer import BadAnswer, value_text
from crawler.fetch.fetcher import FailureKind, FetcherOptions, FetchError, FetchRequest, FetchResult, Headers, Lack
from crawler.fetch.guard import Guard
from crawler.fetch.request_headers import (
    REFUSED_BY_PROXY,
    environment_proxies,
    fixed_headers,
    own_headers,
    refusal_of,
    request_headers,
    tls_context,
)
from crawler.fetch.requests_connection import Transfer

SessionFactory = Callable[[], requests.Session]

_PIECE: Final = 16 * 1024
"""Bytes read at a time; also the most that a decoder gets at once."""
_M_MMAP_THRESHOLD: Final = -3  # in glibc's malloc.h
_DESCRIPTORS: Final = 3
"""Most descriptors of a transfer: its socket, the second handle by which it is ended, and what the resolver opens."""
_HUNGRY: Final = 0.1
"""A transfer that found no descriptor looks for one again after these seconds."""
_LINGER: Final = 2.0
"""Seconds that `close` waits for its threads; one that hangs in the resolver is left behind (it is a daemon)."""


class GuardedAdapter(HTTPAdapter):
    """requests' adapter over guarded connections (see `requests_connection`); certificates are loaded once."""

    def __init__(self, size: int, hosts: int, context: ssl.SSLContext) -> None:
        """*size* connections to one host, and idle ones to this number of *hosts*."""
        self._context = context
        self._verify = context.verify_mode != ssl.CERT_NONE
        super().__init__(pool_connections=hosts, pool_maxsize=size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        requests_connection.guard_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)
        requests_connection.guard_pools(manager)
        return manager

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        url = super().request_url(request, proxies)
        requests_connection.ask_for(str(request.url), whole=not url.startswith("/"))
        return url

    def close_idle(self) -> None:
        """Close all idle connections now; urllib3 leaves that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            requests_connection.close_idle(manager)

    def close(self) -> None:
        """Close all idle connections, for good."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            requests_connection.close_pools(manager)
        super().close()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host: Any
        pool: Any
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if verify is not self._verify:
            pool["ssl_context"] = None  # other trust settings: not the shared context
        return host, pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        if verify is True and not cert:
            conn.cert_reqs = "CERT_REQUIRED"  # through the shared context; requests would load its bundle again
        else:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]


class RequestsFetcher:
    """Fetches with requests; see `fetcher.Fetcher`.

    *session_factory* makes the Session of each thread. Its auth, headers and cookies are kept; its stock adapters are
    replaced by guarded ones. An adapter of another class stays, and is then itself responsible for where it connects.
    """

    def __init__(self, options: FetcherOptions, session_factory: SessionFactory | None = None) -> None:
        self._options = options
        if options.trust_env:
            environment_proxies()  # report a broken one now; requests reads them itself
        self._fixed = fixed_headers(options)
        self._guard = Guard(options.allow_private, options.allowed_hosts)
        self._factory = session_factory
        room = machine.allowance(options.concurrency, options.concurrency, _DESCRIPTORS)
        self._throttle = machine.Throttle(options.concurrency, room)
        self._adapter = GuardedAdapter(room.transfers, room.connections, tls_context(options.verify_tls))
        _return_large_blocks()
        if not options.verify_tls:
            requests_connection.silence_unverified()
        lock = threading.Lock()
        self._work = threading.Condition(lock)  # for the threads: there is a request, or the end
        self._news = threading.Condition(lock)  # for poll: there is a result
        self._waiting: deque[Transfer] = deque()
        self._active: dict[str, Transfer] = {}
        self._ended: deque[tuple[str, FetchResult]] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    @property
    def free(self) -> int:
        with self._work:
            busy = len(self._threads) - self._idle + len(self._waiting)  # threads that hang are busy too
            self._throttle.relieve(time.monotonic())
            return self._throttle.allowed - max(len(self._active), busy) - len(self._ended)

    @property
    def lack(self) -> str:
        return self._throttle.words

    def submit(self, request: FetchRequest, ticket: str) -> None:
        with self._work:
            if ticket in self._active:
                raise ValueError(f"ticket {ticket!r} is in use")
            try:
                transfer = Transfer(request, ticket, self._guard, self._options.certificates)
            except (ValueError, IndexError) as error:
                self._ended.append((ticket, FetchError(request.url, "protocol", f"not a URL: {error}", False)))
                return
            if request.is_too_late:
                self._ended.append((ticket, transfer.error("expired", "not_after passed")))
                return
            self._active[ticket] = transfer
            self._waiting.append(transfer)
            if self._idle < len(self._waiting):
                self._spawn()
            self._work.notify()

    def poll(self, timeout: float, most: int = 16) -> list[tuple[str, FetchResult]]:
        deadline = time.monotonic() + timeout
        with self._work:
            while True:
                now = time.monotonic()
                due = self._end_overdue(now)
                if self._ended or not self._active or now >= deadline:
                    break
                self._news.wait(min(deadline, due) - now)
            return [self._ended.popleft() for _ in range(min(most, len(self._ended)))]

    def cancel(self, ticket: str) -> bool:
        with self._work:
            transfer = self._active.pop(ticket, None)
            if transfer is not None:
                transfer.stop("expired", "cancelled")
                if transfer in self._waiting:
                    self._waiting.remove(transfer)
                return True
            before = len(self._ended)
            self._ended = deque(item for item in self._ended if item[0] != ticket)
            return len(self._ended) < before

    def allow(self, hosts: frozenset[str]) -> None:
        self._guard.allow(hosts)

    def close(self) -> None:
        with self._work:
            self._closed = True
            for transfer in self._active.values():
                transfer.stop("expired", "closed")
            self._active.clear()
            self._waiting.clear()
            self._ended.clear()
            self._work.notify_all()
        deadline = time.monotonic() + _LINGER
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._adapter.close()

    def _end_overdue(self, now: float) -> float:
        """End what has missed a deadline, at once and whatever its thread hangs in; returns the next deadline."""
        soonest = float("inf")
        for ticket, transfer in list(self._active.items()):
            due, detail = transfer.due()
            if due <= now:
                transfer.stop("timeout", detail)
                del self._active[ticket]
                result = transfer.response() if transfer.answer.breaks_off() else transfer.error("timeout", detail)
                self._ended.append((ticket, result))
            else:
                soonest = min(soonest, due)
        return soonest

    # The threads' work

    def _spawn(self) -> None:
        thread = threading.Thread(target=self._run, name=f"fetch-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        self._idle += 1
        thread.start()

    def _run(self) -> None:
        session: requests.Session | None = None
        while (transfer := self._next()) is not None:
            session = self._carry_out(transfer, session)
            transfer.answer.forget()
        if session is not None:
            session.close()

    def _carry_out(self, transfer: Transfer, session: requests.Session | None) -> requests.Session | None:
        """Carry out one request; returns the Session to use next."""
        try:
            session = session or self._session()
            result = self._fetch(session, transfer)
        except BaseException as error:  # a user's Session may raise anything; a thread must not die
            result = _failure(transfer, error)
        with self._work:
            self._idle += 1
            if self._active.get(transfer.ticket) is transfer:  # else cancelled, or overdue and answered
                del self._active[transfer.ticket]
                self._ended.append((transfer.ticket, result))
                self._news.notify()
        return session

    def _next(self) -> Transfer | None:
        """The next request for this thread, or None at the end."""
        with self._work:
            while not self._waiting and not self._closed:
                self._work.wait()
            if self._closed:
                return None
            self._idle -= 1
            return self._waiting.popleft()

    def _session(self) -> requests.Session:
        options = self._options
        session = self._factory() if self._factory else _blank_session()
        session.trust_env = options.trust_env
        session.verify = session.verify if options.verify_tls else False
        if options.proxy:
            session.proxies = {"http": options.proxy, "https": options.proxy}
        for prefix in ("http://", "https://"):
            if type(session.adapters.get(prefix)) is HTTPAdapter:
                session.mount(prefix, self._adapter)
        # Even when told not to follow, requests prepares the next request: it would read the whole body, without
        # limit, and raise for an invalid Location.
        session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
        return session

    def _fetch(self, session: requests.Session, transfer: Transfer) -> FetchResult:
        try:
            return self._attempt_fed(session, transfer)
        except Exception as error:
            if not _is_of_used_connection(transfer, error):
                return _failure(transfer, error)
        transfer.again()  # one more try (RFC 9112 section 9.3.1)
        return self._attempt_fed(session, transfer)

    def _attempt_fed(self, session: requests.Session, transfer: Transfer) -> FetchResult:
        """Attempt the request, again while it finds no descriptor: idle connections are closed, others finish."""
        by = transfer.started + min(transfer.request.connect_timeout, transfer.request.first_byte_timeout) - 1.0
        while True:
            try:
                return self._attempt(session, transfer)
            except Exception as error:
                if not requests_connection.is_short(error) or transfer.asked or transfer.fault or time.monotonic() > by:
                    raise
            self._starve()
            time.sleep(_HUNGRY)
            transfer.again()

    def _starve(self) -> None:
        """There was no descriptor: close idle connections, and start fewer transfers from now on."""
        self._adapter.close_idle()
        with self._work:
            self._throttle.starve(len(self._active) - 1, time.monotonic())

    def _attempt(self, session: requests.Session, transfer: Transfer) -> FetchResult:
        request = transfer.request
        lines = request_headers(self._fixed, request.accept, own_headers(self._options, request))
        headers = {name: _encoded(value) for name, value in lines.items()}
        prepared = session.prepare_request(requests.Request(request.method, request.url, headers=headers))
        prepared.url = request.url  # already canonical; requests would quote it again
        settings = session.merge_environment_settings(request.url, {}, True, None, None)
        proxy = select_proxy(request.url, settings["proxies"])
        transfer.proxy = proxy or ""
        if proxy and (reason := self._guard.check_name(transfer.host)):
            return transfer.error("refused", f"{transfer.host} is {reason}")
        timeouts = (request.connect_timeout, request.timeout)
        with requests_connection.working(transfer):
            response = session.send(prepared, timeout=timeouts, allow_redirects=False, **settings)
            try:
                _read(response, transfer)
            finally:
                response.close()
        if proxy and transfer.answer.status == REFUSED_BY_PROXY and transfer.fault is None:
            return transfer.error("connect", refusal_of(proxy), "proxy")
        return _answered(transfer)


def _return_large_blocks() -> None:
    """Make glibc return a body's memory to the system when it is freed: each thread's heap would keep about 20 MB."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)


def _blank_session() -> requests.Session:
    """A Session without state: it has no headers, and never stores a cookie."""
    session = requests.Session()
    session.headers.clear()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def _encoded(value: str) -> str | bytes:
    return value if value.isascii() else value.encode()


def _read(response: requests.Response, transfer: Transfer) -> None:
    """Read the body piece by piece as far as it is wanted; unread bytes close the connection."""
    answer = transfer.answer
    raw: Any = response.raw
    if not answer.status:  # a mock, or a user's adapter
        answer.head(response.status_code, _headers(response))
        transfer.first_byte = time.monotonic() - transfer.started
    if answer.skipped and not answer.small:
        return
    try:
        while data := _piece(raw):
            if not answer.feed(data):
                return
    except BadAnswer:
        raise
    except Exception:
        if not answer.skipped:
            raise


def _piece(raw: Any) -> bytes:
    """The next bytes of a body as received, not decoded; any file will do if it is not urllib3's."""
    data: bytes | None
    if hasattr(raw, "read1") and hasattr(raw, "release_conn"):
        data = raw.read1(_PIECE, decode_content=False)
    else:
        data = raw.read(_PIECE)
    return data or b""


def _headers(response: requests.Response) -> Headers:
    raw: Any = getattr(response.raw, "headers", None)
    pairs = raw.iteritems() if hasattr(raw, "iteritems") else response.headers.items()
    return Headers([(str(name), _decoded(str(name), str(value))) for name, value in pairs])


def _decoded(name: str, value: str) -> str:
    """The text of a header *value*, which http.client gives as Latin-1."""
    try:
        return value if value.isascii() else value_text(name, value.encode("latin-1"))
    except UnicodeEncodeError:
        return value


def _answered(transfer: Transfer) -> FetchResult:
    if transfer.fault is not None:
        return transfer.error(*transfer.fault)
    return transfer.response()


def _is_of_used_connection(transfer: Transfer, error: Exception) -> bool:
    """Whether the server closed a used connection meanwhile, or it held a body of the answer before (one to HEAD)."""
    if not transfer.asked or transfer.opened or transfer.fault is not None or transfer.answer.status:
        return False
    return isinstance(_root(error), BadAnswer) if transfer.first_byte else _kind(error) == "connect"


def _failure(transfer: Transfer, error: BaseException) -> FetchResult:
    """Any exception as a value; what the transfer itself knows of its end takes precedence."""
    if transfer.answer.breaks_off():
        return transfer.response()
    if transfer.fault is not None:
        return transfer.error(*transfer.fault)
    root = _root(error)
    if transfer.proxy and f"Tunnel connection failed: {REFUSED_BY_PROXY}" in str(root):  # http.client has no better
        return transfer.error("connect", refusal_of(transfer.proxy), "proxy")
    detail = " ".join(str(root).split()) or type(root).__name__
    kind = _kind(error)
    if kind == "tls":
        detail = certificate.words(getattr(root, "verify_code", 0), detail)
    number = getattr(root, "errno", None) if kind == "connect" else None
    lack: Lack = machine.lack_of(number) if not transfer.asked else ""
    if number and not lack and isinstance(root, OSError):
        detail = os.strerror(number).lower()
    return transfer.error(kind, detail[:300], "shortage" if requests_connection.is_short(error) else lack)


def _kind(error: BaseException) -> FailureKind:
    """Which kind of failure an exception of requests, urllib3 or the system is."""
    causes = list(_causes(error))

    def is_a(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if is_a(socket.gaierror):
        return "dns"
    if is_a(ssl.SSLError, requests.exceptions.SSLError):  # one of them is a ValueError too
        return "tls"
    if is_a(BadAnswer, ValueError, http.client.InvalidURL):  # requests' InvalidURL and InvalidHeader are ValueErrors
        return "protocol"
    if is_a(TimeoutError, requests.exceptions.Timeout):
        return "timeout"
    return "connect" if is_a(OSError, http.client.HTTPException) else "protocol"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those wrapped in it, the innermost last; libraries hide them in three places."""
    for _ in range(10):
        if error is None:
            return
        yield error
        inner = [getattr(error, "reason", None), *error.args, error.__cause__]
        error = next((each for each in inner if isinstance(each, BaseException)), None)


def _root(error: BaseException) -> BaseException:
    return list(_causes(error))[-1]
