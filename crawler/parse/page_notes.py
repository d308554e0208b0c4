"""What is wrong with a page by itself: its title, description, headings, images without text, its encoding. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from crawler import url as urls
from crawler.checked_page import Note
from crawler.errors import InvalidURL
from crawler.parse.bad_reference import MAX_TEXT, shown
from crawler.parse.charset_check import charset_mismatch
from crawler.parse.link_kinds import Attributes
from crawler.parse.numbered_page import Element
from crawler.parse.page import Node, Page, Tree, clean

_NAMES: Final = ("aria-label", "aria-labelledby", "title")
"""What names an image in place of its `alt` (Accessible Name and Description Computation)."""
_SOURCES: Final = ("src", "srcset", "data-src", "data-srcset")
_HIDDEN: Final = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_CONTENT: Final = frozenset(("img", "video", "audio", "svg", "canvas", "iframe", "object", "embed", "form"))
_NO_CONTENT: Final = frozenset(("script", "style", "noscript", "template", "frameset", "noframes"))
_HEADING: Final = "[role=heading i][aria-level='1']"
"""What stands for an `<h1>` (WAI-ARIA 1.2)."""
_MAX_ABOVE: Final = 64
"""Elements above an image that are looked at."""
_TINY: Final = re.compile(r"\s*[01](?:px)?\s*", re.IGNORECASE)


def page_notes(page: Page, tree: Tree, headings: Sequence[Element]) -> Iterator[Note]:
    """Notes on the *page* as a whole; *headings* are its `<h1>`."""
    mismatch = charset_mismatch(page.response.body, page.headers.combined("content-type"), page.url)
    if mismatch:
        line = 0 if mismatch.at < 0 else 1 + page.response.body.count(b"\n", 0, mismatch.at)
        yield Note("charset-wrong", line, mismatch.cause)
    filled = list(islice(filter(_is_filled, headings), 2))
    if len(filled) > 1:
        yield Note("h1-multiple", filled[1].line, clean(filled[1].node.text(), MAX_TEXT) or "")
    missing = [
        *(["title-missing"] if page.title is None else ()),
        *(["description-missing"] if page.description is None else ()),
        *(["h1-missing"] if not filled and tree.css_first(_HEADING) is None else ()),
    ]
    if missing and page.refresh is None and _has_content(tree):
        yield from (Note(code, 0) for code in missing)


def _is_filled(heading: Element) -> bool:
    if "hidden" in heading.attributes:
        return False
    return bool(heading.node.text(strip=True) or heading.node.css_first("img[alt],svg,picture,[aria-label]"))


def _has_content(tree: Tree) -> bool:
    """Whether the page shows something without scripts: no frameset, no empty shell."""
    body = tree.body
    if body is None:
        return False
    for node in body.traverse(include_text=True):
        if node.is_text_node:
            parent = node.parent
            if (parent is None or parent.tag not in _NO_CONTENT) and (node.text_content or "").strip():
                return True
        elif node.tag in _CONTENT:
            return True
    return False


def alt_note(element: Element, base: str) -> Note | None:
    """What is wrong with the alternative text of an image (HTML 4.8.4.4, 4.10.5.1.19, 4.8.14); None if nothing is.

    References are relative to *base*.
    """
    tag, attributes = element.tag, element.attributes
    if "alt" in attributes or (tag == "area" and "href" not in attributes):
        return None
    if tag == "input" and (attributes.get("type") or "").strip().lower() != "image":
        return None
    if any((attributes.get(name) or "").strip() for name in _NAMES):
        return None
    if tag == "img" and (not any(attributes.get(name) for name in _SOURCES) or _is_pixel(attributes)):
        return None
    if _is_hidden(attributes) or _is_within_hidden(element.node):
        return None
    reference = attributes.get("src") or attributes.get("href") or next(filter(None, map(attributes.get, _SOURCES)), "")
    return Note("alt-missing", element.line, _absolute(reference or "", base))


def _absolute(reference: str, base: str) -> str:
    """The URL of a picture; as it is written if it has none."""
    try:
        return urls.canonicalize(reference, base)[:MAX_TEXT]
    except InvalidURL:
        return shown(reference)


def _is_pixel(attributes: Attributes) -> bool:
    """Whether it is one that counts visits."""
    return all(_TINY.fullmatch(attributes.get(side) or "") for side in ("width", "height"))


def _is_hidden(attributes: Attributes) -> bool:
    """Whether it, with all that it holds, is kept from readers who need a text."""
    return (
        (attributes.get("role") or "").strip().lower() in ("presentation", "none")
        or (attributes.get("aria-hidden") or "").strip().lower() == "true"
        or "hidden" in attributes
        or _HIDDEN.search(attributes.get("style") or "") is not None
    )


def _is_within_hidden(node: Node) -> bool:
    above = node.parent
    for _ in range(_MAX_ABOVE):
        if above is None or not above.is_element_node:
            return False
        attributes = above.attributes
        if attributes.get("aria-hidden") == "true" or "hidden" in attributes:
            return True
        above = above.parent
    return False
