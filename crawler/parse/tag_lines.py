"""Numbers the tags of a page before it is parsed, so that each element knows the line in which its tag begins. Pure.

Parsers keep no places. Here every tag that may name something gets an attribute with its number, whatever it is part
of. What is no tag, as in a comment or a script, gets one too, and no element has it. So a line is right whatever the
source looks like: the parser itself decides what is an element.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import accumulate, count, islice
from typing import Final

MARK: Final = "_n"
"""The attribute. It comes first in its tag, so it also counts where a page has one of this name."""

MAX_TAGS: Final = 200_000
"""Tags that are numbered. The parser still reads the rest of the page."""

# All but tags without attributes, or with a class alone. Of the first, two matter: for their content.
_TAG: Final = re.compile(
    rb"""<([A-Za-z][^\t\n\f\r /><]*+(?:(?=[\t\n\f\r /])(?! class="[^"<>]*">)"""
    rb"""|(?:(?<=<[hH]1)|(?<=<(?i:style)))(?=[\t\n\f\r />])))"""
)
_FAR: Final = re.compile(rb"<((?i:base|iframe)(?=[\t\n\f\r /]))")
"""Tags that matter for others: what they are relative to, and documents within the page."""
_MARKED: Final = re.compile(rf" {MARK}=(?:\d+ |\"\d+\")")
_REST: Final = re.compile(rb"""(?:[^>"']++|"[^"]*+"|'[^']*+')*+>""")
"""The rest of a tag: its attributes."""


class TagLines:
    """The lines in which the tags of a page begin, by their numbers."""

    def __init__(self, html: bytes, lines: Collection[int] | None = None, *, is_xml: bool = False) -> None:
        """*html* is UTF-8. *lines*: number the tags of these alone, which is cheap; `base` and `iframe` always.

        *is_xml*: attributes need quotes.
        """
        if b"\n" not in html:
            html = html.replace(b"\r", b"\n")  # CR alone ends lines only where nothing else does, as in most editors
        parts = _TAG.split(html, MAX_TAGS) if lines is None else list(_parts(html, lines))
        self._rests = parts[2::2]
        before = accumulate([part.count(b"\n") for part in parts[:-1:2]], initial=1)
        self.lines = dict(zip(map(str, count()), islice(before, 1, None), strict=False))
        """The line in which each tag begins, by its number as it is written."""
        form = (b'<%%b %b="%%d"' if is_xml else b"<%%b %b=%%d ") % MARK.encode()
        parts[1::2] = [form % (name, number) for number, name in enumerate(parts[1::2])]
        self.html = b"".join(parts)
        """The page, with numbers."""
        self.is_cut = len(self._rests) >= MAX_TAGS

    def content_line(self, number: str | None) -> int:
        """The line in which the tag *number* ends, and the content of its element begins; 0 if it has no number."""
        line = self.lines.get(number or "")
        rest = None if line is None else _REST.match(self._rests[int(number or "")])
        return 0 if line is None else line + (rest[0].count(b"\n") if rest else 0)


def _parts(html: bytes, lines: Collection[int]) -> Iterator[bytes]:
    """*html* split as `_TAG.split` does, but only in *lines* and at tags that matter for others."""
    ends = list(accumulate(len(line) + 1 for line in html.split(b"\n")))
    names = {match.start(1): match[1] for match in _FAR.finditer(html)}
    for line in lines:
        if 0 < line <= len(ends):
            begin = ends[line - 2] if line > 1 else 0
            names |= {match.start(1): match[1] for match in _TAG.finditer(html, begin, ends[line - 1])}
    at = 0
    for start in sorted(names)[:MAX_TAGS]:
        yield html[at : start - 1]
        yield names[start]
        at = start + len(names[start])
    yield html[at:]


def unmarked(text: str) -> str:
    """*text* of the parsed page as it was: what only looks like a tag may have been numbered."""
    return _MARKED.sub("", text) if "<" in text else text
