"""The named values of a page: its structured data, and what the rules of the crawl find. Pure."""

from __future__ import annotations

from crawler.parse.page import Page
from crawler.parse.rules import Rules
from crawler.parse.structured import Document, structured_data


def read_data(page: Page, document: Document, rules: Rules, *, structured: bool) -> None:
    """Set `data` and `match` of *page*. *structured*: its structured data is wanted; values of a rule replace it.

    *document* must be as it was parsed: taking its visible text changes it.
    """
    found = structured_data(document) if structured else {}
    page.match = rules.apply(page.url, document)
    if page.match is not None:
        found |= page.match.data
    page.data = found or None
