"""A format that is no stream of bytes needs a writer and a line in the table: here rows of a database, one per URL."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from crawler.cli.export import export_
from crawler.errors import CrawlerError, UsageError
from crawler.export import Checkpoints, ExportState, Wanted, checkpoints, open_writer
from crawler.export.formats import FORMATS, endings
from crawler.export.writer import Format, KnownOutput, Writer
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import Exported
from crawler.record import Request
from tests.export.conftest import Crawl, page
from tests.export.exports import export

OUT, STATE = "pages.rows", "a.state"


class RowWriter(Writer):
    """One transaction from a checkpoint to the next. Without a state it fills a new file that is renamed at the end."""

    def __init__(self, output: str, known: KnownOutput | None, *, part: str = "") -> None:
        self.output, self.known, self._part = output, known or KnownOutput(), part
        self._database: sqlite3.Connection | None = sqlite3.connect(part or output)
        self._database.execute("CREATE TABLE IF NOT EXISTS pages (n INTEGER PRIMARY KEY, url UNIQUE, outcome)")
        self._database.execute("DELETE FROM pages WHERE n > ?", [self.known.length])
        self._database.commit()

    def write(self, record: Any) -> None:
        assert self._database
        upsert = "INSERT INTO pages (url, outcome) VALUES (?, ?) ON CONFLICT DO UPDATE SET outcome = excluded.outcome"
        try:
            self._database.execute(upsert, [record.url, record.outcome])
        except sqlite3.Error as error:
            self.abort()
            raise CrawlerError(f"{self.output} cannot be written: {error}") from None

    def checkpoint(self) -> None:
        assert self._database
        self._database.commit()
        self.known = KnownOutput(self._database.execute("SELECT coalesce(max(n), 0) FROM pages").fetchone()[0])

    def finish(self) -> None:
        if self._database:
            self.checkpoint()
            self._close()
            if self._part:
                Path(self._part).replace(self.output)

    def abort(self) -> None:
        if self._database:
            self._database.rollback()
            self._close()
            Path(self._part or "none").unlink(missing_ok=True)

    def _close(self) -> None:
        database, self._database = self._database, None
        assert database
        database.close()


class Rows(Format):
    """What a person names by `.rows`."""

    def check(self, output: str) -> None:
        if Path(output).is_dir():
            raise UsageError(f"{output} is a folder: name a file in it")

    def open(self, output: str, *, follow: bool) -> Writer:
        return RowWriter(output, None, part=f"{output}.part")

    def resume(self, output: str, known: KnownOutput | None, *, follow: bool) -> Writer:
        return RowWriter(output, known)


@pytest.fixture(autouse=True)
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The format is in the table, a checkpoint follows each batch, and this folder is the current one."""
    monkeypatch.setitem(FORMATS, "rows", Rows("rows"))
    monkeypatch.setattr(checkpoints, "EVERY_RECORDS", 1)
    monkeypatch.chdir(tmp_path)


def urls(name: str = OUT) -> list[int]:
    """The numbers of the pages that another reader of the database sees."""
    with closing(sqlite3.connect(name)) as database:
        return [int(url.rpartition("/")[2]) for (url,) in database.execute("SELECT url FROM pages ORDER BY n")]


def resume(crawl: Crawl, output: str = OUT, **wanted: Any) -> Checkpoints:
    """One export with a state, to its end."""
    asked = Wanted(output, STATE, **wanted)
    with ExportState(STATE) as kept, Checkpoints(kept, crawl.frontier, asked) as made:
        export(crawl.crawldb.records, made.writer, after=made.cursor, selection=asked.selection, note=made.note)
    return made


def test_it_appears_whole_or_stays_as_it_was(crawl: Crawl) -> None:
    crawl.commit([page(n) for n in range(120)])
    with suppress(KeyboardInterrupt), open_writer(OUT) as writer:
        export(crawl.crawldb.records, writer)
        raise KeyboardInterrupt
    assert list(Path().iterdir()) == []
    with open_writer(OUT) as writer:
        export(crawl.crawldb.records, writer)
        assert not Path(OUT).exists()
    assert urls() == list(range(120))
    assert [path.name for path in Path().iterdir()] == [OUT]


def test_an_export_that_was_aborted_is_resumed_with_each_record_once(crawl: Crawl) -> None:
    crawl.commit([page(n) for n in range(250)])
    asked = Wanted(OUT, STATE)
    with (
        pytest.raises(RuntimeError),
        ExportState(STATE) as kept,
        Checkpoints(kept, crawl.frontier, asked) as made,
    ):
        export(crawl.crawldb.records, made.writer, note=made.note, stopped=lambda: True)
        made.writer.write(page(50))
        raise RuntimeError
    assert urls() == list(range(50))
    made = resume(crawl)
    assert (made.written, made.records, urls()) == (200, 250, list(range(250)))


def test_a_state_behind_its_output_writes_the_same_again(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    """The export ends between the two: the rows are committed, and the state does not know of them."""
    crawl.commit([page(n) for n in range(250)])
    replace, calls = ExportState.replace, iter(range(9))

    def fail(self: ExportState, mark: Any) -> None:
        if next(calls) == 2:
            raise RuntimeError
        replace(self, mark)

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(ExportState, "replace", fail)
        resume(crawl)
    assert urls() == list(range(150))
    made = resume(crawl)
    assert (made.written, made.records, urls()) == (200, 250, list(range(250)))


def test_the_part_before_ends_where_the_next_begins(crawl: Crawl) -> None:
    crawl.commit([page(1)])
    resume(crawl)
    with closing(sqlite3.connect(OUT)) as database:  # of an export that was killed before its state
        database.execute("INSERT INTO pages (url) VALUES ('http://example.org/page/2')")
        database.commit()
    crawl.commit([page(2)])
    made = resume(crawl, "b.jsonl")
    assert (urls(), made.written, b"/page/2" in Path("b.jsonl").read_bytes()) == ([1], 1, True)


def test_what_is_freed_is_committed_before(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    drain = Frontier.drain

    def watched(self: Frontier, exported: Sequence[Exported]) -> int:
        assert {one.id for one in exported if one.outcome} <= {crawl.frontier.id(page(n).url) for n in urls()}
        return drain(self, exported)

    monkeypatch.setattr(Frontier, "drain", watched)
    crawl.commit([page(n) for n in range(1, 230)])
    assert resume(crawl, drain=True).drained == 229
    crawl.commit([page(0, outcome="failed:http")])
    assert resume(crawl, drain=True).drained == 1
    assert crawl.frontier.revive([Request(page(0).url)]) == 1
    crawl.end([page(0)])
    made = resume(crawl, drain=True)
    assert (made.drained, made.records, urls()) == (1, 231, [*range(1, 230), 0])
    assert crawl.crawldb.records.exported("0-0", "+")[0] == []


@pytest.mark.parametrize("flags", [(), ("--state", STATE), ("--drain",)])
def test_the_command_writes_it(crawl: Crawl, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]) -> None:
    crawl.commit([page(n) for n in range(60)])
    arguments = ["-o", "pages", "--format", "rows", "--redis", crawl.url, "--crawl", "export", *flags]
    assert export_.main(arguments, standalone_mode=False) == 0
    assert urls("pages") == list(range(60))
    assert "60 records written to pages" in capsys.readouterr().err


@pytest.mark.parametrize(("output", "format"), [("-", "rows"), ("a.rows.gz", None), ("a", "rows.gz")])
def test_it_is_no_stream(output: str, format: str | None) -> None:
    with pytest.raises(UsageError, match="rows is no stream of bytes"):
        open_writer(output, format)


def test_people_are_offered_it() -> None:
    assert {".jsonl[.gz|.zst]", ".csv[.gz|.zst]", ".rows"} < set(endings(".").split(", "))
    for output, format, known in (("a.pdf", None, endings(".")), ("a", "pdf", endings())):
        with pytest.raises(UsageError) as error:
            open_writer(output, format)
        assert known in str(error.value)


def test_a_place_that_cannot_be_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    (tmp_path / OUT).mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        Wanted(OUT, STATE)
