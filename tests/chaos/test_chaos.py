"""Chaos for a quarter of a minute, and that its proof can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chaos.events import KINDS, Event
from tests.chaos.faults import FAULTS, put_in
from tests.chaos.graph import ROBOTS, Graph
from tests.chaos.observer import Held, RanOut
from tests.chaos.proof import CHECKS, Found, Reported, Verdict, prove, prove_again
from tests.chaos.rounds import Options, play
from tests.chaos.site import HUNG_UP, Hit, Lag, read_log

pytestmark = pytest.mark.slow

SHORT: Final = Options(
    hosts=8,
    pages=160,
    kinds=dict.fromkeys(
        ("worker-kill", "worker-freeze", "pool-kill", "redis-kill", "power-cut", "net-reset", "net-lost-replies"), 1
    ),
    quiet=(0.2, 0.8),
    visits=1,  # a sweep does not come to its end where Redis restarts each second
)


@pytest.mark.timeout(240)  # a busy machine may take long; a crawl that does not end says so by itself
def test_nothing_is_lost() -> None:
    """Two pools of two workers; kills, freezes, a Redis that dies and loses its last second, lost replies."""
    played = play("test", "everysec", SHORT)
    assert played.verdict.lines() == []
    assert played.events.total() >= 4


# -- the graph ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_site() -> None:
    one, other, another = Graph(3, 9, 300), Graph(3, 9, 300), Graph(4, 9, 300)
    assert one.expected() == other.expected() != another.expected()
    assert [one.answer(node) for node in one.nodes] == [other.answer(node) for node in other.nodes]
    assert len(one.expected()) == 300
    assert {expected.outcome for expected in one.expected().values()} == {
        *("fetched", "redirected", "missing", "dropped:robots", "dropped:type", "dropped:noindex")
    }


def test_the_site_of_the_second_visit_differs_as_planned() -> None:
    graph = Graph(3, 9, 900)
    before = {graph.url(node): graph.answer(node) for node in graph.nodes}
    changes = graph.changes()
    assert set(changes.values()) == {"changed", "boilerplate", "gone", "moved", "new"}
    graph.visit = 2
    for node in graph.nodes:
        here = graph.node(node.host, node.target)
        assert (here is None) == (node.change == "gone")
        if here is not None:
            assert (graph.answer(here) == before[graph.url(node)]) == (not node.change)
    assert len(graph.expected()) == 900 + list(changes.values()).count("new")


def test_the_access_log_is_read_back() -> None:
    hits, lags = read_log("2.0\t2.5\t1\t200\t/a\tbot\nlag\t3.0\t0.2\n1.0\t1.5\t0\t0\t/b\tbot\n9.0\t9.")
    assert hits == [Hit(1.0, 1.5, 0, HUNG_UP, "/b", "bot"), Hit(2.0, 2.5, 1, 200, "/a", "bot")]
    assert lags == [Lag(3.0, 0.2)]


# -- the proof ---------------------------------------------------------------------------------------------------------


def found() -> Found:
    """A crawl of a small graph in which all went well."""
    graph = Graph(1, 4, 40)
    expected = graph.expected()
    hits, at = [], 0.0
    for host in range(4):
        for target in (ROBOTS, *(node.target for node in graph.nodes if node.host == host and node.kind != "denied")):
            at += 1.0
            hits.append(Hit(at, at + 0.1, host, 200, target, "bot"))
    records: list[dict[str, Any]] = [
        {"url": url, "outcome": one.outcome, "depth": one.depth, "attempts": 1 + one.busy}
        | ({} if one.via is None else {"via": one.via})
        | ({} if one.title is None else {"title": one.title})
        for url, one in expected.items()
    ]
    outcomes = [one.outcome for one in expected.values()]
    status = {"accepted": 40, "ended": 40, "queued": 0, "leased": 0, "state": "done"}
    return Found(
        expected=expected,
        authorities=graph.authorities,
        records=records,
        status=status | {"outcomes": {outcome: outcomes.count(outcome) for outcome in set(outcomes)}},
        stored={"records": 40, "seen": 40, "leases": 0},
        hits=hits,
        lags=[],
        events=[],
        ran_out=[],
        said=["crawl 'default': done"],
        delay=0.5,
    )


def _again(one: Found, after: float = 0.2) -> Hit:
    """The last page that was asked for, asked for again."""
    return replace(one.hits[-1], arrived=one.hits[-1].ended + one.delay + after, ended=one.hits[-1].ended + 1.0)


def _with_event(one: Found, kind: str, **more: Any) -> Found:
    url = f"http://{one.authorities[3]}{one.hits[-1].target}"
    event = Event(kind, one.hits[-1].ended, one.hits[-1].ended + 0.1, held={url}, **more)
    return replace(one, hits=[*one.hits, _again(one)], events=[event])


SPOILED: Final[dict[str, tuple[str, Callable[[Found], Found]]]] = {
    "a record is missing": ("lost", lambda one: replace(one, records=one.records[1:])),
    "a record is there twice": ("stored twice", lambda one: replace(one, records=[*one.records, one.records[3]])),
    "a record of no page": (
        "unexpected",
        lambda one: replace(one, records=[*one.records, {"url": "http://x/", "outcome": "fetched", "depth": 0}]),
    ),
    "a page is asked for that nobody leads to": (
        "unexpected",
        lambda one: replace(one, hits=[*one.hits, replace(_again(one), target="/only-from-nofollow")]),
    ),
    "another outcome": (
        "ended otherwise",
        lambda one: replace(one, records=[one.records[0] | {"outcome": "failed:crash"}, *one.records[1:]]),
    ),
    "another way": (
        "ended otherwise",
        lambda one: replace(one, records=[*one.records[:-1], one.records[-1] | {"depth": 9}]),
    ),
    "the title of another": (
        "ended otherwise",
        lambda one: replace(one, records=[one.records[0] | {"title": "EVIL"}, *one.records[1:]]),
    ),
    "a counter": ("counters", lambda one: replace(one, status={**one.status, "accepted": 41})),
    "an outcome's counter": ("counters", lambda one: replace(one, status={**one.status, "outcomes": {"fetched": 40}})),
    "a lease is left": ("counters", lambda one: replace(one, stored={**one.stored, "leases": 1})),
    "a URL is seen that nobody knows": ("counters", lambda one: replace(one, stored={**one.stored, "seen": 41})),
    "a host is asked too early": ("politeness", lambda one: replace(one, hits=[*one.hits, _again(one, -0.1)])),
    "two requests at once": ("politeness", lambda one: replace(one, hits=[*one.hits, _again(one, -0.55)])),
    "a page before robots.txt": ("politeness", lambda one: replace(one, hits=one.hits[1:])),
    "a page that is denied": (
        "politeness",
        lambda one: replace(one, hits=[*one.hits, replace(_again(one), target="/denied/1")]),
    ),
    "an attempt that nobody made": (
        "charged",
        lambda one: replace(one, records=[one.records[0] | {"attempts": 2}, *one.records[1:]]),
    ),
    "a page is asked for again without a reason": (
        "refetched",
        lambda one: replace(one, hits=[*one.hits, _again(one)]),
    ),
    "an event that explains nothing": ("refetched", lambda one: _with_event(one, "scripts-flushed")),
    "a traceback": ("said", lambda one: replace(one, said=["Traceback (most recent call last):"])),
}


def test_what_went_well_is_right() -> None:
    verdict = prove(found())
    assert (verdict.lines(), verdict.refetched.total()) == ([], 0)


@pytest.mark.parametrize("how", list(SPOILED))
def test_what_is_wrong_is_found(how: str) -> None:
    check, spoil = SPOILED[how]
    assert check in prove(spoil(found())).wrong


REPORTED: Final = Reported(
    {"http://a/1": "changed", "http://a/2": "gone"},
    [{"url": "http://a/1", "change": "changed"}, {"url": "http://a/2", "change": "gone"}],
)
MISREPORTED: Final[dict[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]]]]] = {
    "change missed": lambda records: records[1:],
    "change made up": lambda records: [*records, {"url": "http://a/3", "change": "new"}],
    "reported twice": lambda records: [*records, records[0]],
}


def _again_with(records: list[dict[str, Any]]) -> Verdict:
    verdict = Verdict()
    prove_again(replace(REPORTED, records=records), replace(found(), again=True), verdict)
    return verdict


def test_a_second_visit_that_went_well_is_right() -> None:
    assert _again_with(list(REPORTED.records)).lines() == []


@pytest.mark.parametrize("check", list(MISREPORTED))
def test_what_a_second_visit_reports_wrong_is_found(check: str) -> None:
    assert list(_again_with(MISREPORTED[check](list(REPORTED.records))).wrong) == [check]


def test_a_change_of_another_kind_is_a_change_missed() -> None:
    records = [{"url": "http://a/1", "change": "boilerplate"}, *REPORTED.records[1:]]
    assert list(_again_with(records).wrong) == ["change missed"]


def test_each_check_can_fail() -> None:
    assert {check for check, _ in SPOILED.values()} | MISREPORTED.keys() == set(CHECKS)


def test_what_explains_a_page_that_is_asked_for_again() -> None:
    """It was in a dying worker's hands; its lease ran out; its end was lost with the power."""
    one = found()
    for kind in ("worker-kill", "power-cut"):
        assert prove(_with_event(one, kind)).refetched == {kind: 1}
    url = f"http://{one.authorities[3]}{one.hits[-1].target}"
    gone = RanOut(Held("t:1", "w", url, 0, 0.0), one.hits[-1].ended + 0.05)
    frozen = replace(_with_event(one, "worker-freeze-long"), ran_out=[gone])
    assert prove(frozen).refetched == {"its lease ran out (worker-freeze-long)": 1}
    charged = [one.records[-1] | {"attempts": 2}]
    url = one.records[-1]["url"]
    reaped = replace(
        frozen, ran_out=[gone, RanOut(Held("t:2", "w", url, 0, 0.0), 1.0)], records=[*one.records[:-1], *charged]
    )
    assert "charged" not in prove(reaped).wrong


def test_a_server_that_was_late_accuses_nobody() -> None:
    one = found()
    early = replace(one, hits=[*one.hits, _again(one, -0.1)])
    late = replace(early, lags=[Lag(early.hits[-1].arrived, 0.15)])
    assert "politeness" not in prove(late).wrong


# -- the faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(FAULTS))
def test_each_fault_can_be_put_in(name: str, tmp_path: Path) -> None:
    folder = put_in(name, tmp_path)
    text = (folder / "crawler" / FAULTS[name].file).read_text(encoding="utf-8")
    assert FAULTS[name].new in text


def test_events_of_every_kind_can_happen() -> None:
    from tests.chaos.events import Chaos

    assert all(hasattr(Chaos, "_" + kind.replace("-", "_")) for kind in KINDS)
