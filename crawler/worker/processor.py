"""From one fetch result to its outcome: final or retried, the record, and the requests it leads to."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import msgspec

from crawler import headers
from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.fetch.fetcher import FetchError, FetchResult, Response
from crawler.frontier.messages import ANY, Commit, Lease, Retry
from crawler.frontier.verbs import MAX_REQUESTS
from crawler.parse.extract import Extractor
from crawler.parse.page import Page
from crawler.parse.sitemap import looks_like_sitemap, parse_sitemap
from crawler.policy.cookies import CIRCLE, Chain
from crawler.policy.politeness import NOT_MODIFIED, Verdict, judge
from crawler.record import Charge, Request
from crawler.worker.context import NO_CALLBACKS, Callbacks, Stored
from crawler.worker.copies import Copies
from crawler.worker.diffs import with_diff
from crawler.worker.documents import Documents
from crawler.worker.hook_requests import joined, requests_of
from crawler.worker.hook_result import NOT_CALLED, HookResult
from crawler.worker.link_filter import LinkFilter, is_private_name
from crawler.worker.options import WorkerOptions
from crawler.worker.outcome import (
    Discovered,
    HostFeedback,
    LeasedPage,
    feedback_of,
    is_same,
    of_failure,
    of_not_modified,
    of_page,
    of_redirect,
    of_response,
    of_sitemap,
    of_unchanged,
)
from crawler.worker.page_data import PageData
from crawler.worker.pending_call import PendingCall
from crawler.worker.robots_cache import RobotsAnswer
from crawler.worker.shares import PageClock
from crawler.worker.sitemap_requests import SitemapRequests
from crawler.worker.target_outcome import TargetJudge, as_get, error_of, is_doubtful, of_target
from crawler.worker.targets import NO_NAMES, Names, Targets

MAX_REPORTED: Final = 10
"""Number of hosts that a worker names as not getting the --header lines."""


class Processor:
    """Processes one completed fetch to its outcome. May be repeated until its call is sent: it remembers nothing."""

    def __init__(
        self, stored: Stored, links: LinkFilter, plan: WorkerOptions, callbacks: Callbacks = NO_CALLBACKS
    ) -> None:
        self._stored, self.id, self.id_of = stored, stored.id, stored.id_of
        self._links = links
        self._extractor = Extractor(plan.extract)
        self._documents = Documents(plan, self._extractor, callbacks.documents)
        self.plan = plan
        self._hook, self._sample, self._revisit = callbacks.hook, callbacks.sample, callbacks.revisit
        self.say, self.enter = callbacks.say, callbacks.enter
        self._copies = Copies(stored, links, plan, self._asking)
        self._targets, self._target_judge = Targets(links, plan, stored), TargetJudge()
        self._sitemap_requests = SitemapRequests(links, plan.form, allow_private=plan.allow_private)
        self._reported: set[str] = set()
        """Hosts already reported as not getting the headers of the seeds that redirect to them."""
        self.clock = PageClock()
        self._page_data = PageData(callbacks.say)

    def robots(self, lease: Lease, answer: RobotsAnswer, ip: str) -> PendingCall:
        """The outcome of a robots lease; the sitemaps that it names are put before it."""
        named: list[Request] = []
        refused: Counter[str] = Counter()
        if self.plan.sitemaps and answer.event == "ok":
            with self._asking(lease.token):
                usual = self.plan.sitemap_only
                named, refused = self._sitemap_requests.of_robots(lease.origin, answer.sitemaps, usual=usual)
        result = answer.result(lease, ip if self.plan.sees_addresses else "", refused, self.clock.took_ms)
        return PendingCall(result, [request.url for request in named], [named] if named else [])

    @contextmanager
    def _asking(self, token: str) -> Iterator[None]:
        """Redis may be asked inside: while the worker waits for Redis, the page must not look like one that hangs."""
        self.enter("redis")
        try:
            yield
        finally:
            self.enter("handle", token)

    def handle(
        self, held: LeasedPage, result: FetchResult, *, forgiving: bool, chain: Chain | None = None
    ) -> PendingCall:
        """The call that ends the lease. *forgiving*: a time-out is our own fault and does not count as an attempt.

        *chain* is what led to *result* within the lease; the record is still that of the leased URL.

        May raise RedisAway if a root of the scope has to be looked up. Then process the same result again.
        """
        verdict = self._judged(held, result)
        if forgiving and isinstance(result, FetchError) and result.kind == "timeout":
            verdict = Verdict("none")
        ip = result.address if self.plan.sees_addresses and isinstance(result, Response) else ""
        rest = feedback_of(held, result, verdict, ip)
        if is_doubtful(held, result, verdict):
            return PendingCall(as_get(held, result, rest, self.clock.took_ms))
        if verdict.outcome is None:
            return self._retry(held, verdict, rest)
        if isinstance(result, FetchError):
            commit = of_failure(held, verdict.outcome, error_of(held, result, verdict.error), rest)
            return self._outgoing(commit, failed=True)
        if result.status == NOT_MODIFIED and not held.entry.request.target:
            commit = of_not_modified(held, result, rest, is_asked=chain is None)
            return self._outgoing(commit, failed=commit.outcome.startswith("failed"))
        if verdict.outcome == "redirected":
            return self._redirect(held, result, rest, chain)
        return self._answered(held, result, verdict, rest, chain)

    def _answered(
        self, held: LeasedPage, result: Response, verdict: Verdict, rest: HostFeedback, chain: Chain | None
    ) -> PendingCall:
        """The end of a URL that has got its last answer, which is no redirect."""
        outcome, is_sitemap = verdict.outcome or "", held.entry.request.sitemap
        if held.entry.request.target:
            commit = of_target(held, outcome, result, rest)
            return self._outgoing(commit, failed=commit.outcome.startswith("failed"))
        if chain is not None:
            result = msgspec.structs.replace(result, url=self.plan.form.apply(result.url))
        if outcome == "fetched" and 200 <= result.status < 300:
            if is_same(held, result):
                return self._outgoing(of_unchanged(held, result, rest))
            read = self._sitemap if self._is_sitemap(held, result) else self._page
            return read(held, result, rest)
        on_all = self.plan.hook_on_all and not is_sitemap
        hook = self._call_hook(held, self._extractor.extract(result)) if on_all else NOT_CALLED
        requests, refused = self._of_hook(held, hook)
        now, later = requests[:MAX_REQUESTS], requests[MAX_REQUESTS:]
        found = Discovered(now, refused=refused, hook=hook, error=verdict.error)
        commit = self._documents.with_missed(of_response(held, outcome, result, rest, found), result)
        return self._outgoing(commit, requests, later, failed=commit.outcome.startswith("failed"))

    def _judged(self, held: LeasedPage, result: FetchResult) -> Verdict:
        request, tried = held.entry.request, held.entry.retries
        if request.target:
            return self._target_judge.judge(held, result, self.plan.retries, random.random())
        judged = result if request.sitemap else self._documents.as_page(result)
        return judge(judged, tried, self.plan.retries, random.random())

    def _retry(self, held: LeasedPage, verdict: Verdict, rest: HostFeedback) -> PendingCall:
        alone_ms, took_ms = round(verdict.alone * 1000), self.clock.took_ms
        retry = Retry(held.lease, rest.event, verdict.charge, rest.rest_ms, alone_ms, None, took_ms, rest.trouble)
        return PendingCall(retry)

    # -- redirects -----------------------------------------------------------------------------------------------------

    def admits(self, held: LeasedPage, target: str, hops: int) -> bool:
        """Whether a redirect to *target*, after *hops* others, may be followed within the lease. May raise RedisAway.

        If it may not, it is treated like any other redirect.
        """
        request, scope, form = held.entry.request, self.plan.scope, self.plan.form
        if form.identity(target) == form.identity(request.url):
            return True
        if request.target:
            return request.hops + hops < scope.max_hops and not scope.filtered(target)
        if request.sitemap:
            return not (scope.traps and scope.trap(target))
        if scope.admit(target, request.depth, request.hops + hops + 1) or self._links.trap_of(target):
            return False
        with self._asking(held.lease.token):
            return target in self._links.inside([target])

    def _redirect(self, held: LeasedPage, response: Response, rest: HostFeedback, chain: Chain | None) -> PendingCall:
        """A redirect is an outlink of the same depth, judged anew. A redirect to itself is retried, then given up."""
        request = held.entry.request
        try:
            spelled = urls.canonicalize(response.headers.get("location") or "", response.url)
        except InvalidURL as error:
            found = Discovered(error=f"redirect to {error}")
            return self._outgoing(of_redirect(held, response, None, found, rest))
        form = self.plan.form
        if chain is not None and chain.is_circle(spelled):
            return self._loop(held, response, rest, CIRCLE)
        if form.identity(spelled) == form.identity(request.url):
            return self._redirect_to_itself(held, response, spelled, rest)
        target = form.apply(spelled)
        found = self._led_to(held, target, request.hops + 1 + (0 if chain is None else chain.hops))
        if not request.depth:
            self._report_lost_headers(response.url, target)
        too_many = bool(found.refused["hops"])
        commit = of_redirect(held, response, target, found, rest, "" if too_many else found.leads_to)
        return self._outgoing(commit, found.requests, failed=too_many)

    def _redirect_to_itself(
        self, held: LeasedPage, response: Response, spelled: str, rest: HostFeedback
    ) -> PendingCall:
        """A redirect to the same URL, or another spelling of it (see `url.Form`): retried under that spelling."""
        request = held.entry.request
        if spelled != request.url:
            if request.hops >= self.plan.scope.max_hops:
                return self._loop(held, response, rest, _too_many(request.hops))
            respelled = msgspec.structs.replace(request, url=spelled, hops=request.hops + 1)
            charge = Charge.NONE
        elif request.target and not request.get:
            respelled, charge = msgspec.structs.replace(request, get=True), Charge.NONE
        elif held.entry.retries >= self.plan.retries:
            why = "; no cookie that it sets is for this URL, or there was no time for it within --lease-term"
            return self._loop(
                held, response, rest, f"it redirects to itself{why if response.headers.get('set-cookie') else ''}"
            )
        else:
            respelled, charge = None, Charge.RETRY
        alone_ms = 1000 if respelled is None else 0
        return PendingCall(Retry(held.lease, rest.event, charge, rest.rest_ms, alone_ms, respelled))

    def _loop(self, held: LeasedPage, response: Response, rest: HostFeedback, error: str) -> PendingCall:
        commit = of_response(held, "failed:redirect-loop", response, rest, Discovered(error=error))
        return self._outgoing(commit, failed=True)

    def _report_lost_headers(self, before: str, after: str) -> None:
        """Report that a host does not get the --header lines of the seed's own host: once a host, for a few hosts."""
        host = urls.host(after)
        if host in self._reported or len(self._reported) == MAX_REPORTED:
            return
        if words := headers.lost(self.plan.origin_headers, before, after):
            self._reported.add(host)
            self.say(words)

    def _led_to(self, held: LeasedPage, target: str, hops: int) -> Discovered:
        """What a redirect leads to. In a check it is asked for as a target where it may not be read."""
        request = held.entry.request
        found = Discovered() if request.target else self._redirected(held, target, hops)
        is_page = bool(request.sitemap or found.roots or found.requests or found.error) or not self.plan.check
        if not is_page:
            with self._asking(held.lease.token):
                found = self._targets.of_redirect(held, target, hops, found)
        return msgspec.structs.replace(found, leads_to=found.leads_to or self.id(target))

    def _redirected(self, held: LeasedPage, target: str, hops: int) -> Discovered:
        """A seed that redirects takes its root along, but never to an address that only a seed itself may name."""
        request = held.entry.request
        if request.sitemap:
            return self._redirected_sitemap(held, target, hops)
        requests, refused = self._admit(held, [target], request.depth, hops)
        if refused["hops"]:
            return Discovered(refused=refused, error=_too_many(hops - 1))
        if requests or request.depth or set(refused) != {"scope"}:
            return Discovered(requests=requests, refused=refused)
        if urls.leads_to_bad_port(request.url, target):
            return Discovered(refused=Counter(port=1), error="redirect to a port of another protocol")
        if not self.plan.allow_private and is_private_name(target, proxied=self.plan.proxied):
            return Discovered(refused=refused, error="redirect to a private address, which only a seed may name")
        roots = self.plan.scope.roots_of(target)
        return Discovered(requests=[Request(target, request.depth, hops, held.id)], roots=roots)

    def _redirected_sitemap(self, held: LeasedPage, target: str, hops: int) -> Discovered:
        request = held.entry.request
        if hops > self.plan.scope.max_hops:
            return Discovered(refused=Counter(hops=1), error=_too_many(hops - 1))
        with self._asking(held.lease.token):
            admitted, refused = self._sitemap_requests.of_redirect(request, target)
        requests = [Request(url, request.depth, hops, held.id, sitemap=True) for url in admitted]
        return Discovered(requests=requests, refused=refused)

    # -- sitemaps ------------------------------------------------------------------------------------------------------

    def _is_sitemap(self, held: LeasedPage, response: Response) -> bool:
        """Whether it was named as a sitemap, or was found by a link and its content is a sitemap."""
        if held.entry.request.sitemap:
            return True
        if not self.plan.sitemaps or response.body[:9].lower() == b"<!doctype":
            return False
        return "xml" in response.computed_type and looks_like_sitemap(response.body)

    def _sitemap(self, held: LeasedPage, response: Response, rest: HostFeedback) -> PendingCall:
        sitemap = parse_sitemap(response.body, response.url)
        if sitemap is None:
            found = Discovered(error="this is no sitemap that can be read", refused=Counter({"sitemap-unreadable": 1}))
            return self._outgoing(of_sitemap(held, response, found, rest, locations=None))
        if response.truncated:
            kept = sitemap.locations[:-1] if sitemap.kind == "text" else sitemap.locations  # its last line may be cut
            sitemap = replace(sitemap, truncated=True, locations=kept)
        with self._asking(held.lease.token):
            requests, refused, dated = self._sitemap_requests.of_sitemap(held, sitemap)
            self._revisit(dated, self.plan)
            named = NO_NAMES
            if self.plan.check:
                named = self._targets.of_sitemap(held, self._sitemap_requests.named(held, sitemap), sitemap.kind)
        error = "it was cut: it breaks off, or has more than a sitemap may have" if sitemap.truncated else None
        requests = [*requests, *named.requests]
        now, later = requests[:MAX_REQUESTS], requests[MAX_REQUESTS:]
        found = Discovered(now, refused=refused, error=error)
        commit = of_sitemap(held, response, found, rest, locations=len(sitemap.locations))
        return self._outgoing(named.kept(commit, response), requests, later)

    # -- pages ---------------------------------------------------------------------------------------------------------

    def _page(self, held: LeasedPage, response: Response, rest: HostFeedback) -> PendingCall:
        page = self._read(held, response)
        hook = self._page_data.merge(page, self._call_hook(held, page))
        request, original, error = held.entry.request, self._copies.canonical_elsewhere(held, page), hook.error
        requests, refused = self._follow(held, page, original)
        roots: Sequence[str] = ()
        if not requests and self._is_moved(held, page, refused):
            target = page.refresh or ""
            moved = self._redirected(held, target, request.hops + 1)
            self._report_lost_headers(response.url, target)
            if moved.requests:
                refused -= Counter(scope=1)
            requests, roots, error = list(moved.requests), moved.roots, error or moved.error
        refused.update(page.refused)
        own, counts = self._of_hook(held, hook)
        named = self._names(held, page)
        requests, refused = joined(own, [*requests, *named.requests]), refused + counts
        now, later = requests[:MAX_REQUESTS], requests[MAX_REQUESTS:]
        # A user who names a URL wants its links, even if it looks like a copy; and so does a hook that makes requests.
        spared = ANY
        if requests and request.depth and not (self.plan.all_links or own):
            spared = self._copies.alias(request.url)
        is_stored, copy = self._copies.original_of(held, original)
        found = Discovered(
            now, roots, refused, hook, error, spared, copy, original=original, is_original_stored=is_stored
        )
        commit = of_page(held, page, found, rest, self.plan.extract.want, near=self.plan.near_duplicates)
        if later and spared != ANY and self._copies.is_copy(commit):
            later = []  # else they would be put before the commit finds out
        if "diff" in self.plan.extract.want and held.before is not None:
            commit = with_diff(commit, page.main, lambda: self._stored.main_of(held.lease.token, held.id))
        if self._sample is not None and held.before is None:
            self._sample(request.url, page)
        return self._outgoing(named.kept(commit, response, page), requests, later)

    def _names(self, held: LeasedPage, page: Page) -> Names:
        if not self.plan.check:
            return NO_NAMES
        with self._asking(held.lease.token):
            return self._targets.of_page(held, page)

    def _read(self, held: LeasedPage, response: Response) -> Page:
        """The page. A new one is read by its head alone if no more is needed and no link leads to anything new."""
        plan = self.plan
        document = self._documents.read(response, self.clock, lambda: self.enter("handle", held.lease.token))
        if document is not None:
            return document
        most = plan.scope.max_depth
        follows = not plan.sitemap_only and (most is None or held.entry.request.depth < most)
        if not (plan.skims and self._hook is None and held.before is None):
            return self._extractor.extract(response)
        if not follows:
            return self._extractor.extract(response, skims=True)

        def were_accepted(links: Sequence[str]) -> bool:
            with self._asking(held.lease.token):
                return self._links.were_accepted(links)

        return self._extractor.extract(response, skims=True, settled=self._links.settled, were_accepted=were_accepted)

    def _follow(self, held: LeasedPage, page: Page, original: str | None) -> tuple[list[Request], Counter[str]]:
        """The requests that a page leads to. A refresh is a redirect; an obeyed canonical has the page's own depth."""
        request, refresh = held.entry.request, page.refresh
        if original is None and refresh is None:
            return self._admit(held, [] if self.plan.sitemap_only else page.outlinks, request.depth + 1)
        requests: list[Request] = []
        refused: Counter[str] = Counter()
        first = []
        if refresh is not None and refresh in page.outlinks:
            first.append((refresh, request.hops + 1))
        if original is not None and original != refresh:
            first.append((original, 0))
        for url, hops in first:
            more, counts = self._admit(held, [url], request.depth, hops)
            requests, refused = requests + more, refused + counts
        taken = [url for url, _ in first]
        links = [] if self.plan.sitemap_only else [link for link in page.outlinks if link not in taken]
        more, counts = self._admit(held, links, request.depth + 1)
        return requests + more, refused + counts

    def _is_moved(self, held: LeasedPage, page: Page, refused: Counter[str]) -> bool:
        """Whether a seed's page does nothing but redirect, by a meta refresh, to a URL out of scope."""
        refresh = page.refresh
        if held.entry.request.depth or refresh is None or page.refresh_after > _MAX_REFRESH or not refused["scope"]:
            return False
        identity = self.plan.form.identity
        if refresh not in page.outlinks:
            return False
        own = {identity(page.url), identity(refresh)}
        with self._asking(held.lease.token):
            inside = self._links.inside(page.outlinks)
        return refresh not in inside and own.issuperset(map(identity, inside))

    def _call_hook(self, held: LeasedPage, page: Page) -> HookResult:
        """What the user's hook returned, or what it raised: the page is stored either way."""
        if self._hook is None or page.noindex:
            return NOT_CALLED
        self.enter("hook", held.lease.token)
        before = time.thread_time()
        try:
            return self._hook.call(page)
        finally:
            self.clock.leave_out(time.thread_time() - before)
            self.enter("handle", held.lease.token)

    def _of_hook(self, held: LeasedPage, hook: HookResult) -> tuple[list[Request], Counter[str]]:
        """The requests that a hook made, and the count of those that are refused."""
        if not hook.requests:
            return [], Counter()
        with self._asking(held.lease.token):
            return requests_of(hook, held, self._links, self.plan.form)

    def _admit(
        self, held: LeasedPage, outlinks: Sequence[str], depth: int, hops: int = 0
    ) -> tuple[list[Request], Counter[str]]:
        if not outlinks:
            return [], Counter()
        with self._asking(held.lease.token):
            return self._links.admit(outlinks, depth=depth, via=held.id, hops=hops)

    def _outgoing(
        self, commit: Commit, requests: Sequence[Request] = (), later: Sequence[Request] = (), *, failed: bool = False
    ) -> PendingCall:
        if took_ms := self.clock.took_ms:
            commit = msgspec.structs.replace(commit, handling_ms=took_ms)
        before = [later[i : i + MAX_REQUESTS] for i in range(0, len(later), MAX_REQUESTS)]
        return PendingCall(commit, [request.name for request in requests], before, failed)


_MAX_REFRESH: Final = 10
"""A meta refresh of a seed within these seconds is a redirect that takes its root along."""


def _too_many(hops: int) -> str:
    return f"more than {hops} redirects in a row"
