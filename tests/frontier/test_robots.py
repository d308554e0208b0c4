"""robots: what an origin's robots.txt says ends its lease, or that it cannot be had for now."""

from __future__ import annotations

import zlib

import pytest

from crawler.errors import LeaseLost
from crawler.frontier.messages import Lease
from tests.frontier.crawls import Crawl, Make

TEXT = zlib.compress(b"User-agent: *\nDisallow: /x")


@pytest.fixture
def crawl(make: Make) -> Crawl:
    """A crawl that obeys robots.txt, with three pages of one host."""
    crawl = make(robots=True, delay_ms=1000, per_host=2)
    crawl.put(*(f"http://a.example/{n}" for n in range(3)))
    return crawl


@pytest.fixture
def lease(crawl: Crawl) -> Lease:
    """The robots lease of the host."""
    return crawl.one()


def test_the_text_is_kept_and_pages_follow_after_the_delay(crawl: Crawl, lease: Lease) -> None:
    crawl.frontier.robots(lease, "ok", text=TEXT, ttl=60)
    shot = crawl.snapshot()
    assert shot.robots == {"http://a.example": TEXT}
    assert (shot.leased, shot.ready) == ({}, {"a.example": crawl.now + 1000})
    assert shot.number("a.example", "robots_until:0") == crawl.now + 60_000
    assert crawl.crawldb.hosts.robots(["http://a.example", "https://a.example"]) == [zlib.decompress(TEXT), None]


def test_redis_forgets_the_text_only_after_it_expired(crawl: Crawl, lease: Lease) -> None:
    crawl.frontier.robots(lease, "ok", text=TEXT, ttl=60)
    left = crawl.link.client.pttl(crawl.frontier.keys.robots("http://a.example"))
    assert 60_000 < left <= 60_000 + 3_600_000


def test_no_text_allows_all_and_is_known(crawl: Crawl, lease: Lease) -> None:
    crawl.frontier.robots(lease, "ok")
    crawl.advance(1)
    assert crawl.one().kind == "P"


def test_sent_twice_it_is_lost_and_nothing_changes(crawl: Crawl, lease: Lease) -> None:
    crawl.frontier.robots(lease, "ok", text=TEXT)
    before = crawl.snapshot()
    with pytest.raises(LeaseLost):
        crawl.frontier.robots(lease, "ok", text=b"other")
    assert crawl.snapshot() == before


def test_a_lease_that_was_reaped_changes_nothing(crawl: Crawl, lease: Lease) -> None:
    crawl.advance(90)
    crawl.frontier.reap()
    before = crawl.snapshot()
    with pytest.raises(LeaseLost):
        crawl.frontier.robots(lease, "ok", text=TEXT)
    assert crawl.snapshot() == before


def test_a_crawl_delay_slows_its_host_only(crawl: Crawl, lease: Lease) -> None:
    crawl.frontier.robots(lease, "ok", crawl_delay=5.0)
    crawl.advance(1)
    assert crawl.one().delay_ms == 5000
    assert crawl.snapshot().ready == {"a.example": crawl.now + 5000}


def test_a_crawl_delay_under_ours_changes_nothing(crawl: Crawl, lease: Lease) -> None:
    crawl.frontier.robots(lease, "ok", crawl_delay=0.5)
    crawl.advance(1)
    assert crawl.one().delay_ms == 1000


def test_a_crawl_delay_that_was_taken_back_is_forgotten(make: Make) -> None:
    crawl = make(robots=True)
    crawl.put("http://a.example/1")
    crawl.frontier.robots(crawl.one(), "ok", crawl_delay=5.0, ttl=60)
    crawl.advance(60)
    crawl.frontier.robots(crawl.one(), "ok")
    crawl.advance(5)
    assert crawl.one().delay_ms == 0


def test_each_answer_is_a_new_revision(crawl: Crawl, lease: Lease) -> None:
    assert lease.robots_rev == 0
    crawl.frontier.robots(lease, "ok", ttl=1)
    crawl.advance(1)
    again = crawl.one()
    assert (again.kind, again.robots_rev) == ("R", 1)
    crawl.frontier.robots(again, "ok")
    crawl.advance(1)
    assert crawl.one().robots_rev == 2


def test_a_host_whose_robots_txt_fails_rests_from_a_minute_to_an_hour(make: Make) -> None:
    crawl = make(robots=True, patience_ms=0)
    crawl.put("http://a.example/1")
    for n in range(8):
        crawl.frontier.robots(crawl.one(), "robots")
        rest = min(60_000 * 2**n, 3_600_000)
        assert crawl.snapshot().ready == {"a.example": crawl.now + rest}
        crawl.advance(rest / 1000)


def test_its_rest_does_not_outlast_the_patience(make: Make) -> None:
    crawl = make(robots=True, patience_ms=100_000)
    crawl.put("http://a.example/1")
    crawl.frontier.robots(crawl.one(), "robots")
    crawl.advance(60)
    crawl.frontier.robots(crawl.one(), "robots")
    assert crawl.snapshot().ready == {"a.example": crawl.now + 40_001}
    crawl.advance(40.001)
    assert crawl.one().unreachable


def test_a_failure_keeps_the_rules_that_are_known(crawl: Crawl, lease: Lease) -> None:
    crawl.frontier.robots(lease, "ok", text=TEXT, ttl=60)
    crawl.advance(60)
    crawl.frontier.robots(crawl.one(), "robots")
    assert crawl.snapshot().robots == {"http://a.example": TEXT}
    crawl.advance(60)
    assert crawl.one().kind == "R"


def test_a_page_is_no_robots_txt(make: Make) -> None:
    """A token of a late call of `lease` may name a page now: it is not swallowed."""
    crawl = make(robots=True)
    crawl.put("http://a.example/1")
    (old,) = crawl.lease(1, call="c")
    crawl.frontier.robots(old, "ok", text=TEXT)
    (page,) = crawl.lease(1, call="c")
    assert (page.token, page.kind) == (old.token, "P")
    with pytest.raises(LeaseLost):
        crawl.frontier.robots(old, "ok", text=b"other")
    assert list(crawl.snapshot().leased) == [page.token]


def test_a_full_redis_still_takes_it(crawl: Crawl, lease: Lease) -> None:
    crawl.link.client.config_set("maxmemory", 1)
    crawl.frontier.robots(lease, "ok", text=TEXT)
    assert crawl.snapshot().robots == {"http://a.example": TEXT}


def test_a_host_whose_robots_txt_hangs_a_worker_is_given_up_at_once(crawl: Crawl, lease: Lease) -> None:
    crawl.frontier.robots(lease, "hang")
    crawl.advance(1)
    leases = crawl.lease(3)
    assert [(given.kind, given.trouble) for given in leases] == [("P", "hang")] * 3


def test_a_host_whose_robots_txt_kills_workers_is_given_up_after_the_third(crawl: Crawl, lease: Lease) -> None:
    for _ in range(2):
        crawl.frontier.robots(lease, "crash")
        assert crawl.snapshot().ready == {"a.example": crawl.now + 1000}
        crawl.advance(1)
        lease = crawl.one()
        assert (lease.kind, lease.trouble) == ("R", "")
    crawl.frontier.robots(lease, "crash")
    crawl.advance(1)
    assert [given.trouble for given in crawl.lease(3)] == ["crash"] * 3


def test_workers_that_died_are_forgotten_when_it_is_read(crawl: Crawl, lease: Lease) -> None:
    for event in ("crash", "crash", "ok", "crash", "crash"):
        crawl.frontier.robots(lease, event, ttl=1)
        crawl.advance(2)
        lease = crawl.one()
    assert (lease.kind, lease.trouble) == ("R", "")
