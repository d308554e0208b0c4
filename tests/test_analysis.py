"""The code of docs/analysis.md runs on an export of the demo site, and its three tools give the same answers."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from crawler.cli.demo_site import DemoSite
from tests.stories.commands import Commands
from tools.docs import DOCS

PAGE: Final = (DOCS / "analysis.md").read_text(encoding="utf-8")
ASKED: Final = PAGE.partition("## Five questions")[2]
QUESTIONS: Final = dict(re.findall(r"^### (.*?)\n(.*?)(?=^##)", ASKED, re.MULTILINE | re.DOTALL))
LEAST: Final = dict(zip(QUESTIONS, (10, 7, 2, 2, 5), strict=True))
"""Rows that each answer has at least."""


def blocks(text: str) -> list[str]:
    """The blocks of Python in a part of the page."""
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(source: str, names: dict[str, Any]) -> Any:
    """Run a block as a notebook does: the value of its last expression."""
    tree = ast.parse(source)
    last = tree.body[-1]
    exec(compile(ast.Module(tree.body[: -1 if isinstance(last, ast.Expr) else None], []), "analysis.md", "exec"), names)
    return (
        eval(compile(ast.Expression(last.value), "analysis.md", "eval"), names) if isinstance(last, ast.Expr) else None
    )


def rows(answer: Any) -> list[tuple[Any, ...]]:
    """The rows of an answer of any of the three tools."""
    if hasattr(answer, "fetchall"):
        found = answer.fetchall()
    else:
        found = answer.rows() if hasattr(answer, "rows") else answer.itertuples(index=False, name=None)
    return [tuple(round(float(cell), 6) if not isinstance(cell, str) else cell for cell in row) for row in found]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with an export of the demo site, which is the current one."""
    commands, before = Commands(), Path.cwd()
    with DemoSite() as site:
        done = commands.run(
            *("run", *site.seeds, "-n", "1", "--delay", "0", "--per-host", "8", "--store", "text,links,markdown"),
            *("-o", "pages.jsonl"),
        )
    assert done.code == 0, done.err
    for name in ("pages.parquet", "pages.sqlite"):
        assert commands.run("export", "-o", name).code == 0
    os.chdir(commands.folder)
    yield commands.folder
    os.chdir(before)
    commands.close()


@pytest.fixture(scope="module", params=["JSONL", "Parquet", "SQLite"])
def names(request: pytest.FixtureRequest, folder: Path) -> dict[str, Any]:
    """The names that the blocks share, after a file of that format was opened with each tool."""
    assert {"pages.jsonl", "pages.parquet", "pages.sqlite"} <= {path.name for path in folder.iterdir()}
    for kind in ("VIEW", "TABLE"):
        with suppress(duckdb.CatalogException):
            duckdb.sql(f"DROP {kind} pages")
    found: dict[str, Any] = {}
    for block in blocks(PAGE.partition(f"\n### {request.param}\n")[2].partition("\n##")[0]):
        run(block, found)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_three_tools_agree(names: dict[str, Any], question: str) -> None:
    duck, pandas, polars = (rows(run(block, names)) for block in blocks(QUESTIONS[question]))
    assert len(duck) >= LEAST[question]
    assert duck == pandas == polars


@pytest.mark.slow
def test_fields_of_ones_own_become_columns(names: dict[str, Any]) -> None:
    (block,) = blocks(PAGE.partition("## Fields of your own")[2].partition("\n## ")[0])
    pages = names["pages"]
    pages["data"] = [{"name": "tea", "at": {"x": 1}} if n == 3 else None for n in range(len(pages))]
    found = run(block, names)
    assert len(found) == len(pages)
    assert found.loc[3, "data.name"] == "tea"
    assert found.loc[3, "data.at.x"] == 1
    del pages["data"]
    assert len(run(block, names)) == len(pages)


@pytest.mark.slow
def test_real_pages_are_cut_without_loss(folder: Path) -> None:
    """Each line of a page is in one chunk, or is a heading above one."""
    found: dict[str, Any] = {}
    run(blocks(PAGE.partition("## Into a vector store")[2])[0], found)
    records = [json.loads(line) for line in (folder / "pages.jsonl").read_text().splitlines()]
    pages = [record["markdown"] for record in records if record.get("markdown")]
    assert len(pages) > 200
    for page in pages:
        cut = list(found["chunks"](page, most=500))
        words = " ".join(f"{above} {text}" for above, text in cut)
        assert set(re.sub("^#+ ", "", page, flags=re.MULTILINE).split()) - set(words.split()) == set()


MARKDOWN: Final = """Before.

# Tea

Leaves.

```sh
# no heading
```

## Green

Soft.

# Coffee

Beans.
"""


def embed(text: str) -> list[float]:
    """Eight numbers: how often each group of letters occurs."""
    return [
        1.0 + sum(letter in group for letter in text.lower()) for group in re.findall("...", "abcdefghijklmnopqrstuvwx")
    ]


@pytest.fixture
def vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of the part about a vector store, run on two pages."""
    monkeypatch.chdir(tmp_path)
    pages = [
        {"url": "https://a.example/", "outcome": "fetched", "markdown": MARKDOWN},
        {"url": "https://a.example/gone", "outcome": "missing"},
    ]
    (tmp_path / "pages.jsonl").write_text("".join(json.dumps(page) + "\n" for page in pages))
    found: dict[str, Any] = {"duckdb": duckdb, "embed": embed}
    for block in blocks(PAGE.partition("## Into a vector store")[2]):
        run(block, found)
    return found


def stored(names: dict[str, Any]) -> list[tuple[Any, ...]]:
    return list(names["store"].execute("SELECT url, number, above, text FROM chunks ORDER BY url, number").fetchall())


def test_a_page_is_cut_at_its_headings(vectors: dict[str, Any]) -> None:
    assert [row[1:] for row in stored(vectors)] == [
        (0, "", "Before."),
        (1, "Tea", "Leaves.\n\n```sh\n# no heading\n```"),
        (2, "Tea > Green", "Soft."),
        (3, "Coffee", "Beans."),
    ]


def test_long_texts_are_cut_between_paragraphs_and_nothing_is_lost(vectors: dict[str, Any]) -> None:
    text = "\n\n".join(f"{n} " + "word " * 50 for n in range(40))
    found = list(vectors["chunks"](f"# Long\n\n{text}", most=1_000))
    assert len(found) > 5
    assert all(above == "Long" and len(chunk) < 1_600 for above, chunk in found)
    assert " ".join(chunk for _, chunk in found).split() == text.split()
    assert list(vectors["chunks"]("")) == []


def test_a_page_that_changed_replaces_its_chunks(vectors: dict[str, Any]) -> None:
    url = "https://a.example/"
    before = {row[0] for row in vectors["store"].execute("SELECT id FROM chunks").fetchall()}
    vectors["update"]({"url": url, "outcome": "fetched", "markdown": "# Tea\n\nCold.\n"})
    assert stored(vectors) == [(url, 0, "Tea", "Cold.")]
    assert vectors["chunk_id"](url, 0) in before
    assert vectors["chunk_id"](url, 0).startswith(hashlib.sha256(url.encode()).hexdigest()[:24])
    vectors["update"]({"url": url, "outcome": "missing"})
    assert stored(vectors) == []
    assert not vectors["is_settled"]({"outcome": "failed:timeout"})
    assert vectors["is_settled"]({"outcome": "redirected"})


def test_what_is_nearest_is_found(vectors: dict[str, Any]) -> None:
    assert vectors["search"]("Tea > Green\nSoft.", 1) == [("https://a.example/", "Tea > Green", "Soft.")]
    assert len(vectors["search"]("tea")) == 4
