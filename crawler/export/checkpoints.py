"""Checkpoints of an export that may be killed at any moment: the output is synced, then the state, then Redis is freed.

So whatever happens, everything the state covers is in the output, and everything freed is in both. Output beyond the
state was never acknowledged: when the export resumes, the writer drops it and the records come again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from crawler.errors import CrawlerError, UsageError
from crawler.export.drain import drain
from crawler.export.exporter import ExportResult
from crawler.export.formats import format_named, format_of
from crawler.export.selection import ALL, Selection, as_options
from crawler.export.shape import ALL_FIELDS, Shape
from crawler.export.since import Since
from crawler.export.state import ContainedState, ExportState, Mark, State
from crawler.export.writer import Format
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import Exported
from crawler.frontier.shards.records import START, Stored

EVERY_RECORDS: Final = 1_000
EVERY_SECONDS: Final = 5.0
"""A checkpoint follows after this many records or seconds, whichever is first."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The request for an export. Raises UsageError for what cannot work, before anything is opened."""

    output: str
    state: str | None = None
    """A file for the state; None: the output keeps it, or there is none."""
    format: str | None = None
    selection: Selection = ALL
    shape: Shape = ALL_FIELDS
    follow: bool = False
    drain: bool = False
    since: Since | None = None
    """Only changes, and where a new export of them begins; one with a state continues there."""
    form: Format = field(init=False)
    """The format of the output."""

    def __post_init__(self) -> None:
        self._complete()
        if self.drain and self.output == "-":
            raise UsageError("--drain needs a file to write to: nobody knows what becomes of a pipe's bytes")
        if self.form.contains_state(self.output):
            if self.state is not None:
                raise UsageError(f"{self.output} keeps its state itself: leave out --state {self.state}")
        elif self.state is not None or self.drain:
            self.form.check(self.output)
        if self.state is not None and self.output != "-" and _same_file(self.output, self.state):
            raise UsageError(f"-o and --state name the same file, {self.output}: name another for the state")

    def _complete(self) -> None:
        """The format, and what the selection has to be for it."""
        form = format_of(self.output, self.format, self.shape)
        items, changes = self.shape.items and not form.has_pages, self.since is not None
        removes = form.mirrors(self.output) or (changes and form.takes_removals)
        if items and removes:
            form = format_of(self.output, self.format, replace(self.shape, empty=True))
        selected = replace(self.selection, pages=form.pages_only, items=items, changes=changes, removes=removes)
        object.__setattr__(self, "form", form)
        object.__setattr__(self, "selection", selected)

    def begins(self, crawldb: CrawlDb) -> str:
        """The cursor where an export without a state begins."""
        return START if self.since is None else self.since.cursor(crawldb)

    def open_state(self) -> State | None:
        """The state of this export, locked; None if it has none, so that it is written as a whole.

        With *drain* there has to be one: beside the output, if no other is named.
        """
        container = self.form.container(self.output)
        if container is not None:
            return ContainedState(container)
        if self.state is None and not self.drain:
            return None
        return ExportState(self.state if self.state is not None else f"{self.output}.state")


class Checkpoints:
    """The checkpoints of one export. As a context manager it ends with one, or gives up on an exception.

    `writer` takes the records, `cursor` is where it begins, `fresh` whether that is the very beginning. `drained`
    counts the records freed so far.
    """

    def __init__(self, state: State, frontier: Frontier, wanted: Wanted) -> None:
        """Open the output as *state* knows it. UsageError, with nothing changed, if it belongs to another export."""
        self._state, self._frontier, self._wanted = state, frontier, wanted
        before, output = state.mark, state.name_of(wanted.output)
        if before is not None:
            check_same(before, state, frontier, wanted)
        resumes = before is not None and before.output == output
        if before is not None and resumes and before.format != wanted.form.name:
            raise UsageError(f"{wanted.output} holds {before.format}, not {wanted.form.name}: continue in a new one")
        known = before.known if before is not None and resumes else None
        self.writer = state.writer(wanted.form, wanted.output, known, follow=wanted.follow)
        try:
            if before is not None and resumes and before.columns is not None and self.writer.columns is None:
                self.writer.expect(tuple(before.columns))
            if before is not None and not resumes:
                _cut_back(before, state.output_of(before))
            self._mark = self._first_mark(before, output)
            state.replace(self._mark)  # before a byte is written, so that the next export knows whose bytes these are
        except BaseException:
            self.writer.abort()
            raise
        self.fresh, self.cursor, self.drained = before is None, self._mark.cursor, 0
        self._began_with, self._began_drained = self._mark.records, self._mark.drained
        self._noted = ExportResult(0, self.cursor)
        self._to_free: set[tuple[str, str]] = set()
        """What was written since the last checkpoint, to be freed: place and id of each record."""
        self._taken_at = time.monotonic()

    def _first_mark(self, before: Mark | None, output: str | None) -> Mark:
        known, form = self.writer.known, self._wanted.form.name
        crawl, generation = self._frontier.crawl, self._frontier.generation
        only, status = self._wanted.selection.names
        mark = before or Mark(
            crawl=crawl, generation=generation, output=output, format=form, only=only, status=status,
            cursor=self._wanted.begins(self._frontier.crawldb),
            unique=self._wanted.selection.unique, fields=list(self._wanted.shape.fields),
            items=self._wanted.shape.items,
        )  # fmt: skip
        return msgspec.structs.replace(
            mark, output=output, format=form, length=known.length, tail=known.tail, columns=self._columns,
            changes=self._wanted.selection.changes, drained=drained_of(self._frontier.crawldb),
        )  # fmt: skip

    @property
    def _columns(self) -> list[str] | None:
        return None if self.writer.columns is None else list(self.writer.columns)

    @property
    def records(self) -> int:
        """How many records the state counts as written, in all."""
        return self._mark.records

    @property
    def written(self) -> int:
        """How many of them were written by this export."""
        return self._mark.records - self._began_with

    def note(self, result: ExportResult, written: Sequence[Stored]) -> None:
        """The writer has taken what was *written*, and *result* so far. Make a checkpoint if it is time."""
        self._noted = result
        if self._wanted.drain:
            self._to_free.update((stored.at, stored.id) for stored in written)
        new = self._began_with + result.count - self._mark.records
        late = time.monotonic() - self._taken_at >= EVERY_SECONDS
        if result.cursor != self._mark.cursor and (new >= EVERY_RECORDS or late):
            self._take()

    def _take(self) -> None:
        self._taken_at = time.monotonic()
        frontier = self._frontier
        frontier.identity.confirm(frontier.connection, frontier.crawl)  # records read since may be of a new crawl
        self.writer.checkpoint()
        if self.writer.gone:
            return
        before, known, cursor = self._mark, self.writer.known, self._noted.cursor
        mark = msgspec.structs.replace(
            before,
            cursor=cursor,
            last=before.last if cursor == before.cursor else self._frontier.crawldb.records.entry(cursor) or "",
            records=self._began_with + self._noted.count,
            length=known.length,
            tail=known.tail,
            columns=self._columns,
            piped=before.piped or (before.output is None and self._noted.count > 0),
            drained=self._began_drained + self.drained + len(self._to_free),
        )
        self._state.replace(mark)
        self._mark = mark
        if self._wanted.drain:
            self._drain(before.cursor, cursor, lambda one: (one.at, one.id) in self._to_free)
            self._to_free.clear()

    def _drain(self, after: str, until: str, is_written: Callable[[Exported], bool]) -> None:
        self.drained += drain(self._frontier, after, until, is_written)

    def __enter__(self) -> Self:
        try:
            if self._wanted.drain:
                self._drain_the_rest()
        except BaseException:
            self.writer.abort()
            raise
        return self

    def _drain_the_rest(self) -> None:
        """Free what the state covers: an earlier export may have been killed before that, or had no --drain.

        The last entry goes last, so it exists if anything is left. If it is gone, or belongs to another page now, Redis
        may have lost its last second. Then the entries before it need not be those that were written.
        """
        outcomes = self._wanted.selection.outcomes
        if not self._wanted.selection.by_outcome:
            return  # what stays of a record has no status and no content: only what this export writes is freed
        until = self._frontier.crawldb.records.standing(self._mark.cursor, self._mark.last)
        if until != START:
            self._drain(START, until, lambda one: outcomes is None or one.outcome in outcomes)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if kind is None:
                self._take()
                self.writer.finish()
        finally:
            self.writer.abort()


def drained_of(crawldb: CrawlDb) -> int:
    """How many records all exports of the crawl have drained."""
    return crawldb.counters().get("drained", 0)


def check_same(mark: Mark, state: State, frontier: Frontier, wanted: Wanted) -> None:
    """UsageError unless *mark* is of this crawl and this kind of export."""
    name, other = state.name, state.instead
    if mark.crawl != frontier.crawl:
        raise UsageError(f"{name} is the state of an export of crawl {mark.crawl!r}, not {frontier.crawl!r}: {other}")
    if mark.generation != frontier.generation:
        raise UsageError(f"crawl {mark.crawl!r} was started over since {name} was written: {other}")
    _check_same_records(mark, state, wanted)
    if wanted.drain and mark.piped:
        raise UsageError(
            f"{name} is the state of an export to stdout, of which nobody knows what was kept: without --drain, or"
            f" {other}"
        )


def _check_same_records(mark: Mark, state: State, wanted: Wanted) -> None:
    selection, shape = wanted.selection, wanted.shape
    if mark.changes and not selection.changes:
        raise UsageError(f"{state.name} is the state of an export of changes: add --changed-since, or {state.instead}")
    if (mark.only, mark.status, mark.unique) != (*selection.names, selection.unique):
        picked = as_options(mark.only, mark.status, mark.unique) or "all records"
        raise UsageError(f"{state.name} is the state of an export of {picked}: ask for the same, or {state.instead}")
    if (tuple(mark.fields), mark.items) != (shape.fields, shape.items):
        fields = f"--fields {','.join(mark.fields)}" if mark.fields else "all fields"
        raise UsageError(
            f"{state.name} is the state of an export of {fields}{' with --items' if mark.items else ''}:"
            f" ask for the same, or {state.instead}"
        )


def _cut_back(mark: Mark, output: Path | None) -> None:
    """Cut the output that *mark* names back to what it knows; left alone if it was moved away or replaced."""
    format = format_named(mark.format)
    with suppress(CrawlerError, OSError):
        if format is not None and output is not None and output.exists():
            format.resume(str(output), mark.known, follow=False).abort()


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.realpath(one) == os.path.realpath(other) or Path(one).samefile(other)
    except (OSError, ValueError):
        return False
