"""Decodes Content-Encodings piece by piece, never more than requested at a time: a decompression bomb costs no memory.

Each decoder has `feed(data, limit)`, which returns decoded bytes, at most about *limit*. If it returns fewer, all of
*data* was used. If the limit is reached, the rest of *data* is lost: the caller has enough. `complete`: the stream
reached its end.
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol

import brotli  # type: ignore[import-untyped]

from crawler.fetch.fetcher import Headers

ACCEPTED: Final = "gzip, deflate, br"
"""The value of Accept-Encoding."""
MAX_STAGES: Final = 3
"""Most encodings on top of each other that are decoded; a stack of fifty is an attack (CVE-2025-66418)."""
MAX_MEMBERS: Final = 1000
"""Most members of one gzip stream: empty ones, of 20 bytes each, cost time and yield nothing."""


class DecodeError(Exception):
    """The body is not what its Content-Encoding declares."""


class Decoder(Protocol):
    """One encoding; see the module's docstring."""

    complete: bool

    def feed(self, data: bytes, limit: int) -> bytes:
        """Decode the next piece; DecodeError if it is broken."""


class Gzip:
    """RFC 1952: any number of members. Anything else after the last one is ignored, as browsers do."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._members = 0
        self.complete = False

    def feed(self, data: bytes, limit: int) -> bytes:
        decoded = b""
        while data:
            if self.complete:
                if data[:1] != b"\x1f":
                    return decoded
                self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
                self.complete = False
            try:
                decoded += self._stream.decompress(data, limit - len(decoded))
            except zlib.error as error:
                if self._members:
                    self.complete = True
                    return decoded
                raise DecodeError(f"not gzip: {error}") from None
            if self._stream.eof:
                self.complete = True
                self._members += 1
                if self._members > MAX_MEMBERS:
                    raise DecodeError("too many gzip members")
            if len(decoded) >= limit:
                return decoded
            data = self._stream.unused_data
        return decoded


class Deflate:
    """RFC 9110 section 8.4.1.2: zlib's format. Bare deflate (RFC 1951), which some send, is recognized by its start."""

    def __init__(self) -> None:
        self._stream: zlib._Decompress | None = None
        self._start = b""
        self.complete = False

    def feed(self, data: bytes, limit: int) -> bytes:
        if self._stream is None:
            self._start += data
            if len(self._start) < 2:
                return b""
            data, self._start = self._start, b""
            wrapped = data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        try:
            decoded = self._stream.decompress(data, limit)
        except zlib.error as error:
            raise DecodeError(f"not deflate: {error}") from None
        self.complete = self._stream.eof
        return decoded


class Brotli:
    """RFC 7932. A single byte may stand for 16 MiB, so the output is bounded inside the decoder (CVE-2025-6176)."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self.complete = False

    def feed(self, data: bytes, limit: int) -> bytes:
        if self.complete:
            return b""
        try:
            decoded: bytes = self._stream.process(data, output_buffer_limit=limit)
            while len(decoded) < limit and not self._stream.can_accept_more_data():
                decoded += self._stream.process(b"", output_buffer_limit=limit - len(decoded))
        except brotli.error as error:
            raise DecodeError(f"not brotli: {error}") from None
        self.complete = self._stream.is_finished()
        return decoded


class Unasked:
    """A known encoding that was not requested: its bytes would be mistaken for the page itself."""

    complete = False

    def feed(self, data: bytes, limit: int) -> bytes:
        raise DecodeError("encoded in a way that was not asked for")


_DECODERS: Final[dict[str, type[Gzip] | type[Deflate] | type[Brotli] | type[Unasked]]] = {
    "gzip": Gzip,
    "x-gzip": Gzip,
    "deflate": Deflate,
    "br": Brotli,
    # The rest of IANA's registry of HTTP content codings.
    **dict.fromkeys(("zstd", "compress", "x-compress", "dcb", "dcz", "exi", "aes128gcm", "pack200-gzip"), Unasked),
}


def decoders(headers: Headers) -> list[Decoder]:
    """The decoders for an answer with *headers*, in the order to feed them; DecodeError for too many encodings.

    Unknown encodings (`utf-8`, `none`) are ignored, as browsers do.
    """
    encodings = ",".join(headers.all("content-encoding")).lower().split(",")
    kinds = [_DECODERS[encoding] for name in reversed(encodings) if (encoding := name.strip()) in _DECODERS]
    if len(kinds) > MAX_STAGES:
        raise DecodeError(f"{len(kinds)} encodings on top of each other")
    return [kind() for kind in kinds]
