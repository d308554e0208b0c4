"""note_findings: since when each thing that a check found is there."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting, NoCrawl, OutOfMemory
from crawler.frontier.verbs import MAX_REQUESTS
from tests.frontier.crawls import Crawl

ONE, TWO = b"12345678", b"87654321"


def noted(crawl: Crawl) -> dict[bytes, bytes]:
    """What is noted."""
    found: dict[bytes, bytes] = crawl.link.client.hgetall(crawl.frontier.shard.keys.findings)  # type: ignore[assignment]
    return found


def test_findings_are_noted_and_forgotten_and_a_repetition_changes_nothing(crawl: Crawl) -> None:
    for _ in range(2):
        crawl.frontier.note_findings({ONE: 5, TWO: 6})
        assert noted(crawl) == {ONE: b"5", TWO: b"6"}
    for _ in range(2):
        crawl.frontier.note_findings({TWO: 7}, [ONE])
        assert noted(crawl) == {TWO: b"7"}


def test_a_call_takes_a_thousand(crawl: Crawl) -> None:
    many = {n.to_bytes(8, "big"): n for n in range(1, MAX_REQUESTS + 1)}
    crawl.frontier.note_findings(many)
    assert len(noted(crawl)) == MAX_REQUESTS
    with pytest.raises(ValueError, match="at most"):
        crawl.frontier.note_findings(many, [ONE])


def test_a_full_redis_notes_nothing(crawl: Crawl) -> None:
    crawl.link.client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemory):
        crawl.frontier.note_findings({ONE: 5})
    crawl.link.client.config_set("maxmemory", 0)
    assert noted(crawl) == {}


def test_a_crawl_that_is_deleted_takes_none_and_leaves_none(crawl: Crawl) -> None:
    crawl.frontier.note_findings({ONE: 5})
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.frontier.note_findings({TWO: 5})
    crawl.crawldb.sweep()
    assert noted(crawl) == {}
    with pytest.raises(NoCrawl):
        crawl.frontier.note_findings({TWO: 5})
