"""SQLite: a table `pages` with a row a URL, and with `--items` a table `items`; the state of the export is in it, too.

    SELECT url, title, "data.price" FROM pages WHERE outcome = 'fetched'

Nested values are JSON text. What a hook or a rule found gets a column for each key, `data.KEY`, when it first comes;
what has none stays in `data`. A URL that comes again replaces its row, so the later line holds.

Rows and state are written in one transaction, from a checkpoint to the next. The database is in WAL mode meanwhile, so
others can read it at any moment; at the end it is one plain file.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import msgspec

from crawler import owners
from crawler.errors import OutputError, UsageError
from crawler.export import files
from crawler.export.bucket import is_url
from crawler.export.s3 import Upload
from crawler.export.shape import ALL_FIELDS, FIELDS, MAX_COLUMNS, Shape, divide, is_column, items_of
from crawler.export.writer import Container, Format, KnownOutput, Writer
from crawler.record import CONTENTS, Record

_STATE: Final = "crawler_export"
_OURS: Final = (_STATE, "pages", "items")
_LARGEST: Final = 1 << 63
"""Integers of SQLite have 64 bits with a sign."""


@dataclass(frozen=True)
class Sqlite(Format):
    """Databases: each keeps its own state, and is always continued; one in a bucket appears whole at the end."""

    shape: Shape = ALL_FIELDS
    has_pages = True

    def shaped(self, shape: Shape) -> Format:
        return replace(self, shape=shape)

    def contents(self, stored: Collection[str]) -> frozenset[str]:
        read = None if self.shape.items else self.shape.reads
        return frozenset(CONTENTS) if read is None else frozenset(CONTENTS) & read

    def contains_state(self, output: str) -> bool:
        return not is_url(output)

    def container(self, output: str) -> Container | None:
        return None if is_url(output) else Database(output, self.shape)

    def check(self, output: str) -> None:
        if is_url(output):
            raise UsageError(f"{output} appears whole at the end: leave out --state and --drain")

    def open(self, output: str, *, follow: bool) -> Writer:
        """Only one in a bucket is opened without its state."""
        return UploadedRows(output, self.shape)

    def resume(self, output: str, known: KnownOutput | None, *, follow: bool) -> Writer:
        raise ValueError("a database is opened with its state, see `container`")


class Database(Container):
    """The file, locked (flock) for life."""

    def __init__(self, output: str, shape: Shape) -> None:
        self.name, self._shape = output, shape
        self._path, self._fd, self._made = _locked(output)
        try:
            self.connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = FULL")  # a commit survives a power loss
        except BaseException as error:
            os.close(self._fd)
            if isinstance(error, sqlite3.Error):
                raise UsageError(f"{output} cannot be used as a database: {error}: name another file") from None
            raise

    def read_state(self) -> bytes | None:
        try:
            tables = [
                name for (name,) in self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            if _STATE in tables:
                row = self.connection.execute(f"SELECT state FROM {_STATE}").fetchone()
                if row:
                    return str(row[0]).encode()
            elif any(name in _OURS for name in tables):
                raise UsageError(f"{self.name} has a table pages or items that no export made: name another file")
            return None
        except sqlite3.Error as error:
            raise UsageError(f"{self.name} cannot be used as a database: {error}: name another file") from None

    def write_state(self, state: bytes) -> None:
        self.guarded(self._commit, state.decode())

    def _commit(self, state: str) -> None:
        self.begin()
        self.connection.execute(f"CREATE TABLE IF NOT EXISTS {_STATE} (id INTEGER PRIMARY KEY, state TEXT)")
        self.connection.execute(f"INSERT OR REPLACE INTO {_STATE} VALUES (1, ?)", [state])
        self.connection.execute("COMMIT")
        self._made = False

    def begin(self) -> None:
        """Begin a transaction, unless one is under way."""
        if not self.connection.in_transaction:
            self.connection.execute("BEGIN IMMEDIATE")

    def guarded(self, step: Callable[..., None], *args: object) -> None:
        """Do *step*; if the database fails, go back to the last checkpoint and raise OutputError."""
        try:
            step(*args)
        except (sqlite3.Error, OSError) as error:
            self.roll_back()
            raise OutputError(
                f"{self.name} cannot be written: {error}; it is as it was at its last checkpoint, and the same command"
                " continues there"
            ) from None

    def roll_back(self) -> None:
        """Undo what was written since the last checkpoint."""
        with suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def writer(self, known: KnownOutput) -> Writer:
        return RowWriter(self, self._shape)

    def close(self) -> None:
        self.roll_back()
        with suppress(sqlite3.Error):  # while others read it stays in WAL mode, which is no harm
            self.connection.execute("PRAGMA journal_mode = DELETE")
        self.connection.close()
        if self._made:
            with suppress(OSError):
                self._path.unlink()
        os.close(self._fd)


class RowWriter(Writer):
    """Writes rows, in a transaction that `Container.write_state` ends."""

    def __init__(self, database: Database, shape: Shape) -> None:
        self.output, self._database = database.name, database
        self._own = Shape() if shape.items else shape
        self._of_items = shape if shape.items else None
        database.guarded(self._make_tables)

    def _make_tables(self) -> None:
        self._database.begin()
        connection = self._database.connection
        self._pages = _Table(connection, "pages", _page_columns(self._own.fields))
        if self._of_items is not None:
            self._items = _Table(connection, "items", {"url": "TEXT NOT NULL"})
            connection.execute("CREATE INDEX IF NOT EXISTS items_url ON items (url)")

    def write(self, record: Record) -> None:
        self._database.guarded(self._write, record)

    def _write(self, record: Record) -> None:
        self._database.begin()
        (row,) = self._own.rows(record)
        self._pages.upsert(self._page_of(row, record))
        if self._of_items is not None:
            self._items.replace(record.url, list(self._of_items.rows(record)))

    def _page_of(self, row: dict[str, Any], record: Record) -> dict[str, Any]:
        """The row of a page, with what a hook or a rule found beside the fields."""
        row["url"] = record.url
        data = row.get("data")
        if self._of_items is not None and items_of(data) is not None:
            data = {key: value for key, value in data.items() if key != "items"} if isinstance(data, dict) else None
        if self._own.plain and isinstance(data, dict):
            own, data = divide(data, [key for key in data if self._pages.admit(f"data.{key}")])
            row |= {f"data.{key}": value for key, value in own.items()}
        row["data"] = data
        return row if self._own.plain else {name: row.get(name) for name in ("url", *self._own.fields)}

    def checkpoint(self) -> None:
        """Nothing: the state and the rows are committed together."""

    def finish(self) -> None:
        """Nothing: the last checkpoint was it."""

    def abort(self) -> None:
        self._database.roll_back()


class UploadedRows(RowWriter):
    """Writes the rows of a temporary database, which becomes an object of a bucket at the end."""

    def __init__(self, output: str, shape: Shape) -> None:
        self._upload = Upload(output)
        self._whole = Database(str(self._upload.path), shape)
        super().__init__(self._whole, shape)
        self.output = output
        self._unfinished = True

    def finish(self) -> None:
        if not self._unfinished:
            return
        try:
            self._whole.write_state(b"")
            self._unfinished = False
            self._whole.close()
            self._upload.finish()
        except OSError as error:
            why = files.reason(error)
            raise OutputError(f"{self.output} cannot be written: {why}; the object is as it was before") from None
        finally:
            self.abort()

    def abort(self) -> None:
        if self._unfinished:
            self._unfinished = False
            self._whole.close()
        self._upload.close()


class _Table:
    """One table, whose columns grow."""

    def __init__(self, connection: sqlite3.Connection, name: str, columns: dict[str, str]) -> None:
        self._connection, self._name = connection, name
        kinds = ", ".join(f"{_quoted(column)} {kind}" for column, kind in columns.items())
        connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({kinds})")
        self._columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        self._known = {column.lower(): column for column in self._columns}
        """SQLite does not tell `Price` from `price`: the first spelling has the column."""
        self._most = len(columns) + MAX_COLUMNS
        for column in columns:
            self._add(column)

    def admit(self, column: str) -> bool:
        """Whether there is, or is now, a column of this name."""
        if len(self._columns) < self._most and is_column(column):
            self._add(column)
        return self._known.get(column.lower()) == column

    def _add(self, column: str) -> None:
        if column.lower() not in self._known:
            self._connection.execute(f"ALTER TABLE {self._name} ADD COLUMN {_quoted(column)}")
            self._columns.append(column)
            self._known[column.lower()] = column

    def upsert(self, row: dict[str, Any]) -> None:
        """Insert *row*, or put it in the place of that of the same URL."""
        sets = ", ".join(
            f"{_quoted(column)} = excluded.{_quoted(column)}" for column in self._columns if column != "url"
        )
        clause = f" ON CONFLICT (url) DO UPDATE SET {sets}" if sets else " ON CONFLICT (url) DO NOTHING"
        self._insert(row, clause)

    def replace(self, url: str, rows: Sequence[dict[str, Any]]) -> None:
        """Put *rows* in the place of those of *url*."""
        self._connection.execute(f"DELETE FROM {self._name} WHERE url = ?", [url])
        for row in rows:
            own = {key: value for key, value in row.items() if self.admit(key)}
            if rest := {key: value for key, value in row.items() if key not in own}:
                self._add("data")
                own["data"] = rest | ({"data": own["data"]} if "data" in own else {})
            self._insert({"url": url} | own)

    def _insert(self, row: dict[str, Any], clause: str = "") -> None:
        names, places = ", ".join(map(_quoted, self._columns)), ", ".join("?" * len(self._columns))
        statement = f"INSERT INTO {self._name} ({names}) VALUES ({places}){clause}"
        self._connection.execute(statement, [_value(row.get(column)) for column in self._columns])


def _locked(output: str) -> tuple[Path, int, bool]:
    """The path of the file, a descriptor by which it is locked, and whether it is new."""
    if output.endswith("/") or Path(output).is_dir():
        raise UsageError(f"{output} is a folder: a database is one file, without / at the end")
    try:
        path = owners.resolved(output)
        kind = files.mode_of(path)
        if kind and not stat.S_ISREG(kind):
            raise UsageError(f"{output} is no regular file: a database needs a name of its own")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | owners.nofollow(path), 0o666)
    except FileNotFoundError:
        raise UsageError(f"{output}: its folder does not exist; create it first") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{output} cannot be written to: {files.reason(error)}") from None
    if files.locked_by_another(fd):
        os.close(fd)
        raise UsageError(f"{output} is being written by another export: stop it, or name another file")
    return path, fd, not kind


def _page_columns(fields: tuple[str, ...]) -> dict[str, str]:
    """The columns of the pages, each with its type; the URL is always one of them."""
    kinds = {"url": "TEXT PRIMARY KEY NOT NULL"}
    hints = get_type_hints(Record)
    for name in fields or FIELDS:
        whole = set(get_args(hints.get(name)) or (hints.get(name),)) & {int, bool}
        kinds.setdefault(name, "INTEGER" if whole else "TEXT" if name in FIELDS else "")
    return kinds


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _value(value: Any) -> Any:
    """*value* as SQLite holds it."""
    if value is None or isinstance(value, str | float):
        return value
    if isinstance(value, int) and -_LARGEST <= value < _LARGEST:
        return int(value)
    return msgspec.json.encode(value).decode()


FORMAT: Final = Sqlite("sqlite")
