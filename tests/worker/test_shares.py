"""What a worker asks for beside what is in flight, what gives way, and whose results wait."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from crawler.frontier.messages import Lease
from crawler.worker.shares import GRACE, HEAVY, MIN_PATIENCE, CpuShares, giving_way, room, shares

NOW = 1000.0


@dataclass(frozen=True)
class Flight:
    lease: Lease
    began: float


def downloads(n: int, standing: Any, age: float = 0.0, host: str = "") -> list[Flight]:
    """So many, each of a site of its own unless *host* is named."""
    return [
        Flight(
            Lease(f"{standing}{age}:{k}", "P", host or f"{standing}{k}.example", b"", 0, 0, "", 0.0, standing),
            NOW - age,
        )
        for k in range(n)
    ]


some = st.lists(st.tuples(st.sampled_from(("proven", "new", "failing")), st.sampled_from((0.0, 5.0))), max_size=200)


@settings(deadline=None)
@given(st.integers(4, 80), some)
def test_stuck_transfers_leave_three_quarters_to_proven_hosts(concurrency: int, kinds: list[tuple[str, float]]) -> None:
    stuck = [x for standing, age in kinds for x in downloads(1, standing, age) if standing == "failing" or age]
    stuck = [x for x in stuck if x.lease.standing != "proven"][: room(concurrency) - concurrency]
    assert shares(concurrency, stuck, NOW).want >= min(concurrency - concurrency // 4, 256)


@settings(deadline=None)
@given(st.integers(1, 80), some)
def test_never_more_are_asked_for_than_there_is_room(concurrency: int, kinds: list[tuple[str, float]]) -> None:
    all_of = [x for standing, age in kinds for x in downloads(1, standing, age)][: room(concurrency)]
    asked = shares(concurrency, all_of, NOW)
    assert min(asked.want, asked.new, asked.most_new, asked.failing, asked.most) >= 0
    assert asked.new <= asked.want
    assert len(all_of) + asked.want + asked.failing <= room(concurrency)
    assert len(all_of) + asked.most <= max(concurrency, len(all_of))


@settings(deadline=None)
@given(st.integers(1, 80), st.integers(0, 80))
def test_quick_transfers_are_as_many_as_was_said(concurrency: int, n: int) -> None:
    quick = downloads(n, "proven") if n <= concurrency else []
    asked = shares(concurrency, quick, NOW)
    assert concurrency - len(quick) - 1 <= asked.want <= concurrency - len(quick)


@pytest.mark.parametrize("concurrency", [1, 2, 3])
def test_few_transfers_are_never_exceeded(concurrency: int) -> None:
    assert room(concurrency) == concurrency
    asked = shares(concurrency, downloads(concurrency, "new", 9.0), NOW)
    assert not asked
    assert giving_way(concurrency, downloads(concurrency, "new", 9.0), NOW) == []


def test_new_hosts_keep_a_share_beside_stuck_ones() -> None:
    assert shares(64, downloads(80, "new", GRACE + 0.1), NOW).new > 0


def test_new_hosts_cannot_fill_what_is_kept_for_proven_ones() -> None:
    full = downloads(room(64) - 48, "new", GRACE + 0.1)
    asked = shares(64, full, NOW)
    assert (asked.want, asked.most_new, asked.failing, asked.most) == (48, 0, 0, 0)


def test_the_oldest_new_ones_give_way_where_the_room_is_full() -> None:
    old, older = downloads(100, "new", MIN_PATIENCE + 1), downloads(4, "new", MIN_PATIENCE + 2)
    failing, young = downloads(30, "failing", 60), downloads(10, "new")
    gone = giving_way(64, [*old, *older, *failing, *young], NOW)
    assert gone[:4] == [x.lease.token for x in older]
    assert len(gone) == 16
    assert set(gone) <= {x.lease.token for x in (*old, *older)}


def test_nothing_gives_way_while_there_is_room_or_patience() -> None:
    assert giving_way(64, downloads(60, "new", 60), NOW) == []
    assert giving_way(64, downloads(144, "new", MIN_PATIENCE - 0.1), NOW) == []


def test_sites_with_most_leases_are_named() -> None:
    mixed = [*downloads(3, "proven", host="n1.site.example"), *downloads(2, "failing", host="n2.site.example")]
    asked = shares(64, mixed, NOW)
    assert (asked.half, list(asked.sites)) == (32, [("site.example", 5, 3)])


# -- whose results wait ------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [NOW]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_results_of_a_site_that_took_long_wait_while_others_are_at_work(clock: list[float]) -> None:
    labour = CpuShares()
    labour.note("a.heavy.example", 10 * HEAVY)
    labour.note("good.example", 0.001)
    assert labour.waits("heavy.example", clock[0] + 1)
    assert not labour.waits("good.example", clock[0] + 1)
    labour.note("good.example", 0.001)
    clock[0] += 20 * 10 * HEAVY
    assert not labour.waits("heavy.example", clock[0] + 0.1)


def test_they_do_not_wait_where_nobody_else_is_at_work(clock: list[float]) -> None:
    labour = CpuShares()
    labour.note("a.heavy.example", 10 * HEAVY)
    labour.note("b.heavy.example", 10 * HEAVY)
    assert not labour.waits("heavy.example", clock[0])


def test_what_took_little_makes_nobody_wait(clock: list[float]) -> None:
    labour = CpuShares()
    labour.note("a.example", HEAVY / 2)
    assert not labour
