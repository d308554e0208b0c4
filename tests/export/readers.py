"""Reads what was exported by other programs: DuckDB, pyarrow, sqlite3, parsers of YAML, Markdown and XML."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import duckdb
import yaml
from markdown_it import MarkdownIt

Row = dict[str, Any]
_MARKDOWN: Final = MarkdownIt("commonmark")
_BREAK: Final = b"\n---\n\n"
"""Ends a page in one Markdown file."""
_LOCATION: Final = "{http://www.sitemaps.org/schemas/sitemap/0.9}loc"
_YAML: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def rows(output: str | Path, columns: str = "*") -> list[Row]:
    """The pages of an output of any format, in its order, with what is known of each."""
    path = Path(output)
    if path.suffix in (".sqlite", ".db"):
        return table(path, f"SELECT {columns} FROM pages ORDER BY rowid")
    if path.is_dir() and any(path.rglob("*.md")):
        return [front_matter(file) for file in sorted(path.rglob("*.md"))]
    if path.suffix == ".md":
        return [{"url": url} for url in _sources(path.read_text())]
    if path.name == "llms.txt":
        return [{"url": url} for line in path.read_text().splitlines() if line[:1] == "-" for url in _links(line)]
    if path.suffix == ".xml":
        return [{"url": url} for url in _locations(path)]
    files = sorted(map(str, path.glob("part-*"))) if path.is_dir() else [str(path)]
    return _by_duckdb([file for file in files if Path(file).stat().st_size], columns)


def _by_duckdb(files: list[str], columns: str) -> list[Row]:
    if not files:
        return []
    readers = {
        "csv": "read_csv($1, header=true, union_by_name=true)",
        "jsonl": "read_json($1, format='newline_delimited', maximum_object_size=100000000, union_by_name=true)",
    }
    kind = next((name for name in readers if f".{name}" in files[0]), "")
    source = readers.get(kind, "read_parquet($1, union_by_name=true)")
    with duckdb.connect() as database:
        found = database.execute(f"SELECT {columns} FROM {source}", [files])
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def table(path: str | Path, query: str) -> list[Row]:
    """The rows of a query."""
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(query)]


def front_matter(file: Path) -> Row:
    """What a Markdown file says of its page, and the content as `body`."""
    _, head, body = file.read_text().split("---\n", 2)
    found: Row = yaml.load(head, _YAML)
    return found | {"body": body}


def _links(markdown: str) -> list[str]:
    """The targets of the links in a paragraph or list item, by a Markdown parser."""
    inline = [token for token in _MARKDOWN.parse(markdown) if token.type == "inline"]
    children = [child for token in inline for child in token.children or () if child.type == "link_open"]
    return [str(child.attrs["href"]) for child in children]


def _sources(markdown: str) -> Iterator[str]:
    """The URLs that the pages in one Markdown file name as theirs."""
    for token in _MARKDOWN.parse(markdown):
        children = token.children or []
        if children and children[0].content == "Source: ":
            yield str(children[1].attrs["href"])


def _locations(path: Path) -> Iterator[str]:
    """The URLs in a sitemap, or in those beside it that it is the index of."""
    for one in ElementTree.parse(path).iter(_LOCATION):
        url = one.text or ""
        if url.endswith(".xml"):
            yield from _locations(path.with_name(url.rpartition("/")[2]))
        else:
            yield url


def numbers(output: str | Path) -> list[int]:
    """The numbers of the pages of `tests.export.conftest.page`, in the order of the output."""
    return [int(row["url"].rpartition("/")[2]) for row in rows(output, "url")]


class Watched:
    """An output that is read again and again. What did not change since is not parsed again."""

    def __init__(self, output: str) -> None:
        self._output = Path(output)
        self._seen: dict[Path, tuple[tuple[int, int, int], list[int]]] = {}
        """By file: what tells whether it is the same, and the numbers in it."""
        self._parsed: dict[int, tuple[bytes, list[int]]] = {0: (sha256().digest(), [])}
        """Of one Markdown file: by a length, the digest of so much of it, and the numbers in that."""

    def numbers(self) -> list[int]:
        """See `numbers`; in no order."""
        if self._output.is_dir():
            files = [file for file in self._output.rglob("*") if file.is_file() and file.name[0] != "."]
            return [number for file in files for number in self._of_same(file)]
        if self._output.suffix == ".md":
            return self._of_markdown()
        grows = self._output.suffix not in (".parquet", ".xml", ".txt")
        return numbers(self._output) if grows else self._of_same(self._output)

    def _of_same(self, file: Path) -> list[int]:
        status = file.stat()
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if self._seen.get(file, ((),))[0] != stamp:
            self._seen[file] = (stamp, self._of_page(file) if file.suffix == ".md" else numbers(file))
        return self._seen[file][1]

    @staticmethod
    def _of_page(file: Path) -> list[int]:
        page = front_matter(file)
        number = int(page["url"].rpartition("/")[2])
        heading = _MARKDOWN.parse(page["body"])[1]
        assert heading.content == f"Page {number}", heading
        return [number]

    def _of_markdown(self) -> list[int]:
        data = self._output.read_bytes()
        lengths = sorted((length for length in self._parsed if length <= len(data)), reverse=True)
        begin = next(length for length in lengths if sha256(data[:length]).digest() == self._parsed[length][0])
        found, end = self._parsed[begin][1], data.rfind(_BREAK, begin) + len(_BREAK)
        if end > begin:
            found = [*found, *(int(url.rpartition("/")[2]) for url in _sources(data[begin:end].decode()))]
            self._parsed[end] = (sha256(data[:end]).digest(), found)
        return found
