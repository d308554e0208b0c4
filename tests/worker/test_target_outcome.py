"""What the answers to targets mean: asked again by GET, good, or what is wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from crawler.fetch.fetcher import FailureKind, FetchError, FetchResult
from crawler.frontier.messages import Commit, Lease, Retry
from crawler.record import Charge, Request
from crawler.text import rfc3339
from crawler.url_state import UrlState
from crawler.worker.downloader import MAX_TARGET, RANGE, Downloader
from crawler.worker.outcome import LeasedPage
from crawler.worker.target_outcome import BUSY_RETRIES, of_read_page
from crawler.worker.visit import states_of_pages
from tests.worker.checks import ELSEWHERE, SITE, answer, check, record
from tests.worker.test_downloader import Engine

URL = f"{ELSEWHERE}a"
HEAD = Request(URL, 1, target=True)
GET = msgspec.structs.replace(HEAD, get=True)
AGAIN = ("retry-after", "5")


@pytest.mark.parametrize(
    "result",
    [
        *(answer(URL, status) for status in (400, 401, 403, 404, 405, 410, 500, 501, 502, 503)),
        answer(URL, 302),
        FetchError(URL, "protocol", "no HTTP", sent=True),
        FetchError(URL, "connect", "it broke off", sent=True),
        FetchError(URL, "timeout", "nothing came", sent=True),
    ],
    ids=lambda result: str(getattr(result, "status", None) or result.kind),
)
def test_what_may_be_the_fault_of_head_is_asked_by_get_at_no_cost(result: FetchResult) -> None:
    retry = check().retry(HEAD, result)
    assert retry.respelled == GET
    assert (retry.charge, retry.alone_ms, retry.trouble) == (Charge.NONE, 0, "")
    assert retry.event in ("ok", "none")
    again = check().ended(GET, result).message
    assert not isinstance(again, Retry) or again.respelled is None


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_to_wait_is_waited_for(status: int) -> None:
    retry = check().retry(HEAD, answer(URL, status, AGAIN))
    assert (retry.respelled, retry.event, retry.rest_ms, retry.charge) == (None, "slow", 5_000, Charge.RETRY)


def test_a_server_that_asks_to_wait_for_ever_ends_with_its_status_and_its_other_targets_do_too() -> None:
    one = check()
    held = one.held(HEAD)

    def ended(target: LeasedPage, retries: int) -> Commit | None:
        tried = msgspec.structs.replace(target, entry=msgspec.structs.replace(target.entry, retries=retries))
        message = one.processor.handle(tried, answer(URL, 429, AGAIN), forgiving=False).message
        return message if isinstance(message, Commit) else None

    assert ended(held, BUSY_RETRIES - 1) is None
    last = ended(held, BUSY_RETRIES)
    assert last is not None
    found = record(last)
    assert (last.outcome, last.state.status, found.status, last.event) == ("failed:http", 429, 429, "slow")
    assert found.error is not None and found.error.startswith("cannot tell: 429")
    other = ended(one.held(Request(f"{ELSEWHERE}b", target=True)), 0)
    assert other is not None
    assert (other.outcome, other.event, other.rest_ms) == ("failed:http", "none", 5_000)
    assert ended(one.held(Request("http://another.example/", target=True)), 0) is None


@pytest.mark.parametrize("kind", ["dns", "tls", "refused", "connect"])
def test_what_is_no_fault_of_head_is_judged_as_ever(kind: FailureKind) -> None:
    ended = check().ended(HEAD, FetchError(URL, kind, "no", sent=False)).message
    assert not isinstance(ended, Retry) or ended.respelled is None


@pytest.mark.parametrize("status", [200, 204, 206, 300, 304, 416])
def test_a_target_that_is_there_has_a_state_and_no_record(status: int) -> None:
    commit = check().commit(GET, answer(URL, status))
    assert (commit.outcome, commit.record, commit.links) == ("checked", None, None)
    assert (commit.state.status, commit.state.is_target, commit.state.digest) == (status, True, 0)
    assert commit.tallies["targets"] == 1
    assert [name for name in commit.tallies if name.startswith("visit:")] == []


@pytest.mark.parametrize(
    ("status", "outcome"), [(404, "missing"), (403, "denied"), (999, "denied"), (505, "failed:http")]
)
def test_a_target_that_is_not_there_has_a_record_with_the_cause(status: int, outcome: str) -> None:
    one = check()
    commit = one.commit(GET, answer(URL, status))
    found = record(commit)
    assert (found.outcome, found.status, found.target, found.size) == (outcome, status, True, None)
    assert found.error and str(status) in found.error
    again = one.commit(GET, answer(URL, status), commit.state)
    assert record(again).error == found.error
    assert "targets" not in again.tallies
    good = one.commit(GET, answer(URL, 200), commit.state)
    assert (good.outcome, good.record, good.state.visits) == ("checked", None, 2)


def test_a_challenge_is_recorded_though_it_is_an_answer() -> None:
    commit = check().commit(HEAD, answer(URL, 200, ("cf-mitigated", "challenge")))
    found = record(commit)
    assert (found.outcome, found.status) == ("checked", 200)
    assert found.error is not None and found.error.startswith("cannot tell: ")


def test_a_failure_that_tells_nothing_of_the_target_is_recorded_as_such() -> None:
    refused = check().commit(HEAD, FetchError(URL, "refused", "its address is private", sent=False))
    assert record(refused).error == "not checked: its address is private"
    broken = check().commit(HEAD, FetchError(URL, "tls", "it has expired"))
    assert (broken.outcome, record(broken).error) == ("failed:tls", "it has expired")


def test_a_target_that_moved_and_is_there_now_leads_nowhere() -> None:
    one = check()
    moved = one.commit(HEAD, answer(URL, 301, ("location", "/b")))
    assert moved.state.target
    assert one.commit(HEAD, answer(URL, 200), moved.state).state.target is None


def test_a_certificate_that_expires_soon_is_recorded() -> None:
    soon, later = time.time() + 3 * 86_400, time.time() + 30 * 86_400
    commit = check().commit(HEAD, answer(URL, 200, certificate_expires=soon))
    assert record(commit).certificate_expires == rfc3339(int(soon))
    assert check().commit(HEAD, answer(URL, 200, certificate_expires=later)).record is None


def test_a_head_that_redirects_to_itself_is_asked_by_get() -> None:
    circle = answer(URL, 302, ("location", URL))
    assert check().retry(HEAD, circle).respelled == GET
    assert check(retries=0).commit(GET, circle).outcome == "failed:redirect-loop"


def test_another_spelling_keeps_what_the_target_is() -> None:
    respelled = (
        check(one_scheme=True).retry(HEAD, answer(URL, 301, ("location", URL.replace("http:", "https:")))).respelled
    )
    assert respelled is not None
    assert (respelled.url[:6], respelled.target, respelled.get) == ("https:", True, False)


# -- the request -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [HEAD, GET], ids=["HEAD", "GET"])
def test_a_target_is_asked_for_by_head_or_by_a_small_range(request_: Request) -> None:
    one, engine = check(), Engine()
    downloader = Downloader(engine, one.links, one.plan)  # type: ignore[arg-type]
    downloader.fetch_page(one.held(request_))
    (sent,) = engine.asked
    assert (sent.method, sent.headers) == (("GET", (RANGE,)) if request_.get else ("HEAD", ()))
    assert (sent.types, sent.max_body) == (None, MAX_TARGET)


# -- what was read as a page -------------------------------------------------------------------------------------------


def _state(outcome: str, status: int, **more: Any) -> UrlState:
    return UrlState(url=f"{SITE}a", outcome=outcome, status=status, first_seen=1, checked_at=2, **more)


@pytest.mark.parametrize(
    ("page", "status", "outcome"),
    [
        ("fetched", 200, "checked"),
        ("dropped:type", 200, "checked"),
        ("missing", 404, "missing"),
        ("denied", 403, "denied"),
    ],
)
def test_a_target_that_was_read_ends_as_the_page_did(page: str, status: int, outcome: str) -> None:
    one = check()
    target = Request(f"{SITE}a", 1, target=True)
    commit = of_read_page(one.held(target), _state(page, status))
    assert (commit.outcome, commit.state.status, commit.state.is_target) == (outcome, status, True)
    assert (commit.event, commit.tallies) == ("unsent", {"targets": 1})
    assert (commit.record is None) == (outcome == "checked")


def test_a_target_that_was_read_leads_where_the_page_does() -> None:
    commit = of_read_page(check().held(Request(f"{SITE}a", 1, target=True)), _state("redirected", 301, target="77"))
    assert (commit.outcome, commit.state.target, record(commit).target) == ("redirected", "77", True)


def _pages(leases: list[Lease], states: dict[str, UrlState], began: int) -> dict[str, UrlState]:
    def read(places: Sequence[tuple[str, str]]) -> list[UrlState | None]:
        return [states.get(url_id) for _, url_id in places]

    return states_of_pages(leases, lambda url: url.removeprefix(SITE), read, lambda: began)


def test_only_pages_that_have_ended_by_an_answer_are_looked_up() -> None:
    states = {
        "good": _state("fetched", 200),
        "queued": _state("fetched", 200, is_queued=True),
        "unasked": _state("dropped:scope", 0),
    }
    leases = [_lease(name, Request(f"{SITE}{name}", target=True)) for name in (*states, "unknown")]
    leases.append(_lease("page", Request(f"{SITE}good")))
    assert _pages(leases, states, 99) == {"good": states["good"]}


@pytest.mark.parametrize(("began", "is_known"), [(1, True), (2, True), (3, False)])
def test_a_target_that_is_visited_again_takes_nothing_from_an_earlier_visit(began: int, is_known: bool) -> None:
    """The sweep may not have come to the page yet, which was last asked at 2."""
    states = {"good": _state("fetched", 200)}
    lease = _lease("again", Request(f"{SITE}good", target=True, revisit=True))
    assert bool(_pages([lease], states, began)) == is_known


def _lease(token: str, request: Request) -> Lease:
    host, raw = request.place()
    return Lease(token, "P", host, raw, 0, 0, "", 0.0)
