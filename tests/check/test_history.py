"""Since when a thing is broken: kept from report to report, and begun anew when it comes back."""

from __future__ import annotations

from dataclasses import replace

from crawler.check.report import findings_of
from crawler.frontier.verbs import MAX_REQUESTS
from crawler.text import rfc3339
from tests.check.crawled import NO_TEXTS, NOW, SITE, Crawled, Link

DAY = 86_400


def since(crawled: Crawled, now: int) -> dict[str, str | None]:
    """Since when each target is reported, in a report of that time."""
    return {one.target: one.since for one in crawled.findings(replace(NO_TEXTS, now=now))}


def test_a_finding_keeps_its_time_until_it_is_gone_and_begins_anew_when_it_comes_back(crawled: Crawled) -> None:
    x, y = f"{SITE}/x", f"{SITE}/y"
    crawled.start(Link(x), Link(y))
    crawled.state(x, "missing", 404)
    crawled.state(y)
    assert since(crawled, NOW) == {x: rfc3339(NOW)}
    crawled.state(y, "missing", 404)
    assert since(crawled, NOW + DAY) == {x: rfc3339(NOW), y: rfc3339(NOW + DAY)}
    crawled.state(x)
    assert since(crawled, NOW + 2 * DAY) == {y: rfc3339(NOW + DAY)}
    crawled.state(x, "missing", 404)
    assert since(crawled, NOW + 3 * DAY) == {x: rfc3339(NOW + 3 * DAY), y: rfc3339(NOW + DAY)}


def test_it_is_noted_even_if_nobody_looks_at_the_findings(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/x"))
    crawled.state(f"{SITE}/x", "missing", 404)
    findings_of(crawled.frontier, replace(NO_TEXTS, now=NOW))
    assert since(crawled, NOW + DAY) == {f"{SITE}/x": rfc3339(NOW)}


def test_more_findings_than_one_call_takes(crawled: Crawled) -> None:
    urls = [f"{SITE}/{n}" for n in range(2 * MAX_REQUESTS + 5)]
    crawled.start(*map(Link, urls))
    for url in urls:
        crawled.state(url, "missing", 404)
    assert set(since(crawled, NOW).values()) == {rfc3339(NOW)}
    crawled.start()
    assert since(crawled, NOW + DAY) == {}
    shard = crawled.frontier.shards[0]
    assert shard.read(("EXISTS", shard.keys.findings)) == [0]


def test_a_full_redis_is_said_and_the_report_is_made(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/x"))
    crawled.state(f"{SITE}/x", "missing", 404)
    crawled.link.client.config_set("maxmemory", 1)
    said: list[str] = []
    try:
        found = crawled.findings(replace(NO_TEXTS, now=NOW, say=said.append))
    finally:
        crawled.link.client.config_set("maxmemory", 0)
    assert [one.since for one in found] == [rfc3339(NOW)]
    assert len(said) == 1


def test_the_time_is_that_of_the_server_where_none_is_given(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/x"))
    crawled.state(f"{SITE}/x", "missing", 404)
    before = crawled.frontier.crawldb.clock() // 1000
    (found,) = crawled.findings(replace(NO_TEXTS, now=None))
    assert rfc3339(before) <= (found.since or "") <= rfc3339(crawled.frontier.crawldb.clock() // 1000)
