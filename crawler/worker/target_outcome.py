"""What the answer to the request for a target means: asked again by GET, good, or what is wrong with it."""

from __future__ import annotations

from typing import Final

import msgspec

from crawler.fetch.fetcher import FetchError, FetchResult, Response
from crawler.frontier.messages import Commit, Event, Retry
from crawler.policy.politeness import Verdict, judge, retry_after, status_words
from crawler.policy.target_answers import verdict as verdict_of
from crawler.record import Charge, Record
from crawler.url_state import UrlState
from crawler.worker.outcome import UNSENT, Discovered, HostFeedback, LeasedPage, expires_soon, of_response
from crawler.worker.visit import find, state_of, tallies_of

CHECKED: Final = "checked"
_PAST_THE_END: Final = 416
"""The answer to a range of an empty file (RFC 9110 section 15.5.17)."""
_NOT_FOR_ROBOTS: Final = 999
"""What LinkedIn answers to whatever is no browser, however often it is asked."""
_GOOD: Final = frozenset(("fetched", "dropped:type"))
"""Outcomes of pages that are there."""


def judge_target(result: FetchResult, tried: int, retries: int, jitter: float) -> Verdict:
    """As `judge`: a target that is there ends as `checked`."""
    if isinstance(result, Response):
        if result.status == _NOT_FOR_ROBOTS:
            return Verdict("ok", "denied", error=status_words(result.status))
        if result.status == _PAST_THE_END:
            return Verdict("ok", CHECKED)
    verdict = judge(result, tried, retries, jitter)
    return msgspec.structs.replace(verdict, outcome=CHECKED) if verdict.outcome in _GOOD else verdict


def is_doubtful(held: LeasedPage, result: FetchResult, verdict: Verdict) -> bool:
    """Whether *result* answers HEAD in a way that GET may not be answered.

    Many servers refuse HEAD, or answer it by an error. One that asks to wait is waited for, and asked by HEAD again.
    """
    request = held.entry.request
    if not request.target or request.get:
        return False
    if isinstance(result, FetchError):
        is_of_answer = result.kind == "protocol" or (result.kind in ("connect", "timeout") and result.sent)
        return is_of_answer and verdict != Verdict("none")
    asks_to_wait = result.status == 429 or (result.status == 503 and retry_after(result.headers) > 0)
    is_bad = result.status >= 400 or verdict.outcome == "failed:http"
    return is_bad and not (asks_to_wait and verdict.outcome is None)


def as_get(held: LeasedPage, result: FetchResult, rest: HostFeedback, took_ms: int) -> Retry:
    """Ask again, by GET. That costs the URL no attempt; an answer that never came may be the fault of HEAD."""
    respelled = msgspec.structs.replace(held.entry.request, get=True)
    event: Event = "ok" if isinstance(result, Response) else "none"
    return Retry(held.lease, event, Charge.NONE, rest.rest_ms, 0, respelled, took_ms)


def of_target(held: LeasedPage, outcome: str, response: Response, rest: HostFeedback) -> Commit:
    """The outcome of a target that was answered, and does not redirect. One that has nothing to say has no record."""
    word, cause = verdict_of(response.status, response.headers, response.body, held.url, response.url)
    is_good = word == "good" or (outcome == CHECKED and response.status == _PAST_THE_END)
    commit = of_response(held, outcome, response, rest, Discovered(error=None if is_good else cause))
    is_bare = is_good and outcome == CHECKED and expires_soon(response) is None
    return msgspec.structs.replace(commit, record=None) if is_bare else commit


def of_read_page(held: LeasedPage, page: UrlState) -> Commit:
    """The outcome of a target that was read as a page, by what that ended with: it is not asked for."""
    request = held.entry.request
    record = Record(
        url=held.url,
        outcome=CHECKED if page.outcome in _GOOD else page.outcome,
        depth=request.depth,
        via=request.found_on,
        hops=request.hops,
        target=True,
        status=page.status or None,
        attempts=held.entry.tries + 1,
        error="it was read as a page, which ended so",
    )
    visit = state_of(request, held.lease.token, record, target=page.target)
    state = msgspec.structs.replace(find(held.before, visit).state, target=page.target, checked_at=page.checked_at)
    return Commit(
        *(held.lease, held.id, state, None if record.outcome == CHECKED else record.encode()),
        event=UNSENT.event,
        before=held.before,
        tallies=tallies_of(find(held.before, visit)),
    )
