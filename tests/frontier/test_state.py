"""state: what the crawl is at, read without a trace."""

from __future__ import annotations

import pytest

from crawler.errors import NoCrawl
from tests.frontier.crawls import Crawl, Make


def test_the_words_of_a_crawl_s_life(make: Make) -> None:
    crawl = make(delay_ms=1000)
    words = [crawl.frontier.state().word]
    crawl.frontier.open("seeder", 60)
    words.append(crawl.frontier.state().word)
    crawl.put("http://a.example/1", "http://a.example/2")
    crawl.frontier.close("seeder")
    words.append(crawl.frontier.state().word)
    lease = crawl.one()
    words.append(crawl.frontier.state().word)
    crawl.frontier.pause()
    words.append(crawl.frontier.state().word)
    crawl.frontier.resume()
    crawl.commit(lease)
    crawl.advance(1)
    crawl.commit(crawl.one())
    words.append(crawl.frontier.state().word)
    crawl.frontier.delete()
    words.append(crawl.frontier.state().word)
    assert words == ["empty", "seeding", "waiting", "running", "paused", "done", "deleting"]


def test_the_numbers(make: Make) -> None:
    crawl = make(delay_ms=1000)
    crawl.put("http://a.example/1", "http://a.example/2", "http://a.example/3")
    crawl.commit(crawl.one())
    crawl.advance(1)
    crawl.one()
    state = crawl.frontier.state()
    assert (state.accepted, state.queued, state.leased, state.ended, state.sources) == (3, 1, 1, 1, 0)
    assert not state.idle


def test_the_wait_is_until_the_next_host_is_due(make: Make) -> None:
    crawl = make(delay_ms=1000, per_host=2)
    crawl.put("http://a.example/1", "http://a.example/2")
    assert crawl.frontier.state().wait_ms == 0
    crawl.one()
    crawl.advance(0.4)
    assert crawl.frontier.state().wait_ms == 600
    crawl.advance(0.6)
    crawl.one()
    assert crawl.frontier.state().wait_ms == -1


def test_a_limit_is_told_once_the_last_page_has_ended(make: Make) -> None:
    crawl = make(max_pages=1)
    crawl.put("http://a.example/1", "http://a.example/2")
    lease = crawl.one()
    assert crawl.frontier.state().word == "running"
    crawl.commit(lease)
    assert crawl.frontier.state().word == "limit"


def test_it_writes_nothing(crawl: Crawl) -> None:
    crawl.put("http://a.example/1")
    before = crawl.snapshot()
    crawl.frontier.state()
    crawl.frontier.done()
    assert crawl.snapshot() == before


def test_it_is_told_when_redis_is_full(crawl: Crawl) -> None:
    crawl.put("http://a.example/1")
    crawl.link.client.config_set("maxmemory", 1)
    assert crawl.frontier.state().queued == 1


def test_a_crawl_that_is_gone_is_refused(crawl: Crawl) -> None:
    crawl.link.client.delete(crawl.frontier.keys.meta)
    with pytest.raises(NoCrawl):
        crawl.frontier.state()
