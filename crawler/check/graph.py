"""Reads the link graph of a crawl from Redis, bucket by bucket: states of URLs, and what pages name.

Ids of targets have 48 bits here. Among a million of them two are equal with a probability of one in 560; that one of
10,000 broken ones equals one of a million good ones, so that a page is listed by mistake, with one of 28,000.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from crawler.checked_page import CheckedPage
from crawler.frontier import decode
from crawler.frontier.frontier import Frontier
from crawler.frontier.shards.states import ShardStates
from crawler.text import counted
from crawler.url_state import UrlState

STEP: Final = 256 << 10
"""Bytes that are read at a time, about: unpacked they are some twenty times as many."""
MAX_BUCKETS: Final = 256
"""Buckets that are read at a time, at most."""
_SMALL: Final = 300
"""URLs of a bucket of states, on average, up to which it is read at once."""
_PAGES: Final = 100
"""Pages of a bucket of links that are read at a time."""

MAX_KEPT: Final = 200_000
"""Links and names of a crawl up to which they stay in memory, some 25 MB: a report goes over them three times."""
_ID: Final = re.compile("[0-9]{1,20}")

Pairs = list[tuple[bytes, bytes]]
Slice = tuple[int, list[tuple[bytes, CheckedPage]]]
"""The number of a shard, and some of its pages, each with its id (8 bytes)."""


def short(field: bytes) -> int:
    """The 48 bits by which pages name the URL whose id, of 8 bytes, is *field*."""
    return int.from_bytes(field[2:], "big")


class Graph:
    """The states and the links of a crawl. What cannot be read is left out, and counted."""

    def __init__(self, frontier: Frontier) -> None:
        self._shards = [(ShardStates(shard), shard.keys) for shard in frontier.shards]
        self._records = frontier.crawldb.records
        self._filled: dict[str, list[int]] = {}
        """By the first key of a kind and shard, which of its buckets have something."""
        self._buckets = frontier.shards[0].keys.ended_buckets
        known = frontier.crawldb.counters().get("accepted", 0)
        self._small = known < _SMALL * self._buckets * len(frontier.shards)
        self._kept: list[Slice] | None = None
        """All pages, once they are read, if they are few."""
        self._unreadable: set[bytes] = set()
        """Ids of what cannot be read, up to a thousand."""

    def states(self) -> Iterator[tuple[bytes, bytes]]:
        """Id (8 bytes) and packed state of each URL that has ended. One may come twice."""
        for states, keys in self._shards:
            for pairs in self._sweep(states, keys.ended_bucket, keys.ended_buckets, small=self._small):
                yield from pairs

    def pages(self) -> Iterator[Slice]:
        """All pages, in slices. One may come twice."""
        if self._kept is not None:
            yield from self._kept
            return
        kept, room = list[Slice](), MAX_KEPT
        for number, pages in self._read_pages():
            room -= sum(len(page.named) + len(page.names or ()) for _, page in pages)
            if room < 0:
                kept.clear()
            else:
                kept.append((number, pages))
            yield number, pages
        self._kept = kept if room >= 0 else None

    def _read_pages(self) -> Iterator[Slice]:
        for number, (states, keys) in enumerate(self._shards):
            for pairs in self._sweep(states, keys.links_bucket, keys.links_buckets, small=False):
                yield number, [(field, page) for field, raw in pairs if (page := self._page(field, raw)) is not None]

    def records(self) -> Iterator[tuple[str, bytes]]:
        """Id and record, as it is stored, of the last visit of each URL. One may come twice."""
        for batch in self._records.raw():
            for url_id, raw in batch:
                if _ID.fullmatch(url_id):
                    yield url_id, raw
                else:
                    self.is_unreadable(raw[:64])

    def find(self, shorts: Iterable[int]) -> dict[int, UrlState]:
        """The states of those that have ended, by 48 bits of their ids: all states of their buckets are looked at."""
        wanted = set(shorts)
        buckets = sorted({one % self._buckets for one in wanted})
        found: dict[int, UrlState] = {}
        for states, keys in self._shards:
            for start in range(0, len(buckets), MAX_BUCKETS):
                for pairs in states.read(keys.ended_bucket, buckets[start : start + MAX_BUCKETS], small=self._small):
                    for field, raw in pairs:
                        if short(field) in wanted and (state := decode.state(raw)) is not None:
                            found[short(field)] = state
        return found

    def urls_of(self, number: int, fields: Sequence[bytes]) -> dict[int, str]:
        """The URLs of pages of one shard, by 48 bits of their ids of 8 bytes."""
        found = self._shards[number][0].of([str(int.from_bytes(field, "big")) for field in fields])
        return {short(field): one.url for field, one in zip(fields, found, strict=True) if one is not None}

    def state(self, url_id: str) -> UrlState | None:
        """The state of one URL."""
        return next((found for states, _ in self._shards if (found := states.of([url_id])[0]) is not None), None)

    def is_unreadable(self, field: bytes) -> None:
        """Count a value that cannot be read."""
        if len(self._unreadable) < 1_000:
            self._unreadable.add(field)

    @property
    def trouble(self) -> str:
        """One line on what could not be read; empty if all could."""
        if not self._unreadable:
            return ""
        n = len(self._unreadable)
        many = "" if n < 1_000 else "at least "
        return (
            f"{many}{counted(n, 'stored value')} of this check cannot be read and is left out: another version or"
            " another program wrote there; check with --fresh to begin anew"
        )

    def _page(self, field: bytes, raw: bytes) -> CheckedPage | None:
        try:
            return CheckedPage.decode(raw)
        except ValueError:
            self.is_unreadable(field)
            return None

    def _sweep(self, states: ShardStates, key: Callable[[int], str], buckets: int, *, small: bool) -> Iterator[Pairs]:
        """All buckets of a kind of one shard, some at a time."""
        if (name := key(0)) not in self._filled:
            self._filled[name] = states.filled(key, buckets)
        left, count = self._filled[name], 8
        while left:
            size = 1
            for pairs in states.read(key, left[:count], small=small, most=_PAGES):
                size += sum(len(raw) for _, raw in pairs)
                yield pairs
            left = left[count:]
            count = max(1, min(MAX_BUCKETS, count * STEP // size))
