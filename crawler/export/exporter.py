"""Copies records from Redis to a writer, in the order of commits: all so far, or continuously until the crawl is over.

Memory is bounded: one batch at a time, sized by the weight of the last one, and a bounded table of URLs by id.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from crawler.errors import FrontierError, UnreadableRecord
from crawler.export.selection import ALL, Selection
from crawler.export.shape import columns_of, items_of, own_of
from crawler.export.writer import Writer
from crawler.frontier.crawldb import Records
from crawler.frontier.shards.records import START, Stored
from crawler.record import CONTENTS, Record

_BATCH: Final = 100
"""Most records requested at a time."""
_WEIGHT: Final = 8 * 1024 * 1024
"""Most bytes of contents in a batch; a single text may have a million."""
_REMEMBERED: Final = 20_000
"""URLs remembered by id: most pages were found on a page that was exported shortly before."""
_FIRST_PAUSE, _MAX_PAUSE, _PAUSE_GROWTH = 0.2, 1.0, 1.5
"""Seconds between reads that find nothing, and how they grow."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """How many records were written, and the cursor after the last one that was read."""

    count: int
    cursor: str
    left_out: int = 0
    """Records that could not be read."""
    why: str = ""
    """What is wrong with the first of them."""

    def refuse_left_out(self) -> None:
        """Raise FrontierError if some records could not be read, now that all others are written."""
        if self.left_out:
            count = "1 record was" if self.left_out == 1 else f"{self.left_out:,} records were"
            raise FrontierError(f"{count} left out: {self.why}")


_SAMPLE: Final = 2_000
"""Records whose `data` decides which columns there are, and of how many records at most they are looked for."""
_LOOKED_AT: Final = 20_000

Note = Callable[[ExportResult, Sequence[Stored]], None]
"""Called after each batch with the progress and what was just written; also with nothing while the export waits."""


def _never() -> bool:
    return False


def read(
    records: Records, contents: Collection[str] = CONTENTS, *, selection: Selection = ALL, after: str = START
) -> Iterator[Record]:
    """The records so far with these of their *contents*, in the order of their commits; URLs in place of ids.

    Only those of the *selection*, behind the cursor *after*. Raises FrontierError at the end if some could not be read.
    """
    reading = _Reading(records, selection, contents)
    for batch, _ in reading.batches(after):
        yield from reading.named(batch)
    reading.so_far(0, START).refuse_left_out()


def follow(records: Records, is_over: Callable[[], bool], pause: Callable[[float], None]) -> Iterator[Record]:
    """Like `read`, then new records as they are committed, until *is_over* and one more read finds nothing.

    *pause* waits for a number of seconds.
    """
    reading, cursor, wait = _Reading(records, ALL, CONTENTS), START, _FIRST_PAUSE
    while True:
        over, before = is_over(), cursor  # asked before reading: what was committed until then is read now
        for batch, reached in reading.batches(before):
            cursor = reached
            yield from reading.named(batch)
        if cursor != before:
            wait = _FIRST_PAUSE
        elif over:
            break
        else:
            pause(wait)
            wait = min(wait * _PAUSE_GROWTH, _MAX_PAUSE)
    reading.so_far(0, cursor).refuse_left_out()


class Export:
    """Copies the records of a crawl to a writer, which stays open. Ends early when the writer is `gone`."""

    def __init__(
        self,
        records: Records,
        writer: Writer,
        *,
        selection: Selection = ALL,
        columns: Sequence[str] = (),
        note: Note | None = None,
        stopped: Callable[[], bool] = _never,
    ) -> None:
        """An export ends with the batch during which *stopped* becomes true.

        *columns* are keys that hooks and rules are known to find, see `Writer.expect`.
        """
        self._records, self._writer, self._note, self._stopped = records, writer, note, stopped
        writer.heed(stopped)
        self._selection, self._known = selection, columns
        self._once = False
        self._reading = _Reading(records, selection, {*writer.contents, *(["data"] if selection.items else [])})

    def run(self, after: str = START, *, once: bool = False) -> ExportResult:
        """Write all records after the cursor *after*. Records that cannot be read are left out, and counted.

        *once*: nothing is added to this output later, see `Writer.expect`.
        """
        self._once = once
        return self._continue(ExportResult(0, after))

    def follow(self, is_over: Callable[[], bool], pause: Callable[[float], None], after: str = START) -> ExportResult:
        """Like `run`, then continue with new commits, until *is_over* and one more read finds nothing, or stopped.

        *pause* waits for a number of seconds. A URL whose record was replaced meanwhile (`crawler retry`) comes once
        more: its last line counts.
        """
        result, wait = ExportResult(0, after), _FIRST_PAUSE
        while not (self._writer.gone or self._stopped()):
            over = is_over()  # asked before reading: what was committed until then is read now
            before, result = result, self._continue(result)
            if result.cursor != before.cursor:
                wait = _FIRST_PAUSE
            elif over:
                break
            else:
                if self._note is not None:
                    self._note(result, ())
                pause(wait)
                wait = min(wait * _PAUSE_GROWTH, _MAX_PAUSE)
        return result

    def _continue(self, so_far: ExportResult) -> ExportResult:
        """Write what follows the cursor."""
        result = so_far
        for batch, cursor in self._reading.batches(so_far.cursor):
            if batch and self._writer.columns is None:
                columns, complete = self._columns()
                self._writer.expect(columns, complete=complete and self._once)
            written = []
            for stored, record in zip(batch, self._reading.named(batch), strict=True):
                try:
                    self._writer.write(record)
                except RecursionError:
                    self._reading.leave_out(f"the record of {record.url[:200]} is nested too deep")
                else:
                    written.append(stored)
            left = self._writer.flush()
            if left:
                written = written[:-left]
                cursor = self._records.behind(result.cursor, written)
            result = self._reading.so_far(result.count + len(written), cursor)
            if self._note is not None:
                self._note(result, written)
            if left or self._writer.gone or self._stopped():
                break
        return result

    def _columns(self) -> tuple[tuple[str, ...], bool]:
        """The columns for what hooks and rules found: the known keys, then those in the first records.

        And whether they hold all that was found so far.
        """
        found, complete = self._sample()
        rows: list[Any] = [dict.fromkeys(self._known), *found]
        if not self._selection.items:
            return columns_of(rows), False
        rows = [own_of(rows[0]), *(own_of(item) for data in found for item in items_of(data) or ())]
        columns = columns_of(rows, without=("data",))
        return columns, complete and all(row.keys() <= {*columns} for row in rows)

    def _sample(self) -> tuple[list[Any], bool]:
        """What hooks and rules found on the first pages, and whether these are all."""
        found: list[Any] = []
        seen = 0
        for batch, _ in _Reading(self._records, self._selection, ("data",)).batches(START):
            found += [stored.record.data for stored in batch if stored.record.data is not None]
            seen += _BATCH
            if len(found) >= _SAMPLE or seen >= _LOOKED_AT:
                return found, False
        return found, True


class _Reading:
    """Reads the *wanted* records with some of their contents, in batches of bounded size."""

    def __init__(self, records: Records, wanted: Selection, contents: Collection[str]) -> None:
        self._records, self._wanted, self._contents = records, wanted, contents
        self._origins = _Origins(records)
        self._most = 50
        self._left_out, self._why = 0, ""

    def leave_out(self, why: str) -> None:
        """Count a record that cannot be exported."""
        self._left_out, self._why = self._left_out + 1, self._why or why

    def so_far(self, count: int, cursor: str) -> ExportResult:
        """The result after *count* records were written, up to *cursor*."""
        return ExportResult(count, cursor, self._left_out, self._why)

    def batches(self, cursor: str) -> Iterator[tuple[list[Stored], str]]:
        """What follows *cursor*, batch by batch, each with the cursor after it."""
        while True:
            try:
                batch, reached = self._records.read(cursor, self._most, self._contents)
            except UnreadableRecord as error:
                self.leave_out(str(error))
                batch, reached = [], error.cursor
            if reached == cursor:
                return
            cursor = reached
            self._most = _next_size(self._most, batch)
            self._origins.remember(batch)
            yield [one for stored in batch if (one := self._picked(stored)) is not None], cursor

    def _picked(self, stored: Stored) -> Stored | None:
        record = self._wanted.pick(stored.record)
        return stored if record is stored.record else None if record is None else replace(stored, record=record)

    def named(self, batch: Sequence[Stored]) -> Iterator[Record]:
        """The records of *batch*, `via` as a URL."""
        return self._origins.named([stored.record for stored in batch])


def _next_size(most: int, batch: Sequence[Stored]) -> int:
    """How many records to request next: as many as the weight allows, if they are like those of *batch*."""
    weight = sum(stored.weight for stored in batch)
    fitting = len(batch) * _WEIGHT // max(weight, 1) if batch else most
    return max(1, min(fitting, 2 * most, _BATCH))


class _Origins:
    """Replaces the ids in records by URLs; ids not known (any more) are left out."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._known: OrderedDict[str, str] = OrderedDict()

    def remember(self, batch: Sequence[Stored]) -> None:
        """Remember the URLs of these pages: other pages may have been found on them."""
        for stored in batch:
            self._remember(stored.id, stored.record.url)

    def named(self, records: Sequence[Record]) -> Iterator[Record]:
        """The records with URLs for ids."""
        urls = self._urls({i for record in records for i in record.ids})
        for record in records:
            yield record.named(urls)

    def _urls(self, ids: set[str]) -> dict[str, str]:
        known = {i: self._known[i] for i in ids if i in self._known}
        asked = self._records.urls([i for i in ids if i not in known and i != "0"])
        for url_id, url in (known | asked).items():
            self._remember(url_id, url)
        return known | asked

    def _remember(self, url_id: str, url: str) -> None:
        self._known[url_id] = url
        self._known.move_to_end(url_id)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
