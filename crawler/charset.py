"""Which encoding a body is in: BOM, Content-Type, `<meta>`, XML declaration, and only then a guess.

Pure. Names and labels are those of the WHATWG Encoding Standard (https://encoding.spec.whatwg.org/#names-and-labels),
so `iso-8859-1` and `ascii` mean `windows-1252`; labels are looked up by webencodings. Unknown labels count as absent.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

import webencodings

from crawler.fetch import mime

PRESCAN: Final = 1024
"""Bytes in which browsers look for a declaration before they parse (HTML 13.2.3.2)."""

DEFAULT: Final = "windows-1252"
"""What browsers take a page for that declares nothing."""

_GUESS_SAMPLE: Final = 16 * 1024  # bytes around the first non-ASCII one; guessing costs about 2 ms a KiB
# Python's name for what charset-normalizer tells apart reliably -> the standard's name.
_GUESSED_ALPHABETS: Final = {
    "cp1251": "windows-1251",
    "koi8_r": "koi8-r",
    "koi8_u": "koi8-u",
    "iso8859_5": "iso-8859-5",
    "cp866": "ibm866",
    "cp1253": "windows-1253",
    "iso8859_7": "iso-8859-7",
    "cp1255": "windows-1255",
    "cp1256": "windows-1256",
    "tis_620": "windows-874",
    "cp874": "windows-874",
}
_GUESSED_IDEOGRAPHS: Final = {
    "cp932": "shift_jis",
    "shift_jis": "shift_jis",
    "shift_jis_2004": "shift_jis",
    "euc_jp": "euc-jp",
    "euc_jis_2004": "euc-jp",
    "gb2312": "gbk",
    "gbk": "gbk",
    "gb18030": "gb18030",
    "big5": "big5",
    "big5hkscs": "big5",
    "cp950": "big5",
    "euc_kr": "euc-kr",
    "cp949": "euc-kr",
}
_NOT_ASCII_SUPERSETS = frozenset({"utf-16le", "utf-16be", "iso-2022-jp", "hz-gb-2312", "replacement"})
_UTF_QUERIES = frozenset({"utf-8", "utf-16le", "utf-16be", "replacement"})
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16be"), (b"\xff\xfe", "utf-16le"))

_SPACE = rb"[\t\n\f\r ]"
_SKIPPED = re.compile(rb"[\t\n\f\r /]*")
_TAG = re.compile(rb"</?[A-Za-z][^\t\n\f\r >]*")
_META = re.compile(rb"<meta[\t\n\f\r /]", re.IGNORECASE)
# One attribute as HTML 13.2.3.2 "get an attribute" reads it; no match at the end of the data, which ends the prescan.
_ATTRIBUTE = re.compile(
    rb"[\t\n\f\r /]*+([^\t\n\f\r />][^=\t\n\f\r />]*+)"
    rb"(?:" + _SPACE + rb"*+=" + _SPACE + rb"*+"
    rb"""(?:"([^"]*)"|'([^']*)'|([^"'>\t\n\f\r ][^>\t\n\f\r ]*+)(?=[>\t\n\f\r ])|(?=>))"""
    rb"|(?!" + _SPACE + rb"*=)(?=[\t\n\f\r />]))"
)
_META_CHARSET = re.compile(rb"charset[\t\n\f\r ]*=[\t\n\f\r ]*", re.IGNORECASE)
_META_VALUE = re.compile(rb"""(?:"([^"]*)"|'([^']*)'|([^"';\t\n\f\r ][^;\t\n\f\r ]*))""")


def lookup(label: str) -> str | None:
    """The encoding's name for one of its labels, in any case and with spaces around it; None if it is unknown."""
    try:
        found = webencodings.lookup(label)
    except (UnicodeError, ValueError):
        return None
    return found.name if found else None


def codec(name: str) -> str:
    """Python's codec for the encoding *name*, UTF-8's if it has none."""
    found = webencodings.lookup(name)
    try:
        return codecs.lookup(found.codec_info.name).name if found else "utf-8"
    except LookupError:
        return "utf-8"


def of_content_type(header: str) -> str | None:
    """The encoding that a Content-Type header names, of several lines joined by commas (see `fetch.mime`)."""
    label = mime.extract(header).charset
    return lookup(label) if label else None


def of_bom(body: bytes) -> str | None:
    """The encoding whose byte order mark *body* begins with."""
    return next((name for mark, name in _BOMS if body.startswith(mark)), None)


_beginnings: dict[bytes, tuple[bytes, str]] = {}
"""By their first bytes: how pages began up to their declaration, and what it was. Most pages of a site begin alike."""
_FIRST: Final = 48
_MOST_BEGINNINGS: Final = 256


def of_meta(data: bytes) -> str | None:
    """The encoding that a `<meta>` in *data* declares: HTML 13.2.3.2, prescan a byte stream."""
    first = data[:_FIRST]
    beginning, found = _beginnings.get(first, (b"", ""))
    if found and data.startswith(beginning):
        return found
    declared = _prescan(data)
    if declared is None:
        return None
    found, end = declared
    if end <= PRESCAN:
        if len(_beginnings) >= _MOST_BEGINNINGS:
            _beginnings.clear()
        _beginnings[first] = data[:end], found
    return found


def _prescan(data: bytes) -> tuple[str, int] | None:
    """The encoding, and where its declaration ends."""
    at = data.find(b"<")
    while at >= 0:
        if data.startswith(b"<!--", at):
            end = data.find(b"-->", at + 2)
        elif tag := _TAG.match(data, at):
            meta = _META.match(data, at)
            attributes, end = _attributes(data, meta.end() if meta else tag.end(), keep=meta is not None)
            if end >= 0 and meta and (found := _declared(attributes)):
                return found, end + 1
        elif data.startswith((b"<!", b"</", b"<?"), at):
            end = data.find(b">", at)
        else:
            end = at
        if end < 0:
            return None
        at = data.find(b"<", end + 1)
    return None


def _attributes(data: bytes, at: int, keep: bool) -> tuple[dict[bytes, bytes], int]:
    """A tag's attributes (first of a name wins; none unless *keep*) and where its `>` is, -1 if the data end first."""
    found: dict[bytes, bytes] = {}
    while match := _ATTRIBUTE.match(data, at):
        at = match.end()
        if keep:
            name, double, single, plain = match.groups()
            found.setdefault(name.lower(), double or single or plain or b"")
    at = _SKIPPED.match(data, at).end()  # type: ignore[union-attr]
    return found, at if data[at : at + 1] == b">" else -1


def _declared(attributes: dict[bytes, bytes]) -> str | None:
    if b"charset" in attributes:
        name = lookup(attributes[b"charset"].decode("latin-1"))
    elif attributes.get(b"http-equiv", b"").lower() == b"content-type":
        name = _of_pragma(attributes.get(b"content", b""))
    else:
        return None
    if name in ("utf-16le", "utf-16be"):
        return "utf-8"  # it was read as ASCII, so it cannot be
    return DEFAULT if name == "x-user-defined" else name


def _of_pragma(content: bytes) -> str | None:
    """HTML 2.5.5: extracting a character encoding from a meta element."""
    start = _META_CHARSET.search(content)
    value = _META_VALUE.match(content, start.end()) if start else None
    return lookup((value[1] or value[2] or value[3] or b"").decode("latin-1")) if value else None


def find(body: bytes, content_type: str | None, markup: bool = True) -> str:
    """The name of *body*'s encoding. *content_type* is the header; *markup*: HTML or XML, which may declare it.

    A body that declares nothing and is ASCII is called `windows-1252`, as browsers do; valid UTF-8 is `utf-8`.
    """
    found = of_bom(body) or (of_content_type(content_type) if content_type else None)
    if found is None and markup:
        found = of_meta(body[:PRESCAN]) or _of_xml(body) or _of_late_meta(body)
    if found is not None:
        return found
    if body.isascii():
        return DEFAULT
    return "utf-8" if _is_utf8(body) else _guess(body)


def _of_xml(body: bytes) -> str | None:
    """The encoding in `<?xml ... encoding=...?>`."""
    if not body.startswith(b"<?xml"):
        return None
    from bs4.dammit import EncodingDetector  # 60 ms to import: only workers that meet such a page pay

    label = EncodingDetector.find_declared_encoding(body[:PRESCAN], is_html=False)
    found = lookup(label) if label else None
    return "utf-8" if found in ("utf-16le", "utf-16be") else found


def _of_late_meta(body: bytes) -> str | None:
    """A declaration after the prescan's end: browsers start again when they meet it (HTML 13.2.3.4)."""
    if b"charset" in body or b"CHARSET" in body or b"Charset" in body:
        return of_meta(body)
    return None


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(body) - 3 and error.start > 0 and error.reason == "unexpected end of data"
    return True


def _guess(body: bytes) -> str:
    """The encoding by the look of the bytes; the default where that is unsure, as it is between Latin alphabets."""
    from charset_normalizer import from_bytes

    first = next(match.start() for match in re.finditer(rb"[\x80-\xff]", body))
    sample = body[max(0, first - 256) : first + _GUESS_SAMPLE]
    best = from_bytes(sample).best()
    if best is None:
        return DEFAULT
    if best.coherence >= 0.3 and best.encoding in _GUESSED_ALPHABETS:
        return _GUESSED_ALPHABETS[best.encoding]
    if best.encoding in _GUESSED_IDEOGRAPHS and best.chaos < 0.05:
        foreign = [char for char in str(best) if char > "\x7f"]
        katakana = sum("\uff61" <= char <= "\uff9f" for char in foreign)  # half width: what single bytes may pass for
        if len(foreign) >= 8 and 10 * katakana < len(foreign):
            return _GUESSED_IDEOGRAPHS[best.encoding]
    return DEFAULT


def decode(body: bytes, name: str) -> str:
    """*body* as text, without a BOM; what cannot be read becomes U+FFFD. Never raises."""
    mark = next((mark for mark, _ in _BOMS if body.startswith(mark)), b"")
    return body[len(mark) :].decode(codec(name), "replace")


def encode_query(reference: str, name: str) -> str:
    """*reference* with the query's non-ASCII characters percent-encoded in the document's encoding *name*.

    WHATWG URL, "percent-encode after encoding": what the encoding lacks becomes `%26%23<code point>%3B`.
    """
    if reference.isascii() or name in _UTF_QUERIES:
        return reference
    head, hash_sign, fragment = reference.partition("#")
    path, mark, query = head.partition("?")
    python = codec(name)
    return path + mark + _NOT_ASCII.sub(lambda run: _percent(run[0], python), query) + hash_sign + fragment


def _percent(run: str, python: str) -> str:
    try:
        return "".join(f"%{byte:02X}" for byte in run.encode(python))
    except UnicodeError:
        if len(run) > 1:
            return "".join(_percent(char, python) for char in run)
        return f"%26%23{ord(run)}%3B"


def as_utf8(body: bytes, name: str) -> bytes:
    """*body* as the parser wants it: UTF-8, and untouched where that costs nothing (it replaces bad bytes itself)."""
    if name == "utf-8":
        return body[3:] if body.startswith(_BOMS[0][0]) else body
    if name not in _NOT_ASCII_SUPERSETS and body.isascii():
        return body
    return decode(body, name).encode("utf-8", "replace")
