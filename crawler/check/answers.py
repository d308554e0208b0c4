"""What was answered where not all is well: the states that are not plainly good, and what their records add."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import msgspec

from crawler import url as urls
from crawler.check.facts import NAME_BITS, Facts
from crawler.check.graph import Graph, short
from crawler.check.verdicts import GOOD, Verdict, verdict_of
from crawler.checked_page import short_id
from crawler.crawl.choice import FRESH
from crawler.frontier import decode
from crawler.frontier.frontier import Frontier
from crawler.policy.target_answers import Ended
from crawler.text import rfc3339
from crawler.url_state import Glance, UrlState

MAX_HOPS: Final = 50
"""Redirects in a row that are followed."""


class _Record(msgspec.Struct):
    """The fields of a record that a report needs."""

    url: str
    outcome: str
    error: str | None = None
    title: str | None = None
    description: str | None = None


_decoder = msgspec.json.Decoder(_Record)


@dataclass(slots=True)
class Answer:
    """The answer of a URL that is not plainly good, or redirects."""

    url: str
    outcome: str
    status: int
    target: int | None
    """48 bits of the id of what it redirects to."""
    is_start: bool
    error: str = ""

    @property
    def redirects(self) -> bool:
        """Whether it leads on."""
        return self.outcome == "redirected" and self.target is not None

    def verdict(self, target: str = "") -> tuple[Verdict, str]:
        """What it says about the URL, and the cause; *target* is the URL that it redirects to, if that is known."""
        return verdict_of(Ended(self.outcome, self.status, self.error, self.url, target))


class Answers:
    """The second pass, over all states, and the third, over all records."""

    def __init__(self, graph: Graph, facts: Facts, frontier: Frontier) -> None:
        self._graph, self._frontier = graph, frontier
        self.by_id: dict[int, Answer] = {}
        """Of 48 bits of an id."""
        self.urls: dict[int, str] = {}
        """The URLs of pages that findings name, as far as they are known."""
        self.pages_of: dict[int, int] = {}
        """Targets that are asked for under the id of a target -> the id of the page at the same URL."""
        self.digests: dict[int, int] = {}
        """Digests of pages that share a title or a description."""
        self.starts: set[int] = set()
        self.expiring: dict[str, str] = {}
        """Origins whose certificates expire soon -> when (RFC 3339)."""
        self.titles: dict[int, str] = {}
        self.descriptions: dict[int, str] = {}
        """Of pages that share them."""
        self._facts, self._asked = facts, {key >> NAME_BITS for key in facts.asked}
        self._shared = facts.titles.pages() | facts.descriptions.pages()
        self._read_states()
        self._read_records()
        ends = {one.target for one in self.by_id.values() if one.target is not None}
        more = graph.find(ends - self.by_id.keys() - self.urls.keys())
        self.urls |= {one: state.url for one, state in more.items()}

    def url(self, page: int) -> str | None:
        """The URL with this id, if it is known."""
        answer = self.by_id.get(page)
        return self.urls.get(page) if answer is None else answer.url

    def all_urls(self) -> dict[int, str]:
        """All URLs that are known."""
        return self.urls | {one: answer.url for one, answer in self.by_id.items()}

    def has_ended(self, page: int) -> bool:
        """Whether the end of a redirect was asked."""
        return page in self.by_id or page in self.urls

    def chain(self, page: int) -> tuple[list[int], bool]:
        """The ids on the way of redirects from *page* to its end, both included; whether it leads in a circle."""
        way, met = [page], {page}
        while (answer := self.by_id.get(way[-1])) is not None and answer.redirects and len(way) <= MAX_HOPS:
            following = answer.target or 0
            way.append(following)
            if following in met:
                return way, True
            met.add(following)
        return way, len(way) > MAX_HOPS

    def final(self, page: int) -> int:
        """The page where *page* ends: behind redirects, and not the target of a link at the same URL."""
        end = self.chain(page)[0][-1]
        return self.pages_of.get(end, end)

    # -- states --------------------------------------------------------------------------------------------------------

    def _read_states(self) -> None:
        wanted, shared, asks = self._facts.pages, self._shared, bool(self._facts.in_sitemaps or self._asked)
        began = self._frontier.crawldb.visit().began_ms // 1000
        for field, raw in self._graph.states():
            try:
                seen = Glance.of(raw)
            except ValueError:
                self._graph.is_unreadable(field)
                continue
            own = short(field)
            if seen.is_seed and not seen.is_target and not seen.is_sitemap:
                self.starts.add(own)
            if own in shared:
                self.digests[own] = seen.digest
            if seen.is_expiring:
                self._add_certificate(decode.state(raw), began - FRESH)
            if seen.outcome not in GOOD or own in wanted or (seen.is_target and asks):
                self._add(field, raw, wanted)

    def _add(self, field: bytes, raw: bytes, wanted: set[int]) -> None:
        state, own = decode.state(raw), short(field)
        if state is None:
            self._graph.is_unreadable(field)
            return
        answer = _answer(state, is_start=own in self.starts)
        if state.outcome == "redirected" or answer.verdict()[0] != "good":
            self.by_id[own] = answer
        elif own in wanted:
            self.urls[own] = state.url
        if state.is_target:
            page = short_id(self._frontier.id(state.url))
            if own in self._asked or page in self._facts.in_sitemaps:
                self.pages_of[own] = page

    # -- records -------------------------------------------------------------------------------------------------------

    def _read_records(self) -> None:
        for url_id, raw in self._graph.records():
            own = short_id(url_id)
            if own in self.by_id or own in self._shared or b'"error"' in raw:
                self._add_record(url_id, own, raw)

    def _add_record(self, url_id: str, own: int, raw: bytes) -> None:
        try:
            record = _decoder.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            self._graph.is_unreadable(raw[:64])
            return
        answer = self.by_id.get(own)
        if answer is not None and answer.outcome == record.outcome:
            answer.error = record.error or ""
        elif answer is None and record.error and record.outcome in GOOD:
            self._add_unsure(url_id, own, record)
        if own in self._shared:
            self.titles[own], self.descriptions[own] = record.title or "", record.description or ""

    def _add_unsure(self, url_id: str, own: int, record: _Record) -> None:
        """What answered, but not so that it is known to be there."""
        if verdict_of(Ended(record.outcome, error=record.error or ""))[0] == "good":
            return  # an error of another kind, such as that of a hook
        state = self._graph.state(url_id)
        if state is not None and state.outcome == record.outcome:
            self.by_id[own] = replace(_answer(state, is_start=own in self.starts), error=record.error or "")

    def _add_certificate(self, state: UrlState | None, since: int) -> None:
        """The certificate of a host expires, as it was seen in this check; before that it may have been another one."""
        if state is not None and state.certificate_expires is not None and state.checked_at >= since:
            host, scheme, _ = urls.split(state.url)
            self.expiring[urls.origin(host, scheme)] = rfc3339(state.certificate_expires)


def _answer(state: UrlState, *, is_start: bool) -> Answer:
    target = None if state.target is None else short_id(state.target)
    return Answer(state.url, state.outcome, state.status, target, is_start)
