"""begin_visit: the next visit of a crawl begins, in each shard once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crawler.frontier import revisits
from crawler.record import FOUND
from tests.frontier.crawls import Crawl, Make

ONE = "http://a.example/1"


def meta(crawl: Crawl) -> dict[str, str]:
    return crawl.snapshot().meta


def test_a_visit_resets_what_was_counted_of_the_one_before(crawl: Crawl) -> None:
    counters = crawl.frontier.keys.counters
    crawl.link.client.hset(counters, mapping={f"visit:{word}": 5 for word in (*FOUND, "fetched")})
    crawl.advance(60)
    revisits.begin_visit(crawl.frontier.frontier, 2, None)
    assert not [name for name in crawl.crawldb.counters() if name.startswith("visit:")]
    assert (meta(crawl)["visit"], meta(crawl)["visit_ms"]) == ("2", str(crawl.now))


@pytest.mark.parametrize("visit", [1, 2])
def test_one_that_has_begun_does_not_begin_again(crawl: Crawl, visit: int) -> None:
    revisits.begin_visit(crawl.frontier.frontier, 2, None)
    crawl.link.client.hset(crawl.frontier.keys.counters, "visit:new", 5)
    before = crawl.snapshot()
    crawl.advance(60)
    revisits.begin_visit(crawl.frontier.frontier, visit, 60.0)
    assert replace(crawl.snapshot(), now=before.now) == before


def test_its_time_limit_begins_with_it(make: Make) -> None:
    crawl = make()
    crawl.link.client.hset(crawl.frontier.keys.meta, "until", crawl.now + 5)
    crawl.put(ONE)
    crawl.advance(60)
    assert crawl.frontier.state().word == "limit"
    revisits.begin_visit(crawl.frontier.frontier, 2, 30.0)
    assert len(crawl.lease()) == 1
    crawl.advance(31)
    revisits.begin_visit(crawl.frontier.frontier, 3, None)
    assert "until" not in meta(crawl)
