"""What a crawl has stored and counted, read over all its shards: for export, status and explain.

The order of commits holds within a shard. A cursor has a place for each shard, in their order, with commas between.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TypeVar

from crawler import url as urls
from crawler.errors import UnreadableRecord
from crawler.frontier import decode
from crawler.frontier.host_facts import HostRow
from crawler.frontier.keys import Keys, crawl_of_meta, shard_of, shard_of_number
from crawler.frontier.messages import Exported, HostTrouble, Lease
from crawler.frontier.redis.connection import Connection
from crawler.frontier.shards.crawldb import Heartbeat, ShardDb
from crawler.frontier.shards.hosts import ShardHosts
from crawler.frontier.shards.reader import Reader
from crawler.frontier.shards.records import START, Letter, ShardRecords, Stored
from crawler.frontier.visits import Visit
from crawler.record import CONTENTS, Link, Record
from crawler.url_state import UrlState

S = TypeVar("S")
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def grouped(items: Iterable[T], part_of: Callable[[T], K]) -> dict[K, list[T]]:
    """*items* by the shard that each is of, in their order."""
    found: dict[K, list[T]] = {}
    for item in items:
        found.setdefault(part_of(item), []).append(item)
    return found


class CrawlDb:
    """Reads what all shards have stored."""

    def __init__(self, connection: Connection, crawl: str, shards: int = 1) -> None:
        """*connection* may be to any server of a cluster. The crawl need not exist."""
        self._shards = [ShardDb(Reader(connection, Keys(crawl, shard, shards))) for shard in range(shards)]
        self.records = Records([shard.records for shard in self._shards])
        self.hosts = Hosts([shard.hosts for shard in self._shards])

    # -- the crawl as a whole ------------------------------------------------------------------------------------------

    def meta(self) -> dict[str, bytes]:
        """The fields of `meta` of the first shard; empty when the crawl does not exist."""
        return self._shards[0].meta()

    def settings(self) -> bytes:
        """The settings stored with the crawl, as JSON. Raises NoCrawl, or DamagedCrawl where they are missing."""
        return self._shards[0].settings()

    def probe(self) -> None:
        """Write nothing to each shard: raises RedisAway or OutOfMemory where Redis would take no writes."""
        for shard in self._shards:
            shard.probe()

    def counters(self) -> dict[str, int]:
        """All counters by name, the sums."""
        total: Counter[str] = Counter()
        for shard in self._shards:
            for name, n in shard.counters().items():
                total[name] += n
        return dict(total)

    def workers(self) -> list[Heartbeat]:
        """The workers that said what they do, by name. They report to the first shard."""
        return self._shards[0].workers()

    def visit(self) -> Visit:
        """The latest visit, and the sweep of now, or the last one, for what is due to be visited again."""
        return self._shards[0].visit()

    def began(self) -> list[int]:
        """When the latest visit began in each shard, in ms of its server's clock; the first one did with the crawl."""
        return [shard.visit().began_ms for shard in self._shards]

    def clock(self) -> int:
        """The clock of the first shard's server, in milliseconds."""
        return self._shards[0].clock()

    def misfits(self) -> Iterator[str]:
        """The keys that hold something of another kind, in words."""
        return chain.from_iterable(shard.misfits() for shard in self._shards)

    def sweep(self) -> int:
        """Take away all keys of a crawl that is being deleted, those of the first shard last; how many there were."""
        return sum(shard.sweep() for shard in reversed(self._shards))

    # -- leases and traps ----------------------------------------------------------------------------------------------

    def leases(self) -> Iterator[tuple[str, Lease]]:
        """All leases that are out, each with the worker that holds it; no deadlines."""
        return chain.from_iterable(shard.leases() for shard in self._shards)

    def leases_of(self, worker: str) -> list[Lease]:
        """The leases that *worker* holds, by the order of their tokens; robots leases too."""
        found = [lease for owner, lease in self.leases() if owner == worker]
        return sorted(found, key=lambda lease: decode.order(lease.token))

    def deadline(self, token: str) -> int | None:
        """Milliseconds until a lease runs out; None when it is not held."""
        return _first(self._shards, lambda shard: shard.deadline(token))

    def traps(self) -> dict[str, int]:
        """The quarantined templates, and when each was, in ms of its server's clock."""
        return dict(chain.from_iterable(shard.traps().items() for shard in self._shards))

    def template(self, template_id: str) -> dict[str, str]:
        """What is known of one template that many URLs share: total (pages judged), state; empty when nothing is."""
        return _first(self._shards, lambda shard: shard.template(template_id) or None) or {}


class Records:
    """Reads what is stored of the URLs that have ended."""

    def __init__(self, shards: Sequence[ShardRecords]) -> None:
        self._shards = shards

    def _cursors(self, cursor: str) -> list[str]:
        return cursor.split(",") if "," in cursor else [cursor] * len(self._shards)

    def read(
        self, after: str = START, most: int = 500, contents: Collection[str] = CONTENTS
    ) -> tuple[list[Stored], str]:
        """The next records behind the cursor *after*, about *most*, with these of their *contents*, and the new cursor.

        A record that was committed again since is at its later place only. An unchanged cursor means: no more yet.
        Raises UnreadableRecord, which has the cursor behind it, if the next one is none. They are fewer where their
        contents are long.
        """
        found: list[Stored] = []
        reached = []
        cursors = self._cursors(after)
        for number, shard in enumerate(self._shards):
            try:
                more, cursor = shard.read(cursors[number], -(-most // len(self._shards)), contents)
            except UnreadableRecord as error:
                cursors[number] = error.cursor
                raise UnreadableRecord(str(error), ",".join(cursors)) from None
            found += more
            reached.append(cursor)
        return sorted(found, key=lambda stored: decode.place(stored.at)), ",".join(reached)

    def behind(self, cursor: str, taken: Sequence[Stored]) -> str:
        """The cursor behind *taken*, which are the first of the records behind *cursor*."""
        cursors = self._cursors(cursor)
        for stored in taken:
            cursors[shard_of(urls.host(stored.record.url), len(cursors))] = stored.at
        return ",".join(cursors)

    def exported(self, after: str, until: str, most: int = 500) -> tuple[list[Exported], str]:
        """What may be drained behind the cursor *after*, up to *until*: of one shard after the other.

        Those whose records cannot be read are left out: no output has them.
        """
        cursors = self._cursors(after)
        for number, (shard, last) in enumerate(zip(self._shards, self._cursors(until), strict=True)):
            before = cursors[number]
            found, cursors[number] = shard.exported(before, last, most)
            if cursors[number] != before:
                return [replace(one, shard=number) for one in found], ",".join(cursors)
        return [], ",".join(cursors)

    def entry(self, at: str) -> str | None:
        """The ids of the pages that the cursor's places are of, with commas between; None where there is none."""
        found = [shard.entry(place) or "" for shard, place in zip(self._shards, self._cursors(at), strict=True)]
        return ",".join(found) if any(found) else None

    def standing(self, cursor: str, last: str) -> str:
        """*cursor*, of each shard only if its entry is still of the page that *last* says, else START."""
        each = zip(self._shards, self._cursors(cursor), last.split(","), strict=False)
        return ",".join(shard.standing(place, page) for shard, place, page in each) if last else START

    def get(self, url_id: str, contents: Collection[str] = ()) -> Record | None:
        """The record of one URL with these of its *contents*, if it has ended."""
        return _first(self._shards, lambda shard: shard.get(url_id, contents))

    def states(self, places: Sequence[tuple[str, str]]) -> list[UrlState | None]:
        """The state of each URL that has ended, by its host and its id; None where there is none."""
        return list(map(decode.state, self.packed(places)))

    def state(self, url_id: str) -> UrlState | None:
        """The state of one URL that has ended."""
        return _first(self._shards, lambda shard: shard.states.of([url_id])[0])

    def buckets(self, shard: int, bucket: int, cursor: int = 0) -> tuple[list[tuple[str, bytes, UrlState]], int]:
        """States of one bucket (see `Keys.ended_buckets`), each with its id and as stored; the next cursor, 0: all.

        One may come twice.
        """
        return self._shards[shard].states.bucket(bucket, cursor)

    def swept(self, shard: int, first: int, count: int, *, small: bool) -> Iterator[list[tuple[bytes, bytes]]]:
        """Ids and packed states in *count* buckets of one shard (see `ShardStates.swept`)."""
        return self._shards[shard].states.swept(first, count, small=small)

    def packed(self, places: Sequence[tuple[str, str]]) -> list[bytes | None]:
        """As `states`, but as they are stored."""
        shards = self._shards
        of = {i: shards[shard_of(host, len(shards))] for host, i in places}
        return _by_shard([i for _, i in places], of.__getitem__, lambda shard, own: shard.states.packed(own))

    def raw(self) -> Iterator[list[tuple[str, bytes]]]:
        """The records of the last visits as they are stored, each with its id, in batches. One may come twice."""
        return chain.from_iterable(shard.raw() for shard in self._shards)

    def links_of(self, ids: Sequence[str]) -> dict[str, list[Link]]:
        """The stored links of pages, by id; of those that have some which can be read."""
        found: dict[str, list[Link]] = {}
        for shard in self._shards:
            found |= shard.links_of([url_id for url_id in ids if url_id not in found])
        return found

    def urls(self, ids: Sequence[str]) -> dict[str, str]:
        """The URLs of ended ones by id; those that are not known are absent, and what cannot be read."""
        found: dict[str, str] = {}
        for shard in self._shards:
            found |= shard.urls([url_id for url_id in ids if url_id not in found])
        return found

    def letters(self, since: int | None = None, until: int | None = None) -> Iterator[Letter]:
        """The dead letters of now, oldest first, that failed from *since* on and before *until* (ms, server's clock).

        None is missed when others are revived meanwhile.
        """
        return heapq.merge(*(shard.letters(since, until) for shard in self._shards), key=lambda letter: letter.at)

    def latest(self, most: int) -> list[Letter]:
        """The *most* dead letters that failed last, the latest first."""
        found = chain.from_iterable(shard.latest(most) for shard in self._shards)
        return sorted(found, key=lambda letter: -letter.at)[:most]

    def letter(self, url_id: str) -> Letter | None:
        """One dead letter; None for any other URL."""
        return _first(self._shards, lambda shard: shard.letter(url_id))


class Hosts:
    """Reads what is known of hosts, and which URLs and roots there are."""

    def __init__(self, shards: Sequence[ShardHosts]) -> None:
        self._shards = shards

    def _home(self, host: str) -> ShardHosts:
        return self._shards[shard_of(host, len(self._shards))]

    def _of_origin(self, origin: str) -> ShardHosts:
        return self._home(urls.host(f"{origin}/"))

    def due(self, most: int = 100) -> tuple[int, list[tuple[float, str]]]:
        """How many hosts wait with URLs; of the *most* that are due first when (server's clock, ms), and the name."""
        found = [shard.due(most) for shard in self._shards]
        return sum(total for total, _ in found), sorted(chain.from_iterable(first for _, first in found))[:most]

    def answered(self, most: int) -> list[str]:
        """Which of the hosts that are due first have answered this crawl: of *most* of each shard."""
        return list(chain.from_iterable(shard.answered(most) for shard in self._shards))

    def all(self, match: str = "") -> Iterator[HostRow]:
        """All hosts that are known, or those whose names match the glob *match*; in no order."""
        return chain.from_iterable(shard.all(match) for shard in self._shards)

    def rows(self, hosts: Sequence[str]) -> list[HostRow]:
        """What is known of each of *hosts*."""
        return _by_shard(hosts, self._home, ShardHosts.rows)

    def failing(self, most: int = 3) -> tuple[int, list[tuple[str, HostTrouble]]]:
        """How many hosts fail now, and the *most* that fail for longest, with what is wrong."""
        found = [shard.failing(most) for shard in self._shards]
        longest = sorted(chain.from_iterable(rows for _, rows in found), key=lambda row: row[1].since_ms)
        return sum(count for count, _ in found), longest[:most]

    def resting(self) -> int:
        """How many hosts with queued URLs fail, of those that fail for longest in each shard."""
        return sum(shard.resting() for shard in self._shards)

    def blocked(self) -> list[str]:
        """The names that are blocked; they are the same in all shards."""
        return self._shards[0].blocked()

    def settings(self) -> dict[str, int]:
        """What counts for single hosts in place of the crawl's: `delay NAME` in ms, `per_host NAME`, and so on."""
        return self._shards[0].settings()

    def queued(self, host: str, priority: int) -> Iterator[bytes]:
        """The entries of one of a host's queues, the next one first; read in slices while others take from it."""
        return self._home(host).queued(host, priority)

    def robots(self, origins: Sequence[str]) -> list[bytes | None]:
        """The stored robots.txt of each origin; None where it is not known, or cannot be read."""
        return _by_shard(origins, self._of_origin, ShardHosts.robots)

    def packed_robots(self, origin: str) -> bytes | None:
        """The robots.txt of *origin* as it is stored; it may hold no longer."""
        return self._of_origin(origin).packed_robots(origin)

    def forget_robots(self, origin: str) -> None:
        """The stored robots.txt of *origin* is no use: it is asked for again before the next page of its host."""
        self._of_origin(origin).forget_robots(origin)

    def roots(self, candidates: Sequence[str]) -> list[bool]:
        """Which of *candidates* are roots of the scope."""
        return _by_shard(candidates, self._home, ShardHosts.roots)

    def every_root(self) -> Iterator[str]:
        """All roots of the scope, in no order; one may come twice."""
        return chain.from_iterable(shard.every_root() for shard in self._shards)

    def has_seen_before(self) -> bool:
        """Whether fingerprints of another crawl were imported."""
        return self._shards[0].has_seen_before()

    def seen_before(self, numbers: Sequence[int]) -> list[bool]:
        """Which of the numbers of fingerprints were imported."""
        return _by_shard(numbers, lambda n: self._shards[shard_of_number(n, len(self._shards))], ShardHosts.seen_before)


def _first(shards: Sequence[S], ask: Callable[[S], T | None]) -> T | None:
    """The first answer that is not None; a URL's id does not show its shard."""
    return next((found for shard in shards if (found := ask(shard)) is not None), None)


def _by_shard(items: Sequence[K], home: Callable[[K], S], ask: Callable[[S, Sequence[K]], list[T]]) -> list[T]:
    """What *ask* answers for each of *items*, each asked of its home, in their order."""
    found: dict[K, T] = {}
    for shard, own in grouped(items, home).items():
        found |= dict(zip(own, ask(shard, own), strict=True))
    return [found[item] for item in items]


def crawls(connection: Connection) -> list[str]:
    """The names of all crawls on this Redis."""
    keys: list[bytes] = []
    for server in connection.masters():
        keys += server.ask(lambda client=server.client: list(client.scan_iter("crawler:{*.0}:meta", 1000)))  # type: ignore
    return sorted(name for key in keys if (name := crawl_of_meta(key.decode("utf-8", "replace"))))
