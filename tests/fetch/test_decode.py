"""Decoders fed in every way: whole, byte by byte, and with a limit."""

from __future__ import annotations

import gzip
import zlib

import brotli  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.fetch.decode import MAX_MEMBERS, DecodeError, Decoder, decoders
from crawler.fetch.fetcher import Headers

PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}
ZEROS = {encoding: pack(bytes(1_000_000)) for encoding, pack in PACKERS.items()}
unhurried = settings(deadline=None)  # the machine may be busy


def decoder(encoding: str) -> Decoder:
    [only] = decoders(Headers([("Content-Encoding", encoding)]))
    return only


@unhurried
@given(st.sampled_from(sorted(PACKERS)), st.binary(max_size=2000), st.integers(1, 50))
def test_a_body_in_pieces_is_the_body(encoding: str, body: bytes, size: int) -> None:
    packed = PACKERS[encoding](body)
    stream = decoder(encoding)
    pieces = [stream.feed(packed[start : start + size], 10_000) for start in range(0, len(packed), size)]
    assert b"".join(pieces) == body
    assert stream.complete


@unhurried
@given(st.sampled_from(sorted(PACKERS)), st.integers(1, 5000))
def test_no_more_comes_than_the_limit(encoding: str, limit: int) -> None:
    decoded = decoder(encoding).feed(ZEROS[encoding], limit)
    # brotli rounds the limit up to its own buffer, which is no matter of megabytes
    assert limit <= len(decoded) <= (limit + 65_536 if encoding == "br" else limit)
    assert set(decoded) == {0}


@unhurried
@given(st.sampled_from(sorted(PACKERS)), st.binary(max_size=300))
def test_any_bytes_decode_or_are_refused(encoding: str, body: bytes) -> None:
    stream = decoder(encoding)
    try:
        assert len(stream.feed(body, 1000)) <= 70_000
    except DecodeError as error:
        assert "not " in str(error)


def test_what_follows_the_end_is_ignored() -> None:
    for encoding, pack in PACKERS.items():
        stream = decoder(encoding)
        assert stream.feed(pack(b"body"), 100) + stream.feed(b"garbage", 100) == b"body"
        assert stream.complete


def test_members_are_counted() -> None:
    stream = decoder("gzip")
    with pytest.raises(DecodeError, match="members"):
        stream.feed(gzip.compress(b"") * (MAX_MEMBERS + 1), 100)


def test_encodings_that_are_none() -> None:
    assert decoders(Headers([("Content-Encoding", "identity, UTF-8")])) == []
    assert decoders(Headers([("Content-Type", "text/html")])) == []
