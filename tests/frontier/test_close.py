"""close: a source has put all it had, so the crawl can be done."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting
from crawler.frontier.redis.connection import Connection
from tests.frontier.crawls import Crawl


def test_a_closed_source_lets_the_crawl_be_done(crawl: Crawl) -> None:
    crawl.frontier.open("one", 60)
    crawl.frontier.open("other", 60)
    crawl.frontier.close("one")
    assert crawl.frontier.state().sources == 1
    crawl.frontier.close("other")
    assert crawl.frontier.done()


def test_closed_twice_or_never_opened_is_fine(crawl: Crawl) -> None:
    crawl.frontier.open("one", 60)
    crawl.frontier.close("one")
    crawl.frontier.close("one")
    crawl.frontier.close("never")
    assert crawl.snapshot().sources == {}


def test_idle_workers_are_woken_to_see_whether_it_is_over(link: Connection, crawl: Crawl) -> None:
    crawl.frontier.open("one", 60)
    assert crawl.snapshot().wake == 0
    crawl.frontier.close("one")
    assert crawl.snapshot().wake == 1


def test_it_goes_through_when_redis_is_full(crawl: Crawl) -> None:
    crawl.frontier.open("one", 60)
    crawl.link.client.config_set("maxmemory", 1)
    crawl.frontier.close("one")
    assert crawl.snapshot().sources == {}


def test_a_crawl_that_is_being_deleted_refuses(crawl: Crawl) -> None:
    crawl.frontier.open("one", 60)
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.frontier.close("one")
    assert list(crawl.snapshot().sources) == ["one"]
