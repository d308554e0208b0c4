"""Markdown: a file a page in a folder, with YAML front matter, or one file for a whole site.

It takes the Markdown that the crawl stores; without that the main text, or all text, with what Markdown would read as
markup escaped. The names of the files are in file_names.py. A page that comes again replaces its file; one that is gone
takes it away.

In one file each page begins with its title as a heading and a line `Source: <URL>`, and ends with a thematic break.
What a page says may look like these: where the borders between pages must be certain, use a folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from crawler.errors import UsageError
from crawler.export.byte_stream import ByteStream
from crawler.export.file_names import file_name
from crawler.export.formats import jsonl
from crawler.export.parts import InStorage
from crawler.export.selection import is_removed
from crawler.export.storage import Storage, is_storage, open_storage
from crawler.export.writer import Container, KnownOutput, Writer
from crawler.record import Record
from crawler.text import printable

SOURCES: Final = ("markdown", "main", "text")
"""Contents that it can be made from, the best first."""
_META: Final = ("url", "title", "description", "lang", "fetched_at", "last_modified", "lastmod", "near_duplicate_of")
"""Fields of the front matter."""
_MARKUP: Final = re.compile(r"[\\`*\[\]]|(?<!\w)_|_(?!\w)|<(?=[A-Za-z/!?])|&(?=#?\w+;)|~(?=~)")
"""What is markup within a line (CommonMark 0.31, section 6; GFM 6.5)."""
_BLOCK: Final = re.compile(r"#{1,6}(?=\s|$)|[-+](?=\s|$)|-(?=[\s-]*$)|>")
_NUMBERED: Final = re.compile(r"(\d{1,9})([.)])(?=\s|$)")
"""What is markup at the beginning of one (sections 4 and 5)."""


@dataclass(frozen=True)
class Markdown(ByteStream):
    """Both kinds."""

    pages_only = True

    def mirrors(self, output: str) -> bool:
        return is_storage(output)

    def contents(self, stored: Collection[str]) -> frozenset[str]:
        source = source_of(stored)
        if source is None:
            raise UsageError(
                "the crawl stores no text, so there is nothing to write as Markdown: crawl with --store markdown"
            )
        return frozenset({source})

    def hint(self, stored: Collection[str]) -> str:
        source = source_of(stored)
        if source in (None, SOURCES[0]):
            return ""
        return f"the crawl stores no Markdown, so this is its {source}: --store markdown keeps headings and tables"

    def container(self, output: str) -> Container | None:
        storage = open_storage(output)
        if storage is None:
            return None
        if self.packing:
            raise UsageError(f"files of pages are not compressed: leave out .{self.packing}")
        return PageFolder(storage)


def source_of(stored: Collection[str]) -> str | None:
    """The best of the contents that a crawl stores; None if it stores no text."""
    return next((name for name in SOURCES if name in stored), None)


class PageFolder(InStorage):
    """A folder with a file a page."""

    def writer(self, known: KnownOutput) -> Writer:
        return PageWriter(self, known)


class PageWriter(Writer):
    """Writes each page as a file. `known` counts them. Files that a killed export wrote are written again."""

    def __init__(self, folder: PageFolder, known: KnownOutput) -> None:
        self.output, self.known, self._folder = folder.name, known, folder
        self._storage: Storage = folder.storage
        self._count = known.length

    def heed(self, stopped: Callable[[], bool]) -> None:
        self._storage.heed(stopped)

    def write(self, record: Record) -> None:
        name = file_name(record.url, "md")
        if is_removed(record):
            self._folder.guarded(self._storage.delete, name)
        else:
            page = f"{front_matter(record)}\n{body(record)}".encode()
            self._folder.guarded(self._storage.put, name, page)
        self._count += 1

    def checkpoint(self) -> None:
        self._folder.guarded(self._storage.sync)
        self.known = KnownOutput(self._count)

    def finish(self) -> None:
        self.checkpoint()

    def abort(self) -> None:
        """Nothing to undo: each file is whole."""


def front_matter(record: Record) -> str:
    """What is known of the page, as YAML 1.2. Its values are strings as JSON has them, which YAML includes."""
    values = [(name, getattr(record, name)) for name in _META]
    lines = [f"{name}: {jsonl.text_line(value)}\n" for name, value in values if value is not None]
    return "".join(["---\n", *lines, "---\n"])


def body(record: Record) -> str:
    """The content as Markdown, ending with a line end."""
    if record.markdown is not None:
        text = record.markdown
    else:
        plain = record.main if record.main is not None else record.text
        text = escaped(plain or "")
    return text.strip("\n") + "\n" if text.strip() else ""


def escaped(text: str) -> str:
    """Plain text as Markdown that says the same: each line is a paragraph."""
    return "\n\n".join(_escaped_line(line.strip()) for line in text.splitlines() if line.strip())


def _escaped_line(line: str) -> str:
    safe = _MARKUP.sub(r"\\\g<0>", line)
    if _BLOCK.match(safe):
        return f"\\{safe}"
    numbered = _NUMBERED.match(safe)
    return f"{numbered[1]}\\{safe[numbered.end(1) :]}" if numbered else safe


def section(record: Record) -> bytes:
    """The page as a part of one file."""
    title = " ".join(printable(record.title or record.url).split())
    content = f"*{removal(record)}*\n" if is_removed(record) else body(record)
    first, _, rest = content.partition("\n")
    if first.startswith("# ") and first[2:].strip() in (title, escaped(title)):
        content = rest.lstrip("\n")
    return f"# {escaped(title)}\n\nSource: <{record.url}>\n\n{content}\n---\n\n".encode()


def removal(record: Record) -> str:
    """What became of a page that is no more at its URL."""
    if not record.redirect_to:
        return "This page is gone."
    return f"This page has moved to {escaped(' '.join(printable(record.redirect_to).split()))}"


def harmless(section: bytes) -> bytes:
    """The page for a terminal: control characters become U+FFFD."""
    return "\n".join(printable(line) for line in section.decode().split("\n")).encode()


FORMAT: Final = Markdown("markdown", section, "md", harmless)
