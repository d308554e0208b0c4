"""A sink: takes records one by one and writes them in one format to one target, compressed or not."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from crawler.errors import CrawlerError, UsageError
from crawler.export.files import reason
from crawler.export.formats import csv, jsonl
from crawler.export.stream import never
from crawler.export.target import KeptTarget, KnownOutput, Target, append_to, open_target
from crawler.record import Record

_HELD: Final = 256 * 1024
"""Bytes buffered before they are written."""
_GZIP_LEVEL: Final = 6
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
"""zlib's setting for gzip (RFC 1952), with a header without name and time: equal records, equal bytes."""


@dataclass(frozen=True, slots=True)
class Format:
    """How a file of this kind begins, the bytes of one record, and the version that is safe for a terminal."""

    head: bytes
    encode: Callable[[Record], bytes]
    harmless: Callable[[bytes], bytes]


_JSONL: Final = Format(jsonl.HEAD, jsonl.encode, jsonl.harmless)
_CSV: Final = Format(csv.HEAD, csv.encode, csv.harmless)
_RAW_CSV: Final = Format(csv.HEAD, csv.encode_raw, csv.harmless)

FORMATS: Final = {"jsonl": _JSONL, "ndjson": _JSONL, "csv": _CSV}
"""By the ending of a file and for `--format`; each also with `.gz` appended."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """The format and compression of a file. Two files of the same `name` can be concatenated."""

    name: str
    format: Format
    compressed: bool


def form_of(target: str, format: str | None = None, *, defuse: bool = True) -> FileFormat:
    """The format for *target*; UsageError if neither its ending nor *format* names one."""
    if not target:
        raise UsageError("name a file to write to, or - for stdout")
    kind, compressed = _kind(target, format)
    found = FORMATS[kind] if defuse or kind != "csv" else _RAW_CSV
    word = {_JSONL: "jsonl", _CSV: "csv", _RAW_CSV: "csv with raw cells"}[found]
    return FileFormat(f"{word}, gzip" if compressed else word, found, compressed)


def open_sink(target: str, format: str | None = None, *, follow: bool = False, defuse: bool = True) -> Sink:
    """A sink that writes to the file *target*, or to stdout for `-`; UsageError if it cannot be written to.

    *format* is one of FORMATS, with or without `.gz`. Without it the file's ending decides, and stdout gets JSONL. A
    file appears whole at `finish`. With *follow* it is emptied at once and grows while readers watch, line by line.
    Every line is whole, except that the last one may be cut when this process is killed. *defuse* keeps spreadsheets
    from running cells of a CSV file, see csv.py.
    """
    form = form_of(target, format, defuse=defuse)
    return Sink(target, open_target(target, follow=follow), form)


def append_sink(target: str, form: FileFormat, known: KnownOutput | None, *, follow: bool = False) -> KeptSink:
    """A sink that appends to the file *target* after what is *known* of it; None: it must be new or empty."""
    return KeptSink(target, append_to(target, known, follow=follow), form)


def _kind(target: str, format: str | None) -> tuple[str, bool]:
    """The name of the format and whether to compress."""
    file, known = target.rpartition("/")[2].lower(), ", ".join(f".{name}" for name in FORMATS)
    if format is not None:
        name = format.lower().removeprefix(".")
        kind = name.removesuffix(".gz")
        if kind not in FORMATS:
            raise UsageError(f"--format {format!r} is not known; choose from {known.replace('.', '')} (.gz compresses)")
        return kind, ".gz" in (name[-3:], file[-3:])
    if target == "-":
        return "jsonl", False
    _, dot, kind = file.removesuffix(".gz").rpartition(".")
    if not dot or kind not in FORMATS:
        raise UsageError(f"{target}: the ending names the format: {known}, each also with .gz; or name one by --format")
    return kind, file.endswith(".gz")


class Sink:
    """Takes records until `finish`, or `abort`; as a context manager it finishes, or aborts on an exception.

    When the reader of a pipe has gone (`| head`), the sink is `gone` and discards what it gets: the reader has all it
    wanted, so this is no error and the command ends with 0. Any other failure to write is one CrawlerError, after which
    the sink is aborted. `target` is its name, for people.

    `left_out` counts the last records that were given to it and not written: the reader has gone, or the export was
    asked to end while it waited for the reader (see `heed`). `cut` is what was written of the first of them.
    """

    def __init__(self, name: str, target: Target, form: FileFormat) -> None:
        if target.terminal and form.compressed:
            target.abort()
            raise UsageError("compressed data cannot go to a terminal: name a file, or pipe the output of -")
        self.gone = False
        self.left_out = 0
        self.target = "stdout" if name == "-" else name
        self._place = target
        self._encode = _harmless(form.format) if target.terminal else form.format.encode
        self._packer = _Packer(target.size == 0) if form.compressed else None
        self._held = [form.format.head] if target.size == 0 and form.format.head else []
        self._heads = len(self._held)
        """How many of the first buffered pieces are no records."""
        self._size = 0
        self._open = True
        self._stopped = never

    @property
    def waits(self) -> bool:
        """Whether a reader decides how fast it takes the output."""
        return self._place.waits

    @property
    def cut(self) -> bytes:
        """The written part of the record under way when the export was asked to end, if its reader stopped reading."""
        return self._place.cut

    def heed(self, stopped: Callable[[], bool]) -> None:
        """Begin no record once *stopped*, if a reader decides how long the next one takes."""
        if self.waits:
            self._stopped = stopped

    def write(self, record: Record) -> None:
        """Take one record."""
        line = self._encode(record)
        self._held.append(line)
        self._size += len(line)
        if self._size >= _HELD:
            self._guarded(self._drain)

    def flush(self) -> None:
        """Make visible all that was taken so far, if readers can see it before the end."""
        if self._place.live:
            self._guarded(self._drain, zlib.Z_SYNC_FLUSH)

    def finish(self) -> None:
        """Write the buffer and make it durable; a file appears under its name now."""
        if self._open:
            self._guarded(self._drain, zlib.Z_FINISH)
            self._guarded(self._place.finish)
            self._open = False

    def abort(self) -> None:
        """Give up: a file is as it was before. For a live target, what was taken is written, without gzip's end."""
        if not self._open:
            return
        try:
            self.flush()
        except CrawlerError:
            return
        self._open = False
        self._place.abort()

    def _drain(self, mode: int = zlib.Z_NO_FLUSH) -> None:
        held, heads = self._held, self._heads
        self._held, self._heads, self._size = [], 0, 0
        left, taken = len(held), 0
        try:
            if self._packer is not None:
                taken = self._drain_packed(held, mode)
            else:
                while taken < left and not (self.gone or self._stopped()):
                    taken += self._place.write(held[taken:], self._stopped)
        finally:
            self.left_out += min(left - taken, left - heads)

    def _drain_packed(self, held: list[bytes], mode: int) -> int:
        """All of the compressed output must be written, else what follows it cannot be read."""
        taken = 0 if self.gone or self._stopped() else len(held)
        assert self._packer is not None
        data = self._packer.pack(b"".join(held[:taken]), mode)
        if data and not (self.gone or self._place.given_up):
            self._place.write([data], self._stopped, whole=True)
            self.gone = self._place.given_up  # what was taken cannot be read to its end
        return 0 if self.gone else taken

    def _guarded(self, step: Callable[..., None], *args: int) -> None:
        """Do *step*. A reader that left is noted; any other failure aborts the target and becomes a CrawlerError."""
        if not self._open:
            raise ValueError("the sink is closed")
        try:
            step(*args)
        except BrokenPipeError:
            self.gone = True
        except OSError as error:
            self._close()
            kept = self._place.kept
            raise CrawlerError(f"{self.target} cannot be written: {reason(error)}; {kept}") from None
        except BaseException:  # Ctrl-C in the middle of a write
            self._close()
            raise

    def _close(self) -> None:
        self._open = False
        self._place.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.abort()


class KeptSink(Sink):
    """A sink with a state: if it is aborted, what was not synced is removed from the file."""

    def __init__(self, name: str, target: KeptTarget, form: FileFormat) -> None:
        super().__init__(name, target, form)
        self._kept = target

    @property
    def known(self) -> KnownOutput:
        """What is known of the place, as of its opening or the last `sync`."""
        return self._kept.known

    def sync(self) -> None:
        """Write all that was taken and make it survive a power loss, if the place can; this ends a gzip member."""
        self._guarded(self._sync)

    def _sync(self) -> None:
        self._drain(zlib.Z_FINISH)
        self._kept.sync()


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


def _harmless(format: Format) -> Callable[[Record], bytes]:
    return lambda record: format.harmless(format.encode(record))
