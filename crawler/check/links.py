"""Where pages name what is wrong: the last pass over the links, which keeps places of that alone."""

from __future__ import annotations

from crawler.check.facts import NAME_BITS
from crawler.check.graph import Graph, short
from crawler.check.places import KIND, LINKING, SHEETS, Places
from crawler.checked_page import CheckedPage

_CANONICAL, _HREFLANG, _SITEMAP = KIND["canonical"], KIND["hreflang"], KIND["sitemap"]


class Wanted:
    """What to collect the places of."""

    def __init__(self) -> None:
        self.links: dict[int, Places] = {}
        """Targets -> places of all kinds, but those of the next two."""
        self.canonicals: dict[int, Places] = {}
        """Targets -> places that name them as their canonical form."""
        self.linking: dict[int, Places] = {}
        """Targets -> places of other pages that link to them."""
        self.in_sitemaps: dict[int, Places] = {}
        """Targets -> places in sitemaps."""
        self.fragments: dict[int, Places] = {}
        """Targets, then 24 bits of a name -> places that ask for it."""
        self.translations: dict[tuple[int, int], Places] = {}
        """Page and target -> its places."""
        self.users: dict[int, set[int]] = {}
        """Style sheets and manifests -> pages that use them."""

    @property
    def targets(self) -> set[int]:
        """All targets."""
        of_fragments = {key >> NAME_BITS for key in self.fragments}
        of_translations = {target for _, target in self.translations}
        of_kinds = (self.links, self.canonicals, self.linking, self.in_sitemaps, self.users)
        return of_fragments.union(of_translations, *of_kinds)


def collect(graph: Graph, wanted: Wanted) -> dict[int, str]:
    """Collect the places; the URLs of the pages that have them."""
    targets, found = wanted.targets, dict[int, str]()
    for number, pages in graph.pages() if targets else ():
        fields = [field for field, page in pages if _collect_of(short(field), page, wanted, targets)]
        if fields:
            found |= graph.urls_of(number, fields)
    return found


def _collect_of(own: int, page: CheckedPage, wanted: Wanted, targets: set[int]) -> bool:
    """The places of one page; whether there are any."""
    is_held = False
    for target, kind, line, fragment in page.named:
        if target not in targets:
            continue
        if fragment is not None and (places := wanted.fragments.get(target << NAME_BITS | fragment)) is not None:
            places.add(own, line)
            is_held = True
        if kind in SHEETS and target in wanted.users and target != own:
            wanted.users[target].add(own)
            is_held = True
        for places in _of_kind(own, target, kind, wanted):
            places.add(own, line)
            is_held = True
    return is_held


def _of_kind(own: int, target: int, kind: int, wanted: Wanted) -> list[Places]:
    """Where to note a place of that kind."""
    found = []
    if kind == _CANONICAL and target in wanted.canonicals:
        if target != own:
            found.append(wanted.canonicals[target])
    elif target in wanted.links:
        found.append(wanted.links[target])
    if kind in LINKING and target != own and target in wanted.linking:
        found.append(wanted.linking[target])
    if kind == _SITEMAP and target in wanted.in_sitemaps:
        found.append(wanted.in_sitemaps[target])
    if kind == _HREFLANG and (own, target) in wanted.translations:
        found.append(wanted.translations[own, target])
    return found


def users_of(sheet: int, users: dict[int, set[int]], imports: dict[int, set[int]]) -> set[int]:
    """The pages that use *sheet*, also by style sheets that import it."""
    if sheet not in users and sheet not in imports:
        return set()
    sheets = {sheet} | importing(sheet, imports)
    return {user for one in sheets for user in users.get(one, ())} - sheets


def importing(sheet: int, imports: dict[int, set[int]]) -> set[int]:
    """The style sheets that import *sheet*, also by others; *imports* has those that do so themselves."""
    found: set[int] = set()
    todo = [sheet]
    while todo:
        more = imports.get(todo.pop(), set()) - found - {sheet}
        found |= more
        todo += more
    return found
