"""A folder of parts: each part is a whole file that appears at a checkpoint, so all that is there can be read at once.

    pages/part-00001.jsonl.gz  pages/part-00002.jsonl.gz  ...  pages/.crawler-export.json (the state)

A part that the state does not know was never acknowledged: it is deleted, and its records come again. A URL that was
tried again in between comes in a later part: the later line holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from crawler.errors import OutputError, UsageError
from crawler.export.bucket import BucketError
from crawler.export.files import reason
from crawler.export.storage import Storage
from crawler.export.writer import Container, KnownOutput, Writer
from crawler.record import Record

STATE: Final = ".crawler-export.json"
"""The name of the state in a folder. Readers that take all `*.parquet` do not see it."""
_NUMBER: Final = re.compile(r"part-(\d{5,})\..+")


class InStorage(Container):
    """A folder or a prefix of a bucket with its state."""

    def __init__(self, storage: Storage) -> None:
        """Lock it. UsageError if another export holds it."""
        self.storage, self.name = storage, storage.name
        self._guard(storage.lock)

    def read_state(self) -> bytes | None:
        try:
            state = self.storage.read(STATE)
            if not state and any(not name.startswith(".") for name in self.storage.names()):
                raise UsageError(f"{self.name} is not empty, and not written by an export: name a new folder")
        except BucketError as error:
            kind = OutputError if error.away else UsageError
            raise kind(f"{self.name} cannot be read: {error}") from None
        except OSError as error:
            raise UsageError(f"{self.name} cannot be read: {reason(error)}") from None
        return state

    def write_state(self, state: bytes) -> None:
        self.guarded(self._replace, state)

    def _replace(self, state: bytes) -> None:
        part = self.storage.scratch()
        part.write_bytes(state)
        self.storage.put(STATE, part)
        self.storage.sync()

    def close(self) -> None:
        self.storage.close()

    def guarded(self, step: Callable[..., None], *args: object) -> None:
        """Do *step*; OutputError if the storage fails."""
        try:
            step(*args)
        except OSError as error:
            raise OutputError(
                f"{self.name} cannot be written: {reason(error)}; the same command continues from its last checkpoint"
            ) from None

    def _guard(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            raise UsageError(f"{self.name} cannot be written to: {reason(error)}") from None


class FolderOfParts(InStorage):
    """A folder whose parts are files with *ending*, each written by a writer that *begin* makes for an empty file."""

    def __init__(self, storage: Storage, ending: str, begin: Callable[[Path], Writer], *, learns: bool = False) -> None:
        """*learns*: the parts have columns that must be found first, see `Writer.expect`."""
        super().__init__(storage)
        self._ending, self._begin, self.learns = ending, begin, learns

    def writer(self, known: KnownOutput) -> Writer:
        return PartsWriter(self, known.length, self._ending, self._begin)

    def forget(self, last: int) -> None:
        """Delete the parts behind the *last* that is known. The state has to be ours by then: see state.py."""
        for name in list(self.storage.names()):
            number = _NUMBER.fullmatch(name)
            if number and int(number[1]) > last:
                self.storage.delete(name)
        self.storage.sync()


class PartsWriter(Writer):
    """Writes a part from one checkpoint to the next. `known` counts the parts."""

    def __init__(self, folder: FolderOfParts, last: int, ending: str, begin: Callable[[Path], Writer]) -> None:
        self.output, self.known = folder.name, KnownOutput(last)
        self._folder, self._ending, self._begin = folder, ending, begin
        self._part: tuple[Path, Writer] | None = None
        self._learns = folder.learns
        self.columns = None if folder.learns else ()
        self._begun = False

    def heed(self, stopped: Callable[[], bool]) -> None:
        self._folder.storage.heed(stopped)

    def _new(self) -> tuple[Path, Writer]:
        path = self._folder.storage.scratch()
        return path, self._begin(path)

    @staticmethod
    def _drop(part: tuple[Path, Writer]) -> None:
        part[1].abort()
        with suppress(OSError):
            part[0].unlink()

    def write(self, record: Record) -> None:
        if self._part is None:
            self._folder.guarded(self._open)
        assert self._part is not None
        self._part[1].write(record)

    def _open(self) -> None:
        self._part = self._new()
        if self._learns:
            self._part[1].expect(self.columns or ())

    def checkpoint(self) -> None:
        part, self._part = self._part, None
        if not self._begun:
            self._folder.guarded(self._folder.forget, self.known.length)
            self._begun = True
        if part is not None:
            part[1].finish()
            number = self.known.length + 1
            self._folder.guarded(self._folder.storage.put, f"part-{number:05d}.{self._ending}", part[0])
            self._folder.guarded(self._folder.storage.sync)
            self.known = KnownOutput(number)

    def finish(self) -> None:
        self.checkpoint()

    def abort(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            self._drop(part)
