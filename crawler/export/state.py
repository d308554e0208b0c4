"""The state of an export: records its progress, so that the same command resumes there.

A folder, a database and a bucket keep their state themselves (`ContainedState`), for a stream it is a file beside it:

    {"version":1,"crawl":"default","generation":"7c…","output":"pages.jsonl","format":"jsonl","length":52144,
     "tail":"5f…","only":null,"status":null,"cursor":"1893456000123-0","last":"77","records":41,"piped":false}

`output` is its path, relative if it is in the state's folder; null for stdout. `length` is how much of the output is
acknowledged, `tail` identifies that part. The state is replaced as a whole and synced, so whatever happens it is the
old or the new one. It is locked (flock) for the life of an export. An empty file counts as no state.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Annotated, Final, Self

import msgspec

from crawler import owners
from crawler.errors import OutputError, UsageError
from crawler.export import files
from crawler.export.writer import Container, Format, KnownOutput, Writer

VERSION: Final = 1

_Count = Annotated[int, msgspec.Meta(ge=0)]


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a state."""

    version: int = VERSION
    crawl: str
    generation: str
    output: str | None
    format: str
    """The name of its format, see writer.py."""
    length: _Count = 0
    tail: str = ""
    only: list[str] | None = None
    """The outcomes that are exported, as they were named; None: all."""
    status: list[str] | None = None
    """The same of statuses."""
    cursor: Annotated[str, msgspec.Meta(pattern=r"^\d+-\d+(,\d+-\d+)*$")]
    """The last entry of the stream that was written or skipped; for several shards one each, with commas between."""
    last: str = ""
    """The id of its page, by which the entry is identified."""
    records: _Count = 0
    """Written so far, into all outputs of this state."""
    unique: bool = False
    """Copies are left out."""
    fields: list[str] = []
    """The fields that were asked for; none: all."""
    items: bool = False
    """A row is an item."""
    changes: bool = False
    """Only changes are exported."""
    drained: _Count = 0
    """Records that all exports of the crawl had drained by then."""
    columns: list[str] | None = None
    """Columns for what hooks and rules found; None while they are not known."""
    piped: bool = False
    """Some of them went to stdout, where nothing can be synced."""

    @property
    def known(self) -> KnownOutput:
        """What is known of the output."""
        return KnownOutput(self.length, self.tail)


class _ContainedMark(Mark, frozen=True, kw_only=True):
    """The same with a random word of the export that wrote it.

    So no two exports write the same, and a bucket can refuse a request of one that was killed if it comes late.
    """

    run: str


class State(ABC):
    """Where a mark is kept; locked until `close`. `mark` is its content; None while it is new."""

    name: str
    """For people."""
    mark: Mark | None = None
    instead: str
    """What to name in the command in order to begin another export."""

    @abstractmethod
    def replace(self, mark: Mark) -> None:
        """Replace the mark, synced. After an OutputError the new one may be there or not."""

    @abstractmethod
    def name_of(self, output: str) -> str | None:
        """*output* as a mark names it; None for stdout."""

    @abstractmethod
    def output_of(self, mark: Mark) -> Path | None:
        """The file that *mark* names, if it may be another than that of the next export."""

    @abstractmethod
    def writer(self, form: Format, output: str, known: KnownOutput | None, *, follow: bool) -> Writer:
        """A writer that continues *output* after what is *known* of it; None: it must be new or empty."""

    @abstractmethod
    def close(self) -> None:
        """Release it to others; what was created but not used is removed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class ContainedState(State):
    """The state that an output keeps itself: wherever it is moved to, it continues there."""

    instead = "name another output"

    def __init__(self, container: Container) -> None:
        self.name, self._container, self._run = container.name, container, token_hex(4)
        try:
            raw = container.read_state()
            self.mark = decoded(raw, self.name, self.instead) if raw else None
        except BaseException:
            container.close()
            raise

    def replace(self, mark: Mark) -> None:
        contained = _ContainedMark(**msgspec.structs.asdict(mark), run=self._run)
        self._container.write_state(msgspec.json.encode(contained))
        self.mark = mark

    def name_of(self, output: str) -> str | None:
        return "."

    def output_of(self, mark: Mark) -> Path | None:
        return None

    def writer(self, form: Format, output: str, known: KnownOutput | None, *, follow: bool) -> Writer:
        return self._container.writer(known or KnownOutput())

    def close(self) -> None:
        self._container.close()


class ExportState(State):
    """A file.

    UsageError if it cannot be used: it is no state, another export holds it, it cannot be written.
    """

    instead = "name another --state and a new -o"

    def __init__(self, name: str) -> None:
        if not name:
            raise UsageError("name a file for the state")
        self.name = name
        try:
            self.path = owners.resolved(name)
            self._fd, self._made = _locked(self.path, name)
        except FileNotFoundError:
            raise UsageError(f"{name}: its folder does not exist; create it first") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{name} cannot be used for the state: {files.reason(error)}") from None
        try:
            self.mark = _read(self._fd, name)
        except BaseException:
            os.close(self._fd)
            raise
        files.remove_orphans(self.path)

    def replace(self, mark: Mark) -> None:
        try:
            part, fd = files.new_part(self.path)
            try:
                files.write(fd, msgspec.json.encode(mark) + b"\n")
                os.fsync(fd)
                part.replace(self.path)
            except BaseException:
                with suppress(OSError):
                    part.unlink()
                os.close(fd)
                raise
            old, self._fd, self.mark = self._fd, fd, mark  # the new file is locked as the old one was
            os.close(old)
            files.sync_folder(self.path.parent)
        except OSError as error:
            raise OutputError(
                f"{self.name} cannot be written: {files.reason(error)}; the same command continues from there"
            ) from None

    def name_of(self, output: str) -> str | None:
        if output == "-":
            return None
        path = Path(os.path.realpath(output))
        return str(path.relative_to(self.path.parent)) if path.is_relative_to(self.path.parent) else str(path)

    def output_of(self, mark: Mark) -> Path | None:
        return None if mark.output is None else self.path.parent / mark.output

    def writer(self, form: Format, output: str, known: KnownOutput | None, *, follow: bool) -> Writer:
        return form.resume(output, known, follow=follow)

    def close(self) -> None:
        if self.mark is None and self._made:
            with suppress(OSError):
                self.path.unlink()
        os.close(self._fd)


def _locked(path: Path, name: str) -> tuple[int, bool]:
    """The descriptor of the file that is at *path* once locked (it may be replaced before), and whether it is new."""
    while True:
        kind = files.mode_of(path)
        if kind and not stat.S_ISREG(kind):
            raise UsageError(f"{name} is no regular file: name another one for the state")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | owners.nofollow(path), 0o666)
        if files.locked_by_another(fd):
            os.close(fd)
            raise UsageError(f"{name} is the state of an export that is running: stop it, or name another state")
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(fd).st_ino:
                return fd, not kind
        os.close(fd)


class _Version(msgspec.Struct):
    version: int


def _read(fd: int, name: str) -> Mark | None:
    raw = os.pread(fd, 1 << 20, 0)
    return decoded(raw, name, ExportState.instead) if raw else None


def decoded(raw: bytes, name: str, instead: str) -> Mark:
    """The mark that *raw* is; UsageError if it is none of this version."""
    try:
        version = msgspec.json.decode(raw, type=_Version).version
        if version != VERSION:
            raise UsageError(
                f"{name} was written by another version of this program (state {version}, this one knows {VERSION}):"
                f" use that one, or {instead}"
            )
        return msgspec.json.decode(raw, type=Mark)
    except msgspec.DecodeError as error:
        raise UsageError(f"{name} is no state of an export, or a broken one ({error}): {instead}") from None
