"""`crawler export --changed-since` and the same in Python: what a person sees of an export of changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

import crawler
from crawler.frontier.redis.connection import Connection
from tests.export.conftest import Crawl
from tests.export.visits import changed, failed, gone, later, moved, new, store
from tests.stories.commands import Commands


@dataclass(frozen=True)
class Visited:
    """Commands in a folder, a crawl with two visits, and the time between these."""

    commands: Commands
    crawl: Crawl
    time: str

    def lines(self, *arguments: str) -> list[str]:
        """What an export of changes says on stderr."""
        done = self.commands.run("export", *arguments)
        assert (done.code, done.out) == (0, ""), done.err
        return [line.removeprefix("crawler: ") for line in done.lines]

    def refused(self, *arguments: str) -> str:
        """The one line with which it is refused."""
        done = self.commands.run("export", *arguments)
        assert (done.code, done.out) == (2, "")
        (line,) = done.lines
        return line.removeprefix("crawler: ")

    def found(self, name: str) -> list[str]:
        """The changes in a file of JSON lines, in their order."""
        text = (self.commands.folder / name).read_text()
        return [json.loads(line)["change"] for line in text.splitlines()]


@pytest.fixture
def visited(redis_url: str, commands_on: Callable[[str], Commands]) -> Iterator[Visited]:
    link = Connection(redis_url)
    crawl = Crawl.create(link, "default")
    crawl.commit([new(n) for n in range(5)])
    time = later(crawl)
    store(crawl, [changed(1), gone(2), moved(3, 9), failed(4)])
    yield Visited(commands_on(redis_url), crawl, time)
    link.close()


def test_each_week_has_what_changed_since_the_one_before(visited: Visited) -> None:
    weekly = ("--changed-since", visited.time, "--state", "s")
    assert visited.lines("-o", "1.jsonl", *weekly) == [
        f"1.jsonl is new and begins with what changed since {visited.time[:19]}Z: what was there before is not in it",
        "3 records written to 1.jsonl, 3 in all",
    ]
    store(visited.crawl, [changed(2, change="back")])
    first, second = visited.lines("-o", "2.jsonl", *weekly)
    assert first.startswith("continues where the export before ended, at 20")
    assert first.endswith("Z: --changed-since is where a new one begins")
    assert second == "1 record written to 2.jsonl, 4 in all"
    assert (visited.found("1.jsonl"), visited.found("2.jsonl")) == (["changed", "gone", "moved"], ["back"])
    assert visited.lines("-o", "3.jsonl", *weekly)[1:] == [
        "0 records written to 3.jsonl, 4 in all",
        "no visit has found a change since then",
    ]


def test_without_a_state_the_file_is_written_anew(visited: Visited) -> None:
    assert visited.lines("-o", "a.jsonl", "--changed-since", visited.time) == ["3 records written to a.jsonl"]
    assert visited.lines("-o", "a.jsonl", "--changed-since", "last") == ["4 records written to a.jsonl"]
    later(visited.crawl)
    assert visited.lines("-o", "a.jsonl", "--changed-since", "0.001s") == [
        "0 records written to a.jsonl",
        "no visit has found a change since then",
    ]


def test_what_others_have_drained_is_said(visited: Visited) -> None:
    begin = ("-o", "s.sqlite", "--changed-since", "2020-01-01")
    assert visited.lines(*begin) == ["4 records written to s.sqlite, 4 in all"]  # all that was read
    store(visited.crawl, [changed(0)])
    visited.lines("-o", "all.jsonl", "--drain")
    missing = "; what changed in them since then is in the files written then, not in this one"
    expected = ["0 records written to a.jsonl", f"drained by other exports: 5 records{missing}"]
    assert visited.lines("-o", "a.jsonl", "--changed-since", visited.time)[:2] == expected
    assert visited.lines("-o", "s.sqlite", "--changed-since", visited.time)[2:3] == expected[1:]
    store(visited.crawl, [changed(0)])
    assert len(visited.lines("-o", "s.sqlite", "--changed-since", visited.time, "--drain")) == 2
    assert len(visited.lines("-o", "s.sqlite", "--changed-since", visited.time)) == 3  # what it drained itself it has


def test_outcomes_that_leave_out_what_is_gone_are_said(visited: Visited) -> None:
    hint = "leaves out what is gone or moved: a copy that is kept in step needs that"
    since = ("-o", "a.jsonl", "--changed-since", visited.time)
    assert visited.lines(*since, "--only", "fetched")[0] == f"--only fetched {hint}"
    assert visited.lines(*since, "--only", "missing") == ["1 record written to a.jsonl"]


def test_fields_without_the_change_are_said(visited: Visited) -> None:
    since = ("-o", "a.jsonl", "--changed-since", visited.time, "--fields")
    hint = "what is gone or moved looks like a page of which nothing is known"
    assert visited.lines(*since, "url,text")[0] == f"--fields has no change: {hint}"
    assert visited.lines(*since, "url,seller", "--items")[0] == f"--fields has no page.change: {hint}"
    assert visited.lines(*since, "url,change") == ["3 records written to a.jsonl"]


@pytest.mark.parametrize("time", ["soon", "2026", "2999-01-01"])
def test_a_time_that_is_none_is_one_line(visited: Visited, time: str) -> None:
    line = visited.refused("-o", "a.jsonl", "--changed-since", time)
    assert line.startswith(f"--changed-since '{time}': ")


def test_a_state_of_changes_is_refused_for_a_full_export(visited: Visited) -> None:
    visited.lines("-o", "a.jsonl", "--changed-since", "last", "--state", "s")
    assert visited.refused("-o", "b.jsonl", "--state", "s") == (
        "s is the state of an export of changes: add --changed-since, or name another --state and a new -o"
    )


def test_python_has_the_same(visited: Visited, tmp_path: Path) -> None:
    time = datetime.fromisoformat(visited.time).astimezone(UTC).replace(tzinfo=None)  # without a zone it is UTC
    output, said = tmp_path / "a.jsonl", list[str]()
    with crawler.Crawl(redis=visited.crawl.url, say=said.append) as crawl:
        assert [record.change for record in crawl.records(changed_since=time)] == ["changed", "gone", "moved"]
        assert [record.change for record in crawl.records(changed_since="last")] == ["new", "changed", "gone", "moved"]
        assert len([*crawl.records()]) == 5
        rows = [*crawl.rows("change,text", changed_since=visited.time)]
        assert rows[:2] == [{"change": "changed", "text": changed(1).text}, {"change": "gone", "text": None}]
        assert [*crawl.rows(items=True, changed_since=time)] == [{"url": changed(n).url} for n in (1, 2, 3)]
        assert crawl.export(output, changed_since=time, state=tmp_path / "s") == 3
        assert [line.partition(" begins ")[0] for line in said] == [f"{output} is new and"]
        assert crawl.export(output, changed_since="7d", state=tmp_path / "s") == 0
        assert [line.partition(" ended")[0] for line in said[1:]] == ["continues where the export before"]
        crawl.export(tmp_path / "all.jsonl", drain=True)
        crawl.export(tmp_path / "b.jsonl", changed_since=time)
        assert said[-1].startswith("drained by other exports: 5 records; ")
        with pytest.raises(crawler.errors.UsageError, match="changed-since 'soon'"):
            crawl.records(changed_since="soon")
