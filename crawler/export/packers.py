"""Compresses a stream to gzip or zstd, piece by piece, so that what was taken can be read at each end of a member."""

from __future__ import annotations

import sys
import zlib
from abc import ABC, abstractmethod
from enum import Enum
from typing import Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP_LEVEL: Final = 6
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
"""zlib's setting for gzip (RFC 1952), with a header without name and time: equal records, equal bytes."""
_ZSTD_LEVEL: Final = 3


class Ends(Enum):
    """What has to be readable after a piece."""

    NOTHING = 0
    ALL = 1
    """All that was taken: the compressed data is flushed."""
    MEMBER = 2
    """The same, and the member (gzip) or frame (zstd) is closed. What follows begins a new one."""


class Packer(ABC):
    """Compresses. A file of several members or frames is valid (RFC 1952, 2.2; RFC 8878, 3.1)."""

    def __init__(self, empty: bool) -> None:
        self._empty = empty
        """The file is empty: even without records it gets a member, because an empty file is not valid."""
        self._begun = False
        """A member is under way."""
        self._pending = False
        """Something was taken since the last flush."""

    def pack(self, data: bytes, ends: Ends) -> bytes:
        """*data* compressed, as far as *ends* asks for it at once."""
        if not self._begun:
            if not data and not (ends is Ends.MEMBER and self._empty):
                return b""
            self._begin()
            self._begun, self._empty = True, False
        self._pending = self._pending or bool(data)
        packed = self._feed(data)
        if ends is Ends.MEMBER:
            packed += self._end()
            self._begun = self._pending = False
        elif ends is Ends.ALL and self._pending:
            packed += self._flush()
            self._pending = False
        return packed

    @abstractmethod
    def _begin(self) -> None:
        """Begin a member."""

    @abstractmethod
    def _feed(self, data: bytes) -> bytes: ...

    @abstractmethod
    def _flush(self) -> bytes: ...

    @abstractmethod
    def _end(self) -> bytes: ...


class Gzip(Packer):
    """gzip (RFC 1952)."""

    def _begin(self) -> None:
        self._member = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)

    def _feed(self, data: bytes) -> bytes:
        return self._member.compress(data)

    def _flush(self) -> bytes:
        return self._member.flush(zlib.Z_SYNC_FLUSH)

    def _end(self) -> bytes:
        return self._member.flush(zlib.Z_FINISH)


class Zstd(Packer):
    """Zstandard (RFC 8878)."""

    def _begin(self) -> None:
        self._frame = zstd.ZstdCompressor(_ZSTD_LEVEL)

    def _feed(self, data: bytes) -> bytes:
        return self._frame.compress(data)

    def _flush(self) -> bytes:
        return self._frame.flush(zstd.ZstdCompressor.FLUSH_BLOCK)

    def _end(self) -> bytes:
        return self._frame.flush(zstd.ZstdCompressor.FLUSH_FRAME)


PACKERS: Final[dict[str, type[Packer]]] = {"gz": Gzip, "zst": Zstd}
"""By the ending of a file."""
NAMES: Final = {"gz": "gzip", "zst": "zstd"}
"""What people call them."""
