"""What the bytes of a page tell without being parsed: that no link on it leads to anything new, and what its head says.

On most pages of a site every link was met before. Looking at the bytes costs a fifth of parsing them, and is right as
long as what it finds is a superset of what the parser would follow; whatever is not plain is left to the parser. Pure.

- An attribute `href` is spelled so in the bytes, in any case, whatever is around it: characters of a tag cannot be
  escaped. So all places where these letters stand are looked at, in comments, scripts and text too.
- Up to its first `</head>` a document is parsed with a mark behind it. When the mark becomes the first element of the
  body, the parser had read that end tag as one, not as part of a comment, a script, a title or an attribute: then what
  it made of the head stands, whatever follows.
- What follows can only matter by tags, whose names cannot be escaped either: `base`, frames, and what a head has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Final

# What has no value in double quotes behind it is found as b"".
_HREF = re.compile(rb'href(="[^"#]*|)')
_ANY_HREF = re.compile(rb"""href[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"#]*)|'([^'#]*)|([^\t\n\f\r >#]*))""", re.IGNORECASE)
_PLAIN = re.compile(rb"(?:[!-%'-~]|&amp;)*")
_TO_ITSELF: Final = b'="'
_HEAD_END: Final = b"</head>"
MARK: Final = "hr"
"""The element that is put behind a head: one that no head has."""


class Settled:
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


def spellings(html: bytes) -> Collection[bytes]:
    """All that may be the value of an `href` in *html*, up to its `#`, each with `="` before it, in any order."""
    found: list[bytes] = _HREF.findall(html)
    if html.lower().count(b"href") == len(found) and b"" not in found:
        return found
    return [_TO_ITSELF + (double or single or bare) for double, single, bare in _ANY_HREF.findall(html)]


def reference(spelling: bytes) -> str | None:
    """The reference that one of `spellings` stands for; None where only a parser can tell."""
    value = spelling[2:]
    if not _PLAIN.fullmatch(value) or b"href" in value.lower():  # another one may begin within
        return None
    return value.decode("ascii").replace("&amp;", "&")


def head_of(html: bytes) -> tuple[bytes, int] | None:
    """The document up to its first `</head>` with the MARK behind, and where the rest begins; None if it has none."""
    at = html.find(_HEAD_END)
    if at < 0:
        return None
    end = at + len(_HEAD_END)
    return html[:end] + b"<" + MARK.encode() + b">", end


def tells_more(html: bytes, at: int, *, title: bool, canonical: bool) -> bool:
    """Whether *html* may have something from *at* on that the head did not tell: after a *title* no other counts."""
    return _telling(title, canonical).search(html, at) is not None


@lru_cache
def _telling(title: bool, canonical: bool) -> re.Pattern[bytes]:
    names = ["base", "html", "meta", "frame", "iframe"]
    names += [name for name, known in (("title", title), ("link", canonical)) if not known]
    first = "".join(sorted({name[0] + name[0].upper() for name in names}))
    spelled = ("".join(f"[{char}{char.upper()}]" for char in name) for name in names)
    return re.compile(f"<(?=[{first}])(?:{'|'.join(spelled)})".encode())
