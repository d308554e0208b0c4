"""The report of a check: what is wrong, joined from the states, records and links that Redis holds.

Kept in memory is what is not plainly good: answers that are broken or redirect, fragments that are asked for, titles'
hashes, what sitemaps name, and the places of what is wrong. All else is read and let go: the links three times, the
states and the records once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from heapq import nsmallest

from crawler import url as urls
from crawler.check import history, link_findings, page_findings
from crawler.check.answers import Answers
from crawler.check.drafts import Draft, Drafts
from crawler.check.facts import Facts
from crawler.check.graph import Graph
from crawler.check.link_findings import Judge
from crawler.check.links import collect, users_of
from crawler.check.names import Names
from crawler.check.places import MAX_PLACES, Room
from crawler.check.texts import Texts, reader
from crawler.crawl.read_again import PagesAgain
from crawler.errors import OutOfMemory, RedisAway, RedisUnavailable
from crawler.findings import CODES, Finding, FoundOn
from crawler.frontier.frontier import Frontier
from crawler.settings import Settings
from crawler.text import rfc3339

MAX_USERS = 100
"""Pages that are listed as those that use a style sheet."""


def _silent(_: str) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report is made with."""

    slow: float = 3.0
    """Seconds from which on an answer is slow."""
    large: int = 5 << 20
    """Bytes from which on a page is large."""
    texts: bool = True
    """Show what a reader sees at a place; pages are read again where that is not stored."""
    now: float | None = None
    """Seconds since the epoch; None: what the first shard's server says."""
    settings: Settings | None = None
    """By which pages are read again; None: those that are stored with the crawl."""
    origins: Sequence[str] = ()
    """Those that the command's SOURCEs name: pages of these are read again with its headers."""
    say: Callable[[str], None] = _silent
    """Is given what the user has to know: one line each."""


def findings_of(frontier: Frontier, options: ReportOptions) -> Iterator[Finding]:
    """All that is wrong, by severity, code and target; each finding with all its places, by URL and line.

    Since when a finding is there is noted before the first one is returned. Raises RedisAway, NoCrawl, DamagedCrawl.
    """
    return _Report(frontier, options).findings()


class _Report:
    def __init__(self, frontier: Frontier, options: ReportOptions) -> None:
        self._frontier, self._options = frontier, options
        self._urls: dict[int, str] = {}
        self._users: dict[int, set[int]] = {}
        self._imports: dict[int, set[int]] = {}

    def findings(self) -> Iterator[Finding]:
        """Make the report; then the findings one after the other, since only the places of one are unpacked."""
        drafts = self._drafts()
        since = self._since(drafts)
        return self._unpacked(drafts, since, self._texts(drafts))

    def _unpacked(self, drafts: list[Draft], since: dict[bytes, int], texts: Texts) -> Iterator[Finding]:
        for draft in sorted(drafts, key=lambda one: one.order):
            yield Finding(
                code=draft.code,
                severity=CODES[draft.code].severity,
                target=draft.shown,
                cause=draft.cause,
                pages=self._found_on(draft, texts),
                since=rfc3339(since[draft.digest]),
            )

    # -- what is wrong -------------------------------------------------------------------------------------------------

    def _drafts(self) -> list[Draft]:
        graph = Graph(self._frontier)
        room = Room()
        facts = Facts.read(graph, self._options.slow, self._options.large, room)
        answers = Answers(graph, facts, self._frontier)
        judge = Judge(answers, self._sites())
        state = self._frontier.state()
        if not state.idle or state.state == "limit":
            facts.in_sitemaps.clear()  # pages that were not read may link to them
        names = Names(graph, facts, answers, lambda target: judge.trouble(target) is not None)
        wanted = link_findings.want(answers, judge, facts, names, room)
        answers.urls |= collect(graph, wanted)
        drafts = Drafts()
        link_findings.add_links(drafts, wanted, answers, judge)
        link_findings.add_pages(drafts, wanted, answers)
        link_findings.add_fragments(drafts, wanted, answers, names)
        page_findings.add_notes(drafts, facts, answers)
        page_findings.add_sizes(drafts, facts, answers)
        page_findings.add_shared(drafts, facts, answers)
        page_findings.add_certificates(drafts, answers)
        self._urls, self._users, self._imports = answers.all_urls(), wanted.users, names.imports
        if graph.trouble:
            self._options.say(graph.trouble)
        if room.is_short:
            self._options.say(f"more than {MAX_PLACES:,} places hold what is wrong: the rest is left out")
        return drafts.all()

    def _sites(self) -> frozenset[str]:
        """The sites of the crawl's roots."""
        roots = self._frontier.crawldb.hosts.every_root()
        return frozenset(urls.site_of_host(root.partition("/")[0]) for root in roots)

    def _since(self, drafts: list[Draft]) -> dict[bytes, int]:
        now = self._options.now
        seconds = int(self._frontier.crawldb.clock() // 1000 if now is None else now)
        digests = {draft.digest for draft in drafts}
        try:
            return history.since(self._frontier, digests, seconds)
        except RedisAway:
            raise
        except (OutOfMemory, RedisUnavailable) as error:  # full, or a user who may only read
            self._options.say(f"{error}; since when a thing is broken is not noted")
            return dict.fromkeys(digests, seconds)

    # -- where it is ---------------------------------------------------------------------------------------------------

    def _texts(self, drafts: list[Draft]) -> Texts:
        if not self._options.texts:
            return Texts(self._frontier)
        with closing(PagesAgain(self._frontier, self._settings(), self._options.origins)) as pages:
            texts = Texts(self._frontier, reader(self._frontier, pages), self._options.say)
            texts.learn(drafts, self._urls)
        return texts

    def _settings(self) -> Settings:
        given = self._options.settings
        return Settings().with_stored(self._frontier.crawldb.settings()) if given is None else given

    def _found_on(self, draft: Draft, texts: Texts) -> list[FoundOn]:
        places = {(url, line): page for page, line in draft.all_places() if (url := self._urls.get(page))}
        return [
            FoundOn(url, line or None, texts.of(page, line, draft), self._used_by(page))
            for (url, line), page in sorted(places.items())
        ]

    def _used_by(self, page: int) -> list[str]:
        """Pages that use a style sheet or manifest."""
        users = users_of(page, self._users, self._imports)
        return nsmallest(MAX_USERS, {url for user in users if (url := self._urls.get(user))})
