"""A second opinion: what a crawl must find, by a walk that shares no code with the crawler.

lxml (libxml2) parses, urllib.parse takes URLs apart, http.client fetches, one request at a time. The rules:

- Scope: the hosts (name and port) of the seeds. robots.txt is read by urllib.robotparser.
- Links come from 2xx answers of type text/html or application/xhtml+xml alone: `a` and `area` (href), `iframe` and
  `frame` (src), `link` with rel next, prev, canonical, or alternate of an HTML type that is no stylesheet, and the
  first meta refresh that has a URL. The first `base` with an http(s) href is what they are relative to.
- nofollow is obeyed: of a link's rel, of meta robots, and of X-Robots-Tag. `none` means it too.
- A redirect (301, 302, 303, 307, 308) is a link.
- The canonical form: white space around a reference and line breaks in it go, `\\` is `/` before the query, the
  fragment goes, scheme and host are lower case (IDNA), default ports and a trailing dot of the host go, an empty path
  is `/`, dot segments are resolved. In the path, what is not ASCII and any of space " < > ` { } ^ is escaped as UTF-8,
  in the query space " < > ' (a page in another encoding may differ there). Escapes are upper case, escaped unreserved
  characters are written plainly. Only http and https (`https:x` without slashes is left out), no credentials.
"""

from __future__ import annotations

import hashlib
import http.client
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit, urlunsplit
from urllib.robotparser import RobotFileParser

from lxml import html

AGENT: Final = "crawler"
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_HTML: Final = ("text/html", "application/xhtml+xml")
_EDGES: Final = "".join(map(chr, range(33)))
_PORTS: Final = {"http": 80, "https": 443}
_PATH_SAFE: Final = "!#$%&'()*+,-./:;=?@[\\]_|~"
_QUERY_SAFE: Final = "!$%&()*+,-./:;=?@[\\]^_`{|}~"
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_REFRESH: Final = re.compile(r"^\s*[\d.]+\s*[;,\s]\s*(?:url\s*=\s*)?(['\"]?)(.+?)\1\s*$", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a URL answered."""

    status: int
    digest: str
    """As the crawler's records have it: `sha256:` and the digest of the body."""


@dataclass(slots=True)
class Walk:
    """What was found: the answer of each URL."""

    answers: dict[str, Answer] = field(default_factory=dict)
    links: int = 0
    """Links followed or not, on all pages."""


def walk(seeds: Sequence[str]) -> Walk:
    """Fetch all that can be reached from *seeds* without leaving their hosts."""
    fetcher = _Fetcher()
    hosts = {urlsplit(seed).netloc for seed in seeds}
    robots = {host: _robots(fetcher, host) for host in hosts}
    found = Walk()
    queue = deque(seeds)
    queued = set(seeds)
    while queue:
        url = queue.popleft()
        if not robots[urlsplit(url).netloc].can_fetch(AGENT, url):
            continue
        status, headers, body = fetcher.get(url)
        found.answers[url] = Answer(status, f"sha256:{hashlib.sha256(body).hexdigest()}")
        for reference, base in _references(url, status, headers, body):
            found.links += 1
            target = canonical(reference, base)
            if target is not None and target not in queued and urlsplit(target).netloc in hosts:
                queued.add(target)
                queue.append(target)
    fetcher.close()
    return found


def _robots(fetcher: _Fetcher, host: str) -> RobotFileParser:
    status, _, body = fetcher.get(f"http://{host}/robots.txt")
    rules = RobotFileParser()
    rules.parse(body.decode("utf-8", "replace").splitlines() if status == 200 else [])
    return rules


class _Fetcher:
    """One connection a host, kept open."""

    def __init__(self) -> None:
        self._connections: dict[str, http.client.HTTPConnection] = {}

    def get(self, url: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        parts = urlsplit(url)
        connection = self._connections.setdefault(parts.netloc, http.client.HTTPConnection(parts.netloc, timeout=30))
        target = urlunsplit(("", "", parts.path, parts.query, ""))
        try:
            connection.request("GET", target)
            response = connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):  # the server closed it after so many requests
            connection.close()
            connection.request("GET", target)
            response = connection.getresponse()
        return response.status, response.headers, response.read()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


def _references(url: str, status: int, headers: http.client.HTTPMessage, body: bytes) -> Iterator[tuple[str, str]]:
    """The references of an answer, each with its base."""
    if status in _REDIRECTS and headers["location"]:
        yield headers["location"], url
    elif 200 <= status < 300 and body.strip() and _is_read(headers):
        parser = html.HTMLParser(encoding=headers.get_content_charset(), huge_tree=True)
        yield from _of_document(url, html.document_fromstring(body, parser=parser))


def _is_read(headers: http.client.HTTPMessage) -> bool:
    tag = ",".join(headers.get_all("x-robots-tag", []))
    return headers.get_content_type() in _HTML and not _asks_nofollow(tag)


def _of_document(url: str, document: Any) -> Iterator[tuple[str, str]]:
    elements = [element for element in document.iter() if isinstance(element.tag, str)]
    if any(_asks_nofollow(element.get("content", "")) for element in elements if _is_robots_meta(element)):
        return
    base = next(_bases(url, elements), url)
    refreshed = False
    for element in elements:
        reference = None if "nofollow" in _words(element, "rel") else _reference(element)
        if element.tag == "meta":
            if refreshed or reference is None:
                continue
            refreshed = True
        if reference is not None:
            yield reference, base


def _is_robots_meta(element: Any) -> bool:
    return element.tag == "meta" and element.get("name", "").strip().lower() in ("robots", AGENT)


def _asks_nofollow(directives: str) -> bool:
    return not {"nofollow", "none"}.isdisjoint(word.strip() for word in directives.lower().split(","))


def _bases(url: str, elements: Sequence[Any]) -> Iterator[str]:
    for element in elements:
        if element.tag == "base" and element.get("href"):
            base = urljoin(url, element.get("href").strip(_EDGES))
            if urlsplit(base).scheme in _PORTS:
                yield base


def _reference(element: Any) -> str | None:
    """What an element leads to."""
    if element.tag in ("a", "area"):
        return _text(element, "href")
    if element.tag in ("iframe", "frame"):
        return _text(element, "src") or None
    if element.tag == "link" and _is_followed(element):
        return _text(element, "href") or None
    if element.tag == "meta" and element.get("http-equiv", "").lower() == "refresh":
        match = _REFRESH.match(element.get("content", ""))
        return match[2] if match else None
    return None


def _is_followed(link: Any) -> bool:
    words = _words(link, "rel")
    if words & {"next", "prev", "canonical"}:
        return True
    kind = link.get("type", "").partition(";")[0].strip().lower()
    return "alternate" in words and "stylesheet" not in words and kind in ("", *_HTML)


def _words(element: Any, name: str) -> set[str]:
    return set(element.get(name, "").lower().split())


def _text(element: Any, name: str) -> str | None:
    value = element.get(name)
    return None if value is None else str(value)


def canonical(reference: str, base: str) -> str | None:
    """The one spelling of *reference*, or None where it is not to be fetched."""
    before, mark, query = re.sub("[\t\n\r]", "", reference.strip(_EDGES)).partition("#")[0].partition("?")
    from_ = urlsplit(base)
    try:
        to = urlsplit(before.replace("\\", "/"), from_.scheme)
        host, port = (to.hostname or from_.hostname or "").encode("idna").decode().lower().removesuffix("."), to.port
    except (ValueError, UnicodeError):
        return None
    if to.scheme not in _PORTS or "@" in to.netloc or (to.scheme != from_.scheme and not to.netloc):
        return None
    port = port if to.netloc else from_.port
    netloc = host if port in (None, _PORTS[to.scheme]) else f"{host}:{port}"
    if not (to.netloc or to.path or mark):  # the page itself
        mark, query = "?" * bool(from_.query), from_.query
    path = _without_dots(to.path or "/" if to.netloc else _merged(from_.path, to.path))
    return f"{to.scheme}://{netloc}{_escaped(path, _PATH_SAFE)}{mark}{_escaped(query, _QUERY_SAFE)}"


def _merged(base: str, path: str) -> str:
    """RFC 3986, section 5.2.3. (urljoin is no help: it drops empty segments, which browsers keep.)"""
    if path.startswith("/"):
        return path
    return base[: base.rfind("/") + 1] + path if path else base


def _without_dots(path: str) -> str:
    """RFC 3986, section 5.2.4, as browsers do it: nothing is above the root."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join([*kept, ""] if segments[-1] in (".", "..") else kept)


def _escaped(text: str, safe: str) -> str:
    return _ESCAPE.sub(_normal, quote(text, safe=safe))


def _normal(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    plain = char.isascii() and (char.isalnum() or char in "-._~")
    return char if plain else match[0].upper()
