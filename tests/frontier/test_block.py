"""block: no URL of a host is handed out or accepted; its queue stays as it is."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting, NoCrawl
from crawler.frontier import blocks
from crawler.record import Request
from tests.frontier.crawls import Crawl, Make

A, B = "a.example", "b.example"


def seeded(crawl: Crawl, n: int = 3, hosts: tuple[str, ...] = (A, B)) -> Crawl:
    crawl.put(*(f"http://{host}/{k}" for host in hosts for k in range(n)))
    return crawl


def block(crawl: Crawl, *names: str) -> tuple[int, int]:
    return blocks.block(crawl.frontier.frontier, names)


def test_none_of_its_urls_is_handed_out(crawl: Crawl) -> None:
    seeded(crawl)
    assert block(crawl, A) == (1, 3)
    assert {lease.host for lease in crawl.lease()} == {B}
    shot = crawl.snapshot()
    assert (shot.counters["held"], shot.queued_of(A), A in shot.ready) == (3, 3, False)


def test_its_queue_stays_as_it_is_segments_included(make: Make) -> None:
    crawl = make(overflow=4)
    for n in range(20):
        crawl.put(f"http://{A}/{n}")
    crawl.frontier.compact([A], [], print)
    before = crawl.snapshot()
    assert before.segments[A]
    assert block(crawl, A) == (1, 20)
    after = crawl.snapshot()
    assert (after.queues, after.segments) == (before.queues, before.segments)


def test_leases_that_are_out_end_as_usual(crawl: Crawl) -> None:
    seeded(crawl, 1, (A,))
    lease = crawl.one()
    assert block(crawl, A) == (1, 0)
    assert crawl.commit(lease, links=[f"http://{B}/", f"http://{A}/new"]).new == 1
    assert crawl.snapshot().counters["outcome:fetched"] == 1
    assert crawl.urls(crawl.lease()) == [f"http://{B}/"]


@pytest.mark.parametrize("end", ["retry", "release", "reap", "revive"])
def test_a_url_that_goes_back_into_its_queue_is_held(crawl: Crawl, end: str) -> None:
    seeded(crawl, 1, (A,))
    lease = crawl.one()
    block(crawl, A)
    match end:
        case "retry":
            crawl.frontier.retry(lease, "ok")
        case "release":
            crawl.frontier.release([lease.token])
        case "reap":
            crawl.advance(1000)
            crawl.frontier.reap()
        case _:
            crawl.commit(lease, "failed:http")
            assert crawl.frontier.revive([Request(f"http://{A}/0")]) == 1
    assert crawl.snapshot().counters["held"] == 1
    assert crawl.lease() == []


def test_no_link_to_it_is_accepted_nor_remembered(crawl: Crawl) -> None:
    seeded(crawl, 1)
    block(crawl, A)
    told = crawl.frontier.put([Request(f"http://{A}/new"), Request(f"http://{A}/0"), Request(f"http://{B}/new")])
    assert (told.new, told.seen, told.over_budget) == (1, 1, 1)
    assert crawl.frontier.put([Request(f"http://{A}/map.xml", sitemap=True)]).over_budget == 1
    shot = crawl.snapshot()
    assert shot.counters["refused:blocked"] == 2
    assert crawl.frontier.id(f"http://{A}/new") not in shot.seen
    facts = crawl.frontier.explain(A)
    assert (facts.waits, facts.refusal) == ("blocked", "blocked")


def test_a_host_that_nobody_has_met_may_be_blocked(crawl: Crawl) -> None:
    assert block(crawl, A) == (0, 0)
    assert crawl.put(f"http://{A}/").new == 0
    assert A not in crawl.snapshot().hosts
    assert crawl.crawldb.hosts.blocked() == [A]


@pytest.mark.parametrize(
    ("name", "blocked"),
    [
        ("*.a.example", ["a.example", "w.a.example", "w.a.example:81", "x.w.a.example"]),
        ("*.w.a.example", ["w.a.example", "w.a.example:81", "x.w.a.example"]),
        ("w.a.example", ["w.a.example"]),
        ("w.a.example:81", ["w.a.example:81"]),
        ("*.example", ["a.example", "aa.example", "w.a.example", "w.a.example:81", "x.w.a.example"]),
    ],
)
def test_a_name_with_all_below_it(crawl: Crawl, name: str, blocked: list[str]) -> None:
    hosts = ("a.example", "aa.example", "w.a.example", "w.a.example:81", "x.w.a.example", "other.test")
    seeded(crawl, 1, hosts)
    assert block(crawl, name) == (len(blocked), len(blocked))
    assert sorted(row.host for row in crawl.crawldb.hosts.all() if row.blocked) == blocked
    assert sorted(host for host in hosts if crawl.put(f"http://{host}/new").over_budget) == blocked


def test_both_schemes_of_a_name_are_one_host(crawl: Crawl) -> None:
    crawl.put(f"http://{A}/1", f"https://{A}/2", f"http://{A}:8080/3")
    assert block(crawl, A) == (1, 2)
    assert crawl.urls(crawl.lease()) == [f"http://{A}:8080/3"]


def test_the_crawl_is_done_with_what_it_holds(crawl: Crawl) -> None:
    seeded(crawl)
    block(crawl, A)
    assert not crawl.frontier.done()
    for lease in crawl.lease():
        crawl.commit(lease)
    state = crawl.frontier.state()
    assert (state.word, state.queued, state.held, state.odd) == ("done", 3, 3, False)
    assert crawl.frontier.done()


def test_it_may_be_repeated(crawl: Crawl) -> None:
    seeded(crawl)
    block(crawl, A)
    before = crawl.snapshot()
    assert block(crawl, A) == (0, 0)
    assert crawl.snapshot() == before


def test_a_full_redis_blocks_all_the_same(crawl: Crawl) -> None:
    seeded(crawl)
    crawl.link.client.config_set("maxmemory", 1)
    assert block(crawl, A) == (1, 3)


def test_a_crawl_that_is_gone_or_being_deleted(crawl: Crawl) -> None:
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.frontier.block([A])
    crawl.link.client.delete(crawl.frontier.keys.meta)
    with pytest.raises(NoCrawl):
        crawl.frontier.block([A])
