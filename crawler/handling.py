"""From one fetch's result to what Redis is told of it: final or tried again, the record, the requests it leads to."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from crawler import ending as endings
from crawler import hook as hooks
from crawler import url as urls
from crawler.ending import Found, Held, Rest
from crawler.errors import InvalidURL
from crawler.extract import Extractor
from crawler.fetch.fetcher import FetchError, FetchResult, Response
from crawler.frontier.frontier import MOST_REQUESTS, Frontier
from crawler.frontier.leases import Ending
from crawler.frontier.link import Call
from crawler.links import Links, is_private_name
from crawler.page import Page
from crawler.plan import Plan
from crawler.politeness import Verdict, judge
from crawler.records import Charge, Request
from crawler.redirects import location
from crawler.watch import Watch


@dataclass(slots=True)
class Outgoing:
    """A call that ends a lease, and what is remembered once it is acknowledged."""

    call: Call
    token: str
    urls: Sequence[str] = ()
    before: list[Call] = field(default_factory=list)
    """Puts of the links beyond what one commit takes."""
    ends: bool = False
    """It is the end of a page, not another try."""
    failed: bool = False
    size: int = 0


class Handler:
    """Takes one completed fetch to its outcome. Safe to repeat until its call was sent: nothing is remembered here."""

    def __init__(
        self, frontier: Frontier, links: Links, extractor: Extractor, plan: Plan, watch: Watch, hook: hooks.Hook | None
    ) -> None:
        self._frontier = frontier
        self._links = links
        self._extractor = extractor
        self._plan = plan
        self._watch = watch
        self._hook = hook

    def handle(self, held: Held, result: FetchResult, *, forgiving: bool) -> Outgoing:
        """The call that ends the lease. *forgiving*: a time-out is our own fault and costs nothing.

        May raise RedisAway, when a root of the scope has to be asked for: handle the same result again then.
        """
        verdict = judge(result, held.entry.retries, self._plan.retries, random.random())
        if forgiving and isinstance(result, FetchError) and result.kind == "timeout":
            verdict = Verdict("none")
        rest = Rest(verdict.event, _rest_ms(held, result, verdict))
        if verdict.outcome is None:
            return self._retry(held, verdict, rest)
        if isinstance(result, FetchError):
            ending = endings.of_failure(held, verdict.outcome, verdict.error, rest)
            return self._outgoing(ending, failed=True)
        if verdict.outcome == "redirected":
            return self._redirect(held, result, rest)
        if verdict.outcome == "fetched" and 200 <= result.status < 300:
            return self._page(held, result, rest)
        ending = endings.of_response(held, verdict.outcome, result, rest, error=verdict.error)
        return self._outgoing(ending, failed=verdict.outcome.startswith("failed"))

    def _retry(self, held: Held, verdict: Verdict, rest: Rest) -> Outgoing:
        call = self._frontier.retry_call(
            held.lease, rest.event, charge=verdict.charge, rest_ms=rest.rest_ms, alone_ms=round(verdict.alone * 1000)
        )
        return Outgoing(call, held.lease.token)

    # -- redirects -----------------------------------------------------------------------------------------------------

    def _redirect(self, held: Held, response: Response, rest: Rest) -> Outgoing:
        """A redirect is an outlink of the same depth, judged anew; to itself it is tried again, then given up."""
        request = held.entry.request
        try:
            target = urls.canonicalize(location(response) or "", request.url)
        except InvalidURL as error:
            found = Found(error=f"redirect to {error}")
            return self._outgoing(endings.of_redirect(held, response, None, found, rest))
        if target == request.url:
            return self._redirect_to_itself(held, response, rest)
        found = self._redirected(held, target)
        return self._outgoing(endings.of_redirect(held, response, target, found, rest), found.requests)

    def _redirect_to_itself(self, held: Held, response: Response, rest: Rest) -> Outgoing:
        if held.entry.retries >= self._plan.retries:
            ending = endings.of_response(held, "failed:redirect-loop", response, rest, error="it redirects to itself")
            return self._outgoing(ending, failed=True)
        call = self._frontier.retry_call(
            held.lease, rest.event, charge=Charge.RETRY, rest_ms=rest.rest_ms, alone_ms=1000
        )
        return Outgoing(call, held.lease.token)

    def _redirected(self, held: Held, target: str) -> Found:
        """A seed that redirects takes its root along, but never to an address that only a seed itself may name."""
        request = held.entry.request
        via, hops = held.id, request.hops + 1
        requests, refused = self._admit(held, [target], request.depth, hops)
        if requests or request.depth or set(refused) != {"scope"}:
            return Found(requests=requests, refused=refused)
        if is_private_name(target) and not self._plan.allow_private:
            return Found(refused=refused, error="redirect to a private address, which only a seed may name")
        root = self._plan.scope.root_of(target)
        return Found(requests=[Request(target, request.depth, hops, via)], roots=[root])

    # -- pages ---------------------------------------------------------------------------------------------------------

    def _page(self, held: Held, response: Response, rest: Rest) -> Outgoing:
        page = self._extractor.extract(response)
        data, error = self._call_hook(held, page)
        request = held.entry.request
        requests, refused = self._admit(held, page.outlinks, request.depth + 1)
        refused.update(page.refused)
        outlinks = page.outlinks if self._plan.keep_outlinks else None
        now, later = requests[:MOST_REQUESTS], requests[MOST_REQUESTS:]
        found = Found(now, refused=refused, data=data, error=error, outlinks=outlinks)
        return self._outgoing(endings.of_page(held, page, found, rest), requests, later)

    def _call_hook(self, held: Held, page: Page) -> tuple[Any, str | None]:
        """What the user's hook returned, or what it raised: the page is kept all the same."""
        if self._hook is None or page.noindex:
            return None, None
        self._watch.enter("hook", held.lease.token)
        try:
            data = hooks.items(self._hook(page))
            msgspec.json.encode(data)
        except (Exception, SystemExit) as error:  # anything a user's function raises, sys.exit() too
            return None, f"hook: {type(error).__name__}: {error}"
        finally:
            self._watch.enter("handle", held.lease.token)
        return data, None

    def _admit(
        self, held: Held, outlinks: Sequence[str], depth: int, hops: int = 0
    ) -> tuple[list[Request], Counter[str]]:
        """`Links.admit`. It may ask Redis, and whoever waits for Redis must not pass for a page that hangs."""
        self._watch.enter("redis")
        try:
            return self._links.admit(outlinks, depth=depth, via=held.id, hops=hops)
        finally:
            self._watch.enter("handle", held.lease.token)

    def _outgoing(
        self, ending: Ending, requests: Sequence[Request] = (), later: Sequence[Request] = (), *, failed: bool = False
    ) -> Outgoing:
        before = [self._frontier.put_call(later[i : i + MOST_REQUESTS]) for i in range(0, len(later), MOST_REQUESTS)]
        return Outgoing(
            self._frontier.commit_call(ending),
            ending.lease.token,
            [request.url for request in requests],
            before,
            ends=True,
            failed=failed,
            size=ending.tallies.get("bytes", 0),
        )


def _rest_ms(held: Held, result: FetchResult, verdict: Verdict) -> int:
    """What is left of the host's delay since the end of the fetch, or the longer rest that the host asked for."""
    sent = not isinstance(result, FetchError) or result.sent
    left = held.lease.delay_ms - round((time.monotonic() - result.ended) * 1000) if sent and result.ended else 0
    return max(left, round(verdict.rest * 1000), 0)
