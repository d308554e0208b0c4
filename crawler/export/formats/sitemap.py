"""sitemap.xml (https://www.sitemaps.org/protocol.html): the pages of a site, each with the time of its last change.

A file holds up to 50,000 URLs and 50 MB. More go into `sitemap-00001.xml`, `sitemap-00002.xml` and so on beside it, and
the file itself is their index. An index names its parts by URL: that of the root of the first page's host, where the
files have to be put.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from html import escape
from typing import IO, Final
from urllib.parse import urlsplit

from crawler.errors import OutputError
from crawler.export.files import reason
from crawler.export.packers import NAMES, PACKERS, Ends
from crawler.export.target import Target, open_target
from crawler.export.whole_file import WholeFile
from crawler.export.writer import Writer
from crawler.record import Record

MAX_URLS: Final = 50_000
MAX_BYTES: Final = 50 * 1024 * 1024
"""Of a file, before it is compressed."""
_SPACE: Final = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
_PIECE: Final = 1 << 20
_SPOOLED: Final = 8 << 20
"""Bytes of a part that are held in memory."""


@dataclass(frozen=True)
class Sitemap(WholeFile):
    """Sitemaps, compressed or not."""

    pages_only = True
    takes_removals = False
    packing: str = ""

    def packed(self, ending: str) -> Sitemap | None:
        return replace(self, name=f"{self.name}, {NAMES[ending]}", packing=ending) if ending == "gz" else None

    def contents(self, stored: Collection[str]) -> frozenset[str]:
        return frozenset()

    def begin(self, output: str, target: Target) -> Writer:
        return SitemapWriter(output, target, self.packing)


class SitemapWriter(Writer):
    """Collects a part in a temporary file. The parts appear before the index that names them."""

    def __init__(self, output: str, target: Target, packing: str) -> None:
        self.output, self._target, self._packing = output, target, packing
        self._parts: list[str] = []
        self._root = ""
        self._open = True
        self._begin()

    def _begin(self) -> None:
        self._part: IO[bytes] = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115 - closed by `_end`
        self._part.write(_head("urlset"))
        self._urls = 0

    def write(self, record: Record) -> None:
        self._guarded(self._write, record)

    def _write(self, record: Record) -> None:
        entry = _entry("url", record.url, last_change(record))
        full = self._part.tell() + len(entry) + len(_tail("urlset")) > MAX_BYTES
        if full or self._urls == MAX_URLS:
            self._end()
            self._begin()
        self._part.write(entry)
        self._urls += 1
        self._root = self._root or "{0.scheme}://{0.netloc}/".format(urlsplit(record.url))

    def _end(self) -> None:
        """The part is full: it gets a file beside the output."""
        name = _part_name(self.output, len(self._parts) + 1)
        self._copy(open_target(name, follow=False))
        self._parts.append(name.rpartition("/")[2])

    def _copy(self, target: Target) -> None:
        self._part.write(_tail("urlset"))
        self._part.seek(0)
        try:
            _Packed(target, self._packing).copy(self._part)
        except BaseException:
            target.abort()
            raise
        self._part.close()

    def checkpoint(self) -> None:
        raise ValueError("a sitemap has no checkpoints")

    def finish(self) -> None:
        if self._open:
            self._guarded(self._finish)
            self._open = False

    def _finish(self) -> None:
        if not self._parts:
            self._copy(self._target)
            return
        self._end()
        with tempfile.SpooledTemporaryFile(_SPOOLED) as index:
            index.write(_head("sitemapindex"))
            index.writelines(_entry("sitemap", self._root + name, None) for name in self._parts)
            index.write(_tail("sitemapindex"))
            index.seek(0)
            _Packed(self._target, self._packing).copy(index)

    def abort(self) -> None:
        if self._open:
            self._open = False
            self._part.close()
            self._target.abort()

    def _guarded(self, step: Callable[..., None], *args: object) -> None:
        try:
            step(*args)
        except OSError as error:
            self.abort()
            raise OutputError(f"{self.output} cannot be written: {reason(error)}; {self._target.kept}") from None
        except BaseException:
            self.abort()
            raise


class _Packed:
    """A target to which a file is copied as a whole, compressed or not."""

    def __init__(self, target: Target, packing: str) -> None:
        self._target = target
        self._packer = PACKERS[packing](True) if packing else None

    def copy(self, file: IO[bytes]) -> None:
        """Copy *file* and finish the target."""
        shutil.copyfileobj(file, self, _PIECE)
        if self._packer is not None:
            self._target.write([self._packer.pack(b"", Ends.MEMBER)], whole=True)
        self._target.finish()

    def write(self, data: bytes) -> None:
        """Write a piece."""
        packed = data if self._packer is None else self._packer.pack(data, Ends.NOTHING)
        if packed:
            self._target.write([packed], whole=True)


def last_change(record: Record) -> str | None:
    """When the page changed last (W3C date and time): by the site's own sitemap, else by `Last-Modified`."""
    if record.lastmod is not None:
        return record.lastmod
    with suppress(ValueError, TypeError, OverflowError):
        when = parsedate_to_datetime(record.last_modified or "")
        return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when.year >= 1970 else None
    return None


def _head(kind: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{kind} {_SPACE}>\n'.encode()


def _tail(kind: str) -> bytes:
    return f"</{kind}>\n".encode()


def _entry(kind: str, url: str, lastmod: str | None) -> bytes:
    when = f"<lastmod>{escape(lastmod, quote=False)}</lastmod>" if lastmod else ""
    return f"<{kind}><loc>{escape(url, quote=False)}</loc>{when}</{kind}>\n".encode()


def _part_name(output: str, number: int) -> str:
    """`sitemap.xml.gz` -> `sitemap-00001.xml.gz`."""
    folder, slash, name = output.rpartition("/")
    stem, dot, ending = name.partition(".")
    return f"{folder}{slash}{stem}-{number:05d}{dot}{ending}"


FORMAT: Final = Sitemap("sitemap")
