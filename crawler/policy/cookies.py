"""Cookies within one chain of redirects: some servers redirect a client in a circle until it returns their cookie.

Pure. A `Chain` belongs to one lease, follows redirects within one origin, and is forgotten with the lease. Nothing of
it is stored, and no other host, lease or record gets its cookies. RFC 6265 section 5 defines what a cookie is and which
requests carry it. Every cookie is sent only to its own host, whatever its `Domain`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.fetch.fetcher import Response
from crawler.headers import origin_of

MAX_HOPS: Final = 5
"""Most redirects followed within one lease."""
MAX_COOKIES: Final = 50
MAX_COOKIE: Final = 4096
MAX_HEADER: Final = 8192
"""Most cookies of a chain, characters of one (RFC 6265 section 6.1), and characters sent with one request. Servers
refuse longer headers; what does not fit is dropped.
"""
CIRCLE: Final = "it redirects in a circle; the cookies that it sets do not help"
"""Why a chain that leads back ends as `failed:redirect-loop`."""
_CONTROL = re.compile("[\0-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie, and the requests of its host that carry it."""

    name: str
    value: str
    path: str
    secure: bool
    """It is sent over https only."""
    expired: bool
    """It deletes a cookie of the same name and path."""


def parse(line: str, url: str) -> Cookie | None:
    """A Set-Cookie line of the answer to *url* (RFC 6265 sections 5.2 and 5.3); None if it sets nothing here."""
    pair, *attributes = line.split(";")
    name, equals, value = pair.partition("=")
    name, value = (name.strip(), value.strip()) if equals else ("", pair.strip())
    if not (name or value) or len(name) + len(value) > MAX_COOKIE or _CONTROL.search(line):
        return None
    found = {}
    for attribute in attributes:  # of each name the last one counts
        key, _, text = attribute.partition("=")
        found[key.strip().lower()] = text.strip()
    secure = "secure" in found
    if (secure and not url.startswith("https:")) or not _is_for(found.get("domain", ""), url):
        return None
    path = found.get("path", "")
    return Cookie(name, value, path if path.startswith("/") else _folder(url), secure, _has_expired(found))


def _is_for(domain: str, url: str) -> bool:
    """Whether a cookie with this `Domain` is for the host of *url* (section 5.1.3)."""
    host = urls.host(url).rpartition("]")[0] or urls.host(url).partition(":")[0]
    domain = domain.removeprefix(".").lower()
    if not domain or domain == host:
        return True
    return host.endswith(f".{domain}") and not host.replace(".", "").isdigit()


def _path_of(url: str) -> str:
    return urls.split(url)[2].partition("?")[0]


def _folder(url: str) -> str:
    """The default path (section 5.1.4)."""
    return _path_of(url).rpartition("/")[0] or "/"


def _has_expired(attributes: dict[str, str]) -> bool:
    age = attributes.get("max-age", "")
    if re.fullmatch(r"-?[0-9]{1,20}", age):
        return int(age) <= 0
    try:
        when = parsedate_to_datetime(attributes.get("expires", "")[:100])
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() <= time.time()
    except (ValueError, TypeError, IndexError, OverflowError):  # no date: it lasts as long as the chain
        return False


class Jar:
    """The cookies that one origin has set so far, oldest first."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str], Cookie] = {}

    def take(self, lines: Sequence[str], url: str) -> None:
        """Take what the answer to *url* sets. Safe to repeat."""
        for line in lines:
            cookie = parse(line, url)
            if cookie is None:
                continue
            key = cookie.name, cookie.path
            if cookie.expired:
                self._cookies.pop(key, None)
            elif key in self._cookies or len(self._cookies) < MAX_COOKIES:
                self._cookies[key] = cookie

    def header(self, url: str) -> str:
        """The value of `Cookie` for a request of *url* (section 5.4): longer paths first; empty if there is none."""
        path, pairs, room = _path_of(url), [], MAX_HEADER
        for cookie in sorted(self._cookies.values(), key=lambda cookie: -len(cookie.path)):
            pair = f"{cookie.name}={cookie.value}" if cookie.name else cookie.value
            if _is_under(path, cookie.path) and (not cookie.secure or url.startswith("https:")) and len(pair) <= room:
                pairs.append(pair)
                room -= len(pair) + 2
        return "; ".join(pairs)


def _is_under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")


@dataclass(slots=True)
class Chain:
    """The redirects that a lease follows in its own origin, because their answers set cookies."""

    first: str
    """The canonical URL that was leased."""
    at: str = ""
    """The URL that is requested now."""
    hops: int = 0
    cookie: str = ""
    """The `Cookie` header of the request under way."""
    _jar: Jar = field(default_factory=Jar, repr=False)
    _asked: set[tuple[str, str]] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        self._asked.add((self.first, ""))

    def next_hop(self, response: Response) -> str | None:
        """The URL to request next in this lease, after a redirect; None if the chain ends. Safe to repeat.

        It ends if *response* does not redirect within the origin, if no cookie goes with the next request, if that
        request was made before, and after MAX_HOPS.
        """
        target = _target(response) if self.hops < MAX_HOPS else None
        if target is None or origin_of(target) != origin_of(self.first):
            return None
        self._jar.take(response.headers.all("set-cookie"), response.url)
        cookie = self._jar.header(target)
        return target if cookie and (target, cookie) not in self._asked else None

    def go(self, target: str) -> None:
        """*target* is requested next."""
        self.hops += 1
        self.at = target
        self.cookie = self._jar.header(target)
        self._asked.add((target, self.cookie))

    def is_circle(self, target: str) -> bool:
        """Whether a redirect to *target* leads back although its cookies were sent."""
        return self.hops > 0 and any(url == target for url, _ in self._asked)


def _target(response: Response) -> str | None:
    try:
        return urls.canonicalize(reference, response.url) if (reference := response.headers.get("location")) else None
    except InvalidURL:
        return None
