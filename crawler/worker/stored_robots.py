"""A robots.txt as it is stored in Redis: its text (zlib), and behind it the validators of the answer (JSON)."""

from __future__ import annotations

import zlib

import msgspec

from crawler.policy import robots
from crawler.policy.validators import NO_VALIDATORS, Validators, conditions
from crawler.url_state import MAX_TAG

_MAX_BEHIND = MAX_TAG + 100
"""Bytes of the longest validators."""


class StoredRobots(msgspec.Struct, frozen=True):
    """The text that an origin's last good answer gave, and the validators of that answer."""

    body: bytes
    validators: Validators = NO_VALIDATORS

    @property
    def conditions(self) -> tuple[tuple[str, str], ...]:
        """The header fields by which a request asks whether this text has changed; none if it cannot ask."""
        return conditions(self.validators)

    def encode(self) -> bytes:
        """As it is stored. Whoever reads only the text stops at the end of the zlib stream."""
        packed = zlib.compress(self.body)
        return packed + msgspec.json.encode(self.validators) if self.conditions else packed

    @classmethod
    def decode(cls, raw: bytes) -> StoredRobots | None:
        """What *raw* holds; None if it is no text with validators."""
        reading = zlib.decompressobj()
        try:
            body = reading.decompress(raw, robots.MAX_BYTES + 1)
            if not reading.eof or not 0 < len(reading.unused_data) <= _MAX_BEHIND:
                return None
            return cls(body, _validators.decode(reading.unused_data))
        except (zlib.error, msgspec.DecodeError):
            return None


_validators = msgspec.json.Decoder(Validators)
