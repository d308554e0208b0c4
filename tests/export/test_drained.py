"""After `--drain`: an export that has nothing to write leaves an older output as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler.errors import UsageError
from crawler.export import How, Output, Selection, Wanted
from crawler.export.target import has_content
from tests.export.conftest import Crawl, page

WHOLE = ("a.jsonl", "a.jsonl.zst", "a.csv", "a.csv.gz", "a.parquet", "site.md", "sitemap.xml", "llms.txt")
"""Outputs that an export replaces."""
CONTINUED = ("a.sqlite", "parts/ jsonl", "p.parquet/", "docs/ markdown")
"""Outputs that keep their own state, so a later export adds to them."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(crawl: Crawl, output: str, **wanted: Any) -> int:
    name, _, format = output.partition(" ")
    how = How(is_over=lambda: True) if wanted.get("follow") else How()
    with Output(Wanted(name, format=format or None, **wanted)) as opened:
        return opened.write(crawl.frontier, ("text", "markdown"), how).records


def drained(crawl: Crawl, pages: int = 3) -> None:
    """All that *crawl* has ended so far is in another output."""
    assert write(crawl, "drained.jsonl", drain=True) == pages


def content(here: Path) -> dict[str, bytes]:
    return {str(path.relative_to(here)): path.read_bytes() for path in here.rglob("*") if path.is_file()}


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("output", WHOLE)
def test_an_older_output_is_not_replaced_by_an_empty_one(crawl: Crawl, here: Path, output: str, follow: bool) -> None:
    if follow and output in ("a.parquet", "sitemap.xml", "llms.txt"):
        pytest.skip("it appears whole at the end, so it follows no crawl")
    crawl.commit([page(n) for n in range(3)])
    write(crawl, output)
    drained(crawl)
    before = content(here)
    with pytest.raises(UsageError) as error:
        write(crawl, output, follow=follow)
    assert str(error.value) == (
        f"{output} stays as it was: there is no record to write, for 3 records drained before can be found in the files"
        " written then; name another output"
    )
    assert content(here) == before
    assert write(crawl, f"new-{output}" if output != "llms.txt" else "new.llms.txt") == 0


@pytest.mark.parametrize("output", CONTINUED)
def test_what_is_continued_loses_nothing(crawl: Crawl, output: str) -> None:
    crawl.commit([page(n) for n in range(3)])
    write(crawl, output)
    drained(crawl)
    name = output.partition(" ")[0]
    with Output(Wanted(name, format=output.partition(" ")[2] or None)) as opened:
        written = opened.write(crawl.frontier, ("text", "markdown"))
    assert (written.records, written.in_all) == (0, 3)


def test_records_that_are_left_are_written(crawl: Crawl) -> None:
    crawl.commit([page(n) for n in range(3)])
    write(crawl, "a.jsonl")
    drained(crawl)
    crawl.commit([page(7)])
    assert write(crawl, "a.jsonl") == 1
    assert page(7).url in Path("a.jsonl").read_text()


def test_without_drained_records_a_selection_of_nothing_is_an_empty_file(crawl: Crawl) -> None:
    crawl.commit([page(n) for n in range(3)])
    write(crawl, "a.jsonl")
    assert write(crawl, "a.jsonl", selection=Selection(["failed"])) == 0
    assert Path("a.jsonl").read_bytes() == b""


def test_an_empty_file_and_stdout_have_nothing_to_lose(
    crawl: Crawl, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    crawl.commit([page(n) for n in range(3)])
    drained(crawl)
    Path("a.jsonl").touch()
    assert write(crawl, "a.jsonl") == 0
    Path("-").write_text("a file of this name is no output")
    assert write(crawl, "-") == 0
    assert capsysbinary.readouterr().out == b""
    assert not has_content("/dev/null")


def test_a_followed_file_stays_when_the_export_fails_before_the_first_record(here: Path) -> None:
    Path("a.csv").write_bytes(b"old")
    with Output(Wanted("a.csv", follow=True)):
        pass
    assert Path("a.csv").read_bytes() == b"old"
