"""Copies that follow a crawl by exports of changes: after any visits, and exports at any time, they match the site."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from crawler.export import Output, Wanted
from crawler.export.since import Since
from crawler.record import Record
from tests.export.conftest import Crawl
from tests.export.readers import front_matter, rows
from tests.export.visits import changed, fail, gone, moved, new, store

PAGES: Final = 12
Copy = dict[int, str]
"""The text of each page that is there, by its number."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Site:
    """The pages as they are, and the crawl that visits them."""

    def __init__(self, crawl: Crawl, seed: int) -> None:
        self.crawl, self.dice = crawl, random.Random(seed)
        self.there: Copy = {}
        self._known: set[int] = set()
        """Pages that were there at some time."""

    def visit(self) -> None:
        """Visit one page and store what is found: it is new, changed, gone or moved, or the visit fails."""
        n = self.dice.randrange(PAGES)
        if n not in self.there:
            self._found(changed(n, change="back") if n in self._known else new(n))
        elif self.dice.random() < 0.3:
            fail(self.crawl, n)
        elif self.dice.random() < 0.4:
            del self.there[n]
            store(self.crawl, [self.dice.choice((gone(n), moved(n, PAGES)))])
        else:
            self._found(changed(n, change=self.dice.choice(("changed", "boilerplate"))))

    def _found(self, record: Record) -> None:
        n, text = int(record.url.rpartition("/")[2]), f"Text {self.dice.random()}"
        self.there[n] = text
        self._known.add(n)
        store(self.crawl, [Record(**record.to_dict() | {"text": text})])

    def export(self, output: str, **wanted: Any) -> int:
        """Export changes to *output*, and drain them at times."""
        name, _, format = output.partition(" ")
        wanted |= {"since": Since("last"), "drain": self.dice.random() < 0.3 and wanted.get("state") is None}
        with Output(Wanted(name, format=format or None, **wanted)) as opened:
            return opened.write(self.crawl.frontier, ("text",)).records


def numbered(found: list[tuple[str, str]]) -> Copy:
    return {int(url.rpartition("/")[2]): text for url, text in found}


def of_sqlite() -> Copy:
    there = [row for row in rows("a.sqlite") if row["change"] not in ("gone", "moved")]
    return numbered([(row["url"], row["text"]) for row in there])


def of_pages() -> Copy:
    found = [front_matter(path) for path in Path("docs").rglob("*.md")]
    return numbered([(page["url"], page["body"].strip()) for page in found])


def of_parts() -> Copy:
    with duckdb.connect() as database:
        query = """
            SELECT url, text FROM read_parquet('p.parquet/*.parquet', filename = true, file_row_number = true)
            QUALIFY row_number() OVER (PARTITION BY url ORDER BY filename DESC, file_row_number DESC) = 1
                AND change NOT IN ('gone', 'moved')
        """
        return numbered(database.execute(query).fetchall())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("output", "read"), [("a.sqlite", of_sqlite), ("docs/ markdown", of_pages), ("p.parquet/", of_parts)]
)
def test_a_copy_is_what_is_there(crawl: Crawl, output: str, read: Callable[[], Copy], seed: int) -> None:
    site = Site(crawl, seed)
    for _ in range(20):
        for _ in range(site.dice.randrange(1, 8)):
            site.visit()
        site.export(output)
        assert read() == site.there
    assert site.export(output) == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_file_a_time_has_each_url_once_and_only_what_changed(crawl: Crawl, seed: int) -> None:
    site, copy = Site(crawl, seed), dict[int, str]()
    for time in range(20):
        before = dict(site.there)
        for _ in range(site.dice.randrange(8)):
            site.visit()
        written = site.export(f"{time}.jsonl", state="s")
        changes = [(int(row["url"].rpartition("/")[2]), row) for row in rows(f"{time}.jsonl")]
        assert len({n for n, _ in changes}) == len(changes) == written
        differs = {n for n in before.keys() | site.there.keys() if before.get(n) != site.there.get(n)}
        assert differs <= {n for n, _ in changes}
        for n, row in changes:
            copy.pop(n, None)
            if row["change"] not in ("gone", "moved"):
                copy[n] = row["text"]
        assert copy == site.there
