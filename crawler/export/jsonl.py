"""JSON Lines (https://jsonlines.org): one record a line, UTF-8, values as they are, unknown fields absent."""

from __future__ import annotations

from typing import Final

from crawler.records import Record
from crawler.text import escaped

HEAD: Final = b""


def encode(record: Record) -> bytes:
    """The record's line. JSON escapes line ends, so a line of the file is a record, whatever is in it."""
    return record.encode() + b"\n"


def harmless(line: bytes) -> bytes:
    """The same JSON for a terminal: what could steer it is written as `\\uXXXX`, which means the same."""
    return escaped(line.decode().removesuffix("\n")).encode() + b"\n"
