"""Redirects that lead back into their own chain: commit finds them by the redirects that it knows."""

from __future__ import annotations

import pytest

from crawler.frontier.messages import Lease
from crawler.record import Request
from tests.frontier.crawls import Crawl, record_of


def redirect(crawl: Crawl, lease: Lease, target: str) -> str:
    """End a lease as a redirect to a URL of a.example; the outcome."""
    url, to = crawl.url(lease), f"http://a.example{target}"
    loop = record_of(url, "failed:redirect-loop")
    crawl.commit(lease, "redirected", links=[to], target=crawl.frontier.id(to), loop=loop)
    record = crawl.crawldb.records.get(crawl.frontier.id(url))
    assert record is not None
    return record.outcome


def chain(crawl: Crawl, *paths: str) -> list[str]:
    """The outcomes of URLs that redirect to each other in this order."""
    crawl.put(f"http://a.example{paths[0]}")
    return [redirect(crawl, crawl.one(), target) for target in paths[1:]]


@pytest.mark.parametrize("length", [1, 2, 3, 20])
def test_the_redirect_that_closes_a_circle_ends_as_a_loop(crawl: Crawl, length: int) -> None:
    paths = [f"/{n}" for n in range(length)]
    assert chain(crawl, *paths, "/0") == ["redirected"] * (length - 1) + ["failed:redirect-loop"]
    shot = crawl.snapshot()
    last = crawl.frontier.id(f"http://a.example/{length - 1}")
    assert set(shot.failed) == {last}
    assert (shot.counters["outcome:failed:redirect-loop"], shot.hosts["a.example"]["errors"]) == (1, "1")
    assert crawl.lease() == []


def test_a_circle_behind_a_tail_is_found_where_it_closes(crawl: Crawl) -> None:
    assert chain(crawl, "/in", "/a", "/b", "/a") == ["redirected", "redirected", "failed:redirect-loop"]


def test_redirects_to_one_page_are_no_circle(crawl: Crawl) -> None:
    crawl.put(*(f"http://a.example/{n}" for n in range(3)))
    assert [redirect(crawl, lease, "/home") for lease in crawl.lease(3)] == ["redirected"] * 3
    crawl.commit(crawl.one())
    assert crawl.snapshot().failed == {}


def test_more_redirects_than_are_looked_at_are_no_circle(crawl: Crawl) -> None:
    """Then the limit of hops ends it, which the worker knows."""
    assert set(chain(crawl, *(f"/{n}" for n in range(22)), "/0")) == {"redirected"}


def test_a_circle_is_found_over_redirects_that_were_drained(crawl: Crawl) -> None:
    assert chain(crawl, "/0", "/1", "/2") == ["redirected"] * 2
    assert crawl.frontier.drain(crawl.crawldb.records.exported("0-0", "+")[0]) == 2
    assert redirect(crawl, crawl.one(), "/0") == "failed:redirect-loop"


def test_a_loop_that_is_tried_again_may_be_none(crawl: Crawl) -> None:
    assert chain(crawl, "/0", "/1", "/0")[-1] == "failed:redirect-loop"
    assert crawl.frontier.revive([Request("http://a.example/1")]) == 1
    crawl.commit(crawl.one())
    assert crawl.snapshot().counters["outcome:fetched"] == 1


def test_a_loop_that_is_sent_twice_ends_once(crawl: Crawl) -> None:
    chain(crawl, "/0", "/1")
    lease = crawl.one()
    target = crawl.frontier.id("http://a.example/0")
    call = crawl.frontier.commit_call(
        crawl.ending(lease, "redirected", target=target, loop=record_of(crawl.url(lease), "failed:redirect-loop"))
    )
    crawl.frontier.run([call])
    before = crawl.snapshot()
    crawl.frontier.run([call])
    assert crawl.snapshot() == before
    assert before.counters["outcome:failed:redirect-loop"] == 1
