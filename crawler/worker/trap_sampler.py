"""What a worker reports to the frontier of templates that many URLs share, so that it can quarantine the barren ones.

Most templates have few pages; they are counted here alone, and cost Redis nothing. Globs (see `traps`) are reported
only where their URLs grow and their pages are alike. A page counts for each folder that holds it, but not for one in
which a single folder has nearly all: so the innermost folder of a trap is found, and what lies beside it is left alone.
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
"""Pages of a template that this worker has met before it tells of any."""
ALL_UP_TO: Final = 500
EACH: Final = 8
"""Behind the 500th page of a template only each 8th is looked at: a site may have one template for all its pages."""
MAX_PRINTS: Final = 50
"""Fingerprints of one template that are told at once, though it is not yet time."""
_TEMPLATES: Final = 20_000
"""Templates counted at once; behind that all counts begin anew."""
_GLOBS: Final = 5_000
"""Globs that are watched at once; behind that all begin anew."""
_PRINTS: Final = 32
"""Different fingerprints of one glob, behind which it begins anew."""
_GLANCE: Final = 8
"""Only each 8th page is looked at for growth, until five pages of a glob were alike."""
_TITLES: Final = 20_000
"""Titles that are remembered; behind that all begin anew."""
_SUSPECT: Final = 5
_ALIKE: Final = 10
"""Pages for each different fingerprint of a glob, from which on it looks barren."""
_BRANCH: Final = 0.9
"""Part of a glob's pages that one folder may hold at most: else that folder is the one to be judged."""
_BESIDE: Final = 62
_DEPTHS, _QUERIES = 2, 5
"""Depths, or sets of parameters, at which the same page was met: what does not grow is judged by its template."""


@dataclass(slots=True)
class _Glob:
    """Pages of one glob, as far as this worker has read them."""

    pages: int = 0
    within: int = 0
    """Pages in its folder: all of `pages`, and those right below it."""
    looked_at: int = 0
    """Since it began anew."""
    prints: dict[str, int] = field(default_factory=dict)
    """Fingerprint -> a bit for each depth, or set of parameters, at which it was met."""
    beside: set[str] = field(default_factory=set)
    """Fingerprints met right below its folder."""
    most: int = 0
    """How many such bits a fingerprint has at most."""

    def add(self, mark: str, at: int, title: str) -> None:
        """A page with this fingerprint was met at this depth, or with these parameters.

        What stood for the first page with its *title* may have been the same page.
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
        """The first pages that were looked at are alike."""
        return self.looked_at >= _SUSPECT and len(self.prints) * _SUSPECT <= self.looked_at

    @property
    def barren(self) -> bool:
        """Hardly a page of it holds anything new."""
        return self.looked_at > MIN_PAGES and len(self.prints) * _ALIKE <= self.looked_at


class TrapSampler:
    """Fingerprints of pages by template and by glob, until `take` hands them over."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._globs: dict[str, _Glob] = {}
        self._glances = 0
        self._suspects: set[str] = set()
        """Globs whose first pages are alike: each page of one is looked at."""
        self._titles: set[str] = set()
        """Fingerprints of titles alone."""
        self._prints: dict[str, list[str]] = {}
        self._pressing = False
        """So many pages of one template wait to be told that it may be a trap."""

    def page(self, url: str, page: Page) -> None:
        """A page was read; its tree may be taken apart here, so let this come last.

        Answers without links are not counted: they make no site endless, and a template may have many dead URLs.
        """
        text: str | None = None
        name = traps.template(url)
        if name is not None:
            if len(self._counts) > _TEMPLATES:
                self._counts.clear()
            count = self._counts[name] = self._counts.get(name, 0) + 1
            if count > MIN_PAGES and (count <= ALL_UP_TO or count % EACH == 0):
                text = _text(page)
                self._tell(name, traps.fingerprint(url, text, traps.sources(page.response.body)))
        if page.outlinks:  # what has no links grows no further, and of a page that was skimmed all links are known
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
            # What has a template, and the host as a whole, is judged here only if the same page has several depths.
            if glob.most >= _DEPTHS or (place and not name and _leads_into(folder, page, url)):
                self._tell(f"{folder}**", mark)
        beside = self._glob(f"{folders[-1]}**").beside
        if len(beside) < _PRINTS:
            beside.add(mark)
        if last is not None:
            glob = self._met(last, mark, hash(name), title)
            if glob.barren and (glob.most >= _QUERIES if name else _leads_into(folders[-1], page, url)):
                self._tell(last, mark)

    def _met(self, name: str, mark: str, at: int, title: str) -> _Glob:
        """A page of the glob *name* was met (see `_Glob.add`)."""
        glob = self._glob(name)
        glob.add(mark, at, title)
        if glob.suspect:
            self._suspects.add(name)
        else:
            self._suspects.discard(name)
        return glob

    def _growth_print(self, url: str, page: Page, text: str | None, title: str, innermost: str) -> str:
        """What tells the page from others: its *title* alone (a fingerprint) where none had it before."""
        if title not in self._titles:
            if len(self._titles) >= _TITLES:
                self._titles.clear()
            self._titles.add(title)
            return title
        text = _text(page) if text is None else text
        mark = traps.growth_print(url, page.title or "", text)
        if mark in self._glob(innermost).prints:  # the text was met before: what its images are decides
            mark = traps.growth_print(url, page.title or "", text, traps.sources(page.response.body))
        return mark

    def _is_passed_over(self, folders: Sequence[str], globs: Sequence[str]) -> bool:
        """Count a page; whether it is not looked at, since there are enough of its kind."""
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

    def _tell(self, name: str, mark: str) -> None:
        prints = self._prints.setdefault(name, [])
        prints.append(mark)
        self._pressing = self._pressing or len(prints) >= MAX_PRINTS

    def take(self, *, due: bool) -> list[TemplateSample]:
        """What is to be told now: when it is *due*, or when there is much of one template.

        It is forgotten here, and may be lost on the way: only statistics depend on it.
        """
        if not (due or self._pressing):
            return []
        taken, self._prints, self._pressing = self._prints, {}, False
        return [TemplateSample(name, traps.template_id(name), prints) for name, prints in taken.items()]


def _leads_into(folder: str, page: Page, url: str) -> bool:
    """Whether the page at *url* has a link to another URL in *folder* (with its host): one that leads up is none."""
    return any(link.partition("://")[2].startswith(folder) and not url.startswith(link) for link in page.outlinks)


def _text(page: Page) -> str:
    if page.text is not None:
        return page.text
    if page.is_html:
        tree = page.document()
        return visible_text(tree, find_nodes(tree), traps.MAX_TEXT)[0]
    return page.response.body[: traps.MAX_TEXT].decode("latin-1")
