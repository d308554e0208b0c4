"""Records go from the crawldb to a file: complete, in order, with bounded memory, while the crawl runs."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import FrontierError, UsageError
from crawler.export import ExportResult, Selection, open_writer, read
from crawler.export.formats.csv import restore
from crawler.frontier.crawldb import Records
from crawler.frontier.redis.connection import Backoff, Connection
from crawler.frontier.shards.records import Stored
from crawler.record import Link, Request
from tests.export.conftest import Crawl, page
from tests.export.exports import export, follow


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def export_to(file: Path, crawl: Crawl, **options: Any) -> ExportResult:
    with open_writer(str(file)) as writer:
        return export(crawl.crawldb.records, writer, **options)


def test_records_come_in_the_order_of_commits_with_their_text(crawl: Crawl, tmp_path: Path) -> None:
    records = [page(n) for n in (3, 1, 2)]
    crawl.commit(records)
    assert export_to(tmp_path / "a.jsonl", crawl).count == 3
    assert [line["url"][-1] for line in lines(tmp_path / "a.jsonl")] == ["3", "1", "2"]
    assert lines(tmp_path / "a.jsonl")[0]["text"] == records[0].text


def test_via_is_a_url_or_absent(crawl: Crawl, tmp_path: Path) -> None:
    known, parent, orphan, seed = page(1), page(2), page(3), page(4)
    vias = {known.url: parent.url, parent.url: known.url, orphan.url: "http://example.org/never-stored"}
    crawl.commit([parent, known, orphan, seed], vias)
    export_to(tmp_path / "a.jsonl", crawl)
    assert [line.get("via") for line in lines(tmp_path / "a.jsonl")] == [known.url, parent.url, None, None]


def test_via_is_found_in_redis_when_it_is_not_of_this_export(crawl: Crawl, tmp_path: Path) -> None:
    crawl.commit([page(1)])
    first = export_to(tmp_path / "a.jsonl", crawl)
    crawl.commit([page(2)], {page(2).url: page(1).url})
    second = export_to(tmp_path / "b.jsonl", crawl, after=first.cursor)
    assert (first.count, second.count) == (1, 1)
    assert [line["via"] for line in lines(tmp_path / "b.jsonl")] == [page(1).url]


def test_a_cursor_at_the_end_gives_nothing_and_stays(crawl: Crawl, tmp_path: Path) -> None:
    crawl.commit([page(1)])
    end = export_to(tmp_path / "a.jsonl", crawl).cursor
    assert export_to(tmp_path / "a.jsonl", crawl, after=end) == ExportResult(0, end)
    assert (tmp_path / "a.jsonl").read_bytes() == b""


def test_a_record_replaced_before_the_export_comes_once_and_last(crawl: Crawl, tmp_path: Path) -> None:
    failed = page(1, outcome="failed:http", status=500, text=None)
    crawl.commit([failed, page(2)])
    assert crawl.frontier.revive([Request(failed.url)]) == 1
    crawl.end([page(1)])
    assert export_to(tmp_path / "a.jsonl", crawl).count == 2
    assert [(line["url"][-1], line["outcome"]) for line in lines(tmp_path / "a.jsonl")] == [
        ("2", "fetched"),
        ("1", "fetched"),
    ]


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (None, ["fetched", "failed:http", "failed:dns", "dropped:robots", "redirected"]),
        (["failed"], ["failed:http", "failed:dns"]),
        (["failed:http", "redirected"], ["failed:http", "redirected"]),
        (["fetched", "dropped"], ["fetched", "dropped:robots"]),
        (["fetched,failed:dns", "redirected"], ["fetched", "failed:dns", "redirected"]),
    ],
)
def test_outcomes_are_picked_whole_or_by_their_first_word(
    crawl: Crawl, tmp_path: Path, names: list[str] | None, kept: list[str]
) -> None:
    every = ["fetched", "failed:http", "failed:dns", "dropped:robots", "redirected"]
    crawl.commit([page(n, outcome=outcome) for n, outcome in enumerate(every)])
    assert export_to(tmp_path / "a.jsonl", crawl, selection=Selection(names or ())).count == len(kept)
    assert [line["outcome"] for line in lines(tmp_path / "a.jsonl")] == kept


@pytest.mark.parametrize("name", ["fail", "failed:", "failed:htt", "", "Fetched"])
def test_an_unknown_outcome_is_named(name: str) -> None:
    with pytest.raises(UsageError, match="is no outcome; choose from dropped, failed, fetched"):
        Selection([name])


@pytest.mark.parametrize(
    ("only", "status", "kept"),
    [
        ((), ("200",), [200]),
        ((), ("3xx,404",), [301, 308, 404]),
        ((), ("3XX", "200"), [200, 301, 308]),
        (("failed",), ("4xx", "5xx"), [503]),
        (("failed",), ("200",), []),
    ],
)
def test_records_are_picked_by_status_and_both_filters_hold(
    crawl: Crawl, tmp_path: Path, only: tuple[str, ...], status: tuple[str, ...], kept: list[int]
) -> None:
    statuses = [200, 301, 308, 404, 503, None]
    outcome = {503: "failed:http", None: "failed:dns"}
    crawl.commit([page(n, outcome=outcome.get(s, "fetched"), status=s) for n, s in enumerate(statuses)])
    assert export_to(tmp_path / "a.jsonl", crawl, selection=Selection(only, status)).count == len(kept)
    assert [line["status"] for line in lines(tmp_path / "a.jsonl")] == kept


@pytest.mark.parametrize("status", ["20", "xxx", "2000", "2x", "0xx", "ok", ""])
def test_what_is_no_status_is_named(status: str) -> None:
    with pytest.raises(UsageError, match=r"--status .*: a status such as 200, or a class such as 3xx"):
        Selection((), [status])


def test_a_status_among_outcomes_is_guessed() -> None:
    with pytest.raises(UsageError, match=r"'404' is no outcome \(--status 404\?\)"):
        Selection(["404"])


def test_progress_is_told(crawl: Crawl, tmp_path: Path) -> None:
    crawl.commit([page(n) for n in range(120)])
    told: list[int] = []
    export_to(tmp_path / "a.jsonl", crawl, note=lambda result, _: told.append(result.count))
    assert told == sorted(told)
    assert told[-1] == 120
    assert len(told) > 1


NESTED = b"[" * 200_000 + b"]" * 200_000
DAMAGED = {
    "no JSON": ("m", b"not JSON"),
    "no record": ("m", b"{}"),
    "nested": ("m", b'{"url":"http://example.org/page/2","outcome":"fetched","depth":1,"data":' + NESTED + b"}"),
    "no URL": ("m", b'{"url":"x","outcome":"fetched","depth":1}'),
    "a bomb": ("t", zlib.compress(bytes(65 << 20))),
    "broken off": ("t", zlib.compress(b"text" * 1000)[:-5]),
}


@pytest.mark.parametrize(("field", "value"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_record_that_cannot_be_read_is_left_out_and_told_at_the_end(
    crawl: Crawl, tmp_path: Path, redis_server: Any, field: str, value: bytes
) -> None:
    """All others are written, also those that were found on it."""
    crawl.commit([page(n) for n in range(1, 5)], {page(3).url: page(2).url})
    key = crawl.shard.keys.page(crawl.frontier.id(page(2).url))
    with redis_server.client() as client:
        client.hset(key, field, value)
    with open_writer(str(tmp_path / "a.jsonl")) as writer:
        result = export(crawl.crawldb.records, writer)
    assert (result.count, result.left_out) == (3, 1)
    found = [json.loads(line)["url"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert found == [page(n).url for n in (1, 3, 4)]
    with pytest.raises(FrontierError, match=rf"^1 record was left out: a stored record cannot be read .*{key}$"):
        result.refuse_left_out()
    records = read(crawl.crawldb.records)
    assert [next(records).url for _ in range(3)] == found
    with pytest.raises(FrontierError, match="1 record was left out"):
        next(records)


def test_csv_comes_out_of_redis_as_it_went_in(crawl: Crawl, tmp_path: Path) -> None:
    crawl.commit(
        [page(1, title='a,"b"\r\n=c', data={"x": [1, None]}, links=[Link(url="http://example.org/")]), page(2)]
    )
    export_to(tmp_path / "a.csv.gz", crawl)
    with gzip.open(tmp_path / "a.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["title"] for row in rows] == ['a,"b"\r\n\'=c', "Page 2"]
    assert restore(rows[0]["title"]) == 'a,"b"\r\n=c'
    assert (rows[0]["data"], rows[0]["data.x"]) == ("", "[1,null]")
    assert rows[0]["links"] == '[{"url":"http://example.org/"}]'
    assert (rows[1]["data"], rows[1]["size"], rows[1]["truncated"]) == ("", "1002", "false")


MEASURE = """
import resource, sys
from crawler.export import Export, open_writer
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.redis.connection import Connection

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

crawldb = CrawlDb(Connection(sys.argv[1]), "export")
with open_writer(sys.argv[2]) as writer:
    marks = []
    result = Export(crawldb.records, writer, note=lambda *_: marks.append(peak())).run()
early = marks[len(marks) // 4]
print(result.count, marks[-1] - early, early)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_records(crawl: Crawl, tmp_path: Path) -> None:
    text = "word " * 200
    crawl.commit([page(n, text=text) for n in range(20_000)])
    target = tmp_path / "a.jsonl"
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, crawl.url, target], capture_output=True, text=True, check=True, timeout=150
    )
    count, growth, _ = map(int, ran.stdout.split())
    assert count == 20_000
    assert growth * (1 if sys.platform == "darwin" else 1024) < 8_000_000  # the 15,000 later records weigh 17 MB
    with target.open("rb") as file:
        assert sum(1 for _ in file) == 20_000


class Batches:
    """Records that note how many of them are asked for."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.asked: list[int] = []

    def read(self, after: str, most: int, contents: Collection[str]) -> tuple[list[Stored], str]:
        self.asked.append(most)
        return self.records.read(after, most, contents)

    def urls(self, ids: Sequence[str]) -> dict[str, str]:
        return self.records.urls(ids)

    def behind(self, cursor: str, taken: Sequence[Stored]) -> str:
        return self.records.behind(cursor, taken)


@pytest.mark.parametrize(("size", "largest"), [(100, 100), (1_000_000, 50)])
def test_batches_fit_the_weight_of_texts(crawl: Crawl, tmp_path: Path, size: int, largest: int) -> None:
    crawl.commit([page(n, text="x" * size) for n in range(60)])
    records = Batches(crawl.crawldb.records)
    with open_writer(str(tmp_path / "a.jsonl.gz")) as writer:
        assert export(records, writer).count == 60
    assert records.asked[0] == 50
    assert max(records.asked) <= largest
    assert (records.asked[1] > 50) is (size == 100)
    assert size == 100 or records.asked[1] == 8


class Following:
    """A crawl that goes on while it is followed: `pause` does the next of *steps* instead of waiting."""

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.pauses: list[float] = []

    def is_over(self) -> bool:
        return not self.steps

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.steps.pop(0)()


def test_follow_ends_when_the_crawl_is_over_and_nothing_is_left(crawl: Crawl, tmp_path: Path) -> None:
    target = tmp_path / "a.jsonl"
    seen: list[int] = []

    def look() -> None:
        seen.append(len(lines(target)))

    crawl.commit([page(0)])
    going = Following(
        look,
        lambda: crawl.commit([page(n) for n in range(1, 4)]),
        look,
        *[lambda: None] * 6,
        lambda: crawl.commit([page(4)]),
    )
    with open_writer(str(target), follow=True) as writer:
        result = follow(crawl.crawldb.records, writer, going.is_over, going.pause)
    assert result.count == 5
    assert seen == [1, 4]
    assert [line["url"][-1] for line in lines(target)] == ["0", "1", "2", "3", "4"]
    assert going.pauses == pytest.approx([0.2, 0.3, 0.2, 0.3, 0.45, 0.675, 1.0, 1.0, 1.0, 1.0])


def test_follow_reads_what_was_committed_just_before_the_crawl_was_over(crawl: Crawl, tmp_path: Path) -> None:
    def is_over() -> bool:
        if not crawl.crawldb.counters().get("ended"):
            crawl.commit([page(1)])
        return True

    def pause(seconds: float) -> None:
        pytest.fail("nothing is left to wait for")

    with open_writer(str(tmp_path / "a.jsonl"), follow=True) as writer:
        assert follow(crawl.crawldb.records, writer, is_over, pause).count == 1


def test_follow_picks_outcomes_and_does_not_stop_at_those_passed_over(crawl: Crawl, tmp_path: Path) -> None:
    going = Following(lambda: crawl.commit([page(1, outcome="dropped:robots"), page(2)]))
    with open_writer(str(tmp_path / "a.jsonl"), follow=True) as writer:
        result = follow(crawl.crawldb.records, writer, going.is_over, going.pause, selection=Selection(["dropped"]))
    assert result.count == 1
    assert [line["outcome"] for line in lines(tmp_path / "a.jsonl")] == ["dropped:robots"]


def test_a_patient_export_goes_on_after_redis_was_restarted(durable_redis: Any, tmp_path: Path) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 1:
            durable_redis.start()

    def break_once(*_: object) -> None:
        if not said:
            durable_redis.kill()

    link = Connection(durable_redis.url, patience=Backoff(say, first=0.01))
    crawl = Crawl.create(link)
    crawl.commit([page(n) for n in range(400)])
    with open_writer(str(tmp_path / "a.jsonl")) as writer:
        result = export(crawl.crawldb.records, writer, note=break_once)
    link.close()
    assert result.count == 400
    assert len(lines(tmp_path / "a.jsonl")) == 400
    assert "waiting for it" in said[0]
    assert "is back" in said[1]
