"""A job folder of Scrapy (JOBDIR): `requests.seen` and the files under `requests.queue`.

`requests.seen` has a fingerprint in hexadecimal a line; newer versions append two bytes of length and the 20 bytes of
the fingerprint. Both may follow each other in one file. The queue's files are those of queuelib: a LIFO file has a
count in front, and behind each request its length; a FIFO folder has the length before each request, and in
`info.json` how far it was read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from crawler.crawl.imports import requests
from crawler.crawl.seed_list import Line
from crawler.errors import UsageError
from crawler.fingerprint import BYTES
from crawler.text import counted

_LENGTH: Final = 4
"""Bytes of a length in a queue's file, big-endian."""
_MAX_REQUEST: Final = 16 << 20
"""Bytes of a request: a longer one is damage."""
_HEX: Final = 2 * BYTES
_SQLITE: Final = b"SQLite format 3"


class JobDir:
    """What Scrapy has stored of one job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = folder / "requests.seen"
        self._queue = folder / "requests.queue"
        if not folder.is_dir():
            raise UsageError(
                f"{folder}: is no folder: name a JOBDIR of Scrapy, or the Redis of scrapy-redis by its URL"
            )
        if not (self._seen.is_file() or self._queue.is_dir()):
            raise UsageError(f"{folder}: has neither requests.seen nor requests.queue, so it is no JOBDIR of Scrapy")

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder)

    def found(self) -> str:
        """How much there is of each kind."""
        waiting, seen = sum(1 for _ in self._stored()), sum(1 for _ in self.fingerprints())
        return f"{self.name}: {counted(waiting, 'waiting request')}, {counted(seen, 'fingerprint')}"

    def fingerprints(self) -> Iterator[bytes]:
        """Those of requests.seen. Raises UsageError where it cannot be read."""
        if not self._seen.is_file():
            return
        with _opened(self._seen) as file:
            while first := file.read(1):
                line = file.read(1 + BYTES) if first == b"\0" else first + file.readline(_HEX + 2)
                fingerprint = _binary(line) if first == b"\0" else _hexadecimal(line)
                if fingerprint is None:
                    if not file.read(1):
                        return  # cut by a crash
                    raise UsageError(f"{self._seen}: is no list of SHA-1 fingerprints, near byte {file.tell() - 1:,}")
                yield fingerprint

    def lines(self) -> Iterator[Line]:
        """The requests that wait, those of the most urgent priority first."""
        for where, stored in self._stored():
            yield Line("", where, stored) if isinstance(stored, str) else requests.of_request(stored, where)

    def _stored(self) -> Iterator[tuple[str, bytes | str]]:
        """The place of each request, and its bytes; or what is wrong with the rest of a file."""
        for folder, folders, names in os.walk(self._queue):
            folders.sort(key=_urgency)
            if "info.json" in names:
                yield from _numbered(_fifo(Path(folder)), folder)
                continue
            for name in sorted(names, key=_urgency):
                if not name.endswith(".json"):
                    path = Path(folder, name)
                    yield from _numbered(_lifo(path), str(path))


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def _binary(line: bytes) -> bytes | None:
    return line[1:] if line[:1] == bytes([BYTES]) and len(line) == 1 + BYTES else None


def _hexadecimal(line: bytes) -> bytes | None:
    try:
        found = bytes.fromhex(line.strip().decode("ascii"))
    except ValueError:
        return None
    return found if len(found) == BYTES else None


def _urgency(name: str) -> tuple[int, str]:
    """Scrapy names a queue by its negated priority; `s` behind it: of start requests."""
    number = name.removesuffix("s")
    return (int(number), name) if number.removeprefix("-").isdecimal() and len(number) < 12 else (0, name)


def _numbered(stored: Iterator[bytes], name: str) -> Iterator[tuple[str, bytes | str]]:
    number = 0
    try:
        for number, raw in enumerate(stored, 1):
            yield f"{name}, entry {number}", raw
    except ValueError as error:
        yield f"{name}, behind entry {number}", f"{error}, so the rest of it is left out"


def _lifo(path: Path) -> Iterator[bytes]:
    """The requests of a LIFO file, the newest first: from its end to its beginning."""
    with _opened(path) as file:
        if file.read(len(_SQLITE)) == _SQLITE:
            raise ValueError("it is a queue in SQLite, which cannot be read")
        end = file.seek(0, os.SEEK_END)
        while end > _LENGTH:
            file.seek(end - _LENGTH)
            length = int.from_bytes(file.read(_LENGTH), "big")
            start = end - _LENGTH - length
            if start < _LENGTH or length > _MAX_REQUEST:
                raise ValueError(f"it is damaged near byte {end:,}")
            file.seek(start)
            yield file.read(length)
            end = start


def _fifo(folder: Path) -> Iterator[bytes]:
    """The requests of a FIFO folder, from where it was read to."""
    try:
        info = msgspec.json.decode((folder / "info.json").read_bytes(), type=dict[str, int | list[int]])
        tail = msgspec.convert(info.get("tail", [0, 0, 0]), list[int])
        number, offset = tail[0], tail[2]
    except (OSError, ValueError, IndexError):
        raise ValueError("its info.json is damaged") from None
    while (path := folder / f"q{number:05d}").is_file():
        with _opened(path) as file:
            file.seek(offset)
            while head := file.read(_LENGTH):
                length = int.from_bytes(head, "big")
                raw = file.read(length) if length <= _MAX_REQUEST else b""
                if len(raw) < length:
                    raise ValueError(f"{path.name} is damaged near byte {file.tell():,}")
                yield raw
        number, offset = number + 1, 0
