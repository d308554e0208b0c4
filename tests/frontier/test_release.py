"""release: leases are given back unused, to the front, free of charge."""

from __future__ import annotations

import pytest

from tests.frontier.crawls import Crawl, Make

A = "http://a.example/"


def test_pages_go_back_to_the_front_in_their_order(crawl: Crawl) -> None:
    crawl.put(*(f"{A}{n}" for n in range(6)))
    before = crawl.snapshot().queues
    tokens = [lease.token for lease in crawl.lease(4)]
    assert crawl.frontier.release(tokens) == 4
    shot = crawl.snapshot()
    assert shot.queues == before
    assert (shot.leased, shot.number("a.example", "in_flight")) == ({}, 0)


def test_sent_twice_it_gives_nothing_more(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    lease = crawl.one()
    assert crawl.frontier.release([lease.token]) == 1
    before = crawl.snapshot()
    assert crawl.frontier.release([lease.token]) == 0
    assert crawl.snapshot() == before


def test_a_token_named_twice_counts_once(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    lease = crawl.one()
    assert crawl.frontier.release([lease.token, lease.token, "nobody:1"]) == 1


def test_no_tokens_are_no_work(crawl: Crawl) -> None:
    assert crawl.frontier.release([]) == 0


def test_the_delay_that_was_begun_still_counts(make: Make) -> None:
    crawl = make(delay_ms=1000)
    crawl.put(f"{A}1")
    lease = crawl.one()
    crawl.frontier.release([lease.token])
    assert crawl.snapshot().ready == {"a.example": crawl.now + 1000}


def test_a_robots_lease_vanishes(make: Make) -> None:
    crawl = make(robots=True)
    crawl.put(f"{A}1")
    assert crawl.frontier.release([crawl.one().token]) == 1
    shot = crawl.snapshot()
    assert (shot.leased, shot.counters["queued"]) == ({}, 1)
    assert crawl.one().kind == "R"


def test_it_goes_through_when_redis_is_full(crawl: Crawl) -> None:
    crawl.put(f"{A}1", "http://b.example/")
    tokens = [lease.token for lease in crawl.lease()]
    crawl.link.client.config_set("maxmemory", 1)
    assert crawl.frontier.release(tokens) == 2
    assert crawl.snapshot().counters["queued"] == 2


def test_a_worker_s_leases_are_found_and_given_back_in_order(crawl: Crawl) -> None:
    crawl.put(*(f"{A}{n}" for n in range(8)))
    before = crawl.snapshot().queues
    crawl.lease(4, worker="gone", call="c")
    crawl.lease(2, worker="other")
    tokens = [lease.token for lease in crawl.crawldb.leases_of("gone")]
    assert tokens == ["c:1", "c:2", "c:3", "c:4"]
    crawl.frontier.release(tokens)
    queued = crawl.snapshot().queues["a.example", "1"]
    assert queued == [entry for n, entry in enumerate(before["a.example", "1"]) if n not in (4, 5)]


def test_the_host_rests_again(make: Make) -> None:
    """A request may have been on its way just now: its delay counts from the release."""
    crawl = make(delay_ms=1000)
    crawl.put(f"{A}1", f"{A}2")
    lease = crawl.one()
    crawl.advance(0.7)
    crawl.frontier.release([lease.token])
    crawl.advance(0.9)
    assert crawl.lease() == []
    crawl.advance(0.1)
    assert crawl.lease() != []


@pytest.mark.parametrize("token", ["7.gone:1", "nonsense", "", "x.y:1"])
def test_what_is_no_token_of_this_crawl_is_not_held(crawl: Crawl, token: str) -> None:
    """A foreign client may have written it into the leases."""
    assert crawl.frontier.frontier.release([token]) == 0
