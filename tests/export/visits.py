"""Visits that find something, as records: what a crawl that is visited again has stored."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from crawler import url as urls
from crawler.frontier.keys import CONTENT_FIELDS, shard_of
from crawler.record import CONTENTS, Record
from tests.export.conftest import Crawl, encoded, page


def new(n: int, **fields: object) -> Record:
    """The page as its first visit finds it."""
    return page(n, **{"change": "new", **fields})


def changed(n: int, **fields: object) -> Record:
    """The page with another text."""
    return page(n, **{"change": "changed", "text": f"Another text of page {n}.", **fields})


def gone(n: int, **fields: object) -> Record:
    """The page is gone."""
    return page(n, **{"change": "gone", "outcome": "missing", "status": 404, "title": None, "text": None, **fields})


def moved(n: int, to: int, **fields: object) -> Record:
    """The page redirects."""
    return gone(n, change="moved", outcome="redirected", status=301, redirect_to=page(to).url, **fields)


def failed(n: int) -> Record:
    """A visit that found nothing out."""
    return page(n, outcome="failed:timeout", status=None, title=None, text=None, error="no answer")


def store(crawl: Crawl, records: Sequence[Record]) -> None:
    """Store what later visits found, in place of what was stored of these URLs."""
    client = crawl.frontier.connection.client
    for record in records:
        shard = crawl.frontier.shards[shard_of(urls.host(record.url), len(crawl.frontier.shards))]
        url_id = crawl.frontier.id(record.url)
        contents = {name: value for name in CONTENTS if (value := getattr(record, name)) is not None}
        bare = msgspec.structs.replace(record, **dict.fromkeys(contents))
        at = client.xadd(shard.keys.records, {"i": url_id})
        client.delete(shard.keys.page(url_id))
        stored: dict[Any, Any] = {CONTENT_FIELDS[name]: zlib.compress(encoded(text)) for name, text in contents.items()}
        client.hset(shard.keys.page(url_id), mapping={"m": bare.encode(), "at": at, "token": "later", **stored})


def fail(crawl: Crawl, n: int) -> None:
    """Store that a visit of a page failed: beside what is known of it, unless that was drained."""
    record, client = failed(n), crawl.frontier.connection.client
    shard, url_id = crawl.shard, crawl.frontier.id(record.url)
    if client.hget(shard.keys.page(url_id), "at") is None:
        store(crawl, [record])
        return
    at = client.xadd(shard.keys.records, {"i": url_id})
    client.hset(shard.keys.page(url_id), mapping={"f": record.encode(), "fat": at})


def later(crawl: Crawl) -> str:
    """A time, by the clock of Redis, that is after all that was stored so far and not after what is stored next."""
    before = after = crawl.crawldb.clock()
    while after == before:
        after = crawl.crawldb.clock()
    return datetime.fromtimestamp(after / 1000, UTC).isoformat(timespec="milliseconds")
