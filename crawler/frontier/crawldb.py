"""What the crawl has stored and counted: reading for export, status and explain, and sweeping after `delete`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from crawler.errors import DamagedCrawl, FrontierError, NoCrawl, UnreadableRecord
from crawler.frontier import decode
from crawler.frontier import segment as segments
from crawler.frontier.corruption import misfits, naming
from crawler.frontier.keys import Keys, crawl_of_meta
from crawler.frontier.messages import Exported, Lease
from crawler.frontier.redis.connection import Connection
from crawler.record import Record, Stub
from crawler.text import rfc3339

START: Final = "0-0"
_BATCH: Final = 500
_WEIGHT: Final = 8 << 20  # characters of text after which a batch of records ends
_MAX_ROBOTS: Final = 1 << 20  # bytes of a robots.txt: twice what is stored of one (`robots.MAX_BYTES`)
_SLICE: Final = 1_000  # queue entries read at a time


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored record and its place in the order of commits."""

    at: str
    id: str
    record: Record
    """`via` and `duplicate_of` are still ids here; `text` is filled in."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last word of a worker: seconds since, and what it said (JSON object)."""

    worker: str
    age: float
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Letter:
    """A URL that was given up: its id, when that was in ms of the server's clock, and its record without the text."""

    id: str
    at: int
    record: Record | None
    """None where it cannot be read."""

    @property
    def when(self) -> str:
        """When that was, as a date and time in UTC."""
        return rfc3339(self.at / 1000)


class CrawlDb:
    """Reads one crawl's stored side on one shard."""

    def __init__(self, link: Connection, crawl: str, shard: int = 0, shards: int = 1) -> None:
        """*link* may be to any server of a cluster."""
        self._keys = Keys(crawl, shard, shards)
        self._link = link.at(self._keys.meta)
        self._redis: Any = self._link.client
        self._crawl = crawl

    def _ask(self, *commands: tuple[Any, ...]) -> list[Any]:
        def question() -> list[Any]:
            pipe = self._redis.pipeline(transaction=False)  # one for each try: it is empty when it has failed
            for command in commands:
                pipe.execute_command(*command)
            found: list[Any] = pipe.execute()
            return found

        with naming(self._link, self._keys):
            return self._link.ask(question)

    def _scan(self, scan: Callable[..., Iterator[Any]], *args: str, **options: Any) -> list[Any]:
        with naming(self._link, self._keys):
            return self._link.ask(lambda: list(scan(*args, **options, count=1000)))

    # -- records -------------------------------------------------------------------------------------------------------

    def records(self, after: str = START, most: int = _BATCH) -> tuple[list[Stored], str]:
        """The next *most* records behind the cursor *after*, in the order of their commits, and the new cursor.

        A record that was committed again since stands at its later place only. An unchanged cursor means: no more yet.
        Raises UnreadableRecord, which has the cursor behind it, if the next one is none. They are fewer where their
        texts are long.
        """
        (entries,) = self._ask(("XRANGE", self._keys.records, f"({after}", "+", "COUNT", most))
        if not entries:
            return [], after
        ids = decode.ids(entries)
        pages = self._ask(*(("HMGET", self._keys.page(i), "m", "t", "d", "at") for i in ids))
        found: list[Stored] = []
        weight = 0
        for (at, _), url_id, page in zip(entries, ids, pages, strict=True):
            if page[3] == at:
                try:
                    record = self._record(url_id, page)
                except UnreadableRecord as error:
                    if found:
                        break  # the next call begins with it
                    raise UnreadableRecord(str(error), at.decode()) from None
                found.append(Stored(at.decode(), url_id, record))
                weight += len(record.text or "")
            after = at.decode()
            if weight >= _WEIGHT:
                break
        return found, after

    def behind(self, cursor: str, taken: Sequence[Stored]) -> str:
        """The cursor behind *taken*, which are the first of the records behind *cursor*."""
        return taken[-1].at if taken else cursor

    def exported(self, after: str, until: str, most: int = _BATCH) -> tuple[list[Exported], str]:
        """What may be drained: the next *most* entries behind the cursor *after*, up to *until*, and the new cursor.

        Those whose records cannot be read are left out: no output has them.
        """
        (entries,) = self._ask(("XRANGE", self._keys.records, f"({after}", until, "COUNT", most))
        ids = decode.ids(entries)
        pages = self._ask(*(("HMGET", self._keys.page(i), "m", "at") for i in ids)) if ids else []
        found = []
        for (at, _), url_id, page in zip(entries, ids, pages, strict=True):
            after = at.decode()
            with suppress(UnreadableRecord):
                found.append(Exported(after, url_id, self._stub(url_id, page[0]) if page[1] == at else None))
        return found, after

    def entry(self, at: str) -> str | None:
        """The id of the page that the stream's entry *at* is of; none if it is not there (any more)."""
        (entries,) = self._ask(("XRANGE", self._keys.records, at, at))
        return decode.ids(entries)[0] if entries else None

    def standing(self, cursor: str, last: str) -> str:
        """*cursor*, if its entry is still there and of the page *last*; else START."""
        return cursor if last and self.entry(cursor) == last else START

    def _stub(self, url_id: str, raw: bytes | None) -> Stub:
        return decode.stub(self._keys.page(url_id), raw)

    def _record(self, url_id: str, page: Sequence[bytes | None]) -> Record:
        return decode.record(self._keys.page(url_id), page)

    def record(self, url_id: str) -> Record | None:
        """The record of one URL, if it has ended."""
        (page,) = self._ask(("HMGET", self._keys.page(url_id), "m", "t", "d"))
        return self._record(url_id, page) if page[0] else None

    def urls(self, ids: Sequence[str]) -> dict[str, str]:
        """The URLs of stored pages by id; those that are not stored (any more) are absent, and what cannot be read."""
        pages = self._ask(*(("HGET", self._keys.page(i), "m") for i in ids)) if ids else []
        records = {i: self._record_or_none(i, raw) for i, raw in zip(ids, pages, strict=True) if raw}
        return {i: record.url for i, record in records.items() if record is not None}

    def letters(self, since: int | None = None, until: int | None = None) -> Iterator[Letter]:
        """The dead letters of now, oldest first, that failed from *since* on and before *until* (ms, server's clock).

        None is missed when others, or those that were told already, are revived meanwhile.
        """
        (newest,) = self._ask(("ZRANGE", self._keys.failed, -1, -1, "WITHSCORES"))
        if not newest:
            return
        last = (float("-inf") if since is None else float(since), b"")
        most = float(newest[1]) if until is None else min(float(newest[1]), until - 1)
        while rows := self._behind(last, most):
            ids = [url_id.decode("utf-8", "replace") for url_id, _ in rows]
            pages = self._ask(*(("HMGET", self._keys.page(url_id), "m") for url_id in ids))
            for url_id, (_, at), (raw,) in zip(ids, rows, pages, strict=True):
                if raw is not None:  # else it was revived just now
                    yield Letter(url_id, decode.whole(at), self._record_or_none(url_id, raw))
            last = rows[-1][1], rows[-1][0]

    def _behind(self, last: tuple[float, bytes], most: float) -> list[tuple[bytes, float]]:
        """The next rows of `failed` behind (score, member), by score and member, of scores up to *most*."""
        at, member = last
        score, rank, below = self._ask(
            ("ZSCORE", self._keys.failed, member),
            ("ZRANK", self._keys.failed, member),
            ("ZCOUNT", self._keys.failed, "-inf", f"({at:.0f}" if at > float("-inf") else "-inf"),
        )
        start = rank if score is not None and float(score) == at else below
        while True:
            (raw,) = self._ask(("ZRANGE", self._keys.failed, start, start + _BATCH - 1, "WITHSCORES"))
            rows = [(url_id, float(when)) for url_id, when in decode.pairs(raw)]
            fresh = [(url_id, when) for url_id, when in rows if (when, url_id) > last and when <= most]
            if fresh or len(rows) < _BATCH or rows[-1][1] > most:
                return fresh
            start += _BATCH

    def letter(self, url_id: str) -> Letter | None:
        """One dead letter; None for any other URL."""
        at, raw = self._ask(("ZSCORE", self._keys.failed, url_id), ("HGET", self._keys.page(url_id), "m"))
        return (
            None
            if at is None or raw is None
            else Letter(url_id, decode.whole(float(at)), self._record_or_none(url_id, raw))
        )

    def _record_or_none(self, url_id: str, raw: bytes) -> Record | None:
        try:
            return self._record(url_id, (raw, None, None))
        except FrontierError:
            return None

    # -- traps ---------------------------------------------------------------------------------------------------------

    def traps(self) -> dict[str, int]:
        """The quarantined templates, and when each was, in ms of the server's clock."""
        (raw,) = self._ask(("HGETALL", self._keys.traps))
        return {template.decode("utf-8", "replace"): decode.number(when) for template, when in decode.pairs(raw)}

    def template(self, template_id: str) -> dict[str, str]:
        """What is known of one template that many URLs share: total (pages weighed), state; empty when nothing is."""
        (raw,) = self._ask(("HGETALL", self._keys.template(template_id)))
        return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in decode.pairs(raw)}

    # -- one URL -------------------------------------------------------------------------------------------------------

    def is_seen(self, url_id: str) -> bool:
        """Whether the URL was ever accepted."""
        (found,) = self._ask(("SISMEMBER", self._keys.seen(url_id), url_id))
        return bool(found)

    def leases(self) -> Iterator[tuple[str, Lease]]:
        """All leases that are out, each with the worker that holds it; no deadlines."""
        for token, value in self._scan(self._redis.hscan_iter, self._keys.leased):
            yield decode.lease(token, value)

    def tokens(self) -> set[bytes]:
        """The tokens of all leases, whichever of the two keys names them."""
        rows = {token for token, _ in self._scan(self._redis.hscan_iter, self._keys.leased)}
        return rows.union(self._members(self._keys.leases))

    def host_names(self) -> set[bytes]:
        """All hosts that have facts, a queue or a place in `ready`: found by looking through all keys."""
        names = {name for index in self._keys.indexes for name in self._members(index)}
        prefix = self._keys.prefix.encode()
        for key in self._scan(self._redis.scan_iter, match=self._keys.pattern("[hq]")):
            what, _, name = key.removeprefix(prefix).partition(b":")
            if what == b"host":
                names.add(name)
            elif what == b"queue":
                names.add(name.rpartition(b":")[0])
        return names

    def _members(self, key: str) -> Iterator[bytes]:
        """The members of a sorted set, read in slices; one that moves meanwhile may be missed."""
        at, found = 0, [b""] * _SLICE
        while len(found) == _SLICE:
            (found,) = self._ask(("ZRANGE", key, at, at + _SLICE - 1))
            yield from found
            at += _SLICE

    def misfits(self) -> Iterator[str]:
        """The keys that hold something of another kind, in words."""
        return misfits(self._link, self._keys)

    def deadline(self, token: str) -> int | None:
        """Milliseconds until a lease runs out; None when it is not held."""
        at, clock = self._ask(("ZSCORE", self._keys.leases, token), ("TIME",))
        return None if at is None else decode.whole(float(at)) - decode.now_ms(clock)

    def queued(self, host: str, priority: int) -> Iterator[bytes]:
        """The entries of one of a host's queues, the next one first; read in slices while others take from it."""
        yield from self._list(self._keys.queue(host, priority))
        if priority == 1:
            for segment in self._list(self._keys.queue(host, "packed"), 1):
                with suppress(ValueError):
                    yield from segments.decode(segment)
            yield from self._list(self._keys.queue(host, "tail"))

    def _list(self, key: str, at_once: int = _SLICE) -> Iterator[bytes]:
        at, found = 0, [b""] * at_once
        while len(found) == at_once:
            (found,) = self._ask(("LRANGE", key, at, at + at_once - 1))
            yield from found
            at += at_once

    # -- counts --------------------------------------------------------------------------------------------------------

    def meta(self) -> dict[str, bytes]:
        """The fields of `meta`; empty when the crawl does not exist."""
        (raw,) = self._ask(("HGETALL", self._keys.meta))
        return {k.decode("utf-8", "replace"): v for k, v in decode.pairs(raw)}

    def settings(self) -> bytes:
        """The settings stored with the crawl, as JSON. Raises NoCrawl, or DamagedCrawl where they are missing."""
        meta = self.meta()
        if not meta:
            raise NoCrawl(f"crawl {self._crawl!r} is gone: it was deleted")
        if "settings" not in meta:
            raise DamagedCrawl(
                f"the `meta` of crawl {self._crawl!r} is damaged (its settings are missing): `crawler delete` takes the"
                " crawl away"
            )
        return meta["settings"]

    def probe(self) -> None:
        """Write nothing: raises RedisAway or OutOfMemory where Redis would take no writes."""
        self._ask(("SETRANGE", self._keys.probe, 0, ""))

    def counters(self) -> dict[str, int]:
        """All counters by name."""
        (raw,) = self._ask(("HGETALL", self._keys.counters))
        return {k.decode("utf-8", "replace"): decode.number(v) for k, v in decode.pairs(raw)}

    def workers(self) -> list[Heartbeat]:
        """The workers that said what they do, by name."""
        raw, clock = self._ask(("HGETALL", self._keys.workers), ("TIME",))
        now = decode.now_ms(clock)
        heartbeats = []
        for name, value in decode.pairs(raw):
            at, _, text = value.partition(b" ")
            try:
                facts = msgspec.json.decode(text, type=dict[str, Any])
            except (msgspec.DecodeError, RecursionError):  # no worker wrote that
                continue
            heartbeats.append(Heartbeat(name.decode("utf-8", "replace"), max(now - decode.number(at), 0) / 1000, facts))
        return sorted(heartbeats, key=lambda heartbeat: heartbeat.worker)

    def hosts(self, most: int = 100) -> tuple[int, list[tuple[float, str]]]:
        """How many hosts wait with URLs; of the *most* that are due first when (server's clock, ms), and the name."""
        counts = self._ask(*(("ZCARD", index) for index in self._keys.indexes))
        firsts = self._ask(*(("ZRANGE", index, 0, most - 1, "WITHSCORES") for index in self._keys.indexes))
        dues = sorted((float(due), raw) for first in firsts for raw, due in decode.pairs(first))
        return sum(map(int, counts)), [(due, raw.decode("utf-8", "replace")) for due, raw in dues[:most]]

    def answered(self, most: int) -> list[str]:
        """Which of the *most* hosts that are due first have answered this crawl: with a page, or about robots.txt."""
        names = [name for _, name in self.hosts(most)[1]]
        found = self._ask(*(("HMGET", self._keys.host(name), "latency", "robots_rev") for name in names))
        return [name for name, facts in zip(names, found, strict=True) if facts != [None, None]]

    def backing_off(self) -> int:
        """How many hosts wait for later than a minute from now: they rest after failures or long delays."""
        (clock,) = self._ask(("TIME",))
        later = decode.now_ms(clock) + 60_000
        return sum(map(int, self._ask(*(("ZCOUNT", index, later, "+inf") for index in self._keys.indexes))))

    def roots(self, candidates: Sequence[str]) -> list[bool]:
        """Which of *candidates* are roots of the scope."""
        if not candidates:
            return []
        (found,) = self._ask(("SMISMEMBER", self._keys.roots, *candidates))
        return [bool(x) for x in found]

    def accepted(self, places: Sequence[tuple[str, str]]) -> list[bool]:
        """Which of the URLs, each by its host and its id, were ever accepted."""
        found = self._ask(*(("SISMEMBER", self._keys.seen(url_id), url_id) for _, url_id in places))
        return [bool(x) for x in found]

    def all_roots(self, most: int = 10_000) -> list[str]:
        """Up to *most* roots, in no order."""
        cursor, roots = 0, set[str]()
        while len(roots) < most:
            ((raw, found),) = self._ask(("SSCAN", self._keys.roots, cursor, "COUNT", 1000))
            roots.update(item.decode("utf-8", "replace") for item in found)
            cursor = int(raw)
            if cursor == 0:
                break
        return list(roots)[:most]

    def robots(self, origins: Sequence[str]) -> list[bytes | None]:
        """The stored robots.txt of each origin; none where it is not known, or cannot be read."""
        stored = self._ask(*(("GET", self._keys.robots(origin)) for origin in origins)) if origins else []
        return [decode.readable(raw, _MAX_ROBOTS) if raw else raw for raw in stored]

    def forget_robots(self, origin: str) -> None:
        """The stored robots.txt of *origin* is no use: it is asked for again before the next page of its host."""
        self._ask(("DEL", self._keys.robots(origin)))

    def leases_of(self, worker: str) -> list[Lease]:
        """The leases that *worker* holds, by the order of their tokens; robots leases too."""
        found = [lease for owner, lease in self.leases() if owner == worker]
        return sorted(found, key=lambda lease: decode.order(lease.token))

    def clock(self) -> int:
        """The server's clock in milliseconds."""
        (clock,) = self._ask(("TIME",))
        return decode.now_ms(clock)

    # -- deleting ------------------------------------------------------------------------------------------------------

    def sweep(self, batch: int = 500) -> int:
        """Take away all keys of a crawl that is being deleted, the fixed ones with `meta` last; how many there were."""
        keys = self._keys
        fixed = {key.encode() for key in keys.fixed}
        (swept,) = self._ask(("UNLINK", keys.leases, keys.leased))  # first: without a lease no commit writes
        cursor = None
        while cursor != 0:
            ((cursor, found),) = self._ask(("SCAN", cursor or 0, "MATCH", keys.pattern(), "COUNT", batch))
            names = [key for key in found if key not in fixed]
            if names:
                swept += self._ask(("UNLINK", *names))[0]
        return int(swept + self._ask(("UNLINK", *keys.fixed))[0])


def crawls(link: Connection) -> list[str]:
    """The names of all crawls on this Redis."""
    keys: list[bytes] = []
    for server in link.masters():
        keys += server.ask(lambda client=server.client: list(client.scan_iter("crawler:{*.0}:meta", 1000)))  # type: ignore
    return sorted(name for key in keys if (name := crawl_of_meta(key.decode("utf-8", "replace"))))
