"""Byte streams: a head and bytes for each record, appended to a file, a pipe or stdout, compressed or not."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from crawler.errors import OutputError, UsageError
from crawler.export.files import reason
from crawler.export.stream import never
from crawler.export.target import Target, append_to, check_appendable, open_target
from crawler.export.writer import Format, KnownOutput, Writer
from crawler.record import Record

_HELD: Final = 256 * 1024
"""Bytes buffered before they are written."""
_GZIP_LEVEL: Final = 6
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
"""zlib's setting for gzip (RFC 1952), with a header without name and time: equal records, equal bytes."""


@dataclass(frozen=True)
class ByteStream(Format):
    """A format whose files can be continued by appending."""

    encode: Callable[[Record], bytes]
    """The bytes of one record."""
    harmless: Callable[[bytes], bytes]
    """Makes them safe for a terminal."""
    head: bytes = b""
    """How a file begins."""
    encode_raw: Callable[[Record], bytes] | None = None
    packed: bool = False

    @property
    def raw(self) -> Format:
        if self.encode_raw is None:
            return self
        return replace(self, name=f"{self.name} with raw cells", encode=self.encode_raw, encode_raw=None)

    @property
    def gzip(self) -> Format:
        return replace(self, name=f"{self.name}, gzip", packed=True)

    def check(self, output: str) -> None:
        check_appendable(output)

    def open(self, output: str, *, follow: bool) -> Writer:
        """A file appears whole at `finish`. With *follow* it is emptied at once and grows line by line.

        Every line is whole, except that the last one may be cut when this process is killed.
        """
        return StreamWriter(self, output, open_target(output, follow=follow))

    def resume(self, output: str, known: KnownOutput | None, *, follow: bool) -> Writer:
        return StreamWriter(self, output, append_to(output, known, follow=follow))


class StreamWriter(Writer):
    """Writes records as bytes to one target, compressed or not. For a live target, `abort` writes what was taken."""

    def __init__(self, format: ByteStream, output: str, target: Target) -> None:
        if target.terminal and format.packed:
            target.abort()
            raise UsageError("compressed data cannot go to a terminal: name a file, or pipe the output of -")
        self.output = "stdout" if output == "-" else output
        self.known, self.waits = target.known, target.waits
        self._format, self._target = format, target
        self._packer = _Packer(target.size == 0) if format.packed else None
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

    def write(self, record: Record) -> None:
        line = self._format.encode(record)
        if self._target.terminal:
            line = self._format.harmless(line)
        self._held.append(line)
        self._size += len(line)
        if self._size >= _HELD:
            self._guarded(self._drain)

    def flush(self) -> int:
        if self._target.live:
            self._guarded(self._drain, zlib.Z_SYNC_FLUSH)
        return self._left_out

    def checkpoint(self) -> None:
        """See Writer. This ends a gzip member."""
        self._guarded(self._drain, zlib.Z_FINISH)
        self._guarded(self._target.sync)
        self.known = self._target.known

    def finish(self) -> None:
        if self._open:
            self._guarded(self._drain, zlib.Z_FINISH)
            self._guarded(self._target.finish)
            self._open = False

    def abort(self) -> None:
        """See Writer. What a live target gets is without gzip's end."""
        if not self._open:
            return
        try:
            self.flush()
        except OutputError:
            return
        self._close()

    def _drain(self, mode: int = zlib.Z_NO_FLUSH) -> None:
        held, heads = self._held, self._heads
        self._held, self._heads, self._size = [], 0, 0
        left, taken = len(held), 0
        try:
            if self._packer is not None:
                taken = self._drain_packed(self._packer, held, mode)
            else:
                while taken < left and not (self.gone or self._stopped()):
                    taken += self._target.write(held[taken:], self._stopped)
        finally:
            self._left_out += min(left - taken, left - heads)
            self.cut = self._target.cut

    def _drain_packed(self, packer: _Packer, held: list[bytes], mode: int) -> int:
        """All of the compressed output must be written, else what follows it cannot be read."""
        taken = 0 if self.gone or self._stopped() else len(held)
        data = packer.pack(b"".join(held[:taken]), mode)
        if data and not (self.gone or self._target.given_up):
            self._target.write([data], self._stopped, whole=True)
            self.gone = self._target.given_up  # what was taken cannot be read to its end
        return 0 if self.gone else taken

    def _guarded(self, step: Callable[..., None], *args: int) -> None:
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


class _Packer:
    """Compresses to gzip. After each end the next data begins a new member; a file of several is valid (RFC 1952)."""

    def __init__(self, empty: bool) -> None:
        self._empty = empty
        """The file is empty: even without records it gets a member, because an empty file is no valid gzip."""
        self._member: zlib._Compress | None = None
        self._pending = False
        """Something was taken since the last flush."""

    def pack(self, data: bytes, mode: int) -> bytes:
        """*data* compressed, as far as zlib's *mode* asks for it at once."""
        if self._member is None:
            if not data and not (mode == zlib.Z_FINISH and self._empty):
                return b""
            self._member = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
            self._empty = False
        packed = self._member.compress(data)
        self._pending = self._pending or bool(data)
        if mode == zlib.Z_FINISH:
            packed += self._member.flush(zlib.Z_FINISH)
            self._member, self._pending = None, False
        elif mode != zlib.Z_NO_FLUSH and self._pending:
            packed += self._member.flush(mode)
            self._pending = False
        return packed
