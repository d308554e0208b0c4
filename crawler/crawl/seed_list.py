"""Reads lists of URLs made by people and programs: one URL a line, in any encoding, with comments and stray characters.

WHATWG's rules suit links on pages, but are too lenient for a list: they read a blank as %20 and drop the line end
between two URLs. Here, a character that people do not write in a URL means that the line is something else. Such a line
is refused, with the reason; it is never read as another URL. docs/seeds.md has the rules.

Memory is bounded, however long a line is.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import select
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import IO, TYPE_CHECKING, Final, NamedTuple, cast

from crawler import url as urls
from crawler.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

URL_MARK: Final = "://"
MAX_LINE: Final = 4 * urls.MAX_REFERENCE
"""Longest line that is read, in bytes; a longer one is refused."""
_BLOCK: Final = 1 << 16
_SHOWN: Final = 80
"""How many bytes of a line that is too long are shown."""
_SAMPLE: Final = 200
"""How many lines are looked at to find out what a file is."""

# All kinds of blanks, controls and invisible characters, except those that are parts of letters or emoji.
_LOOSE: Final = (
    *((0x00, 0x20), (0x7F, 0xA0), (0xAD, 0xAD), (0x61C, 0x61C), (0x1680, 0x1680), (0x180E, 0x180E), (0x2000, 0x200B)),
    *((0x200E, 0x200F), (0x2028, 0x202F), (0x205F, 0x206F), (0x3000, 0x3000), (0x3164, 0x3164), (0xFEFF, 0xFEFF)),
    (0xFFA0, 0xFFA0),
)
_INSIDE: Final = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _LOOSE) + "]")
# Joiners may be within a word, not at its end.
_AT_ENDS: Final = "\u200c\u200d" + "".join(chr(code) for first, last in _LOOSE for code in range(first, last + 1))
# What most lines are: nothing odd in them, except perhaps a second ://.
_PLAIN: Final = re.compile(rb"https?://[!$-;=?-~]+(?<![,;|])")
_QUOTES: Final = re.compile('["<>]')
_SEPARATORS: Final = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}

_KINDS: Final = (
    (b"PK\x03\x04", "a zip archive or an Office document: save it as text, one URL a line"),
    (b"%PDF", "a PDF: save it as text, one URL a line"),
    (b"BZh", "compressed by bzip2: only gzip is read here, else use `bzcat FILE | crawler seed -`"),
    (b"\xfd7zXZ", "compressed by xz: only gzip is read here, else use `xzcat FILE | crawler seed -`"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: only gzip is read here, else use `zstdcat FILE | crawler seed -`"),
    (b"SQLite format", "a database: a list has one URL a line"),
    (b"{\\rtf", "a document of a word processor: save it as text, one URL a line"),
)
_MARKS: Final = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class Line(NamedTuple):
    """One line of a source, and its place."""

    text: str
    where: str
    odd: str = ""
    """Why it is no URL, though it may look like one."""
    hint: str = ""
    """What the file looks like, if not a list; on its first line."""
    depth: int = 0
    """Links between a seed and it: those of an import are no seeds."""


def stripped(text: str) -> str:
    """*text* without blanks, controls and invisible characters at its ends."""
    text = text.strip()
    return text if text.isascii() and text.isprintable() else text.strip(_AT_ENDS)


def oddity(text: str) -> str:
    """What is odd about a line that should be a URL; empty if it may be one. Text after `#` does not count."""
    url = stripped(text.partition("#")[0])
    found = None if url.isascii() and url.isprintable() and " " not in url else _INSIDE.search(url)
    if found:
        return f"it contains {_named(found[0])}; a list has one URL a line and nothing else"
    place = url.partition("?")[0]
    if place.count(URL_MARK) > 1:
        return "it contains two URLs; if it is one, write %3A// for the second ://"
    if found := _QUOTES.search(place):
        return f"it contains a {found[0]}; a list has one URL a line and nothing else"
    if url[-1:] in _SEPARATORS:
        return f"it ends with {_SEPARATORS[url[-1]]}; a list has one URL a line and nothing else"
    return ""


def oddity_of_argument(text: str) -> str:
    """The same for a URL given as an argument: a blank in quotes is deliberate."""
    url = stripped(text.partition("#")[0])
    found = _INSIDE.search(url)
    if found and (found[0] not in " \xa0\u3000" or url.count(URL_MARK) > 1):
        return f"it contains {_named(found[0])}; give each URL by itself"
    return ""


def _named(char: str) -> str:
    if char == " ":
        return "a blank"
    if char == "\t":
        return "a tab"
    if char in "\r\n":
        return "the end of a line"
    return unicodedata.name(char, f"the control character U+{ord(char):04X}")


def read(file: IO[bytes], name: str) -> Iterator[Line]:
    """The lines of *file* with content: no comments (`#` at the start), no empty ones.

    They are UTF-8, or what a byte order mark declares, and end at LF, CR LF or CR. For a file that is no list, the
    result is one line that is `odd`. Errors of reading are raised.
    """
    blocks = _decoded(_blocks(file))
    first = next(blocks, b"")
    sample = [stripped(raw.decode("utf-8", "replace")) for raw in first.splitlines()[:_SAMPLE]]
    table = _table(sample)
    hint, empty = _kind(first, sample, table), True
    for number, (raw, whole) in enumerate(_lines(chain((first,), blocks)), 1):
        if whole and not table and _PLAIN.fullmatch(raw) and raw.count(b"://") == 1:
            yield Line(raw.decode("ascii"), f"{name}:{number}", "", hint)
            hint, empty = "", False
            continue
        text = stripped(raw.decode("utf-8", "replace"))
        if text[:1] == "#" or not (text or not whole):
            continue
        odd = _oddity(text, table) or _undecoded(raw) if whole else f"the line is longer than {MAX_LINE:,} bytes"
        if "#" in text and not odd:
            text = without_note(text)
        yield Line(text, f"{name}:{number}", odd, hint)
        hint, empty = "", False
    if empty:
        yield Line("", name, "it holds no URL")


def _undecoded(raw: bytes) -> str:
    """What is odd about a line whose URL is not UTF-8: decoding it would put another character in its place."""
    if b"://" not in raw:
        return ""  # it is refused for that
    try:
        raw.partition(b"#")[0].decode()
    except UnicodeDecodeError as error:
        return f"the byte {error.object[error.start]:#04x} is not UTF-8: save the list as UTF-8, or write it as %XX"
    return ""


def _oddity(text: str, table: str) -> str:
    if URL_MARK not in text:
        return ""  # it is refused for that
    if table and table in text.partition("#")[0]:
        return f"it contains {_SEPARATORS[table]}, and the file looks like a table"
    return oddity(text)


def without_note(text: str) -> str:
    """*text* without a note: what follows `#`, if a blank or an invisible character precedes it."""
    head = text.partition("#")[0]
    url = stripped(head)
    return text if url == head else url


# -- blocks and lines --------------------------------------------------------------------------------------------------


class _Awaited(io.RawIOBase):
    """A file whose descriptor is non-blocking: reads wait for data."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__()
        self._file = file
        self._poll = select.poll()
        self._poll.register(file.fileno(), select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what has arrived, or wait for data; 0 at the end."""
        view = memoryview(buffer).cast("B")
        block = self._file.read1(len(view))
        if not block:
            self._poll.poll()
            block = self._file.read1(len(view))
        view[: len(block)] = block
        return len(block)


def awaited(file: IO[bytes]) -> IO[bytes]:
    """*file*, which may be a non-blocking pipe: without waiting, data not yet there would look like its end."""
    with suppress(OSError, AttributeError):
        if not os.get_blocking(file.fileno()):
            return io.BufferedReader(_Awaited(cast(io.BufferedIOBase, file)))
    return file


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """The data as it arrives."""
    while block := cast(io.BufferedIOBase, file).read1(_BLOCK):
        yield block


def _decoded(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """*blocks* as UTF-8, decoded by the byte order mark at their beginning."""
    first = b""
    for block in blocks:
        first += block
        if len(first) >= len(codecs.BOM_UTF32_LE):
            break
    encoding = next((encoding for mark, encoding in _MARKS if first.startswith(mark)), None)
    if encoding is None:
        yield from chain((first,), blocks)
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for block in chain((first,), blocks):
        yield decoder.decode(block).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _lines(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The lines, and whether each is whole: of one that is too long only the beginning is returned."""
    rest, long, after_cr = b"", b"", False
    for block in blocks:
        if after_cr and block:
            block = block.removeprefix(b"\n")
        after_cr = block[-1:] == b"\r"
        lines = (rest + block).splitlines()
        rest = lines.pop() if lines and block[-1:] not in (b"\r", b"\n") else b""
        if lines and long:
            yield long, False
            lines, long = lines[1:], b""
        for line in lines:
            yield line, True
        if len(rest) > MAX_LINE or long:
            rest, long = b"", long or rest[:_SHOWN]
    if long:
        yield long, False
    elif rest:
        yield rest, True


# -- what a file is ----------------------------------------------------------------------------------------------------


def _kind(first: bytes, sample: Sequence[str], table: str) -> str:
    """What a file with this beginning looks like, if not a list of URLs."""
    if binary := _binary(first):
        return binary
    start = next((text for text in sample if text), "")
    if start[:1] == "<" and not start[1:].startswith(("http:", "https:")):
        return "it looks like HTML or XML: a list has one URL a line (a sitemap is named by --sitemap URL)"
    if start[:1] in ("{", "["):
        return "it looks like JSON: a list has one URL a line"
    if table:
        return f"it looks like a table with {_SEPARATORS[table]} between its columns: give the column of URLs alone"
    separator = _columns(sample)
    if separator:
        return f"each line has {_SEPARATORS[separator]}: if it is a table, give the column of URLs alone"
    return ""


def refuse_binary(file: IO[bytes], name: str) -> None:
    """Raise UsageError for a *file* that is no text."""
    try:
        first = next(_decoded(iter((file.read(_BLOCK),))), b"")
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{name}: cannot be read: {error}") from None
    if found := _binary(first):
        raise UsageError(f"{name}: {found}")


def _binary(first: bytes) -> str:
    for magic, kind in _KINDS:
        if first.startswith(magic):
            return f"it looks like {kind}"
    if first.count(0) * 50 <= len(first):  # one at the end of a line is removed
        return ""
    many = first.count(0) > len(first) // 4 and not first.startswith(b"\x7fELF")
    kind = "UTF-16 without a byte order mark: save it as UTF-8" if many else "binary data: a list has one URL a line"
    return f"it looks like {kind}"


def _content(sample: Sequence[str]) -> list[str]:
    return [text.partition("#")[0].rstrip() for text in sample if text and text[0] != "#"]


def _table(sample: Sequence[str]) -> str:
    """The separator of columns, if most lines contain it and at least one line proves that it is no part of a URL."""
    content = _content(sample)
    for separator in _SEPARATORS:
        rows = [text for text in content if URL_MARK in text]
        parted = [text.partition(separator) for text in rows if separator in text]
        header = bool(content) and URL_MARK not in content[0] and separator in content[0]
        usual = len(rows) // 2 if header else len(rows) * 4 // 5
        if len(parted) > usual and (header or any(_is_column(head, tail) for head, _, tail in parted)):
            return separator
    return ""


def _is_column(head: str, tail: str) -> bool:
    return head.endswith('"') or " " in tail or '"' in tail or (URL_MARK in tail and "?" not in head)


def _columns(sample: Sequence[str]) -> str:
    """A separator that occurs once in each of several URLs, before a word: it may be part of them."""
    content = _content(sample)
    for separator in _SEPARATORS:
        parted = [text.split(separator) for text in content]
        if len(parted) > 1 and all(len(parts) == 2 and parts[1].isalnum() for parts in parted):
            return separator
    return ""
