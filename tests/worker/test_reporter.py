"""What a worker reports once Redis has acknowledged it: each host once, each URL that ended."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from crawler.events import Ended, Event
from crawler.frontier.messages import Commit, Lease, LeaseEnd, Release, Retry, RobotsResult
from crawler.record import Record, Request
from crawler.worker import reporter
from crawler.worker.reporter import Reporter
from crawler.worker.visit import state_of

BUSY: Final = "http 503 Service Unavailable"


class Reported:
    """A reporter and what it reported."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.lines: list[Ended] = []
        self.reporter = Reporter("w", self.events.append, [self.lines.extend])

    def sees(self, message: LeaseEnd) -> None:
        self.reporter.acknowledged(message)
        self.reporter.flush()

    @property
    def names(self) -> list[tuple[str, str]]:
        return [(event.event, event.host) for event in self.events]


@pytest.fixture
def reported() -> Reported:
    return Reported()


def lease(host: str) -> Lease:
    return Lease("0-1", "P", host, b"", 0, 0, "", 0.0)


def page(host: str = "a.example", trouble: str = "", event: Any = "ok", **facts: Any) -> Commit:
    fields: dict[str, Any] = {"url": f"http://{host}/", "outcome": "fetched", "depth": 0} | facts
    record = Record(**fields)
    state = state_of(Request(record.url), "0-1", record)
    return Commit(lease(host), "1", state, record.encode(), event=event, trouble=trouble)


def test_a_failing_host_is_reported_at_its_first_failure_and_once(reported: Reported) -> None:
    for _ in range(3):
        reported.sees(Retry(lease("a.example"), "slow", trouble=BUSY))
    reported.sees(RobotsResult(lease("b.example"), "robots", trouble="robots robots.txt answered 500"))
    assert reported.names == [("host-failing", "a.example"), ("host-failing", "b.example")]
    assert [(event.trouble_kind, event.trouble) for event in reported.events] == [
        ("http", "503 Service Unavailable"),
        ("robots", "robots.txt answered 500"),
    ]
    assert {event.worker for event in reported.events} == {"w"}


def test_an_answer_ends_it(reported: Reported) -> None:
    reported.sees(page(trouble=BUSY, event="slow", outcome="failed:http"))
    reported.sees(page("b.example"))
    reported.sees(page())
    reported.sees(page())
    assert reported.names == [("host-failing", "a.example"), ("host-recovered", "a.example")]


def test_another_worker_may_have_seen_it_fail(reported: Reported) -> None:
    failing = msgspec.structs.replace(lease("a.example"), cause=BUSY)
    reported.sees(RobotsResult(failing))
    reported.sees(msgspec.structs.replace(page(), lease=failing))
    assert reported.names == [("host-recovered", "a.example")] * 2


@pytest.mark.parametrize(
    "message",
    [
        Release(lease("a.example")),
        Retry(lease("a.example"), "none"),
        Retry(lease("a.example"), "late"),
        page(event="unsent", outcome="dropped:robots"),
    ],
    ids=["release", "our fault", "late", "not sent"],
)
def test_what_is_no_answer_ends_nothing(reported: Reported, message: LeaseEnd) -> None:
    reported.sees(Retry(lease("a.example"), "slow", trouble=BUSY))
    reported.sees(message)
    assert reported.names == [("host-failing", "a.example")]


def test_a_host_that_keeps_failing_is_reported_again_after_a_minute(
    reported: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for _ in range(100):
        reported.sees(Retry(lease("a.example"), "slow", trouble=BUSY))
        now += 1.0
    assert reported.names == [("host-failing", "a.example")] * 2


def test_the_memory_for_hosts_is_bounded(reported: Reported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "MAX_HOSTS", 10)
    for n in range(25):
        reported.sees(Retry(lease(f"h{n}.example"), "fail", trouble="connect refused"))
    assert len(reported.events) == 25
    assert len(reported.reporter._failing) <= 10


def test_each_commit_is_a_line(reported: Reported) -> None:
    reported.sees(page(status=200, elapsed_ms=12, size=34, attempts=2))
    reported.sees(page("b.example:8080", outcome="failed:http", error="status 500"))
    reported.sees(Retry(lease("a.example"), "ok"))
    first, second = reported.lines
    assert (first.url, first.host, first.outcome, first.worker) == ("http://a.example/", "a.example", "fetched", "w")
    assert (first.status, first.elapsed_ms, first.bytes, first.attempt, first.error) == (200, 12, 34, 2, None)
    assert (second.host, second.status, second.error) == ("b.example:8080", None, "status 500")


def test_without_listeners_nothing_is_read() -> None:
    silent = Reporter()
    silent.acknowledged(msgspec.structs.replace(page(), record=b"not JSON"))
    silent.acknowledged(Retry(lease("a.example"), "slow", trouble=BUSY))
    silent.trap("a.example/p#")
    assert silent._failing.keys() == {"a.example"}
