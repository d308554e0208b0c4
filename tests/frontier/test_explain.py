"""explain: how a host stands and how the rules judge it, by the functions that the other verbs use."""

from __future__ import annotations

import pytest

from crawler.errors import NoCrawl
from crawler.frontier.host_facts import HostFacts
from crawler.frontier.messages import Event, Limits
from crawler.frontier.redis.connection import Connection
from crawler.record import Request
from tests.frontier.crawls import Crawl, Make
from tests.frontier.shards import SHARDS, Sharded, host_in, url_in

A = "a.example"


def seeded(crawl: Crawl, n: int = 3) -> Crawl:
    """Pages of one host are queued."""
    crawl.put(*(f"http://{A}/{k}" for k in range(n)))
    return crawl


def waits(crawl: Crawl) -> str:
    return str(crawl.frontier.explain(A).waits)


def accepts(crawl: Crawl, url: str) -> bool:
    """Whether a link to *url* is accepted."""
    return crawl.frontier.put([Request(url, depth=1)]).new == 1


def test_a_host_that_the_crawl_has_not_met(make: Make) -> None:
    crawl = make(delay_ms=700, adaptive=9.0)
    for name in ("", A):
        assert crawl.frontier.explain(name) == HostFacts(0, 0, 0, 0, 0, 0, 0, 0, delay_ms=700)


def test_what_is_known_of_a_host(make: Make) -> None:
    crawl = seeded(make(delay_ms=1000, adaptive=4.0))
    crawl.commit(crawl.one(), latency_ms=500, event="slow", rest_ms=9_000)
    crawl.link.client.hset(crawl.frontier.keys.host(A), "delay", 1500)
    crawl.advance(2)
    assert crawl.frontier.explain(A) == HostFacts(
        *(2, 0, 3, 500, 1500, 1000), rest_ms=7_000, failing_ms=0, delay_ms=2000, waits="due", done=1
    )


def test_the_delay_is_the_one_that_leases_obey(make: Make) -> None:
    crawl = seeded(make(delay_ms=1000, adaptive=4.0), 9)
    for latency in (10, 5_000, 1_000_000):
        crawl.advance(60)
        crawl.commit(crawl.one(), latency_ms=latency)
        crawl.advance(60)
        lease = crawl.one()
        assert crawl.frontier.explain(A).delay_ms == lease.delay_ms
        assert crawl.frontier.explain(A).rest_ms == lease.delay_ms
        crawl.frontier.release([lease.token])


def test_what_its_pages_wait_for(make: Make) -> None:
    crawl = seeded(make(robots=True, delay_ms=1000, per_host=1))
    found = [waits(crawl)]
    robots = crawl.one()
    found.append(waits(crawl))
    crawl.frontier.robots(robots, "ok")
    found.append(waits(crawl))
    crawl.advance(1)
    page = crawl.one()
    found.append(waits(crawl))
    crawl.commit(page)
    crawl.advance(1)
    found.append(waits(crawl))
    assert found == ["", "robots", "due", "slot", ""]


@pytest.mark.parametrize(("event", "trouble"), [("hang", "hang"), ("untrusted", "tls"), ("dead", "dns")])
def test_the_trouble_of_a_host_that_was_given_up(make: Make, event: Event, trouble: str) -> None:
    crawl = seeded(make(robots=True))
    while not crawl.frontier.explain(A).trouble:
        crawl.frontier.robots(crawl.one(), event)
        crawl.advance(30)
    assert crawl.frontier.explain(A).trouble == crawl.one().trouble == trouble
    assert crawl.frontier.explain(A).failing_ms == 0


def test_a_host_is_away_when_the_patience_is_over(make: Make) -> None:
    crawl = seeded(make(patience_ms=60_000))
    crawl.frontier.retry(crawl.one(), "fail")
    crawl.advance(60)
    facts = crawl.frontier.explain(A)
    assert (facts.trouble, facts.failing_ms, facts.backoff_ms) == ("", 60_000, 1000)
    crawl.advance(0.001)
    assert crawl.frontier.explain(A).trouble == crawl.one().trouble == "away"


@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        ({}, ""),
        ({"max_pages_per_host": 2}, "budget"),
        ({"max_pages_per_site": 2}, "site-budget"),
        ({"max_hosts_per_site": 2}, "site-hosts"),
    ],
)
def test_the_budget_that_refuses_a_link(make: Make, limits: dict[str, int], refusal: str) -> None:
    crawl = make(**limits)
    crawl.put("http://w.site.example/1")
    assert crawl.frontier.explain("w.site.example").refusal == crawl.frontier.explain("v.site.example").refusal == ""
    crawl.put("http://w.site.example/2", "http://v.site.example/")
    host = "new.site.example" if refusal == "site-hosts" else "w.site.example"
    assert crawl.frontier.explain(host).refusal == refusal
    assert accepts(crawl, f"http://{host}/3") == (not refusal)
    if refusal:
        assert crawl.snapshot().counters[f"refused:{refusal}"] >= 1


def test_a_site_that_fills_redis_gets_no_link(crawl: Crawl) -> None:
    crawl.put("http://w.site.example/1")
    crawl.frontier.bound("site.example")
    assert crawl.frontier.explain("w.site.example").refusal == "site-queue"
    assert not accepts(crawl, "http://w.site.example/2")


def test_it_leaves_no_trace_and_may_be_repeated(make: Make) -> None:
    crawl = seeded(make(delay_ms=1000))
    crawl.one()
    before = crawl.snapshot()
    assert crawl.frontier.explain(A) == crawl.frontier.explain(A)
    assert crawl.snapshot() == before


def test_numbers_that_are_none_count_for_nothing(crawl: Crawl) -> None:
    seeded(crawl)
    names = ("queued", "in_flight", "accepted", "latency", "delay", "backoff", "due", "failing_since")
    crawl.link.client.hset(crawl.frontier.keys.host(A), mapping=dict.fromkeys(names, "nan"))
    assert crawl.frontier.explain(A) == HostFacts(0, 0, 0, 0, 0, 0, 0, 0, delay_ms=0)
    crawl.link.client.flushdb()


def test_a_host_is_looked_for_in_its_shard(link: Connection) -> None:
    crawl = Sharded(link)
    crawl.seed(*(url_in(shard, f"/{n}") for shard in range(SHARDS) for n in range(shard + 1)))
    assert [crawl.frontier.explain(host_in(shard)).queued for shard in range(SHARDS)] == [1, 2, 3]


def test_a_crawl_that_is_paused_or_over_is_explained(crawl: Crawl) -> None:
    seeded(crawl).frontier.pause()
    assert crawl.frontier.explain(A).queued == 3
    crawl.frontier.configure(b"{}", Limits(max_pages=1, per_host=10, delay_ms=0, robots=False))
    assert crawl.frontier.explain(A).refusal == ""


def test_a_crawl_that_is_gone(crawl: Crawl) -> None:
    crawl.link.client.delete(crawl.frontier.keys.meta)
    with pytest.raises(NoCrawl):
        crawl.frontier.explain(A)
