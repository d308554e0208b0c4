"""What pages say of themselves, and what has to be known before their links are looked at: the first pass."""

from __future__ import annotations

from typing import Final

from crawler.check.graph import Graph, short
from crawler.check.places import KIND, NEW, SHEETS, Places, Room
from crawler.checked_page import CheckedPage, Note

_CANONICAL, _HREFLANG, _SITEMAP = KIND["canonical"], KIND["hreflang"], KIND["sitemap"]
_SPECIAL: Final = SHEETS | {_CANONICAL, _HREFLANG, _SITEMAP}
NAME_BITS: Final = 24
"""Of the hash of a fragment, which follows the target in the key of a fragment that is asked for."""
MAX_TRANSLATIONS: Final = 200
"""Pages of other languages that one page names: there are some 180 languages with a code of two letters."""
OF_TARGETS: Final = frozenset(("mixed-content", "url-invalid", "alt-missing"))
"""Notes whose text is the URL that is wrong; those of other codes are about the page that has them."""


class Facts:
    """What the first pass over all pages has found. Pages are known by 48 bits of their ids."""

    def __init__(self, slow: float, large: int, room: Room) -> None:
        """*slow*: seconds; *large*: bytes; *room*: for the places of notes."""
        self._slow_ms, self._large, self._room = slow * 1000, large, room
        self.slow: dict[int, int] = {}
        """Pages that took too long: their milliseconds."""
        self.large: dict[int, int] = {}
        """Pages that are too large: their bytes."""
        self.noindex: set[int] = set()
        self.canonicals: dict[int, int] = {}
        """Pages that name another one as their canonical form."""
        self.translations: dict[int, tuple[int, ...]] = {}
        """The pages of other languages that a page names."""
        self.with_many_translations: set[int] = set()
        """Pages that name more than MAX_TRANSLATIONS, which are not judged."""
        self.in_sitemaps: set[int] = set()
        self.sheets: set[int] = set()
        """What pages use as style sheets or manifests."""
        self.asked: set[int] = set()
        """Fragments of other pages that are asked for: target, then 24 bits of the name."""
        self.missing: set[int] = set()
        """Those that are known to be missing: of the page itself."""
        self.notes: dict[tuple[str, str], Places] = {}
        """Code and text -> places, where the text is what is wrong."""
        self.page_notes: dict[tuple[str, int], tuple[str, Places]] = {}
        """Code and page -> text and places, where the page is."""
        self.noted: set[int] = set()
        """Pages with notes."""
        self.titles = Shared()
        self.descriptions = Shared()

    @classmethod
    def read(cls, graph: Graph, slow: float, large: int, room: Room) -> Facts:
        """Of all pages."""
        facts = cls(slow, large, room)
        for _, pages in graph.pages():
            for field, page in pages:
                facts._add(short(field), page)
        return facts

    @property
    def pages(self) -> set[int]:
        """The pages whose URLs findings name."""
        return {*self.slow, *self.large, *self.noindex, *self.noted, *self.titles.pages(), *self.descriptions.pages()}

    def _add(self, own: int, page: CheckedPage) -> None:
        is_html = page.names is not None
        if is_html and page.elapsed_ms > self._slow_ms:
            self.slow[own] = page.elapsed_ms
        if is_html and page.size > self._large:
            self.large[own] = page.size
        if page.noindex:
            self.noindex.add(own)
        self._add_named(own, page)
        for note in page.notes:
            self._add_note(own, note)
        if is_html and not page.noindex and own not in self.canonicals:
            self.titles.add(page.title, own)
            self.descriptions.add(page.description, own)

    def _add_note(self, own: int, note: Note) -> None:
        of_target, of_page = (note.code, note.text), (note.code, own)
        is_of_target = note.code in OF_TARGETS and note.text != ""
        is_new = of_target not in self.notes if is_of_target else of_page not in self.page_notes
        if is_new and not self._room.take(NEW):
            return
        self.noted.add(own)
        if is_of_target:
            self.notes.setdefault(of_target, Places(self._room)).add(own, note.line)
        else:
            self.page_notes.setdefault(of_page, (note.text, Places(self._room)))[1].add(own, note.line)

    def _add_named(self, own: int, page: CheckedPage) -> None:
        has_all = page.has_all()
        translations: list[int] = []
        for target, kind, _, fragment in page.named:
            if fragment is not None:
                if target != own:
                    self.asked.add(target << NAME_BITS | fragment)
                elif has_all and not page.has(fragment):
                    self.missing.add(target << NAME_BITS | fragment)
            if kind not in _SPECIAL or target == own:
                continue
            if kind == _SITEMAP:
                self.in_sitemaps.add(target)
            elif kind == _CANONICAL:
                self.canonicals.setdefault(own, target)
            elif kind == _HREFLANG:
                translations.append(target)
            else:
                self.sheets.add(target)
        if translations:
            self._add_translations(own, tuple(dict.fromkeys(translations)))

    def _add_translations(self, own: int, found: tuple[int, ...]) -> None:
        if len(found) > MAX_TRANSLATIONS:
            self.with_many_translations.add(own)
        else:
            self.translations[own] = found


class Shared:
    """Which pages have the same title, or the same description."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._more: dict[int, list[int]] = {}

    def add(self, text: int | None, page: int) -> None:
        """The page has the text with this hash; None: it has none."""
        if text is None:
            return
        first = self._first.setdefault(text, page)
        if first != page:
            self._more.setdefault(text, [first]).append(page)

    def groups(self) -> dict[int, list[int]]:
        """Hashes of texts that several pages have, each with the pages."""
        return self._more

    def pages(self) -> set[int]:
        """All pages that share a text."""
        return {page for pages in self._more.values() for page in pages}
