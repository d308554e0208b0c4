"""Copies: which page another one is the copy of, and whose contents and links are left out for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from crawler import url as urls
from crawler.frontier.messages import Commit
from crawler.parse.page import Page
from crawler.worker.context import Stored
from crawler.worker.link_filter import LinkFilter
from crawler.worker.options import WorkerOptions
from crawler.worker.outcome import LeasedPage, is_known_copy


class Copies:
    """Looks for the originals of one worker's pages. May raise RedisAway: then process the same page again."""

    def __init__(
        self,
        stored: Stored,
        links: LinkFilter,
        plan: WorkerOptions,
        asking: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        """*asking*, with the token of a lease, surrounds each question to Redis."""
        self._stored, self._links, self._plan, self._asking = stored, links, plan, asking

    def alias(self, url: str) -> str:
        """The id of *url* with or without a final slash: copies that differ in it also have different links."""
        path, mark, query = url.partition("?")
        other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
        return self._stored.id(other + mark + query) if other.count("/") > 2 else ""

    def is_copy(self, commit: Commit) -> bool:
        """Whether another page had this content before, as far as is known before the commit."""
        if not commit.digest:
            return commit.record is None and is_known_copy(commit.before, commit.spared)
        with self._asking(commit.lease.token):
            first = self._stored.first_with(commit.lease.token, commit.digest)
        return first not in (None, commit.id, commit.spared)

    def canonical_elsewhere(self, held: LeasedPage, page: Page) -> str | None:
        """The page that this one names as its canonical, if that is obeyed and may be fetched."""
        canonical, form = page.canonical, self._plan.form
        if not self._plan.obey_canonical or canonical is None or page.nofollow:
            return None
        depth = held.entry.request.depth
        if form.identity(canonical) == form.identity(page.url) or self._plan.scope.admit(canonical, depth):
            return None
        if self._links.trap_of(canonical) or urls.leads_to_bad_port(page.url, canonical):
            return None
        with self._asking(held.lease.token):
            return canonical if canonical in self._links.inside([canonical]) else None

    def original_of(self, held: LeasedPage, original: str | None) -> tuple[bool, str]:
        """Whether a page's *original* is stored with its contents, and the id of a copy that no longer needs its own.

        Until then a copy keeps them: its original may fail, be disallowed, or name the copy in turn.
        """
        request = held.entry.request
        if not (self._plan.obey_canonical and self._plan.extract.want):
            return True, ""
        token, via = held.lease.token, request.found_on
        with self._asking(token):
            if original is not None and self._stored.has_contents(token, original):
                return True, ""
            named = self._stored.named_by(token, via) if via else None
        identity = self._plan.form.identity
        is_copy = named is not None and identity(named) == identity(request.url)
        return False, via if is_copy and via else ""
