"""A PDF whose end is lost, made readable: its pages get a new root. Pure.

What says where everything is stands at the end of a PDF, so PDFium opens no file that was cut. But most objects are
complete. Those that are packed in object streams are written out, the pages are listed anew, and PDFium finds the rest
by itself. Source: ISO 32000-2, 7.5.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

_OBJECT = re.compile(rb"(?<![0-9])(\d{1,10})\s+\d{1,5}\s+obj\b")
_PACKED = re.compile(rb"/Type\s*/ObjStm\b")
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_STREAM = re.compile(rb"stream\r?\n")
_NUMBER_OF: Final = {name: re.compile(rb"/" + name + rb"\s+(\d{1,9})") for name in (b"N", b"First")}
_MAX_HEAD: Final = 20_000
"""Bytes of an object that are searched for its type: a page has no more."""
_PIECE: Final = 512
"""Bytes that are unpacked at once: what stands before a damage is kept, but for the last piece."""
_MAX_STREAM: Final = 8 << 20
_MAX_UNPACKED: Final = 64 << 20
_MAX_PAGES: Final = 20_000


def with_new_root(body: bytes) -> bytes | None:
    """*body* with objects appended by which its pages can be found; None if it has none."""
    numbers, room = [0], _MAX_UNPACKED
    pages: dict[int, None] = {}
    packed: list[bytes] = []
    for number, head, at in _objects(body):
        numbers.append(number)
        if _PAGE.search(head):
            pages[number] = None
        elif _PACKED.search(head) and room > 0:
            for inner, content in _unpack(head, body, at):
                packed.append(b"%d 0 obj\n%b\nendobj\n" % (inner, content))
                room -= len(content)
                numbers.append(inner)
                if _PAGE.search(content[:_MAX_HEAD]):
                    pages[inner] = None
    if not pages:
        return None
    new = max(numbers) + 1
    kids = list(pages)[:_MAX_PAGES]
    tree = b"<</Type/Pages/Count %d/Kids[%b]>>" % (len(kids), b" ".join(b"%d 0 R" % kid for kid in kids))
    root = b"%d 0 obj\n%b\nendobj\n%d 0 obj\n<</Type/Catalog/Pages %d 0 R>>\nendobj\n" % (new, tree, new + 1, new)
    trailer = b"trailer\n<</Root %d 0 R/Size %d>>\nstartxref\n0\n%%%%EOF\n" % (new + 1, new + 2)
    return b"".join((body, b"\nendstream\nendobj\n", *packed, root, trailer))


def _objects(body: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The number of each object that is not packed, how it begins, and where that is."""
    found = list(_OBJECT.finditer(body))
    for at, match in enumerate(found):
        end = found[at + 1].start() if at + 1 < len(found) else len(body)
        yield int(match[1]), body[match.end() : min(end, match.end() + _MAX_HEAD)], match.end()


def _unpack(head: bytes, body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """The objects in an object stream, which begins at *at* with *head*: number and content (7.5.7)."""
    begins = _STREAM.search(head)
    count, first = (pattern.search(head) for pattern in _NUMBER_OF.values())
    if begins is None or count is None or first is None:
        return
    data = _inflated(body, at + begins.end())
    start = int(first[1])
    words = data[:start].split()[: 2 * int(count[1])]
    if not all(map(bytes.isdigit, words)):
        return
    places = zip(words[::2], words[1::2], strict=False)
    pairs = [(int(number[:10]), start + int(offset[:10])) for number, offset in places]
    ends = [begin for _, begin in pairs[1:]] + [len(data)]
    for (number, begin), end in zip(pairs, ends, strict=False):
        if begin < end:
            yield number, data[begin:end]


def _inflated(body: bytes, at: int) -> bytes:
    """What the stream at *at* unpacks to, as far as it is whole."""
    inflater, found = zlib.decompressobj(), bytearray()
    with suppress(zlib.error):
        while at < len(body) and not inflater.eof and len(found) < _MAX_STREAM:
            found += inflater.decompress(body[at : at + _PIECE], _MAX_STREAM)
            at += _PIECE
    return bytes(found)
