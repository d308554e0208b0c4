"""What answers mean for their URLs and hosts: tables of cases, and promises that hold for any answer."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler.fetch.fetcher import FailureKind, FetchError, Headers, Response
from crawler.frontier.messages import Event
from crawler.policy import politeness
from crawler.policy.politeness import judge, judge_robots, retry_after
from crawler.record import OUTCOMES, Charge, HostEvent

URL = "http://example.org/"


def _answer(status: int, *headers: tuple[str, str], skipped: bool = False) -> Response:
    return Response(URL, status, Headers(headers), skipped=skipped)


def _failure(kind: FailureKind, *, sent: bool = True) -> FetchError:
    return FetchError(URL, kind, "why", sent=sent)


def test_events_are_those_of_the_frontier() -> None:
    assert get_args(HostEvent) == get_args(Event)


@pytest.mark.parametrize(
    ("status", "outcome", "event"),
    [
        (200, "fetched", "ok"),
        (204, "fetched", "ok"),
        (299, "fetched", "ok"),
        (304, "failed:http", "ok"),
        (300, "failed:http", "ok"),
        (400, "denied", "ok"),
        (401, "denied", "ok"),
        (403, "denied", "ok"),
        (404, "missing", "ok"),
        (410, "missing", "ok"),
        (451, "denied", "ok"),
        (501, "failed:http", "ok"),
        (505, "failed:http", "ok"),
        (600, "failed:http", "ok"),
        (99, "failed:http", "ok"),
    ],
)
def test_final_at_the_first_try(status: int, outcome: str, event: str) -> None:
    verdict = judge(_answer(status), 0, 2, 0.5)
    assert (verdict.outcome, verdict.event, verdict.charge) == (outcome, event, Charge.NONE)
    assert bool(verdict.error) == outcome.startswith("failed")


@pytest.mark.parametrize("status", sorted(politeness.REDIRECTS))
def test_redirects_need_a_location(status: int) -> None:
    assert judge(_answer(status, ("Location", "/x")), 0, 2, 0.5).outcome == "redirected"
    assert judge(_answer(status), 0, 2, 0.5).outcome == "failed:http"
    assert judge(_answer(status, ("Location", "")), 0, 2, 0.5).outcome == "failed:http"


def test_a_body_that_was_not_read_is_dropped() -> None:
    assert judge(_answer(200, skipped=True), 0, 2, 0.5).outcome == "dropped:type"
    assert judge(_answer(404, skipped=True), 0, 2, 0.5).outcome == "missing"


@pytest.mark.parametrize(
    ("result", "trouble"),
    [
        (_answer(200), ""),
        (_answer(403), ""),
        (_answer(404), ""),
        (_answer(304), ""),
        (_answer(429), "http 429 Too Many Requests"),
        (_answer(503), "http 503 Service Unavailable"),
        (_answer(500), "http 500 Internal Server Error"),
        (_answer(501), "http 501 Not Implemented"),
        (_answer(999), "http 999"),
        (_failure("timeout"), "timeout why"),
        (_failure("connect", sent=False), "connect why"),
        (_failure("protocol"), "http why"),
        (_failure("dns", sent=False), "dns why"),
        (_failure("tls"), "tls why"),
        (_failure("refused", sent=False), ""),
        (_failure("expired", sent=False), ""),
    ],
    ids=lambda value: getattr(value, "kind", None) or str(getattr(value, "status", value)),
)
@pytest.mark.parametrize("tried", [0, 14])
def test_what_is_wrong_with_a_host_is_known_at_the_first_try(
    result: Response | FetchError, trouble: str, tried: int
) -> None:
    assert judge(result, tried, 2, 0.5).trouble == trouble


@pytest.mark.parametrize(
    ("result", "trouble"),
    [
        (_answer(200), ""),
        (_answer(403), ""),
        (_answer(404), ""),
        (_answer(429), "robots robots.txt answered 429 Too Many Requests"),
        (_answer(500), "robots robots.txt answered 500 Internal Server Error"),
        (_failure("connect", sent=False), "connect why"),
        (_failure("protocol"), "http why"),
        (_failure("tls"), "tls why"),
        (_failure("expired", sent=False), ""),
    ],
    ids=lambda value: getattr(value, "kind", None) or str(getattr(value, "status", value)),
)
def test_a_robots_txt_that_cannot_be_read_is_a_trouble_of_its_host(result: Response | FetchError, trouble: str) -> None:
    assert judge_robots(result, 0).trouble == trouble


@pytest.mark.parametrize(
    ("result", "event", "tries", "outcome"),
    [
        (_answer(500), "ok", 3, "failed:http"),
        (_answer(502), "ok", 3, "failed:http"),
        (_answer(504), "ok", 3, "failed:http"),
        (_answer(408), "ok", 3, "failed:http"),
        (_answer(425), "ok", 3, "failed:http"),
        (_answer(530), "ok", 3, "failed:http"),
        (_answer(429), "slow", 9, "failed:http"),
        (_answer(503), "slow", 9, "failed:http"),
        (_answer(999), "slow", 9, "failed:http"),
        (_failure("connect", sent=False), "fail", 3, "failed:connect"),
        (_failure("connect"), "stall", 3, "failed:connect"),
        (_failure("timeout", sent=False), "fail", 3, "failed:timeout"),
        (_failure("timeout"), "stall", 3, "failed:timeout"),
        (_failure("protocol"), "stall", 3, "failed:http"),
        (_failure("dns", sent=False), "dead", 2, "failed:dns"),
        (_failure("tls"), "none", 1, "failed:tls"),
        (_failure("refused", sent=False), "unsent", 1, "failed:connect"),
    ],
    ids=lambda value: getattr(value, "kind", None) or str(getattr(value, "status", value)),
)
def test_tries_until_it_is_final(result: Response | FetchError, event: str, tries: int, outcome: str) -> None:
    """With two retries: how many tries there are, what each means for the host, and how it ends."""
    verdicts = [judge(result, tried, 2, 0.5) for tried in range(tries)]
    assert [verdict.outcome for verdict in verdicts] == [None] * (tries - 1) + [outcome]
    assert [verdict.charge for verdict in verdicts] == [Charge.RETRY] * (tries - 1) + [Charge.NONE]
    assert {verdict.event for verdict in verdicts} == {event}
    assert all(verdict.error for verdict in verdicts)


def test_what_was_never_sent_costs_nothing() -> None:
    verdict = judge(_failure("expired", sent=False), 14, 2, 0.5)
    assert (verdict.outcome, verdict.event, verdict.charge, verdict.rest) == (None, "none", Charge.NONE, 0.0)


def test_back_off_doubles_with_jitter_up_to_a_minute() -> None:
    alone = [judge(_answer(500), tried, 14, 0.5).alone for tried in range(10)]
    assert alone == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert judge(_answer(500), 0, 2, 0.0).alone == 0.75
    assert judge(_answer(500), 0, 2, 1.0).alone == 1.25


def test_the_rest_that_a_host_asks_for() -> None:
    """Counts for the host, for the URL if it is longer than its own back-off, and only with a busy answer."""
    busy = judge(_answer(429, ("Retry-After", "30")), 0, 2, 0.5)
    assert (busy.rest, busy.alone) == (30, 30)
    assert judge(_answer(503, ("Retry-After", "1")), 5, 2, 0.5).alone == 32
    assert judge(_answer(500, ("Retry-After", "30")), 0, 2, 0.5).rest == 0
    given_up = judge(_answer(429, ("Retry-After", "30")), 8, 2, 0.5)
    assert (given_up.outcome, given_up.rest) == ("failed:http", 30)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "3601"}, 3600),
        ({"Retry-After": "9" * 5000}, 3600),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "1.5"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "٣"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 -0000", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT", "Date": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT", "Date": "Wed, 21 Oct 2015 07:28:30 GMT"}, 3600),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(Headers(list(headers.items()))) == seconds


@given(st.text(max_size=60), st.text(max_size=60))
@example("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "Mon, 01 Jan 2024 00:00:00 GMT")
@example("Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359")
def test_any_retry_after_is_read(value: str, date: str) -> None:
    assert 0 <= retry_after(Headers([("Retry-After", value), ("Date", date)])) <= politeness.MAX_RETRY_AFTER


RESULTS = st.one_of(
    st.builds(_answer, st.integers(0, 1200), skipped=st.booleans()),
    st.builds(_failure, st.sampled_from(get_args(FailureKind)), sent=st.booleans()),
)


@given(RESULTS, st.integers(0, 15), st.integers(0, 14), st.floats(0, 1))
def test_every_url_ends(result: Response | FetchError, tried: int, retries: int, jitter: float) -> None:
    """Whatever the answer: a known outcome, or a retry that is charged, unless nothing was sent."""
    verdict = judge(result, tried, retries, jitter)
    assert verdict.outcome is None or verdict.outcome in OUTCOMES
    if verdict.outcome is None and not (isinstance(result, FetchError) and result.kind == "expired"):
        assert verdict.charge == Charge.RETRY
        assert tried < max(retries, politeness.PATIENT_RETRIES)
    assert 0 <= verdict.alone <= politeness.RETRY_MOST * 1.25
    assert verdict.rest >= 0


@pytest.mark.parametrize(
    ("result", "hops", "step", "event"),
    [
        (_answer(200), 0, "parse", "ok"),
        (_answer(206), 0, "parse", "ok"),
        (_answer(404), 0, "allow", "ok"),
        (_answer(401), 0, "allow", "ok"),
        (_answer(410), 5, "allow", "ok"),
        (_answer(304), 0, "allow", "ok"),
        (_answer(301, ("Location", "/r")), 0, "follow", "ok"),
        (_answer(308, ("Location", "/r")), 4, "follow", "ok"),
        (_answer(301, ("Location", "/r")), 5, "allow", "ok"),
        (_answer(301), 0, "allow", "ok"),
        (_answer(429), 0, "fail", "robots"),
        (_answer(500), 0, "fail", "robots"),
        (_answer(503), 0, "fail", "robots"),
        (_answer(999), 0, "fail", "robots"),
        (_answer(100), 0, "fail", "robots"),
        (_failure("timeout"), 0, "fail", "robots"),
        (_failure("connect", sent=False), 0, "fail", "robots"),
        (_failure("protocol"), 0, "fail", "robots"),
        (_failure("expired", sent=False), 0, "fail", "none"),
        (_failure("dns", sent=False), 0, "fail", "dead"),
        (_failure("tls"), 0, "fail", "untrusted"),
        (_failure("refused", sent=False), 0, "allow", "none"),
    ],
    ids=lambda value: getattr(value, "kind", None) or str(getattr(value, "status", value)),
)
def test_robots_txt(result: Response | FetchError, hops: int, step: str, event: str) -> None:
    """RFC 9309 section 2.3.1: 4xx allows all, 5xx and silence nothing, five redirects are followed."""
    verdict = judge_robots(result, hops)
    assert (verdict.step, verdict.event) == (step, event)
