"""What a check keeps of a page beside its record: what it names, what may be named on it, what is wrong with it. Pure.

It is packed: some 8 bytes a link. Targets are known by 48 bits of their ids, names of elements by 24 bits of a hash.
Two names of one page with the same hash, once in 16 million pairs, hide a broken fragment; they never make one up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from crawler.findings import CODES, NUMBERS

PLACES: Final = (
    *("link", "frame", "image", "media", "script", "style", "css", "font", "icon", "manifest", "object", "form"),
    *("header", "social", "preload", "canonical", "hreflang", "refresh", "ping", "cite", "lazy", "other"),
    *("sitemap", "redirect"),
)
"""Kinds of places that name a URL. Stored by their numbers, of 5 bits: new ones go to the end."""

MAX_NAMES: Final = 50_000
"""Names of elements that are kept of a page."""
MAX_NOTES: Final = 1_000
_CODES: Final = tuple(CODES)
_VERSION: Final = 1
_NOINDEX, _HAS_NAMES, _TITLE, _DESCRIPTION = 1, 2, 4, 8
_ID_MASK: Final = (1 << 48) - 1


class Named(NamedTuple):
    """A place of a page that names a target."""

    target: int
    """48 bits of its id (see `short_id`)."""
    kind: int
    """The number in PLACES."""
    line: int
    """0: not known, or in the HTTP header."""
    fragment: int | None = None
    """The hash of its fragment (see `name_hash`), if that must be the name of an element."""


class Note(NamedTuple):
    """Something that is wrong with a page by itself."""

    code: str
    line: int
    """0: the page as a whole."""
    text: str = ""


class CheckedPage(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one page, style sheet, manifest or sitemap."""

    named: Sequence[Named] = ()
    """By line."""
    names: frozenset[int] | None = None
    """Hashes of the ids and names of its elements; None: it is no HTML page, so fragments cannot be checked."""
    notes: Sequence[Note] = ()
    noindex: bool = False
    title: int | None = None
    """48 bits of a hash of the title; None: it has none."""
    description: int | None = None
    elapsed_ms: int = 0
    size: int = 0
    """Bytes of the body."""

    def encode(self) -> bytes:
        """The packed form."""
        flags = _NOINDEX * self.noindex | _HAS_NAMES * (self.names is not None)
        flags |= _TITLE * (self.title is not None) | _DESCRIPTION * (self.description is not None)
        out = bytearray((_VERSION, flags))
        _put(out, self.elapsed_ms)
        _put(out, self.size)
        for digest in (self.title, self.description):
            if digest is not None:
                out += digest.to_bytes(6, "big")
        _put_named(out, sorted(self.named, key=lambda one: one.line))
        if self.names is not None:
            names = sorted(self.names)[:MAX_NAMES]
            _put(out, len(names))
            for name in names:
                out += name.to_bytes(3, "big")
        notes = self.notes[:MAX_NOTES]
        _put(out, len(notes))
        for note in notes:
            text = note.text.encode("utf-8", "replace")[:300]
            out.append(NUMBERS[note.code])
            _put(out, note.line)
            _put(out, len(text))
            out += text
        return bytes(out)

    @classmethod
    def decode(cls, raw: bytes) -> CheckedPage:
        """Unpack it; ValueError if *raw* is none that this version wrote."""
        try:
            reading = _Reading(raw)
            version, flags = reading.bytes(2)
            if version != _VERSION:
                raise ValueError("it is of another version, or damaged")
            elapsed_ms, size = reading.number(), reading.number()
            title = int.from_bytes(reading.bytes(6)) if flags & _TITLE else None
            description = int.from_bytes(reading.bytes(6)) if flags & _DESCRIPTION else None
            named = reading.named()
            names = None
            if flags & _HAS_NAMES:
                packed = reading.bytes(3 * reading.number())
                names = frozenset(int.from_bytes(packed[at : at + 3]) for at in range(0, len(packed), 3))
            notes = [
                Note(
                    _CODES[reading.bytes(1)[0]],
                    reading.number(),
                    reading.bytes(reading.number()).decode("utf-8", "replace"),
                )
                for _ in range(reading.number())
            ]
        except IndexError:
            raise ValueError("it is damaged") from None
        return cls(
            named=named,
            names=names,
            notes=notes,
            noindex=bool(flags & _NOINDEX),
            title=title,
            description=description,
            elapsed_ms=elapsed_ms,
            size=size,
        )


def short_id(url_id: str) -> int:
    """The 48 bits by which a target is known."""
    return int(url_id) & _ID_MASK


def name_hash(name: str) -> int:
    """24 bits of an element's name."""
    return crc32(name.encode("utf-8", "replace")) & 0xFFFFFF


def text_hash(text: str) -> int:
    """48 bits of a title or description."""
    raw = text.encode("utf-8", "replace")
    return crc32(raw) << 16 | crc32(raw[::-1] + b"\0") & 0xFFFF


def _put(out: bytearray, number: int) -> None:
    """An unsigned number, 7 bits a byte, the low ones first."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _put_named(out: bytearray, named: Iterable[Named]) -> None:
    """Count, then for each: 6 bytes of the target; lines since the one before, kind, whether a fragment follows; it."""
    named = list(named)
    _put(out, len(named))
    before = 0
    for target, kind, line, fragment in named:
        out += target.to_bytes(6, "big")
        _put(out, (line - before) << 6 | kind << 1 | (fragment is not None))
        if fragment is not None:
            out += fragment.to_bytes(3, "big")
        before = line


class _Reading:
    """Reads the packed form; IndexError where it breaks off."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def bytes(self, count: int) -> bytes:
        """The next *count* bytes."""
        begin, self._at = self._at, self._at + count
        if self._at > len(self._raw):
            raise IndexError
        return self._raw[begin : self._at]

    def number(self) -> int:
        """The next number."""
        value = shift = 0
        while True:
            byte = self._raw[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise IndexError

    def named(self) -> list[Named]:
        """The places that name targets."""
        found, line = [], 0
        for _ in range(self.number()):
            target, head = int.from_bytes(self.bytes(6)), self.number()
            line += head >> 6
            kind = head >> 1 & 0x1F
            if kind >= len(PLACES):
                raise IndexError
            found.append(Named(target, kind, line, int.from_bytes(self.bytes(3)) if head & 1 else None))
        return found
