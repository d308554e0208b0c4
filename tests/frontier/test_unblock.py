"""unblock: hosts are ready again at once, as far as no other name blocks them."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting, NoCrawl
from crawler.frontier import blocks
from tests.frontier.crawls import Crawl, Make

A = "a.example"


@pytest.fixture
def held(crawl: Crawl) -> Crawl:
    """A crawl whose only host is blocked, with three URLs."""
    crawl.put(*(f"http://{A}/{n}" for n in range(3)))
    blocks.block(crawl.frontier.frontier, [A])
    return crawl


def unblock(crawl: Crawl, *names: str) -> tuple[int, int]:
    return blocks.unblock(crawl.frontier.frontier, names)


def test_each_url_is_handed_out_once_in_its_order(held: Crawl) -> None:
    assert held.lease() == []
    assert unblock(held, A) == (1, 3)
    assert held.urls(held.lease()) == [f"http://{A}/{n}" for n in range(3)]
    assert held.snapshot().counters["held"] == 0


def test_a_rest_of_the_host_is_kept(make: Make) -> None:
    crawl = make(delay_ms=10_000)
    crawl.put(f"http://{A}/1", f"http://{A}/2")
    crawl.commit(crawl.one())
    blocks.block(crawl.frontier.frontier, [A])
    unblock(crawl, A)
    assert crawl.lease() == []
    crawl.advance(10)
    assert crawl.urls(crawl.lease()) == [f"http://{A}/2"]


def test_another_name_still_blocks_it(held: Crawl) -> None:
    blocks.block(held.frontier.frontier, ["*.example"])
    assert unblock(held, A) == (1, 0)
    assert held.lease() == []
    assert unblock(held, "*.example") == (1, 3)
    assert len(held.lease()) == 3


def test_links_are_accepted_again(held: Crawl) -> None:
    assert held.put(f"http://{A}/new").over_budget == 1
    unblock(held, A)
    assert held.put(f"http://{A}/new").new == 1


def test_a_name_that_is_not_blocked(held: Crawl) -> None:
    before = held.snapshot()
    assert unblock(held, "b.example", "*.a.example") == (0, 0)
    assert held.snapshot() == before


def test_one_that_died_on_its_way_is_finished_by_the_next(held: Crawl) -> None:
    held.frontier.unblock([A])
    assert held.lease() == []
    assert unblock(held, A) == (0, 3)
    assert len(held.lease()) == 3


def test_a_page_that_comes_back_between_its_two_calls_is_counted(crawl: Crawl) -> None:
    crawl.put(f"http://{A}/")
    lease = crawl.one()
    blocks.block(crawl.frontier.frontier, [A])
    crawl.frontier.unblock([A])
    crawl.frontier.release([lease.token])
    assert crawl.snapshot().counters["held"] == 1
    assert unblock(crawl, A) == (0, 1)
    assert crawl.snapshot().counters["held"] == 0


def test_a_url_that_is_accepted_between_its_two_calls_is_counted(held: Crawl) -> None:
    held.frontier.unblock([A])
    assert held.put(f"http://{A}/new").new == 1
    assert held.snapshot().counters["held"] == 4
    assert unblock(held, A) == (0, 4)
    assert len(held.lease()) == 4


def test_it_may_be_repeated(held: Crawl) -> None:
    unblock(held, A)
    before = held.snapshot()
    assert unblock(held, A) == (0, 0)
    assert held.snapshot() == before


def test_a_full_redis_unblocks_all_the_same(held: Crawl) -> None:
    held.link.client.config_set("maxmemory", 1)
    assert unblock(held, A) == (1, 3)


def test_a_crawl_that_is_gone_or_being_deleted(held: Crawl) -> None:
    held.frontier.delete()
    with pytest.raises(CrawlDeleting):
        held.frontier.unblock([A])
    held.link.client.delete(held.frontier.keys.meta)
    with pytest.raises(NoCrawl):
        held.frontier.unblock([A])
