"""What a worker tells the frontier of templates that many URLs share, so that it can quarantine the barren ones.

Most templates have few pages; they are counted here alone, and cost Redis nothing.
"""

from __future__ import annotations

from typing import Final

from crawler import traps
from crawler.frontier.leases import Weight
from crawler.page import Page
from crawler.visible import find_nodes, visible_text

LEAST: Final = 20
"""Pages of a template that this worker has met before it tells of any."""
OFTEN: Final = 500
SAMPLE: Final = 8
"""Behind the 500th page of a template only each 8th is looked at: a site may have one template for all its pages."""
MANY: Final = 50
"""Fingerprints of one template that are told at once, though it is not yet time."""
_TEMPLATES: Final = 20_000
"""Templates counted at once; behind that all counts begin anew."""


class Harvest:
    """Fingerprints of pages by template, until `take` hands them over."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._prints: dict[str, list[str]] = {}
        self._pressing = False
        """So many pages of one template wait to be told that it may be a trap."""

    def page(self, url: str, page: Page) -> None:
        """A page was read; its tree may be taken apart here, so let this come last.

        Answers without links are not weighed: they make no site endless, and a template may have many dead URLs.
        """
        name = traps.template(url)
        if name is None:
            return
        if len(self._counts) > _TEMPLATES:
            self._counts.clear()
        count = self._counts[name] = self._counts.get(name, 0) + 1
        if count > LEAST and (count <= OFTEN or count % SAMPLE == 0):
            prints = self._prints.setdefault(name, [])
            prints.append(traps.fingerprint(url, _text(page), traps.sources(page.response.body)))
            self._pressing = self._pressing or len(prints) >= MANY

    def take(self, *, due: bool) -> list[Weight]:
        """What is to be told now: when it is *due*, or when there is much of one template.

        It is forgotten here, and may be lost on the way: only statistics depend on it.
        """
        if not (due or self._pressing):
            return []
        taken, self._prints, self._pressing = self._prints, {}, False
        return [Weight(name, traps.template_id(name), prints) for name, prints in taken.items()]


def _text(page: Page) -> str:
    if page.text is not None:
        return page.text
    if page.is_html:
        tree = page.document()
        return visible_text(tree, find_nodes(tree), traps.MOST_TEXT)[0]
    return page.response.body[: traps.MOST_TEXT].decode("latin-1")
