"""A page parsed with its tags numbered: its elements, each with its line. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, NamedTuple

from crawler.parse.charset import DEFAULT_CHARSET, as_utf8
from crawler.parse.link_kinds import Attributes
from crawler.parse.page import Node, Page, open_shadow_roots, read
from crawler.parse.tag_lines import MARK, TagLines
from crawler.parse.xhtml import as_html, is_xhtml

_FRAME: Final = re.compile(rb"<frame(?=[\t\n\f\r /])", re.IGNORECASE)


class Element(NamedTuple):
    """An element of the page."""

    node: Node
    tag: str
    attributes: Attributes
    line: int
    number: str | None = None
    """That of its tag (`tag_lines`)."""


_new: Final = tuple.__new__
"""Makes an Element in half of the time that its own constructor takes."""


class NumberedPage:
    """The elements of a page that may name something."""

    def __init__(self, page: Page, lines: Collection[int] | None = None) -> None:
        """*page* is HTML, or a document that was converted to it, which has no lines. *lines*: see `TagLines`."""
        charset = page.charset or DEFAULT_CHARSET
        is_xml = page.made is None and is_xhtml(page.response.computed_type, page.response.body)
        html = as_utf8(page.response.body, charset) if page.made is None else page.made
        self.tags = TagLines(html, lines, is_xml=is_xml)
        self.lines = self.tags.lines if page.made is None else {}
        html = as_html(self.tags.html) if is_xml else self.tags.html
        self.tree, self.is_flat = read(html)
        has_stray = _FRAME.search(html) is not None and self.tree.css_first("frame") is None
        if has_stray:
            # A parser drops frames outside of a frameset; whoever wrote them meant to show them.
            self.tree, self.is_flat = read(_FRAME.sub(b"<x-frame", html))
        self.elements = self._read()
        self.is_clean = not has_stray and len(self.elements) == len(self.tags.lines)
        """Each number is the attribute of an element, and part of no text: but for it, the tree is that of the page."""

    def _read(self) -> list[Element]:
        """The elements, each tag once: a parser makes several of `<a><p></a></p>`."""
        line_of, found = self.lines.get, dict[str, Element]()
        for node in self.tree.css(f"[{MARK}]"):
            attributes = node.attributes
            number = attributes.pop(MARK) or ""
            if number not in found:
                found[number] = _new(Element, (node, node.tag or "", attributes, line_of(number, 0), number))
        return list(found.values())

    def open_shadow_roots(self) -> None:
        """Add the elements that shadow roots show."""
        if self.tree.css_first("template") is not None and open_shadow_roots(self.tree):
            self.elements = self._read()
