"""`crawler run -o` and `export --follow` with outputs that keep their own state: a database, a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.export.readers import rows, table
from tests.stories.commands import Commands
from tests.stories.sites import Sites, html

ITEMS = """
[[rule]]
name = "offers"
[rule.items]
css = "tr"
[rule.items.fields]
seller = "td:nth-child(1)"
amount = { css = "td:nth-child(2)", type = "number" }
"""


@pytest.fixture
def url(sites: Sites) -> str:
    """A site of three pages."""
    site = sites.add()
    for path in ("/a", "/b"):
        rows_of = "<tr><td>x</td><td>1</td></tr><tr><td>y</td><td>2.5</td></tr>"
        site.serve(path, f"<!doctype html><table>{rows_of}</table><p>{path}".encode())
    return site.serve("/", html(["/a", "/b"]))


def urls(output: Path) -> list[str]:
    return sorted(row["url"] for row in rows(output))


@pytest.mark.parametrize(("output", "form"), [("pages.sqlite", ()), ("pages", ("--format", "jsonl"))])
def test_the_same_run_again_adds_nothing_and_a_fresh_one_is_refused_before_anything_is_deleted(
    commands: Commands, url: str, output: str, form: tuple[str, ...]
) -> None:
    name = output if "." in output else f"{output}/"
    command = ("run", url, "-o", name, *form, "--delay", "0", "-n", "1")
    assert commands.run(*command).code == 0
    assert urls(commands.folder / output) == [url, f"{url}a", f"{url}b"]
    done = commands.run(*command)
    assert (done.code, f"0 records written to {name}, 3 in all" in done.err) == (0, True), done.err
    done = commands.run(*command, "--fresh", "--yes")
    assert done.code == 2
    assert f"{name} is of an export of the crawl that --fresh deletes: name another output" in done.lines[-1]
    assert len(commands.exported()) == 3
    assert commands.run("run", url, "--fresh", "--yes", "--delay", "0", "-n", "1", "-o", "new.db").code == 0
    assert len(urls(commands.folder / "new.db")) == 3
    done = commands.run("export", "-o", name, *form)
    assert (done.code, "was started over since" in done.err) == (2, True), done.err


@pytest.mark.parametrize("output", ["pages.db", "pages.parquet/"])
def test_it_follows_a_crawl(commands: Commands, url: str, output: str) -> None:
    going = commands.start("export", "-o", output, "--follow", "--drain")
    assert commands.run("run", url, "--delay", "0.1s", "-n", "1").code == 0
    assert going.wait().code == 0, going.err
    assert urls(commands.folder / output) == [url, f"{url}a", f"{url}b"]
    assert commands.exported() == []


def test_items_of_rules_in_a_table_and_in_columns(commands: Commands, url: str) -> None:
    commands.write("rules.toml", ITEMS)
    done = commands.run("run", url, "--rules", "rules.toml", "--delay", "0", "-n", "1", "-o", "all.db", "--items")
    assert done.code == 0, done.err
    found = table(commands.folder / "all.db", "SELECT url, seller, amount FROM items ORDER BY url, rowid")
    wanted = [(f"{url}{page}", *offer) for page in "ab" for offer in (("x", 1), ("y", 2.5))]
    assert [tuple(row.values()) for row in found] == wanted
    done = commands.run("export", "-o", "items.csv", "--items")
    assert (done.code, done.lines) == (0, ["crawler: 4 items of 2 records written to items.csv"])
    found = sorted(rows(commands.folder / "items.csv"), key=lambda row: (row["url"], row["seller"]))
    assert [(row["url"], row["seller"], row["amount"]) for row in found] == wanted
    assert list(found[0]) == ["url", "seller", "amount"]


def test_a_field_that_nothing_has_is_named_at_the_end(commands: Commands, url: str) -> None:
    commands.write("rules.toml", ITEMS)
    crawl = ("run", url, "--rules", "rules.toml", "--delay", "0", "-n", "1", "-o", "all.jsonl", "--fields")
    said = (
        "crawler: no record has data.itms (did you mean data.items?), html (the crawl does not keep it: --store html)"
    )
    assert said in commands.run(*crawl, "url,data.itms,html").lines
    done = commands.run("export", "-o", "-", "--items", "--fields", "data.seller,amount")
    assert [row["amount"] for row in done.records()] == [1, 2.5, 1, 2.5]
    assert done.lines == [
        "crawler: 4 items of 2 records written to stdout",
        "crawler: no item has data.seller (with --items name the item's own field: seller)",
    ]
    script = "from crawler import Crawl\nCrawl().export('b.csv', fields=['url', 'data.itms'])\n"
    commands.write("script.py", script)
    assert "no record has data.itms (did you mean data.items?)" in commands.run(python="script.py").err
    done = commands.run("export", "-o", "x.csv", "--fields", "")
    assert (done.code, "--fields is empty" in done.lines[-1]) == (2, True)


def test_what_cannot_be_is_told_before_the_crawl(
    commands: Commands, sites: Sites, refused: Callable[..., None]
) -> None:
    site = sites.add()
    url = site.serve("/", html())
    refused(commands.run("run", url, "--store", "meta", "-o", "site.md"), "crawl with --store markdown")
    refused(commands.run("run", url, "-o", "a.csv", "--fields", "url,tilte"), "did you mean title?")
    refused(commands.run("run", url, "--fields", "url"), "--fields is for an export: name its output with -o")
    refused(commands.run("run", url, "-o", "a.sqlite.gz"), "sqlite is no stream of bytes")
    refused(commands.run("run", url, "-o", "a.db/"), "a.db/ is a folder: a database is one file")
    assert not site.seen
    assert commands.run("export", "-o", "x.jsonl").code == 2  # no crawl was created


@pytest.fixture
def refused() -> Callable[..., None]:
    def check(done: object, words: str) -> None:
        lines = getattr(done, "lines", [])
        assert getattr(done, "code", None) == 2, lines
        assert words in lines[-1], lines
        assert "Traceback" not in "".join(lines)

    return check
