"""An output that was opened: written as a whole, or continued with its state. All that export does goes through it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

from crawler.errors import UsageError
from crawler.export.checkpoints import Checkpoints, Wanted, check_same, drained_of
from crawler.export.exporter import Export, ExportResult, Note
from crawler.export.selection import as_options
from crawler.export.since import reached
from crawler.export.state import State
from crawler.export.stream import never
from crawler.export.tally import Tally
from crawler.export.target import has_content
from crawler.export.writer import Writer
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.shards.records import Stored
from crawler.text import counted, rfc3339


@dataclass(frozen=True, slots=True)
class Written:
    """What an export has written."""

    result: ExportResult
    tally: Tally
    records: int
    """By this export."""
    in_all: int | None = None
    """By all exports of its state."""
    drained: int = 0
    """Freed in Redis."""
    cut: bytes = b""
    """See `Writer.cut`."""
    missing: str = ""
    """A line on records that it does not have because they were drained before; empty if there are none."""


def _unseen(result: ExportResult, written: Sequence[Stored]) -> None:
    """Nobody follows the progress."""


@dataclass(frozen=True, slots=True)
class How:
    """How an export proceeds."""

    note: Note = _unseen
    """Is called with the progress."""
    stopped: Callable[[], bool] = never
    """Ends it early."""
    columns: tuple[str, ...] = ()
    """Keys that the crawl's rules find: they get columns where columns have to be known first."""
    is_over: Callable[[], bool] | None = None
    """With it an export follows the crawl until this is true; None: only what is stored now."""


PLAIN: Final = How()


def _counting(tally: Tally, note: Note) -> Note:
    """*note*, which counts what was written, too."""

    def counted_note(result: ExportResult, written: Sequence[Stored]) -> None:
        tally.add(stored.record for stored in written)
        note(result, written)

    return counted_note


class Output:
    """What an export *wanted*, opened and locked. As a context manager it is aborted unless `write` came to its end.

    UsageError, with nothing changed, if it cannot be written to.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.state: State | None = wanted.open_state()
        self.writer: Writer | None = None
        """Of an output without a state; else it is opened by `write`."""
        if self.state is None:
            self.writer = wanted.form.open(wanted.output, follow=wanted.follow)

    @property
    def name(self) -> str:
        """For people."""
        return "stdout" if self.wanted.output == "-" else self.wanted.output

    @property
    def waits(self) -> bool:
        """Whether a reader decides how fast it takes the output."""
        return self.writer is not None and self.writer.waits

    def check(self, frontier: Frontier, stored: Collection[str]) -> None:
        """UsageError if its state is of another crawl, or if a crawl that stores this has nothing for it."""
        self.wanted.form.contents(stored)
        if self.state is not None and self.state.mark is not None:
            check_same(self.state.mark, self.state, frontier, self.wanted)

    def hints(self, frontier: Frontier, stored: Collection[str]) -> list[str]:
        """What a user should know of it before a crawl that stores this is written, a line each."""
        wanted, selection = self.wanted, self.wanted.selection
        found = [wanted.form.hint(stored)]
        if selection.changes:
            found += [self._leaves_out(), self._begins(frontier.crawldb)]
        return [hint for hint in found if hint]

    def _leaves_out(self) -> str:
        """What a copy that is to be kept in step would lack."""
        selection, shape = self.wanted.selection, self.wanted.shape
        if selection.hides_removals:
            options = as_options(*selection.names)
            return f"{options} leaves out what is gone or moved: a copy that is kept in step needs that"
        name = "page.change" if shape.items else "change"
        if shape.fields and selection.removes and name not in shape.fields:
            return f"--fields has no {name}: what is gone or moved looks like a page of which nothing is known"
        return ""

    def _begins(self, crawldb: CrawlDb) -> str:
        """Where it begins, if that is not where it may be expected."""
        since, mark = self.wanted.since, None if self.state is None else self.state.mark
        if mark is not None and (until := reached(mark.cursor)):
            return f"continues where the export before ended, at {until}: --changed-since is where a new one begins"
        if since is None or self.state is None or mark is not None or since.is_all(crawldb):
            return ""
        begins = rfc3339(since.begins(crawldb) / 1000)
        return f"{self.name} is new and begins with what changed since {begins}: what was there before is not in it"

    def _missing(self, frontier: Frontier) -> str:
        """See `Written.missing`. One with a state has all that was there before; of changes, others may drain some."""
        mark, changes = None if self.state is None else self.state.mark, self.wanted.selection.changes
        drained = drained_of(frontier.crawldb) if mark is None or changes else 0
        count = drained - (mark.drained if mark is not None else 0)
        if count <= 0:
            return ""
        if not changes:
            return f"drained before, and so in the files written then, not in this one: {counted(count, 'record')}"
        return (
            f"drained by other exports: {counted(count, 'record')}; what changed in them since then is in the files"
            " written then, not in this one"
        )

    def refuse_state(self) -> None:
        """UsageError if it has a state already: its crawl is about to be started over."""
        if self.state is not None and self.state.mark is not None:
            raise UsageError(
                f"{self.state.name} is of an export of the crawl that --fresh deletes: {self.state.instead}"
            )

    def write(self, frontier: Frontier, stored: Collection[str], how: How = PLAIN) -> Written:
        """Write the records of a crawl that keeps what *stored* names.

        UsageError, with nothing changed, if an output with content would become empty because records were drained.
        """
        contents = self.wanted.form.contents(stored)
        tally, missing = Tally(self.wanted.shape, stored), self._missing(frontier)
        how = replace(how, note=_counting(tally, how.note))
        if self.state is not None:
            return replace(self._continue(self.state, frontier, contents, tally, how), missing=missing)
        assert self.writer is not None
        self.writer.contents = contents
        result = self._export(frontier, self.writer, self.wanted.begins(frontier.crawldb), how)
        if not result.count and not self.wanted.selection.changes:
            self._refuse_loss(frontier, result)
        self.writer.finish()
        return Written(result, tally, result.count, cut=self.writer.cut, missing=missing)

    def _refuse_loss(self, frontier: Frontier, result: ExportResult) -> None:
        """There is nothing to write: UsageError if that is because of drained records and something would be lost."""
        drained = drained_of(frontier.crawldb)
        if drained and has_content(self.wanted.output):
            result.refuse_left_out()
            raise UsageError(
                f"{self.name} stays as it was: there is no record to write, for {counted(drained, 'record')} drained"
                " before can be found in the files written then; name another output"
            )

    def _continue(self, state: State, frontier: Frontier, contents: Collection[str], tally: Tally, how: How) -> Written:
        """Continue where the state says."""
        with Checkpoints(state, frontier, self.wanted) as checkpoints:
            checkpoints.writer.contents = contents

            def note(result: ExportResult, written: Sequence[Stored]) -> None:
                checkpoints.note(result, written)
                how.note(result, written)

            result = self._export(frontier, checkpoints.writer, checkpoints.cursor, replace(how, note=note))
        cut = checkpoints.writer.cut
        return Written(result, tally, checkpoints.written, checkpoints.records, checkpoints.drained, cut)

    def _export(self, frontier: Frontier, writer: Writer, after: str, how: How) -> ExportResult:
        selection, records = self.wanted.selection, frontier.crawldb.records
        export = Export(records, writer, selection=selection, columns=how.columns, note=how.note, stopped=how.stopped)
        return (
            export.run(after, once=self.state is None)
            if how.is_over is None
            else export.follow(how.is_over, time.sleep, after)
        )

    def close(self) -> None:
        """Release it. What was not finished is as it was before, or as its state says."""
        if self.writer is not None:
            self.writer.abort()
        if self.state is not None:
            self.state.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
