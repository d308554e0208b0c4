"""Formats open writers. A writer is all that an export knows of its output: a stream, a database, a folder of parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from crawler.errors import UsageError
from crawler.export.shape import Shape
from crawler.record import CONTENTS, Record


@dataclass(frozen=True, slots=True)
class KnownOutput:
    """What a state knows of its output: how much is acknowledged, and what identifies that part. The writer knows both.

    A stream counts bytes (see `tail_of` in target.py); a database may count rows, a folder its parts.
    """

    length: int = 0
    tail: str = ""


class Writer(ABC):
    """Takes records until `finish` or `abort`. As a context manager it finishes, or aborts on an exception.

    A failure to write is one OutputError, after which the writer is aborted. The attributes after `known` are for
    outputs whose reader may be slow or leave; other writers leave them as they are here.
    """

    output: str
    """Its name, for people."""
    known: KnownOutput = KnownOutput()
    """What a resumed export needs to know, as of the opening or the last checkpoint."""
    contents: Collection[str] = CONTENTS
    """Names in `record.CONTENTS` that it writes; no others are read for it."""
    gone = False
    """The reader of a pipe has left (`| head`) with all it wanted: no error. More records are discarded."""
    waits = False
    """Whether a reader decides how fast it takes the output."""
    cut = b""
    """What was written of a record that its reader left unfinished when the export was asked to end."""
    columns: tuple[str, ...] | None = ()
    """The columns for what hooks and rules found; None: not known yet, `expect` must come before the first record."""

    def expect(self, columns: tuple[str, ...], *, complete: bool = False) -> None:
        """These are the columns for what hooks and rules found. *complete*: nothing has to be put elsewhere."""
        self.columns = columns

    @abstractmethod
    def write(self, record: Record) -> None:
        """Take one record."""

    def flush(self) -> int:
        """Make visible all that was taken, if readers can see it before the end.

        Returns how many of the last records were not written: the reader has left, or the export was asked to end.
        """
        return 0

    @abstractmethod
    def checkpoint(self) -> None:
        """Make all that was taken survive a power loss; `known` covers it from then on."""

    @abstractmethod
    def finish(self) -> None:
        """Complete the output and make it durable. Nothing if the writer is closed already."""

    @abstractmethod
    def abort(self) -> None:
        """Give up. A resumable output ends at its last checkpoint, any other is as it was before, unless it is live."""

    def heed(self, stopped: Callable[[], bool]) -> None:  # noqa: B027 - only a writer that waits has to
        """Begin no record once *stopped*, if a reader decides how long the next one takes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.finish()
        else:
            self.abort()


class Container(ABC):
    """An output that keeps its own state: a folder, a database. Locked against other exports until `close`."""

    name: str
    """As the user named it."""

    @abstractmethod
    def read_state(self) -> bytes | None:
        """The state in it; None if it is new. UsageError if it holds something else."""

    @abstractmethod
    def write_state(self, state: bytes) -> None:
        """Replace the state, and make it survive a power loss. OutputError if that fails."""

    @abstractmethod
    def writer(self, known: KnownOutput) -> Writer:
        """A writer that continues it after what is *known* of it. Its `checkpoint` precedes `write_state`."""

    @abstractmethod
    def close(self) -> None:
        """Release it to others. What was created and got no state is removed."""


@dataclass(frozen=True)
class Format(ABC):
    """A kind of output. It opens writers; UsageError, with nothing changed, if that cannot be."""

    name: str
    """For people and states. An output is continued by the format of the same name."""

    pages_only = False
    """It takes pages of the site alone, see `Selection.pages`; else every record."""
    has_pages = False
    """It keeps pages beside their items, so it takes those without items, too."""
    takes_removals = True
    """It can say that a page is no more there, see `Selection.removes`."""

    def shaped(self, shape: Shape) -> Format:
        """The same with rows of this shape. UsageError if it has no rows."""
        if shape.plain:
            return self
        raise UsageError(f"{self.name} has no columns: --fields and --items are for jsonl, csv, parquet and sqlite")

    def packed(self, ending: str) -> Format | None:
        """The same compressed (`gz`, `zst`); None if it cannot be. A format that can is a stream: stdout takes it."""
        return None

    def contents(self, stored: Collection[str]) -> Collection[str]:
        """Which of the contents that a crawl stores are needed. UsageError if it cannot do without others."""
        return CONTENTS

    def hint(self, stored: Collection[str]) -> str:
        """What a user should know of an output of a crawl that stores this; empty if it is as expected."""
        return ""

    def mirrors(self, output: str) -> bool:
        """Whether *output* is kept as the site is in any case: what is removed there is removed from it."""
        return False

    def contains_state(self, output: str) -> bool:
        """Whether *output* keeps its own state, see `container`."""
        return False

    def container(self, output: str) -> Container | None:
        """*output* as one that keeps its own state, locked; None if its state is a file of its own."""
        return None

    @abstractmethod
    def check(self, output: str) -> None:
        """UsageError if *output* is nothing that `resume` could continue."""

    @abstractmethod
    def open(self, output: str, *, follow: bool) -> Writer:
        """A writer that replaces *output* as a whole at the end. With *follow* readers see it grow at once."""

    @abstractmethod
    def resume(self, output: str, known: KnownOutput | None, *, follow: bool) -> Writer:
        """A writer that continues *output* after what is *known* of it; None: it must be new or empty."""
