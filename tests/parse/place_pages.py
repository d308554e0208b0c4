"""Reads the places of a page for the tests of what a page holds."""

from __future__ import annotations

from crawler.checked_page import PLACES
from crawler.fetch.fetcher import Headers, Response
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.parse.page import Page
from crawler.parse.page_places import find_places
from crawler.parse.places import PagePlaces
from crawler.parse.resolver import Resolver
from crawler.url import Form

URL = "http://h.example/dir/page"
ALL = frozenset(PLACES)
HTML = "text/html; charset=utf-8"
WHOLE = "<!DOCTYPE html><title>t</title><meta name=description content=d><h1>h</h1>"
"""A page with nothing to note."""


def page_of(
    body: str | bytes,
    *headers: tuple[str, str],
    url: str = URL,
    kind: str = HTML,
    status: int = 200,
    want: frozenset[str] = frozenset(),
) -> Page:
    """A page as a crawl that checks, and stores what *want* says, reads it."""
    fields = Headers([("Content-Type", kind), *headers])
    raw = body.encode() if isinstance(body, str) else body
    options = ExtractOptions(want=want, agent="ourbot", places=ALL)
    return Extractor(options).extract(Response(url, status, fields, raw))


def places_of(body: str | bytes, *headers: tuple[str, str], url: str = URL, kind: str = HTML) -> PagePlaces:
    """What a page holds, as a crawl reads it."""
    found = page_of(body, *headers, url=url, kind=kind).places
    assert found is not None
    return found


def named(body: str | bytes, *headers: tuple[str, str], url: str = URL, kind: str = HTML) -> list[tuple[str, str]]:
    """Kinds and URLs, without the host."""
    return [
        (place.kind, place.url.removeprefix("http://h.example"))
        for place in places_of(body, *headers, url=url, kind=kind).places
    ]


def lines(body: str | bytes, *, kind: str = HTML) -> list[tuple[str, int]]:
    """URLs and lines."""
    return [(place.url.removeprefix("http://h.example"), place.line) for place in places_of(body, kind=kind).places]


def notes(body: str | bytes, *headers: tuple[str, str], url: str = URL, kind: str = HTML) -> list[tuple[str, int, str]]:
    """What is wrong with the page itself."""
    return [tuple(note) for note in places_of(body, *headers, url=url, kind=kind).notes]  # type: ignore[misc]


def again(page: Page, form: Form | None = None, kinds: frozenset[str] = ALL) -> PagePlaces:
    """The places of *page* once more, with their texts."""
    return find_places(page, kinds, Resolver(form or Form(), 1 << 20))
