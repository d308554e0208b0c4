"""What one shard has stored of URLs that have ended: records in the order of commits, and dead letters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from crawler.errors import FrontierError, UnreadableRecord
from crawler.frontier import decode
from crawler.frontier.keys import CONTENT_FIELDS
from crawler.frontier.messages import Exported
from crawler.frontier.shards.reader import Reader
from crawler.frontier.shards.states import ShardStates
from crawler.record import CONTENTS, Link, Record
from crawler.text import rfc3339
from crawler.url_state import UrlState

START: Final = "0-0"
_OF_PAGE: Final = ("at", "fat", "m", "f", "d", "n")
"""Fields of a page: places of its records in the order of commits, the records, and pages that it is like."""
_BATCH: Final = 500
_links: Final = msgspec.json.Decoder(list[Link])
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
        self.states = ShardStates(shard)

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
        pages = [("HMGET", self._keys.page(i), *_OF_PAGE, *fields) for i in ids]
        replies = self._shard.read(*pages, *map(self.states.reading, ids))
        states = map(decode.state, replies[len(ids) :])
        found: list[Stored] = []
        weight = 0
        for (at, _), url_id, page, state in zip(entries, ids, replies, states, strict=False):
            if at in (page[0], page[1]):
                try:
                    record, size = self._decoded(at, url_id, page, contents, state)
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

    def _decoded(
        self,
        at: bytes | None,
        url_id: str,
        page: Sequence[bytes | None],
        contents: Collection[str],
        state: UrlState | None,
    ) -> tuple[Record, int]:
        """The record of the visit whose place is *at*, of None that of the last one; and the bytes of its contents."""
        key, (of_failed, good, failed, copy_of, near) = self._keys.page(url_id), page[1:6]
        if failed is not None and at in (None, of_failed):
            return decode.record(key, failed, state=state)
        return decode.record(key, good, copy_of, near, dict(zip(contents, page[6:], strict=True)), state)

    def raw(self) -> Iterator[list[tuple[str, bytes]]]:
        """The records of the last visits as they are stored, each with its id, in batches. One may come twice."""
        after = START
        while True:
            (entries,) = self._shard.read(("XRANGE", self._keys.records, f"({after}", "+", "COUNT", _BATCH))
            if not entries:
                return
            after, ids = entries[-1][0].decode(), decode.ids(entries)
            yield list(self._last_of(ids).items())

    def _last_of(self, ids: Sequence[str]) -> dict[str, bytes]:
        pages = self._shard.read(*(("HMGET", self._keys.page(url_id), "f", "m") for url_id in ids))
        return {i: failed or good for i, (failed, good) in zip(ids, pages, strict=True) if failed or good}

    def links_of(self, ids: Sequence[str]) -> dict[str, list[Link]]:
        """The stored links of pages, by id; of those that have some which can be read."""
        field = CONTENT_FIELDS["links"]
        found: dict[str, list[Link]] = {}
        packed = self._shard.read(*(("HGET", self._keys.page(url_id), field) for url_id in ids))
        for url_id, raw in zip(ids, packed, strict=True):
            with suppress(ValueError, msgspec.DecodeError, RecursionError):
                found[url_id] = _links.decode(decode.unpacked(raw or b""))
        return found

    def behind(self, cursor: str, taken: Sequence[Stored]) -> str:
        """The cursor behind *taken*, which are the first of the records behind *cursor*."""
        return taken[-1].at if taken else cursor

    def exported(self, after: str, until: str, most: int = _BATCH) -> tuple[list[Exported], str]:
        """What may be drained: the next *most* entries behind the cursor *after*, up to *until*, and the new cursor.

        Those whose records cannot be read are left out: no output has them.
        """
        (entries,) = self._shard.read(("XRANGE", self._keys.records, f"({after}", until, "COUNT", most))
        ids = decode.ids(entries)
        pages = self._shard.read(*(("HMGET", self._keys.page(i), *_OF_PAGE) for i in ids))
        found = []
        for (at, _), url_id, page in zip(entries, ids, pages, strict=True):
            after = at.decode()
            stands = at in (page[0], page[1])
            with suppress(UnreadableRecord):
                outcome = self._decoded(at, url_id, page, (), None)[0].outcome if stands else None
                found.append(Exported(after, url_id, outcome))
        return found, after

    def entry(self, at: str) -> str | None:
        """The id of the page that the stream's entry *at* is of; none if it is not there (any more)."""
        (entries,) = self._shard.read(("XRANGE", self._keys.records, at, at))
        return decode.ids(entries)[0] if entries else None

    def standing(self, cursor: str, last: str) -> str:
        """*cursor*, if its entry is still there and of the page *last*; else START."""
        return cursor if last and self.entry(cursor) == last else START

    def get(self, url_id: str, contents: Collection[str] = ()) -> Record | None:
        """The record of the last visit of one URL with these of its *contents*, if it has ended.

        Of what was drained that is what its state knows.
        """
        fields = [CONTENT_FIELDS[name] for name in contents]
        page, raw = self._shard.read(
            ("HMGET", self._keys.page(url_id), *_OF_PAGE, *fields), self.states.reading(url_id)
        )
        state = decode.state(raw)
        if page[2] or page[3]:
            record = self._decoded(None, url_id, page, contents, state)[0]
            if state is None or state.outcome == record.outcome:
                return record  # else the last visit found what was drained before
        return None if state is None else decode.record_of(state)

    def urls(self, ids: Sequence[str]) -> dict[str, str]:
        """The URLs of ended ones by id; those that are not known are absent, and what cannot be read."""
        found = {i: state.url for i, state in zip(ids, self.states.of(ids), strict=True) if state is not None}
        left = [i for i in ids if i not in found]  # a crawl of the last release has no states
        pages = self._shard.read(*(("HGET", self._keys.page(i), "m") for i in left))
        records = {i: self._record_or_none(i, raw) for i, raw in zip(left, pages, strict=True) if raw}
        return found | {i: record.url for i, record in records.items() if record is not None}

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
        pages = self._shard.read(*(("HMGET", self._keys.page(url_id), "f", "m") for url_id in ids))
        for url_id, (_, at), (failed, raw) in zip(ids, rows, pages, strict=True):
            if failed or raw:  # else it was revived just now
                yield Letter(url_id, decode.whole(at), self._record_or_none(url_id, failed or raw))

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
        at, (failed, raw) = self._shard.read(
            ("ZSCORE", self._keys.failed, url_id), ("HMGET", self._keys.page(url_id), "f", "m")
        )
        if at is None or not (failed or raw):
            return None
        return Letter(url_id, decode.whole(float(at)), self._record_or_none(url_id, failed or raw))

    def _record_or_none(self, url_id: str, raw: bytes) -> Record | None:
        try:
            return decode.record(self._keys.page(url_id), raw)[0]
        except FrontierError:
            return None
