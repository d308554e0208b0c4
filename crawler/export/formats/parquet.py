"""Parquet (https://parquet.apache.org): one file, which appears whole at the end, or a folder of parts; zstd inside.

A file cannot be read before its end is written, so an export that is to be resumed goes into a folder: `-o pages/
--format parquet`, `-o pages.parquet/`. Columns have types: numbers, truth values, text; `links` is a list of structs.
`data` is JSON text, since each page may have another kind of it; what `--fields` or `--items` name of it has the
narrowest type that holds all values of the file, nested lists and structs included. In a folder each part has its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType
from typing import IO, Any, Final, get_args, get_type_hints

import msgspec

from crawler.errors import OutputError, UsageError, to_install
from crawler.export.files import reason
from crawler.export.parts import FolderOfParts
from crawler.export.shape import ALL_FIELDS, FIELDS, Shape, divide
from crawler.export.storage import is_storage, open_storage
from crawler.export.target import FileInPlace, Target
from crawler.export.types import JSON, NULL, TEXT, Type, bounded, conform, merged, type_of
from crawler.export.whole_file import WholeFile
from crawler.export.writer import Container, Writer
from crawler.record import CONTENTS, Record

_GROUP_ROWS: Final = 500
"""Most rows of a row group, and most characters of text in it: it is held in memory."""
_GROUP_WEIGHT: Final = 16 * 1024 * 1024
_LINK: Final = Type("struct", fields=(("url", TEXT), ("text", TEXT), ("rel", TEXT), ("line", Type("int"))))
Row = dict[str, Any]


@dataclass(frozen=True)
class Parquet(WholeFile):
    """Parquet files."""

    shape: Shape = ALL_FIELDS

    def shaped(self, shape: Shape) -> Parquet:
        return replace(self, shape=shape)

    def contents(self, stored: Collection[str]) -> frozenset[str]:
        read = self.shape.reads
        return frozenset(CONTENTS) if read is None else frozenset(CONTENTS) & read

    def contains_state(self, output: str) -> bool:
        return is_storage(output)

    def container(self, output: str) -> Container | None:
        storage = open_storage(output)
        if storage is None:
            return None
        library()
        learns = self.shape.items and not self.shape.fields
        return FolderOfParts(storage, "parquet", lambda part: self.begin(output, FileInPlace(part)), learns=learns)

    def begin(self, output: str, target: Target) -> Writer:
        library()
        return ParquetWriter(output, target, self.shape)


@cache
def library() -> tuple[ModuleType, ModuleType]:
    """pyarrow and its Parquet; UsageError if it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(f"Parquet needs pyarrow; {to_install('parquet')}") from None
    return pyarrow, pyarrow.parquet


class ParquetWriter(Writer):
    """Writes row groups. Where types are only known at the end, rows are kept in a temporary file until then."""

    def __init__(self, output: str, target: Target, shape: Shape) -> None:
        self.output, self._target, self._shape = output, target, shape
        self.columns = None if shape.items and not shape.fields else ()
        self._rows: list[Row] = []
        self._weight = 0
        self._types = _fixed_types(shape)
        self._kept = None if self._types is not None else _Kept(self._names)
        self._file = None if self._types is None else _File(target, self._types)
        self._open = True

    def _names(self) -> tuple[str, ...]:
        return self._shape.fields or ("url", *(self.columns or ()))

    def write(self, record: Record) -> None:
        self._guarded(self._write, record)

    def _write(self, record: Record) -> None:
        for row in self._shape.rows(record):
            placed = _placed(row, self.columns or ()) if self._shape.items and not self._shape.fields else row
            if self._types is None:
                assert self._kept is not None
                self._kept.add(placed)
            else:
                self._rows.append(_conformed(placed, self._types))
                self._weight += sum(len(value) for value in placed.values() if isinstance(value, str))
                if len(self._rows) >= _GROUP_ROWS or self._weight >= _GROUP_WEIGHT:
                    self._flush()

    def _flush(self) -> None:
        assert self._file is not None
        self._file.write(self._rows)
        self._rows, self._weight = [], 0

    def checkpoint(self) -> None:
        raise ValueError("a Parquet file has no checkpoints")

    def finish(self) -> None:
        if self._open:
            self._guarded(self._finish)
            self._open = False

    def _finish(self) -> None:
        if self._kept is not None:
            types = self._kept.types()
            self._file = _File(self._target, types)
            for rows in self._kept.groups():
                self._file.write([_conformed(row, types) for row in rows])
            self._kept.close()
        elif self._rows:
            self._flush()
        assert self._file is not None
        self._file.close()
        self._target.finish()

    def abort(self) -> None:
        if self._open:
            self._open = False
            self._target.abort()
            if self._file is not None:
                self._file.abandon()
            if self._kept is not None:
                self._kept.close()

    def _guarded(self, step: Callable[..., None], *args: object) -> None:
        pyarrow, _ = library()
        try:
            step(*args)
        except (OSError, pyarrow.ArrowException) as error:
            self.abort()
            raise OutputError(f"{self.output} cannot be written: {reason(error)}; {self._target.kept}") from None
        except RecursionError:  # this record alone cannot be written
            raise
        except BaseException:
            self.abort()
            raise


class _File:
    """A Parquet file with columns of these types, written to a target."""

    def __init__(self, target: Target, types: dict[str, Type]) -> None:
        pyarrow, parquet = library()
        self._arrow = pyarrow
        self._schema = pyarrow.schema([(name, _arrow_type(kind)) for name, kind in types.items()])
        self._sink = _Sink(target)
        self._writer = parquet.ParquetWriter(pyarrow.PythonFile(self._sink, "w"), self._schema, compression="zstd")

    def write(self, rows: list[Row]) -> None:
        arrays = [self._arrow.array([row[field.name] for row in rows], field.type) for field in self._schema]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> None:
        """Close it without writing: its end would be written when Python frees it."""
        self._sink.abandoned = True
        with suppress(self._arrow.ArrowException, OSError):
            self._writer.close()


class _Sink:
    """A target as a file object that pyarrow writes to."""

    closed = abandoned = False

    def __init__(self, target: Target) -> None:
        self._target, self._size = target, 0

    def write(self, data: Any) -> int:
        raw = bytes(data)
        if not self.abandoned:
            self._target.write([raw], whole=True)
        self._size += len(raw)
        return len(raw)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The target is finished, or aborted, by its owner."""


class _Kept:
    """Rows as lines of JSON in a temporary file, and the types of all their values so far."""

    def __init__(self, names: Callable[[], tuple[str, ...]]) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._names = names
        self._types: dict[str, Type] = {}

    def add(self, row: Row) -> None:
        for name, value in row.items():
            kind = JSON if name == "data" else type_of(value)
            self._types[name] = bounded(merged(self._types.get(name, NULL), kind))
        self._file.write(msgspec.json.encode(row) + b"\n")

    def types(self) -> dict[str, Type]:
        """The columns; one without any value is text."""
        left = ("data",) if "data" in self._types else ()
        known = {name: self._types.get(name, NULL) for name in (*self._names(), *left)}
        return {name: TEXT if kind == NULL else kind for name, kind in known.items()}

    def groups(self) -> Iterator[list[Row]]:
        """The rows, as many at a time as a row group has."""
        self._file.seek(0)
        rows: list[Row] = []
        weight = 0
        for line in self._file:
            rows.append(msgspec.json.decode(line))
            weight += len(line)
            if len(rows) >= _GROUP_ROWS or weight >= _GROUP_WEIGHT:
                yield rows
                rows, weight = [], 0
        if rows:
            yield rows

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()


def _conformed(row: Row, types: dict[str, Type]) -> Row:
    return {name: conform(row.get(name), kind) for name, kind in types.items()}


def _fixed_types(shape: Shape) -> dict[str, Type] | None:
    """The types of the columns, if they are those of whole fields of records; None if values decide them."""
    names = shape.fields or FIELDS
    if shape.items or not set(names) <= set(FIELDS):
        return None
    return {name: _field_types()[name] for name in names}


@cache
def _field_types() -> dict[str, Type]:
    kinds = {str: TEXT, int: Type("int"), bool: Type("bool")}
    types = {}
    for name, hint in get_type_hints(Record).items():
        plain = next((kind for kind in (get_args(hint) or (hint,)) if kind in kinds), None)
        types[name] = kinds[plain] if plain is not None else JSON
    return types | {"links": Type("list", _LINK)}


def _placed(row: Row, columns: tuple[str, ...]) -> Row:
    """An item's row, with what has no column in `data`."""
    url = row.pop("url")
    own, rest = divide(row, columns)
    return {"url": url} | own | ({"data": rest} if rest else {})


def _arrow_type(kind: Type) -> Any:
    pyarrow, _ = library()
    if kind.element is not None:
        return pyarrow.list_(_arrow_type(kind.element))
    if kind.fields:
        return pyarrow.struct([(name, _arrow_type(of)) for name, of in kind.fields])
    plain = {"bool": pyarrow.bool_, "int": pyarrow.int64, "float": pyarrow.float64, "null": pyarrow.string}
    return plain.get(kind.kind, pyarrow.string)()


FORMAT: Final = Parquet("parquet")
