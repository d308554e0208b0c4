"""`crawler fetch`: processes one URL as a crawl would, without Redis: robots.txt, redirects, extraction, hook."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from crawler import headers
from crawler import url as urls
from crawler.cli.terminal import say
from crawler.errors import CrawlerError, InvalidURL
from crawler.fetch import open_fetcher
from crawler.fetch.fetcher import FetchError, FetchRequest, FetchResult, Response
from crawler.frontier.messages import Commit, Lease
from crawler.headers import origin_of
from crawler.parse.extract import Extractor
from crawler.parse.page import Page
from crawler.parse.sitemap import looks_like_sitemap, parse_sitemap
from crawler.policy import robots
from crawler.policy.cookies import CIRCLE, Chain
from crawler.policy.politeness import MAX_ROBOTS_HOPS, REDIRECTS, judge, judge_robots
from crawler.record import Entry, Record, Request
from crawler.settings import Settings
from crawler.worker.hook import data_of, load_hook
from crawler.worker.link_filter import is_private_name
from crawler.worker.options import ACCEPT_PAGES, READ_TYPES, WorkerOptions, fetcher_options_of, plan_of
from crawler.worker.outcome import (
    Discovered,
    HostFeedback,
    LeasedPage,
    of_failure,
    of_page,
    of_redirect,
    of_response,
    of_sitemap,
)

MAX_REDIRECTS: Final = 10
_BAD_PORT: Final = "its port belongs to another protocol, browsers refuse it too"


@dataclass(slots=True)
class Tried:
    """What happened, step by step, and the record that a crawl would store."""

    record: Record
    steps: list[str] = field(default_factory=list)

    @property
    def fetched(self) -> bool:
        """Whether there was a final answer."""
        return self.record.outcome == "fetched"

    def shown_record(self, *, links: bool) -> Record:
        """The record for a program."""
        return self.record if links else msgspec.structs.replace(self.record, outlinks=None)

    def lines(self, *, links: bool) -> list[str]:
        """The result for a person."""
        record = self.record
        rows = [(name, getattr(record, name)) for name in record.__struct_fields__]
        shown = [
            f"  {name:<14} {_short(value)}"
            for name, value in rows
            if value not in (None, False) and name not in ("outlinks", "text", "depth", "hops", "attempts")
        ]
        if record.text:
            shown.append(f"  {'text':<14} {_short(record.text)} ({len(record.text):,} characters)")
        if links:
            shown += [f"  link           {link}" for link in record.outlinks or ()]
        return [*self.steps, *shown]


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 120 else text[:119] + "…"


def try_url(url: str, settings: Settings) -> Tried:
    """Fetch *url* as a crawl would and follow its redirects. Raises InvalidURL, HookError."""
    url = urls.canonicalize(url)
    return _Try(settings, origin_of(url)).run(url)


class _Try:
    def __init__(self, settings: Settings, origin: str) -> None:
        self._plan: WorkerOptions = plan_of(settings, [origin])
        self._fetcher = open_fetcher(settings.fetcher, fetcher_options_of(settings, [origin]))
        self._hook = load_hook(settings.hook) if settings.hook else None
        self._steps: list[str] = []
        self._robots: dict[str, tuple[str, FetchResult, str]] = {}
        """By origin: where its robots.txt was found, what was answered, and what that means."""

    def run(self, url: str) -> Tried:
        if is_private_name(url, proxied=self._plan.proxied):
            self._fetcher.allow(frozenset({urls.host(url)}))
        try:
            return self._follow(url)
        finally:
            self._fetcher.close()

    def _follow(self, url: str) -> Tried:
        if urls.has_bad_port(url):
            self._steps.append(f"{url}: {_BAD_PORT}; a crawl requests it only if it is a seed")
        record = self._one(url, 0)
        for hops in range(1, MAX_REDIRECTS + 1):
            if record.outcome != "redirected" or not record.redirect_to or record.error:
                break
            self._steps.append(f"{record.status} {record.url} -> {record.redirect_to}")
            if urls.leads_to_bad_port(record.url, record.redirect_to):
                self._steps.append(f"{record.redirect_to} is not requested: {_BAD_PORT}")
                break
            record = self._one(record.redirect_to, hops)
        return Tried(record, self._steps)

    def _one(self, url: str, hops: int) -> Record:
        held = _held(url, hops)
        if self._plan.obey_robots and (refusal := self._refusal(url)):
            return _record(of_failure(held, *refusal))
        result, chain = self._chase(url)
        verdict = judge(result, 0, 0, 0.5)
        if isinstance(result, FetchError):
            return _record(of_failure(held, verdict.outcome or "failed:timeout", verdict.error))
        if verdict.outcome == "redirected":
            return self._redirected(held, result, chain)
        if verdict.outcome == "fetched" and 200 <= result.status < 300:
            is_sitemap = "xml" in result.computed_type and looks_like_sitemap(result.body)
            return self._sitemap(held, result) if is_sitemap else self._page(held, result)
        return _record(of_response(held, verdict.outcome or "failed:http", result, HostFeedback(), error=verdict.error))

    def _chase(self, url: str) -> tuple[FetchResult, Chain]:
        """The answer to *url*, after redirects that set cookies and stay within its origin (see `cookies`)."""
        chain = Chain(url)
        result = self._get(url, READ_TYPES)
        while isinstance(result, Response) and result.status in REDIRECTS:
            target = chain.next_hop(result)
            if target is None or (self._plan.obey_robots and self._refusal(target)):
                break
            self._steps.append(f"{result.status} {result.url} -> {target}, with the cookies that it sets")
            chain.go(target)
            result = self._get(target, READ_TYPES, chain.cookie)
        return result, chain

    def _redirected(self, held: LeasedPage, response: Response, chain: Chain) -> Record:
        try:
            target = urls.canonicalize(response.headers.get("location") or "", response.url)
        except InvalidURL as error:
            return _record(of_redirect(held, response, None, Discovered(error=f"redirect to {error}"), HostFeedback()))
        if chain.is_circle(target):
            return _record(of_response(held, "failed:redirect-loop", response, HostFeedback(), error=CIRCLE))
        if words := headers.lost(self._plan.origin_headers, response.url, target):
            say(words)
        return _record(of_redirect(held, response, target, Discovered(), HostFeedback()))

    @staticmethod
    def _sitemap(held: LeasedPage, response: Response) -> Record:
        read = parse_sitemap(response.body, response.url)
        found = [location.url for location in read.locations] if read else []
        record = _record(of_sitemap(held, response, Discovered(), HostFeedback(), locations=len(found)))
        return msgspec.structs.replace(record, outlinks=found)

    def _page(self, held: LeasedPage, response: Response) -> Record:
        page = Extractor(self._plan.extract).extract(response)
        found = Discovered(data=self._data(page), outlinks=page.outlinks)
        commit = of_page(held, page, found, HostFeedback())
        record = _record(commit)
        return msgspec.structs.replace(record, text=page.text)

    def _data(self, page: Page) -> object:
        if self._hook is None:
            return None
        try:
            return data_of(self._hook(page))
        except Exception as error:  # anything that a user's function raises
            raise CrawlerError(f"the hook failed: {type(error).__name__}: {error}") from error

    def _refusal(self, url: str) -> tuple[str, str] | None:
        """The outcome and the reason if robots.txt keeps us from the page; None if it does not."""
        origin = origin_of(url)
        if origin not in self._robots and (found := self._ask_robots(f"{origin}/robots.txt")):
            self._robots[origin] = found
        return self._ruled(url, *self._robots[origin]) if origin in self._robots else None

    def _ask_robots(self, at: str) -> tuple[str, FetchResult, str] | None:
        """Where the robots.txt of an origin is, the answer, and its meaning; None if it redirects to no valid URL."""
        for hops in range(MAX_ROBOTS_HOPS + 1):
            result = self._get(at, None)
            verdict = judge_robots(result, hops)
            if verdict.step != "follow" or not isinstance(result, Response):
                return at, result, verdict.step
            try:
                target = urls.canonicalize(result.headers.get("location") or "", at)
            except InvalidURL:
                return None
            if urls.leads_to_bad_port(at, target):
                self._steps.append(f"robots {target} is not requested, so all is allowed: {_BAD_PORT}")
                return None
            at = target
        return None

    def _ruled(self, url: str, at: str, result: FetchResult, step: str) -> tuple[str, str] | None:
        if step == "parse" and isinstance(result, Response):
            rules = robots.parse(result.body)
            line = rules.deciding_line(url, self._plan.agent)
            self._steps.append(f"robots {at}: {line or 'no line applies'}")
            return None if rules.allowed(url, self._plan.agent) else ("dropped:robots", "robots.txt disallows it")
        answer = f"status {result.status}" if isinstance(result, Response) else result.detail
        meaning = "all is allowed" if step == "allow" else "nothing is allowed while it is unavailable"
        self._steps.append(f"robots {at}: {answer}: {meaning}")
        if step == "allow":
            return None
        return "failed:host-unreachable", f"robots.txt is unavailable ({answer}), so nothing is requested now"

    def _get(self, url: str, types: tuple[str, ...] | None, cookie: str = "") -> FetchResult:
        plan = self._plan
        request = FetchRequest(
            url,
            headers=(("Cookie", cookie),) if cookie else (),
            accept=ACCEPT_PAGES if types else "*/*",
            max_body=plan.max_size if types else robots.MAX_BYTES + 1,
            types=types,
            connect_timeout=min(10.0, plan.timeout),
            first_byte_timeout=plan.timeout,
            timeout=plan.timeout,
        )
        self._fetcher.submit(request, "one")
        while True:
            for _, result in self._fetcher.poll(1.0, 1):
                return result


def _held(url: str, hops: int) -> LeasedPage:
    host, entry = Request(url, hops=hops).place()
    lease = Lease("one", "P", host, entry, 0, 0, "", 0.0)
    return LeasedPage(lease, Entry.decode(host, entry), "0")


def _record(commit: Commit) -> Record:
    return Record.decode(commit.record)
