"""A crawl with records, made by the frontier's own verbs on a real Redis."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from crawler.frontier import verbs
from crawler.frontier.crawldb import CrawlDb, grouped
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Commit, Lease, Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.shards.shard import Shard
from crawler.record import CONTENTS, Record, Request
from crawler.url import Form
from crawler.worker.visit import state_of

NO_VIAS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Crawl:
    """One crawl: its frontier, and where it is."""

    url: str
    frontier: Frontier

    @classmethod
    def create(cls, link: Connection, name: str = "export", shards: int = 1) -> Crawl:
        """Make one without delays."""
        limits = Limits(delay_ms=0, per_host=1000, robots=False)
        return cls(link.url, Frontier.create(link, name, Identity.new(Form(), shards), b"{}", limits))

    @property
    def crawldb(self) -> CrawlDb:
        """What it has stored."""
        return self.frontier.crawldb

    @property
    def shard(self) -> Shard:
        """Its first shard."""
        return self.frontier.shards[0]

    def commit(self, records: Sequence[Record], vias: Mapping[str, str] = NO_VIAS) -> None:
        """Put, lease and commit *records* in the order given; *vias* has the URL that another URL was found on."""
        for start in range(0, len(records), 500):
            part = records[start : start + 500]
            self.frontier.put([Request(record.url) for record in part])
            self.end(part, vias)

    def end(self, records: Sequence[Record], vias: Mapping[str, str] = NO_VIAS) -> None:
        """Lease and commit what is queued already."""
        leases: dict[str, Lease] = {}
        while len(leases) < len(records):
            found = [lease for shard in self.frontier.shards for lease in self._lease(shard, len(records))]
            assert found, self.frontier.state()
            leases |= {lease.entry().request.url: lease for lease in found}
        for shard, own in grouped(records, lambda record: self.frontier.at(leases[record.url].token)).items():
            calls = [verbs.commit(shard, self._ending(record, leases[record.url], vias)) for record in own]
            assert all(not isinstance(result, Exception) for result in shard.run(calls))

    @staticmethod
    def _lease(shard: Shard, want: int) -> Sequence[Lease]:
        return shard.ask(verbs.lease(shard, verbs.new_call(shard.number), want, 60, "tester")).leases

    def _ending(self, record: Record, lease: Lease, vias: Mapping[str, str]) -> Commit:
        via = vias.get(record.url)
        contents = {name: getattr(record, name) for name in CONTENTS if getattr(record, name) is not None}
        bare = msgspec.structs.replace(record, **dict.fromkeys(contents))
        stored = msgspec.structs.replace(bare, via=None if via is None else self.frontier.id(via))
        request = msgspec.structs.replace(lease.entry().request, via=stored.via or "0")
        return Commit(
            lease,
            self.frontier.id(record.url),
            state_of(request, lease.token, stored),
            stored.encode(),
            {name: zlib.compress(encoded(value)) for name, value in contents.items()},
        )


def encoded(value: Any) -> bytes:
    """A content as it is stored, before it is compressed."""
    return value.encode("utf-8", "replace") if isinstance(value, str) else msgspec.json.encode(value)


@pytest.fixture
def crawl(redis_url: str) -> Iterator[Crawl]:
    """An empty crawl without delays."""
    link = Connection(redis_url)
    yield Crawl.create(link)
    link.close()


def page(n: int, **fields: object) -> Record:
    """The *n*-th record of a crawl, with all the usual fields."""
    usual: dict[str, object] = {
        "url": f"http://example.org/page/{n}",
        "outcome": "fetched",
        "depth": 1,
        "status": 200,
        "title": f"Page {n}",
        "content_type": "text/html",
        "size": 1000 + n,
        "text": f"The text of page {n}.\nSecond line.",
        "fetched_at": "2030-01-01T00:00:00.000Z",
    }
    return Record(**(usual | fields))  # type: ignore[arg-type]
