"""JSON Lines (https://jsonlines.org): one record per line, UTF-8, values as they are, unknown fields absent.

In addition to what JSON requires, it escapes characters that some readers take for the end of a line (U+0085, U+2028,
U+2029) and control characters for terminals (U+007F to U+009F). The meaning is the same.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import msgspec

from crawler.export.byte_stream import ByteStream
from crawler.export.shape import Shape
from crawler.record import Record
from crawler.text import escaped

# Each begins with plain bytes: so it is searched for much faster than _UNSAFE.
_C1: Final = re.compile(rb"\xc2[\x80-\x9f]")
_LINE_ENDS: Final = re.compile(rb"\xe2\x80[\xa8\xa9]")
_ODD: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_UNSAFE: Final = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")


def encode(record: Record) -> bytes:
    """The record's line. Every kind of line end is escaped, so a line of the file is a record, whatever is in it."""
    return _line(record.encode())


def _line(line: bytes) -> bytes:
    if b"\x7f" in line or (not line.isascii() and (_C1.search(line) or _LINE_ENDS.search(line))):
        line = _UNSAFE.sub(_escape, line)
    return line + b"\n"


def _shaped(shape: Shape) -> ByteStream:
    """Lines with the fields or items that were asked for, and no others."""
    if shape.plain:
        return FORMAT

    def encode_rows(record: Record) -> bytes:
        return b"".join(_line(msgspec.json.encode(row)) for row in shape.rows(record))

    return replace(FORMAT, encode=encode_rows, rows=shape)


def text_line(value: str) -> str:
    """A string as JSON on one line, without characters that YAML refuses or that end a line for some."""
    return _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", msgspec.json.encode(value).decode())


def _escape(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def harmless(line: bytes) -> bytes:
    """The same JSON for a terminal: control characters are written as `\\uXXXX`, which means the same."""
    return b"".join(escaped(one).encode() + b"\n" for one in line.decode().split("\n")[:-1])


FORMAT: Final = ByteStream("jsonl", encode, "jsonl", harmless, shape=_shaped)
