"""extend: a lease that is still held gets a later deadline."""

from __future__ import annotations

from tests.frontier.crawls import Crawl

A = "http://a.example/"


def test_the_deadline_moves(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2")
    one, two = crawl.lease()
    crawl.advance(30)
    assert crawl.frontier.extend([one.token], 90) == frozenset()
    deadlines = crawl.snapshot().deadlines
    assert deadlines == {one.token: crawl.now + 90_000, two.token: crawl.now + 60_000}


def test_an_overdue_lease_that_nobody_reaped_is_kept(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    lease = crawl.one()
    crawl.advance(500)
    assert crawl.frontier.extend([lease.token], 90) == frozenset()
    assert crawl.frontier.reap() == (0, 90_000)


def test_what_was_reaped_committed_or_never_held_is_lost(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2", f"{A}3")
    reaped = crawl.one()
    crawl.advance(90)
    crawl.frontier.reap()
    committed, kept = crawl.lease(2)
    crawl.commit(committed)
    tokens = [reaped.token, committed.token, kept.token, "nobody:1"]
    assert crawl.frontier.extend(tokens, 90) == {reaped.token, committed.token, "nobody:1"}
    assert list(crawl.snapshot().deadlines) == [kept.token]


def test_sent_twice_it_says_the_same(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    lease = crawl.one()
    first = crawl.frontier.extend([lease.token, "nobody:1"], 90)
    before = crawl.snapshot()
    assert crawl.frontier.extend([lease.token, "nobody:1"], 90) == first
    assert crawl.snapshot() == before


def test_it_goes_through_when_redis_is_full(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    lease = crawl.one()
    crawl.advance(30)
    crawl.link.client.config_set("maxmemory", 1)
    assert crawl.frontier.extend(["nobody:1", lease.token], 90) == {"nobody:1"}
    assert crawl.snapshot().deadlines == {lease.token: crawl.now + 90_000}


def test_it_goes_through_in_a_paused_crawl(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    lease = crawl.one()
    crawl.frontier.pause()
    assert crawl.frontier.extend([lease.token], 90) == frozenset()
