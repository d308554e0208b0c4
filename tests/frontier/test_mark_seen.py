"""mark_seen: links to what another crawl has fetched are refused from now on."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting, NoCrawl, OutOfMemory
from crawler.frontier import seen_before
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.verbs import MAX_REQUESTS
from crawler.url import Form
from tests.frontier.crawls import Crawl

NUMBERS = [0, 7, (1 << 63) - 1, 1 << 40]


def revision(crawl: Crawl) -> int:
    return int(crawl.crawldb.meta().get("settings_rev", 0))


def test_what_is_marked_is_found_and_nothing_else(crawl: Crawl) -> None:
    assert not crawl.crawldb.hosts.has_seen_before()
    assert crawl.frontier.mark_seen(NUMBERS) == 4
    assert crawl.crawldb.hosts.has_seen_before()
    assert crawl.crawldb.hosts.seen_before([*NUMBERS, 8]) == [True] * 4 + [False]
    assert crawl.crawldb.hosts.seen_before([]) == []


def test_marked_twice_changes_nothing(crawl: Crawl) -> None:
    assert crawl.frontier.mark_seen(NUMBERS[:2]) == 2
    assert crawl.frontier.mark_seen(NUMBERS) == 2
    assert crawl.frontier.mark_seen(NUMBERS) == 0


def test_workers_are_told_once_that_there_are_any(crawl: Crawl) -> None:
    before = revision(crawl)
    crawl.frontier.mark_seen(NUMBERS[:1])
    crawl.frontier.mark_seen(NUMBERS)
    assert revision(crawl) == before + 1


def test_a_call_without_numbers_says_that_another_shard_has_some(crawl: Crawl) -> None:
    assert crawl.frontier.mark_seen([]) == 0
    assert crawl.crawldb.hosts.has_seen_before()


def test_more_than_one_call_takes_is_refused(crawl: Crawl) -> None:
    with pytest.raises(ValueError, match="at most 1000"):
        crawl.frontier.mark_seen(range(MAX_REQUESTS + 1))


def test_a_full_redis_takes_none(crawl: Crawl) -> None:
    crawl.link.client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemory):
        crawl.frontier.mark_seen(NUMBERS)
    assert not crawl.crawldb.hosts.has_seen_before()


def test_a_crawl_that_is_gone_or_going_refuses(crawl: Crawl) -> None:
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.frontier.mark_seen(NUMBERS)
    crawl.crawldb.sweep()
    with pytest.raises(NoCrawl):
        crawl.frontier.mark_seen(NUMBERS)


def test_they_are_divided_among_the_shards_and_swept_with_them(link: Connection) -> None:
    frontier = Frontier.create(link, "divided", Identity.new(Form(), 3), b"{}", Limits())
    numbers = [number * 0x9E3779B97F4A7C15 % (1 << 63) for number in range(300)]
    assert seen_before.mark(frontier, numbers) == 300
    hosts = frontier.crawldb.hosts
    assert all(hosts.seen_before(numbers))
    assert not any(hosts.seen_before([number ^ 1 for number in numbers]))
    found = [len(link.client.keys(f"{shard.keys.prefix}seen_before:*")) for shard in frontier.shards]
    assert min(found) > 50
    frontier.delete()
    frontier.crawldb.sweep()
    assert link.client.keys("crawler:*seen_before*") == []
