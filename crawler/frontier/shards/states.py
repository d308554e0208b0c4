"""What one shard keeps of each URL that has ended: its packed state (see url_state.py)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from crawler.frontier import decode
from crawler.frontier.shards.reader import SLICE, Reader
from crawler.url_state import UrlState, id_bytes

_ID: Final = re.compile("[0-9]{1,20}")
_GROUP: Final = 16
"""Buckets that are looked for at once."""


class ShardStates:
    """Reads the states of one shard. What something else wrote counts as absent."""

    def __init__(self, shard: Reader) -> None:
        self._shard, self._keys = shard, shard.keys

    def of(self, ids: Sequence[str]) -> list[UrlState | None]:
        """The state of each of *ids*; None where there is none."""
        return list(map(decode.state, self._shard.read(*map(self.reading, ids))))

    def reading(self, url_id: str) -> tuple[str, str, bytes]:
        """The command that reads the state of one URL; of what is no id, one that finds nothing."""
        url_id = url_id if _ID.fullmatch(url_id) and int(url_id) < 1 << 64 else "0"
        return "HGET", self._keys.ended(url_id), id_bytes(url_id)

    def bucket(self, number: int, cursor: int) -> tuple[list[tuple[str, bytes, UrlState]], int]:
        """About a thousand states of one bucket, each with its id and as it is stored, and the next cursor; 0: all.

        One may come twice (HSCAN).
        """
        ((after, raw),) = self._shard.read(("HSCAN", self._keys.ended_bucket(number), cursor, "COUNT", SLICE))
        found = [
            (str(int.from_bytes(field, "big")), packed, state)
            for field, packed in decode.pairs(raw)
            if len(field) == 8 and (state := decode.state(packed)) is not None
        ]
        return found, int(after)

    def packed(self, ids: Sequence[str]) -> list[bytes | None]:
        """The state of each of *ids* as it is stored; None where there is none."""
        return self._shard.read(*map(self.reading, ids))

    def swept(self, first: int, count: int, *, small: bool) -> Iterator[list[tuple[bytes, bytes]]]:
        """Ids (8 bytes) and packed states in *count* buckets, from *first* on, in slices.

        *small*: the buckets have some hundred states at most, so each is read at once, which costs Redis half as much.
        What ends meanwhile may be missed; a state may come twice.
        """
        numbers = range(first, min(first + count, self._keys.ended_buckets))
        return self.read(self._keys.ended_bucket, numbers, small=small)

    def read(
        self, key: Callable[[int], str], numbers: Iterable[int], *, small: bool, most: int = SLICE
    ) -> Iterator[list[tuple[bytes, bytes]]]:
        """As `swept`, but of the buckets with these *numbers*; *key* names each, as `Keys.links_bucket`.

        Of buckets that are not *small*, about *most* of each are read at a time.
        """
        if small:
            found = self._shard.read(*(("HGETALL", key(n)) for n in numbers))
            yield [pair for pairs in found for pair in decode.pairs(pairs) if len(pair[0]) == 8]
            return
        todo = [(n, 0) for n in numbers]
        while todo:
            found = self._shard.read(*(("HSCAN", key(n), cursor, "COUNT", most) for n, cursor in todo))
            yield [pair for _, pairs in found for pair in decode.pairs(pairs) if len(pair[0]) == 8]
            todo = [(n, int(cursor)) for (n, _), (cursor, _) in zip(todo, found, strict=True) if int(cursor)]

    def filled(self, key: Callable[[int], str], count: int) -> list[int]:
        """The numbers, below *count*, of the buckets that have something, and a few of others."""
        groups = [range(start, min(start + _GROUP, count)) for start in range(0, count, _GROUP)]
        found = self._shard.read(*(("EXISTS", *map(key, group)) for group in groups))
        return [n for group, count in zip(groups, found, strict=True) if count for n in group]
