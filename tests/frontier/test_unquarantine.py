"""unquarantine: the URLs of a quarantined template may be fetched again, and it is not judged any more."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting, NoCrawl
from crawler.frontier.messages import Quarantined, TemplateSample
from crawler.record import Request
from tests.frontier.crawls import Crawl

SAMPLE = TemplateSample("a.example/0", "1", ["5"] * 100)


def test_a_release_is_told_by_a_new_revision(crawl: Crawl) -> None:
    crawl.frontier.judge_templates([SAMPLE])
    assert crawl.frontier.unquarantine("a.example/0", "1")
    assert crawl.crawldb.traps() == {}
    assert crawl.frontier.lease(0, 90, "w").traps_rev == 2


def test_it_is_for_good(crawl: Crawl) -> None:
    crawl.frontier.judge_templates([SAMPLE])
    crawl.frontier.unquarantine("a.example/0", "1")
    assert crawl.frontier.judge_templates([SAMPLE, SAMPLE]) == Quarantined()


def test_what_is_not_quarantined_is_not_released(crawl: Crawl) -> None:
    assert not crawl.frontier.unquarantine("a.example/0", "1")
    assert crawl.frontier.judge_templates([SAMPLE]) == Quarantined(("a.example/0",))
    assert [crawl.frontier.unquarantine("a.example/0", "1") for _ in range(2)] == [True, False]


def test_what_was_dropped_can_be_revived(crawl: Crawl) -> None:
    crawl.put("http://a.example/1")
    crawl.commit(crawl.one(), "dropped:trap", event="unsent")
    assert [letter.record and letter.record.outcome for letter in crawl.crawldb.records.letters()] == ["dropped:trap"]
    assert crawl.frontier.revive([Request("http://a.example/1")]) == 1
    assert crawl.urls(crawl.lease()) == ["http://a.example/1"]


def test_it_is_refused_without_a_crawl(crawl: Crawl) -> None:
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.frontier.unquarantine("a.example/0", "1")
    crawl.crawldb.sweep()
    with pytest.raises(NoCrawl):
        crawl.frontier.unquarantine("a.example/0", "1")
