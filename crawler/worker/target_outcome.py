"""What the answer to the request for a target means: asked again by GET, good, or what is wrong with it."""

from __future__ import annotations

from typing import Final

import msgspec

from crawler.fetch.fetcher import FetchError, FetchResult, Response
from crawler.frontier.messages import Commit, Event, Retry
from crawler.policy.politeness import Verdict, judge, retry_after
from crawler.policy.target_answers import Judgement, stored, verdict_of_answer
from crawler.record import Charge, Record
from crawler.url_state import UrlState
from crawler.worker.outcome import UNSENT, Discovered, HostFeedback, LeasedPage, expires_soon, of_response
from crawler.worker.visit import find, state_of, tallies_of

CHECKED: Final = "checked"
BUSY_RETRIES: Final = 4
"""How often a target is tried again whose host asks to wait: 15 s, or longer if it says so."""
_MAX_TIRED: Final = 10_000
_TOO_MANY: Final = 429
_GOOD: Final = frozenset(("fetched", "dropped:type"))
"""Outcomes of pages that are there."""


class TargetJudge:
    """Judges the answers of targets, for one worker. It remembers hosts that never stop asking to wait."""

    def __init__(self) -> None:
        self._tired: dict[str, None] = {}

    def judge(self, held: LeasedPage, result: FetchResult, retries: int, jitter: float) -> Verdict:
        """As `politeness.judge`: a target that is there ends as `checked`.

        One that turns robots away is not asked again and again. A busy host gets its time, but not for each of its
        targets anew: it might have hundreds, and each try doubles the time.
        """
        verdict = judge(result, held.entry.retries, retries, jitter)
        if isinstance(result, FetchError) or verdict.outcome == "redirected":
            return verdict
        judgement = _judged(held, result)
        if judgement.verdict == "good":
            return Verdict("ok", CHECKED)
        if verdict.outcome is None and verdict.event == "slow":
            return self._busy(held, result, verdict, retries, may_wait=judgement.verdict != "cannot-tell")
        return msgspec.structs.replace(verdict, outcome=CHECKED) if verdict.outcome in _GOOD else verdict

    def _busy(self, held: LeasedPage, response: Response, verdict: Verdict, retries: int, *, may_wait: bool) -> Verdict:
        """*may_wait*: it is no answer to robots alone."""
        host = held.lease.host
        if not (may_wait or response.status == _TOO_MANY):
            return Verdict("ok", "denied")
        if host in self._tired:
            return Verdict("none", "failed:http", rest=verdict.rest, error=verdict.error)
        if held.entry.retries < max(retries, BUSY_RETRIES):
            return verdict
        self._tired[host] = None
        if len(self._tired) > _MAX_TIRED:
            del self._tired[next(iter(self._tired))]
        return msgspec.structs.replace(verdict, outcome="failed:http")


def _judged(held: LeasedPage, result: FetchResult) -> Judgement:
    is_head = not held.entry.request.get
    return verdict_of_answer(result, "HEAD" if is_head else "GET", ranged=not is_head)


def is_doubtful(held: LeasedPage, result: FetchResult, verdict: Verdict) -> bool:
    """Whether *result* answers HEAD in a way that GET may not be answered; *verdict* is that of `TargetJudge`.

    A server that asks to wait is waited for, and asked by HEAD again.
    """
    request = held.entry.request
    if not request.target or request.get or verdict == Verdict("none"):
        return False
    if isinstance(result, Response) and verdict.outcome is None and _asks_to_wait(result):
        return False
    return _judged(held, result).verdict == "get"


def _asks_to_wait(response: Response) -> bool:
    return response.status == _TOO_MANY or (response.status == 503 and retry_after(response.headers) > 0)


def as_get(held: LeasedPage, result: FetchResult, rest: HostFeedback, took_ms: int) -> Retry:
    """Ask again, by GET. That costs the URL no attempt; an answer that never came may be the fault of HEAD."""
    respelled = msgspec.structs.replace(held.entry.request, get=True)
    event: Event = "ok" if isinstance(result, Response) else "none"
    return Retry(held.lease, event, Charge.NONE, rest.rest_ms, 0, respelled, took_ms)


def of_target(held: LeasedPage, outcome: str, response: Response, rest: HostFeedback) -> Commit:
    """The outcome of a target that was answered, and does not redirect. One that has nothing to say has no record."""
    judgement = _judged(held, response)
    commit = of_response(held, outcome, response, rest, Discovered(error=stored(judgement)))
    is_bare = judgement.verdict == "good" and outcome == CHECKED and expires_soon(response) is None
    return msgspec.structs.replace(commit, record=None) if is_bare else commit


def error_of(held: LeasedPage, failure: FetchError, error: str | None) -> str | None:
    """What to record of a URL that got no answer, by whose end this is the *error*: of a target also what it tells."""
    if not held.entry.request.target:
        return error
    judgement = _judged(held, failure)
    return error if judgement.verdict in ("broken", "get") else stored(judgement)


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
        error="when it was read as a page",
    )
    visit = state_of(request, held.lease.token, record, target=page.target)
    finding = find(held.before, visit)
    state = msgspec.structs.replace(finding.state, target=page.target, checked_at=page.checked_at)
    return Commit(
        *(held.lease, held.id, state, None if record.outcome == CHECKED else record.encode()),
        event=UNSENT.event,
        before=held.before,
        tallies=tallies_of(finding),
    )
