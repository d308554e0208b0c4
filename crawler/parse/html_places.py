"""Finds every place of an HTML page that names a URL, the names of its elements, and what is wrong with it by itself.

The page is parsed with its tags numbered (`tag_lines`): the elements are those that a browser without scripts makes,
and each knows its line. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from crawler.checked_page import MAX_NAMES
from crawler.parse.charset import DEFAULT_CHARSET
from crawler.parse.fragments import reachable
from crawler.parse.link_kinds import Attributes
from crawler.parse.numbered_page import Element, NumberedPage
from crawler.parse.page import Page, clean, read
from crawler.parse.page_notes import alt_note, page_notes
from crawler.parse.place_collector import PlaceCollector
from crawler.parse.place_table import LAZY, Reader, readers_of
from crawler.parse.places import Reference
from crawler.parse.resolver import base_of
from crawler.parse.style_sheet import sheet_references
from crawler.parse.tag_lines import MARK, MAX_TAGS, unmarked

_DOCTYPE: Final = re.compile(rb"""\s*<!DOCTYPE[^<>"']+?\sSYSTEM\s+(?:"([^"<>]+)"|'([^'<>]+)')\s*>""", re.IGNORECASE)
_CONDITIONAL: Final = re.compile(rb"<!--\[if[^\]<>]*\]>(?!\s*<?!?--)(.*?)(?:<!\[endif|-->|\Z)", re.DOTALL)
_MAX_TEXT: Final = 500
"""Characters of what a reader clicks on."""
_MAX_TEXTS: Final = 4 << 20
"""Characters of all of them, also where they are cut."""
_MAX_DOCUMENTS: Final = 100
"""`srcdoc` documents of a page that are read."""
_MAX_WITHIN: Final = 3
"""`srcdoc` documents within each other."""
_POST: Final = "form[id][method=post i],form[id][method=dialog i]"
_NOT_SENT: Final = "form[method=post i] [formaction],form[method=dialog i] [formaction]"
_NOT_EMPTY: Final = frozenset(
    (
        *(("src", tag) for tag in ("img", "input", "video", "audio", "source", "track", "script", "embed")),
        *(("href", "link"), ("data", "object"), ("poster", "video")),
    )
)
"""Attributes that must not be empty (HTML Standard, "valid non-empty URL"), and load nothing if they are."""
_CONTROLS: Final = frozenset(("button", "tab", "menuitem", "switch", "checkbox"))
"""Roles of elements that scripts act on (WAI-ARIA 1.2)."""
_ACTS: Final = frozenset(("onclick", "data-toggle", "data-bs-toggle"))
_IMPORTED: Final = ("/", "./", "../", "http://", "https://")
_HOLDERS: Final = frozenset(("img", "object", "input", "button", "iframe"))
"""Elements with attributes that need more than their value."""
_PICTURES: Final = frozenset(("img", "area", "input"))
_SPECIAL: Final = frozenset(("h1", "style", "script")) | _HOLDERS | _PICTURES


class HtmlPlaces:
    """Reads one HTML page into a collector."""

    def __init__(self, collector: PlaceCollector, page: Page, numbered: NumberedPage, texts: bool) -> None:
        self._collector, self._page, self._numbered = collector, page, numbered
        self._texts_left = _MAX_TEXTS if texts else 0
        self._headings: list[Element] = []
        self._documents = 0
        self._not_sent: set[int] | None = None
        """Buttons of forms that are sent by POST, and in `_posts` the ids of such forms, once they are asked for."""
        self._posts: set[str | None] = set()

    def read(self) -> None:
        """Read it."""
        page, collector, numbered = self._page, self._collector, self._numbered
        hrefs = (element.attributes.get("href") for element in numbered.elements if element.tag == "base")
        collector.relative_to(base_of(hrefs, page.url), page.charset or DEFAULT_CHARSET)
        self._doctype()
        collector.found.names = self._names()  # before ids go into shadow roots, where nothing leads to them
        numbered.open_shadow_roots()
        for element in numbered.elements:
            self._element(element)
            if collector.is_full:
                break
        for comment in _CONDITIONAL.finditer(numbered.tags.html):
            self._conditional(comment[1])
        if numbered.tags.is_cut:
            collector.note("not-checked", 0, f"what it names after its first {MAX_TAGS:,} tags")
        if page.made is None:
            for note in page_notes(page, numbered.tree, self._headings):
                collector.note(*note)

    def _names(self) -> list[str] | None:
        """Names that fragments may lead to (HTML 7.4.6.4), and those of maps; None if they are not known."""
        page = self._page
        if page.made is not None or page.response.truncated or self._numbered.tags.is_cut:
            return None
        names: dict[str, None] = {}
        for _, tag, attributes, *_ in self._numbered.elements:
            if name := attributes.get("id"):
                names[unmarked(name)] = None
            if tag in ("a", "map") and (name := attributes.get("name")):
                names[unmarked(name)] = None
        found = list(dict.fromkeys(reachable(names)))
        return found if len(found) <= MAX_NAMES else None

    def _doctype(self) -> None:
        """The definition that a document without a public one names by its address."""
        doctype = _DOCTYPE.match(self._numbered.tags.html)
        if doctype:
            self._collector.add(Reference("other", (doctype[1] or doctype[2]).decode("utf-8", "replace")), 1)

    # -- elements ------------------------------------------------------------------------------------------------------

    def _element(self, element: Element, within: int = 0) -> None:
        """Read one element; *within* is the number of `srcdoc` documents around it."""
        readers = readers_of(element.tag)
        for name, value in element.attributes.items():
            if name in readers and value is not None:
                self._attribute(element, name, value, readers[name])
        if element.tag in _SPECIAL:
            self._special(element, within)

    def _attribute(self, element: Element, name: str, value: str, reader: str | Reader) -> None:
        _, tag, attributes, line, _ = element
        collector = self._collector
        if "<" in value:
            value = unmarked(value)
        if value[:1] == "#" and _is_control(attributes):
            return
        if not value.strip() and (name, tag) in _NOT_EMPTY:
            if LAZY.isdisjoint(attributes):
                collector.invalid(_references(reader, attributes, ""), line, f'{name}=""')
        elif isinstance(reader, str):
            text = self._text(element) if self._texts_left > 0 else None
            collector.add_url(reader, value, line, attributes.get("rel"), text)
        else:
            collector.add_all(reader(attributes, value), line, attributes.get("rel"))
            if tag == "meta" and (attributes.get("http-equiv") or "").lower() == "content-security-policy":
                collector.obey_policy(value)

    def _text(self, element: Element) -> str | None:
        """What a reader clicks on or sees, else the `alt`."""
        if element.tag == "a":
            text = element.node.text()
            self._texts_left -= len(text) + 1
            if found := clean(text, _MAX_TEXT):
                return found
            image = element.node.css_first("img[alt]")
            return clean((image and image.attributes.get("alt")) or "", _MAX_TEXT)
        return clean(element.attributes.get("alt") or "", _MAX_TEXT)

    def _holder(self, element: Element, within: int) -> None:
        """The map, document or form that an element stands for."""
        _, tag, attributes, line, _ = element
        if tag == "iframe":
            if document := attributes.get("srcdoc"):
                self._document(document, line, within + 1)
            return
        used = attributes.get("usemap") or ""
        if len(used) > 1 and used[0] == "#" and within == 0 and tag != "button":
            self._collector.add_own(unmarked(used[1:]), line)
        action = attributes.get("formaction")
        if action and tag in ("button", "input") and self._is_sent(element):
            self._collector.add_url("form", unmarked(action), line)

    def _is_sent(self, element: Element) -> bool:
        """Whether a button sends its form by GET, as its own method says, else that of the form."""
        method = (element.attributes.get("formmethod") or "").strip().lower()
        if method:
            return method not in ("post", "dialog")
        if self._not_sent is None:
            self._not_sent = {node.mem_id for node in self._numbered.tree.css(_NOT_SENT)}
            self._posts = {node.attributes.get("id") for node in self._numbered.tree.css(_POST)}
        owner = element.attributes.get("form")
        return owner not in self._posts if owner else element.node.mem_id not in self._not_sent

    def _conditional(self, html: bytes) -> None:
        """What a comment `<!--[if IE 8]>...<![endif]-->` names: only old browsers load it."""
        for node in read(html)[0].css(f"[{MARK}]"):
            attributes = node.attributes
            line = self._numbered.lines.get(attributes.pop(MARK) or "", 0)
            readers = readers_of(node.tag or "")
            for name, value in attributes.items():
                reader = readers.get(name)
                for reference in _references(reader, attributes, value) if reader and value else ():
                    self._collector.add(reference._replace(kind="other", line=0), line)

    def _document(self, html: str, line: int, within: int) -> None:
        """The document of a `srcdoc`: its fragments are its own, its base is that of the page unless it has one."""
        self._documents += 1
        if within > _MAX_WITHIN or self._documents > _MAX_DOCUMENTS:
            return
        collector, base, charset = self._collector, self._collector.base, self._page.charset or DEFAULT_CHARSET
        tree = read(html.encode("utf-8", "replace"))[0]
        hrefs = (node.attributes.get("href") for node in tree.css("base[href]"))
        collector.relative_to(base_of(hrefs, base), charset, is_own=False)
        for node in tree.css("*"):
            attributes = node.attributes
            number = attributes.pop(MARK, None)
            own = self._numbered.lines.get(number or "", line)
            self._element(Element(node, node.tag or "", attributes, own, number), within)
            if collector.is_full:
                break
        collector.relative_to(base, charset, is_own=within == 1)

    # -- elements whose content counts ---------------------------------------------------------------------------------

    def _special(self, element: Element, within: int) -> None:
        tag = element.tag
        if tag in _HOLDERS:
            self._holder(element, within)
        if tag == "h1":
            if within == 0:
                self._headings.append(element)
        elif tag == "style":
            self._style(element)
        elif tag == "script":
            self._script(element)
        elif tag in _PICTURES and self._page.made is None and (note := alt_note(element, self._collector.base)):
            self._collector.note(*note)

    def _style(self, element: Element) -> None:
        """A style sheet in the page; its lines count from the end of the tag."""
        kind = (element.attributes.get("type") or "").strip().lower()
        css = unmarked(element.node.text())
        if kind in ("", "text/css") and css:
            first = self._numbered.tags.content_line(element.number) if self._numbered.lines else 0
            for reference in sheet_references(css):
                line = first + reference.line - 1 if first else element.line
                self._collector.add(reference._replace(line=line))

    def _script(self, element: Element) -> None:
        """A script that is data: what it lets scripts import, or what browsers are to load in advance."""
        kind = (element.attributes.get("type") or "").strip().lower()
        if kind in ("importmap", "speculationrules"):
            try:
                data = json.loads(unmarked(element.node.text()))
            except (ValueError, RecursionError):
                return
            read = _imports if kind == "importmap" else _speculations
            self._collector.add_all(read(data), element.line)


def _is_control(attributes: Attributes) -> bool:
    """Whether a script acts where a link seems to lead to a place of the page."""
    return not _ACTS.isdisjoint(attributes) or (attributes.get("role") or "").strip().lower() in _CONTROLS


def _references(reader: str | Reader, attributes: Attributes, value: str) -> Iterable[Reference]:
    return (Reference(reader, value),) if isinstance(reader, str) else reader(attributes, value)


def _imports(data: Any) -> Iterator[Reference]:
    """An import map (HTML 8.1.6.2): files, not folders or names."""
    if isinstance(data, dict):
        scopes = data.get("scopes")
        for imports in (data.get("imports"), *(scopes.values() if isinstance(scopes, dict) else ())):
            for url in imports.values() if isinstance(imports, dict) else ():
                if isinstance(url, str) and url.startswith(_IMPORTED) and not url.endswith("/"):
                    yield Reference("script", url)


def _speculations(data: Any) -> Iterator[Reference]:
    """Speculation rules: the URLs that they list."""
    if isinstance(data, dict):
        for action in ("prefetch", "prerender"):
            rules = data.get(action)
            for rule in rules if isinstance(rules, list) else ():
                listed = rule.get("urls") if isinstance(rule, dict) else None
                for url in listed if isinstance(listed, list) else ():
                    if isinstance(url, str):
                        yield Reference("preload", url)
