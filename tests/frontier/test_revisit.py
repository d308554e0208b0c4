"""revisit: URLs that have ended are queued again, each once, to be visited again."""

from __future__ import annotations

import msgspec
import pytest

from crawler.errors import CrawlDeleting, DamagedCrawl, OutOfMemory
from crawler.frontier import revisits, visits
from crawler.record import Request
from crawler.url_state import UrlState
from tests.frontier.crawls import BEGIN, Crawl, Make
from tests.frontier.states import ended, put_states, stored

A = "http://a.example/"
ONE, TWO, MAP = f"{A}1", f"{A}2", f"{A}sitemap.xml"
SECOND = BEGIN // 1000


def state_of(url: str, outcome: str = "fetched", **more: object) -> UrlState:
    state = UrlState(url=url, outcome=outcome, first_seen=SECOND, checked_at=SECOND, sitemap=url == MAP)
    return msgspec.structs.replace(state, **more)


def revisit(crawl: Crawl, *urls: str) -> int:
    due = [ended(crawl, url) for url in urls]
    return revisits.revisit(crawl.frontier.frontier, due)


@pytest.fixture
def done(crawl: Crawl) -> Crawl:
    """A crawl that is done: two pages, of which one failed, and a sitemap."""
    crawl.frontier.put([Request(ONE, depth=3, via="77"), Request(TWO), Request(MAP, sitemap=True)])
    states = []
    for lease in crawl.lease():
        url = crawl.url(lease)
        outcome = "failed:timeout" if url == TWO else "fetched"
        crawl.commit(lease, outcome, event="stall" if url == TWO else "ok")
        states.append(state_of(url, outcome, depth=3, via="77") if url == ONE else state_of(url, outcome))
    put_states(crawl, states)
    crawl.advance(3600)
    return crawl


def test_a_url_that_has_ended_is_queued_again_and_its_record_stays(done: Crawl) -> None:
    before = done.snapshot()
    assert revisit(done, ONE) == 1
    shot = done.snapshot()
    assert (shot.pages, shot.records) == (before.pages, before.records)
    assert (shot.counters["ended"], shot.counters["queued"], shot.counters["outcome:fetched"]) == (2, 1, 1)
    entry = done.one().entry()
    assert entry.request == Request(ONE, depth=3, via="77", revisit=True)
    assert (entry.retries, entry.crashes) == (0, 0)


def test_its_state_is_marked_and_else_as_it_was(done: Crawl) -> None:
    before = stored(done, ONE)
    revisit(done, ONE)
    assert stored(done, ONE) == msgspec.structs.replace(before, is_queued=True)


def test_sent_twice_it_queues_nothing_more(done: Crawl) -> None:
    due = [ended(done, ONE), ended(done, ONE)]
    assert revisits.revisit(done.frontier.frontier, due) == 1
    before = done.snapshot()
    assert revisits.revisit(done.frontier.frontier, due) == 0
    assert done.snapshot() == before


def test_a_state_that_has_changed_since_it_was_read_is_left_alone(done: Crawl) -> None:
    due = ended(done, ONE)
    put_states(done, [state_of(ONE, visits=2)])
    before = done.snapshot()
    assert revisits.revisit(done.frontier.frontier, [due]) == 0
    assert done.snapshot() == before


def test_a_dead_letter_is_none_any_more(done: Crawl) -> None:
    assert revisit(done, TWO) == 1
    shot = done.snapshot()
    assert (shot.failed, shot.counters["outcome:failed:timeout"]) == ({}, 0)


def test_sitemaps_come_first(done: Crawl) -> None:
    revisit(done, ONE, TWO, MAP)
    assert done.urls(done.lease(1)) == [MAP]


def test_urls_of_a_blocked_host_are_held(done: Crawl) -> None:
    done.frontier.block(["a.example"], ["a.example"])
    assert revisit(done, ONE, TWO) == 2
    assert (done.lease(), done.frontier.state().held, done.frontier.state().word) == ([], 2, "done")
    done.frontier.unblock(["a.example"], ["a.example"])
    assert len(done.lease()) == 2


def test_a_long_queue_gets_them_at_its_end(done: Crawl) -> None:
    done.link.client.hset(done.frontier.keys.meta, "overflow", 8)
    urls = [f"{A}{n}" for n in range(10)]
    done.put(*urls)
    revisit(done, ONE)
    assert done.snapshot().queues["a.example", "tail"][-1] == Request(ONE, 3, 0, "77", revisit=True).place()[1]


def test_a_host_that_failed_before_the_visit_is_asked_again(make: Make) -> None:
    crawl = make(patience_ms=1000)
    crawl.put(ONE, TWO)
    crawl.frontier.retry(crawl.one(), "fail", trouble="connect: refused")
    crawl.advance(2)
    for lease in crawl.lease():
        assert lease.unreachable
        crawl.commit(lease, "failed:connect", event="none")
    put_states(crawl, [state_of(url, "failed:connect") for url in (ONE, TWO)])
    crawl.advance(10)
    revisits.begin_visit(crawl.frontier.frontier, 2, None)
    crawl.advance(1)
    revisit(crawl, ONE)
    assert not crawl.one().unreachable
    assert "trouble" not in crawl.host("a.example")


def test_a_host_that_failed_in_the_visit_stays_given_up(make: Make) -> None:
    crawl = make(patience_ms=1000)
    crawl.put(ONE, TWO)
    for lease in crawl.lease():
        crawl.commit(lease, "fetched")
    put_states(crawl, [state_of(url) for url in (ONE, TWO)])
    revisits.begin_visit(crawl.frontier.frontier, 2, None)
    crawl.advance(1)
    revisit(crawl, ONE)
    crawl.frontier.retry(crawl.one(), "fail", trouble="connect: refused")
    crawl.advance(2)
    revisit(crawl, TWO)
    assert all(lease.unreachable for lease in crawl.lease())


def test_the_most_that_a_call_takes_goes_through(crawl: Crawl) -> None:
    urls = [f"http://{n % 7}.example/{n}" for n in range(visits.MAX_REVISITED + 1)]
    crawl.put(*urls)
    while leases := crawl.lease(100):
        crawl.frontier.run([crawl.frontier.commit_call(crawl.ending(lease)) for lease in leases])
    put_states(crawl, map(state_of, urls))
    due = [ended(crawl, url) for url in urls]
    with pytest.raises(ValueError, match="500"):
        visits.revisit(crawl.frontier.shard, due)
    assert revisits.revisit(crawl.frontier.frontier, due) == len(urls)
    assert revisits.revisit(crawl.frontier.frontier, []) == 0


def test_a_full_redis_queues_nothing(done: Crawl) -> None:
    before = done.snapshot()
    done.link.client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemory):
        revisit(done, ONE)
    assert done.snapshot() == before


@pytest.mark.parametrize("name", ["queue:a.example:1", "failed"])
def test_a_key_of_another_kind_loses_no_url(done: Crawl, name: str) -> None:
    key = done.frontier.keys.prefix + name
    done.link.client.rename(key, "kept") if done.link.client.exists(key) else None
    done.link.client.set(key, "x")
    with pytest.raises(DamagedCrawl):
        revisit(done, ONE)
    done.link.client.delete(key)
    done.link.client.rename("kept", key) if done.link.client.exists("kept") else None
    assert revisit(done, ONE) == 1


def test_a_crawl_that_is_being_deleted_queues_nothing(done: Crawl) -> None:
    due = [ended(done, ONE)]
    done.frontier.delete()
    with pytest.raises(CrawlDeleting):
        revisits.revisit(done.frontier.frontier, due)
