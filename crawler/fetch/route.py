"""A site that is served on this machine under the address that it will have: requests for it take another way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import msgspec

from crawler.fetch.fetcher import Fetcher, FetchRequest, FetchResult

_SEPARATOR: Final = " "


@dataclass(frozen=True, slots=True)
class Route:
    """Where the requests for one origin go."""

    origin: str
    """As in URLs, such as `https://example.org`."""
    target: str
    """What stands in its place when a request is sent: a URL of this machine without a slash at its end."""

    def __str__(self) -> str:
        """For `parse`."""
        return f"{self.origin}{_SEPARATOR}{self.target}"

    @classmethod
    def parse(cls, text: str) -> Route:
        """What `str` made of a route."""
        origin, _, target = text.partition(_SEPARATOR)
        return cls(origin, target)

    def of(self, url: str) -> str | None:
        """What to request in place of *url*; None: the URL itself."""
        return f"{self.target}{url[len(self.origin) :]}" if url.startswith(f"{self.origin}/") else None


class RoutedFetcher:
    """A fetcher that sends the requests for one origin elsewhere. Its results name the URLs that were asked for."""

    def __init__(self, fetcher: Fetcher, route: Route) -> None:
        self._fetcher, self._route = fetcher, route
        self._host = frozenset((urlsplit(route.target).netloc,))
        self._asked: dict[str, str] = {}
        """Ticket -> URL of a request that went elsewhere."""
        self.allow(frozenset())

    @property
    def free(self) -> int:
        """As of the fetcher behind it."""
        return self._fetcher.free

    @property
    def lack(self) -> str:
        """As of the fetcher behind it."""
        return self._fetcher.lack

    def submit(self, request: FetchRequest, ticket: str) -> None:
        """Start *request*, at its origin or in its place."""
        if (elsewhere := self._route.of(request.url)) is not None:
            self._asked[ticket] = request.url
            request = msgspec.structs.replace(request, url=elsewhere)
        self._fetcher.submit(request, ticket)

    def poll(self, timeout: float, most: int = 16) -> list[tuple[str, FetchResult]]:
        """As of the fetcher behind it."""
        return [(ticket, self._named(ticket, result)) for ticket, result in self._fetcher.poll(timeout, most)]

    def _named(self, ticket: str, result: FetchResult) -> FetchResult:
        url = self._asked.pop(ticket, None)
        return result if url is None else msgspec.structs.replace(result, url=url)

    def cancel(self, ticket: str) -> bool:
        """Stop and forget the request."""
        self._asked.pop(ticket, None)
        return self._fetcher.cancel(ticket)

    def allow(self, hosts: frozenset[str]) -> None:
        """Replace the hosts that may be connected to at private addresses; the target of the route always may."""
        self._fetcher.allow(hosts | self._host)

    def close(self) -> None:
        """Cancel all and free the connections."""
        self._asked.clear()
        self._fetcher.close()
