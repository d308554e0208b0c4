"""The default fetcher: libcurl's multi interface in one thread.

libcurl's callbacks report which sockets to watch and when to wake it (`curl_multi_socket_action`). Unlike
`curl_multi_fdset`, this has no limit of 1,024 descriptors. `answer` judges answers and decodes bodies, because libcurl
does not report that a compressed stream ended early. Names are resolved before libcurl gets the transfer: it has few
threads for that, and does not report why a name failed.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections import deque
from contextlib import suppress
from typing import Final

import pycurl

from crawler.fetch import machine, names
from crawler.fetch.answer import WASTEFUL
from crawler.fetch.curl_transfer import Transfer
from crawler.fetch.fetcher import FetcherOptions, FetchError, FetchRequest, FetchResult, Lack
from crawler.fetch.guard import Guard
from crawler.fetch.libcurl import MAY_STARVE, NAMES_KEPT, is_http2_fault
from crawler.fetch.request_headers import environment_proxies, environment_proxy

_IDLE: Final = 256
"""Idle connections kept open, at least."""
_DESCRIPTORS: Final = 3  # most that a transfer has: two sockets (RFC 8305), and what the resolver opens
_LOOK: Final = 0.05  # seconds between checks whether descriptors are free again
_IN, _OUT = select.POLLIN, select.POLLOUT
_WATCH: Final = {pycurl.POLL_IN: _IN, pycurl.POLL_OUT: _OUT, pycurl.POLL_INOUT: _IN | _OUT}
_CSELECT_IN, _CSELECT_OUT = 1, 2  # without a name in pycurl
_MAX_HTTP1_HOSTS: Final = 10_000
_MAX_NAMES: Final = 10_000
_LOOK_AT_WASTE: Final = 0.25
"""Seconds between checks of what transfers receive besides their bodies."""


class CurlFetcher:
    """Fetches with libcurl; see `fetcher.Fetcher`. Not to be shared between threads or across a fork."""

    def __init__(self, options: FetcherOptions) -> None:
        self._options = options
        self._guard = Guard(options.allow_private, options.allowed_hosts)
        self._proxies = environment_proxies() if options.trust_env and not options.proxy else {}
        self._used: dict[int, int] = {}  # local port -> descriptor of an HTTP/1 connection that answered
        self._http1: dict[str, None] = {}  # hosts whose HTTP/2 is at fault, the longest known first
        self._expiries: dict[str, float] = {}  # host -> when its certificate expires
        self._idle: list[Transfer] = []
        self._active: dict[str, Transfer] = {}
        self._ended: deque[tuple[str, FetchResult]] = deque()
        self._raised: BaseException | None = None
        self._silence = float("inf")  # no first-byte deadline is due before this time
        self._look = 0.0  # when transfers are next checked for waste
        self._wake = float("inf")  # when libcurl wants to be called even without socket events
        self._poller = select.poll()
        self._lookups = names.Lookups()
        self._poller.register(self._lookups.bell, _IN)
        self._naming: dict[str, list[Transfer]] = {}  # names that are being resolved, and the waiting transfers
        self._named: dict[str, float] = {}  # hosts whose addresses libcurl has, and until when; the oldest first
        self._starving: list[Transfer] = []  # found no descriptor: started again at this time
        self._feed_at = 0.0
        self._room = machine.allowance(options.concurrency, max(_IDLE, options.concurrency), _DESCRIPTORS)
        self._throttle = machine.Throttle(options.concurrency, self._room)
        self._multi = pycurl.CurlMulti()
        self._bound()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)

    @property
    def free(self) -> int:
        return self._throttle.allowed - len(self._active) - len(self._ended)

    @property
    def lack(self) -> str:
        return self._throttle.words

    def submit(self, request: FetchRequest, ticket: str) -> None:
        if ticket in self._active:
            raise ValueError(f"ticket {ticket!r} is in use")
        if self._throttle.relieve(time.monotonic()):
            self._bound()
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
        if self._named.get(transfer.host, 0.0) <= transfer.started and transfer.needs_name:
            transfer.naming = True
            if transfer.name not in self._naming:
                self._naming[transfer.name] = []
                self._lookups.ask(transfer.name)
            self._naming[transfer.name].append(transfer)
        else:
            self._multi.add_handle(transfer.easy)
        self._silence = min(self._silence, transfer.started + transfer.patience)

    def poll(self, timeout: float, most: int = 16) -> list[tuple[str, FetchResult]]:
        deadline = time.monotonic() + timeout
        wait = 0.0  # transfers that wait already go first
        while True:
            self._drive(wait)
            now = time.monotonic()
            if now >= self._silence:
                self._end_silent(now)
            if now >= self._look:
                self._end_wasteful(now)
            if self._starving and now >= self._feed_at:
                self._retry_starving()
            if self._ended or not self._active or now >= deadline:
                break
            wait = min(deadline, self._silence, self._wake, self._feed_at if self._starving else deadline) - now
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
        self._lookups.close()
        for transfer in self._idle:
            transfer.easy.close()
        self._idle.clear()
        self._multi.close()

    def _new_transfer(self) -> Transfer:
        return Transfer(self._options, self._guard, self._used, self._http1, self._expiries)

    def _proxy_for(self, url: str) -> str:
        """The proxy for *url*, or "": from the options, or from the environment if that is trusted."""
        if not self._proxies:
            return self._options.proxy or ""
        return environment_proxy(url, self._proxies)

    def _refuse(self, transfer: Transfer, ticket: str, error: FetchError) -> None:
        self._idle.append(transfer)
        self._ended.append((ticket, error))

    def _release(self, transfer: Transfer) -> None:
        if transfer.naming:
            with suppress(KeyError):  # its answer has just arrived
                self._naming[transfer.name].remove(transfer)
        elif transfer in self._starving:
            self._starving.remove(transfer)
        else:
            self._multi.remove_handle(transfer.easy)
        self._active.pop(transfer.ticket).answer.forget()
        self._idle.append(transfer)

    def _drive(self, wait: float) -> None:
        """Wait up to *wait* seconds for socket events, and let libcurl process them."""
        act = self._multi.socket_action
        for fd, event in self._poller.poll(max(0.0, wait) * 1000):
            if fd == self._lookups.bell:
                self._continue_resolved()
                continue
            if event & select.POLLNVAL:
                self._poller.unregister(fd)
            # an error concerns both directions
            act(fd, (_CSELECT_IN if event & ~_OUT else 0) | (_CSELECT_OUT if event & ~_IN else 0))
        if time.monotonic() >= self._wake:
            self._wake = float("inf")
            act(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()

    def _collect(self) -> None:
        """Turn the transfers that libcurl has ended into results."""
        queued = 1
        while queued:
            queued, done, failed = self._multi.info_read()
            now = time.monotonic()
            for easy in done:
                self._end(easy.transfer, easy.transfer.result(pycurl.E_OK, "", now))
            for easy, code, message in failed:
                if easy.transfer.starved or (code in MAY_STARVE and machine.is_short()):
                    self._starve(easy.transfer, now)
                elif not self._again(easy.transfer, code, message):
                    self._end(easy.transfer, easy.transfer.result(code, message, now))

    def _continue_resolved(self) -> None:
        """Continue transfers whose names have been resolved, and end those whose names have not."""
        now = time.monotonic()
        for name, found in self._lookups.take():
            for transfer in self._naming.pop(name):
                if isinstance(found, str):
                    words, lack = names.WORDS[found]
                    self._end(transfer, transfer.error("dns", words, now, lack))
                    continue
                transfer.lead_to(found)
                self._named.pop(transfer.host, None)
                self._named[transfer.host] = now + NAMES_KEPT
                self._multi.add_handle(transfer.easy)
        while len(self._named) > _MAX_NAMES:
            del self._named[next(iter(self._named))]

    def _retry_starving(self) -> None:
        """Start transfers again that found no descriptor."""
        starving, self._starving = self._starving, []
        for transfer in starving:
            transfer.again()
            self._multi.add_handle(transfer.easy)

    def _starve(self, transfer: Transfer, now: float) -> None:
        """There was no descriptor: for a while use fewer connections, and soon try again."""
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
        """Limit connections to *most*, if there is room for them; idle ones are closed first."""
        wanted, room = self._options.concurrency, min(most, self._room.connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, min(max(_IDLE, 2 * wanted), room))
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, room if room < wanted + _IDLE else 0)

    def _again(self, transfer: Transfer, code: int, message: str) -> bool:
        """Retry what failed because of a used connection or a faulty HTTP/2; false if it is not retried."""
        if transfer.dirty:
            ready = transfer.again
        elif transfer.met_leftovers(code):
            ready = transfer.again_anew
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

    def _end(self, transfer: Transfer, result: FetchResult) -> None:
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
            due = transfer.started + transfer.patience
            if due <= now:
                words = f"no {'address' if transfer.naming else 'answer'} within {transfer.patience:g} s"
                lack: Lack = "resolver" if transfer.naming else ""
                self._end(transfer, transfer.error("timeout", words, now, lack))
            else:
                self._silence = min(self._silence, due)

    def _end_wasteful(self, now: float) -> None:
        """End the transfers that receive hardly any body: what libcurl skips costs time all the same."""
        self._look = now + _LOOK_AT_WASTE
        for transfer in [each for each in self._active.values() if each.wastes()]:
            transfer.fault = ("protocol", WASTEFUL)
            self._end(transfer, transfer.result(pycurl.E_WRITE_ERROR, "", now))

    def _on_socket(self, what: int, fd: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            with suppress(KeyError):
                self._poller.unregister(fd)
        elif what in _WATCH:
            self._poller.register(fd, _WATCH[what])

    def _on_timer(self, milliseconds: int) -> None:
        self._wake = float("inf") if milliseconds < 0 else time.monotonic() + milliseconds / 1000
