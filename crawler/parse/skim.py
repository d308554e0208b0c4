"""What the bytes of a page tell without being parsed: that no link on it leads to anything new, and what its head says.

On most pages of a site every link was met before. Looking at the bytes costs a fifth of parsing them, and is right as
long as what it finds is a superset of what the parser would follow; whatever is not plain is left to the parser. Pure.

- Up to its first `</head>` a document is parsed with a mark behind it. When the mark becomes the first element of the
  body, the parser had read that end tag as one, not as part of a comment, a script, a title or an attribute: then what
  it made of the head stands, whatever follows.
- In the rest, an attribute `href` is spelled so in the bytes, in any case, whatever is around it: the name of an
  attribute cannot be escaped. So all places where these letters stand are looked at, in comments, scripts and text too.
- Else the rest can only matter by tags, whose names cannot be escaped either: `base`, frames, and what a head has.

With Hyperscan (`pip install crawler[fast]`) what must not be there is looked for in a third of the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol

from crawler.parse.signs import Scanner, scanner
from crawler.url import without_fragment

# What has no value in double quotes behind it is found as b"".
# `&#` begins a character reference. A `#` behind a space or a control stays: without it they would be the URL's edge.
_HREF = re.compile(rb'href(="[^"#]*+(?:(?<=&)#[^"#]*+)*+(?:(?<=[\0- ])#)?|)')
_ANY_HREF = re.compile(
    rb"""href[\t\n\f\r ]*+=[\t\n\f\r ]*+(?:"([^"#]*+(?:(?<=&)#[^"#]*+)*+(?:(?<=[\0- ])#)?)"""
    rb"""|'([^'#]*+(?:(?<=&)#[^'#]*+)*+(?:(?<=[\0- ])#)?)"""
    rb"""|([^\t\n\f\r >#]*+(?:(?<=&)#[^\t\n\f\r >#]*+)*+(?:(?<=[\0- ])#)?))""",
    re.IGNORECASE,
)
_PLAIN = re.compile(rb"[!#-%'-~]*")
MAX_NEW: Final = 1000
"""Spellings of a page that are looked at one by one: beyond it parsing is cheaper."""
_TO_ITSELF: Final = b'="'
_HEAD_END: Final = b"</head>"
MARK: Final = "hr"
"""The element whose start tag is put behind a head: one that no head has."""


class SettledLinks:
    """Spellings of links that lead to nothing new, by the folder of the pages that bear them; bounded."""

    ROOM: Final = 8 * 1024 * 1024
    """Bytes kept, about; then all is forgotten."""

    def __init__(self, is_settled: Callable[[str], bool]) -> None:
        """*is_settled* tells of a canonical URL, or a word of `url.REFUSALS`, that following it does nothing.

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
        """What was settled may not be any more."""
        self._folders.clear()
        self._room = self.ROOM


def spellings(html: bytes, look: Look) -> list[bytes]:
    """All that may be the value of an `href` in *html*, up to its `#`, each with `="` before it, in any order.

    *look* is what `look_at` tells of *html*. What stands within the value of another is no part of the list, since of
    such values `reference` knows none.
    """
    found: list[bytes] = _HREF.findall(html)
    if b"" not in found and not look.has_capitals(len(found)):
        return found
    return [_TO_ITSELF + (double or single or bare) for double, single, bare in _ANY_HREF.findall(html)]


def reference(spelling: bytes, parsed: Callable[[bytes], str]) -> str | None:
    """The reference that one of `spellings` stands for; None where that depends on more.

    *parsed* gives what a parser makes of an attribute's value in double quotes.
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
    """Where the rest begins behind the first `</head>`; -1 if there is none."""
    at = html.find(_HEAD_END)
    return at if at < 0 else at + len(_HEAD_END)


# -- what must not be there --------------------------------------------------------------------------------------------


class Look(Protocol):
    """What was seen of the rest of a document."""

    def has_capitals(self, hrefs: int) -> bool:
        """Whether there may be more places than these so many where `href` stands, in another case."""

    def tells(self, *, title: bool, canonical: bool) -> bool:
        """Whether it may say something of what heads tell: where there is a *title* no other counts."""


class _Lowered:
    """By the standard library: two passes over the bytes in lower case."""

    def __init__(self, rest: bytes) -> None:
        self._rest = rest.lower()

    def has_capitals(self, hrefs: int) -> bool:
        return self._rest.count(b"href") != hrefs

    def tells(self, *, title: bool, canonical: bool) -> bool:
        return _telling(title, canonical).search(self._rest) is not None


_ALWAYS: Final = ("base", "html", "meta", "frame", "iframe")


@lru_cache
def _telling(title: bool, canonical: bool) -> re.Pattern[bytes]:
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
    """By Hyperscan, in one pass; it says once of each sign that it is there."""

    def __init__(self, rest: bytes, scan: Scanner) -> None:
        self._signs = scan(rest)

    def has_capitals(self, hrefs: int) -> bool:
        return _CAPITALS in self._signs

    def tells(self, *, title: bool, canonical: bool) -> bool:
        signs = self._signs
        return bool(signs) and (
            _OTHERS in signs or (not title and _TITLE in signs) or (not canonical and _LINK in signs)
        )


def look_at(rest: bytes) -> Look:
    """A look at the *rest* of a document."""
    scan = scanner(*SIGNS)
    return _Lowered(rest) if scan is None else _Scanned(rest, scan)
