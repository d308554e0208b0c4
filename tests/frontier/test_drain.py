"""drain: what was exported leaves Redis; that its URL has ended, how and where it was found, stays."""

from __future__ import annotations

import zlib
from typing import Final

import pytest

from crawler.errors import CrawlDeleting, NoCrawl
from crawler.export.drain import drain
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Accepted, Commit, Exported, Lease
from crawler.frontier.shards.records import START
from crawler.frontier.verbs import MAX_DRAINED
from crawler.record import Record, Request
from crawler.url import Form
from tests.frontier.crawls import Crawl, state_of

A: Final = "http://a.example/"
ONE: Final = Request(f"{A}1", depth=3, via="77")
TEXT: Final = zlib.compress(b"the text " * 500)


def exported(crawl: Crawl) -> list[Exported]:
    """All that an export finds now."""
    return crawl.crawldb.records.exported(START, "+")[0]


def ending(crawl: Crawl, lease: Lease, outcome: str = "fetched", digest: str = "") -> Commit:
    """The end of a page with all that a record may hold."""
    request = lease.entry().request
    record = Record(
        url=request.url,
        outcome=outcome,
        depth=request.depth,
        via=request.found_on,
        status=200,
        title="A title",
    )
    url_id = crawl.frontier.id(request.url)
    state = state_of(lease, outcome, status=200)
    return Commit(lease, url_id, state, record.encode(), contents={"text": TEXT}, digest=digest)


def end(crawl: Crawl, *requests: Request, outcome: str = "fetched", digest: str = "") -> None:
    crawl.frontier.put(requests)
    for lease in crawl.lease(len(requests)):
        crawl.frontier.commit(ending(crawl, lease, outcome, digest))


def page(crawl: Crawl, url: str) -> dict[str, bytes]:
    return crawl.snapshot().pages[crawl.frontier.id(url)]


def test_of_a_page_its_state_is_left(crawl: Crawl) -> None:
    end(crawl, ONE)
    before = crawl.snapshot()
    assert crawl.frontier.drain(exported(crawl)) == 1
    shot = crawl.snapshot()
    assert (shot.pages, shot.records) == ({}, [])
    assert shot.states == before.states
    assert shot.counters == before.counters | {"drained": 1}
    assert crawl.crawldb.records.read() == ([], START)


def test_who_asks_for_a_page_still_finds_it(crawl: Crawl) -> None:
    end(crawl, ONE)
    crawl.frontier.drain(exported(crawl))
    url_id = crawl.frontier.id(ONE.url)
    assert crawl.crawldb.records.get(url_id) == Record(url=ONE.url, outcome="fetched", status=200, depth=3, via="77")
    assert crawl.crawldb.records.urls([url_id]) == {url_id: ONE.url}
    assert crawl.put(ONE.url) == Accepted(0, 1, 0)


def test_sent_twice_it_frees_nothing_more(crawl: Crawl) -> None:
    end(crawl, ONE, Request(f"{A}2"))
    entries = exported(crawl)
    crawl.frontier.drain(entries[:1])
    assert crawl.frontier.drain([*entries, *entries]) == 1
    before = crawl.snapshot()
    assert crawl.frontier.drain(entries) == 0
    assert crawl.snapshot() == before
    assert crawl.frontier.drain([]) == 0


def test_a_dead_letter_stays_whole_and_can_be_tried_again(crawl: Crawl) -> None:
    end(crawl, ONE, outcome="failed:http")
    end(crawl, Request(f"{A}2"), outcome="dropped:trap")
    before = list(crawl.crawldb.records.letters())
    assert crawl.frontier.drain(exported(crawl)) == 2
    assert list(crawl.crawldb.records.letters()) == before
    assert "at" not in page(crawl, ONE.url)
    assert crawl.snapshot().records == []
    assert crawl.frontier.revive([ONE]) == 1
    crawl.frontier.commit(ending(crawl, crawl.one()))
    stored, _ = crawl.crawldb.records.read()
    assert [(one.record.url, one.record.outcome) for one in stored] == [(ONE.url, "fetched")]


def test_a_page_that_was_committed_again_stays_whole(crawl: Crawl) -> None:
    end(crawl, ONE, outcome="failed:http")
    entries = exported(crawl)
    crawl.frontier.revive([ONE])
    crawl.frontier.commit(ending(crawl, crawl.one()))
    whole = page(crawl, ONE.url)
    assert crawl.frontier.drain(entries) == 0
    assert page(crawl, ONE.url) == whole
    assert [at for at, _ in crawl.snapshot().records] == [whole["at"].decode()]


def test_entries_that_stand_for_nothing_go(crawl: Crawl) -> None:
    end(crawl, ONE, Request(f"{A}2"), outcome="failed:http")
    crawl.frontier.revive([ONE, Request(f"{A}2")])
    crawl.frontier.commit(ending(crawl, crawl.one()))
    entries = exported(crawl)
    assert [one.outcome for one in entries] == [None, None, "fetched"]
    assert crawl.frontier.drain(entries[:2]) == 0
    assert len(crawl.snapshot().records) == 1
    assert len(crawl.crawldb.records.read()[0]) == 1


def test_a_late_commit_of_a_drained_page_is_still_a_success(crawl: Crawl) -> None:
    crawl.frontier.put([ONE, Request(f"{A}2")])
    one, two = crawl.lease()
    calls = [crawl.frontier.commit_call(ending(crawl, lease, digest="7")) for lease in (one, two)]
    crawl.frontier.run(calls)
    crawl.frontier.drain(exported(crawl))
    before = crawl.snapshot()
    assert crawl.frontier.run(calls) == [Accepted(), Accepted(left_out=True)]
    assert crawl.snapshot() == before
    assert crawl.crawldb.records.get(crawl.frontier.id(f"{A}2")) == Record(
        url=f"{A}2", outcome="fetched", status=200, depth=0, duplicate_of=crawl.frontier.id(ONE.url)
    )


def test_exported_goes_up_to_its_end(crawl: Crawl) -> None:
    end(crawl, *(Request(f"{A}{n}") for n in range(5)))
    every = exported(crawl)
    assert crawl.crawldb.records.exported(every[0].at, every[3].at, 2) == (every[1:3], every[2].at)
    assert crawl.crawldb.records.exported(every[2].at, every[3].at, 2) == (every[3:4], every[3].at)
    assert crawl.crawldb.records.exported(every[3].at, every[3].at, 2) == ([], every[3].at)
    crawl.frontier.drain(every[:1])
    assert [crawl.crawldb.records.entry(one.at) for one in every[:2]] == [None, every[1].id]


def test_a_record_that_cannot_be_read_stays(crawl: Crawl) -> None:
    """No output has it, so it is not freed; what stands behind it is."""
    end(crawl, ONE, *(Request(f"{A}{n}") for n in range(2, 5)))
    key = crawl.frontier.keys.page(crawl.frontier.id(ONE.url))
    crawl.link.client.hset(key, "m", "not json")
    assert drain(crawl.frontier.frontier, START, "+", lambda one: True) == 3
    assert crawl.link.client.hget(key, "m") == b"not json"
    assert crawl.link.client.hexists(key, "t")
    assert crawl.link.client.xlen(crawl.frontier.keys.records) == 1


def test_the_most_that_a_call_takes_goes_through(crawl: Crawl) -> None:
    end(crawl, *(Request(f"http://{n % 60}.example/{n}") for n in range(MAX_DRAINED)))
    entries = exported(crawl)
    assert len(entries) == MAX_DRAINED
    with pytest.raises(ValueError, match="500"):
        crawl.frontier.drain([*entries, entries[0]])
    assert crawl.frontier.drain(entries) == MAX_DRAINED


def test_it_goes_through_when_redis_is_full(crawl: Crawl) -> None:
    end(crawl, ONE, Request(f"{A}2"), Request(f"{A}3"))
    end(crawl, Request(f"{A}4"), outcome="failed:http")
    entries = exported(crawl)
    crawl.frontier.drain(entries[:1])
    crawl.link.client.config_set("maxmemory", 1)
    assert crawl.frontier.drain(entries) == 3
    assert crawl.snapshot().records == []


def test_a_crawl_that_is_gone_or_going_is_not_drained(crawl: Crawl) -> None:
    end(crawl, ONE)
    entries = exported(crawl)
    other = Frontier(crawl.link, crawl.name, Identity("another", b"", Form()))
    before = crawl.snapshot()
    with pytest.raises(NoCrawl):
        other.drain(entries)
    assert crawl.snapshot() == before
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.frontier.drain(entries)
    crawl.crawldb.sweep()
    with pytest.raises(NoCrawl):
        crawl.frontier.drain(entries)
    assert crawl.link.client.keys("crawler:*") == []
