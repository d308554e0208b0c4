"""Every format of an export: what other programs read in it, continued, refused, and what ends it early."""

from __future__ import annotations

import gzip
import json
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from crawler.errors import CrawlerError, OutputError, UsageError
from crawler.export import How, Output, Selection, Shape, Wanted, checkpoints
from crawler.frontier.redis.connection import Connection
from crawler.record import Link, Request
from tests.export.conftest import Crawl, page
from tests.export.readers import numbers, rows, table

STORED = ("text", "markdown", "links", "data")
CONTINUED = ("a.sqlite", "a.db", "parts/ jsonl", "parts/ jsonl.gz", "parts/ csv.zst", "p.parquet/", "docs/ markdown")
"""Outputs that keep their own state: a name, and a format if the name does not say it."""
WHOLE = ("a.jsonl", "a.jsonl.zst", "a.csv", "a.csv.gz", "a.parquet", "site.md")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(crawl: Crawl, output: str, how: How | None = None, stored: tuple[str, ...] = STORED, **wanted: Any) -> int:
    """Export to *output*, which may have a format behind a blank; how many records were written."""
    name, _, format = output.partition(" ")
    with Output(Wanted(name, format=format or None, **wanted)) as opened:
        written = opened.write(crawl.frontier, stored, how or How())
        written.result.refuse_left_out()
        return written.records


def read(output: str) -> list[int]:
    return sorted(numbers(output.partition(" ")[0]))


def refused(crawl: Crawl, words: str, output: str, **wanted: Any) -> None:
    """The export is refused by one line that has these words."""
    with pytest.raises(UsageError, match=words) as error:
        write(crawl, output, **wanted)
    assert "\n" not in str(error.value)


# -- all formats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", [*WHOLE, *CONTINUED])
def test_another_program_reads_each_record_once(crawl: Crawl, output: str) -> None:
    crawl.commit([page(n) for n in range(120)])
    assert write(crawl, output) == 120
    assert read(output) == list(range(120))


@pytest.mark.parametrize("output", CONTINUED)
def test_the_same_again_writes_what_is_new(crawl: Crawl, output: str) -> None:
    crawl.commit([page(n) for n in range(60)])
    assert write(crawl, output) == 60
    assert write(crawl, output) == 0
    crawl.commit([page(n) for n in range(60, 75)])
    assert write(crawl, output) == 15
    assert read(output) == list(range(75))


@pytest.mark.parametrize("output", CONTINUED)
def test_an_export_that_ends_early_is_continued(crawl: Crawl, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is broken off between two checkpoints: what came after the first is written again, once."""
    monkeypatch.setattr(checkpoints, "EVERY_RECORDS", 100)
    crawl.commit([page(n) for n in range(400)])
    seen = 0

    def break_off(_: object, written: Any) -> None:
        nonlocal seen
        seen += len(written)
        if seen >= 250:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write(crawl, output, How(break_off))
    assert set(read(output)) >= set(range(100))
    write(crawl, output)
    assert read(output) == list(range(400))


@pytest.mark.parametrize("output", CONTINUED)
def test_what_is_drained_is_in_the_output(crawl: Crawl, output: str) -> None:
    crawl.commit([page(n) for n in range(50)])
    assert write(crawl, output, drain=True) == 50
    assert crawl.crawldb.records.exported("0-0", "+")[0] == []
    crawl.commit([page(50)])
    assert write(crawl, output, drain=True) == 1
    assert read(output) == list(range(51))


@pytest.mark.parametrize("output", CONTINUED)
def test_a_crawl_that_was_started_over_is_refused(crawl: Crawl, output: str, redis_url: str) -> None:
    crawl.commit([page(1)])
    write(crawl, output)
    crawl.frontier.delete()
    crawl.crawldb.sweep()
    link = Connection(redis_url)
    again = Crawl.create(link)
    again.commit([page(2)])
    refused(again, "was started over since .* was written: name another output", output)
    refused(Crawl.create(link, "other"), "of crawl 'export', not 'other'", output)
    assert read(output) == [1]
    link.close()


@pytest.mark.parametrize("output", CONTINUED)
def test_a_second_export_at_the_same_time_is_refused(crawl: Crawl, output: str) -> None:
    name, _, format = output.partition(" ")
    with Output(Wanted(name, format=format or None)):
        refused(crawl, "being written by another export", output)


@pytest.mark.parametrize("output", CONTINUED)
def test_another_kind_of_export_is_refused(crawl: Crawl, output: str) -> None:
    crawl.commit([page(1)])
    write(crawl, output)
    refused(crawl, "an export of all records: ask for the same", output, selection=Selection(("fetched",)))
    refused(crawl, "an export of all records: ask for the same", output, selection=Selection(unique=True))
    if "markdown" not in output:
        refused(crawl, "an export of all fields: ask for the same", output, shape=Shape(("url",)))


@pytest.mark.parametrize("output", CONTINUED)
def test_an_output_that_was_moved_goes_on_where_it_is(crawl: Crawl, output: str) -> None:
    crawl.commit([page(1)])
    write(crawl, output)
    name, blank, format = output.partition(" ")
    Path(name).rename("moved" + Path(name).suffix)
    moved = f"moved{Path(name).suffix}{'/' if name.endswith('/') else ''}{blank}{format}"
    crawl.commit([page(2)])
    assert write(crawl, moved) == 1
    assert read(moved) == [1, 2]
    assert write(crawl, output) == 2  # where it was there is nothing now: a new one begins


@pytest.mark.parametrize("output", CONTINUED)
def test_a_state_of_its_own_is_enough(crawl: Crawl, output: str) -> None:
    refused(crawl, "keeps its state itself: leave out --state a.state", output, state="a.state")


@pytest.mark.parametrize("output", ["a.parquet", "sitemap.xml", "llms.txt"])
@pytest.mark.parametrize("wanted", [{"state": "s"}, {"drain": True}, {"follow": True}])
def test_what_exists_only_as_a_whole_has_no_state(crawl: Crawl, output: str, wanted: dict[str, Any]) -> None:
    refused(crawl, "appears whole at the end: leave out --state, --drain and --follow", output, **wanted)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("output", ["a.parquet", "sitemap.xml", "llms.txt", "site.md"])
def test_an_old_file_stays_until_the_new_one_is_whole(crawl: Crawl, output: str) -> None:
    Path(output).write_text("old")
    crawl.commit([page(1)])

    def break_off(*_: object) -> None:
        assert Path(output).read_text() == "old"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(crawl, output, How(break_off))
    assert [path.name for path in Path().iterdir()] == [output]
    assert Path(output).read_text() == "old"
    write(crawl, output)
    assert Path(output).read_bytes() != b"old"


@pytest.mark.parametrize("output", ["parts/ jsonl", "docs/ markdown"])
def test_a_folder_with_other_files_is_refused(crawl: Crawl, output: str) -> None:
    folder = Path(output.partition("/")[0])
    folder.mkdir()
    (folder / "README.md").write_text("mine")
    refused(crawl, "is not empty, and not written by an export: name a new folder", output)
    assert [path.name for path in folder.iterdir()] == ["README.md"]


FULL = """
import resource, sys
from crawler.cli.app import main
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
main(sys.argv[1:])
"""
"""The command line with files that end at 200 KB, as on a full disk."""


@pytest.mark.parametrize("output", ["a.sqlite", "parts/ jsonl", "p.parquet/", "a.parquet", "site.md", "a.jsonl.zst"])
def test_a_full_disk_ends_it_with_5(crawl: Crawl, output: str) -> None:
    name, _, format = output.partition(" ")
    dice = random.Random(1)
    crawl.commit([page(n, text=dice.randbytes(2_000).hex()) for n in range(600)])
    command = [sys.executable, "-c", FULL, "export", "-o", name, "--redis", crawl.url, "--crawl", "export"]
    ended = subprocess.run([*command, *(["--format", format] if format else [])], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.count("cannot be written:")) == (5, 1), ended.stderr
    assert "Traceback" not in ended.stderr
    write(crawl, output)
    assert read(output) == list(range(600))


# -- zstd --------------------------------------------------------------------------------------------------------------


def test_zstd_is_continued_by_frames_that_the_program_reads(crawl: Crawl) -> None:
    for n in range(3):
        crawl.commit([page(n)])
        write(crawl, "a.jsonl.zst", state="s")
    assert Path("a.jsonl.zst").read_bytes().count(b"\x28\xb5\x2f\xfd") == 3
    assert numbers("a.jsonl.zst") == [0, 1, 2]


# -- SQLite ------------------------------------------------------------------------------------------------------------


def test_the_later_line_of_a_url_holds_in_a_database(crawl: Crawl) -> None:
    crawl.commit([page(1, outcome="failed:http", error="500"), page(2)])
    write(crawl, "a.db")
    crawl.frontier.revive([Request(page(1).url)])
    crawl.end([page(1)])
    assert write(crawl, "a.db") == 1
    found = {row["url"]: (row["outcome"], row["error"]) for row in rows("a.db")}
    assert found == {page(1).url: ("fetched", None), page(2).url: ("fetched", None)}


def test_a_database_has_types_json_and_columns_for_what_a_hook_found(crawl: Crawl) -> None:
    links = [Link(url="http://example.org/", text="Home", line=3)]
    crawl.commit(
        [
            page(1, truncated=True, links=links, data={"price": 2.5, "Price": 3, "tags": ["a", "b"]}),
            page(2, data={"late": "x", "price": 10**30, 'a"b': None}),
            page(3, data=[1, 2]),
        ]
    )
    write(crawl, "a.sqlite")
    one, two, three = rows("a.sqlite")
    assert (one["status"], one["truncated"], json.loads(one["links"])) == (
        200,
        1,
        [{"url": "http://example.org/", "text": "Home", "line": 3}],
    )
    assert (one["data.price"], one["data.tags"], json.loads(one["data"])) == (2.5, '["a","b"]', {"Price": 3})
    assert (two["data.late"], two["data.price"], two["data"]) == ("x", str(10**30), None)
    assert (three["data"], three["data.price"]) == ("[1,2]", None)


def test_keys_without_end_stay_in_one_column(crawl: Crawl) -> None:
    crawl.commit([page(n, data={f"{n}-{k}": k for k in range(60)} | {"\n": 1, "": 2}) for n in range(3)])
    write(crawl, "a.sqlite")
    found = rows("a.sqlite")
    assert len([name for name in found[0] if name.startswith("data.")]) <= 100
    for n, row in enumerate(found):
        rest = json.loads(row["data"])
        own = {
            name.removeprefix("data."): value for name, value in row.items() if "data." in name and value is not None
        }
        assert rest | own == {f"{n}-{k}": k for k in range(60)} | {"\n": 1, "": 2}


def test_items_have_a_table_of_their_own_and_are_replaced_with_their_page(crawl: Crawl) -> None:
    offers = [{"seller": "a", "url": "http://s/"}, {"seller": "b", "n": [1]}, "plain"]
    crawl.commit([page(1, data={"name": "x", "items": offers}), page(2), page(3, data=[{"seller": "c"}])])
    write(crawl, "a.sqlite", shape=Shape(items=True))
    assert [row["url"] for row in rows("a.sqlite")] == [page(n).url for n in (1, 2, 3)]
    assert rows("a.sqlite")[0]["data.name"] == "x"
    items = table("a.sqlite", 'SELECT url, seller, "item.url" AS own, n, value FROM items ORDER BY rowid')
    assert [tuple(item.values()) for item in items] == [
        (page(1).url, "a", "http://s/", None, None),
        (page(1).url, "b", None, "[1]", None),
        (page(1).url, None, None, None, "plain"),
        (page(3).url, "c", None, None, None),
    ]


def test_others_read_a_database_while_it_is_written(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_RECORDS", 100)
    crawl.commit([page(n, text="x" * 50_000) for n in range(400)])
    seen: list[int] = []

    def look(_: object, written: object) -> None:
        with closing(sqlite3.connect("a.sqlite", timeout=0)) as database:
            seen.append(database.execute("SELECT count(*) FROM pages").fetchone()[0] if seen or written else 0)

    with Output(Wanted("a.sqlite")) as output:
        checkpointed = How(lambda result, written: look(result, result.count > 100))
        output.write(crawl.frontier, STORED, checkpointed)
    assert seen == sorted(seen)
    assert 100 <= max(seen) <= 400
    assert [path.name for path in Path().iterdir()] == ["a.sqlite"]  # at the end it is one file


def test_a_file_that_is_no_database_of_ours_is_left_alone(crawl: Crawl) -> None:
    Path("a.db").write_text("text " * 300)
    refused(crawl, "cannot be used as a database: .*: name another file", "a.db")
    assert Path("a.db").read_text() == "text " * 300
    with closing(sqlite3.connect("b.db")) as database:
        database.execute("CREATE TABLE pages (mine)")
    refused(crawl, "has a table pages or items that no export made", "b.db")
    Path("c.db").mkdir()
    refused(crawl, "c.db is a folder: a database is one file", "c.db")
    refused(crawl, "its folder does not exist", "none/a.db")
    refused(crawl, "is no stream of bytes", "- sqlite")


# -- Parquet -----------------------------------------------------------------------------------------------------------


def test_parquet_has_types(crawl: Crawl) -> None:
    links = [Link(url="http://example.org/", text="Home", line=3)]
    crawl.commit([page(1, links=links, data={"price": 1}), page(2, data=None, status=None)])
    write(crawl, "a.parquet")
    schema = pyarrow.parquet.read_schema("a.parquet")
    assert (str(schema.field("status").type), str(schema.field("truncated").type)) == ("int64", "bool")
    assert str(schema.field("links").type).startswith("list<element: struct<url: string, text: string, rel")
    one, two = rows("a.parquet")
    assert one["links"] == [{"url": "http://example.org/", "text": "Home", "rel": None, "line": 3}]
    assert (one["data"], two["data"], two["status"]) == ('{"price":1}', None, None)


def test_named_fields_have_the_narrowest_type_that_holds_all(crawl: Crawl) -> None:
    crawl.commit(
        [
            page(1, data={"price": 1, "deep": {"a": 1}, "list": [1], "odd": "x", "big": 1, "none": None, "empty": {}}),
            page(2, data={"price": 2.5, "deep": {"b": "x"}, "list": [2.5, None], "odd": 7, "big": 2**70}),
        ]
    )
    names = ("url", *(f"data.{name}" for name in ("price", "deep", "list", "odd", "big", "none", "empty")))
    write(crawl, "a.parquet", shape=Shape(names))
    one, two = rows("a.parquet")
    assert list(one) == list(names)
    assert tuple(one.values())[1:] == (1.0, {"a": 1, "b": None}, [1.0], "x", "1", None, "{}")
    assert tuple(two.values())[1:] == (2.5, {"a": None, "b": "x"}, [2.5, None], "7", str(2**70), None, None)


# -- fields and items --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["a.jsonl", "a.csv", "a.parquet", "parts/ jsonl", "p.parquet/"])
def test_fields_are_columns_in_their_order(crawl: Crawl, output: str) -> None:
    crawl.commit([page(1, data={"price": 9, "seller": {"name": "s"}})])
    write(crawl, output, shape=Shape(("title", "data.seller.name", "data.price", "url")))
    (row,) = rows(output.partition(" ")[0])
    assert list(row.items()) == [
        ("title", "Page 1"),
        ("data.seller.name", "s"),
        ("data.price", 9),
        ("url", page(1).url),
    ]


@pytest.mark.parametrize("output", ["a.jsonl", "a.csv", "a.parquet", "parts/ csv", "p.parquet/"])
def test_a_row_an_item(crawl: Crawl, output: str) -> None:
    found = [page(1, data={"items": [{"n": 1, "name": "a"}, {"n": 2, "name": "b"}]}), page(2), page(3, data=[{"n": 3}])]
    crawl.commit(found)
    assert write(crawl, output, shape=Shape(items=True)) == 2
    got = [(row["url"], row["n"], row.get("name") or None) for row in rows(output.partition(" ")[0])]
    assert got == [(page(1).url, 1, "a"), (page(1).url, 2, "b"), (page(3).url, 3, None)]


def test_fields_of_items_and_of_their_pages(crawl: Crawl) -> None:
    crawl.commit([page(1, data=[{"n": 1, "title": "own", "x": 5}])])
    write(crawl, "a.csv", shape=Shape(("url", "title", "page.title", "n"), items=True))
    assert rows("a.csv") == [{"url": page(1).url, "title": "own", "page.title": "Page 1", "n": 1}]


def test_csv_has_a_column_for_each_key_that_it_finds_first_and_loses_no_other(
    crawl: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawler.export.exporter._SAMPLE", 1)
    crawl.commit([page(1), *(page(n, data={"price": n}) for n in range(2, 60))])
    write(crawl, "a.csv", state="s")
    crawl.commit([page(60, data={"price": 60, "late": "x"})])
    write(crawl, "a.csv", state="s")
    found = rows("a.csv")
    assert [row["data.price"] for row in found] == [None, *range(2, 61)]
    assert (found[-1]["data"], [name for name in found[0] if name.startswith("data")]) == (
        '{"late":"x"}',
        ["data", "data.price"],
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("titel", "did you mean title"),
        ("price", r"what a hook or a rule found is data\.price"),
        ("title.x", "title has no parts: name title"),
    ],
)
def test_an_unknown_field_gets_a_guess(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Wanted("a.csv", shape=Shape(("url", name)))


@pytest.mark.parametrize("output", ["docs/ markdown", "site.md", "sitemap.xml", "llms.txt"])
def test_fields_are_for_formats_with_columns(output: str) -> None:
    name, _, format = output.partition(" ")
    with pytest.raises(UsageError, match="has no columns"):
        Wanted(name, format=format or None, shape=Shape(("url",)))


def test_of_copies_the_earliest_is_kept(crawl: Crawl) -> None:
    ids = [crawl.frontier.id(page(1).url)]
    crawl.commit([page(1), page(2, duplicate_of=ids[0]), page(3, near_duplicate_of=ids[0]), page(4)])
    assert write(crawl, "a.jsonl", selection=Selection(unique=True)) == 2
    assert read("a.jsonl") == [1, 4]


def test_only_the_contents_that_are_wanted_are_read(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []
    records = type(crawl.crawldb.records)
    reading = records.read

    def watched(self: Any, after: str, most: int, contents: Any) -> Any:
        asked.append(set(contents))
        return reading(self, after, most, contents)

    monkeypatch.setattr(records, "read", watched)
    crawl.commit([page(1)])
    for output, shape, wanted in (
        ("a.jsonl", Shape(("url", "text")), {"text"}),
        ("b.jsonl", Shape(("url", "title")), set()),
        ("c.parquet", Shape(("url", "links.url")), {"links"}),
        ("d.csv", Shape(items=True), {"data"}),
        ("e.sqlite", Shape(("title",)), set()),
        ("site.md", Shape(), {"markdown"}),
        ("sitemap.xml", Shape(), set()),
        ("llms.txt", Shape(), set()),
    ):
        asked.clear()
        write(crawl, output, shape=shape)
        assert set().union(*asked) == wanted, output


# -- the command -------------------------------------------------------------------------------------------------------


def test_compressed_sitemaps_are_gzip(crawl: Crawl) -> None:
    crawl.commit([page(1)])
    write(crawl, "sitemap.xml.gz")
    assert page(1).url.encode() in gzip.decompress(Path("sitemap.xml.gz").read_bytes())
    with pytest.raises(CrawlerError):
        Wanted("sitemap.xml.zst")


def test_an_output_error_is_what_it_says(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that goes away under an export."""
    crawl.commit([page(n) for n in range(10)])

    def remove(*_: object) -> None:
        for path in sorted(Path("docs").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        Path("docs").rmdir()

    with pytest.raises(OutputError, match="docs/ cannot be written"):
        write(crawl, "docs/ markdown", How(remove))
