"""Whether a page is in the encoding that it declares. Pure.

Only what is certain is wrong: two declarations that contradict each other; bytes that are no UTF-8, or are UTF-8, where
the other is declared; and bytes of another alphabet. Text in ASCII, or too short to tell, is never wrong by its bytes.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from crawler.parse.charset import guessed, is_utf8, meta_declaration, of_bom, of_content_type

_MIN_UTF8: Final = 4
"""Characters of UTF-8 from which on text is no other encoding."""
_MIN_UTF8_IN_PAIRS: Final = 10
"""The same against encodings with two bytes a character, which look more like it."""
_MIN_BYTES: Final = 200
"""Bytes that are not ASCII, from which on a guess counts."""
_SAMPLE: Final = 1 << 20
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")
_UTF8: Final = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")

_ALPHABETS: Final = (
    ("windows-1251", "x-mac-cyrillic"),
    ("koi8-r", "koi8-u"),
    ("iso-8859-5",),
    ("ibm866",),
    ("windows-1253", "iso-8859-7"),
    ("windows-1255", "iso-8859-8", "iso-8859-8-i"),
    ("windows-1256", "iso-8859-6"),
    ("windows-874",),
    ("gbk", "gb18030"),
    ("big5",),
    ("shift_jis",),
    ("euc-jp",),
    ("iso-2022-jp",),
    ("euc-kr",),
)
"""Groups of encodings that differ clearly in their bytes. All others are for Latin letters, and too alike."""
_GROUP: Final = {name: number for number, names in enumerate(_ALPHABETS) for name in names}
_PAIRS: Final = frozenset(("gbk", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr"))
_NEAR: Final = ({"gbk", "gb18030"}, {"iso-8859-8", "iso-8859-8-i"}, {"koi8-r", "koi8-u"})
"""Names of which one contains the other, or is the same for a reader."""


class Mismatch(NamedTuple):
    """What is wrong with a declaration."""

    cause: str
    at: int
    """Where in the body the declaration is; -1: in the header, or it is its BOM."""


def charset_mismatch(body: bytes, content_type: str, url: str = "") -> Mismatch | None:
    """What is wrong with the encoding that *body*, or the header *content_type*, declares; None if nothing is."""
    header = of_content_type(content_type) if content_type else None
    bom = of_bom(body)
    meta, at = meta_declaration(body, late=not (bom or header)) or (None, -1)
    if bom and bom != "utf-8":
        meta = None  # it cannot be read as ASCII
    stated = [(bom, "the byte order mark"), (header, "the header"), (meta, "the page")]
    named = [(name, by) for name, by in stated if name]
    if not named:
        return None
    (first, by), *others = named
    for name, other in others:
        if not _are_same(first, name):
            return Mismatch(f"{by} says {first}, {other} says {name}", at)
    actual = None if bom else _actual(body[:_SAMPLE], first, url)
    return Mismatch(f"declared as {first}, but it is {actual}", at if meta else -1) if actual else None


def _are_same(one: str, other: str) -> bool:
    return one == other or {one, other} in _NEAR


def _actual(body: bytes, declared: str, url: str) -> str | None:
    """The encoding of *body* if it is certainly not the one *declared*."""
    if body.isascii() or declared in ("utf-16le", "utf-16be", "replacement", "iso-2022-jp"):
        return None
    if is_utf8(body):
        enough = _MIN_UTF8_IN_PAIRS if declared in _PAIRS else _MIN_UTF8
        return "utf-8" if declared != "utf-8" and len(_UTF8.findall(body)) >= enough else None
    guess = guessed(body, url)
    if declared == "utf-8":
        return guess if guess in _GROUP else "not UTF-8"
    if len(_NOT_ASCII.findall(body)) < _MIN_BYTES or guess not in _GROUP:
        return None
    return guess if _GROUP[guess] != _GROUP.get(declared) else None
