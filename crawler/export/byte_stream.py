"""Byte streams: a head and bytes for each record, appended to a file, a pipe or stdout, compressed or not."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

from crawler.errors import OutputError, UsageError
from crawler.export.files import reason
from crawler.export.packers import NAMES, PACKERS, Ends, Packer
from crawler.export.parts import FolderOfParts
from crawler.export.shape import ALL_FIELDS, Shape
from crawler.export.storage import is_storage, open_storage
from crawler.export.stream import never
from crawler.export.target import FileInPlace, Target, append_to, check_appendable, open_target
from crawler.export.writer import Container, Format, KnownOutput, Writer
from crawler.record import CONTENTS, Record

_HELD: Final = 256 * 1024
"""Bytes buffered before they are written."""
_MEMBER: Final = 4 * 1024 * 1024
"""Bytes of records in a member or frame of a file that is read meanwhile."""


@dataclass(frozen=True)
class ByteStream(Format):
    """A format whose files can be continued by appending."""

    encode: Callable[[Record], bytes]
    """The bytes of one record."""
    ending: str
    """Of its files."""
    harmless: Callable[[bytes], bytes]
    """Makes them safe for a terminal."""
    head: bytes = b""
    """How a file begins."""
    shape: Callable[[Shape], ByteStream] | None = None
    """The same with other rows; None if it has no rows."""
    learn: Callable[[tuple[str, ...], bool], ByteStream] | None = None
    """The same with columns for what hooks and rules found, see `Writer.expect`; None if it needs none."""
    rows: Shape = ALL_FIELDS
    """What a row holds."""
    packing: str = ""
    """How it is compressed: `gz`, `zst`, or not."""

    def shaped(self, shape: Shape) -> Format:
        return super().shaped(shape) if self.shape is None else self.shape(shape)

    def packed(self, ending: str) -> Format:
        return replace(self, name=f"{self.name}, {NAMES[ending]}", packing=ending)

    def learned(self, columns: tuple[str, ...], complete: bool) -> ByteStream:
        """The same with columns for what hooks and rules found."""
        if self.learn is None:
            return self
        return replace(self.learn(columns, complete), name=self.name, packing=self.packing)

    def contains_state(self, output: str) -> bool:
        return is_storage(output)

    def container(self, output: str) -> Container | None:
        storage = open_storage(output)
        if storage is None:
            return None
        ending = ".".join(filter(None, (self.ending, self.packing)))
        learns = self.learn is not None
        return FolderOfParts(storage, ending, lambda part: StreamWriter(self, output, FileInPlace(part)), learns=learns)

    def check(self, output: str) -> None:
        check_appendable(output)

    def contents(self, stored: Collection[str]) -> frozenset[str]:
        read = self.rows.reads
        return frozenset(CONTENTS) if read is None else frozenset(CONTENTS) & read

    def open(self, output: str, *, follow: bool) -> Writer:
        """A file appears whole at `finish`. With *follow* it is emptied at the first record and grows line by line.

        Every line is whole, except that the last one may be cut when this process is killed.
        """
        return StreamWriter(self, output, open_target(output, follow=follow))

    def resume(self, output: str, known: KnownOutput | None, *, follow: bool) -> Writer:
        return StreamWriter(self, output, append_to(output, known, follow=follow))


class StreamWriter(Writer):
    """Writes records as bytes to one target, compressed or not. For a live target, `abort` writes what was taken."""

    def __init__(self, format: ByteStream, output: str, target: Target) -> None:
        if target.terminal and format.packing:
            target.abort()
            raise UsageError("compressed data cannot go to a terminal: name a file, or pipe the output of -")
        self.output = "stdout" if output == "-" else output
        self.known, self.waits = target.known, target.waits
        self._format, self._target = format, target
        self._packer = PACKERS[format.packing](target.size == 0) if format.packing else None
        self._member: list[bytes] = []
        """Compressed data of a member that is not written yet."""
        self._member_size = 0
        """Bytes of records in it."""
        self.columns = () if format.learn is None else None
        self._held = [format.head] if target.size == 0 and format.head else []
        self._heads = len(self._held)
        """How many of the first buffered pieces are no records."""
        self._size = 0
        self._left_out = 0
        self._open = True
        self._stopped = never

    def heed(self, stopped: Callable[[], bool]) -> None:
        if self.waits:
            self._stopped = stopped

    def expect(self, columns: tuple[str, ...], *, complete: bool = False) -> None:
        self.columns, self._format = columns, self._format.learned(columns, complete)
        if self._heads:
            self._held[0] = self._format.head

    def write(self, record: Record) -> None:
        line = self._format.encode(record)
        if self._target.terminal:
            line = self._format.harmless(line)
        self._held.append(line)
        self._size += len(line)
        if self._size >= _HELD:
            self._guarded(self._drain)

    def flush(self) -> int:
        only_head = 0 < self._heads == len(self._held)
        if self._target.live and not only_head:
            self._guarded(self._drain, Ends.ALL)
        return self._left_out

    def checkpoint(self) -> None:
        """See Writer. This ends a member (gzip) or frame (zstd)."""
        self._guarded(self._drain, Ends.MEMBER)
        self._guarded(self._target.sync)
        self.known = self._target.known

    def finish(self) -> None:
        if self._open:
            self._guarded(self._drain, Ends.MEMBER)
            self._guarded(self._target.finish)
            self._open = False

    def abort(self) -> None:
        """See Writer. What a live target gets is without the end of its member."""
        if not self._open:
            return
        try:
            self.flush()
        except OutputError:
            return
        self._close()

    def _drain(self, ends: Ends = Ends.NOTHING) -> None:
        held, heads = self._held, self._heads
        self._held, self._heads, self._size = [], 0, 0
        left, taken = len(held), 0
        try:
            if self._packer is not None:
                taken = self._drain_packed(self._packer, held, ends)
            else:
                while taken < left and not (self.gone or self._stopped()):
                    taken += self._target.write(held[taken:], self._stopped)
        finally:
            self._left_out += min(left - taken, left - heads)
            self.cut = self._target.cut

    def _drain_packed(self, packer: Packer, held: list[bytes], ends: Ends) -> int:
        """All of the compressed output must be written, else what follows it cannot be read.

        A file that is read meanwhile gets whole members alone: most programs refuse one that is cut.
        """
        taken = 0 if self.gone or self._stopped() else len(held)
        records = b"".join(held[:taken])
        if self._target.continued:
            self._member_size += len(records)
            ends = Ends.MEMBER if ends is Ends.MEMBER or self._member_size >= _MEMBER else Ends.NOTHING
        self._member.append(packer.pack(records, ends))
        if self._target.continued and ends is Ends.NOTHING:
            return taken
        data, self._member, self._member_size = b"".join(self._member), [], 0
        if data and not (self.gone or self._target.given_up):
            self._target.write([data], self._stopped, whole=True)
            self.gone = self._target.given_up  # what was taken cannot be read to its end
        return 0 if self.gone else taken

    def _guarded(self, step: Callable[..., None], *args: Ends) -> None:
        """Do *step*. A reader that left is noted; any other failure aborts the target and becomes an OutputError."""
        if not self._open:
            raise ValueError("the writer is closed")
        try:
            step(*args)
        except BrokenPipeError:
            self.gone = True
        except OSError as error:
            self._close()
            kept = self._target.kept
            raise OutputError(f"{self.output} cannot be written: {reason(error)}; {kept}") from None
        except BaseException:  # Ctrl-C in the middle of a write
            self._close()
            raise

    def _close(self) -> None:
        self._open = False
        self._target.abort()
