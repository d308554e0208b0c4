"""Samples pages for trap detection: reports fingerprints of templates that many URLs share.

Most templates have few pages. They are counted here alone and cost Redis nothing. Globs (see `traps`) are reported only
if their URLs grow and their pages are alike. A page counts for each folder that contains it, except for a folder in
which one subfolder has nearly all pages. So the innermost folder of a trap is found, and its neighbours are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from crawler.frontier.messages import TemplateSample
from crawler.parse.page import Page
from crawler.parse.visible_text import find_nodes, visible_text
from crawler.policy import traps

MIN_PAGES: Final = 20
"""A template is reported once this worker has seen this many of its pages."""
ALL_UP_TO: Final = 500
EACH: Final = 8
"""After the 500th page of a template only every 8th is sampled: a site may have one template for all its pages."""
MAX_PRINTS: Final = 50
"""With this many fingerprints of one template waiting, they are sent at once."""
_TEMPLATES: Final = 20_000
"""Most templates counted at once; beyond that all counts start over."""
_GLOBS: Final = 5_000
"""Most globs watched at once; beyond that all start over."""
_PRINTS: Final = 32
"""Most distinct fingerprints of one glob; beyond that it starts over."""
_GLANCE: Final = 8
"""Only every 8th page is checked for growth, until five pages of a glob were alike."""
_TITLES: Final = 20_000
"""Most titles remembered; beyond that all start over."""
_SUSPECT: Final = 5
_ALIKE: Final = 10
"""A glob looks barren from this many pages per distinct fingerprint on."""
_BRANCH: Final = 0.9
"""If one folder has more than this part of a glob's pages, that folder is judged instead."""
_BESIDE: Final = 62
_DEPTHS, _QUERIES = 2, 5
"""At how many depths, or parameter sets, one page must appear. What does not grow is judged by its template."""


@dataclass(slots=True)
class _Glob:
    """Pages of one glob that this worker has read."""

    pages: int = 0
    within: int = 0
    """Pages in its folder: all of `pages`, and those directly below it."""
    looked_at: int = 0
    """Since it last started over."""
    prints: dict[str, int] = field(default_factory=dict)
    """Fingerprint -> one bit for each depth, or parameter set, at which it was seen."""
    beside: set[str] = field(default_factory=set)
    """Fingerprints seen directly below its folder."""
    most: int = 0
    """The most bits that any fingerprint has."""

    def add(self, mark: str, at: int, title: str) -> None:
        """Count a page with this fingerprint, at this depth or with these parameters.

        The entry for the first page with its *title* may have been the same page.
        """
        self.looked_at += 1
        if mark != title:
            self.prints.pop(title, None)
        met = self.prints.get(mark, 0) | 1 << at % _BESIDE | (mark in self.beside) << _BESIDE
        self.prints[mark] = met
        self.most = max(self.most, met.bit_count())
        if len(self.prints) > _PRINTS:
            self.prints, self.looked_at, self.most = {}, 0, 0

    @property
    def suspect(self) -> bool:
        """Whether the first pages that were sampled are alike."""
        return self.looked_at >= _SUSPECT and len(self.prints) * _SUSPECT <= self.looked_at

    @property
    def barren(self) -> bool:
        """Whether hardly any page of it contains anything new."""
        return self.looked_at > MIN_PAGES and len(self.prints) * _ALIKE <= self.looked_at


class TrapSampler:
    """Fingerprints of pages by template and by glob, until `take` returns them."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._globs: dict[str, _Glob] = {}
        self._glances = 0
        self._suspects: set[str] = set()
        """Globs whose first pages are alike: each of their pages is sampled."""
        self._titles: set[str] = set()
        """Fingerprints of titles alone."""
        self._prints: dict[str, list[str]] = {}
        self._urgent = False
        """With this many pages of one template waiting, they are sent early: it may be a trap."""

    def page(self, url: str, page: Page) -> None:
        """Sample a page. This may take its tree apart, so call it last.

        Answers without links are not judged: they make no site endless, and a template may have many dead URLs.
        """
        text: str | None = None
        name = traps.template(url)
        if name is not None:
            if len(self._counts) > _TEMPLATES:
                self._counts.clear()
            count = self._counts[name] = self._counts.get(name, 0) + 1
            if count > MIN_PAGES and (count <= ALL_UP_TO or count % EACH == 0):
                text = _text(page)
                self._report(name, traps.fingerprint(url, text, traps.sources(page.response.body)))
        if page.outlinks:  # a page without links does not grow; of a skimmed page all links are known
            self._look_at_growth(url, page, text, name or "")

    def _look_at_growth(self, url: str, page: Page, text: str | None, name: str) -> None:
        self._glances += 1
        if not self._suspects and self._glances % _GLANCE:
            return
        folders, last = traps.folders(url), traps.last_glob(url)
        globs = [f"{folder}**" for folder in folders[:-1]]
        if last is not None:
            globs.append(last)
        if not globs or self._is_passed_over(folders, globs):
            return
        title = traps.growth_print(url, page.title or "", "")
        mark = self._growth_print(url, page, text, title, globs[-1])
        for place, (folder, inner) in enumerate(pairwise(folders)):
            glob = self._met(f"{folder}**", mark, len(folders), title)
            if not glob.barren or self._glob(f"{inner}**").within > _BRANCH * glob.pages:
                continue
            # Anything with a template, and the host as a whole, is judged here only if one page appears at several
            # depths.
            if glob.most >= _DEPTHS or (place and not name and _leads_into(folder, page, url)):
                self._report(f"{folder}**", mark)
        beside = self._glob(f"{folders[-1]}**").beside
        if len(beside) < _PRINTS:
            beside.add(mark)
        if last is not None:
            glob = self._met(last, mark, hash(name), title)
            if glob.barren and (glob.most >= _QUERIES if name else _leads_into(folders[-1], page, url)):
                self._report(last, mark)

    def _met(self, name: str, mark: str, at: int, title: str) -> _Glob:
        """Count a page of the glob *name* (see `_Glob.add`)."""
        glob = self._glob(name)
        glob.add(mark, at, title)
        if glob.suspect:
            self._suspects.add(name)
        else:
            self._suspects.discard(name)
        return glob

    def _growth_print(self, url: str, page: Page, text: str | None, title: str, innermost: str) -> str:
        """The page's fingerprint: its *title* alone (hashed) if no earlier page had it."""
        if title not in self._titles:
            if len(self._titles) >= _TITLES:
                self._titles.clear()
            self._titles.add(title)
            return title
        text = _text(page) if text is None else text
        mark = traps.growth_print(url, page.title or "", text)
        if mark in self._glob(innermost).prints:  # the text was seen before: its images decide
            mark = traps.growth_print(url, page.title or "", text, traps.sources(page.response.body))
        return mark

    def _is_passed_over(self, folders: Sequence[str], globs: Sequence[str]) -> bool:
        """Count a page. Returns whether to skip it because enough of its kind were sampled."""
        if len(self._globs) > _GLOBS:
            self._globs.clear()
            self._suspects.clear()
        for folder in folders:
            self._glob(f"{folder}**").within += 1
        for glob in globs:
            self._glob(glob).pages += 1
        often = EACH if self._glob(globs[-1]).pages > ALL_UP_TO else 1
        if self._suspects.isdisjoint(globs):
            often = max(often, _GLANCE)
        return self._glances % often != 0

    def _glob(self, name: str) -> _Glob:
        return self._globs.setdefault(name, _Glob())

    def _report(self, name: str, mark: str) -> None:
        prints = self._prints.setdefault(name, [])
        prints.append(mark)
        self._urgent = self._urgent or len(prints) >= MAX_PRINTS

    def take(self, *, due: bool) -> list[TemplateSample]:
        """The samples to send now: all if *due*, else those of templates with many waiting.

        They are forgotten here and may be lost on the way: only statistics depend on them.
        """
        if not (due or self._urgent):
            return []
        taken, self._prints, self._urgent = self._prints, {}, False
        return [TemplateSample(name, traps.template_id(name), prints) for name, prints in taken.items()]


def _leads_into(folder: str, page: Page, url: str) -> bool:
    """Whether the page at *url* links to another URL in *folder* (with its host); a link to a parent does not count."""
    return any(link.partition("://")[2].startswith(folder) and not url.startswith(link) for link in page.outlinks)


def _text(page: Page) -> str:
    if page.text is not None:
        return page.text
    if page.is_html:
        tree = page.document()
        return visible_text(tree, find_nodes(tree), traps.MAX_TEXT)[0]
    return page.response.body[: traps.MAX_TEXT].decode("latin-1")
