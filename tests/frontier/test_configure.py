"""configure: settings change while the crawl runs, and every worker learns it with its next lease."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting
from crawler.frontier.messages import Limits
from tests.frontier.crawls import Crawl, Make


def test_the_settings_and_limits_are_replaced(make: Make) -> None:
    crawl = make(max_pages=5)
    crawl.frontier.configure(b'{"a":1}', Limits(delay_ms=50, per_host=3, robots=False, max_pages_per_host=4))
    meta = crawl.snapshot().meta
    assert (meta["settings"], meta["delay"], meta["per_host"], meta["max_pages_per_host"]) == (
        '{"a":1}',
        "50",
        "3",
        "4",
    )
    assert "max_pages" not in meta


def test_the_revision_tells_workers(crawl: Crawl) -> None:
    assert crawl.frontier.lease(0, 90, "w").settings_rev == 0
    crawl.frontier.configure(b"{}", Limits(robots=False))
    crawl.frontier.configure(b"{}", Limits(robots=False))
    assert crawl.frontier.lease(0, 90, "w").settings_rev == 2


def test_another_delay_holds_from_the_next_lease_on(make: Make) -> None:
    crawl = make(delay_ms=1000)
    crawl.put("http://a.example/1", "http://a.example/2", "http://a.example/3")
    crawl.commit(crawl.one())
    crawl.frontier.configure(b"{}", Limits(delay_ms=5000, robots=False))
    crawl.advance(1)
    crawl.commit(crawl.one())
    crawl.advance(4.999)
    assert crawl.lease() == []
    crawl.advance(0.001)
    assert len(crawl.lease()) == 1


def test_the_time_limit_ends_leasing(crawl: Crawl) -> None:
    crawl.put("http://a.example/1")
    crawl.frontier.configure(b"{}", Limits(robots=False), max_time=10.0)
    crawl.advance(9.999)
    assert crawl.frontier.lease(0, 90, "w").status == "OK"
    crawl.advance(0.001)
    leased = crawl.frontier.lease(1, 90, "w")
    assert (leased.status, leased.leases) == ("LIMIT", [])
    assert crawl.frontier.state().word == "limit"


def test_the_time_limit_is_kept_moved_or_taken_away(crawl: Crawl) -> None:
    limits = Limits(robots=False)
    crawl.frontier.configure(b"{}", limits, max_time=10.0)
    crawl.advance(10)
    crawl.frontier.configure(b"{}", limits)
    assert crawl.frontier.state().word == "limit"
    crawl.frontier.configure(b"{}", limits, max_time=1.0)
    assert crawl.frontier.state().state == "running"
    crawl.advance(1)
    crawl.frontier.configure(b"{}", limits, max_time=None)
    assert crawl.frontier.state().state == "running"


def test_fewer_slots_hold_for_the_next_lease(make: Make) -> None:
    crawl = make(per_host=3)
    crawl.put(*(f"http://a.example/{n}" for n in range(5)))
    held = crawl.lease(3)
    crawl.frontier.configure(b"{}", Limits(delay_ms=0, per_host=1, robots=False))
    crawl.commit(held[0])
    crawl.commit(held[1])
    assert crawl.lease() == []
    crawl.commit(held[2])
    assert len(crawl.lease()) == 1


def test_more_slots_are_used_once_the_host_is_touched(make: Make) -> None:
    crawl = make(per_host=1)
    crawl.put(*(f"http://a.example/{n}" for n in range(5)))
    held = crawl.one()
    crawl.frontier.configure(b"{}", Limits(delay_ms=0, per_host=3, robots=False))
    crawl.commit(held)
    assert len(crawl.lease()) == 3


def test_a_crawl_that_is_being_deleted_refuses(crawl: Crawl) -> None:
    crawl.frontier.delete()
    before = crawl.snapshot().meta
    with pytest.raises(CrawlDeleting):
        crawl.frontier.configure(b"{}", Limits())
    assert crawl.snapshot().meta == before


def test_what_is_remembered_changes_nothing_else(crawl: Crawl) -> None:
    before = crawl.snapshot().meta
    for _ in range(2):
        crawl.frontier.remember({"sources:1": b"http://a.example/"})
    after = crawl.snapshot().meta
    assert after == before | {"sources:1": "http://a.example/", "settings_rev": "2"}
