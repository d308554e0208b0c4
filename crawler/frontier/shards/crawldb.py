"""What a crawl of several shards has stored and counted, read as one.

The order of commits holds within a shard. A cursor has a place for each shard, in their order, with commas between.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TypeVar

from crawler import url as urls
from crawler.errors import UnreadableRecord
from crawler.frontier import decode
from crawler.frontier.crawldb import START, CrawlDb, Letter, Stored
from crawler.frontier.keys import shard_of
from crawler.frontier.messages import Exported, Lease
from crawler.frontier.redis.connection import Connection
from crawler.record import Record

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def grouped(items: Iterable[T], part_of: Callable[[T], K]) -> dict[K, list[T]]:
    """*items* by the shard that each is of, in their order."""
    found: dict[K, list[T]] = {}
    for item in items:
        found.setdefault(part_of(item), []).append(item)
    return found


class ShardedCrawlDb(CrawlDb):
    """The ledgers of all shards; what is not overridden here is of the first: `meta`, `settings`, `clock`."""

    def __init__(self, link: Connection, crawl: str, shards: int) -> None:
        super().__init__(link, crawl, 0, shards)
        self._parts = [CrawlDb(link, crawl, shard, shards) for shard in range(shards)]

    def _home(self, host: str) -> CrawlDb:
        return self._parts[shard_of(host, len(self._parts))]

    def _of_origin(self, origin: str) -> CrawlDb:
        return self._home(urls.host(f"{origin}/"))

    def _first(self, ask: Callable[[CrawlDb], T | None]) -> T | None:
        """The first answer that is one; a URL's id does not tell its shard."""
        return next((found for part in self._parts if (found := ask(part)) is not None), None)

    # -- records -------------------------------------------------------------------------------------------------------

    def _cursors(self, cursor: str) -> list[str]:
        return cursor.split(",") if "," in cursor else [cursor] * len(self._parts)

    def records(self, after: str = START, most: int = 500) -> tuple[list[Stored], str]:
        """The next records behind the cursor *after*, about *most*, and the new cursor."""
        found: list[Stored] = []
        reached = []
        cursors = self._cursors(after)
        for shard, part in enumerate(self._parts):
            try:
                more, cursor = part.records(cursors[shard], -(-most // len(self._parts)))
            except UnreadableRecord as error:
                cursors[shard] = error.cursor
                raise UnreadableRecord(str(error), _joined(cursors)) from None
            found += more
            reached.append(cursor)
        return sorted(found, key=lambda stored: decode.place(stored.at)), _joined(reached)

    def behind(self, cursor: str, taken: Sequence[Stored]) -> str:
        """The cursor behind *taken*, which are the first of the records behind *cursor*."""
        cursors = self._cursors(cursor)
        for stored in taken:
            cursors[shard_of(urls.host(stored.record.url), len(cursors))] = stored.at
        return _joined(cursors)

    def exported(self, after: str, until: str, most: int = 500) -> tuple[list[Exported], str]:
        """What may be drained behind the cursor *after*, up to *until*: of one shard after the other."""
        cursors = self._cursors(after)
        for shard, (part, last) in enumerate(zip(self._parts, self._cursors(until), strict=True)):
            before = cursors[shard]
            found, cursors[shard] = part.exported(before, last, most)
            if cursors[shard] != before:
                return [replace(one, shard=shard) for one in found], _joined(cursors)
        return [], _joined(cursors)

    def entry(self, at: str) -> str | None:
        """The ids of the pages that the cursor's places are of, with commas between; None where there is none."""
        found = [part.entry(place) or "" for part, place in zip(self._parts, self._cursors(at), strict=True)]
        return ",".join(found) if any(found) else None

    def standing(self, cursor: str, last: str) -> str:
        """*cursor*, of each shard only if its entry is still of the page that *last* says, else START."""
        each = zip(self._parts, self._cursors(cursor), last.split(","), strict=False)
        return _joined([part.standing(place, page) for part, place, page in each]) if last else START

    def record(self, url_id: str) -> Record | None:
        """The record of one URL, if it has ended."""
        return self._first(lambda part: part.record(url_id))

    def urls(self, ids: Sequence[str]) -> dict[str, str]:
        """The URLs of stored pages by id; those that are not stored (any more) are absent."""
        found: dict[str, str] = {}
        for part in self._parts:
            found |= part.urls([url_id for url_id in ids if url_id not in found])
        return found

    def letters(self, since: int | None = None, until: int | None = None) -> Iterator[Letter]:
        """The dead letters of now, oldest first."""
        return heapq.merge(*(part.letters(since, until) for part in self._parts), key=lambda letter: letter.at)

    def letter(self, url_id: str) -> Letter | None:
        """One dead letter; None for any other URL."""
        return self._first(lambda part: part.letter(url_id))

    # -- traps ---------------------------------------------------------------------------------------------------------

    def traps(self) -> dict[str, int]:
        """The quarantined templates, and when each was, in ms of its server's clock."""
        return dict(chain.from_iterable(part.traps().items() for part in self._parts))

    def template(self, template_id: str) -> dict[str, str]:
        """What is known of one template; empty when nothing is."""
        return self._first(lambda part: part.template(template_id) or None) or {}

    # -- one URL -------------------------------------------------------------------------------------------------------

    def is_seen(self, url_id: str) -> bool:
        """Whether the URL was ever accepted."""
        return any(part.is_seen(url_id) for part in self._parts)

    def leases(self) -> Iterator[tuple[str, Lease]]:
        """All leases that are out, each with the worker that holds it; no deadlines."""
        return chain.from_iterable(part.leases() for part in self._parts)

    def misfits(self) -> Iterator[str]:
        """The keys that hold something of another kind, in words."""
        return chain.from_iterable(part.misfits() for part in self._parts)

    def deadline(self, token: str) -> int | None:
        """Milliseconds until a lease runs out; None when it is not held."""
        return self._first(lambda part: part.deadline(token))

    def queued(self, host: str, priority: int) -> Iterator[bytes]:
        """The entries of one of a host's queues, the next one first."""
        return self._home(host).queued(host, priority)

    # -- counts --------------------------------------------------------------------------------------------------------

    def probe(self) -> None:
        """Write nothing to each shard: raises RedisAway or OutOfMemory where Redis would take no writes."""
        for part in self._parts:
            part.probe()

    def counters(self) -> dict[str, int]:
        """All counters by name, the sums."""
        total: Counter[str] = Counter()
        for part in self._parts:
            for name, n in part.counters().items():
                total[name] += n
        return dict(total)

    def hosts(self, most: int = 100) -> tuple[int, list[tuple[float, str]]]:
        """How many hosts wait with URLs, and the *most* that are due first."""
        found = [part.hosts(most) for part in self._parts]
        return sum(total for total, _ in found), sorted(chain.from_iterable(first for _, first in found))[:most]

    def answered(self, most: int) -> list[str]:
        """Which of the hosts that are due first have answered this crawl: of *most* of each shard."""
        return list(chain.from_iterable(part.answered(most) for part in self._parts))

    def backing_off(self) -> int:
        """How many hosts wait for later than a minute from now."""
        return sum(part.backing_off() for part in self._parts)

    def roots(self, candidates: Sequence[str]) -> list[bool]:
        """Which of *candidates* are roots of the scope."""
        found: dict[str, bool] = {}
        for part, names in grouped(candidates, self._home).items():
            found |= dict(zip(names, part.roots(names), strict=True))
        return [found[name] for name in candidates]

    def accepted(self, places: Sequence[tuple[str, str]]) -> list[bool]:
        """Which of the URLs, each by its host and its id, their shards have accepted."""
        found: dict[tuple[str, str], bool] = {}
        for part, mine in grouped(places, lambda place: self._home(place[0])).items():
            found |= dict(zip(mine, part.accepted(mine), strict=True))
        return [found[place] for place in places]

    def all_roots(self, most: int = 10_000) -> list[str]:
        """Up to *most* roots, in no order."""
        return list(chain.from_iterable(part.all_roots(most) for part in self._parts))[:most]

    def robots(self, origins: Sequence[str]) -> list[bytes | None]:
        """The stored robots.txt of each origin; none where it is not known, or cannot be read."""
        found: dict[str, bytes | None] = {}
        for part, names in grouped(origins, self._of_origin).items():
            found |= dict(zip(names, part.robots(names), strict=True))
        return [found[origin] for origin in origins]

    def forget_robots(self, origin: str) -> None:
        """The stored robots.txt of *origin* is no use."""
        self._of_origin(origin).forget_robots(origin)

    # -- deleting ------------------------------------------------------------------------------------------------------

    def sweep(self, batch: int = 500) -> int:
        """Take away all keys of a crawl that is being deleted, those of the first shard last; how many there were."""
        return sum(part.sweep(batch) for part in reversed(self._parts))


def _joined(cursors: Sequence[str]) -> str:
    return ",".join(cursors)
