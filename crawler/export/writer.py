"""Formats open writers. A writer is all that an export knows of its output: a stream, a database, a folder of parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Self

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


@dataclass(frozen=True)
class Format(ABC):
    """A kind of output. It opens writers; UsageError, with nothing changed, if that cannot be."""

    name: str
    """For people and states. An output is continued by the format of the same name."""

    @property
    def raw(self) -> Format:
        """The same with values as they are, for programs."""
        return self

    @property
    def gzip(self) -> Format | None:
        """The same compressed; None if it is no stream of bytes. Then stdout cannot take it either."""
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
