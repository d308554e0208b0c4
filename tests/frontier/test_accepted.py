"""accepted: which URLs were ever accepted."""

from __future__ import annotations

import pytest

from crawler.errors import NoCrawl
from crawler.frontier.verbs import MAX_REQUESTS
from crawler.record import Request
from tests.frontier.crawls import Crawl

A, B = "http://a.example/", "http://b.example:8080/"


def test_what_is_queued_leased_or_ended_was_accepted(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2", B)
    crawl.commit(crawl.one())
    crawl.lease(1)
    asked = [f"{A}1", f"{A}never", B, f"{A}2", f"{B}never", "http://c.example/", f"{A}1"]
    assert crawl.frontier.accepted(asked) == [True, False, True, True, False, False, True]


def test_nothing_is_asked_and_nothing_answered(crawl: Crawl) -> None:
    assert crawl.frontier.accepted([]) == []


def test_asking_changes_nothing(crawl: Crawl) -> None:
    crawl.put(A)
    before = crawl.snapshot()
    crawl.frontier.accepted([A, f"{A}never", B])
    assert crawl.snapshot() == before


def test_all_spellings_of_one_host_are_one(crawl: Crawl) -> None:
    crawl.frontier.put([Request("http://a.example:443/x"), Request("https://a.example:80/y")])
    asked = ["http://a.example:443/x", "https://a.example:80/y", "https://a.example/z"]
    assert crawl.frontier.accepted(asked) == [True, True, False]


def test_a_sitemap_and_a_refused_url(crawl: Crawl) -> None:
    crawl.frontier.put([Request(f"{A}sitemap.xml", sitemap=True)])
    crawl.frontier.block(["b.example"], ["b.example"])
    crawl.put("http://b.example/")
    assert crawl.frontier.accepted([f"{A}sitemap.xml", "http://b.example/"]) == [True, False]


def test_as_many_as_a_call_takes(crawl: Crawl) -> None:
    urls = [f"{A}{n}" for n in range(MAX_REQUESTS)]
    crawl.put(*urls[::2])
    assert crawl.frontier.accepted(urls) == [True, False] * (MAX_REQUESTS // 2)
    with pytest.raises(ValueError, match="1000"):
        crawl.frontier.accepted([*urls, B])


def test_of_a_crawl_that_is_gone_nothing_is_known(crawl: Crawl) -> None:
    crawl.put(A)
    crawl.link.client.delete(crawl.frontier.keys.meta)
    with pytest.raises(NoCrawl):
        crawl.frontier.accepted([A])
