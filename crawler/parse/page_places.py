"""Finds every place of a page, a style sheet or a manifest that names a URL, and what is wrong with the page by itself.

Pure; the cost is linear in the page, and bounded by MAX_PLACES.
"""

from __future__ import annotations

import re
from typing import Final

from crawler import url as urls
from crawler.parse import link_header
from crawler.parse.charset import decode
from crawler.parse.html_places import HtmlPlaces
from crawler.parse.link_kinds import link_references, meta_references
from crawler.parse.manifest import manifest_references
from crawler.parse.numbered_page import NumberedPage
from crawler.parse.page import Page
from crawler.parse.place_collector import PlaceCollector
from crawler.parse.places import PagePlaces, Reference
from crawler.parse.resolver import Resolver
from crawler.parse.style_sheet import sheet_references, sheet_text

_JSON: Final = re.compile(r"application/(?:[\w.+-]+\+)?json|text/(?:json|plain)|application/octet-stream")


class PlaceReader:
    """Reads the places of the pages of a check."""

    def __init__(self, kinds: frozenset[str], resolver: Resolver, *, texts: bool) -> None:
        """*kinds*, *resolver* and *texts* as in `find_places`."""
        self._kinds, self._resolver, self._texts = kinds, resolver, texts

    def number(self, page: Page) -> NumberedPage | None:
        """The HTML *page* parsed with its tags numbered; None for an error page, whose places mean nothing."""
        return NumberedPage(page) if 200 <= page.status < 300 else None

    def read(self, page: Page, numbered: NumberedPage | None = None) -> None:
        """Set `Page.places`, unless it is an error page."""
        if 200 <= page.status < 300:
            page.places = find_places(page, self._kinds, self._resolver, numbered=numbered, texts=self._texts)


def find_places(
    page: Page,
    kinds: frozenset[str],
    resolver: Resolver | None = None,
    *,
    numbered: NumberedPage | None = None,
    texts: bool = True,
) -> PagePlaces:
    """The places of *page* that are of one of the *kinds* (`checked_page.PLACES`), its names, and notes on it.

    *page* is an answer that `Extractor` read. *resolver* knows the crawl's form of URLs; *numbered* is the
    page parsed with numbers, if it was already. Without *texts*, places have none.
    """
    collector = PlaceCollector(page, kinds, resolver or Resolver(urls.Form(), 1 << 20))
    response = page.response
    _header(collector, page)
    if page.is_html and (response.body or page.made):
        HtmlPlaces(collector, page, numbered or NumberedPage(page), texts).read()
    elif response.body and response.computed_type == "text/css":
        collector.add_all(sheet_references(sheet_text(response.body, response.headers.combined("content-type"))))
    elif response.body and _is_manifest(page):
        collector.add_all(manifest_references(decode(response.body, "utf-8")))
    return collector.finish()


def _is_manifest(page: Page) -> bool:
    """By its type, else by its name: many servers do not know the type."""
    kind = page.response.computed_type
    if kind == "application/manifest+json":
        return True
    path = page.url.partition("?")[0]
    return path.endswith((".webmanifest", "/manifest.json")) and _JSON.fullmatch(kind) is not None


def _header(collector: PlaceCollector, page: Page) -> None:
    """`Link`, `Refresh` and `Content-Location`, which are relative to the page itself (RFC 8288, RFC 9110)."""
    headers = page.headers
    for attributes in link_header.parse(headers.combined("link")):
        collector.add_all(link_references(attributes, is_header=True), rel=attributes.get("rel"))
    if refresh := headers.get("refresh"):
        collector.add_all(meta_references({"http-equiv": "refresh"}, refresh))
    if location := headers.get("content-location"):
        collector.add(Reference("other", location))
