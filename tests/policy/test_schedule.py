"""When pages are due: the interval adapts, hints and lastmod count within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.policy.schedule import contradiction, due_at, is_due, next_interval
from crawler.record import OUTCOMES
from crawler.settings import Settings
from crawler.url_state import UrlState

DAY = 86_400
NOW = 1_800_000_000 // DAY * DAY
WEEKLY = Settings()


@dataclass(frozen=True)
class Bounds:
    interval: float
    min_interval: float
    max_interval: float


INTERVALS = st.builds(Bounds, st.floats(1, 1e8, width=32), st.floats(1, 1e8, width=32), st.floats(1, 1e8, width=32))
FRESHNESS = st.none() | st.integers(0, 1 << 31)


def state(checked_at: int = NOW, **more: Any) -> UrlState:
    values: dict[str, Any] = {"outcome": "fetched", **more}
    return UrlState(url="http://a.example/", first_seen=NOW, checked_at=checked_at, **values)


def test_an_interval_is_halved_by_a_change_and_grows_by_half_without() -> None:
    assert next_interval(0, True, WEEKLY) == 3.5 * DAY
    assert next_interval(0, False, WEEKLY) == 10.5 * DAY
    assert next_interval(4 * DAY, True, WEEKLY) == 2 * DAY
    assert next_interval(4 * DAY, False, WEEKLY) == 6 * DAY


def test_it_stays_within_the_settings() -> None:
    assert next_interval(3600, True, WEEKLY) == 3600
    assert next_interval(80 * DAY, False, WEEKLY) == 90 * DAY
    assert next_interval(1000 * DAY, True, WEEKLY) == 45 * DAY, "settings were changed since"


@pytest.mark.parametrize(
    ("freshness", "days"),
    [
        (None, 6),
        (0, 6),
        (60, 6),
        (3 * DAY - 1, 6),
        (3 * DAY, 3),
        (5 * DAY, 5),
        (8 * DAY, 8),
        (12 * DAY, 12),
        (1 << 31, 12),
    ],
)
def test_a_hint_counts_between_half_and_twice(freshness: int | None, days: int) -> None:
    assert next_interval(4 * DAY, False, WEEKLY, freshness) == days * DAY


def test_a_hint_that_a_change_has_refuted_does_not_count() -> None:
    assert next_interval(4 * DAY, True, WEEKLY, 1 << 31) == 2 * DAY


@given(st.integers(0, 1 << 32), st.booleans(), INTERVALS, FRESHNESS)
def test_no_input_leads_out_of_bounds(before: int, changed: bool, settings: Bounds, freshness: int | None) -> None:
    found = next_interval(before, changed, settings, freshness)
    lowest = min(settings.min_interval, settings.max_interval)
    assert max(lowest - 1, 1) <= found <= settings.max_interval + 1


@given(st.integers(1, 1 << 26), st.booleans(), FRESHNESS)
def test_a_hint_changes_an_interval_by_at_most_half_and_twice(
    before: int, changed: bool, freshness: int | None
) -> None:
    plain, hinted = (next_interval(before, changed, WEEKLY, hint) for hint in (None, freshness))
    assert plain / 2 - 1 <= hinted <= plain * 2 + 1


@given(st.lists(st.booleans(), max_size=60), INTERVALS)
def test_more_changes_never_lead_to_a_longer_interval(found: list[bool], settings: Bounds) -> None:
    fewer = more = 0
    for changed in found:
        fewer = next_interval(fewer, False, settings)
        more = next_interval(more, changed, settings)
        assert more <= fewer


def test_a_page_is_due_when_its_interval_is_over() -> None:
    assert due_at(state(), WEEKLY) == NOW + 7 * DAY
    assert [is_due(state(), NOW + n * DAY, WEEKLY) for n in (0, 6, 7, 8)] == [False, False, True, True]
    assert is_due(state(interval=DAY), NOW + DAY, WEEKLY)


def test_settings_that_were_changed_count_at_once() -> None:
    assert not is_due(state(interval=DAY), NOW + DAY, Bounds(7 * DAY, 2 * DAY, 90 * DAY))
    assert is_due(state(interval=9 * DAY), NOW + 3 * DAY, Bounds(DAY, 3600, 3 * DAY))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_the_crawl_itself_refuses_is_never_due(outcome: str) -> None:
    refused = outcome in ("dropped:trap", "dropped:scope", "dropped:limit", "failed:bad-entry")
    assert is_due(state(outcome=outcome), NOW + 365 * DAY, WEEKLY, NOW + 364 * DAY) is not refused


def test_what_is_queued_is_not_due() -> None:
    assert not is_due(state(is_queued=True), NOW + 365 * DAY, WEEKLY, NOW + 364 * DAY)


def test_a_later_lastmod_makes_a_page_due() -> None:
    now = NOW + DAY
    checked = state(NOW + 40_000)
    assert is_due(checked, now, WEEKLY, NOW + 40_001)
    assert not is_due(checked, now, WEEKLY, NOW + 40_000)
    assert not is_due(checked, now, WEEKLY, NOW - DAY)


def test_a_lastmod_without_a_time_counts_until_the_end_of_its_day() -> None:
    assert is_due(state(NOW + 40_000), NOW + DAY, WEEKLY, NOW)
    assert not is_due(state(NOW + DAY + 5), NOW + 2 * DAY, WEEKLY, NOW)


def test_a_lastmod_makes_no_page_due_before_the_shortest_interval() -> None:
    checked = NOW + 100
    assert not is_due(state(checked), checked + 3599, WEEKLY, checked + 1)
    assert is_due(state(checked), checked + 3600, WEEKLY, checked + 1)


def test_a_lastmod_in_the_future_does_not_count() -> None:
    assert not is_due(state(), NOW + 2 * DAY, WEEKLY, NOW + 4 * DAY)


def test_a_state_from_the_future_is_due() -> None:
    assert is_due(state(NOW + 400 * DAY), NOW, WEEKLY)
    assert not is_due(state(NOW + 60), NOW, WEEKLY), "clocks of two machines differ"


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (Bounds(600, 60, 6000), ""),
        (Bounds(600, 600, 600), ""),
        (Bounds(600, 3600, 36_000), "interval is shorter than min-interval, so it counts as 1h"),
        (Bounds(600, 10, 60), "interval is longer than max-interval, so it counts as 1m"),
        (Bounds(600, 60, 10), "min-interval is longer than max-interval, so each page is visited every 10s"),
    ],
)
def test_settings_that_do_not_count_are_named(bounds: Bounds, words: str) -> None:
    assert contradiction(bounds) == words
    state = UrlState(url="http://a.example/", outcome="fetched", first_seen=NOW, checked_at=NOW)
    at = due_at(state, bounds)
    assert at is not None
    assert (at - NOW == bounds.interval) is (words == "")
