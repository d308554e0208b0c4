"""What a worker believes of failures: a table of stories, and promises that hold for any."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch.fetcher import FailureKind, FetchError, FetchResult, Headers, Lack, Response
from crawler.policy.machine_health import MAX_PAUSE, NAMES_IN_A_ROW, Fate, Health
from crawler.url import is_address

URL: Final = "http://a.example/"
T: Final = 1000.0
"""Long after the worker began."""


def failed(kind: FailureKind, lack: Lack = "", *, at: float = T, took: float = 0.0, sent: bool = False) -> FetchError:
    return FetchError(URL, kind, "why", sent, took, at, lack)


def answered(at: float = T) -> Response:
    return Response(URL, 200, Headers(), ended=at)


def judge(
    health: Health, name: str, result: FetchResult, now: float = T, known: tuple[tuple[str, int], ...] = ()
) -> Fate:
    return health.judge(name, result, now, alone=True, known=known)


@pytest.fixture
def health() -> Health:
    return Health(0.0)


@pytest.mark.parametrize("lack", ["proxy", "shortage"])
def test_what_only_this_machine_can_lack_is_never_a_hosts(health: Health, lack: Lack) -> None:
    judge(health, "a", answered())
    assert judge(health, "b", failed("connect", lack)) == "give back"
    assert health.trouble == lack


@pytest.mark.parametrize("kind", ["refused", "expired", "tls", "protocol"])
def test_what_says_nothing_of_this_machine_is_believed(health: Health, kind: FailureKind) -> None:
    assert judge(health, "a", failed(kind)) == "believe"
    assert health.trouble == ""


@pytest.mark.parametrize("well", [True, False])
def test_where_no_name_is_known_it_counts_whether_a_name_server_answers_at_all(health: Health, well: bool) -> None:
    assert judge(health, "a", failed("dns", "resolver")) == "wait"
    assert health.question is not None and health.question.names == ()
    health.canary_said("resolver", well, T)
    assert judge(health, "a", failed("dns", "resolver")) == ("believe" if well else "give back")
    assert health.words == ("" if well else "cannot resolve any name: no name server answers")


def test_a_name_server_that_denies_a_name_is_believed_where_no_name_was_ever_known(health: Health) -> None:
    assert [judge(health, name, failed("dns")) for name in "abcdefgh"] == ["believe"] * 8


@pytest.mark.parametrize("lack", ["", "resolver"])
@pytest.mark.parametrize("well", [True, False])
@pytest.mark.parametrize("whose", ["ours", "others"])
def test_a_canary_decides_whose_fault_a_name_is(health: Health, lack: Lack, well: bool, whose: str) -> None:
    known = (("c.example", 80),) if whose == "others" else ()
    if whose == "ours":
        health.remember("c.example", "192.0.2.1", 80)
    assert judge(health, "a", failed("dns", lack), known=known) == "wait"
    question = health.question
    assert question is not None and question.names == ("c.example",)
    health.canary_said("resolver", well, T + 1)
    assert judge(health, "a", failed("dns", lack), T + 1, known) == ("believe" if well else "give back")
    assert bool(health.trouble) != well


def test_one_host_that_refuses_is_to_blame_itself(health: Health) -> None:
    assert [judge(health, "a", failed("connect", at=T + n), T + n) for n in range(20)] == ["believe"] * 20


def test_many_names_in_a_row_that_cannot_be_connected_to_are_this_machines_trouble(health: Health) -> None:
    fates = [judge(health, str(n), failed("connect")) for n in range(NAMES_IN_A_ROW + 2)]
    assert fates == ["believe"] * (NAMES_IN_A_ROW - 1) + ["give back"] * 3
    assert health.words == "cannot connect to any host"


def test_failures_wait_for_others_that_are_in_flight_but_not_for_long(health: Health) -> None:
    error = failed("timeout")
    assert health.judge("a", error, T, alone=False) == "wait"
    assert health.judge("a", error, T + 1, alone=False) == "wait"
    assert health.judge("a", error, T + 2, alone=False) == "believe"


def test_a_connection_while_another_failed_shows_whose_fault_it_was(health: Health) -> None:
    judge(health, "z", answered(T + 5), T + 5)
    assert [judge(health, str(n), failed("timeout", at=T + 10, took=10.0), T + 10) for n in range(9)] == ["believe"] * 9


@pytest.mark.parametrize("lack", ["", "network"])
@pytest.mark.parametrize("whose", ["ours", "others"])
def test_an_address_that_answered_before_decides_about_the_last_hosts_of_a_crawl(
    health: Health, whose: str, lack: Lack
) -> None:
    """It has answered this worker, or the crawl before this worker began."""
    known = (("192.0.2.1", 443),) if whose == "others" else ()
    if whose == "ours":
        health.remember("c.example", "192.0.2.1", 443)
        judge(health, "c.example", answered())
    later = T + 100
    assert judge(health, "a", failed("connect", lack, at=later), later, known) == "wait"
    assert health.question is not None and health.question.addresses == [("192.0.2.1", 443)]
    health.canary_said("network", True, later)
    fates = [judge(health, str(n), failed("connect", lack, at=later), later, known) for n in range(9)]
    assert fates == ["believe"] * 9
    health.canary_said("network", False, later + 10)
    assert judge(health, "a", failed("connect", lack, at=later + 10), later + 10, known) == "give back"


def test_no_route_is_this_machines_trouble_until_something_connects(health: Health) -> None:
    assert judge(health, "a", failed("connect", "network")) == "give back"
    judge(health, "b", answered())
    assert judge(health, "six", failed("connect", "network")) == "believe"


def test_looks_come_more_and_more_seldom_until_something_answers(health: Health) -> None:
    now, pauses = T, []
    for _ in range(8):
        health.canary_said("resolver", False, now)
        judge(health, "a", failed("dns", "resolver", at=now), now)
        pauses.append(health.again_at - now)
        now = health.again_at
    assert pauses == [1, 2, 4, 8, 16, MAX_PAUSE, MAX_PAUSE, MAX_PAUSE]
    assert (health.trouble, health.since) == ("resolver", T)
    judge(health, "a", answered(now), now)
    assert health.trouble == ""


def test_failures_of_one_batch_do_not_lengthen_the_pause(health: Health) -> None:
    health.canary_said("resolver", False, T)
    for _ in range(64):
        judge(health, "a", failed("dns", "resolver"))
    assert health.again_at == T + 1


@pytest.mark.parametrize("kind", ["tls", "protocol", "timeout", "connect"])
def test_what_broke_after_it_was_sent_had_connected(health: Health, kind: FailureKind) -> None:
    judge(health, "a", failed("connect", "proxy"))
    assert judge(health, "a", failed(kind, sent=True)) == "believe"
    assert health.trouble == ""


_failures = st.builds(
    failed,
    st.sampled_from(["dns", "connect", "timeout", "tls", "protocol", "refused", "expired"]),
    st.sampled_from(["", "resolver", "network"]),
    sent=st.booleans(),
)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.one_of(_failures, st.builds(answered)))))
def test_an_answer_ends_any_trouble_and_nothing_is_given_back_without_one(story: list[tuple[str, FetchResult]]) -> None:
    health = Health(0.0)
    for name, result in story:
        fate = judge(health, name, result)
        if isinstance(result, Response):
            assert (fate, health.trouble) == ("believe", "")
        assert bool(health.trouble) or fate != "give back"


@pytest.mark.parametrize(
    ("name", "address"),
    [("127.0.0.1", True), ("[::1]", True), ("::1", True), ("a1.example", False), ("localhost", False), ("", False)],
)
def test_addresses_are_told_from_names(name: str, address: bool) -> None:
    assert is_address(name) == address
