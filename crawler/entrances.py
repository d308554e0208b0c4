"""Sitemaps: what robots.txt and the sitemaps themselves bring into the crawl, each judged like any link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from crawler import url as urls
from crawler.ending import Held
from crawler.errors import InvalidURL
from crawler.links import Links
from crawler.records import Request
from crawler.sitemap import Sitemap

MAX_NESTING: Final = 3
"""Indexes in a row that are followed; sitemaps.org allows one, sites have two."""
MAX_NAMED: Final = 1_000
"""Sitemaps taken from one robots.txt."""
USUAL: Final = "/sitemap.xml"
"""Where a sitemap is looked for when robots.txt names none and nothing else is to be followed."""


class Entrances:
    """From sitemaps to requests. May raise RedisAway, when a root of the scope has to be asked for."""

    def __init__(self, links: Links, form: urls.Form) -> None:
        self._links = links
        self._form = form

    def of_robots(self, origin: str, named: Iterable[str], *, usual: bool) -> tuple[list[Request], Counter[str]]:
        """The sitemaps that the robots.txt of *origin* names, and what is refused, counted by reason.

        *usual*: look at the usual place where it names none.
        """
        home = f"{origin}/robots.txt"
        found, refused = self._canonical(list(named)[:MAX_NAMED], home)
        admitted, more = self._links.admit_sitemaps(found, home)
        if not found and usual:
            admitted = [origin + USUAL]
        return [Request(url, sitemap=True) for url in admitted], refused + more

    def of_sitemap(self, held: Held, sitemap: Sitemap) -> tuple[list[Request], Counter[str]]:
        """The pages, or further sitemaps, that *sitemap* leads to, and what is refused, counted by reason."""
        request = held.entry.request
        changed = {location.url: location.lastmod for location in sitemap.locations}
        found, refused = self._canonical(changed, request.url)
        if sitemap.kind == "index":
            requests, more = self._of_index(held, list(found))
        else:
            requests, more = self._links.admit(list(found), depth=1, via=held.id)
            requests = [_dated(page, changed[found[page.url]]) for page in requests]
        return requests, refused + more

    def _of_index(self, held: Held, found: list[str]) -> tuple[list[Request], Counter[str]]:
        request = held.entry.request
        nesting = request.depth + 1 if request.sitemap else 1  # of a page that was met by a link depth counts links
        if nesting > MAX_NESTING:
            return [], Counter({"sitemap-nesting": len(found)})
        admitted, refused = self._links.admit_sitemaps(found, request.url)
        return [Request(url, nesting, via=held.id, sitemap=True) for url in admitted], refused

    def _canonical(self, references: Iterable[str], base: str) -> tuple[dict[str, str], Counter[str]]:
        """Canonical URL -> reference, and the refused ones counted by reason."""
        found: dict[str, str] = {}
        refused: Counter[str] = Counter()
        for reference in references:
            absolute = f"http://{reference}" if reference.startswith("www.") else reference  # sitemaps often are so
            try:
                found.setdefault(self._form.apply(urls.canonicalize(absolute, base)), reference)
            except InvalidURL as error:
                refused[error.reason] += 1
        return found, refused


def _dated(request: Request, lastmod: int | None) -> Request:
    return request if lastmod is None else msgspec.structs.replace(request, lastmod=lastmod)
