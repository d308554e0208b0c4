"""What one shard has stored of URLs that have ended: records in the order of commits, and dead letters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from crawler.errors import FrontierError, UnreadableRecord
from crawler.frontier import decode
from crawler.frontier.keys import CONTENT_FIELDS
from crawler.frontier.messages import Exported
from crawler.frontier.shards.reader import SLICE, Reader
from crawler.record import CONTENTS, Record, Stub
from crawler.text import rfc3339
from crawler.url_state import id_bytes

START: Final = "0-0"
_BATCH: Final = 500
_WEIGHT: Final = 8 << 20  # bytes of contents after which a batch of records ends


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored record and its place in the order of commits."""

    at: str
    id: str
    record: Record
    """`via`, `duplicate_of` and `near_duplicate_of` are still ids here; it has the contents that were asked for."""
    weight: int = 0
    """Bytes of its contents."""


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


class ShardRecords:
    """Reads the records of one shard."""

    def __init__(self, shard: Reader) -> None:
        self._shard, self._keys = shard, shard.keys

    def read(
        self, after: str = START, most: int = _BATCH, contents: Collection[str] = CONTENTS
    ) -> tuple[list[Stored], str]:
        """The next *most* records behind the cursor *after*, in the order of their commits, and the new cursor.

        Of *contents*, names in CONTENTS, no others are read.

        A record that was committed again since is at its later place only. An unchanged cursor means: no more yet.
        Raises UnreadableRecord, which has the cursor behind it, if the next one is none. They are fewer where their
        contents are long.
        """
        (entries,) = self._shard.read(("XRANGE", self._keys.records, f"({after}", "+", "COUNT", most))
        if not entries:
            return [], after
        ids = decode.ids(entries)
        fields = [CONTENT_FIELDS[name] for name in contents]
        pages = self._shard.read(*(("HMGET", self._keys.page(i), "m", "at", "d", "n", *fields) for i in ids))
        found: list[Stored] = []
        weight = 0
        for (at, _), url_id, page in zip(entries, ids, pages, strict=True):
            if page[1] == at:
                try:
                    packed = dict(zip(contents, page[4:], strict=True))
                    record, size = decode.record(self._keys.page(url_id), page[0], page[2], page[3], packed)
                except UnreadableRecord as error:
                    if found:
                        break  # the next call begins with it
                    raise UnreadableRecord(str(error), at.decode()) from None
                found.append(Stored(at.decode(), url_id, record, size))
                weight += size
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
        (entries,) = self._shard.read(("XRANGE", self._keys.records, f"({after}", until, "COUNT", most))
        ids = decode.ids(entries)
        pages = self._shard.read(*(("HMGET", self._keys.page(i), "m", "at") for i in ids))
        found = []
        for (at, _), url_id, page in zip(entries, ids, pages, strict=True):
            after = at.decode()
            with suppress(UnreadableRecord):
                found.append(Exported(after, url_id, self._stub(url_id, page[0]) if page[1] == at else None))
        return found, after

    def entry(self, at: str) -> str | None:
        """The id of the page that the stream's entry *at* is of; none if it is not there (any more)."""
        (entries,) = self._shard.read(("XRANGE", self._keys.records, at, at))
        return decode.ids(entries)[0] if entries else None

    def standing(self, cursor: str, last: str) -> str:
        """*cursor*, if its entry is still there and of the page *last*; else START."""
        return cursor if last and self.entry(cursor) == last else START

    def states(self, ids: Sequence[str]) -> list[bytes | None]:
        """The states of URLs that have ended, as they are stored; None for any other URL."""
        return self._shard.read(*(("HGET", self._keys.ended(i), id_bytes(i)) for i in ids))

    def ended(self, first: int, count: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Ids (8 bytes) and states in *count* buckets of the URLs that have ended, from *first* on, in slices.

        What ends meanwhile may be missed; a state may come twice.
        """
        todo = [(bucket, 0) for bucket in range(first, min(first + count, self._keys.ended_buckets))]
        while todo:
            found = self._shard.read(
                *(("HSCAN", f"{self._keys.prefix}ended:{bucket}", cursor, "COUNT", SLICE) for bucket, cursor in todo)
            )
            yield [pair for _, pairs in found for pair in decode.pairs(pairs)]
            todo = [(bucket, int(cursor)) for (bucket, _), (cursor, _) in zip(todo, found, strict=True) if int(cursor)]

    def _stub(self, url_id: str, raw: bytes | None) -> Stub:
        return decode.stub(self._keys.page(url_id), raw)

    def get(self, url_id: str, contents: Collection[str] = ()) -> Record | None:
        """The record of one URL with these of its *contents*, if it has ended."""
        key, fields = self._keys.page(url_id), [CONTENT_FIELDS[name] for name in contents]
        (page,) = self._shard.read(("HMGET", key, "m", "d", "n", *fields))
        packed = dict(zip(contents, page[3:], strict=True))
        return decode.record(key, page[0], page[1], page[2], packed)[0] if page[0] else None

    def urls(self, ids: Sequence[str]) -> dict[str, str]:
        """The URLs of stored pages by id; those that are not stored (any more) are absent, and what cannot be read."""
        pages = self._shard.read(*(("HGET", self._keys.page(i), "m") for i in ids))
        records = {i: self._record_or_none(i, raw) for i, raw in zip(ids, pages, strict=True) if raw}
        return {i: record.url for i, record in records.items() if record is not None}

    def letters(self, since: int | None = None, until: int | None = None) -> Iterator[Letter]:
        """The dead letters of now, oldest first, that failed from *since* on and before *until* (ms, server's clock).

        None is missed when others, or those that were returned already, are revived meanwhile.
        """
        (newest,) = self._shard.read(("ZRANGE", self._keys.failed, -1, -1, "WITHSCORES"))
        if not newest:
            return
        last = (float("-inf") if since is None else float(since), b"")
        most = float(newest[1]) if until is None else min(float(newest[1]), until - 1)
        while rows := self._behind(last, most):
            yield from self._letters(rows)
            last = rows[-1][1], rows[-1][0]

    def latest(self, most: int) -> list[Letter]:
        """The *most* dead letters that failed last, the latest first."""
        (raw,) = self._shard.read(("ZRANGE", self._keys.failed, -most, -1, "WITHSCORES"))
        return list(self._letters([(url_id, float(at)) for url_id, at in decode.pairs(raw)]))[::-1]

    def _letters(self, rows: Sequence[tuple[bytes, float]]) -> Iterator[Letter]:
        ids = [url_id.decode("utf-8", "replace") for url_id, _ in rows]
        pages = self._shard.read(*(("HMGET", self._keys.page(url_id), "m") for url_id in ids))
        for url_id, (_, at), (raw,) in zip(ids, rows, pages, strict=True):
            if raw is not None:  # else it was revived just now
                yield Letter(url_id, decode.whole(at), self._record_or_none(url_id, raw))

    def _behind(self, last: tuple[float, bytes], most: float) -> list[tuple[bytes, float]]:
        """The next rows of `failed` behind (score, member), by score and member, of scores up to *most*."""
        at, member = last
        score, rank, below = self._shard.read(
            ("ZSCORE", self._keys.failed, member),
            ("ZRANK", self._keys.failed, member),
            ("ZCOUNT", self._keys.failed, "-inf", f"({at:.0f}" if at > float("-inf") else "-inf"),
        )
        start = rank if score is not None and float(score) == at else below
        while True:
            (raw,) = self._shard.read(("ZRANGE", self._keys.failed, start, start + _BATCH - 1, "WITHSCORES"))
            rows = [(url_id, float(when)) for url_id, when in decode.pairs(raw)]
            fresh = [(url_id, when) for url_id, when in rows if (when, url_id) > last and when <= most]
            if fresh or len(rows) < _BATCH or rows[-1][1] > most:
                return fresh
            start += _BATCH

    def letter(self, url_id: str) -> Letter | None:
        """One dead letter; None for any other URL."""
        at, raw = self._shard.read(("ZSCORE", self._keys.failed, url_id), ("HGET", self._keys.page(url_id), "m"))
        return (
            None
            if at is None or raw is None
            else Letter(url_id, decode.whole(float(at)), self._record_or_none(url_id, raw))
        )

    def _record_or_none(self, url_id: str, raw: bytes) -> Record | None:
        try:
            return decode.record(self._keys.page(url_id), raw, None, None, {})[0]
        except FrontierError:
            return None
