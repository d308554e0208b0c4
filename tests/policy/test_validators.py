"""Which validators are used, and when a visit has no conditions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from crawler.fetch.caching import date_text
from crawler.fetch.fetcher import Headers, Response
from crawler.policy.validators import (
    FIRST_WEB_PAGE,
    FULL_AFTER,
    FULL_EVERY,
    NO_VALIDATORS,
    Validators,
    conditions,
    conditions_of,
    renewed,
    validators_of,
)
from crawler.url_state import UrlState

NOW = 1_800_000_000
URL = "http://a.example/"


def answer(*pairs: tuple[str, str], status: int = 200, **more: Any) -> Response:
    return Response(URL, status, Headers(pairs), b"x", **more)


def state(**more: Any) -> UrlState:
    values = {"digest": 7, "etag": '"1"', "last_modified": NOW - 100, **more}
    return UrlState(url=URL, outcome="fetched", first_seen=NOW, checked_at=NOW, **values)


def modified(seconds: int) -> tuple[str, str]:
    return "Last-Modified", date_text(seconds)


def test_both_validators_of_an_answer_are_kept() -> None:
    found = answer(("ETag", 'W/"1"'), modified(NOW - 50), ("Date", date_text(NOW)))
    assert validators_of(found, NOW) == ('W/"1"', NOW - 50)


@pytest.mark.parametrize("more", [{"truncated": True}, {"skipped": True}, {"status": 404}, {"status": 304}])
def test_an_answer_that_is_not_whole_has_none(more: dict[str, Any]) -> None:
    assert validators_of(answer(("ETag", '"1"'), modified(NOW - 50), **more), NOW) == NO_VALIDATORS


@pytest.mark.parametrize("vary", ["*", "Accept, *", "accept , * "])
def test_an_answer_that_depends_on_more_than_its_request_has_none(vary: str) -> None:
    assert validators_of(answer(("ETag", '"1"'), ("Vary", vary)), NOW) == NO_VALIDATORS
    assert renewed(Validators('"1"', 5), Headers([("Vary", vary)]), NOW) == NO_VALIDATORS
    assert validators_of(answer(("ETag", '"1"'), ("Vary", "Accept-Encoding")), NOW).etag == '"1"'


@pytest.mark.parametrize("since_date", [0, 1, 3600])
def test_a_page_that_was_made_for_the_request_has_no_date(since_date: int) -> None:
    """Last-Modified equal to Date, or later: within the second it may change again (RFC 9110 section 8.8.2.2)."""
    for date in (NOW, NOW - 7200, NOW + 7200):
        found = answer(modified(date + since_date), ("Date", date_text(date)))
        assert validators_of(found, NOW) == NO_VALIDATORS


def test_without_a_date_it_must_be_a_minute_old() -> None:
    """The answer may have taken a while."""
    assert validators_of(answer(modified(NOW - 60)), NOW) == NO_VALIDATORS
    assert validators_of(answer(modified(NOW - 61)), NOW) == (None, NOW - 61)
    assert validators_of(answer(modified(NOW - 61), ("Date", "soon")), NOW) == (None, NOW - 61)


def test_a_date_far_in_the_future_is_no_validator_whatever_the_server_calls_today() -> None:
    far = NOW + 400 * 86_400
    assert validators_of(answer(modified(far), ("Date", date_text(far + 60))), NOW) == NO_VALIDATORS


@pytest.mark.parametrize("text", ["Thu, 01 Jan 1970 00:00:01 GMT", "Sat, 26 Oct 1985 08:15:00 GMT", "yesterday", ""])
def test_a_constant_of_the_software_is_no_validator(text: str) -> None:
    assert validators_of(answer(("Last-Modified", text)), NOW) == NO_VALIDATORS


def test_dates_that_contradict_each_other_are_no_validator() -> None:
    assert validators_of(answer(modified(NOW - 5), modified(NOW - 9)), NOW) == NO_VALIDATORS
    assert validators_of(answer(modified(FIRST_WEB_PAGE), modified(FIRST_WEB_PAGE)), NOW) == (None, FIRST_WEB_PAGE)


def test_conditions_are_what_was_kept() -> None:
    both = Validators('W/"a,b"', 784_111_777)
    assert conditions(both) == (
        ("If-None-Match", 'W/"a,b"'),
        ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    )
    assert conditions(NO_VALIDATORS) == ()


@pytest.mark.parametrize(
    ("etag", "sent"),
    [
        ('"1-gzip"', '"1-gzip", "1"'),
        ('W/"1-br"', 'W/"1-br", W/"1"'),
        ('"gzip"', '"gzip"'),
        ('"-gzip-"', '"-gzip-"'),
    ],
)
def test_apache_recognises_its_tag_without_the_compression_alone(etag: str, sent: str) -> None:
    assert conditions(Validators(etag)) == (("If-None-Match", sent),)


@pytest.mark.parametrize("etag", ["*", '"1", *', '"1"\r\nEvil: 1', "1"])
def test_a_tag_that_something_wrote_into_redis_is_not_sent(etag: str) -> None:
    assert conditions(Validators(etag)) == ()


def test_a_304_renews_what_it_names() -> None:
    before = Validators('"1"', 784_111_777)
    assert renewed(before, Headers(), NOW) == before
    assert renewed(before, Headers([("ETag", 'W/"2"')]), NOW) == ('W/"2"', 784_111_777)
    assert renewed(before, Headers([modified(NOW - 99), ("ETag", "odd")]), NOW) == ('"1"', NOW - 99)


def test_a_first_visit_and_one_without_a_good_answer_have_no_conditions() -> None:
    assert conditions_of(None, "3") == ()
    assert conditions_of(state(digest=0), "3") == ()
    assert conditions_of(state(etag=None, last_modified=None), "3") == ()
    assert [name for name, _ in conditions_of(state(), "3")] == ["If-None-Match", "If-Modified-Since"]


def test_a_page_that_is_gone_is_requested_whole() -> None:
    assert conditions_of(state(is_gone=True), "3") == ()


def test_every_tenth_visit_is_whole_but_no_early_one_and_not_of_all_pages_at_once() -> None:
    whole = {
        url_id: [visits for visits in range(1, 41) if not conditions_of(state(visits=visits), str(url_id))]
        for url_id in range(FULL_EVERY)
    }
    assert all(len(visits) in (3, 4) and min(visits) >= FULL_AFTER for visits in whole.values())
    assert all(b - a == FULL_EVERY for visits in whole.values() for a, b in pairwise(visits))
    assert {min(visits) for visits in whole.values()} == set(range(FULL_AFTER, FULL_AFTER + FULL_EVERY))
