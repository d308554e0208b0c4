"""XHTML, which is XML, rewritten as HTML with the same meaning, for the one parser of all pages. Pure.

XML has empty elements (`<script src="a.js"/>`), CDATA sections, processing instructions and prefixes of namespaces,
which an HTML parser reads as something else. Only the type decides: the same bytes as `text/html` stay as they are,
since browsers read them so. Expat reads the document. If it is not well-formed, or declares anything in its DTD, only
its empty elements, CDATA sections and prefixes are rewritten. No entity of a document is ever expanded.
"""

from __future__ import annotations

import re
from html.entities import html5
from typing import Final
from xml.parsers import expat

TYPE: Final = "application/xhtml+xml"
_XML_TYPES: Final = frozenset({"text/xml", "application/xml"})
_NAMESPACE: Final = "http://www.w3.org/1999/xhtml"
_FOREIGN: Final = frozenset({"http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML"})
_ATTRIBUTES: Final = {
    "http://www.w3.org/XML/1998/namespace}lang": "lang",
    "http://www.w3.org/1999/xlink}href": "xlink:href",
}
_HEAD: Final = 4_096
"""Bytes in which a root element has to begin."""

_ROOT = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s++|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^<>\[]*+>)*+<(?:[A-Za-z_][\w.-]*+:)?html(?=[\s>])([^<>]*+)>",
    re.DOTALL,
)
_DECLARATION = re.compile(rb"<!(?:ENTITY|ATTLIST|ELEMENT|NOTATION)\b")
# What is not closed ends with the document: else each beginning would be searched from there to the end.
_REFERENCE = re.compile(
    rb"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|&([A-Za-z][A-Za-z0-9]*+);", re.DOTALL
)
_PREDEFINED: Final = frozenset({b"amp", b"lt", b"gt", b"quot", b"apos"})
_EMPTY = re.compile(
    rb"""<([A-Za-z_][^\s<>/"']*+)((?:[^<>"'/]++|"[^"<]*+"|'[^'<]*+'|/(?!>))*+)/>|<!\[CDATA\[(.*?)(?:\]\]>|\Z)""",
    re.DOTALL,
)
_DOCTYPE = re.compile(rb"<!DOCTYPE", re.IGNORECASE)
_SUBSET = re.compile(
    rb"""(<!DOCTYPE[^<>\["']*+(?:"[^"]*+"[^<>\["']*+|'[^']*+'[^<>\["']*+)*+)\[(?:"[^"]*+"|'[^']*+'|[^]"'])*+\]""",
    re.IGNORECASE,
)
_PREFIX = re.compile(rb"""\sxmlns:([A-Za-z_][\w.-]*+)\s*+=\s*+["']http://www\.w3\.org/1999/xhtml["']""")

_VOID: Final = frozenset(
    (
        "area",
        "base",
        "br",
        "col",
        "embed",
        "frame",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    )
)
_SCRIPTS: Final = frozenset({"script", "style"})
_TEXT_ONLY: Final = frozenset({"title", "textarea"})
_SKIPPED: Final = frozenset({"iframe", "noembed", "noframes"})
_RENAMED: Final = {"xmp": "pre", "listing": "pre", "plaintext": "pre"}


def is_xhtml(kind: str, body: bytes) -> bool:
    """Whether a *body* of the type *kind* is XHTML: by its type, or as XML whose root is XHTML."""
    if kind == TYPE:
        return True
    if kind not in _XML_TYPES:
        return False
    root = _ROOT.match(body[:_HEAD])
    return root is not None and _NAMESPACE.encode() in root[1]


def as_html(xml: bytes) -> bytes:
    """*xml*, UTF-8, as HTML."""
    if not _DECLARATION.search(xml):
        try:
            return _Writer().write(_REFERENCE.sub(_numeric, xml) if b"&" in xml else xml)
        except expat.ExpatError:
            pass
    return _by_bytes(xml)


def _numeric(reference: re.Match[bytes]) -> bytes:
    """A named reference of HTML, which XML does not know, as its number; others as literal text."""
    name = reference[1]
    if name is None or name in _PREDEFINED:
        return reference[0]
    text = html5.get(f"{name.decode()};")
    return b"&amp;%b;" % name if text is None else "".join(f"&#{ord(character)};" for character in text).encode()


def _by_bytes(xml: bytes) -> bytes:
    """A document that is not well-formed, with what an HTML parser would misread rewritten."""

    def anew(match: re.Match[bytes]) -> bytes:
        name, attributes, text = match.groups()
        if name is None:
            return _escaped(text.decode("utf-8", "replace")).encode()
        return b"<%b%b>" % (name, attributes) + (b"" if name.decode("latin-1") in _VOID else b"</%b>" % name)

    doctype = _DOCTYPE.search(xml)
    if doctype and (subset := _SUBSET.match(xml, doctype.start())):
        xml = xml[: subset.start()] + subset[1] + xml[subset.end() :]
    if prefix := _PREFIX.search(xml):
        xml = re.sub(rb"<(/?)%b:(?=[A-Za-z])" % re.escape(prefix[1]), rb"<\1", xml)
    return _EMPTY.sub(anew, xml)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Writer:
    """Writes what expat reads."""

    def __init__(self) -> None:
        self._parts = ["<!DOCTYPE html>"]
        self._depth = 0
        self._within: str | None = None
        """The element whose content is text, or nothing, in HTML."""
        self._since = 0
        self._parser = expat.ParserCreate("utf-8", "}")
        self._parser.buffer_text = True
        self._parser.ordered_attributes = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def write(self, xml: bytes) -> bytes:
        """The document as HTML; ExpatError if it is not well-formed before the end of its root."""
        try:
            self._parser.Parse(xml, True)
        except expat.ExpatError:
            if self._depth or len(self._parts) == 1:
                raise
        return "".join(self._parts).encode()

    def _start(self, name: str, attributes: list[str]) -> None:
        self._depth += 1
        if self._within is not None:
            return
        tag = _tag(name)
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        self._parts.append(f"<{tag}{''.join(_attribute(*pair) for pair in pairs)}>")
        if tag in _SCRIPTS or tag in _TEXT_ONLY or tag in _SKIPPED:
            self._within, self._since = tag, self._depth

    def _end(self, name: str) -> None:
        if self._within is None or self._since == self._depth:
            self._within = None
            if (tag := _tag(name)) not in _VOID:
                self._parts.append(f"</{tag}>")
        self._depth -= 1

    def _text(self, text: str) -> None:
        if self._within in _SCRIPTS:
            self._parts.append(text if "<" not in text else "")  # only tags could end it
        elif self._within not in _SKIPPED:
            self._parts.append(_escaped(text))


def _tag(name: str) -> str:
    """The element's name in HTML; one of a namespace that HTML does not know gets a name that it does not know."""
    namespace, _, local = name.rpartition("}")
    if namespace in ("", _NAMESPACE):
        return _RENAMED.get(local, local)
    return local if namespace in _FOREIGN else f"x-{local}"


def _attribute(name: str, value: str) -> str:
    name = _ATTRIBUTES.get(name, name)
    if "}" in name:
        return ""
    value = value.replace("&", "&amp;").replace('"', "&quot;")
    return f' {name}="{value}"'
