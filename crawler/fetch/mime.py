"""The media type of a body: from its answer's Content-Type lines, or if they name none, from its first bytes. Pure.

Sources: "extract a MIME type" of the Fetch Standard (https://fetch.spec.whatwg.org/), sections 4.4 (parsing) and 7.1
(unknown types) of the MIME Sniffing Standard (https://mimesniff.spec.whatwg.org/).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

SNIFFED: Final = 1445
"""How many bytes at the beginning of a body are examined (MIME Sniffing 5.2: the resource header)."""

PDF: Final = "application/pdf"
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_UNKNOWN: Final = frozenset({"", "*/*", "unknown/unknown", "application/unknown"})
_SHORT: Final = 200
"""Longest value that is cached, in characters."""

_QUOTED: Final = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_ELEMENT = re.compile(rf'((?:[^",]|{_QUOTED})*+)(?:,|\Z)', re.DOTALL)
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_ESSENCE = re.compile(rf"[\t\n\r ]*({_TOKEN}/{_TOKEN})[\t\n\r ]*(?:;|\Z)")
_PARAMETER = re.compile(r'[\t\n\r ]*([^;=]*+)(?:=(?:"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)[^;]*|([^;]*)))?(?:;|\Z)', re.DOTALL)
_VALUE = re.compile(r"[^\x00-\x08\n-\x1f\x7f]*")

_HTML = re.compile(
    rb"[\t\n\f\r ]*<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b"
    rb"|body|br|p|meta|link)[\t\n\f\r />])",
    re.IGNORECASE,
)
_XML = re.compile(rb"[\t\n\f\r ]*<\?xml")
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
# Beginnings without a binary byte. `BM` of the standard (a bitmap) is left out: words begin so, and a bitmap
# has binary bytes right after it.
_SIGNATURES: Final = (
    (re.compile(rb"%PDF-"), PDF),
    (re.compile(rb"%!PS-Adobe-"), "application/postscript"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBPVP", re.DOTALL), "image/webp"),
)
# A ZIP file, beginning with what a DOCX may begin with; so may other files of Office, which the standard does not know.
_OFFICE = re.compile(rb"PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/|word/|docProps/|customXml/)", re.DOTALL)
_BOMS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le"))


class MediaType(NamedTuple):
    """A type without its parameters, in lower case, and the label of its charset."""

    essence: str
    """Empty if none is named."""
    charset: str | None = None


def extract(value: str) -> MediaType:
    """The type that Content-Type lines name, joined by commas: the last valid one of the list.

    If the same type is named twice, the charset is kept. A value that names none (`*/*`, `unknown/unknown`, no valid
    type) has the empty essence.
    """
    return _remembered(value) if len(value) <= _SHORT else _extract(value)


def _extract(value: str) -> MediaType:
    essence, charset = "", None
    found: str | None = None
    for element in _ELEMENT.findall(value):
        named = _ESSENCE.match(element)
        if named is None or named[1] == "*/*":
            continue
        own = _charset(element, named.end())
        if named[1].lower() != essence:
            essence, charset = named[1].lower(), own
        found = charset if own is None else own
    return MediaType("" if essence in _UNKNOWN else essence, found)


_remembered = lru_cache(maxsize=256)(_extract)  # a site has few


def _charset(element: str, at: int) -> str | None:
    """The first valid `charset` among the parameters of *element*, from *at* on."""
    for match in _PARAMETER.finditer(element, at):
        name, quoted, plain = match.groups()
        value = (plain or "").rstrip("\t\n\r ") if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
        if name.lower() == "charset" and (value or quoted is not None) and _VALUE.fullmatch(value):
            return value
    return None


def sniff(body: bytes | bytearray) -> str:
    """The type of a *body* if no header names one.

    After a byte order mark HTML is HTML; the standard calls it plain text.
    """
    sample = body[:SNIFFED]
    for mark, name in _BOMS:
        if sample.startswith(mark):
            text = sample[len(mark) :].decode(name, "ignore").encode()
            return "text/html" if _HTML.match(text) else "text/xml" if _XML.match(text) else "text/plain"
    if _HTML.match(sample):
        return "text/html"
    if _XML.match(sample):
        return "text/xml"
    if _OFFICE.match(sample):
        return DOCX
    known = next((kind for sign, kind in _SIGNATURES if sign.match(sample)), None)
    return known or ("application/octet-stream" if _BINARY.search(sample) else "text/plain")
