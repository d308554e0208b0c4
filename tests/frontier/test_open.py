"""open: while a source seeds, the crawl is not done."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting
from tests.frontier.crawls import Crawl


def test_an_open_source_keeps_the_crawl_from_being_done(crawl: Crawl) -> None:
    assert crawl.frontier.done()
    crawl.frontier.open("seeder", 60)
    assert not crawl.frontier.done()
    assert (crawl.frontier.state().sources, crawl.frontier.state().word) == (1, "seeding")
    assert crawl.frontier.lease(0, 90, "w").sources == 1


def test_a_crawl_that_waits_for_its_seeder_says_so(crawl: Crawl) -> None:
    crawl.frontier.open("seeder", 60)
    crawl.put("http://a.example/")
    crawl.commit(crawl.one())
    assert crawl.frontier.state().word == "seeding"


def test_a_source_that_died_expires_at_its_term(crawl: Crawl) -> None:
    crawl.frontier.open("seeder", 60)
    crawl.advance(59.999)
    assert crawl.frontier.state().sources == 1
    crawl.advance(0.001)
    assert crawl.frontier.state().sources == 0
    assert crawl.frontier.done()


def test_opened_twice_it_is_one_source_of_the_later_term(crawl: Crawl) -> None:
    crawl.frontier.open("seeder", 60)
    crawl.advance(30)
    crawl.frontier.open("seeder", 60)
    crawl.advance(59)
    assert crawl.frontier.state().sources == 1


def test_sources_are_counted_apart(crawl: Crawl) -> None:
    crawl.frontier.open("one", 60)
    crawl.frontier.open("other", 60)
    assert crawl.frontier.state().sources == 2


def test_a_full_redis_lets_a_seeder_stay_open(crawl: Crawl) -> None:
    """It waits for room, and the crawl is not done meanwhile."""
    crawl.frontier.open("one", 60)
    crawl.advance(59)
    crawl.link.client.config_set("maxmemory", 1)
    crawl.frontier.open("one", 60)
    crawl.link.client.config_set("maxmemory", 0)
    crawl.advance(59)
    assert crawl.frontier.state().sources == 1


def test_a_crawl_that_is_being_deleted_refuses(crawl: Crawl) -> None:
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.frontier.open("seeder", 60)
    assert crawl.snapshot().sources == {}
