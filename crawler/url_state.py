"""What stays of a URL that has ended, for later visits: outcome, validators, digests, times; some 120 bytes. Pure.

It outlives the record, which an export may drain. The scripts of the frontier read and change a few of its first bytes
(see LAYOUT), so these have fixed places.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

import msgspec

from crawler.record import OUTCOMES

_HEAD = struct.Struct(">BBBHHBBQIIIIHHQ")
"""Version, outcome, marks, flags, status, depth, hops, via, token, first_seen, checked_at, changed_at, visits, changes,
digest."""
_VERSION: Final = 1
_U64 = struct.Struct(">Q")
_U32 = struct.Struct(">I")
_TEXT = struct.Struct(">BQ")

# Marks, which scripts set: it is a copy (the id follows the head), others find it in `near`, it is queued again.
_COPY, _NOTED, _QUEUED = 0x01, 0x02, 0x04
# Flags: which optional fields follow, in this order.
_TARGET, _SIMILARITY, _TEXT_DIGEST, _PREVIOUS, _LAST_MODIFIED, _INTERVAL, _ETAG = (1 << n for n in range(7))
# and: it is a sitemap; its last good answer is gone; the URL's scheme, which is not stored, is https; it was asked for
# as a target; one more field, the last one.
_SITEMAP, _GONE, _HTTPS, _ASKED_ONLY, _EXPIRES = 0x80, 0x100, 0x200, 0x400, 0x800
_ALL_FLAGS: Final = 0xFFF
_NUMBERS: Final = (
    (_PREVIOUS, "previous_text_digest", _U64),
    (_LAST_MODIFIED, "last_modified", _U32),
    (_INTERVAL, "interval", _U32),
)

LAYOUT: Final = {
    **{"VERSION": 1, "OUTCOME": 2, "MARKS": 3, "TOKEN": 18, "DIGEST": 38, "HEAD": _HEAD.size},
    **{"COPY": _COPY, "NOTED": _NOTED, "QUEUED": _QUEUED},
    **{"FLAGS": 4, "TARGET": _TARGET, "SITEMAP": _SITEMAP, "CURRENT": _VERSION},
}
"""For the scripts: places of bytes, from 1, marks, flags, and the version that is written."""

MAX_COUNT: Final = 0xFFFF
"""Visits and changes are counted up to this."""
MAX_TAG: Final = 255
"""Bytes of the longest ETag that is kept."""
_MAX_SECONDS: Final = 0xFFFF_FFFF


class UrlState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a URL that has ended. Times are in seconds since the epoch, up to 2106.

    Validators, digests, `similarity` and `changed_at` are those of the last good answer (2xx, not refused), also while
    later visits fail or the page is gone.
    """

    url: str
    outcome: str
    """Of the last visit."""
    status: int = 0
    """Of the last visit; 0 if there was no answer."""
    depth: int = 0
    hops: int = 0
    via: str = "0"
    """The id of the page it was first found on; "0" for a seed."""
    token: int = 0
    """crc32 of the token of the last commit."""
    first_seen: int
    """When the first visit ended."""
    checked_at: int
    """When the last visit ended."""
    changed_at: int = 0
    """When a visit last found another content, or that it is gone; 0: there was no good answer yet."""
    visits: int = 1
    changes: int = 0
    """How often a visit found another content than the one before."""
    digest: int = 0
    """The first 64 bits of the SHA-256 of the body; 0: there was no good answer yet."""
    copy_of: str | None = None
    """The id of the first page with the same content."""
    target: str | None = None
    """The id of the URL that it redirects to."""
    similarity: int | None = None
    """64 bits (see policy/similarity.py)."""
    text_digest: int | None = None
    """64 bits of the digest of the main text."""
    text_method: int = 0
    """The version of the method by which the main text was found, below 256."""
    previous_text_digest: int | None = None
    last_modified: int | None = None
    etag: str | None = None
    """As the server wrote it, with quotes and `W/`; never over MAX_TAG bytes."""
    interval: int = 0
    """Seconds between visits, as the schedule has adapted it; 0: it has not."""
    certificate_expires: int | None = None
    """When the certificate of its server expires, if that is soon; only in a crawl of `crawler check`."""
    sitemap: bool = False
    is_target: bool = False
    """It was asked for as the target of a link, and not read (see `Request.target`)."""
    is_gone: bool = False
    """There was a good answer, and the last visit that was answered found none: 404, 410, a redirect, noindex."""
    is_noted: bool = False
    """Later pages with a similar text are near copies of this one. A script decides."""
    is_queued: bool = False
    """It is in a queue, or leased, to be visited again. A script decides."""

    @property
    def found_on(self) -> str | None:
        """The id of the page that it was first found on; None for a seed."""
        return None if self.via == "0" else self.via

    def encode(self) -> bytes:
        """The packed state. Numbers that do not fit are cut to what does."""
        scheme, _, rest = self.url.partition("://")
        flags = _SITEMAP * self.sitemap | _GONE * self.is_gone | _HTTPS * (scheme == "https")
        flags |= _ASKED_ONLY * self.is_target
        parts = [b"" if self.copy_of is None else _U64.pack(int(self.copy_of))]
        tag = _tag(self.etag)
        for flag, raw in (
            (_TARGET, self.target and _U64.pack(int(self.target))),
            (_SIMILARITY, None if self.similarity is None else _U64.pack(self.similarity)),
            (_TEXT_DIGEST, None if self.text_digest is None else _TEXT.pack(self.text_method, self.text_digest)),
            (_PREVIOUS, None if self.previous_text_digest is None else _U64.pack(self.previous_text_digest)),
            (_LAST_MODIFIED, None if self.last_modified is None else _U32.pack(_seconds(self.last_modified))),
            (_INTERVAL, _U32.pack(_seconds(self.interval)) if self.interval else None),
            (_ETAG, bytes([len(tag)]) + tag if tag else None),
            (_EXPIRES, None if self.certificate_expires is None else _U32.pack(_seconds(self.certificate_expires))),
        ):
            if raw:
                flags |= flag
                parts.append(raw)
        return b"".join((self._head(flags), *parts, rest.encode("ascii", "replace")))

    def _head(self, flags: int) -> bytes:
        marks = _COPY * (self.copy_of is not None) | _NOTED * self.is_noted | _QUEUED * self.is_queued
        return _HEAD.pack(
            *(_VERSION, OUTCOMES.index(self.outcome), marks, flags, min(max(self.status, 0), 0xFFFF)),
            *(min(self.depth, 255), min(self.hops, 255), int(self.via), self.token),
            *(_seconds(self.first_seen), _seconds(self.checked_at), _seconds(self.changed_at)),
            *(min(self.visits, MAX_COUNT), min(self.changes, MAX_COUNT), self.digest),
        )

    @classmethod
    def decode(cls, raw: bytes) -> UrlState:
        """Unpack a state; ValueError if *raw* is none that this version wrote."""
        try:
            head = _HEAD.unpack_from(raw)
            version, outcome, marks, flags, status = head[:5]
            if version != _VERSION or outcome >= len(OUTCOMES) or flags & ~_ALL_FLAGS or marks & ~0x07:
                raise ValueError("it is of another version, or damaged")
            reading = _Reading(raw, _HEAD.size)
            found = reading.optional(marks, flags)
            rest = raw[reading.at :].decode("ascii")
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise ValueError(f"it is damaged ({error})") from None
        if "/" not in rest:
            raise ValueError("it has no URL")
        return cls(
            url=f"{'https' if flags & _HTTPS else 'http'}://{rest}",
            outcome=OUTCOMES[outcome],
            status=status,
            depth=head[5],
            hops=head[6],
            via=str(head[7]),
            token=head[8],
            first_seen=head[9],
            checked_at=head[10],
            changed_at=head[11],
            visits=head[12],
            changes=head[13],
            digest=head[14],
            sitemap=bool(flags & _SITEMAP),
            is_target=bool(flags & _ASKED_ONLY),
            is_gone=bool(flags & _GONE),
            is_noted=bool(marks & _NOTED),
            is_queued=bool(marks & _QUEUED),
            **found,
        )


class Glance(NamedTuple):
    """What the head of a packed state says; to unpack all of it takes ten times as long."""

    outcome: str
    status: int
    is_seed: bool
    is_target: bool
    is_sitemap: bool
    is_expiring: bool
    """The certificate of its server expires soon."""
    digest: int
    """As in UrlState."""

    @classmethod
    def of(cls, raw: bytes) -> Glance:
        """At a packed state; ValueError if *raw* is none that this version wrote, as far as its head shows."""
        if len(raw) < _HEAD.size:
            raise ValueError("it is too short")
        version, outcome, _, flags, status, depth, _, via, *_, digest = _HEAD.unpack_from(raw)
        if version != _VERSION or outcome >= len(OUTCOMES):
            raise ValueError("it is of another version, or damaged")
        return cls(
            outcome=OUTCOMES[outcome],
            status=status,
            is_seed=depth == 0 and via == 0,
            is_target=flags & _ASKED_ONLY > 0,
            is_sitemap=flags & _SITEMAP > 0,
            is_expiring=flags & _EXPIRES > 0,
            digest=digest,
        )


class _Reading:
    """Reads the optional fields behind the head."""

    def __init__(self, raw: bytes, at: int) -> None:
        self._raw, self.at = raw, at

    def _take(self, shape: struct.Struct) -> tuple[int, ...]:
        found: tuple[int, ...] = shape.unpack_from(self._raw, self.at)
        self.at += shape.size
        return found

    def optional(self, marks: int, flags: int) -> dict[str, Any]:
        """The fields that *marks* and *flags* say are there."""
        found: dict[str, Any] = {}
        if marks & _COPY:
            found["copy_of"] = str(self._take(_U64)[0])
        if flags & _TARGET:
            found["target"] = str(self._take(_U64)[0])
        if flags & _SIMILARITY:
            found["similarity"] = self._take(_U64)[0]
        if flags & _TEXT_DIGEST:
            found["text_method"], found["text_digest"] = self._take(_TEXT)
        for flag, name, shape in _NUMBERS:
            if flags & flag:
                found[name] = self._take(shape)[0]
        if flags & _ETAG:
            begin = self.at + 1
            self.at = begin + self._raw[self.at]
            if self.at > len(self._raw):
                raise IndexError("it breaks off")
            found["etag"] = self._raw[begin : self.at].decode("latin-1")
        if flags & _EXPIRES:
            found["certificate_expires"] = self._take(_U32)[0]
        return found


def id_bytes(url_id: str) -> bytes:
    """An id as 8 bytes: the field of a state in its bucket."""
    return _U64.pack(int(url_id))


def _tag(etag: str | None) -> bytes:
    """An ETag as bytes; empty if it cannot be sent back as it came."""
    try:
        raw = (etag or "").encode("latin-1")
    except UnicodeEncodeError:
        return b""
    return raw if len(raw) <= MAX_TAG else b""


def _seconds(value: int) -> int:
    return min(max(value, 0), _MAX_SECONDS)
