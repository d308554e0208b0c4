"""Segments: many queue entries of a host in one string, compressed, for the middle of a queue that is long.

Two bytes say how many entries there are (so that scripts can count them), then comes zlib of them all, each after four
bytes with its length. Numbers are big-endian.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Final

from crawler.frontier import decode as parsing

MAX_ENTRIES: Final = 4_096
"""Entries of one segment at most: the scripts that move them block Redis for some milliseconds."""
MAX_BYTES: Final = 256 << 10
"""Bytes of its entries at which no further one is added."""
_MAX_UNPACKED: Final = 16 << 20
"""Bytes that are read of one: more than MAX_BYTES, for an entry that something else queued may be large."""
_LEVEL: Final = 4
"""Of zlib: six times as fast as its usual one on paths with words in them, for a tenth more bytes."""
_SIZE: Final = 4


def fill(entries: Iterable[bytes]) -> list[bytes]:
    """The first of *entries* that one segment takes; at least one."""
    taken: list[bytes] = []
    room = MAX_BYTES
    for entry in entries:
        taken.append(entry)
        room -= len(entry)
        if room <= 0 or len(taken) == MAX_ENTRIES:
            break
    return taken


def encode(entries: Sequence[bytes]) -> bytes:
    """*entries* as a segment."""
    packed = b"".join(part for entry in entries for part in (len(entry).to_bytes(_SIZE, "big"), entry))
    return len(entries).to_bytes(2, "big") + zlib.compress(packed, _LEVEL)


def decode(segment: bytes) -> list[bytes]:
    """The entries of *segment*; ValueError where it cannot be read, or does not hold as many as it says."""
    packed = parsing.unpacked(segment[2:], _MAX_UNPACKED)
    entries, at = [], 0
    while at < len(packed):
        start = at + _SIZE
        at = start + int.from_bytes(packed[at:start], "big")
        entries.append(packed[start:at])
    if at != len(packed) or not entries or len(entries) != int.from_bytes(segment[:2], "big"):
        raise ValueError("it does not hold what it says")
    return entries


def digest(parts: Iterable[bytes]) -> str:
    """By which a script knows that what it finds is what we read: SHA-1 of all *parts* joined."""
    found = sha1(usedforsecurity=False)
    for part in parts:
        found.update(part)
    return found.hexdigest()
