"""bound: a site that fills Redis gets no new links while Redis is over half full."""

from __future__ import annotations

import pytest

from crawler.errors import NoCrawl
from crawler.frontier.bounds import bound
from crawler.frontier.redis.connection import Connection
from crawler.record import Request
from tests.frontier.crawls import Crawl, Make

HEAVY = [f"http://n{n % 9}.heavy.example/{'x' * 900}{n}" for n in range(4_000)]


@pytest.fixture
def crawl(make: Make, link: Connection) -> Crawl:
    """A crawl with two sites, on a Redis that has a limit and is over half full."""
    crawl = make()
    crawl.put("http://light.example/")
    for at in range(0, len(HEAVY), 1000):
        crawl.put(*HEAVY[at : at + 1000])
    link.client.config_set("maxmemory", int(link.client.info("memory")["used_memory"] * 1.5))
    return crawl


@pytest.fixture(autouse=True)
def no_limit(link: Connection):  # type: ignore[no-untyped-def]
    yield
    link.client.config_set("maxmemory", 0)


def links(crawl: Crawl, *urls: str) -> tuple[int, int]:
    """How many of these are accepted as links, and how many are refused."""
    accepted = crawl.frontier.put([Request(url, depth=1) for url in urls])
    return accepted.new, accepted.over_budget


NEW = ("http://n1.heavy.example/new", "http://m.heavy.example/new", "http://light.example/new", "http://other.example/")


def test_the_site_that_fills_it_gets_no_new_links_and_others_do(crawl: Crawl) -> None:
    assert bound(crawl.frontier.frontier) == ["heavy.example"]
    assert links(crawl, *NEW) == (2, 2)
    assert crawl.snapshot().counters["refused:site-queue"] == 2


def test_it_is_said_once(crawl: Crawl) -> None:
    assert bound(crawl.frontier.frontier) == ["heavy.example"]
    assert bound(crawl.frontier.frontier) == []


def test_seeds_are_taken_all_the_same(crawl: Crawl) -> None:
    bound(crawl.frontier.frontier)
    assert crawl.put("http://n1.heavy.example/new", source="s").new == 1


def test_it_gets_them_again_when_there_is_room(crawl: Crawl) -> None:
    bound(crawl.frontier.frontier)
    crawl.link.client.config_set("maxmemory", int(crawl.link.client.info("memory")["used_memory"] * 3))
    assert bound(crawl.frontier.frontier) == []
    assert links(crawl, *NEW) == (4, 0)


def test_without_a_limit_nothing_is_refused(crawl: Crawl) -> None:
    crawl.link.client.config_set("maxmemory", 0)
    assert bound(crawl.frontier.frontier) == []
    assert links(crawl, *NEW) == (4, 0)


def test_where_queues_are_not_what_fills_it_nothing_is_refused(make: Make, link: Connection) -> None:
    crawl = make()
    crawl.put("http://light.example/1", "http://light.example/2")
    link.client.set("other", b"x" * 5_000_000)
    link.client.config_set("maxmemory", int(link.client.info("memory")["used_memory"] * 1.2))
    assert bound(crawl.frontier.frontier) == []


def test_another_generation_is_refused(crawl: Crawl) -> None:
    crawl.link.client.hset(crawl.frontier.keys.meta, "generation", "other")
    with pytest.raises(NoCrawl):
        bound(crawl.frontier.frontier)
