"""Skims a page: finds in its bytes, without parsing them, that no link is new, and reads only its head.

On most pages of a site every link was seen before. Scanning the bytes costs a fifth of parsing them. That is correct as
long as the scan finds a superset of what the parser would follow; anything unusual is left to the parser. Pure.

- Up to its first `</head>` a document is parsed with a mark after it. If the mark becomes the first element of the
  body, the parser read that end tag as one, not as part of a comment, a script, a title or an attribute. Then what it
  made of the head is final, whatever follows.
- In the rest, an attribute `href` appears literally in the bytes, in any case: the name of an attribute cannot be
  escaped. So all places with these letters are examined, also in comments, scripts and text.
- Otherwise the rest matters only through tags, whose names cannot be escaped either: `base`, frames, and what a head
  has.

With Hyperscan (`pip install crawler[fast]`) the search for what must not occur takes a third of the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol

from crawler.parse.signs import Scanner, scanner
from crawler.url import without_fragment

# An href without a value in double quotes is found as b"".
# `&#` begins a character reference. A `#` after a space or a control stays: without it they would be at the URL's edge.
_HREF = re.compile(rb'href(="[^"#]*+(?:(?<=&)#[^"#]*+)*+(?:(?<=[\0- ])#)?|)')
_ANY_HREF = re.compile(
    rb"""href[\t\n\f\r ]*+=[\t\n\f\r ]*+(?:"([^"#]*+(?:(?<=&)#[^"#]*+)*+(?:(?<=[\0- ])#)?)"""
    rb"""|'([^'#]*+(?:(?<=&)#[^'#]*+)*+(?:(?<=[\0- ])#)?)"""
    rb"""|([^\t\n\f\r >#]*+(?:(?<=&)#[^\t\n\f\r >#]*+)*+(?:(?<=[\0- ])#)?))""",
    re.IGNORECASE,
)
_PLAIN = re.compile(rb"[!#-%'-~]*")
MAX_NEW: Final = 1000
"""Most spellings of a page that are examined one by one: beyond that parsing is cheaper."""
_TO_ITSELF: Final = b'="'
_HEAD_END: Final = b"</head>"
MARK: Final = "hr"
"""The element whose start tag is inserted after a head: one that no head has."""


class SettledLinks:
    """Spellings of links that lead to nothing new, by the folder of the pages that contain them; bounded."""

    ROOM: Final = 8 * 1024 * 1024
    """Approximate bytes stored; beyond that all is forgotten."""

    def __init__(self, is_settled: Callable[[str], bool]) -> None:
        """*is_settled* says of a canonical URL, or of a word of `url.REFUSALS`, whether following it changes nothing.

        It must depend on nothing but the URL, and stay true until `clear`.
        """
        self.is_settled = is_settled
        self._folders: dict[str, set[bytes]] = {}
        self._room = self.ROOM

    def folder(self, folder: str) -> set[bytes]:
        """The spellings that are settled on pages of *folder*."""
        if self._room <= 0:
            self.clear()
        table = self._folders.get(folder)
        if table is None:
            self._room -= 400 + len(folder)
            table = self._folders[folder] = {_TO_ITSELF}
        return table

    def add(self, spelling: bytes, table: set[bytes]) -> None:
        """A spelling of the folder whose *table* this is was found to be settled."""
        self._room -= 120 + len(spelling)
        table.add(spelling)

    def clear(self) -> None:
        """What was settled may no longer be."""
        self._folders.clear()
        self._room = self.ROOM


def spellings(html: bytes, look: Look) -> list[bytes]:
    """All that may be the value of an `href` in *html*, up to its `#`, each with `="` before it, in any order.

    *look* is the result of `look_at` for *html*. What is inside the value of another is not in the list, since
    `reference` knows no such values.
    """
    found: list[bytes] = _HREF.findall(html)
    if b"" not in found and not look.has_capitals(len(found)):
        return found
    return [_TO_ITSELF + (double or single or bare) for double, single, bare in _ANY_HREF.findall(html)]


def reference(spelling: bytes, parsed: Callable[[bytes], str]) -> str | None:
    """The reference that one of `spellings` stands for; None if that depends on more.

    *parsed* returns how a parser reads an attribute's value in double quotes.
    """
    value = spelling[2:]
    if b"href" in value.lower():  # another one may begin within
        return None
    if _PLAIN.fullmatch(value):
        return value.decode("ascii")
    if b'"' in value:
        return None
    found = without_fragment(parsed(value))
    if found[-1:] <= " " and found and value[-1] > 32 and value[-1:] != b"#":
        return None  # an escaped space: what follows it was cut off
    return found if found.isascii() else None  # how queries are encoded depends on the page


def end_of_head(html: bytes) -> int:
    """Where the rest begins after the first `</head>`; -1 if there is none."""
    at = html.find(_HEAD_END)
    return at if at < 0 else at + len(_HEAD_END)


# -- what must not be there --------------------------------------------------------------------------------------------


class Look(Protocol):
    """What was found in the rest of a document."""

    def has_capitals(self, hrefs: int) -> bool:
        """Whether there may be more occurrences of `href` than this number, in another case."""

    def affects_head(self, *, title: bool, canonical: bool) -> bool:
        """Whether it may contain what belongs in heads; a *title* in the head hides later ones."""


class _Lowered:
    """With the standard library: two passes over the bytes in lower case."""

    def __init__(self, rest: bytes) -> None:
        self._rest = rest.lower()

    def has_capitals(self, hrefs: int) -> bool:
        return self._rest.count(b"href") != hrefs

    def affects_head(self, *, title: bool, canonical: bool) -> bool:
        return _head_tags(title, canonical).search(self._rest) is not None


_ALWAYS: Final = ("base", "html", "meta", "frame", "iframe")


@lru_cache
def _head_tags(title: bool, canonical: bool) -> re.Pattern[bytes]:
    names = [*_ALWAYS, *(name for name, known in (("title", title), ("link", canonical)) if not known)]
    first = "".join(sorted({name[0] for name in names}))
    return re.compile(f"<(?=[{first}])(?:{'|'.join(names)})".encode())


_CAPITALS, _OTHERS, _TITLE, _LINK = range(4)
SIGNS: Final = (
    "H[rR][eE][fF]|h(?:R[eE][fF]|r(?:E[fF]|eF))",
    f"(?i)<(?:{'|'.join(_ALWAYS)})",
    "(?i)<title",
    "(?i)<link",
)
"""In the order of their numbers; in Hyperscan's syntax (see `signs`)."""


class _Scanned:
    """With Hyperscan, in one pass; it reports once for each sign that it occurs."""

    def __init__(self, rest: bytes, scan: Scanner) -> None:
        self._signs = scan(rest)

    def has_capitals(self, hrefs: int) -> bool:
        return _CAPITALS in self._signs

    def affects_head(self, *, title: bool, canonical: bool) -> bool:
        signs = self._signs
        return bool(signs) and (
            _OTHERS in signs or (not title and _TITLE in signs) or (not canonical and _LINK in signs)
        )


def look_at(rest: bytes) -> Look:
    """Scan the *rest* of a document."""
    scan = scanner(*SIGNS)
    return _Lowered(rest) if scan is None else _Scanned(rest, scan)
