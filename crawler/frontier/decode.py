"""What keys hold as values, read without trust: another version, or something else, may have written them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from crawler.errors import UnreadableRecord
from crawler.frontier.messages import Lease
from crawler.frontier.scripts import NEVER
from crawler.record import Record
from crawler.text import printable, rfc3339
from crawler.url_state import UrlState

NOTHING: Final[Mapping[str, bytes | None]] = MappingProxyType({})
_MAX_STORED: Final = 64 << 20
"""Bytes of the largest text that is ever stored: `settings.MAX_TEXT` characters. More was packed to fill our memory."""


def lease(token: bytes, value: bytes) -> tuple[str, Lease]:
    """A row of `leased` as (worker, lease)."""
    kind_priority, _, rest = value.partition(b" ")
    worker, _, rest = rest.partition(b" ")
    host, _, raw = rest.partition(b" ")
    kind: Literal["P", "R"] = "R" if kind_priority[:1] == b"R" else "P"
    names = [name.decode("utf-8", "replace") for name in (worker, token, host)]
    return names[0], Lease(names[1], kind, names[2], raw, 0, 0, "", 0.0)


def record(
    key: str,
    raw: bytes | None,
    copy_of: bytes | None = None,
    near: bytes | None = None,
    packed: Mapping[str, bytes | None] = NOTHING,
    state: UrlState | None = None,
) -> tuple[Record, int]:
    """The record *raw* of the page at *key*, with *packed* contents and what *state* adds; and the contents' bytes.

    *near* is the page's field `n`, *copy_of* its field `d`, which only crawls of the last release have. Raises
    UnreadableRecord where it is none.
    """
    try:
        found = _record(raw or b"")
        if why := found.implausible():
            raise ValueError(f"its {why} is none")
        contents = {name: unpacked(data) for name, data in packed.items() if data}
        found = found.with_contents(contents)
        if state is not None:
            found = msgspec.structs.replace(found, **_of_visits(state, found.outcome))
    except (msgspec.DecodeError, ValueError) as error:
        raise _unreadable(key, error) from None
    if copy_of is not None:
        found = msgspec.structs.replace(found, duplicate_of=copy_of.decode("utf-8", "replace"))
    if near is not None:
        found = msgspec.structs.replace(found, near_duplicate_of=str(int.from_bytes(near[:8], "big")))
    return found, sum(map(len, contents.values()))


def _record(raw: bytes) -> Record:
    """The record *raw*; one of the last release is read as one of this release."""
    try:
        return Record.decode(raw)
    except msgspec.ValidationError:
        if b'"links":' not in raw:
            raise
        fields = msgspec.json.decode(raw, type=dict[str, Any])
        fields["link_count"] = fields.pop("links")
        links = [{"url": url} for url in fields.pop("outlinks", None) or ()] or None
        return msgspec.convert({**fields, "links": links}, Record)


def _of_visits(state: UrlState, outcome: str) -> dict[str, Any]:
    """The fields of a record that its URL's state knows."""
    more: dict[str, Any] = {"duplicate_of": state.copy_of} if state.copy_of and outcome == "fetched" else {}
    if state.visits > 1:
        times = {name: getattr(state, name) for name in ("first_seen", "checked_at", "changed_at")}
        more |= {name: rfc3339(seconds) for name, seconds in times.items() if seconds}
        more |= {"visits": state.visits, "changes": state.changes}
    return more


def state(raw: bytes | None) -> UrlState | None:
    """The state *raw*; none where there is none, or something else wrote it."""
    try:
        found = UrlState.decode(raw) if raw else None
    except ValueError:
        return None
    return found if found is not None and not record_of(found).implausible() else None


def record_of(state: UrlState) -> Record:
    """What is known of a URL whose record is gone."""
    bare = Record(
        url=state.url,
        outcome=state.outcome,
        depth=state.depth,
        status=state.status or None,
        via=state.found_on,
        hops=state.hops,
        sitemap=state.sitemap,
        target=state.is_target,
    )
    return msgspec.structs.replace(bare, **_of_visits(state, state.outcome))


def _unreadable(key: str, error: Exception) -> UnreadableRecord:
    """Another version wrote it, or another program."""
    return UnreadableRecord(
        f"a stored record cannot be read ({error}): does another version write it? its key is {printable(key)[:120]}"
    )


def order(token: str) -> tuple[str, int]:
    """What tokens are sorted by: their call, then their number in it."""
    call, _, index = token.rpartition(":")
    return call, number(index)


def place(at: str) -> tuple[int, int]:
    """The id of a stream's entry as its two numbers: milliseconds, and which of them."""
    ms, _, sequence = at.partition("-")
    return number(ms), number(sequence)


def ids(entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[str]:
    """The ids that entries of `records` name; empty of what something else put there."""
    return [fields.get(b"i", b"").decode("utf-8", "replace") for _, fields in entries]


def whole(score: float) -> int:
    """A time that is stored as a score; 0 if it is not a plausible time."""
    return int(score) if abs(score) < NEVER else 0


def number(raw: bytes | str | None) -> int:
    """A number that is stored; 0 where it is missing, or is none, or none that we would store."""
    try:
        found = int(raw or 0)
    except ValueError:
        return 0
    return found if abs(found) < NEVER else 0


def readable(raw: bytes, most: int = _MAX_STORED) -> bytes | None:
    """As `unpacked`; none where that fails."""
    with suppress(ValueError):
        return unpacked(raw, most)
    return None


def unpacked(raw: bytes, most: int = _MAX_STORED) -> bytes:
    """What was packed with zlib; ValueError where it was not, breaks off, or is more than *most* bytes."""
    reading = zlib.decompressobj()
    try:
        found = reading.decompress(raw, most)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not reading.eof:
        raise ValueError("it breaks off, or is too large")
    return found


def now_ms(clock: Sequence[Any]) -> int:
    """The server's clock, in ms, from an answer to TIME."""
    return int(clock[0]) * 1000 + int(clock[1]) // 1000


def pairs(raw: Any) -> list[tuple[bytes, bytes]]:
    """Names and values of a hash, or members and scores."""
    if isinstance(raw, dict):
        return list(raw.items())
    return list(zip(raw[::2], raw[1::2], strict=True))
