"""Places that hold named files, each of which appears whole or not at all: a folder here, or a prefix of a bucket.

A folder of parts, of Markdown files or of both is written through this. Its export keeps its state in it, as one more
file, so the place and its state cannot be separated.
"""

from __future__ import annotations

import ctypes
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from crawler import owners
from crawler.errors import UsageError
from crawler.export import files, s3
from crawler.export.bucket import is_url
from crawler.export.places import Storage

__all__ = ["LocalFolder", "Storage", "is_storage", "open_storage"]

_SYNC_ALONE: Final = 8
"""Up to so many files are synced one by one; for more of them the whole file system is cheaper."""
_ORPHAN: Final = re.compile(r"\..+\.[0-9a-f]{8}\.part")


def is_storage(output: str) -> bool:
    """Whether *output* names a storage: it ends with a slash, or is a folder or a bucket. Else it is one file."""
    if is_url(output):
        return s3.is_folder(output)
    return output != "-" and (output.endswith("/") or Path(output).is_dir())


def open_storage(output: str) -> Storage | None:
    """The storage that *output* names, not locked yet; None if it names none. A new folder is created by `lock`."""
    if not is_storage(output):
        return None
    return s3.S3Folder(output) if is_url(output) else LocalFolder(output)


class LocalFolder(Storage):
    """A folder on this machine. The folder itself is locked (flock); files are renamed into their places."""

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            self.path = owners.resolved(name)
            kind = files.mode_of(self.path)
        except (OSError, ValueError) as error:
            raise UsageError(f"{name} cannot be written to: {files.reason(error)}") from None
        if kind and not stat.S_ISDIR(kind):
            raise UsageError(f"{name} is no folder: name another one")
        self._fd, self._made = -1, not kind
        self._new: list[Path] = []
        """Files that were put since the last sync."""
        self._folders: set[Path] = set()
        """Folders in which names changed since then."""

    def lock(self) -> None:
        try:
            self.path.mkdir(exist_ok=True)
            self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | owners.nofollow(self.path))
        except FileNotFoundError:
            raise UsageError(f"{self.name}: the folder that it is in does not exist; create it first") from None
        except OSError as error:
            raise UsageError(f"{self.name} cannot be written to: {files.reason(error)}") from None
        if files.locked_by_another(self._fd):
            os.close(self._fd)
            self._fd = -1
            raise UsageError(f"{self.name} is being written by another export: stop it, or name another folder")
        for orphan in self._files():
            if _ORPHAN.fullmatch(orphan.name):
                with suppress(OSError):
                    orphan.unlink()

    def names(self) -> Iterator[str]:
        for path in self._files():
            if not _ORPHAN.fullmatch(path.name):
                yield path.relative_to(self.path).as_posix()

    def _files(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self.path, onerror=_raise):
            yield from (Path(folder) / name for name in names)

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, name: str, content: bytes | Path) -> None:
        place = self.path / name
        if not place.parent.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            self._folders.update(folder for folder in place.parents if folder.is_relative_to(self.path))
        if isinstance(content, Path):
            _sync_file(content)
            content.replace(place)
        else:
            part = self.scratch()
            part.write_bytes(content)
            part.replace(place)
            self._new.append(place)
        self._folders.add(place.parent)

    def delete(self, name: str) -> None:
        place = self.path / name
        with suppress(FileNotFoundError):
            place.unlink()
            self._folders.add(place.parent)
            self._new = [other for other in self._new if other != place]

    def sync(self) -> None:
        if len(self._new) > _SYNC_ALONE and _sync_file_system(self._fd):
            self._new.clear()
            self._folders.clear()
        for place in self._new:
            _sync_file(place)
        for folder in self._folders:
            files.sync_folder(folder)
        self._new.clear()
        self._folders.clear()

    def scratch(self) -> Path:
        while True:
            part = self.path / f".new.{secrets.token_hex(4)}.part"
            with suppress(FileExistsError):
                os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
                return part

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            for part in self.path.glob(".new.*.part"):
                with suppress(OSError):
                    part.unlink()
            if self._made:
                with suppress(OSError):  # nothing was put in it
                    self.path.rmdir()
            os.close(fd)


def _raise(error: OSError) -> None:
    raise error


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_file_system(fd: int) -> bool:
    """Write all of the file system of *fd* to its disk, as syncfs(2) does; false where the system has no such call."""
    libc: Any = ctypes.CDLL(None, use_errno=True)
    syncfs = getattr(libc, "syncfs", None)
    if syncfs is None:
        return False
    if syncfs(fd) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return True
