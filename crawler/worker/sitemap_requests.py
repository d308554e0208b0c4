"""Sitemap URLs to requests: from robots.txt and from sitemaps themselves, each judged like any link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.parse.sitemap import Sitemap
from crawler.record import Request
from crawler.worker.link_filter import LinkFilter, is_private_name
from crawler.worker.outcome import LeasedPage

MAX_NESTING: Final = 3
"""Longest chain of indexes that is followed; sitemaps.org allows one, real sites have two."""
MAX_NAMED: Final = 1_000
"""Most sitemaps taken from one robots.txt."""
MAX_HOSTS: Final = 5
"""Most hosts of other sites on which one robots.txt may name sitemaps."""
USUAL: Final = "/sitemap.xml"
"""The usual place of a sitemap, tried if robots.txt names none and the crawl follows links."""


class SitemapRequests:
    """From sitemaps to requests. May raise RedisAway if a root of the scope has to be looked up."""

    def __init__(self, links: LinkFilter, form: urls.Form, *, allow_private: bool = False) -> None:
        """*allow_private*: any host may be at a private address."""
        self._links = links
        self._form = form
        self._allow_private = allow_private

    def of_robots(self, origin: str, named: Iterable[str], *, usual: bool) -> tuple[list[Request], Counter[str]]:
        """The sitemaps that the robots.txt of *origin* names, and the count of refused ones by reason.

        They may lie on other sites: a sitemap named in robots.txt proves that it speaks for this host
        (https://www.sitemaps.org/protocol.html#sitemaps_cross_submits). The scope still judges its pages. If this host
        was contacted only for another host's sitemap, its own sitemaps are not added. *usual*: if none is named, try
        the usual place.
        """
        home, named = f"{origin}/robots.txt", list(named)[:MAX_NAMED]
        if not (named or usual):
            return [], Counter()
        if self._links.scope.kind != "all" and not self._links.is_seeded(home):
            return [], Counter()
        found, refused = self._canonical(named, home)
        hosts: set[str] = set()

        def elsewhere(sitemap: str) -> str | None:
            host = urls.host(sitemap)
            if not self._may_be_asked(sitemap):
                return "scope"
            if host not in hosts and len(hosts) >= MAX_HOSTS:
                return "sitemap-hosts"
            hosts.add(host)
            return None

        admitted, more = self._links.admit_sitemaps(found, home, elsewhere)
        if not found and usual:
            admitted = [origin + USUAL]
        return [Request(url, sitemap=True) for url in admitted], refused + more

    def of_redirect(self, request: Request, target: str) -> tuple[list[str], Counter[str]]:
        """The request for a sitemap's redirect target, if it may be read there; else the reason why not.

        A sitemap that robots.txt or a person named may move to another site; one from an index may not.
        """
        if request.depth or not self._may_be_asked(target):
            return self._links.admit_sitemaps([target], request.url)
        return self._links.admit_sitemaps([target], request.url, lambda _: None)

    def _may_be_asked(self, url: str) -> bool:
        """Whether it is no private address, or that of a host that a seed named: only seeds may lead there."""
        return self._allow_private or not is_private_name(url) or self._links.is_seeded(url)

    def of_sitemap(self, held: LeasedPage, sitemap: Sitemap) -> tuple[list[Request], Counter[str], dict[str, int]]:
        """The pages, or further sitemaps, that *sitemap* leads to, and the count of refused ones by reason.

        Then the pages of its own site of which it says when they changed last (URL -> seconds); it does not speak for
        other sites (https://www.sitemaps.org/protocol.html#location).
        """
        request = held.entry.request
        changed = {location.url: location.lastmod for location in sitemap.locations}
        found, refused = self._canonical(changed, request.url)
        if sitemap.kind == "index":
            requests, more = self._of_index(held, list(found))
            return requests, refused + more, {}
        requests, more = self._links.admit(list(found), depth=1, via=held.id)
        requests = [_dated(page, changed[found[page.url]]) for page in requests]
        site = urls.site_of_host(urls.host(request.url))
        dates = ((url, changed[reference]) for url, reference in found.items())
        own = {url: date for url, date in dates if date is not None and urls.site_of_host(urls.host(url)) == site}
        return requests, refused + more, own

    def named(self, held: LeasedPage, sitemap: Sitemap) -> tuple[list[str], list[str]]:
        """What *sitemap* names, in canonical form; and what of that is no URL."""
        found, bad = list[str](), list[str]()
        for location in sitemap.locations:
            try:
                found.append(self._form.apply(urls.canonicalize(_absolute(location.url), held.entry.request.url)))
            except InvalidURL:
                bad.append(location.url)
        return found, bad

    def _of_index(self, held: LeasedPage, found: list[str]) -> tuple[list[Request], Counter[str]]:
        request = held.entry.request
        nesting = request.depth + 1 if request.sitemap else 1  # for a page found by a link, depth counts links
        if nesting > MAX_NESTING:
            return [], Counter({"sitemap-nesting": len(found)})
        admitted, refused = self._links.admit_sitemaps(found, request.url)
        return [Request(url, nesting, via=held.id, sitemap=True) for url in admitted], refused

    def _canonical(self, references: Iterable[str], base: str) -> tuple[dict[str, str], Counter[str]]:
        """Canonical URL -> reference, and the count of refused ones by reason."""
        found: dict[str, str] = {}
        refused: Counter[str] = Counter()
        for reference in references:
            try:
                found.setdefault(self._form.apply(urls.canonicalize(_absolute(reference), base)), reference)
            except InvalidURL as error:
                refused[error.reason] += 1
        return found, refused


def _absolute(reference: str) -> str:
    """With its scheme: sitemaps often leave it out."""
    return f"http://{reference}" if reference.startswith("www.") else reference


def _dated(request: Request, lastmod: int | None) -> Request:
    return request if lastmod is None else msgspec.structs.replace(request, lastmod=lastmod)
