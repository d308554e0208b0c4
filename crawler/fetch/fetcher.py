"""The interface of every fetcher. A fetcher knows HTTP and nothing of leases; errors are values.

`submit(request, ticket)` takes one request, `poll(timeout, most)` returns results, `free` is how many more requests may
be submitted, `cancel(ticket)` forgets one, `close()` ends all. Redirects are returned, never followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from crawler.clock import since_boot
from crawler.fetch import caching, mime
from crawler.headers import OriginHeader

FailureKind = Literal["dns", "connect", "tls", "timeout", "protocol", "refused", "expired"]
"""dns: the name does not resolve; connect: no connection, or it broke before or within the answer; tls: handshake or
certificate; timeout: one of the deadlines; protocol: an answer that is not HTTP, or broken encodings; refused: the
guard forbids the address; expired: `not_after` had passed, so nothing was sent.
"""

Method = Literal["GET", "HEAD"]

Lack = Literal["", "resolver", "network", "shortage", "proxy"]
"""What this machine may lack, so that the failure may not be the host's. resolver: no name server says whether the name
exists; network: there is no route to the address; shortage: no descriptor or memory is left; proxy: it cannot be
reached, or refuses us (407).
"""


class Headers(Sequence[tuple[str, str]]):
    """Response headers in order; names are lower case. `get` returns the first value of a name, `all` each of them."""

    __slots__ = ("_first", "_media_type", "_pairs")

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._pairs = [(name.lower(), value) for name, value in pairs]
        self._first = dict(reversed(self._pairs))
        self._media_type: mime.MediaType | None = None

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._pairs[index]

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of the header *name* (any case)."""
        return self._first.get(name.lower(), default)

    def all(self, name: str) -> list[str]:
        """Every value of the header *name* (any case), in order."""
        name = name.lower()
        if name not in self._first:
            return []
        if len(self._first) == len(self._pairs):  # each name once
            return [self._first[name]]
        return [value for key, value in self._pairs if key == name]

    def combined(self, name: str) -> str:
        """All values of the header *name* as one list (RFC 9110 section 5.3); empty if there is none."""
        return ", ".join(self.all(name))

    @property
    def media_type(self) -> mime.MediaType:
        """The type that all `Content-Type` lines together name."""
        if self._media_type is None:
            self._media_type = mime.extract(self.combined("content-type"))
        return self._media_type

    def __repr__(self) -> str:
        return f"Headers({self._pairs!r})"


class FetchRequest(msgspec.Struct, frozen=True):
    """One request and its limits. Times are in seconds; `not_after` is on `clock.since_boot`."""

    url: str
    method: Method = "GET"
    """HEAD: the header alone. A body that a server sends all the same is not read (RFC 9110 section 9.3.2)."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of this request alone (`If-None-Match`, ...), after the fetcher's own."""
    accept: str = "*/*"
    """The media types asked for; a fetcher's own `Accept` goes first."""
    max_body: int = 10 * 1024 * 1024
    """Most bytes of the *decoded* body that are kept; a longer body is cut and marked `truncated`."""
    types: tuple[str, ...] | None = None
    """Content types whose bodies are read, as prefixes (`text/`, `application/xhtml+xml`); None: all. If the header
    names none, the first bytes decide. The body of another type is not read further, and `skipped` is set.
    """
    unsure: tuple[str, ...] = ()
    """Types that say only that a body is a file. Its first bytes decide then, and text is not meant."""
    connect_timeout: float = 10.0
    first_byte_timeout: float = 20.0
    """From the start of the transfer to the first byte of the answer's header."""
    timeout: float = 30.0
    """From the start of the transfer to the last byte, however it drips."""
    body_may_fail: bool = False
    """Once the header is there, a body that breaks off, is not encoded as it says, or takes too long, is no failure:
    the answer is `truncated`. For requests that ask only whether something is there.
    """
    not_after: float | None = None
    """Do not send the request after this time. Checked at the start and again just before sending."""

    @property
    def is_too_late(self) -> bool:
        """Whether `not_after` has passed."""
        return self.not_after is not None and since_boot() > self.not_after


class Response(msgspec.Struct, frozen=True):
    """A final answer (never 1xx), its body decoded by Content-Encoding and cut at the request's `max_body`."""

    url: str
    status: int
    headers: Headers
    body: bytes = b""
    truncated: bool = False
    """The body is not whole: cut by `max_body`, a compressed stream that ended early, or a part (206), requested by
    `Range` or not.
    """
    skipped: bool = False
    """The body was not read because of its content type."""
    elapsed: float = 0.0
    """Seconds from start to end."""
    first_byte: float = 0.0
    """Seconds from start to the first byte of the answer."""
    ended: float = 0.0
    """When the transfer ended, on `time.monotonic()`'s clock."""
    address: str = ""
    """The IP address that answered."""
    certificate_expires: float | None = None
    """When the certificate of the server expires, in seconds since the epoch. None: it is not HTTPS, the options do not
    ask for it, or the engine did not get it (`requests` without verification).
    """

    @property
    def content_type(self) -> str:
        """The media type that the header names, lower case, without parameters; empty if it names none."""
        return self.headers.media_type.essence

    @property
    def computed_type(self) -> str:
        """`content_type`, or if that is empty, what the body looks like (never empty)."""
        return self.content_type or mime.sniff(self.body)

    @property
    def freshness(self) -> int | None:
        """Seconds for which it stays fresh, from its end on (RFC 9111 section 4.2); None if it does not say."""
        get = self.headers.get
        return caching.freshness(self.headers.combined("cache-control"), get("expires"), get("date"), get("age"))


class FetchError(msgspec.Struct, frozen=True):
    """Why there is no final answer. `sent`: whether any byte may have reached the server."""

    url: str
    kind: FailureKind
    detail: str
    sent: bool = True
    elapsed: float = 0.0
    ended: float = 0.0
    lack: Lack = ""


FetchResult = Response | FetchError


@dataclass(frozen=True, slots=True)
class FetcherOptions:
    """What all requests of one fetcher share."""

    user_agent: str
    concurrency: int = 64
    headers: tuple[tuple[str, str], ...] = ()
    """Added to each request (`--header`)."""
    origin_headers: tuple[OriginHeader, ...] = ()
    """Added only to requests to some origins: they may be secrets."""
    proxy: str | None = None
    allow_private: bool = False
    """Allow connections to loopback, private and other non-global addresses."""
    allowed_hosts: frozenset[str] = field(default_factory=frozenset)
    """Hosts (name and port as in `url.host`) that seeds named by a private address: those are allowed."""
    route: str = ""
    """An origin that is served elsewhere, and where (see `route.Route`)."""
    verify_tls: bool = True
    trust_env: bool = False
    """Use the environment's proxies and netrc."""
    http2: bool = True
    certificates: bool = False
    """Find out when certificates of servers expire."""


class Fetcher(Protocol):
    """What `worker` needs of an engine; see the module's docstring."""

    @property
    def free(self) -> int:
        """How many more requests may be submitted now."""

    @property
    def lack(self) -> str:
        """One line for a person: why fewer transfers run at once than configured; empty if there is no shortage."""

    def submit(self, request: FetchRequest, ticket: str) -> None:
        """Start *request*. `poll` returns its result under *ticket*, which must not be in use."""

    def poll(self, timeout: float, most: int = 16) -> list[tuple[str, FetchResult]]:
        """Drive transfers for at most *timeout* seconds or until one ends; return at most *most* results.

        `timeout` 0 only does what needs no waiting. Returns at once when nothing is in flight.
        """

    def cancel(self, ticket: str) -> bool:
        """Stop and forget the request; true if it was in flight. No result will follow for it."""

    def allow(self, hosts: frozenset[str]) -> None:
        """Replace the hosts that may be connected to at private addresses (see FetcherOptions.allowed_hosts)."""

    def close(self) -> None:
        """Cancel all and free the connections."""
