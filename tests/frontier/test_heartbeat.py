"""heartbeat: a worker says what it is doing."""

from __future__ import annotations

import pytest

from crawler.errors import NoCrawl
from tests.frontier.crawls import Crawl


def test_the_last_word_of_each_worker_is_kept(crawl: Crawl) -> None:
    crawl.frontier.heartbeat("one", b'{"pages":1}')
    crawl.frontier.heartbeat("two", b'{"pages":5}')
    crawl.frontier.heartbeat("one", b'{"pages":2}')
    workers = crawl.snapshot().workers
    assert workers == {"one": f'{crawl.now} {{"pages":2}}'.encode(), "two": f'{crawl.now} {{"pages":5}}'.encode()}


def test_the_ledger_tells_them_with_their_age(crawl: Crawl) -> None:
    crawl.frontier.heartbeat("one", b'{"pages":1}')
    (heartbeat,) = crawl.crawldb.workers()
    assert (heartbeat.worker, heartbeat.facts) == ("one", {"pages": 1})
    assert heartbeat.age > 0


def test_an_empty_word_is_a_good_bye(crawl: Crawl) -> None:
    crawl.frontier.heartbeat("one", b"{}")
    crawl.frontier.heartbeat("one", b"")
    crawl.frontier.heartbeat("one", b"")
    assert crawl.snapshot().workers == {}


def test_who_leaves_wakes_the_next_one_that_waits(crawl: Crawl) -> None:
    crawl.frontier.heartbeat("one", b"{}")
    crawl.frontier.heartbeat("two", b"{}")
    assert crawl.snapshot().wake == 0
    crawl.link.client.config_set("maxmemory", 1)
    crawl.frontier.heartbeat("one", b"")
    assert crawl.snapshot().wake == 1
    crawl.frontier.heartbeat("two", b"")
    assert crawl.snapshot().wake == 1


def test_it_goes_through_when_redis_is_full(crawl: Crawl) -> None:
    crawl.link.client.config_set("maxmemory", 1)
    crawl.frontier.heartbeat("one", b"{}")
    assert list(crawl.snapshot().workers) == ["one"]


def test_a_crawl_that_is_gone_is_refused(crawl: Crawl) -> None:
    crawl.link.client.delete(crawl.frontier.keys.meta)
    with pytest.raises(NoCrawl):
        crawl.frontier.heartbeat("one", b"{}")
    assert crawl.link.client.keys("crawler:*") == []
