"""What a reader sees at a place, and the names of fragments: from stored links, else from reading pages again.

The link graph has neither, to be small. Pages are read again by robots.txt and after their hosts' delays, and only so
many: what is not read is left out.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from crawler.check.drafts import Draft
from crawler.checked_page import name_hash
from crawler.crawl.read_again import NamedAgain, PagesAgain
from crawler.frontier.frontier import Frontier
from crawler.text import counted

MAX_PAGES: Final = 500
"""Pages that are read again for a report."""
MAX_OF_FINDING: Final = 100
"""Pages of a finding whose texts are looked for."""
SAME: Final = 10
"""Pages of a finding after which no more are read if all of them show the same text: it is in a template."""
MAX_SECONDS: Final = 60.0
MAX_PLACES: Final = 200_000
"""Places whose texts are looked for."""
_BATCH: Final = 50
_CODES: Final = frozenset(
    (
        *("broken", "broken-fragment", "redirect-chain", "redirect-loop", "redirect-permanent", "certificate"),
        *("linked-noindex", "linked-disallowed", "not-checked", "cannot-tell"),
    )
)
"""Of links, which have a text."""

Read = Callable[[str, Collection[int], float], list[NamedAgain] | None]
"""Reads lines of a page again, until a time of the monotonic clock (see `PagesAgain.read`)."""


class Texts:
    """The texts of places, by page and line."""

    def __init__(
        self, frontier: Frontier, read: Read | None = None, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """Without *read*, no page is read again."""
        self._frontier, self._read, self._say = frontier, read, say
        self._lines: dict[int, set[int]] = defaultdict(set)
        """Pages -> the lines that are looked for."""
        self._found: dict[tuple[int, int], list[NamedAgain]] = defaultdict(list)
        self._drafts: dict[int, list[Draft]] = defaultdict(list)
        """Pages -> the findings for which they are looked at."""
        self._seen: dict[int, list[str | None]] = defaultdict(list)
        """Findings, by `id` -> their texts on pages that were read again."""

    def of(self, page: int, line: int, draft: Draft) -> str | None:
        """What a reader sees at a place of *draft*."""
        named = self._found.get((page, line), ())
        return next((one.text for one in named if one.text and one.url in draft.urls and _fits(one, draft)), None)

    def learn(self, drafts: Iterable[Draft], known: Mapping[int, str]) -> None:
        """Look for the texts of these findings, and for the names of broken fragments; *known* has URLs of pages."""
        drafts = [draft for draft in drafts if draft.code in _CODES]
        drafts.sort(key=lambda draft: draft.fragment is None)  # without its name a fragment says little
        pages = self._want(drafts, known)
        self._read_stored(pages)
        if self._read is not None:
            self._read_again(pages, drafts, self._read)
        for draft in drafts:
            if draft.fragment is not None:
                draft.name = self._name_of(draft)

    def _want(self, drafts: Sequence[Draft], known: Mapping[int, str]) -> dict[int, str]:
        """Note the lines to look for, and the URLs of their pages, in the order in which they are worth a request."""
        wanted: dict[int, str] = {}
        left = MAX_PLACES
        for draft in drafts:
            of_draft: dict[int, list[int]] = defaultdict(list)
            for page, line in draft.all_places():
                if line and page in known:
                    of_draft[page].append(line)
            for page in sorted(of_draft, key=known.__getitem__)[:MAX_OF_FINDING]:
                left -= len(of_draft[page])
                if left < 0:
                    return wanted
                self._lines[page].update(of_draft[page])
                self._drafts[page].append(draft)
                wanted[page] = known[page]
        return wanted

    def _read_stored(self, pages: Mapping[int, str]) -> None:
        """Of pages whose links the crawl has stored."""
        frontier, form = self._frontier, self._frontier.form
        ids = {frontier.id(url): page for page, url in pages.items()}
        known = list(ids)
        for start in range(0, len(known), _BATCH):
            some = known[start : start + _BATCH]
            for url_id, links in frontier.crawldb.records.links_of(some).items():
                named = [NamedAgain(one.line or 0, form.apply(one.url), None, one.text) for one in links]
                self._keep(ids[url_id], named)

    def _read_again(self, pages: Mapping[int, str], drafts: Sequence[Draft], read: Read) -> None:
        """Of those that the crawl has not stored, and of those where the name of a fragment is not known."""
        of_fragments = {page for draft in drafts if draft.fragment is not None for page, _ in draft.all_places()}
        stored = {page for page, _ in self._found}
        missing = [page for page in pages if page not in stored or page in of_fragments][:MAX_PAGES]
        began = time.monotonic()
        if missing:
            self._say(f"looking for the texts of links on up to {counted(len(missing), 'page')}, for a minute at most")
        for count, page in enumerate(missing, 1):
            if time.monotonic() >= began + MAX_SECONDS:
                self._say(f"{counted(len(missing) - count + 1, 'page')} were not read again: some texts are left out")
                break
            if not all(map(self._is_settled, self._drafts[page])):
                self._note(page, read(pages[page], self._lines[page], began + MAX_SECONDS))

    def _is_settled(self, draft: Draft) -> bool:
        """Whether more pages would only show what is known of a finding."""
        texts = self._seen[id(draft)]
        is_named = draft.fragment is None or self._name_of(draft) is not None
        return is_named and len(texts) >= SAME and len(set(texts)) == 1

    def _note(self, page: int, named: Iterable[NamedAgain] | None) -> None:
        """Keep what was read of a page, if it could be."""
        if named is None:
            return
        by_url: dict[str, list[NamedAgain]] = defaultdict(list)
        for one in self._keep(page, named):
            if one.text:
                by_url[one.url].append(one)
        for draft in self._drafts[page]:
            texts = (one.text for url in draft.urls for one in by_url.get(url, ()) if _fits(one, draft))
            self._seen[id(draft)].append(next(texts, None))

    def _keep(self, page: int, named: Iterable[NamedAgain]) -> list[NamedAgain]:
        """Keep what is in the lines that are looked for; what that is."""
        kept = [one for one in named if one.line in self._lines[page]]
        for one in kept:
            self._found[page, one.line].append(one)
        return kept

    def _name_of(self, draft: Draft) -> str | None:
        for place in draft.all_places():
            for one in self._found.get(place, ()):
                if one.fragment is not None and one.url in draft.urls and _fits(one, draft):
                    return one.fragment
        return None


def _fits(one: NamedAgain, draft: Draft) -> bool:
    """Whether the fragment, if it is known, is the one that is meant."""
    return draft.fragment is None or one.fragment is None or name_hash(one.fragment) == draft.fragment


def reader(frontier: Frontier, pages: PagesAgain) -> Read:
    """Reads pages of the crawl again; URLs are in the crawl's form."""

    def read(url: str, lines: Collection[int], until: float) -> list[NamedAgain] | None:
        found = pages.read(url, lines, until)
        return None if found is None else [one._replace(url=frontier.form.apply(one.url)) for one in found]

    return read
