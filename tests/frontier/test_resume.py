"""resume: URLs are handed out again."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting
from tests.frontier.crawls import Crawl


def test_leasing_goes_on_and_a_worker_is_woken(crawl: Crawl) -> None:
    crawl.put("http://a.example/1")
    crawl.frontier.pause()
    crawl.link.client.delete(crawl.frontier.keys.wake)
    crawl.frontier.resume()
    assert crawl.snapshot().wake == 1
    assert len(crawl.lease()) == 1


def test_sent_twice_or_to_a_running_crawl_it_is_fine(crawl: Crawl) -> None:
    crawl.frontier.resume()
    crawl.frontier.resume()
    assert crawl.frontier.state().state == "running"


def test_a_crawl_that_is_being_deleted_refuses(crawl: Crawl) -> None:
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.frontier.resume()
    assert crawl.frontier.state().state == "deleting"
