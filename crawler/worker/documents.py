"""Answers that are documents (PDF, DOCX): whether they are read, and their pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from crawler.fetch.fetcher import FetchResult, Response
from crawler.frontier.messages import Commit
from crawler.parse.documents import Kind, kind_of
from crawler.parse.extract import Extractor
from crawler.parse.page import Page
from crawler.worker.document_reader import DocumentReader
from crawler.worker.options import MANIFEST, READ_TYPES, WorkerOptions
from crawler.worker.shares import PageClock

_OF_PAGE: Final = 0.75
"""The part of the page time-out that a document may take: so its worker is never killed for it."""


class Documents:
    """Reads documents into pages, by a helper process."""

    def __init__(self, plan: WorkerOptions, extractor: Extractor, reader: DocumentReader) -> None:
        self._plan, self._extractor, self._reader = plan, extractor, reader

    def as_page(self, result: FetchResult) -> FetchResult:
        """The answer as if only bodies of pages were read: a hook for which all are read changes no outcome."""
        types = (*READ_TYPES, MANIFEST) if self._plan.check else READ_TYPES
        if isinstance(result, Response) and not result.computed_type.startswith(types):
            return result if self._kind(result) else msgspec.structs.replace(result, skipped=True)
        return result

    def read(self, response: Response, clock: PageClock, enter: Callable[[], object]) -> Page | None:
        """The page of a document; None if *response* is none. What the helper takes counts as time of the page.

        *enter* is called when the time of the page begins: it does not start the helper.
        """
        kind = self._kind(response)
        if kind is None:
            return None
        if self._reader.start():
            enter()
        most, seconds = self._plan.extract.max_text, self._plan.page_timeout * _OF_PAGE
        converted = self._reader.convert(kind, response.body, most, seconds)
        clock.leave_out(-self._reader.cpu)
        # A document's own encoding has no name: the page's is that of the HTML, while it is read.
        page = Page(response.url, response, "utf-8", is_html=True, made=converted.html, damage=converted.error)
        self._extractor.read_html(page, converted.html)
        page.charset = None
        if response.truncated:
            page.damage = "it was cut, and read as far as it goes" + (f": {page.damage}" if page.damage else "")
        return page

    def with_missed(self, commit: Commit, response: Response) -> Commit:
        """The *commit* of an answer that was not read; counts it if the extra `documents` is all that is missing."""
        if self._plan.documents != "missed" or commit.outcome != "dropped:type" or not kind_of(response.content_type):
            return commit
        return msgspec.structs.replace(commit, tallies={**commit.tallies, "documents": 1})

    def _kind(self, response: Response) -> Kind | None:
        if self._plan.documents != "read" or response.skipped:
            return None
        return kind_of(response.content_type, response.body)
