"""Processes one URL on a worker's own steps, without Redis: robots.txt, redirects, extraction, hook."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import msgspec

from crawler import url as urls
from crawler.clock import since_boot
from crawler.crawl.rule_set import with_rules
from crawler.errors import CrawlerError, HookFailed, InvalidURL, to_install
from crawler.fetch import open_fetcher
from crawler.fetch.fetcher import FetchResult, Response
from crawler.frontier.messages import Commit, HostTrouble, Lease, Retry, RobotsResult
from crawler.headers import origin_of
from crawler.parse.match import Match
from crawler.parse.page import Page
from crawler.policy import robots
from crawler.policy.politeness import status_words
from crawler.policy.scope import LATER_REFUSALS, REFUSALS
from crawler.record import Charge, Entry, Link, Record, Request
from crawler.settings import Settings
from crawler.worker.contents import unpacked
from crawler.worker.context import Callbacks
from crawler.worker.downloader import Downloader
from crawler.worker.hook import load_hook
from crawler.worker.hook_call import HOOK_ERROR, HookCalls
from crawler.worker.hook_result import NOT_CALLED, HookResult
from crawler.worker.link_filter import LinkFilter
from crawler.worker.options import fetcher_options_of, plan_of
from crawler.worker.outcome import LeasedPage, of_failure
from crawler.worker.pending_call import PendingCall
from crawler.worker.pipeline import Pipeline
from crawler.worker.processor import Processor
from crawler.worker.robots_cache import RobotsCache

_BAD_PORT: Final = "its port belongs to another protocol, browsers refuse it too"
_ONLY: Final = "0"
"""The id of every URL: there is one at a time."""


@dataclass(slots=True)
class Fetched:
    """What happened, step by step, and the record that a crawl would store."""

    record: Record
    steps: list[str] = field(default_factory=list)
    match: Match | None = None
    """What the extraction rule found that matches its URL."""
    requests: list[str] = field(default_factory=list)
    """The further URLs that the hook asks for, and what a crawl would do with each."""


def fetch_one(url: str, settings: Settings, say: Callable[[str], None]) -> Fetched:
    """Fetch *url* as a crawl would that has it as its only seed, and follow its redirects. Nothing is tried again.

    Raises InvalidURL, HookError, and HookFailed if the hook fails.
    """
    url = urls.given(url)
    settings = with_rules(settings)
    settings = replace(settings, store=tuple({*settings.store, "links"}))
    one = FetchOne(settings, [origin_of(url)], say)
    try:
        one.admit(one.roots_of(url))
        return one.run(Request(url))
    finally:
        one.close()


class _Memory:
    """What a crawl keeps in Redis, for one URL."""

    def __init__(self) -> None:
        self.roots: set[str] = set()
        self.rules: dict[str, bytes] = {}
        """The robots.txt of each origin."""

    def id(self, url: str) -> str:
        return _ONLY

    def id_of(self, request: Request) -> str:
        return _ONLY

    def first_with(self, token: str, digest: str) -> str | None:
        return None

    def has_contents(self, token: str, url: str) -> bool:
        return False

    def main_of(self, token: str, url_id: str) -> str | None:
        return None

    def named_by(self, token: str, url_id: str) -> str | None:
        return None

    def robots(self, origins: Sequence[str]) -> list[bytes | None]:
        return [self.rules.get(origin) for origin in origins]

    def packed_robots(self, origin: str) -> bytes | None:
        return None

    def forget_robots(self, origin: str) -> None:
        self.rules.pop(origin, None)

    def are_roots(self, candidates: Sequence[str]) -> list[bool]:
        return [candidate in self.roots for candidate in candidates]


class _LastCall(HookCalls):
    """A hook, and the result of its last call."""

    last: HookResult = NOT_CALLED

    def call(self, page: Page) -> HookResult:
        self.last = super().call(page)
        return self.last


class FetchOne:
    """Fetches URLs on a worker's own steps, one after the other; each origin's robots.txt once."""

    def __init__(self, settings: Settings, origins: Sequence[str], say: Callable[[str], None]) -> None:
        """*origins* are those that the command's SOURCEs name. Nothing is tried again."""
        plan = self._plan = plan_of(replace(settings, retries=0), origins)
        self.roots_of = plan.scope.roots_of
        """The roots that a URL as a seed would bring."""
        self.candidates = plan.scope.candidates
        """The roots that a URL would be in the scope of."""
        self._memory = _Memory()
        self._rules = RobotsCache(self._memory, plan.agent, plan.rules_cache)
        links = self._links = LinkFilter(plan.scope, self._memory.are_roots)
        self._hook = _LastCall(load_hook(settings.hook)) if settings.hook else None
        callbacks = self._callbacks = Callbacks(self._hook, sample=self._note_page, say=say)
        processor = Processor(self._memory, links, plan, callbacks)
        fetcher = open_fetcher(settings.fetcher, fetcher_options_of(settings, origins))
        self._downloader = Downloader(fetcher, links, plan)
        self._pipeline = Pipeline(self._downloader, self._rules, links, processor)
        self._steps: list[str] = []
        self._match: Match | None = None
        self.page: Page | None = None
        """The last page that was read."""
        self._answers: dict[str, FetchResult] = {}
        """What was answered to the request for the robots.txt of each origin."""

    def admit(self, roots: Iterable[str]) -> None:
        """Let these roots be in scope."""
        self._memory.roots.update(roots)

    def close(self) -> None:
        """Close all connections."""
        self._downloader.close()
        self._callbacks.documents.close()

    def _note_page(self, _url: str, page: Page) -> None:
        self._match, self.page = page.match, page

    def run(self, request: Request, *, follows: bool = True) -> Fetched:
        """Fetch it; *follows*: and what it redirects to."""
        if urls.has_bad_port(request.url):
            self._steps.append(f"{request.url}: {_BAD_PORT}; a crawl requests it only if it is a seed")
        while True:
            ended = self._page(request)
            if isinstance(ended.message, Retry):  # under another spelling, or because this process was held up
                if ended.message.charge == Charge.CRASH:
                    raise CrawlerError(f"{request.url} cannot be processed")
                request = ended.message.respelled or request
                continue
            if not isinstance(ended.message, Commit):
                raise CrawlerError("this machine has no file descriptors left")
            record = Record.decode(ended.message.record or b"")
            if "documents" in ended.message.tallies:
                self._steps.append(f"{record.url} is a document; to read it {to_install('documents')}")
            if record.outcome != "redirected":
                whole, asked_for = _whole(record, ended, ended.message), self._asked_for(request.depth)
                return Fetched(whole, self._steps, self._match, asked_for)
            self._steps.append(f"{record.status} {record.url} -> {record.redirect_to}")
            if not follows or not ended.message.requests:
                self._note_refusal(record, ended.message)
                return Fetched(record, self._steps)
            self._memory.roots.update(ended.message.roots)
            request = ended.message.requests[0]

    def _asked_for(self, depth: int) -> list[str]:
        """What became of each URL that the hook asked for on a page of this *depth*."""
        found = []
        for asked in self._hook.last.requests if self._hook is not None else ():
            at = depth + 1 if asked.depth is None else asked.depth
            refused = self._links.admit([self._plan.form.apply(asked.url)], depth=at, via=_ONLY)[1]
            why = [f"refused: {(REFUSALS | LATER_REFUSALS).get(reason, reason)}" for reason in refused]
            front = ", to the front of its host's queue" if asked.priority else ""
            found.append(f"{asked.url} ({''.join(why) or f'depth {at}{front}'})")
        return found

    def _note_refusal(self, record: Record, commit: Commit) -> None:
        for tally in commit.tallies:
            reason = tally.removeprefix("refused:")
            if meaning := (REFUSALS | LATER_REFUSALS).get(reason):
                self._steps.append(f"{record.redirect_to} is not requested: {meaning}")

    def _page(self, request: Request) -> PendingCall:
        host, raw = request.place()
        lease = self._lease("P", host, raw)
        if not self._plan.obey_robots:
            return self._drive(lease)
        origin = origin_of(request.url)
        if origin not in self._memory.rules and (kind := self._learn_rules(origin)):
            why = f"robots.txt is unavailable ({self._answer(origin)}), so nothing is requested now"
            held = LeasedPage(lease, Entry.decode(host, raw), _ONLY)
            return PendingCall(of_failure(held, f"failed:{kind}", why))
        self._note_rule(origin, request.url)
        self._rules.learn([lease])
        return self._drive(lease)

    # -- robots.txt ----------------------------------------------------------------------------------------------------

    def _learn_rules(self, origin: str) -> str:
        """Ask for the robots.txt of *origin*; if it is unavailable, the kind of trouble."""
        host, scheme, _ = urls.split(f"{origin}/")
        ended = self._drive(self._lease("R", host, str(scheme).encode())).message
        if isinstance(ended, RobotsResult) and ended.event == "ok":
            self._memory.rules[origin] = zlib.decompress(ended.text)
            return ""
        self._steps.append(
            f"robots {origin}/robots.txt: {self._answer(origin)}: nothing is allowed while it is unavailable"
        )
        trouble = HostTrouble.of(ended.trouble if isinstance(ended, RobotsResult) else "")
        return trouble.kind if trouble else "robots"

    def _answer(self, origin: str) -> str:
        result = self._answers[origin]
        return status_words(result.status) if isinstance(result, Response) else result.detail

    def _note_rule(self, origin: str, url: str) -> None:
        result, body = self._answers[origin], self._memory.rules[origin]
        at = result.url if isinstance(result, Response) else f"{origin}/robots.txt"
        if isinstance(result, Response) and 200 <= result.status < 300:
            line = robots.parse(body).deciding_line(url, self._plan.agent)
            step = f"robots {at}: {line or 'no line applies'}"
        elif isinstance(result, Response) and (target := _bad_target(result)):
            step = f"robots {target} is not requested, so all is allowed: {_BAD_PORT}"
        else:
            step = f"robots {at}: {self._answer(origin)}: all is allowed"
        if step not in self._steps:
            self._steps.append(step)

    # -- the worker's steps --------------------------------------------------------------------------------------------

    def _lease(self, kind: Literal["P", "R"], host: str, raw: bytes) -> Lease:
        return Lease(kind, kind, host, raw, 0, 0, "", since_boot() + self._plan.lease_term)

    def _drive(self, lease: Lease) -> PendingCall:
        """From the lease to what ends it."""
        pending = self._pipeline.begin(lease)
        while pending is None:
            self._downloader.poll(1.0)
            while self._downloader.results:
                download, result = self._downloader.results.popleft()
                pending = self._pipeline.handle(download, result)
                if pending is not None:
                    self._downloader.finish(download)
                if download.held is None:
                    self._answers[lease.origin] = result
                elif pending is None and isinstance(result, Response) and download.chain is not None:
                    self._steps.append(f"{result.status} {result.url} -> {download.chain.at}, with the cookies it sets")
        return pending


def _bad_target(response: Response) -> str | None:
    """Where a robots.txt redirects to, if that is a port of another protocol."""
    with suppress(InvalidURL):
        target = urls.canonicalize(response.headers.get("location") or "", response.url)
        return target if urls.leads_to_bad_port(response.url, target) else None
    return None


def _whole(record: Record, ended: PendingCall, commit: Commit) -> Record:
    """The record with its contents, and with the links of a sitemap. Raises HookFailed if the hook failed."""
    if record.error and record.error.startswith(HOOK_ERROR):
        raise HookFailed(f"the hook failed: {record.error.removeprefix(HOOK_ERROR)}")
    record = record.with_contents(unpacked(commit.contents))
    return msgspec.structs.replace(record, links=[Link(url=url) for url in ended.urls]) if record.sitemap else record
