"""Sitemaps: the URLs that a site lists about itself, and when each was last modified.

Pure. No document can make it raise or cost more than its size: time is linear, and memory at most a few times
MAX_BYTES. The content decides what a document is, not its type or name. It reads the XML and text formats of
https://www.sitemaps.org/protocol.html, RSS (https://www.rssboard.org/rss-specification, and RSS 1.0 and 0.9x) and Atom
(RFC 4287, except xml:base), each also in gzip.

Expat reads XML, but neither its declaration (it gets UTF-8) nor its DOCTYPE: no entity is declared, so none is
expanded, and nothing outside is named. If expat fails, a tolerant reader continues from the record in which it failed.
Names count, namespaces do not: many are misspelt.
"""

from __future__ import annotations

import codecs
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any, Final, Literal
from xml.parsers import expat

from crawler.parse import charset

MAX_BYTES: Final = 50 * 1024 * 1024
"""Most bytes of a sitemap, uncompressed, that are read (sitemaps.org allows no more)."""

MAX_URLS: Final = 50_000
"""Most URLs of one sitemap that are read (sitemaps.org allows no more)."""

Kind = Literal["index", "urls", "text", "rss", "atom"]

_HEAD: Final = 1 << 20  # bytes in which the root element has to begin
_SNIFF: Final = 8 << 10  # bytes that distinguish a sitemap from other XML
_TEXT_SNIFF: Final = 64 << 10  # bytes in which most lines have to be URLs
_CHUNK: Final = 1 << 20  # bytes for expat at a time; with fewer, old versions read a long token again and again
_MAX_TOKEN: Final = 8 << 20  # bytes of one tag or comment, for the same reason
_MAX_ELEMENTS: Final = 2_000_000  # at 25 bytes each they fill MAX_BYTES; those of real sitemaps are longer
_MAX_DEPTH: Final = 1000  # elements in each other: expat remembers them,
_MAX_NAMES: Final = 10_000  # and all names

_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS  # zlib's code for gzip
_GZIP_LAYERS: Final = 2  # a file.gz that is sent gzipped
_GZIP_MEMBERS: Final = 1000  # empty ones, of 20 bytes each, cost time and yield nothing
_GZIP_PIECE: Final = 4096  # bytes; the piece in which gzip breaks is lost

_XML_ENCODING = re.compile(rb"""<\?xml\s[^<>]*?\bencoding\s*=\s*["']\s*([A-Za-z0-9._:-]+)""")
_FORBIDDEN: Final = bytes(code for code in range(32) if code not in b"\t\n\r")  # XML 1.0 section 2.2

_ABSOLUTE = re.compile("https?://", re.IGNORECASE)
_TEXT_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
# Before a URL there may be characters outside printable ASCII: byte order marks, and spaces of all kinds.
_TEXT_LINE = re.compile(rb"^[^\n!-~]*+((?:https?://|www\.)[^\n]*)", re.IGNORECASE | re.MULTILINE)

# These read each byte only a few times: they are possessive, and anything unclosed ends at the document's end.
_SKIPPED = rb"!--.*?(?:-->|\Z)|\?.*?(?:\?>|\Z)"
_QUOTED = rb"""|"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)"""
_DOCTYPE = rb"""(?i:!DOCTYPE)(?:[^\[>"']""" + _QUOTED + rb")*+"
_SUBSET = rb"""(?:\[(?:[^\]<"']|<(?:""" + _SKIPPED + rb")?+" + _QUOTED + rb")*+[^>]*+)?+"
_PROLOG = re.compile(rb"<(?:%b|%b%b|([A-Za-z_][^\s/<>]*+)(?=[\s/>]))" % (_SKIPPED, _DOCTYPE, _SUBSET), re.DOTALL)
_PAGE = re.compile(rb"<(?:!DOCTYPE\s+html|html|head|body)[\s>]", re.IGNORECASE)
_TAG = re.compile(rb"<(?:!\[CDATA\[(.*?)(?:\]\]>|\Z)|%b|(/)?([A-Za-z_][^\s/<>]*+)?([^<>]*+)(>)?)" % _SKIPPED, re.DOTALL)
_ATTRIBUTE = re.compile(rb"""\s(href|rel)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)')""")
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|amp|lt|gt|quot|apos|([A-Za-z_][\w.-]*+));")
_UNKNOWN: Final = "\0"  # stands for a reference that is replaced by nothing; no character of XML

# A DTD that is never loaded: undeclared entities may be declared there (XML 1.0 section 4.1), so expat skips them.
_STUB: Final = b'<!DOCTYPE x SYSTEM "">'
_OWN_TEXT: Final = "#text"  # the content of a record before any element: the URL where `loc` was forgotten
_NOTHING: Final = (9, "")  # a rank that everything beats
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Location:
    """One URL of a sitemap."""

    url: str
    """As written, except for white space around it, entities and CDATA: not resolved, perhaps no URL."""
    lastmod: int | None
    """Seconds since the epoch, according to the site (`lastmod_of`)."""


@dataclass(frozen=True, slots=True)
class Sitemap:
    """The content of a sitemap."""

    kind: Kind
    """Those of an "index" are sitemaps, all others are pages."""
    locations: list[Location]
    """Distinct by URL, in order."""
    truncated: bool
    """There may be more: a limit cut it, or it broke off, or was broken, before its end."""


def parse_sitemap(body: bytes, url: str) -> Sitemap | None:
    """The sitemap in *body*; None if it is not one. Never raises. *url* does not influence the result."""
    whole = True
    for _ in range(_GZIP_LAYERS):
        if body.startswith(_GZIP):
            body, whole = _gunzip(body)
    head = _utf8(body[:_HEAD])
    start = (0, "", _TEXT) if _is_text(head) else _root_of(head)
    if start is None:
        return None
    at, prefix, form = start
    text, found = _utf8(body), _Found(form)
    whole = whole and len(text) <= MAX_BYTES
    try:
        if form is _TEXT:
            _read_text(text, whole, found)
        else:
            whole = _read_xml(text, at, prefix, found) and whole
    except _Enough:
        whole = False
    return Sitemap(form.kind, list(found.locations.values()), not whole)


def looks_like_sitemap(body: bytes) -> bool:
    """Whether *body* is XML whose root element is `urlset` or `sitemapindex`, by its first 8 KiB."""
    root = _root_of(_utf8(body[:_SNIFF]))
    return root is not None and root[2] in (_URLSET, _INDEX)


def lastmod_of(text: str) -> int | None:
    """Seconds since the epoch of a date; None if invalid, which includes all before 1970 and beyond 32 bits (2106).

    A W3C datetime (https://www.w3.org/TR/NOTE-datetime; missing parts count as their first value), or one of RFC 822
    section 5, as in RSS. Without a time zone it is UTC. It may lie in the future: there is no clock here.
    """
    text = text.strip()[:64]  # no date is longer
    text += {4: "-01-01", 7: "-01"}.get(len(text), "")
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except (ValueError, TypeError, IndexError, OverflowError):  # the second is known for more than the first
            continue
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(seconds=1)
        return seconds if 0 <= seconds < 1 << 32 else None
    return None


def _gunzip(body: bytes) -> tuple[bytes, bool]:
    """The content of a gzip file (RFC 1952), at most MAX_BYTES, and whether that is all of it."""
    undone, at, got = bytearray(), 0, b""
    members, stream = 1, zlib.decompressobj(_GZIP_WINDOW)
    with suppress(zlib.error):
        while len(undone) < MAX_BYTES and members <= _GZIP_MEMBERS and (at < len(body) or got):
            piece = body[at : at + _GZIP_PIECE]
            got = stream.decompress(piece, min(_CHUNK, MAX_BYTES - len(undone)))
            undone += got
            at += len(piece) - len(stream.unconsumed_tail) - len(stream.unused_data)
            if stream.eof:
                if body[at : at + 2] != _GZIP:  # what follows and is no member is ignored, as browsers do
                    return bytes(undone), True
                members, stream = members + 1, zlib.decompressobj(_GZIP_WINDOW)
    return bytes(undone), False


def _utf8(body: bytes) -> bytes:
    """*body* in UTF-8, without a BOM and the controls that XML forbids; cut at MAX_BYTES."""
    name = _encoding_of(body)
    decoder = codecs.getincrementaldecoder(charset.codec(name))(charset.errors(name))
    text = bytearray()
    for at in range(0, len(body), _CHUNK):
        piece = decoder.decode(body[at : at + _CHUNK], at + _CHUNK >= len(body))
        text += piece.encode("utf-8", "replace").translate(None, _FORBIDDEN)
        if len(text) > MAX_BYTES:
            break
    return bytes(text).removeprefix(b"\xef\xbb\xbf")


def _encoding_of(body: bytes) -> str:
    """By BOM, the look of UTF-16, or the XML declaration (XML 1.0 appendix F); else UTF-8."""
    found = charset.of_bom(body) or {b"<\0": "utf-16le", b"\0<": "utf-16be"}.get(body[:2])
    if found:
        return found
    declaration = _XML_ENCODING.search(body, 0, _SNIFF)
    found = charset.lookup(declaration[1].decode("ascii")) if declaration else None
    return "utf-8" if found is None or found.startswith("utf-16") else found  # it was read as ASCII


def _is_text(head: bytes) -> bool:
    """Whether more than half of the first lines are URLs, without comments (`#`); some may have lost their scheme."""
    if head.lstrip()[:1] == b"<":
        return False
    text = head[:_TEXT_SNIFF].decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) > 1 and len(head) > _TEXT_SNIFF:
        lines.pop()  # it may be cut
    said = [line for line in lines if line and not line.startswith("#")]
    found = [line for line in said if _TEXT_URL.fullmatch(line)]
    return len(found) * 2 > len(said) and any(map(_ABSOLUTE.match, found))


def _read_text(text: bytes, whole: bool, found: _Found) -> None:
    text = text.replace(b"\r", b"\n")
    if not whole:
        text = text[: text.rfind(b"\n") + 1]  # the last line was cut
    for line in _TEXT_LINE.finditer(text):
        found.say("loc", line[1].decode(), {})
        found.finish()


@dataclass(frozen=True, slots=True)
class _Format:
    """Which elements (local names in lower case) carry which field. Of several for one, the lowest rank counts."""

    kind: Kind
    records: frozenset[str]
    links: dict[str, int]
    dates: dict[str, int]

    def field_of(self, tag: str, prefix: str) -> str:
        """The name of *tag* in a record with *prefix* if it carries a field, else "": `image:loc` does not."""
        own, _, name = tag.lower().rpartition(":")
        ours = own in ("", prefix) or name == "date"  # dc:date
        return name if ours and (name in self.links or name in self.dates) else ""


_TEXT: Final = _Format("text", frozenset(), {"loc": 0}, {})
_URLSET: Final = _Format("urls", frozenset(("url", "sitemap")), {"loc": 0, _OWN_TEXT: 1}, {"lastmod": 0})
_INDEX: Final = _Format("index", _URLSET.records, _URLSET.links, _URLSET.dates)
# A guid that is a URL replaces a missing link, whatever its isPermaLink says: what else could it be?
_RSS: Final = _Format("rss", frozenset(("item",)), {"link": 0, "guid": 1}, {"pubdate": 0, "date": 1})
_ATOM: Final = _Format("atom", frozenset(("entry",)), {"link": 0}, {"updated": 0, "published": 1})
_ROOTS: Final = {"urlset": _URLSET, "sitemapindex": _INDEX, "rss": _RSS, "rdf": _RSS, "feed": _ATOM}


class _Enough(Exception):
    """A limit is reached: the locations found so far are the result."""


@dataclass(slots=True)
class _Found:
    """The locations so far, and the fields of the record that is being read."""

    format: _Format
    locations: dict[str, Location] = field(default_factory=dict)
    _url: tuple[int, str] = _NOTHING
    _date: tuple[int, str] = _NOTHING

    def say(self, name: str, text: str, attributes: dict[str, str]) -> None:
        """An element of the record, one that `field_of` names, has ended."""
        text = text.strip()
        if name in self.format.dates:
            if text and self.format.dates[name] < self._date[0]:
                self._date = self.format.dates[name], text
            return
        rank = self.format.links[name]
        if rank and not _ABSOLUTE.match(text):
            return
        if self.format is _ATOM:  # the alternate is the page (RFC 4287 section 4.2.7.2), others are better than nothing
            text, rank = attributes.get("href", "").strip(), int(attributes.get("rel", "alternate") != "alternate")
        if name == "loc" and self._url[0] == 0:
            self.finish()  # two URLs in one record are two records whose separators are missing
        if text and _UNKNOWN not in text and rank < self._url[0]:
            self._url = rank, text

    def forget(self) -> None:
        """Discard the fields of the record."""
        self._url = self._date = _NOTHING

    def finish(self) -> None:
        """The record has ended."""
        url, date = self._url[1], self._date[1]
        self.forget()
        if url and url not in self.locations:
            if len(self.locations) >= MAX_URLS:
                raise _Enough
            self.locations[url] = Location(url, lastmod_of(date) if date else None)

    def break_off(self) -> None:
        """The document has ended within the record: its second-best field may not be the URL."""
        if self._url[0] == 0:
            self.finish()


def _root_of(head: bytes) -> tuple[int, str, _Format] | None:
    """Where the root element is, its prefix and format, if it is one of ours; junk before `<?xml` is skipped."""
    at = max(head.find(b"<?xml", 0, _SNIFF), 0)
    if _PAGE.search(head, 0, at):  # a page that shows XML
        return None
    for match in _PROLOG.finditer(head, at):
        if match[1]:
            prefix, _, name = match[1].decode().lower().rpartition(":")
            return (match.start(), prefix, _ROOTS[name]) if name in _ROOTS else None
    return None


def _read_xml(text: bytes, at: int, prefix: str, found: _Found) -> bool:
    """Read the document; returns whether it was whole."""
    broken_at = _Expat(found).read(text, at)
    if broken_at is None:
        return True
    found.forget()
    _read_tolerantly(text, broken_at, prefix, found)
    return False


class _Expat:
    """Expat's pass through a document. Of a record only direct children count."""

    def __init__(self, found: _Found) -> None:
        self._found, self._format = found, found.format
        self._names: dict[str, Any] = {}
        self._parser = expat.ParserCreate("utf-8", None, self._names)
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._elements = self._depth = self._record = self._mark = 0
        self._prefix = self._field = ""
        self._attributes: dict[str, str] = {}
        self._parts: list[str] = []

    def read(self, text: bytes, at: int) -> int | None:
        """Read *text* from its root element at *at*. Returns the record (or root) where it broke, else None."""
        base, self._mark = at - len(_STUB), len(_STUB)
        try:
            self._parser.Parse(_STUB)
            for start in range(at, len(text), _CHUNK):
                self._parser.Parse(text[start : start + _CHUNK])
                unread = start + _CHUNK - base - self._parser.CurrentByteIndex
                if self._elements > _MAX_ELEMENTS or len(self._names) > _MAX_NAMES or unread > _MAX_TOKEN:
                    raise _Enough
            self._parser.Parse(b"", True)
        except expat.ExpatError:
            return base + self._mark if self._depth or not self._elements else None  # what follows the root is ignored
        return None

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise expat.ExpatError("end tags are missing")
        if not self._record:
            prefix, _, name = tag.lower().rpartition(":")
            if name in self._format.records:
                self._record, self._prefix, self._mark = self._depth, prefix, self._parser.CurrentByteIndex
                if _OWN_TEXT in self._format.links:
                    self._listen(_OWN_TEXT, {})
        elif self._depth == self._record + 1:
            self._say()
            name = self._format.field_of(tag, self._prefix)
            if name:
                self._listen(name, attributes)

    def _end(self, tag: str) -> None:
        if self._depth <= self._record + 1:
            self._say()
            if self._depth == self._record:
                self._found.finish()
                self._record = 0
        self._depth -= 1

    def _listen(self, name: str, attributes: dict[str, str]) -> None:
        self._field, self._attributes, self._parts = name, attributes, []
        self._parser.CharacterDataHandler = self._parts.append
        self._parser.SkippedEntityHandler = self._skipped

    def _skipped(self, name: str, is_parameter: bool) -> None:
        self._parts = [_UNKNOWN]  # in place of the text: a million of them take no more room than one

    def _say(self) -> None:
        if self._field:
            self._parser.CharacterDataHandler = self._parser.SkippedEntityHandler = None
            self._found.say(self._field, "".join(self._parts), self._attributes)
            self._field = ""


def _read_tolerantly(text: bytes, at: int, prefix: str, found: _Found) -> None:
    """Continue from *at* as if each tag stood alone: any tag ends a field, and `loc` needs no record around it."""
    form, name, parts, attributes = found.format, "", list[str](), dict[str, str]()
    inside = "loc" in form.links
    for count, match in enumerate(_TAG.finditer(text, at)):
        if count > 2 * _MAX_ELEMENTS:
            raise _Enough
        if name:
            parts.append(_resolved(text[at : match.start()]))
        at = match.end()
        cdata, closing, tag, rest, complete = match.groups(b"")
        if cdata and name:
            parts.append(cdata.decode())
        if not closing and not (tag and complete):
            continue  # a comment, a stray `<`, or the document's end
        if name:
            found.say(name, "".join(parts), attributes)
        name, parts = "", []
        own, _, local = tag.decode().lower().rpartition(":")
        if local in form.records:
            found.finish()
            prefix, inside = own, not closing or "loc" in form.links
            name = _OWN_TEXT if not closing and _OWN_TEXT in form.links else ""
        elif inside and not closing:
            name = form.field_of(tag.decode(), prefix)
            attributes = {key.decode(): _resolved(one or two) for key, one, two in _ATTRIBUTE.findall(rest)}
    found.break_off()


def _resolved(raw: bytes) -> str:
    """Text with its references replaced: to characters, and the five that XML predefines."""
    return _REFERENCE.sub(lambda found: _UNKNOWN if found[1] else unescape(found[0]), raw.decode())
