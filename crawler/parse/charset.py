"""Finds the encoding of a body: from its BOM, Content-Type, `<meta>` or XML declaration; only then by a guess.

Pure. Names and labels are those of the WHATWG Encoding Standard (https://encoding.spec.whatwg.org/#names-and-labels),
so `iso-8859-1` and `ascii` mean `windows-1252`. webencodings looks up labels. Unknown labels count as absent.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

import webencodings

from crawler.fetch import mime
from crawler.parse import decoders
from crawler.parse.decoders import DECODERS
from crawler.parse.guess import detect

PRESCAN: Final = 1024
"""How many bytes browsers search for a declaration before they parse (HTML 13.2.3.2)."""

DEFAULT_CHARSET: Final = "windows-1252"
"""The encoding that browsers assume for a page without a declaration."""

_GUESS_SAMPLE: Final = 16 * 1024
"""Bytes used for a guess, from shortly before the first non-ASCII byte: guessing costs up to 0.15 ms a KiB."""
_MAX_LATE: Final = 1024 * 1024
"""How many bytes after the prescan are searched for a declaration."""
_MAX_TAGS: Final = 20_000
"""How many tags and comments are read for one (20 ms)."""
_MIN_UTF8: Final = 8
"""From this many UTF-8 characters per invalid sequence on, a body is UTF-8 with some damage."""
_NOT_ASCII_SUPERSETS = frozenset({"utf-16le", "utf-16be", "iso-2022-jp", "hz-gb-2312", "replacement"})
_UTF_QUERIES = frozenset({"utf-8", "utf-16le", "utf-16be", "replacement"})
_NOT_ASCII_BYTES = re.compile(rb"[\x80-\xff]|\x1b[$(]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_ISO_2022_JP = re.compile(rb"\x1b(?:\$[@B]|\([IJ])")
_UKRAINIAN = re.compile(rb"[\xa4\xa6\xa7\xad\xae\xb4\xb6\xb7\xbd\xbe]")
_TLD = re.compile(r"https?://[^/?#]*\.((?:xn--)?[a-z0-9-]*[a-z])\.?(?::\d+)?(?=[/?#]|$)")
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16be"), (b"\xff\xfe", "utf-16le"))

_SPACE = rb"[\t\n\f\r ]"
_OPENING = re.compile(rb"<(?=[A-Za-z!/?])")
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
_QUERY_BYTES: Final = frozenset(range(0x21, 0x7F)) - frozenset(b"\"#<>'")
"""Characters that URL Standard 1.3 leaves unescaped in the query of a special URL."""
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
    """Python's codec for the encoding *name*, UTF-8's if it has none; `errors` supplies what the codec lacks."""
    if name in DECODERS:
        return DECODERS[name].codec
    found = webencodings.lookup(name)
    try:
        return codecs.lookup(found.codec_info.name).name if found else "utf-8"
    except LookupError:
        return "utf-8"


def errors(name: str) -> str:
    """The error handler for decoding the encoding *name*: U+FFFD for sequences without a meaning."""
    return DECODERS[name].errors if name in DECODERS else "replace"


def of_content_type(header: str) -> str | None:
    """The encoding that a Content-Type header names; several lines are joined by commas (see `fetch.mime`)."""
    label = mime.extract(header).charset
    return lookup(label) if label else None


def of_bom(body: bytes) -> str | None:
    """The encoding whose byte order mark *body* begins with."""
    return next((name for mark, name in _BOMS if body.startswith(mark)), None)


_beginnings: dict[bytes, tuple[bytes, str]] = {}
"""By first bytes: the beginnings of pages up to their declaration, and its encoding. Pages of a site begin alike."""
_FIRST: Final = 48
_MAX_BEGINNINGS: Final = 256


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
        if len(_beginnings) >= _MAX_BEGINNINGS:
            _beginnings.clear()
        _beginnings[first] = data[:end], found
    return found


def meta_declaration(body: bytes, *, late: bool) -> tuple[str, int] | None:
    """The encoding that a `<meta>` of *body* declares, and where that ends; None if none does.

    *late*: also one after the prescan's end, as `find_charset` reads it where nothing else declares an encoding.
    """
    found = _prescan(body[:PRESCAN])
    return _prescan(body[:_MAX_LATE]) if found is None and late else found


def _prescan(data: bytes) -> tuple[str, int] | None:
    """The encoding, and where its declaration ends; None if none of the first tags declares one."""
    at = _next_tag(data, 0)
    for _ in range(_MAX_TAGS):
        if at < 0:
            break
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
        at = _next_tag(data, end + 1)
    return None


def _next_tag(data: bytes, at: int) -> int:
    """Where the next tag or comment begins, -1 if there is none: a `<` before anything else is text."""
    found = _OPENING.search(data, at)
    return found.start() if found else -1


def _attributes(data: bytes, at: int, keep: bool) -> tuple[dict[bytes, bytes], int]:
    """A tag's attributes (first of a name wins; none unless *keep*) and where its `>` is, -1 if the data ends first."""
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
    return DEFAULT_CHARSET if name == "x-user-defined" else name


def _of_pragma(content: bytes) -> str | None:
    """HTML 2.5.5: extracting a character encoding from a meta element."""
    start = _META_CHARSET.search(content)
    value = _META_VALUE.match(content, start.end()) if start else None
    return lookup((value[1] or value[2] or value[3] or b"").decode("latin-1")) if value else None


def find_charset(body: bytes, content_type: str | None, markup: bool = True, url: str = "") -> str:
    """The name of *body*'s encoding. *content_type* is the header. *markup*: it is HTML or XML, which may declare it.

    A body that declares nothing and is ASCII is called `windows-1252`, as browsers do; valid UTF-8 is `utf-8`. Any
    other is guessed; the country in *url* decides between alphabets that look alike.
    """
    found = of_bom(body) or (of_content_type(content_type) if content_type else None)
    if found is None and markup:
        found = of_meta(body[:PRESCAN]) or _of_xml(body) or _of_late_meta(body)
    if found is not None:
        return found
    if body.isascii() and not _ISO_2022_JP.search(body):
        return DEFAULT_CHARSET
    return "utf-8" if is_utf8(body) else guessed(body, url)


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
    head = body[:_MAX_LATE]
    if b"charset" in head or b"CHARSET" in head or b"Charset" in head:
        return of_meta(head)
    return None


def is_utf8(body: bytes) -> bool:
    """Whether *body* is UTF-8 and not ASCII: whole, cut within a character, or with little damage."""
    if body.isascii():
        return False
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start >= len(body) - 3 and error.start > 0 and error.reason == "unexpected end of data":
            return True
        text = body.decode("utf-8", "replace")
        damaged = text.count("\ufffd")
        return len(_NOT_ASCII.sub("", text)) + damaged * (_MIN_UTF8 + 1) <= len(text)
    return True


def guessed(body: bytes, url: str) -> str:
    """The encoding by the look of the bytes, as Firefox guesses it; the default if that is unsure."""
    first = _NOT_ASCII_BYTES.search(body)
    begin = max(0, first.start() - 256) if first else 0
    sample = body[begin : begin + _GUESS_SAMPLE]
    country = _TLD.match(url)
    name = lookup(detect(sample, country[1] if country else None)) or DEFAULT_CHARSET
    if name == "koi8-u" and not _UKRAINIAN.search(sample):
        return "koi8-r"  # the two differ in these letters alone
    # A UTF is not valid here: UTF-8 was excluded before, and UTF-16 without a BOM is not guessed.
    return DEFAULT_CHARSET if name in _UTF_QUERIES else name


def decode(body: bytes, name: str) -> str:
    """*body* as text, without a BOM; what cannot be decoded becomes U+FFFD. Never raises."""
    mark = next((mark for mark, _ in _BOMS if body.startswith(mark)), b"")
    return decoders.decode(body[len(mark) :], name, codec(name))


def encode_query(reference: str, name: str) -> str:
    """*reference* with the query's non-ASCII characters percent-encoded in the document's encoding *name*.

    WHATWG URL, "percent-encode after encoding": a character that the encoding lacks becomes `%26%23<code point>%3B`.
    """
    if reference.isascii() or name in _UTF_QUERIES:
        return reference
    head, hash_sign, fragment = reference.partition("#")
    path, mark, query = head.partition("?")
    return path + mark + _NOT_ASCII.sub(lambda run: _percent(run[0], name), query) + hash_sign + fragment


def _percent(run: str, name: str) -> str:
    """Each character's bytes, escaped except for those that a query may contain as they are."""
    return "".join(map(_percent_char, run, [name] * len(run)))


def _percent_char(char: str, name: str) -> str:
    try:
        encoded = decoders.encode(char, name, codec(name))
    except UnicodeError:
        return f"%26%23{ord(char)}%3B"
    return "".join(chr(byte) if byte in _QUERY_BYTES else f"%{byte:02X}" for byte in encoded)


def as_utf8(body: bytes, name: str) -> bytes:
    """*body* in UTF-8 for the parser; left as it is where that costs nothing (the parser replaces bad bytes itself)."""
    if name == "utf-8":
        return body[3:] if body.startswith(_BOMS[0][0]) else body
    if name not in _NOT_ASCII_SUPERSETS and body.isascii():
        return body
    return decode(body, name).encode("utf-8", "replace")
