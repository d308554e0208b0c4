"""judge_templates: what the pages of a template held; one that bears nothing new is quarantined."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from crawler.errors import CrawlDeleting, NoCrawl
from crawler.frontier.messages import Quarantined, TemplateSample
from tests.frontier.crawls import Crawl

NAME = "a.example/cal?d=*"


def judge(crawl: Crawl, prints: Sequence[object], name: str = NAME) -> Sequence[str]:
    """Count pages with these fingerprints; the templates that are quarantined by it."""
    sample = TemplateSample(name, str(len(name)), [str(one) for one in prints])
    quarantined: Quarantined = crawl.frontier.judge_templates([sample])
    return quarantined.templates


def test_a_hundred_pages_alike_are_a_trap(crawl: Crawl) -> None:
    assert judge(crawl, [7] * 99) == ()
    assert judge(crawl, [7]) == (NAME,)
    assert crawl.crawldb.traps() == {NAME: crawl.now}
    assert crawl.frontier.lease(0, 90, "w").traps_rev == 1
    assert crawl.crawldb.template(str(len(NAME))) == {
        "pages": "100",
        "fresh": "1",
        "total": "100",
        "state": "quarantined",
    }
    assert crawl.snapshot().prints == {}


def test_pages_that_differ_are_none(crawl: Crawl) -> None:
    assert judge(crawl, range(100)) == ()
    assert judge(crawl, [*range(100, 110), *([1] * 90)]) == ()
    assert crawl.crawldb.traps() == {}


def test_what_was_new_once_is_not_new_again(crawl: Crawl) -> None:
    """A calendar has 84 kinds of days in its first hundred, and none that is new in the next."""
    days = [n % 84 for n in range(100)]
    assert judge(crawl, days) == ()
    assert judge(crawl, days) == (NAME,)


def test_the_number_of_prints_kept_is_bounded(crawl: Crawl) -> None:
    for part in range(15):
        judge(crawl, range(part * 100, part * 100 + 100))
    assert len(crawl.snapshot().prints[str(len(NAME))]) < 1_100


def test_several_templates_in_one_call(crawl: Crawl) -> None:
    samples = [
        TemplateSample("a.example/0", "1", ["5"] * 120),
        TemplateSample("b.example/0", "2", [str(n) for n in range(120)]),
    ]
    assert crawl.frontier.judge_templates(samples) == Quarantined(("a.example/0",))
    assert crawl.frontier.judge_templates(samples) == Quarantined()
    assert crawl.crawldb.template("2")["total"] == "240"


def test_it_is_refused_without_a_crawl(crawl: Crawl) -> None:
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        judge(crawl, [1])
    crawl.crawldb.sweep()
    with pytest.raises(NoCrawl):
        judge(crawl, [1])
