"""The estimate of the time left, from what is in Redis: the longest queue times its delay, or the rate."""

from __future__ import annotations

import pytest

from crawler.frontier import estimate
from crawler.frontier.estimate import Estimate
from crawler.frontier.messages import CrawlState
from crawler.frontier.status import Monitor, _limit, _polite
from tests.frontier.crawls import Crawl, Make


def pages(host: str, count: int) -> list[str]:
    return [f"http://{host}/{n}" for n in range(count)]


def left(crawl: Crawl, rate: float) -> float | None:
    return Estimate(crawl.crawldb.hosts).seconds(crawl.frontier.state(), rate)


def test_the_host_that_takes_longest_decides(make: Make) -> None:
    crawl = make(delay_ms=2000)
    crawl.put(*pages("small.example", 10), *pages("large.example", 300))
    assert left(crawl, 30.0) == 600
    assert left(crawl, 0.1) == 3100  # what is queued takes longer at this rate


def test_without_a_delay_the_rate_decides(make: Make) -> None:
    crawl = make()
    crawl.put(*pages("a.example", 50))
    assert left(crawl, 5.0) == 10


def test_nothing_is_guessed_where_nothing_is_known(make: Make) -> None:
    crawl = make(delay_ms=1000)
    assert left(crawl, 5.0) is None
    crawl.put(*pages("a.example", 50))
    assert left(crawl, 0.0) is None
    crawl.frontier.pause()
    assert left(crawl, 5.0) is None


def test_a_host_with_a_long_delay_may_have_no_rate_for_a_while(make: Make) -> None:
    crawl = make(delay_ms=30000)
    crawl.put(*pages("a.example", 50))
    assert left(crawl, 0.0) == 1500


def test_a_host_that_fails_does_not_count(make: Make) -> None:
    crawl = make(delay_ms=1000)
    crawl.put(*pages("down.example", 100))
    crawl.frontier.retry(crawl.one(), event="fail", trouble="connect connection refused")
    crawl.put(*pages("well.example", 20))
    assert left(crawl, 1_000.0) == 20


def test_a_budget_of_pages_ends_it_earlier() -> None:
    class NoHosts:
        def due(self, most: int) -> tuple[int, list[tuple[float, str]]]:
            return 0, []

        def rows(self, names: list[str]) -> list[object]:
            return []

    state = CrawlState("running", 1000, 900, 4, 96, 0, 0, fetched=96, max_pages=100)
    assert Estimate(NoHosts()).seconds(state, 2.0) == 2  # type: ignore[arg-type]


def test_the_longest_host_is_remembered_while_it_is_not_due(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only some hosts are looked at each time."""
    monkeypatch.setattr(estimate, "SAMPLE", 1)
    monkeypatch.setattr(estimate, "AGAIN", 0.0)
    crawl = make(delay_ms=1000)
    crawl.put(*pages("large.example", 300))
    found = Estimate(crawl.crawldb.hosts)
    assert found.seconds(crawl.frontier.state(), 1_000.0) == 300
    crawl.one()
    crawl.put(*pages("small.example", 2))
    assert crawl.crawldb.hosts.due(1)[1][0][1] == "small.example"
    assert found.seconds(crawl.frontier.state(), 1_000.0) == 299


def test_a_status_has_an_estimate_only_after_some_seconds(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    crawl, now = make(delay_ms=1000), [50.0]
    crawl.put(*pages("a.example", 100))
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monitor = Monitor(crawl.frontier.frontier)
    assert monitor.look().seconds_left is None
    crawl.commit(crawl.one())
    now[0] += 6
    assert monitor.look().seconds_left == pytest.approx(99 * 6)


def test_hosts_that_fail_are_not_called_polite(make: Make) -> None:
    crawl = make()
    crawl.put(*pages("down.example", 3))
    assert crawl.crawldb.hosts.resting() == 0
    crawl.frontier.retry(crawl.one(), event="fail", trouble="connect connection refused")
    assert crawl.crawldb.hosts.resting() == 1
    assert _limit(["politeness"], "waiting", _polite(1, 1, 0.0)) == "waiting for 1 host that fails"
    assert _limit(["politeness"], "waiting", _polite(3, 3, 0.0)) == "waiting for 3 hosts that fail"
    assert _limit(["politeness"], "waiting", _polite(3, 2, 1.5)) == "waiting for politeness: 1 host, delay 1.5 s"
    assert _limit(["politeness"], "running", _polite(0, 0, 1.5)) == "waiting for answers"
