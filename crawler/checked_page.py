"""What a check keeps of a page beside its record: what it names, what may be named on it, what is wrong with it. Pure.

It is packed: 7 bytes a link, 2 where the page names its target a second time. Targets are known by 48 bits of their
ids, names of elements by 24 bits of a hash, of pages with few names by 16. A name with the hash of another one hides a
broken fragment, of one in a thousand where a page has 60 names; it never makes one up.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from crawler.findings import CODES, NUMBERS

OF_PAGES: Final = (
    *("link", "frame", "image", "media", "script", "style", "css", "font", "icon", "manifest", "object", "form"),
    *("header", "social", "preload", "canonical", "hreflang", "refresh", "ping", "cite", "lazy", "other"),
)
"""Kinds of places of a page that name a URL."""
PLACES: Final = (*OF_PAGES, "sitemap", "redirect")
"""The same, and those of sitemaps and answers. Stored by their numbers: new ones go to the end."""

MAX_NAMES: Final = 50_000
"""Names of elements that are kept of a page."""
FEW_NAMES: Final = 256
"""Of up to this many names of a page 16 bits of the hash are kept: they hide one broken fragment in 256."""
MAX_NOTES: Final = 1_000
_CODES: Final = tuple(CODES)
_VERSION: Final = 1
_NOINDEX, _HAS_NAMES, _TITLE, _DESCRIPTION = 1, 2, 4, 8
_SHORT: Final = 2
"""Bytes of a name of which 16 bits are kept."""
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


_new: Final = tuple.__new__
"""Makes a Named in half of the time that its own constructor takes."""


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
    """Hashes of the ids and names of its elements, of few names without the last 8 bits (ask `has`); None: it is no
    HTML page, so fragments cannot be checked."""
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
            width = _width(len(names))
            for name in names:
                out += name.to_bytes(3, "big")[:width]
        notes = self.notes[:MAX_NOTES]
        _put(out, len(notes))
        for note in notes:
            text = note.text.encode("utf-8", "replace")[:300]
            out.append(NUMBERS[note.code])
            _put(out, note.line)
            _put(out, len(text))
            out += text
        return bytes(out)

    def has_all(self) -> bool:
        """Whether all names of its elements are known."""
        return self.names is not None and len(self.names) < MAX_NAMES

    def has(self, name: int) -> bool:
        """Whether an element may have the name with this hash."""
        if self.names is None:
            return False
        return name in self.names or (len(self.names) <= FEW_NAMES and name & ~0xFF in self.names)

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
                count = reading.number()
                width = _width(count)
                packed = reading.bytes(width * count)
                names = _unpacked(packed, count, width)
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


def _width(names: int) -> int:
    """Bytes of each, if there are this many names."""
    return _SHORT if names <= FEW_NAMES else 3


def _unpacked(packed: bytes, count: int, width: int) -> frozenset[int]:
    if width == _SHORT:
        return frozenset([name << 8 for name in struct.unpack(f">{count}H", packed)])
    return frozenset(int.from_bytes(packed[at : at + width], "big") for at in range(0, len(packed), width))


def _put_named(out: bytearray, named: Iterable[Named]) -> None:
    """Count, then for each: lines since the one before, with three flags; kind, target and fragment.

    The flags: its target was named before on this page, which is so of half of the links of documentation: then its
    number follows, counted back. Its kind is another one than that of the one before: only then it follows. It has a
    fragment.
    """
    named = list(named)
    _put(out, len(named))
    known: dict[int, int] = {}
    last_line = last_kind = 0
    for target, kind, line, fragment in named:
        is_known, is_other = target in known, kind != last_kind
        _put(out, (line - last_line) << 3 | is_known << 2 | is_other << 1 | (fragment is not None))
        if is_other:
            out.append(kind)
        if is_known:
            _put(out, len(known) - 1 - known[target])
        else:
            known[target] = len(known)
            out += target.to_bytes(6, "big")
        if fragment is not None:
            out += fragment.to_bytes(3, "big")
        last_line, last_kind = line, kind


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
        count = self.number()
        raw, at = self._raw, self._at  # written out, since a report unpacks each link
        found: list[Named] = []
        known: list[int] = []
        line = kind = 0
        fragment: int | None
        for _ in range(count):
            head = raw[at]
            head, at = (head, at + 1) if head < 0x80 else self._number_at(at)
            line += head >> 3
            if head & 2:
                kind, at = raw[at], at + 1
                if kind >= len(PLACES):
                    raise IndexError
            if head & 4:
                back = raw[at]
                back, at = (back, at + 1) if back < 0x80 else self._number_at(at)
                if back >= len(known):
                    raise IndexError
                target = known[-1 - back]
            else:
                target, at = int.from_bytes(raw[at : at + 6], "big"), at + 6
                known.append(target)
            fragment = None
            if head & 1:
                fragment, at = int.from_bytes(raw[at : at + 3], "big"), at + 3
            if at > len(raw):
                raise IndexError
            found.append(_new(Named, (target, kind, line, fragment)))
        self._at = at
        return found

    def _number_at(self, at: int) -> tuple[int, int]:
        """The number at a place, and the place behind it."""
        if (high := self._raw[at + 1]) < 0x80:  # nearly all are this short
            return self._raw[at] & 0x7F | high << 7, at + 2
        self._at = at
        return self.number(), self._at
