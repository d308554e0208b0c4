"""The links of a page as a record lists them: where each leads, what a reader clicks on, and the line it begins in.

Lexbor keeps no places, so each element is looked up in the source: behind the one before it, by its tag and by how its
reference is written. One that a script or a comment only seems to contain is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from typing import Final

from crawler.parse.page import Node, clean
from crawler.record import Link

MAX_PLACES: Final = 20_000
"""Most links of a page that are listed."""
_MAX_TEXT: Final = 500
"""Characters."""
_MAX_LOOKED: Final = 50
"""Tags that are passed over in search of one."""

Place = tuple[str, str, str | None, Node | None]
"""A link: its canonical URL, the reference as the parser read it, its `rel`, its element."""

_TAG: Final = re.compile(
    rb"<(?:!--.*?(?:-->|\Z)|(script|style)\b.*?(?:</\1|\Z)"
    rb"""|(a|area|link|i?frame|meta)(?=[\s/])((?:[^>"']|"[^"]*(?:"|\Z)|'[^']*(?:'|\Z))*))""",
    re.DOTALL | re.IGNORECASE,
)
"""A comment, a script, or a tag that may be a link, with its attributes."""


def page_links(places: Sequence[Place], html: bytes) -> list[Link]:
    """The links at *places* of the page *html*, UTF-8."""
    lines = _lines(places, html)
    return [
        Link(url=url, text=_text(node), rel=clean((rel or "").lower(), _MAX_TEXT), line=line)
        for (url, _, rel, node), line in zip(places, lines, strict=True)
    ]


def _text(node: Node | None) -> str | None:
    """What a reader clicks on."""
    if node is None:
        return None
    if text := clean(node.text(), _MAX_TEXT):
        return text
    image = node if node.attributes.get("alt") else node.css_first("img[alt]")
    return clean((image and image.attributes.get("alt")) or "", _MAX_TEXT)


def _lines(places: Sequence[Place], html: bytes) -> list[int | None]:
    """The line that each of *places* begins in."""
    tags = [(tag.start(), tag[2].lower(), tag[3]) for tag in _TAG.finditer(html) if tag[2]]
    found: list[int | None] = []
    at, line, counted = 0, 1, 0
    for _, reference, _, node in places:
        match = -1 if node is None else _find(tags, at, (node.tag or "").encode(), reference)
        if match < 0:
            found.append(None)
            continue
        start = tags[match][0]
        line, counted, at = line + html.count(b"\n", counted, start), start, match + 1
        found.append(line)
    return found


def _find(tags: Sequence[tuple[int, bytes, bytes]], at: int, name: bytes, reference: str) -> int:
    """The index of the next tag *name* from *at* on that has *reference* as an attribute's value; -1 if none has."""
    plain = reference.encode()
    for index in range(at, min(at + _MAX_LOOKED, len(tags))):
        _, tag, attributes = tags[index]
        if tag == name and (plain in attributes or (b"&" in attributes and _reads(attributes, reference))):
            return index
    return -1


def _reads(attributes: bytes, reference: str) -> bool:
    """Whether *reference* is in *attributes* once their character references are read."""
    return reference in unescape(attributes.decode("utf-8", "replace"))
