"""Puts dead letters back into their queues, for `retry`, `quarantine` and the dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from crawler.frontier import verbs
from crawler.frontier.frontier import Frontier
from crawler.parse.sitemap import lastmod_of
from crawler.record import Record, Request


def revive(frontier: Frontier, letters: Iterable[tuple[int, Record]]) -> Iterator[int]:
    """Put dead letters (when they failed, and their records) back into their queues. Yields how many, call by call."""
    left = iter(letters)
    while batch := list(islice(left, verbs.MAX_REVIVED)):
        yield frontier.revive([_request_of(record) for _, record in batch], max(at for at, _ in batch))


def _request_of(record: Record) -> Request:
    """The request that led to *record*."""
    lastmod = None if record.lastmod is None else lastmod_of(record.lastmod)
    found = record.depth, record.hops, record.via or "0", record.sitemap, lastmod
    return Request(record.url, *found, target=record.target)
