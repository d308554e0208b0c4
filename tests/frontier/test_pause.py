"""pause: nothing more is handed out; what is in flight ends."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting
from tests.frontier.crawls import Crawl


def test_nothing_is_leased_and_new_urls_are_taken(crawl: Crawl) -> None:
    crawl.put("http://a.example/1")
    lease = crawl.one()
    crawl.frontier.pause()
    crawl.put("http://a.example/2")
    assert crawl.lease() == []
    crawl.commit(lease, links=["http://a.example/3"])
    assert crawl.frontier.state().queued == 2


def test_sent_twice_it_stays_paused(crawl: Crawl) -> None:
    crawl.frontier.pause()
    before = crawl.snapshot()
    crawl.frontier.pause()
    assert crawl.snapshot() == before
    assert crawl.frontier.state().state == "paused"


def test_it_goes_through_when_redis_is_full_and_so_does_resume(crawl: Crawl) -> None:
    crawl.link.client.config_set("maxmemory", 1)
    crawl.frontier.pause()
    assert crawl.frontier.state().state == "paused"
    crawl.frontier.resume()
    assert crawl.frontier.state().state == "running"


def test_a_crawl_that_is_being_deleted_refuses(crawl: Crawl) -> None:
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.frontier.pause()
    assert crawl.frontier.state().state == "deleting"
