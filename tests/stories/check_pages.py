"""Pages with planted faults: each line of markup says what is wrong on it, and the page knows the line's number."""

from __future__ import annotations

import ssl
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

from tests.servers import Pairs
from tests.stories.sites import Site, Sites

Fault = tuple[str, str]
"""The code of a finding, and its target."""
Place = tuple[str, int | None]
"""The URL of a page, and a line."""
HTML: Final = ("Content-Type", "text/html; charset=utf-8")
TYPES: Final = {
    **{"html": "text/html; charset=utf-8", "png": "image/png", "css": "text/css", "js": "text/javascript"},
    **{"webmanifest": "application/manifest+json", "mp4": "video/mp4", "woff2": "font/woff2", "vtt": "text/vtt"},
    **{"xml": "application/rss+xml", "svg": "image/svg+xml", "pdf": "application/pdf"},
}
BODIES: Final = {"webmanifest": b"{}", "xml": b"<rss version='2.0'/>", "css": b"p { margin: 0 }"}


class Expected:
    """What a check has to find: by code and target all places."""

    def __init__(self) -> None:
        self.places: defaultdict[Fault, set[Place]] = defaultdict(set)

    def add(self, code: str, target: str, page: str, line: int | None) -> None:
        """One place."""
        self.places[code, target].add((page, line))


class SecureSite(Site):
    """A site with a certificate."""

    def __init__(self, host: str, tls: ssl.SSLContext) -> None:
        super().__init__(host)
        self._tls = tls


@dataclass
class Page:
    """A page in the making. It has all that a page should have, but what its faults say."""

    site: Site
    path: str
    expected: Expected
    title: str | None = ""
    description: str | None = ""
    heading: str = "<h1>A heading</h1>"
    head: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    status: int = 200
    headers: Pairs = ()
    _in_head: list[tuple[int, int, Fault]] = field(default_factory=list)
    _in_body: list[tuple[int, int, Fault]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Titles and descriptions of pages are their own, unless they are given."""
        self.title = f"Page {self.url}" if self.title == "" else self.title
        self.description = f"What is on {self.url}" if self.description == "" else self.description

    @property
    def url(self) -> str:
        """Its URL."""
        return self.site.url(self.path)

    def add(self, markup: str, *faults: Fault, at: int = 0) -> Page:
        """A piece of the body; its faults are on its line *at*."""
        self._in_body += [(len(self.body), at, fault) for fault in faults]
        self.body.append(markup)
        return self

    def add_to_head(self, markup: str, *faults: Fault, at: int = 0) -> Page:
        """A piece of the head."""
        self._in_head += [(len(self.head), at, fault) for fault in faults]
        self.head.append(markup)
        return self

    def is_wrong(self, code: str, target: str, line: int | None = None) -> Page:
        """A fault of the page as a whole, or of its header."""
        self.expected.add(code, target, self.url, line)
        return self

    def _first(self) -> list[str]:
        lines = ['<!doctype html><html lang="en"><head>']
        lines += [] if self.title is None else [f"<title>{escape(self.title)}</title>"]
        if self.description is not None:
            lines.append(f'<meta name="description" content="{escape(self.description)}">')
        return lines

    def source(self) -> bytes:
        """The whole page."""
        lines = [*self._first(), *self.head, "</head><body>", self.heading, *self.body, "</body></html>", ""]
        return "\n".join(lines).encode()

    def serve(self) -> str:
        """Serve it, and note what is wrong with it; its URL."""
        first = self._first()
        start = 1 + len(first)
        for pieces, faults in ((self.head, self._in_head), (self.body, self._in_body)):
            for number, at, (code, target) in faults:
                line = start + sum(1 + piece.count("\n") for piece in pieces[:number]) + at
                self.expected.add(code, target, self.url, line)
            start += sum(1 + piece.count("\n") for piece in pieces) + 1 + (1 + self.heading.count("\n"))
        return self.site.serve(self.path, self.source(), self.status, [HTML, *self.headers])


def serve_file(site: Site, path: str, status: int = 200, headers: Pairs = ()) -> str:
    """Serve something of the type that the ending names; its URL."""
    ending = path.partition("?")[0].rpartition(".")[2]
    body = BODIES.get(ending, f"the body of {path}".encode())
    return site.serve(path, body, status, [("Content-Type", TYPES[ending]), *headers])


def good_page(site: Site, path: str, body: Sequence[str] = (), head: Iterable[str] = ()) -> str:
    """A page with nothing wrong; its URL."""
    page = Page(site, path, Expected(), head=list(head), body=list(body))
    return page.serve()


def secure(sites: Sites, host: str, tls: ssl.SSLContext) -> SecureSite:
    """A site with a certificate, which ends with the others."""
    site = SecureSite(host, tls)
    site.__enter__()
    sites.adopt(site)
    return site
