"""unpack: the oldest segment of a long queue goes to its head."""

from __future__ import annotations

from typing import Any, cast

import pytest

from crawler.errors import CrawlDeleting, NoCrawl, OutOfMemory
from crawler.frontier import segment
from crawler.frontier.repair import host_names, repair
from crawler.record import Request
from tests.frontier.crawls import Crawl, Make
from tests.frontier.test_pack import A, entries, long_queue, parts, urls


def packed(make: Make, **limits: Any) -> Crawl:
    """Of a host eight pages in the head, four and two in segments, one in the tail."""
    crawl = long_queue(make, **limits)
    crawl.frontier.pack(A, entries(8, 4))
    crawl.frontier.pack(A, entries(12, 2))
    assert parts(crawl) == (8, [4, 2], 1)
    return crawl


def damage(crawl: Crawl, junk: bytes) -> None:
    """Another hand writes over the first segment."""
    crawl.link.client.lset(crawl.frontier.keys.queue(A, "packed"), 0, cast(str, junk))  # redis-py takes bytes too


SEGMENT = segment.encode(entries(8, 4))


def test_a_segment_goes_to_a_head_that_is_low(make: Make) -> None:
    crawl = packed(make)
    crawl.lease(7)
    assert crawl.frontier.unpack(A, SEGMENT) == 0
    assert parts(crawl) == (5, [2], 1)
    assert crawl.snapshot().queues[A, "1"] == entries(7, 5)


def test_sent_twice_it_changes_nothing(make: Make) -> None:
    crawl = packed(make)
    crawl.lease(8)
    call = crawl.frontier.unpack_call(A, SEGMENT)
    assert crawl.frontier.run([call]) == [0]
    crawl.lease(4)
    assert crawl.frontier.run([call, call]) == [0, 0]
    assert parts(crawl) == (0, [2], 1)


def test_a_head_that_is_not_low_gets_nothing(make: Make) -> None:
    """Many were told, and the first has done it."""
    crawl = packed(make)
    crawl.lease(6)
    assert crawl.frontier.unpack(A, SEGMENT) == 0
    assert parts(crawl) == (2, [4, 2], 1)


def test_a_full_redis_gets_no_entries(make: Make) -> None:
    """Nothing is leased then either."""
    crawl = packed(make)
    crawl.lease(8)
    crawl.link.client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemory):
        crawl.frontier.unpack(A, SEGMENT)
    crawl.frontier.compact((), [A], pytest.fail)
    assert parts(crawl) == (0, [4, 2], 1)


def test_a_crawl_that_is_gone_gets_no_entries(make: Make) -> None:
    crawl = packed(make)
    crawl.lease(8)
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.frontier.unpack(A, SEGMENT)
    crawl.crawldb.sweep()
    with pytest.raises(NoCrawl):
        crawl.frontier.unpack(A, SEGMENT)
    assert crawl.link.client.keys("crawler:*") == []


# -- the whole queue ---------------------------------------------------------------------------------------------------


def test_pages_are_leased_in_the_order_they_came(make: Make) -> None:
    """Head, segments, tail, and what comes meanwhile; what is given back comes first, what is tried again last."""
    crawl = packed(make)
    first = crawl.lease(2)
    crawl.frontier.retry(first[0], "none")
    crawl.frontier.release([first[1].token])
    crawl.put(*urls(15, 3))
    found: list[str] = []
    while reply := crawl.frontier.lease(4, 90.0, "w"):
        found += crawl.urls(reply.leases)
        crawl.frontier.compact((), reply.low, pytest.fail)
        if not reply.leases and not reply.queued:
            break
        crawl.advance(0.02)
    assert found == [*urls(1, 14), *urls(0, 1), *urls(15, 3)]
    assert parts(crawl) == (0, [], 0)


def test_a_host_whose_pages_are_packed_waits_a_moment(make: Make) -> None:
    crawl = packed(make)
    crawl.lease(8)
    reply = crawl.frontier.lease(4, 90.0, "w")
    assert (reply.leases, list(reply.low), reply.wait_ms, reply.queued) == ([], [A], 20, 7)
    assert crawl.frontier.lease(4, 90.0, "w").low == ()
    crawl.frontier.compact((), reply.low, pytest.fail)
    crawl.advance(0.02)
    assert crawl.urls(crawl.lease(4)) == urls(8, 4)


def test_who_leases_the_last_of_a_head_is_told(make: Make) -> None:
    crawl = packed(make)
    assert crawl.frontier.lease(6, 90.0, "w").low == ()
    assert crawl.frontier.lease(1, 90.0, "w").low == (A,)


def test_a_tail_with_nothing_packed_before_it_needs_nobody(make: Make) -> None:
    crawl = long_queue(make)
    crawl.lease(8)
    assert crawl.urls(crawl.lease(99)) == urls(8, 7)
    crawl.put(*urls(50, 1))
    assert parts(crawl) == (1, [], 0)


def test_sitemaps_wait_while_pages_are_packed(make: Make) -> None:
    crawl = packed(make)
    crawl.frontier.put([Request(f"http://{A}/sitemap.xml", sitemap=True)])
    assert crawl.urls(crawl.lease(8)) == urls(0, 8)
    assert crawl.urls(crawl.lease(8)) == [f"http://{A}/sitemap.xml"]


# -- something else ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("junk", [b"", b"x", b"\xff\xff junk", SEGMENT[:-3], b"\x00\x03" + SEGMENT[2:]])
def test_a_segment_that_cannot_be_read_is_lost(make: Make, junk: bytes) -> None:
    crawl = packed(make)
    crawl.lease(8)
    damage(crawl, junk)
    told: list[str] = []
    crawl.frontier.compact((), [A], told.append)
    assert told == ["something else changed the queue of a.example in Redis: 4 URLs of it are lost"]
    counters = crawl.crawldb.counters()
    assert (counters["lost"], counters["queued"]) == (4, 3)
    crawl.frontier.compact((), [A], pytest.fail)
    assert crawl.urls(crawl.lease(99)) == urls(12, 3)
    crawl.link.client.flushdb()


def test_segments_that_vanish_are_lost(make: Make) -> None:
    crawl = packed(make)
    crawl.link.client.delete(crawl.frontier.keys.queue(A, "packed"))
    assert crawl.urls([*crawl.lease(8), *crawl.lease(8)]) == [*urls(0, 8), *urls(14, 1)]
    crawl.lease(1)
    assert crawl.crawldb.counters()["lost"] == 6
    crawl.link.client.flushdb()


def test_what_is_packed_is_counted_again(make: Make) -> None:
    crawl = packed(make)
    keys = crawl.frontier.keys
    crawl.link.client.delete(keys.host(A), keys.ready, keys.queue(A, 1))
    assert host_names(crawl.frontier.shard) == {A.encode()}
    repaired = repair(crawl.frontier.shard)
    assert (repaired.hosts, repaired.lost) == (1, 8)
    assert crawl.frontier.explain(A).queued == 7
    crawl.link.client.flushdb()


def test_what_another_hand_packed_is_handed_out_and_counted(make: Make) -> None:
    crawl = make(overflow=8)
    crawl.put(*urls(0, 1))
    crawl.link.client.rpush(crawl.frontier.keys.queue(A, "packed"), segment.encode([b"junk", b"more junk"]))
    crawl.lease(1)
    assert crawl.frontier.state().queued == 2
    reply = crawl.frontier.lease(2, 90.0, "w")
    crawl.frontier.compact((), reply.low, pytest.fail)
    crawl.advance(0.02)
    assert [lease.raw for lease in crawl.lease(2)] == [b"junk", b"more junk"]
    crawl.link.client.flushdb()


def test_explain_finds_what_is_packed(make: Make) -> None:
    crawl = packed(make)
    assert list(crawl.crawldb.hosts.queued(A, 1)) == entries(0, 15)
    damage(crawl, b"junk")
    assert list(crawl.crawldb.hosts.queued(A, 1)) == [*entries(0, 8), *entries(12, 3)]
    crawl.link.client.flushdb()
