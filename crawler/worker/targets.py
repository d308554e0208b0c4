"""What the pages of a check name: which of it is read as a page, which is asked for as a target; and what is kept.

A target is asked for and not read. It has an id of its own, so the same URL may be a page as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from crawler.checked_page import MAX_NOTES, PLACES, CheckedPage, Named, Note, name_hash, short_id, text_hash
from crawler.fetch.fetcher import Response
from crawler.frontier.messages import Commit
from crawler.parse.page import Page
from crawler.parse.places import PagePlaces, Place
from crawler.record import Request
from crawler.worker.context import Stored
from crawler.worker.link_filter import LinkFilter
from crawler.worker.options import WorkerOptions
from crawler.worker.outcome import Discovered, LeasedPage

MAX_NAMED: Final = 50_000
"""Places of a page, or locations of a sitemap, that are kept."""
_READ: Final = frozenset(("link", "frame", "canonical", "hreflang", "refresh", "style", "manifest"))
"""Kinds of places whose URLs are read, as far as the scope admits them."""
_READ_BY_HEADER: Final = frozenset(("next", "prev", "alternate", "canonical", "stylesheet"))
"""The same for `Link:` headers, by the words of their `rel`."""
_NUMBERS: Final = {kind: number for number, kind in enumerate(PLACES)}


class Names(msgspec.Struct, frozen=True):
    """What a page, style sheet, manifest or sitemap names."""

    requests: Sequence[Request] = ()
    """For what this worker has not sent yet: pages that its links do not lead to, and targets."""
    named: Sequence[Named] = ()
    notes: Sequence[Note] = ()
    is_kept: bool = True
    """It is one of a check."""

    def kept(self, commit: Commit, response: Response, page: Page | None = None) -> Commit:
        """*commit*, with what is kept of the page that *response* is."""
        if not self.is_kept:
            return commit
        found = PagePlaces() if page is None or page.places is None else page.places
        checked = CheckedPage(
            named=self.named,
            names=None if found.names is None else frozenset(map(name_hash, found.names)),
            notes=[*self.notes, *found.notes],
            noindex=page is not None and page.asks_noindex,
            title=text_hash(page.title) if page is not None and page.title else None,
            description=text_hash(page.description) if page is not None and page.description else None,
            elapsed_ms=round(response.elapsed * 1000),
            size=len(response.body),
        )
        return msgspec.structs.replace(commit, links=checked.encode())


NO_NAMES: Final = Names(is_kept=False)
"""Of a page of a crawl that is no check."""


class Targets:
    """Decides for one worker. May raise RedisAway if a root of the scope has to be looked up."""

    def __init__(self, links: LinkFilter, plan: WorkerOptions, stored: Stored) -> None:
        self._links, self._plan, self._stored = links, plan, stored

    def of_page(self, held: LeasedPage, page: Page) -> Names:
        """What *page* names."""
        places = [] if page.places is None else page.places.places[:MAX_NAMED]
        wanted, read = self._sorted(held, places, nofollow=page.nofollow)
        followed = set(page.outlinks)
        more, _ = self._links.admit(
            [url for url in read if url not in followed], depth=held.entry.request.depth + 1, via=held.id
        )
        ids = {request.url: short_id(self._stored.id_of(request)) for request in wanted}
        named = [_named(ids[place.url], place) for place in places if place.url in ids]
        return Names([*more, *self._unknown(wanted)], named)

    def of_sitemap(self, held: LeasedPage, locations: tuple[list[str], list[str]], kind: str) -> Names:
        """What a sitemap of this *kind* names: URLs in canonical form, and what is no URL."""
        found, bad = locations[0][:MAX_NAMED], locations[1][:MAX_NOTES]
        refused = {} if kind == "index" else self._links.reasons(found, 1)
        targets = {request.url: request for request in self._asked(held, list(refused), 1)}
        pages = (Request(url) for url in found if url not in refused)
        ids = [short_id(self._stored.id_of(request)) for request in (*pages, *targets.values())]
        return Names(
            self._unknown(targets.values()),
            [Named(target, _NUMBERS["sitemap"], 0) for target in ids],
            [Note("url-invalid", 0, text) for text in bad],
        )

    def of_redirect(self, held: LeasedPage, url: str, hops: int, found: Discovered) -> Discovered:
        """*found*, what a redirect to *url* leads to, with the target that it is where it is not read."""
        request, most = held.entry.request, self._plan.scope.max_hops
        if hops > most:
            return Discovered(refused=found.refused + Counter(hops=1), error=f"more than {hops - 1} redirects in a row")
        if not request.target and not self._links.reasons([url], request.depth, hops):
            return found
        asked = self._asked(held, [url], request.depth, hops)
        leads_to = self._stored.id_of(Request(url, target=True))
        return msgspec.structs.replace(found, requests=self._unknown(asked), leads_to=leads_to)

    def _sorted(self, held: LeasedPage, places: Sequence[Place], *, nofollow: bool) -> tuple[list[Request], list[str]]:
        """What *places* name, each URL once: as it is asked for; and the URLs that are read, the page's own not."""
        request, identity = held.entry.request, self._plan.form.identity
        own = identity(request.url)
        follows = not (nofollow or self._plan.sitemap_only)
        leading = dict.fromkeys(place.url for place in places if follows and self._is_read(place))
        refreshed = [place.url for place in places if place.kind == "refresh" and place.url in leading]
        refused = self._links.reasons(list(leading), request.depth + 1)
        if refreshed:  # a refresh is a redirect: it has the depth of its page
            nearer = self._links.reasons(refreshed, request.depth, request.hops + 1)
            refused = {url: why for url, why in refused.items() if url not in refreshed or url in nearer}
        itself = [url for url in dict.fromkeys(place.url for place in places) if identity(url) == own]
        read = [url for url in leading if url not in refused and url not in itself]
        met = {*read, *itself}
        others = list(dict.fromkeys(place.url for place in places if place.url not in met))
        targets = self._asked(held, others, request.depth + 1)
        return [*(Request(url) for url in (*itself, *read)), *targets], read

    def _is_read(self, place: Place) -> bool:
        words = place.rel.split()
        if "nofollow" in words and self._plan.extract.obey_nofollow:
            return False
        return place.kind in _READ or (place.kind == "header" and not _READ_BY_HEADER.isdisjoint(words))

    def _asked(self, held: LeasedPage, urls: Sequence[str], depth: int, hops: int = 0) -> list[Request]:
        """The targets among *urls*: filters leave out some, and so does a port that belongs to another protocol."""
        links = self._links
        within = links.inside(urls) if self._plan.no_external else set(urls)
        return [
            Request(url, depth, hops, held.id, target=True)
            for url in urls
            if url in within and not links.scope.filtered(url) and not links.has_bad_port(url)
        ]

    def _unknown(self, requests: Iterable[Request]) -> list[Request]:
        """Those of the targets in *requests* that this worker has not sent yet."""
        targets = {request.name: request for request in requests if request.target}
        return [targets[name] for name in self._links.known.unknown(targets)]


def _named(target: int, place: Place) -> Named:
    fragment = None if place.fragment is None else name_hash(place.fragment)
    return Named(target, _NUMBERS[place.kind], max(place.line, 0), fragment)
