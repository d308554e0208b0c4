"""put: requests that were not seen before enter seen, queue and counters in one step."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting, NoCrawl, OutOfMemory
from crawler.frontier.messages import Accepted
from crawler.frontier.verbs import MAX_REQUESTS
from crawler.record import Request
from tests.frontier.crawls import Crawl, Make


def test_new_requests_are_queued_in_order(crawl: Crawl) -> None:
    urls = [f"http://a.example/{n}" for n in range(5)]
    assert crawl.put(*urls) == Accepted(5, 0, 0)
    shot = crawl.snapshot()
    assert shot.queues == {("a.example", "1"): [Request(url).place()[1] for url in urls]}
    assert shot.seen == {crawl.frontier.id(url) for url in urls}
    assert (shot.counters["accepted"], shot.counters["queued"]) == (5, 5)
    assert shot.number("a.example", "accepted") == 5


def test_sent_twice_all_are_seen_and_nothing_changes(crawl: Crawl) -> None:
    crawl.put("http://a.example/1", "http://b.example/2")
    before = crawl.snapshot()
    assert crawl.put("http://a.example/1", "http://b.example/2") == Accepted(0, 2, 0)
    assert crawl.snapshot() == before


def test_a_url_that_ended_is_seen_too(crawl: Crawl) -> None:
    crawl.put("http://a.example/1")
    crawl.commit(crawl.one())
    assert crawl.put("http://a.example/1") == Accepted(0, 1, 0)
    assert crawl.lease() == []


def test_the_same_url_twice_in_one_call_is_one(crawl: Crawl) -> None:
    assert crawl.put("http://a.example/1", "http://a.example/1") == Accepted(1, 1, 0)


def test_new_hosts_enter_ready_at_now(make: Make) -> None:
    crawl = make(delay_ms=1000)
    crawl.put("http://a.example/", "https://a.example/", "http://b.example:8080/")
    assert crawl.snapshot().ready == {"a.example": crawl.now, "b.example:8080": crawl.now}


def test_a_host_that_ran_empty_keeps_its_rest(make: Make) -> None:
    crawl = make(delay_ms=1000)
    crawl.put("http://a.example/1")
    crawl.commit(crawl.one(), rest_ms=3000)
    assert crawl.snapshot().ready == {}
    crawl.advance(1)
    crawl.put("http://a.example/2")
    assert crawl.snapshot().ready == {"a.example": crawl.now + 2000}
    assert crawl.lease() == []


def test_first_requests_go_to_the_front_in_their_order(crawl: Crawl) -> None:
    crawl.put("http://a.example/1", "http://a.example/2")
    first = [Request(f"http://a.example/{name}", 1, first=True) for name in "xy"]
    assert crawl.frontier.put([Request("http://a.example/3"), *first]) == Accepted(3, 0, 0)
    assert crawl.frontier.put(first) == Accepted(0, 2, 0)
    assert crawl.snapshot().number("a.example", "accepted") == 5
    assert crawl.urls(crawl.lease(5)) == [f"http://a.example/{name}" for name in "xy123"]


def test_sitemaps_go_first(crawl: Crawl) -> None:
    crawl.put("http://a.example/1")
    crawl.frontier.put([Request("http://a.example/sitemap.xml", sitemap=True)])
    assert crawl.urls(crawl.lease()) == ["http://a.example/sitemap.xml", "http://a.example/1"]


def test_what_a_request_says_comes_back_with_its_lease(crawl: Crawl) -> None:
    requests = [
        Request("https://a.example:80/?q=%20", depth=255, hops=7, via=str(2**63 - 1)),
        Request("http://a.example:443/", depth=0, hops=0, via=str(0x0A200D0041424344), sitemap=True),
        Request("http://[2001:db8::1]:8080/x", depth=10, hops=32, via="13"),
    ]
    crawl.frontier.put(requests)
    got = [lease.entry() for lease in crawl.lease()]
    assert sorted((entry.request for entry in got), key=repr) == sorted(requests, key=repr)
    assert {(entry.retries, entry.crashes) for entry in got} == {(0, 0)}


def test_the_budget_of_a_host_is_kept_and_the_rest_is_not_seen(make: Make) -> None:
    crawl = make(max_pages_per_host=2)
    urls = [f"http://a.example/{n}" for n in range(4)]
    assert crawl.put(*urls, "http://b.example/") == Accepted(3, 0, 2)
    assert crawl.put(*urls) == Accepted(0, 2, 2)
    shot = crawl.snapshot()
    assert shot.seen == {crawl.frontier.id(url) for url in (*urls[:2], "http://b.example/")}
    assert shot.counters["refused:budget"] == 4


def test_roots_come_along_and_their_revision_moves_when_they_are_new(crawl: Crawl) -> None:
    crawl.put("http://a.example/", roots=["a.example", "b.example"])
    assert crawl.snapshot().roots == {"a.example", "b.example"}
    assert crawl.frontier.lease(0, 90, "w").roots_rev == 1
    crawl.put(roots=["a.example"])
    assert crawl.frontier.lease(0, 90, "w").roots_rev == 1
    crawl.put(roots=["a.example", "c.example"])
    assert crawl.frontier.lease(0, 90, "w").roots_rev == 2


def test_the_source_is_kept_open(crawl: Crawl) -> None:
    crawl.put("http://a.example/", source="seeder", term=30)
    assert crawl.snapshot().sources == {"seeder": crawl.now + 30_000}
    crawl.advance(20)
    crawl.put("http://a.example/", source="seeder", term=30)
    assert crawl.snapshot().sources == {"seeder": crawl.now + 30_000}
    crawl.put("http://a.example/2")
    assert list(crawl.snapshot().sources) == ["seeder"]


def test_the_most_that_a_call_takes_goes_through(crawl: Crawl) -> None:
    requests = [Request(f"http://a.example/{n}") for n in range(MAX_REQUESTS)]
    assert crawl.frontier.put(requests) == Accepted(MAX_REQUESTS, 0, 0)
    assert crawl.snapshot().counters["queued"] == MAX_REQUESTS


def test_more_than_a_script_takes_are_refused_before_they_are_sent(crawl: Crawl) -> None:
    requests = [Request(f"http://a.example/{n}") for n in range(MAX_REQUESTS + 1)]
    with pytest.raises(ValueError, match="1000"):
        crawl.frontier.put(requests)
    assert crawl.frontier.state().accepted == 0


def test_a_full_redis_takes_nothing(crawl: Crawl) -> None:
    crawl.put("http://a.example/1")
    before = crawl.snapshot()
    crawl.link.client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemory):
        crawl.put("http://a.example/2", source="seeder", roots=["a.example"])
    with pytest.raises(OutOfMemory):
        crawl.put("http://a.example/1")
    assert crawl.snapshot() == before


def test_a_crawl_that_is_being_deleted_takes_nothing(crawl: Crawl) -> None:
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.put("http://a.example/", source="seeder", roots=["a.example"])
    shot = crawl.snapshot()
    assert (shot.seen, shot.queues, shot.sources, shot.roots) == (set(), {}, {}, set())


def test_another_generation_takes_nothing(crawl: Crawl) -> None:
    crawl.link.client.hset(crawl.frontier.keys.meta, "generation", "another")
    with pytest.raises(NoCrawl):
        crawl.put("http://a.example/")
    assert crawl.snapshot().seen == set()


def test_a_crawl_that_is_gone_is_not_rebuilt(crawl: Crawl) -> None:
    crawl.link.client.delete(crawl.frontier.keys.meta)
    with pytest.raises(NoCrawl):
        crawl.put("http://a.example/", source="seeder", roots=["a.example"])
    assert crawl.link.client.keys("crawler:*") == []


def test_a_site_has_a_budget_over_its_hosts(make: Make) -> None:
    crawl = make(max_pages_per_site=3)
    assert crawl.put(*(f"http://{n}.a.example/" for n in range(2)), "http://a.example/") == Accepted(3, 0, 0)
    assert crawl.put("http://9.a.example/", "http://0.a.example/", "http://b.example/") == Accepted(1, 1, 1)
    shot = crawl.snapshot()
    assert (shot.sites, shot.counters["refused:site-budget"]) == ({"a.example": (3, 3), "b.example": (1, 1)}, 1)


def test_a_site_has_a_budget_of_hosts(make: Make) -> None:
    """Those that it has go on; what is refused is not seen, so it can come again."""
    crawl = make(max_hosts_per_site=2)
    crawl.put("http://1.a.example/", "http://2.a.example/")
    assert crawl.put("http://3.a.example/") == Accepted(0, 0, 1)
    assert crawl.put("http://1.a.example/more") == Accepted(1, 0, 0)
    shot = crawl.snapshot()
    assert (shot.counters["refused:site-hosts"], len(shot.seen)) == (1, 3)


def test_an_address_is_a_site_by_itself(make: Make) -> None:
    crawl = make(max_pages_per_site=2, max_hosts_per_site=1)
    for host in ("192.0.2.1", "192.0.2.2:81", "[2001:db8::1]", "localhost"):
        assert crawl.put(*(f"http://{host}/{n}" for n in range(3))) == Accepted(2, 0, 1)
    assert crawl.snapshot().sites == {}


def test_seeds_may_be_on_any_number_of_hosts(make: Make) -> None:
    """Their budgets of pages hold all the same."""
    crawl = make(max_hosts_per_site=1, max_pages_per_host=1)
    urls = [f"http://{n}.a.example/" for n in range(3)]
    assert crawl.put(*urls, f"{urls[0]}more", source="seeder") == Accepted(3, 0, 1)
    assert crawl.put("http://9.a.example/") == Accepted(0, 0, 1)


def test_sitemaps_have_no_budget(make: Make) -> None:
    crawl = make(max_pages_per_host=2, max_pages_per_site=2, max_hosts_per_site=1)
    sitemaps = [Request(f"http://a.example/{n}.xml", sitemap=True) for n in range(5)]
    assert crawl.frontier.put(sitemaps) == Accepted(5, 0, 0)
    assert crawl.put(*(f"http://a.example/{n}" for n in range(3))) == Accepted(2, 0, 1)
    assert crawl.snapshot().sites == {"a.example": (2, 1)}
