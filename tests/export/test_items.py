"""Columns of items: those that they have, and `data` for the rest where there is a rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler.errors import OutputError
from crawler.export import How, Output, Shape, Wanted
from tests.export.conftest import Crawl, page
from tests.export.readers import rows


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(crawl: Crawl, output: str, how: How | None = None, **wanted: Any) -> None:
    with Output(Wanted(output, shape=Shape(items=True), **wanted)) as opened:
        opened.write(crawl.frontier, ("text",), how or How())


@pytest.mark.parametrize("output", ["a.csv", "a.csv.gz", "a.parquet"])
def test_a_column_without_any_value_is_left_out(crawl: Crawl, output: str) -> None:
    crawl.commit(
        [page(1, data=[{"name": "a", "url": "http://x.org/"}, {"price": 2}]), page(2), page(3, data=["plain"])]
    )
    write(crawl, output)
    assert [list(row) for row in rows(output)] == [["url", "name", "item.url", "price", "value"]] * 3


@pytest.mark.parametrize("output", ["a.csv", "a.parquet"])
def test_what_has_no_column_keeps_one(crawl: Crawl, output: str) -> None:
    crawl.commit([page(1, data=[{"name": "a", "odd\n": 1}, {"data": 2}])])
    write(crawl, output)
    assert [(row["name"], row["data"]) for row in rows(output)] == [("a", '{"odd\\n":1}'), (None, '{"data":2}')]


@pytest.mark.parametrize("wanted", [{"state": "s"}, {"follow": True}])
def test_a_csv_file_that_grows_has_it_in_any_case(crawl: Crawl, wanted: dict[str, Any]) -> None:
    crawl.commit([page(1, data=[{"name": "a"}])])
    write(crawl, "a.csv", How(is_over=lambda: True) if "follow" in wanted else None, **wanted)
    assert list(rows("a.csv")[0]) == ["url", "name", "data"]


def test_a_crawl_of_which_only_the_first_pages_were_looked_at_has_it(
    crawl: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawler.export.exporter._SAMPLE", 1)
    crawl.commit([page(n, data=[{"name": "a"}]) for n in range(60)] + [page(61, data=[{"late": 1}])])
    write(crawl, "a.csv")
    assert rows("a.csv")[-1]["data"] == '{"late":1}'


def test_a_new_field_that_comes_meanwhile_is_not_lost_in_silence(crawl: Crawl) -> None:
    """The old file stays, and the next export has a column for it."""
    crawl.commit([page(n, data=[{"name": "a"}]) for n in range(60)])
    Path("a.csv").write_text("old")

    def meanwhile(result: object, _: object) -> None:
        if not crawl.crawldb.counters().get("outcome:redirected"):
            crawl.commit([page(99, outcome="redirected", data=[{"late": 1}])])

    with pytest.raises(OutputError, match="run the same command again"):
        write(crawl, "a.csv", How(meanwhile))
    assert Path("a.csv").read_text() == "old"
    write(crawl, "a.csv")
    assert list(rows("a.csv")[0]) == ["url", "name", "late"]
