"""llms.txt (https://llmstxt.org): a site's title, its summary, and lists of links to its pages with a line on each.

The title and the summary are those of the page nearest to the root. Pages are grouped by the first part of their path;
those of several hosts by host.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from crawler.errors import OutputError
from crawler.export.files import reason
from crawler.export.formats.markdown import escaped
from crawler.export.target import Target
from crawler.export.whole_file import WholeFile
from crawler.export.writer import Writer
from crawler.record import Record
from crawler.text import printable

_MAX_NAME: Final = 200
_MAX_DESCRIPTION: Final = 300
_WORDS: Final = re.compile(r"[-_+.\s]+")
_HELD: Final = 1 << 20
_TABLE: Final = "CREATE TABLE pages (url TEXT PRIMARY KEY, depth, host, part, title, description)"
_ADD: Final = "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?)"
_GROUPS: Final = "SELECT {0}, count(*) FROM pages GROUP BY {0} ORDER BY {0} = '' DESC, count(*) DESC, {0}"


@dataclass(frozen=True)
class Llms(WholeFile):
    """The one file."""

    pages_only = True
    takes_removals = False

    def contents(self, stored: Collection[str]) -> frozenset[str]:
        return frozenset()

    def begin(self, output: str, target: Target) -> Writer:
        return LlmsWriter(output, target)


class LlmsWriter(Writer):
    """Keeps the pages in a temporary database, which sorts any number of them, and writes the file at the end."""

    def __init__(self, output: str, target: Target) -> None:
        self.output, self._target = output, target
        self._pages = sqlite3.connect("", isolation_level=None)  # a temporary file, gone when it is closed
        self._pages.execute("PRAGMA journal_mode = OFF")
        self._pages.execute(_TABLE)
        self._open = True

    def write(self, record: Record) -> None:
        self._guarded(self._write, record)

    def _write(self, record: Record) -> None:
        split = urlsplit(record.url)
        first, slash, _ = split.path[1:].partition("/")
        row = (record.url, record.depth, split.netloc, first if slash else "", record.title, record.description)
        self._pages.execute(_ADD, row)

    def checkpoint(self) -> None:
        raise ValueError("llms.txt has no checkpoints")

    def finish(self) -> None:
        if self._open:
            self._guarded(self._finish)
            self._open = False
            self._pages.close()

    def _finish(self) -> None:
        held, size = [], 0
        for line in self._lines():
            held.append(f"{line}\n".encode())
            size += len(held[-1])
            if size >= _HELD:
                self._target.write([b"".join(held)], whole=True)
                held, size = [], 0
        self._target.write([b"".join(held)], whole=True)
        self._target.finish()

    def _lines(self) -> Iterator[str]:
        roots = self._pages.execute(
            "SELECT title, description, host FROM pages ORDER BY depth, length(url), url LIMIT 1"
        )
        title, description, host = roots.fetchone() or ("No pages", None, "")
        yield f"# {_line(title or host, _MAX_NAME)}"
        if description:
            yield f"\n> {_line(description, _MAX_DESCRIPTION)}"
        (hosts,) = self._pages.execute("SELECT count(DISTINCT host) FROM pages").fetchone()
        group = "host" if hosts > 1 else "part"
        for name, _ in self._pages.execute(_GROUPS.format(group)).fetchall():
            yield f"\n## {_name_of(name) if hosts == 1 else _line(name, _MAX_NAME)}\n"
            select = f"SELECT url, title, description FROM pages WHERE {group} = ? ORDER BY depth, rowid"
            yield from (_link(*row) for row in self._pages.execute(select, [name]))

    def abort(self) -> None:
        if self._open:
            self._open = False
            self._pages.close()
            self._target.abort()

    def _guarded(self, step: Callable[..., None], *args: object) -> None:
        try:
            step(*args)
        except (OSError, sqlite3.Error) as error:
            self.abort()
            raise OutputError(f"{self.output} cannot be written: {reason(error)}; {self._target.kept}") from None
        except BaseException:
            self.abort()
            raise


def _line(text: str, most: int) -> str:
    """*text* on one line, as Markdown that says the same."""
    line = " ".join(printable(text).split())
    return escaped(line if len(line) <= most else f"{line[: most - 1]}…")


def _name_of(part: str) -> str:
    """A part of a path as a heading."""
    words = " ".join(_WORDS.split(unquote(part))).strip()
    return _line(words[:1].upper() + words[1:] or "Pages", _MAX_NAME)


def _link(url: str, title: str | None, description: str | None) -> str:
    target = url.replace("(", "%28").replace(")", "%29").replace("<", "%3C").replace(">", "%3E")
    more = f": {_line(description, _MAX_DESCRIPTION)}" if description else ""
    return f"- [{_line(title or url, _MAX_NAME)}]({target}){more}"


FORMAT: Final = Llms("llms.txt")
