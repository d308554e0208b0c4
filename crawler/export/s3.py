"""Exports into S3: a folder of a bucket for parts, or one object.

    s3://BUCKET/FOLDER/      a folder: each file in it is an object that appears whole; so is the export's state
    s3://BUCKET/KEY.jsonl    one object: written to a temporary file first, uploaded when it is complete

Memory is bounded: a part, or an object, is a temporary file (in TMPDIR) until it is uploaded. Files up to 5 MiB go in
one request, longer ones in pieces (multipart upload), of which readers see nothing before the last step.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from crawler.errors import OutputError, UsageError
from crawler.export import files
from crawler.export.bucket import PIECE, Bucket, BucketError, Changed, is_url, parts_of
from crawler.export.lease import LEASE, Lease
from crawler.export.places import Storage

_LOCK: Final = ".lock"
_AT_ONCE: Final = 16
"""Small files that are put at a time: each of them waits for an answer of 20 to 100 ms."""
_SCRATCH: Final = "crawler-export-"


def is_folder(output: str) -> bool:
    """Whether *output* names a folder of a bucket: it ends with a slash, or is a whole bucket."""
    return is_url(output) and parts_of(output)[1][-1:] in ("", "/")


class S3Folder(Storage):
    """A folder of a bucket. *patience* and *lease* are seconds, and other ones only in tests."""

    def __init__(self, name: str, patience: float | None = None, lease: float = LEASE) -> None:
        self.name = name
        bucket, key = parts_of(name)
        self._folder = key.removesuffix("/")
        self._bucket, self._lease_seconds = Bucket(bucket, patience), lease
        self._lease: Lease | None = None
        self._scratch: Scratch | None = None
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="put")
        self._puts: dict[str, Future[None]] = {}
        """Those of small files that are not known to have succeeded, by name."""
        self._tags: dict[str, str | None] = {}
        """Files that were read, by which a late request of an export that was killed is told from ours."""

    def lock(self) -> None:
        with opening(self.name):
            self._lease = Lease(self._bucket, self._key(_LOCK), self.name, self._lease_seconds)

    def names(self) -> Iterator[str]:
        self.sync()
        start = f"{self._folder}/" if self._folder else ""
        for key in self._bucket.keys(self._folder):
            if key.startswith(start) and key != start + _LOCK:
                yield key.removeprefix(start)

    def read(self, name: str) -> bytes | None:
        self._finish(name)
        found = self._bucket.get(self._key(name))
        if found is None or found[1] is not None:
            self._tags[name] = None if found is None else found[1]
        return None if found is None else found[0]

    def put(self, name: str, content: bytes | Path) -> None:
        self._check()
        self._finish(name)
        if isinstance(content, Path):
            self._put_file(name, content)
            content.unlink(missing_ok=True)
            return
        if len(self._puts) >= 2 * _AT_ONCE:
            self._finish(next(iter(self._puts)))
        self._puts[name] = self._pool.submit(self._bucket.put, self._key(name), content)

    def _put_file(self, name: str, path: Path) -> None:
        """Put a file, unless a request of an export that was killed comes late and between: that one has to lose.

        What was read may only be replaced as it was read; what is new must not be there. Only a single request can have
        a condition.
        """
        key = self._key(name)
        if path.stat().st_size > PIECE:
            self._bucket.put(key, path)
            return
        data = path.read_bytes()
        if name in self._tags:
            try:
                self._tags[name] = self._bucket.put_if(key, data, self._tags[name])
            except Changed:
                raise BucketError(f"another export has written {name}") from None
            return
        while True:
            try:
                self._bucket.put_if(key, data, None)
                return
            except Changed:
                self._bucket.delete(key)

    def delete(self, name: str) -> None:
        self._check()
        self._finish(name)
        self._bucket.delete(self._key(name))

    def sync(self) -> None:
        for name in list(self._puts):
            self._finish(name)

    def heed(self, stopped: Callable[[], bool]) -> None:
        self._bucket.heed(stopped)

    def scratch(self) -> Path:
        self._scratch = self._scratch or Scratch()
        return self._scratch.new_file()

    def close(self) -> None:
        self._bucket.close()
        self._pool.shutdown(cancel_futures=True)
        if self._lease is not None:
            self._lease.release()
            self._lease = None
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None

    def _key(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name

    def _check(self) -> None:
        if self._lease is not None:
            self._lease.check()

    def _finish(self, name: str) -> None:
        if name in self._puts:
            self._puts[name].result()
            del self._puts[name]


class Upload:
    """A temporary file that becomes one object at `finish`: whole, or not at all.

    UsageError, with nothing changed, if the object cannot be written. `finish` raises BucketError.
    """

    def __init__(self, output: str, patience: float | None = None) -> None:
        name, self._key = parts_of(output)
        if is_folder(output):
            raise UsageError(f"{output} is a folder: name an object in it")
        self._bucket = Bucket(name, patience)
        with opening(output):
            self._bucket.check_writable(self._key)
        self._scratch = Scratch()
        self.path = self._scratch.new_file()

    def finish(self) -> None:
        """Upload the file."""
        self._bucket.put(self._key, self.path)
        self.close()

    def close(self) -> None:
        """Remove the file; may be called more than once."""
        self._scratch.close()


class Scratch:
    """A folder for temporary files (in TMPDIR), locked for life. A new one removes those that killed processes left."""

    def __init__(self) -> None:
        for old in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
            with suppress(OSError):
                _remove_unless_used(old)
        try:
            self.path, self._fd = _locked_folder()
        except OSError as error:
            raise OutputError(f"no temporary file can be made: {files.reason(error)}; set TMPDIR to a folder") from None

    def new_file(self) -> Path:
        """A new, empty file."""
        fd, name = tempfile.mkstemp(dir=self.path)
        os.close(fd)
        return Path(name)

    def close(self) -> None:
        """Remove it, with all in it."""
        if self._fd >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._fd)
            self._fd = -1


def _locked_folder() -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_SCRATCH))
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if not files.locked_by_another(fd) and path.exists():
            return path, fd
        os.close(fd)  # another process took it for one that was left, before it was locked


def _remove_unless_used(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_uid == os.geteuid() and not files.locked_by_another(fd):
            shutil.rmtree(path)
    finally:
        os.close(fd)


def size_of(output: str) -> int:
    """Bytes of an object; 0 if there is none."""
    name, key = parts_of(output)
    with opening(output):
        return Bucket(name).size(key)


@contextmanager
def opening(output: str) -> Iterator[None]:
    """What the bucket refuses before anything was written is a UsageError; a bucket that is away is an OutputError."""
    try:
        yield
    except BucketError as error:
        kind = OutputError if error.away else UsageError
        raise kind(f"{output} cannot be written to: {error}") from None
