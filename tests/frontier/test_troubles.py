"""What is wrong with a host: kept in words from the first failure to the next good answer."""

from __future__ import annotations

from typing import Final

import pytest

from crawler.frontier.messages import Event, HostTrouble
from tests.frontier.crawls import BEGIN, Crawl

FAILURES: Final[tuple[tuple[Event, str], ...]] = (
    ("slow", "http 503 Service Unavailable"),
    ("stall", "timeout no answer in 30 s"),
    ("none", "tls certificate has expired"),
    ("ok", ""),
)


def test_a_trouble_lasts_from_the_first_failure_to_the_next_good_answer(crawl: Crawl) -> None:
    crawl.put(*(f"http://a.example/{n}" for n in range(4)))
    found = []
    for event, trouble in FAILURES:
        lease = crawl.one()
        crawl.commit(lease, "failed:http" if trouble else "fetched", event=event, trouble=trouble)
        found.append(crawl.frontier.explain("a.example").cause)
        crawl.advance(60)
    since = BEGIN
    assert found == [
        HostTrouble("http", "503 Service Unavailable", since),
        HostTrouble("timeout", "no answer in 30 s", since),
        HostTrouble("tls", "certificate has expired", since),
        None,
    ]


def test_a_lease_names_the_trouble_of_its_host(crawl: Crawl) -> None:
    crawl.put("http://a.example/1")
    crawl.frontier.retry(crawl.one(), "slow", trouble="http 429 Too Many Requests")
    crawl.advance(60)
    assert crawl.one().cause == "http 429 Too Many Requests"
    assert crawl.crawldb.hosts.failing() == (1, [("a.example", HostTrouble("http", "429 Too Many Requests", BEGIN))])


def test_what_ends_without_an_answer_says_nothing_of_its_host(crawl: Crawl) -> None:
    crawl.put("http://a.example/1", "http://a.example/2", "http://a.example/3")
    crawl.commit(crawl.one(), "failed:http", event="slow", trouble="http 503 Service Unavailable")
    crawl.advance(60)
    crawl.commit(crawl.one(), "dropped:robots", event="unsent")
    crawl.commit(crawl.one(), "failed:http", event="none")
    facts = crawl.frontier.explain("a.example")
    assert (facts.cause, facts.done, facts.errors) == (HostTrouble("http", "503 Service Unavailable", BEGIN), 3, 2)


@pytest.mark.parametrize(
    ("stored", "kind", "text"),
    [
        ("robots robots.txt answered 500", "robots", "robots.txt answered 500"),
        ("proxy it refuses", "connect", "it refuses"),
        ("nonsense", "connect", ""),
        ("http \x1b[31m", "http", "\x1b[31m"),
    ],
)
def test_a_stored_trouble_is_read_without_trust(crawl: Crawl, stored: str, kind: str, text: str) -> None:
    crawl.put("http://a.example/1")
    crawl.frontier.retry(crawl.one(), "slow", trouble=stored)
    assert crawl.frontier.explain("a.example").cause == HostTrouble(kind, text, BEGIN)
    (row,) = crawl.crawldb.hosts.all()
    assert row.trouble == HostTrouble(kind, text, BEGIN)
