"""revive: dead letters are tried again, as if for the first time."""

from __future__ import annotations

import msgspec
import pytest

from crawler.errors import CrawlDeleting, DamagedCrawl, OutOfMemory
from crawler.frontier import revisits
from crawler.frontier.messages import Accepted
from crawler.frontier.verbs import MAX_REVIVED
from crawler.record import Request
from crawler.url_state import id_bytes
from tests.frontier.crawls import Crawl, Make

A = "http://a.example/"
ONE = Request(f"{A}1", depth=3, via="77")


@pytest.fixture
def dead(crawl: Crawl) -> Crawl:
    """A crawl that is done, with one dead letter and one page; its host has rested from the failure."""
    crawl.frontier.put([ONE, Request(f"{A}2")])
    one, two = crawl.lease()
    crawl.commit(one, "failed:timeout", event="stall")
    crawl.commit(two)
    crawl.advance(1)
    return crawl


def test_a_dead_letter_is_queued_first_and_untried(dead: Crawl) -> None:
    dead.put(f"{A}3")
    assert dead.frontier.revive([ONE]) == 1
    first = dead.one().entry()
    assert (first.request, first.retries, first.crashes) == (msgspec.structs.replace(ONE, revisit=True), 0, 0)


def test_its_end_is_taken_back(dead: Crawl) -> None:
    dead.frontier.revive([ONE])
    shot = dead.snapshot()
    assert list(shot.pages) == [dead.frontier.id(f"{A}2")]
    assert (shot.failed, shot.counters["ended"], shot.counters["outcome:failed:timeout"]) == ({}, 1, 0)
    assert shot.ready == {"a.example": dead.now}
    assert dead.frontier.state().word == "waiting"


@pytest.mark.parametrize("later_visit", [False, True])
def test_it_counts_as_failed_in_its_visit_no_more(crawl: Crawl, later_visit: bool) -> None:
    """Where a later visit has begun, that one did not count it."""
    crawl.frontier.put([ONE, Request(f"{A}2")])
    for lease in crawl.lease():
        crawl.commit(lease, "failed:timeout", tallies={"visit:failed": 1})
    crawl.advance(1)
    if later_visit:
        revisits.begin_visit(crawl.frontier.frontier, 2, None)
        crawl.link.client.hset(crawl.frontier.keys.counters, "visit:failed", 2)
    crawl.frontier.revive([ONE])
    assert crawl.snapshot().counters["visit:failed"] == (2 if later_visit else 1)


def test_sent_twice_it_revives_nothing_more(dead: Crawl) -> None:
    dead.frontier.revive([ONE])
    before = dead.snapshot()
    assert dead.frontier.revive([ONE, ONE]) == 0
    assert dead.snapshot() == before


def test_sent_twice_it_does_not_revive_what_has_failed_again(dead: Crawl) -> None:
    """The answer was lost, and the call is repeated when a worker has tried the URL already."""
    letter = dead.crawldb.records.letter(dead.frontier.id(ONE.url))
    assert letter is not None
    assert dead.frontier.revive([ONE], letter.at) == 1
    dead.commit(dead.one(), "failed:timeout", event="stall")
    before = dead.snapshot()
    assert dead.frontier.revive([ONE], letter.at) == 0
    assert dead.snapshot() == before
    assert dead.frontier.revive([ONE], dead.now) == 1


@pytest.mark.parametrize("score", [1.5, -1.5, 1e17, -1e17, float("inf"), float("-inf")])
def test_one_whose_time_another_hand_wrote_is_revived_too(dead: Crawl, score: float) -> None:
    url_id = dead.frontier.id(ONE.url)
    dead.link.client.zadd(dead.frontier.keys.failed, {url_id: score})
    letter = dead.crawldb.records.letter(url_id)
    assert letter is not None
    assert dead.frontier.revive([ONE], letter.at) == 1


def test_a_queue_that_is_none_loses_no_dead_letter(dead: Crawl) -> None:
    """Another hand put a key of another kind in its place: that is seen before the first write."""
    queue = dead.frontier.keys.prefix + "queue:a.example:0"
    dead.link.client.set(queue, "x")
    with pytest.raises(DamagedCrawl):
        dead.frontier.revive([ONE])
    dead.link.client.delete(queue)
    assert dead.frontier.revive([ONE]) == 1


def test_only_dead_letters_are_revived(dead: Crawl) -> None:
    assert dead.frontier.revive([Request(f"{A}2"), Request(f"{A}never"), ONE, ONE]) == 1
    assert dead.frontier.revive([]) == 0


def test_its_new_end_stands_at_its_later_place_in_the_export(dead: Crawl) -> None:
    dead.frontier.revive([ONE])
    dead.commit(dead.one())
    stored, _ = dead.crawldb.records.read()
    assert [(x.record.url, x.record.outcome) for x in stored] == [(f"{A}2", "fetched"), (f"{A}1", "fetched")]


def test_a_late_commit_of_its_former_end_changes_nothing(crawl: Crawl) -> None:
    crawl.frontier.put([ONE])
    lease = crawl.one()
    call = crawl.frontier.commit_call(crawl.ending(lease, "failed:timeout", event="stall"))
    crawl.frontier.run([call])
    crawl.frontier.revive([ONE])
    before = crawl.snapshot()
    assert crawl.frontier.run([call]) == [Accepted()]
    assert crawl.snapshot() == before


def test_a_host_that_was_given_up_is_asked_again(make: Make) -> None:
    crawl = make(patience_ms=1000)
    crawl.frontier.put([ONE, Request(f"{A}2")])
    crawl.frontier.retry(crawl.one(), "fail")
    crawl.advance(2)
    for lease in crawl.lease():
        assert lease.unreachable
        crawl.commit(lease, "failed:connect", event="none")
    assert crawl.frontier.revive([ONE]) == 1
    assert not crawl.one().unreachable


@pytest.mark.parametrize("state", [b"", b"x", b"x" * 500, b"\x01", b"\x01\xff" + b"x" * 60, b"\x01" * 45])
def test_one_whose_state_cannot_be_read_is_revived_too(dead: Crawl, state: bytes) -> None:
    url_id = dead.frontier.id(ONE.url)
    place = dead.frontier.keys.ended(url_id), id_bytes(url_id)
    dead.link.client.hset(*place, state)
    assert dead.frontier.revive([ONE]) == 1
    assert dead.urls(dead.lease()) == [ONE.url]
    assert dead.crawldb.records.state(url_id) is None
    dead.link.client.hdel(*place)
    dead.link.client.hset(dead.frontier.keys.counters, "outcome:failed:timeout", 0)  # nobody can tell what it was


def test_the_most_that_a_call_takes_goes_through(crawl: Crawl) -> None:
    requests = [Request(f"http://{n % 7}.example/{n}") for n in range(MAX_REVIVED)]
    crawl.frontier.put(requests)
    while leases := crawl.lease(100):
        crawl.frontier.run([crawl.frontier.commit_call(crawl.ending(x, "failed:http")) for x in leases])
    assert crawl.frontier.revive(requests) == MAX_REVIVED
    with pytest.raises(ValueError, match="500"):
        crawl.frontier.revive([*requests, ONE])


def test_a_full_redis_revives_nothing(dead: Crawl) -> None:
    before = dead.snapshot()
    dead.link.client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemory):
        dead.frontier.revive([ONE])
    assert dead.snapshot() == before


def test_a_crawl_that_is_being_deleted_revives_nothing(dead: Crawl) -> None:
    dead.frontier.delete()
    before = dead.snapshot()
    with pytest.raises(CrawlDeleting):
        dead.frontier.revive([ONE])
    assert dead.snapshot() == before
