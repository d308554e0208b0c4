"""Exports of changes, `--changed-since`: what is in them, each URL once, so that a copy elsewhere is kept in step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import UsageError
from crawler.export import How, Output, Selection, Shape, Wanted, checkpoints, read
from crawler.export.formats.csv import restore
from crawler.export.since import Since, When, reached
from crawler.frontier.keys import shard_of
from crawler.frontier.redis.connection import Connection
from crawler.record import CHANGES, Record
from tests.export.conftest import Crawl, page
from tests.export.readers import front_matter, rows, table
from tests.export.visits import changed, fail, failed, gone, later, moved, new, store

STORED = ("text", "data")
ALL = "1970-01-01"
STREAMS = ("a.jsonl", "a.csv.gz", "a.parquet")
CONTINUED = ("a.sqlite", "parts/ jsonl", "parts/ csv", "p.parquet/")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(crawl: Crawl, output: str, since: str | None = ALL, how: How | None = None, **wanted: Any) -> int:
    """Export changes to *output*, which may have a format behind a blank; how many records were written."""
    name, _, format = output.partition(" ")
    start = None if since is None else Since(since)
    with Output(Wanted(name, format=format or None, since=start, **wanted)) as opened:
        written = opened.write(crawl.frontier, STORED, how or How())
        written.result.refuse_left_out()
        return written.records


def found(output: str) -> list[tuple[int, str | None]]:
    """The number and the change of each row of an output."""
    return [(number(row["url"]), row.get("change")) for row in rows(named(output))]


def named(output: str) -> str:
    """The name of an output without its format."""
    return output.partition(" ")[0]


def number(url: str) -> int:
    return int(url.rpartition("/")[2])


def second_visit(crawl: Crawl) -> str:
    """Ten pages of which 1 changed, 2 is gone, 3 moved, 4 failed; 10 is new. The time between the two visits."""
    crawl.commit([new(n) for n in range(10)])
    time = later(crawl)
    store(crawl, [changed(1), gone(2), moved(3, 10), failed(4)])
    crawl.commit([new(10)])
    return time


FOUND = [(1, "changed"), (2, "gone"), (3, "moved"), (10, "new")]


# -- what is in it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", [*STREAMS, *CONTINUED])
def test_what_a_visit_found_is_in_it_and_nothing_else(crawl: Crawl, output: str) -> None:
    time = second_visit(crawl)
    assert write(crawl, output, time) == 4
    assert found(output) == FOUND
    by_number = {number(row["url"]): row for row in rows(named(output))}
    assert {n: row["text"] for n, row in by_number.items() if row.get("text")} == {
        1: changed(1).text,
        10: new(10).text,
    }
    assert by_number[3]["redirect_to"] == page(10).url
    assert (by_number[2]["status"], by_number[2]["outcome"]) == (404, "missing")


def test_a_time_before_the_crawl_is_everything_that_was_read(crawl: Crawl) -> None:
    second_visit(crawl)
    assert write(crawl, "a.jsonl") == 10  # the page that failed is not there: its record says nothing of it
    assert found("a.jsonl") == [(n, "new") for n in (0, 5, 6, 7, 8, 9)] + FOUND


def test_a_page_that_changed_twice_is_in_it_once_as_it_is_now(crawl: Crawl) -> None:
    time = second_visit(crawl)
    store(crawl, [gone(1), new(10, text="Later."), changed(2, change="back")])
    assert write(crawl, "a.jsonl", time) == 4
    assert found("a.jsonl") == [(3, "moved"), (1, "gone"), (10, "new"), (2, "back")]
    assert rows("a.jsonl")[2]["text"] == "Later."


def test_the_moment_itself_is_in_it_and_the_one_before_is_not(crawl: Crawl) -> None:
    crawl.commit([new(1)])
    ms = int(crawl.crawldb.records.read()[0][0].at.partition("-")[0])
    for at, n in ((ms, 1), (ms + 1, 0)):
        while crawl.crawldb.clock() < at:
            pass
        assert write(crawl, "a.jsonl", datetime.fromtimestamp(at / 1000, UTC).isoformat()) == n


def test_what_is_gone_has_no_contents(crawl: Crawl) -> None:
    """A page that asks for noindex may have data, and no index should have it."""
    store(crawl, [gone(1, outcome="dropped:noindex", status=200, text="Secret.", data={"price": 1})])
    write(crawl, "a.jsonl")
    (row,) = rows("a.jsonl")
    assert (row["change"], row.get("text"), row.get("data")) == ("gone", None, None)


@pytest.mark.parametrize("output", [*STREAMS, *CONTINUED])
def test_the_lines_that_changed_are_in_it(crawl: Crawl, output: str) -> None:
    lines = "@@ -1,2 +1,2 @@\n The price\n-129,00\n+=119,00\n"
    store(crawl, [changed(1, diff=lines), changed(2, diff_missing=True), gone(3, diff=lines)])
    assert write(crawl, output) == 3
    one, two, three = rows(named(output))
    assert (restore(one["diff"]) if "csv" in output else one["diff"]) == lines
    assert (one.get("diff_missing") or False, bool(two["diff_missing"])) == (False, True)
    assert (two.get("diff"), three.get("diff")) == (None, None)


@pytest.mark.parametrize("change", CHANGES)
def test_each_kind_of_change_is_in_it(crawl: Crawl, change: str) -> None:
    store(crawl, [page(1, change=change)])
    assert write(crawl, "a.jsonl") == 1
    assert found("a.jsonl") == [(1, change)]


def test_last_is_since_the_latest_visit_began(crawl: Crawl) -> None:
    second_visit(crawl)
    assert write(crawl, "a.jsonl", "last") == 10  # the first visit began when the crawl was created
    client, began = crawl.frontier.connection.client, later(crawl)
    ms = round(datetime.fromisoformat(began).timestamp() * 1000)
    client.hset(crawl.shard.keys.meta, mapping={"visit": 3, "visit_ms": ms})
    store(crawl, [changed(5)])
    assert write(crawl, "a.jsonl", "last") == 1
    assert found("a.jsonl") == [(5, "changed")]
    client.hset(crawl.shard.keys.meta, "visit_ms", "soon")  # something else wrote there
    assert write(crawl, "a.jsonl", "last") == 10


def test_changes_of_all_shards_are_in_it(redis_url: str) -> None:
    link = Connection(redis_url)
    crawl = Crawl.create(link, "sharded", shards=3)
    hosts = [f"http://site-{n}.example" for n in range(12)]
    crawl.commit([new(n, url=f"{host}/{n}") for n, host in enumerate(hosts)])
    time = later(crawl)
    store(crawl, [changed(n, url=f"{host}/{n}") for n, host in enumerate(hosts) if n % 2])
    assert len({shard.keys.meta for shard in crawl.frontier.shards}) == 3
    assert write(crawl, "a.jsonl", time) == 6
    assert write(crawl, "b.jsonl", time, state="s") == 6
    store(crawl, [gone(0, url=f"{hosts[0]}/0")])
    assert write(crawl, "b.jsonl", time, state="s") == 1
    assert sorted(n for n, _ in found("b.jsonl")) == [0, 1, 3, 5, 7, 9, 11]
    link.close()


def test_an_export_of_all_records_has_visits_that_failed_and_one_of_changes_has_not(crawl: Crawl) -> None:
    crawl.commit([new(1), new(2)])
    fail(crawl, 1)
    assert write(crawl, "all.jsonl", None) == 3
    assert [(number(row["url"]), row["outcome"]) for row in rows("all.jsonl")] == [
        *((1, "fetched"), (2, "fetched"), (1, "failed:timeout")),
    ]
    assert write(crawl, "a.jsonl") == 2
    assert found("a.jsonl") == [(1, "new"), (2, "new")]


# -- when --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ("7d", "7d"),
        (timedelta(days=7), "604800.000000s"),
        (date(2026, 11, 1), "2026-11-01"),
        (datetime(2026, 11, 1, 6, tzinfo=UTC), "2026-11-01T06:00:00+00:00"),
        ("last", "last"),
    ],
)
def test_programs_name_times_as_they_have_them(when: When, text: str) -> None:
    assert Since.of(when) == Since(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-02", 86_400_000),
        ("19700102", 86_400_000),
        ("1970-01-02T01:00:00+01:00", 86_400_000),
        ("1970-01-02t00:00:00.5z", 86_400_500),
        (" 1970-01-02 00:00 ", 86_400_000),
    ],
)
def test_a_date_without_a_zone_is_utc(crawl: Crawl, text: str, ms: int) -> None:
    assert Since(text).begins(crawl.crawldb) == ms


def test_a_time_ago_is_by_the_clock_of_redis(crawl: Crawl) -> None:
    before = crawl.crawldb.clock()
    assert before <= Since("2h").begins(crawl.crawldb) + 7_200_000 <= crawl.crawldb.clock()
    assert Since("3650d").begins(crawl.crawldb) > 0


@pytest.mark.parametrize("text", ["", "soon", "0", "2026", "7 weeks", "2026-13-01", "Last", "-1d", "9999d", "٣d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"a date such as 2026-11-01 or .* a time ago such as 7d, or `last`"):
        Since(text)


@pytest.mark.parametrize("when", [7, 7.5, None, b"7d"])
def test_what_is_no_time_is_refused_from_a_program(when: Any) -> None:
    with pytest.raises(UsageError, match="changed_since="):
        Since.of(when)


def test_a_time_to_come_is_refused(crawl: Crawl) -> None:
    with pytest.raises(UsageError, match="in the future, by the clock of Redis"):
        write(crawl, "a.jsonl", "2999-01-01")
    assert not Path("a.jsonl").exists()
    with pytest.raises(UsageError, match="in the future"):
        write(crawl, "a.jsonl", "2999-01-01", state="s")
    assert not Path("s").exists()


def test_last_is_by_the_clock_of_each_server(redis_url: str) -> None:
    """Shards may be on servers whose clocks differ: here one began its visit an hour ago, by its clock."""
    link = Connection(redis_url)
    crawl = Crawl.create(link, "sharded", shards=2)
    hosts = [f"http://site-{n}.example" for n in range(8)]
    crawl.commit([new(n, url=f"{host}/{n}") for n, host in enumerate(hosts)])
    began = datetime.fromisoformat(later(crawl)).timestamp() * 1000
    for shard, when in zip(crawl.frontier.shards, (began - 3_600_000, began), strict=True):
        link.client.hset(shard.keys.meta, mapping={"visit": 2, "visit_ms": round(when)})
    store(crawl, [changed(n, url=f"{host}/{n}") for n, host in enumerate(hosts) if n > 5])
    write(crawl, "a.jsonl", "last", state="s")
    first = {n for n, host in enumerate(hosts) if shard_of(host.removeprefix("http://"), 2) == 0}
    assert first not in (set(), {*range(8)})
    assert {n for n, _ in found("a.jsonl")} == first | {6, 7}
    link.close()


def test_where_an_export_has_ended_is_its_last_record_of_any_shard() -> None:
    assert reached("0-0,5999-1,2000-7") == "1970-01-01T00:00:05Z"  # one shard has no pages, another no newer ones
    assert reached("0-0,0-0") == ""


# -- with a state ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["a.jsonl", "a.csv.zst", *CONTINUED])
def test_each_export_continues_where_the_one_before_ended(crawl: Crawl, output: str) -> None:
    state: dict[str, Any] = {"state": "s"} if output.startswith("a.") and "sqlite" not in output else {}
    time = second_visit(crawl)
    assert write(crawl, output, time, **state) == 4
    assert write(crawl, output, "1h", **state) == 0
    store(crawl, [changed(5), gone(10)])
    assert write(crawl, output, "1h", **state) == 2
    last = dict(found(output))  # the later line holds
    assert last == dict(FOUND) | {5: "changed", 10: "gone"}


def test_a_new_file_goes_on_where_the_one_before_ended(crawl: Crawl) -> None:
    """Each week has a file of its own."""
    time = second_visit(crawl)
    assert write(crawl, "1.jsonl", time, state="s") == 4
    store(crawl, [changed(7)])
    assert write(crawl, "2.jsonl", time, state="s") == 1
    assert (found("1.jsonl"), found("2.jsonl")) == (FOUND, [(7, "changed")])


@pytest.mark.parametrize("output", ["a.jsonl", *CONTINUED])
def test_one_that_breaks_off_is_continued_and_loses_nothing(
    crawl: Crawl, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_RECORDS", 50)
    state: dict[str, Any] = {"state": "s"} if output == "a.jsonl" else {}
    crawl.commit([new(n) for n in range(300)])
    time = later(crawl)
    store(crawl, [changed(n) for n in range(250)])
    seen = 0

    def break_off(_: object, written: Sequence[Any]) -> None:
        nonlocal seen
        seen += len(written)
        if seen >= 120:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write(crawl, output, time, How(break_off), **state)
    write(crawl, output, time, **state)
    assert found(output) == [(n, "changed") for n in range(250)]


@pytest.mark.parametrize("output", CONTINUED)
def test_a_full_export_becomes_one_of_changes_and_not_the_other_way(crawl: Crawl, output: str) -> None:
    crawl.commit([new(n) for n in range(3)])
    assert write(crawl, output, None) == 3
    store(crawl, [changed(1), failed(2)])
    assert write(crawl, output, "last") == 1  # what it has already does not come again
    with pytest.raises(UsageError, match="is the state of an export of changes: add --changed-since, or name another"):
        write(crawl, output, None)


@pytest.mark.parametrize("drain", [True, False])
def test_drain_frees_what_was_written_and_nothing_else(crawl: Crawl, drain: bool) -> None:
    time = second_visit(crawl)
    write(crawl, "a.jsonl", time, state="s", drain=drain)
    left = [number(record.url) for record in read(crawl.crawldb.records)]
    assert left == ([0, 5, 6, 7, 8, 9, 4] if drain else [0, 5, 6, 7, 8, 9, 1, 2, 3, 4, 10])
    write(crawl, "a.jsonl", time, state="s", drain=True)  # what the first one left is left
    assert len([*read(crawl.crawldb.records)]) == len(left)


# -- copies that are kept in step --------------------------------------------------------------------------------------


def test_a_table_has_each_page_as_it_is_and_what_is_gone_without_contents(crawl: Crawl) -> None:
    crawl.commit([new(n) for n in range(5)])
    write(crawl, "a.sqlite", "last")
    store(crawl, [changed(1), gone(2), moved(3, 5), failed(4)])
    write(crawl, "a.sqlite", "last")
    pages = {number(row["url"]): (row["change"], row["text"]) for row in rows("a.sqlite")}
    assert pages == {
        0: ("new", page(0).text),
        1: ("changed", changed(1).text),
        2: ("gone", None),
        3: ("moved", None),
        4: ("new", page(4).text),  # a visit that failed found nothing out
    }


def test_a_table_of_items_loses_those_of_a_page_that_is_gone(crawl: Crawl) -> None:
    offers = [{"seller": "a"}, {"seller": "b"}]
    crawl.commit([new(n, data=offers) for n in range(4)])
    write(crawl, "a.sqlite", shape=Shape(items=True))
    store(crawl, [gone(1), changed(2, data=[{"seller": "c"}]), changed(3)])
    write(crawl, "a.sqlite", shape=Shape(items=True))
    items = table("a.sqlite", "SELECT url, seller FROM items ORDER BY url, seller")
    assert [(number(row["url"]), row["seller"]) for row in items] == [(0, "a"), (0, "b"), (2, "c")]


@pytest.mark.parametrize("output", ["a.jsonl", "a.csv", "a.parquet", "parts/ csv", "p.parquet/"])
def test_a_page_that_lost_its_items_has_a_row_with_its_url_alone(crawl: Crawl, output: str) -> None:
    crawl.commit([new(1, data=[{"seller": "a"}]), new(2, data=[{"seller": "b"}]), new(3)])
    time = later(crawl)
    store(crawl, [gone(1), changed(2), changed(4, data=[{"seller": "d"}])])
    assert write(crawl, output, time, shape=Shape(items=True)) == 3
    assert [(number(row["url"]), row.get("seller")) for row in rows(named(output))] == [(1, None), (2, None), (4, "d")]
    assert write(crawl, f"b{output}", ALL, shape=Shape(("url", "page.change", "seller"), items=True)) == 3
    assert [row.get("page.change") for row in rows(f"b{named(output)}")] == ["gone", "gone", "changed"]


@pytest.mark.parametrize("since", ["last", None])
def test_a_folder_of_pages_loses_the_file_of_a_page_that_is_gone(crawl: Crawl, since: str | None) -> None:
    crawl.commit([new(n) for n in range(6)])
    write(crawl, "docs/ markdown", since)
    store(crawl, [changed(1), gone(2), moved(3, 9), failed(4), changed(5, canonical=page(1).url), gone(77)])
    assert write(crawl, "docs/ markdown", since) == 5
    files = {number(front_matter(file)["url"]): front_matter(file)["body"] for file in Path("docs").rglob("*.md")}
    assert sorted(files) == [0, 1, 4]
    assert "Another text of page 1" in files[1]
    assert "The text of page 4" in files[4]
    store(crawl, [changed(2, change="back")])
    write(crawl, "docs/ markdown", since)
    assert len([*Path("docs").rglob("*.md")]) == 4


def test_a_page_that_comes_and_goes_within_an_export_leaves_no_file(crawl: Crawl) -> None:
    crawl.commit([new(1)])

    def disappear(_: object, written: Sequence[Any]) -> None:
        if written and not gone_now:
            gone_now.append(1)
            store(crawl, [gone(1)])

    gone_now: list[int] = []
    write(crawl, "docs/ markdown", ALL, How(disappear))
    assert [*Path("docs").rglob("*.md")] == []


def test_one_file_of_pages_says_what_is_gone(crawl: Crawl) -> None:
    time = second_visit(crawl)
    write(crawl, "site.md", time)
    text = Path("site.md").read_text()
    assert f"Source: <{page(2).url}>\n\n*This page is gone.*" in text
    assert f"Source: <{page(3).url}>\n\n*This page has moved to {page(10).url}*" in text
    assert text.count("Source: ") == 4
    write(crawl, "whole.md", None)
    assert "gone" not in Path("whole.md").read_text()


@pytest.mark.parametrize("output", ["sitemap.xml", "llms.txt"])
def test_lists_of_pages_have_those_that_are_there(crawl: Crawl, output: str) -> None:
    time = second_visit(crawl)
    assert write(crawl, output, time) == 2
    text = Path(output).read_text()
    assert [n for n in range(11) if f"/page/{n}<" in text or f"/page/{n})" in text] == [1, 10]


def test_a_page_that_is_no_more_selected_comes_as_gone(crawl: Crawl) -> None:
    """Else a copy of what is selected would keep it for ever."""
    crawl.commit([new(n) for n in range(3)])
    time = later(crawl)
    store(crawl, [changed(1, duplicate_of=page(0).url), changed(2), new(3, duplicate_of=page(0).url)])
    write(crawl, "a.jsonl", time, selection=Selection(unique=True))
    assert found("a.jsonl") == [(1, "gone"), (2, "changed")]


def test_outcomes_and_statuses_hold_for_what_is_gone_as_well(crawl: Crawl) -> None:
    time = second_visit(crawl)
    for selection, n in (
        (Selection(("missing",)), [2]),
        (Selection((), ("3xx",)), [3]),
        (Selection(("fetched",)), [1, 10]),
    ):
        write(crawl, "a.jsonl", time, selection=selection)
        assert [number for number, _ in found("a.jsonl")] == n
    assert Selection(("fetched",)).hides_removals
    assert not Selection(("fetched", "missing")).hides_removals
    assert Selection((), ("200",)).hides_removals
    assert not Selection((), ("2xx", "404")).hides_removals


def test_records_that_a_worker_of_now_would_not_write_are_no_changes(crawl: Crawl) -> None:
    crawl.commit([page(1), failed(2)])
    assert write(crawl, "a.jsonl") == 0
    assert Path("a.jsonl").read_bytes() == b""
    assert Record.decode(page(1).encode()).change is None
