"""What only all links together show: which fragments are missing, which pages nothing links to, what is not returned.

The second pass over the links. It is left out where no page asks for such a thing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from crawler.check.answers import Answers
from crawler.check.facts import NAME_BITS, Facts
from crawler.check.graph import Graph, short
from crawler.check.links import importing
from crawler.check.places import LINKING, SHEETS
from crawler.checked_page import CheckedPage

_LOW: Final = (1 << NAME_BITS) - 1


class Names:
    """What the second pass over all pages has found."""

    def __init__(self, graph: Graph, facts: Facts, answers: Answers, is_trouble: Callable[[int], bool]) -> None:
        self._facts, self._answers, self._is_trouble = facts, answers, is_trouble
        self.missing = facts.missing
        """Fragments that are missing: target as pages name it, then 24 bits of the name."""
        self.ends: dict[int, int] = {}
        """Targets with missing fragments -> the page where they end."""
        self.unreturned: dict[tuple[int, int], None] = {}
        """Page, and the page of another language that it names, as it names it, which does not name it."""
        self.sheets: set[int] = set()
        """Style sheets and manifests that hold something that is wrong, and those that import them."""
        self.imports: dict[int, set[int]] = defaultdict(set)
        """Style sheets -> those that import them."""
        self._fragments = self._of_ends(facts.asked)
        self._doubtful = _unreturned(facts, answers)
        self.orphans = {one for one in facts.in_sitemaps if one not in answers.by_id and one not in answers.starts}
        self._leads = self._leading_to(self.orphans)
        if self._fragments or self.orphans or self._doubtful or facts.sheets:
            self._read(graph)
        self.sheets = self.sheets.union(*(importing(sheet, self.imports) for sheet in self.sheets))
        found = {one: state.url for one, state in graph.find(self.orphans).items() if not state.sitemap}
        self.orphans = set(found)
        answers.urls |= found

    def _of_ends(self, asked: set[int]) -> list[int]:
        """The fragments that are asked for, by the page where their targets end, sorted; frees *asked*."""
        self._keys: dict[int, list[int]] = defaultdict(list)
        found: set[int] = set()
        while asked:
            key = asked.pop()
            target = key >> NAME_BITS
            end = self._answers.final(target)
            if end != target:
                ended = end << NAME_BITS | key & _LOW
                self._keys[ended].append(key)
                key = ended
            found.add(key)
        return sorted(found)

    def _leading_to(self, pages: set[int]) -> dict[int, int]:
        """What leads to one of *pages* without being it: redirects, and targets of the same URL."""
        ids = [*self._answers.by_id, *self._answers.pages_of]
        return {one: end for one in ids if (end := self._answers.final(one)) != one and end in pages}

    def _read(self, graph: Graph) -> None:
        for number, pages in graph.pages():
            fields = [field for field, page in pages if self._looks_at(short(field), page)]
            if fields:
                self._answers.urls |= graph.urls_of(number, fields)

    def _looks_at(self, own: int, page: CheckedPage) -> bool:
        """Whether a finding will name the page."""
        if self.orphans:
            self._follow(own, page)
        if own in self._facts.sheets:
            self._look_into_sheet(own, page)
        if page.names is None:
            return False
        is_named = own in self._doubtful
        for pair in self._doubtful.pop(own, ()):
            self.unreturned[pair] = None
        return self._compare(own, page) or is_named

    def _follow(self, own: int, page: CheckedPage) -> None:
        orphans, leads = self.orphans, self._leads
        for target, kind, _, _ in page.named:
            if (target in orphans or target in leads) and kind in LINKING:
                end = leads.get(target, target)
                if end != own:
                    orphans.discard(end)

    def _look_into_sheet(self, own: int, page: CheckedPage) -> None:
        if own in self._facts.noted:
            self.sheets.add(own)
        for target, kind, _, _ in page.named:
            if kind in SHEETS and target in self._facts.sheets:
                self.imports[target].add(own)
            if self._is_trouble(target):
                self.sheets.add(own)

    def _compare(self, own: int, page: CheckedPage) -> bool:
        """Look for the fragments of the page that are asked for; whether one is missing."""
        if not page.has_all():
            return False
        is_missing = False
        for at in range(bisect_left(self._fragments, own << NAME_BITS), len(self._fragments)):
            key = self._fragments[at]
            if key >> NAME_BITS != own:
                break
            if not page.has(key & _LOW):
                is_missing = True
                self._miss(key, own)
        return is_missing

    def _miss(self, key: int, own: int) -> None:
        for one in (key, *self._keys.get(key, ())):
            self.missing.add(one)
            self.ends[one >> NAME_BITS] = own


def _unreturned(facts: Facts, answers: Answers) -> dict[int, list[tuple[int, int]]]:
    """Pages of other languages -> the pages that name them, as they do, and that they do not name, if they are read.

    A page returns it too that names its canonical form, or a page that redirects to it.
    """

    forms: dict[int, int] = {}

    def form(page: int) -> int:
        if page not in forms:
            end = answers.final(page)
            forms[page] = answers.final(facts.canonicals.get(end, end))
        return forms[page]

    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for own, targets in facts.translations.items():
        for target in targets:
            end, other = answers.final(target), form(target)
            if other == form(own) or end in answers.by_id or facts.with_many_translations & {end, other}:
                continue
            back = facts.translations.get(end, ()) + facts.translations.get(other, ())
            if own not in back and form(own) not in map(form, back):
                found[end].append((own, target))
    return found
