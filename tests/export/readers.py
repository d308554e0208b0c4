"""Reads what was exported by other programs: DuckDB, pyarrow, sqlite3, a YAML parser."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import yaml

Row = dict[str, Any]


def rows(output: str | Path) -> list[Row]:
    """The pages of an output of any format, in its order, with what is known of each."""
    path = Path(output)
    if path.suffix in (".sqlite", ".db"):
        return table(path, "SELECT * FROM pages ORDER BY rowid")
    if path.is_dir() and any(path.rglob("*.md")):
        return [front_matter(file) for file in sorted(path.rglob("*.md"))]
    if path.name.endswith((".md", ".md.gz")):
        return [{"url": url} for url in re.findall(r"^Source: <(.*)>$", path.read_text(), re.MULTILINE)]
    files = sorted(map(str, path.glob("part-*"))) if path.is_dir() else [str(path)]
    return _by_duckdb([file for file in files if Path(file).stat().st_size])


def _by_duckdb(files: list[str]) -> list[Row]:
    if not files:
        return []
    readers = {
        "csv": "read_csv($1, header=true, union_by_name=true)",
        "jsonl": "read_json($1, format='newline_delimited', maximum_object_size=100000000, union_by_name=true)",
    }
    kind = next((name for name in readers if f".{name}" in files[0]), "")
    with duckdb.connect() as database:
        found = database.execute(f"SELECT * FROM {readers.get(kind, 'read_parquet($1, union_by_name=true)')}", [files])
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
    found: Row = yaml.safe_load(head)
    return found | {"body": body}


def numbers(output: str | Path) -> list[int]:
    """The numbers of the pages of `tests.export.conftest.page`, in the order of the output."""
    return [int(row["url"].rpartition("/")[2]) for row in rows(output)]
