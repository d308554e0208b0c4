"""retry: a page goes to the tail of its queue and is tried again, charged or not."""

from __future__ import annotations

import pytest

from crawler.errors import LeaseLost
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.record import Charge, Request
from crawler.url import Form
from tests.frontier.client import Client
from tests.frontier.crawls import CLOCK, Crawl, Make

A = "http://a.example/"


def test_the_page_goes_to_the_tail_of_its_queue(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2", f"{A}3")
    crawl.frontier.retry(crawl.one(), "none")
    assert crawl.urls(crawl.lease()) == [f"{A}2", f"{A}3", f"{A}1"]


@pytest.mark.parametrize(
    ("charge", "tries", "told"),
    [
        (Charge.NONE, 3, (0, 0)),
        (Charge.RETRY, 3, (3, 0)),
        (Charge.CRASH, 3, (0, 3)),
        (Charge.RETRY, 20, (15, 0)),
        (Charge.CRASH, 20, (0, 15)),
    ],
)
def test_it_is_charged_as_told_and_no_count_flows_over(
    crawl: Crawl, charge: int, tries: int, told: tuple[int, int]
) -> None:
    crawl.put(f"{A}1")
    for _ in range(tries):
        crawl.frontier.retry(crawl.one(), "none", charge=charge)
    entry = crawl.one().entry()
    assert (entry.retries, entry.crashes) == told
    assert entry.request.url == f"{A}1"


def test_sent_twice_it_is_lost_and_nothing_changes(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2")
    lease = crawl.one()
    crawl.frontier.retry(lease, "fail")
    before = crawl.snapshot()
    with pytest.raises(LeaseLost):
        crawl.frontier.retry(lease, "fail")
    assert crawl.snapshot() == before


def test_a_page_that_is_alone_makes_its_host_rest(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    crawl.frontier.retry(crawl.one(), "ok", alone_ms=4000)
    assert crawl.snapshot().ready == {"a.example": crawl.now + 4000}


def test_a_page_among_others_does_not(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2")
    crawl.frontier.retry(crawl.one(), "ok", alone_ms=4000)
    assert crawl.snapshot().ready == {"a.example": crawl.now}


def test_the_host_rests_as_it_asked_for(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2")
    crawl.frontier.retry(crawl.one(), "slow", rest_ms=120_000)
    assert crawl.snapshot().ready == {"a.example": crawl.now + 120_000}


def test_only_the_first_failure_of_a_host_is_charged_to_a_page(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2", f"{A}3")
    for lease in crawl.lease():
        crawl.frontier.retry(lease, "fail")
    crawl.advance(2)
    assert [x.entry().retries for x in crawl.lease()] == [1, 0, 0]


def test_a_stall_is_always_charged(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2")
    for lease in crawl.lease():
        crawl.frontier.retry(lease, "stall")
    crawl.advance(2)
    assert [x.entry().retries for x in crawl.lease()] == [1, 1]


def test_it_stays_in_the_queue_that_it_came_from(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    crawl.commit(crawl.one(), "failed:http")
    crawl.put(f"{A}2")
    crawl.frontier.revive([Request(f"{A}1")])
    crawl.frontier.retry(crawl.one(), "none")
    assert crawl.urls(crawl.lease()) == [f"{A}1", f"{A}2"]


def test_a_robots_lease_ends_and_is_asked_for_again(make: Make) -> None:
    crawl = make(robots=True)
    crawl.put(f"{A}1")
    crawl.frontier.retry(crawl.one(), "none")
    shot = crawl.snapshot()
    assert (shot.leased, shot.counters["queued"]) == ({}, 1)
    assert crawl.one().kind == "R"


def test_it_goes_through_in_a_paused_crawl(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    lease = crawl.one()
    crawl.frontier.pause()
    crawl.frontier.retry(lease, "none")
    assert crawl.snapshot().counters["queued"] == 1


def test_it_goes_through_when_redis_is_full(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    lease = crawl.one()
    crawl.link.client.config_set("maxmemory", 1)
    crawl.frontier.retry(lease, "slow")
    assert crawl.snapshot().counters["queued"] == 1


def test_a_token_that_was_given_anew_does_not_touch_another_page(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2")
    (old,) = crawl.lease(1, call="c")
    crawl.commit(old)
    (new,) = crawl.lease(1, call="c")
    assert new.token == old.token
    with pytest.raises(LeaseLost):
        crawl.frontier.retry(old, "none", charge=Charge.CRASH)
    assert list(crawl.snapshot().leased) == [new.token]


def test_another_spelling_takes_the_place_of_the_first(crawl: Crawl, link: Connection) -> None:
    """Of the same URL in the crawl's form: it keeps its attempts, and its id."""
    form = Form(one_scheme=True)
    frontier = Client.create(link, "formed", b"{}", Limits(0, robots=False), form=form, clock=CLOCK)
    assert frontier.id("http://a.example/x") == frontier.id("https://a.example/x")
    assert Frontier.find(link, "formed").form == form
    frontier.put([Request("http://a.example/x", depth=2)])
    (lease,) = frontier.lease(1, 90, "w").leases
    frontier.retry(lease, "ok")
    (lease,) = frontier.lease(1, 90, "w").leases
    respelled = Request("https://a.example/x", depth=2, hops=1)
    frontier.retry(lease, "ok", charge=Charge.NONE, respelled=respelled)
    (lease,) = frontier.lease(1, 90, "w").leases
    assert (lease.entry().request, lease.entry().retries) == (respelled, 1)
    assert frontier.put([Request("http://a.example/x")]).seen == 1
    assert crawl.frontier.frontier.form == Form()


def test_after_a_crash_the_host_rests_again(make: Make) -> None:
    """Nobody is left who could tell when its fetch ended."""
    crawl = make(delay_ms=1000)
    crawl.put(f"{A}1", f"{A}2")
    lease = crawl.one()
    crawl.advance(5)
    crawl.frontier.retry(lease, "none", charge=Charge.CRASH)
    crawl.advance(0.9)
    assert crawl.lease() == []
    crawl.advance(0.1)
    assert crawl.lease() != []
