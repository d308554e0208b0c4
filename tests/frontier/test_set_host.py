"""set_host: a setting of some hosts counts for them in place of the crawl's."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting, NoCrawl
from crawler.frontier import blocks
from tests.frontier.crawls import Crawl, Make

A, B = "a.example", "w.b.example"


def set_delay(crawl: Crawl, ms: str, *names: str) -> int:
    return blocks.set_for(crawl.frontier.frontier, names, "delay", ms)


def delays(crawl: Crawl) -> dict[str, int]:
    """Of each host that gives a URL."""
    return {lease.host: lease.delay_ms for lease in crawl.lease()}


def test_a_delay_of_its_own(make: Make) -> None:
    crawl = make(delay_ms=1000)
    crawl.put(*(f"http://{host}/{n}" for host in (A, B) for n in range(2)))
    assert set_delay(crawl, "5000", A) == 1
    assert delays(crawl) == {A: 5000, B: 1000}
    crawl.advance(4.9)
    assert delays(crawl) == {B: 1000}
    crawl.advance(0.1)
    assert delays(crawl) == {A: 5000}
    assert crawl.frontier.explain(A).delay_ms == 5000
    assert {row.host: row.delay_ms for row in crawl.crawldb.hosts.all()} == {A: 5000, B: 1000}


def test_robots_txt_may_ask_for_more(make: Make) -> None:
    crawl = make(delay_ms=1000, robots=True)
    crawl.put(f"http://{A}/1")
    set_delay(crawl, "0", A)
    crawl.frontier.robots(crawl.one(), "ok", crawl_delay=7.0)
    assert crawl.one().delay_ms == 7000


def test_slots_of_its_own(make: Make) -> None:
    crawl = make(per_host=1)
    crawl.put(*(f"http://{host}/{n}" for host in (A, B) for n in range(5)))
    blocks.set_for(crawl.frontier.frontier, [A], "per_host", "3")
    leases = crawl.lease(9)
    assert sorted(lease.host for lease in leases) == [A, A, A, B]
    assert crawl.frontier.explain(A).waits == "slot"
    blocks.set_for(crawl.frontier.frontier, [A], "per_host", "4")
    assert [lease.host for lease in crawl.lease(9)] == [A]
    blocks.set_for(crawl.frontier.frontier, [A], "per_host", "")
    for lease in leases:
        crawl.commit(lease)
    assert crawl.lease(9, call="x")[0].host == B
    assert A not in crawl.snapshot().ready


def test_a_budget_of_its_own(make: Make) -> None:
    crawl = make(max_pages_per_host=2)
    blocks.set_for(crawl.frontier.frontier, [A, "*.c.example"], "max_pages_per_host", "3")
    for host, room in ((A, 3), (B, 2), ("c.example", 3)):
        asked = [f"http://{host}/{n}" for n in range(5)]
        assert (crawl.put(*asked).new, crawl.put(*asked).new) == (room, 0)
        assert crawl.frontier.explain(host).refusal == "budget"
    blocks.set_for(crawl.frontier.frontier, [A], "max_pages_per_host", "4")
    assert crawl.put(*(f"http://{A}/{n}" for n in range(5))).new == 1
    blocks.set_for(crawl.frontier.frontier, [A], "max_pages_per_host", "")
    assert crawl.put(f"http://{A}/9").new == 0


def test_hosts_that_are_met_later_obey_the_nearest_name(make: Make) -> None:
    crawl = make(delay_ms=1000)
    assert set_delay(crawl, "3000", "*.example") == 0
    set_delay(crawl, "4000", "*.b.example")
    set_delay(crawl, "5000", "v.b.example")
    crawl.put(*(f"http://{host}/" for host in (A, B, "v.b.example", "c.test")))
    assert delays(crawl) == {A: 3000, B: 4000, "v.b.example": 5000, "c.test": 1000}
    assert crawl.crawldb.hosts.settings() == {
        "delay *.example": 3000,
        "delay *.b.example": 4000,
        "delay v.b.example": 5000,
    }


def test_what_is_taken_away_gives_way_to_the_next_name(make: Make) -> None:
    crawl = make(delay_ms=1000)
    crawl.put(f"http://{B}/")
    set_delay(crawl, "3000", "*.example")
    set_delay(crawl, "4000", "*.b.example")
    found = [crawl.frontier.explain(B).delay_ms]
    for name in ("*.b.example", "*.example"):
        set_delay(crawl, "", name)
        found.append(crawl.frontier.explain(B).delay_ms)
    assert found == [4000, 3000, 1000]
    assert crawl.crawldb.hosts.settings() == {}


@pytest.mark.parametrize("value", ["nan", "", "-5", "x"])
def test_a_value_that_is_none_counts_for_nothing(make: Make, value: str) -> None:
    """Something else wrote it."""
    crawl = make(delay_ms=1000, per_host=1)
    crawl.put(f"http://{A}/1", f"http://{A}/2")
    crawl.link.client.hset(crawl.frontier.keys.host(A), mapping={"own_delay": value, "own_per_host": value})
    assert len(crawl.lease()) == 1
    crawl.link.client.hdel(crawl.frontier.keys.host(A), "own_delay", "own_per_host")


def test_it_may_be_repeated_and_goes_through_when_redis_is_full(make: Make) -> None:
    crawl = make(delay_ms=1000)
    crawl.put(f"http://{A}/")
    crawl.link.client.config_set("maxmemory", 1)
    assert set_delay(crawl, "5000", A) == 1
    before = crawl.snapshot()
    assert set_delay(crawl, "5000", A) == 1
    assert crawl.snapshot() == before


def test_a_crawl_that_is_gone_or_being_deleted(crawl: Crawl) -> None:
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        set_delay(crawl, "5", A)
    crawl.link.client.delete(crawl.frontier.keys.meta)
    with pytest.raises(NoCrawl):
        set_delay(crawl, "5", A)
