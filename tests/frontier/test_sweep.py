"""sweep: one sweeper at a time; another one goes on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crawler.errors import CrawlDeleting
from crawler.frontier.visits import CONTINUES, END, SweepState, sweep
from tests.frontier.crawls import Crawl

TERM = 15.0


def taken(crawl: Crawl, owner: str, choice: str = "all", over: int = 0) -> SweepState:
    found: SweepState = crawl.frontier.ask(sweep(crawl.frontier.shard, SweepState(owner, choice=choice), TERM, over))
    return found


def kept(crawl: Crawl, mine: SweepState, term: float = TERM, **more: Any) -> SweepState:
    found: SweepState = crawl.frontier.ask(sweep(crawl.frontier.shard, replace(mine, **more), term))
    return found


def test_the_first_one_begins_a_sweep(crawl: Crawl) -> None:
    assert taken(crawl, "a") == SweepState("a", crawl.now, "all", "", 0, 0, is_mine=True)
    assert crawl.crawldb.visit().sweep == SweepState("a", crawl.now, "all")


def test_another_one_sees_who_has_it_and_how_far_it_is(crawl: Crawl) -> None:
    mine = kept(crawl, taken(crawl, "a"), cursor="1.0.7", queued=5, visit=2)
    assert mine.is_mine
    assert taken(crawl, "b", "other") == SweepState("a", mine.began, "all", "1.0.7", 5, 2)


def test_it_takes_over_where_a_dead_one_stopped(crawl: Crawl) -> None:
    mine = kept(crawl, taken(crawl, "a"), cursor="1.0.7", queued=5, visit=2)
    crawl.advance(TERM)
    assert taken(crawl, "b") == SweepState("b", mine.began, "all", "1.0.7", 5, 2, is_mine=True)
    assert not kept(crawl, mine).is_mine, "the dead one was only asleep"
    assert crawl.crawldb.visit().sweep.owner == "b"


def test_a_lease_that_is_kept_does_not_end(crawl: Crawl) -> None:
    mine = taken(crawl, "a")
    for _ in range(3):
        crawl.advance(TERM - 1)
        mine = kept(crawl, mine)
    assert mine.is_mine
    assert not taken(crawl, "b").is_mine


def test_one_that_is_given_up_is_continued_at_once(crawl: Crawl) -> None:
    mine = kept(crawl, taken(crawl, "a"), cursor="0.0.9")
    assert not kept(crawl, mine, 0.0).is_mine
    crawl.advance(1)
    found = taken(crawl, "b")
    assert (found.began, found.cursor, found.is_mine) == (mine.began, "0.0.9", True)


def test_another_choice_begins_a_new_sweep(crawl: Crawl) -> None:
    mine = kept(crawl, taken(crawl, "a"), 0.0, cursor="0.0.9", queued=3)
    crawl.advance(1)
    assert taken(crawl, "b", "other") == SweepState("b", mine.began + 1000, "other", "", 0, 0, is_mine=True)


def test_so_does_the_same_one_a_day_later(crawl: Crawl) -> None:
    kept(crawl, taken(crawl, "a"), 0.0, cursor="0.0.9")
    crawl.advance(CONTINUES + 1)
    assert taken(crawl, "a").began == crawl.now


def test_one_that_is_over_is_not_continued(crawl: Crawl) -> None:
    mine = kept(crawl, taken(crawl, "a"), cursor=END)
    assert mine.is_over
    crawl.advance(1)
    assert taken(crawl, "a").is_over
    assert taken(crawl, "a", over=mine.began).began == crawl.now


def test_sent_twice_it_gives_the_same(crawl: Crawl) -> None:
    assert taken(crawl, "a") == taken(crawl, "a")
    mine = taken(crawl, "a")
    assert kept(crawl, mine, cursor="0.0.1") == kept(crawl, mine, cursor="0.0.1")


@pytest.mark.parametrize("field", ["owner", "began", "choice", "cursor", "queued", "visit", "until"])
def test_what_a_foreign_client_wrote_there_stops_nobody(crawl: Crawl, field: str) -> None:
    taken(crawl, "a")
    crawl.link.client.hset(crawl.frontier.keys.sweep, field, b"\xff1e400")
    crawl.advance(TERM + 1)
    found = taken(crawl, "b")
    assert found.is_mine
    assert kept(crawl, found, cursor="0.0.1").cursor == "0.0.1"


def test_a_crawl_that_is_being_deleted_has_no_sweeper(crawl: Crawl) -> None:
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        taken(crawl, "a")
