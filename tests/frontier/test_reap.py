"""reap: leases past their deadline are taken back."""

from __future__ import annotations

from tests.frontier.crawls import Crawl, Make

A = "http://a.example/"


def test_nothing_is_reaped_before_its_deadline(crawl: Crawl) -> None:
    assert crawl.frontier.reap() == (0, -1)
    crawl.put(f"{A}1")
    lease = crawl.one()
    crawl.advance(89.999)
    assert crawl.frontier.reap() == (0, 1)
    assert list(crawl.snapshot().leased) == [lease.token]


def test_an_overdue_page_goes_to_the_front_charged_with_a_crash(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2")
    crawl.one()
    crawl.advance(90)
    assert crawl.frontier.reap() == (1, -1)
    again = crawl.one()
    entry = again.entry()
    assert (entry.request.url, entry.retries, entry.crashes) == (f"{A}1", 0, 1)


def test_sent_twice_it_takes_nothing_more(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    crawl.one()
    crawl.advance(90)
    crawl.frontier.reap()
    before = crawl.snapshot()
    assert crawl.frontier.reap() == (0, -1)
    assert crawl.snapshot() == before


def test_the_host_rests_for_its_delay(make: Make) -> None:
    crawl = make(delay_ms=1000)
    crawl.put(f"{A}1")
    crawl.one()
    crawl.advance(90)
    crawl.frontier.reap()
    assert crawl.snapshot().ready == {"a.example": crawl.now + 1000}


def test_the_host_rests_for_its_crawl_delay(make: Make) -> None:
    crawl = make(robots=True)
    crawl.put(f"{A}1")
    crawl.frontier.robots(crawl.one(), "ok", crawl_delay=7.0)
    crawl.advance(7)
    crawl.one()
    crawl.advance(90)
    crawl.frontier.reap()
    assert crawl.snapshot().ready == {"a.example": crawl.now + 7000}


def test_a_robots_lease_vanishes_and_is_asked_for_again(make: Make) -> None:
    crawl = make(robots=True)
    crawl.put(f"{A}1")
    crawl.one()
    crawl.advance(90)
    assert crawl.frontier.reap() == (1, -1)
    shot = crawl.snapshot()
    assert (shot.counters["queued"], shot.leased) == (1, {})
    assert crawl.one().kind == "R"


def test_it_takes_so_many_at_a_time_the_oldest_first(crawl: Crawl) -> None:
    crawl.put(*(f"{A}{n}" for n in range(3)))
    for n in range(3):
        crawl.lease(1, term=10 + n)
    crawl.advance(20)
    assert crawl.frontier.reap(2) == (2, 0)
    assert len(crawl.snapshot().leased) == 1
    assert crawl.frontier.reap(2) == (1, -1)


def test_an_early_deadline_of_one_does_not_take_another(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2")
    crawl.lease(1, term=10)
    (kept,) = crawl.lease(1, term=30)
    crawl.advance(10)
    assert crawl.frontier.reap() == (1, 20_000)
    assert list(crawl.snapshot().leased) == [kept.token]


def test_it_goes_through_when_redis_is_full(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    crawl.one()
    crawl.advance(90)
    crawl.link.client.config_set("maxmemory", 1)
    assert crawl.frontier.reap() == (1, -1)
    assert crawl.snapshot().counters["queued"] == 1


def test_it_goes_through_in_a_paused_crawl(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    crawl.one()
    crawl.advance(90)
    crawl.frontier.pause()
    assert crawl.frontier.reap() == (1, -1)


def test_a_deadline_without_its_lease_is_cleared_away(crawl: Crawl) -> None:
    crawl.link.client.zadd(crawl.frontier.keys.leases, {"ghost:1": 1})
    assert crawl.frontier.reap() == (1, -1)
    assert crawl.snapshot().deadlines == {}
