"""A bucket of S3, or of a server that speaks its protocol: requests by obstore, repeated while the bucket is away.

Credentials, region and endpoint come from the environment (`AWS_...`, see docs/s3.md). No message contains a part of
them, nor of what the server says beside its error code.
"""

from __future__ import annotations

import copy
import io
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from crawler.errors import UsageError, to_install
from crawler.export.bucket_errors import NO_CREDENTIALS, trouble_of

if TYPE_CHECKING:
    from obstore import Attributes, PutMode
    from obstore.store import ClientConfig

PATIENCE: Final = 600.0
"""Seconds for which a bucket may be away."""
_ANSWER_LIMIT: Final = 120.0
"""Seconds for one request with its body."""
PIECE: Final = 5 * 1024 * 1024
"""Bytes of a piece of a multipart upload, the least that S3 takes. What is no longer goes in one request."""
_MAXPIECES: Final = 9_000
"""S3 takes 10,000."""
_AT_ONCE: Final = 4
"""Pieces that are sent at a time."""
_FIRST_PAUSE, _MAX_PAUSE, _PAUSE_GROWTH = 0.5, 20.0, 2.0
"""Seconds between attempts, and how they grow."""
_LOOK: Final = 0.2
"""Seconds between looks whether to give up."""
_MAX_READ: Final = 16 * 1024 * 1024
"""Bytes of an object that is read: what an export reads is small."""
_MAX_KEY: Final = 900
"""Bytes of a key as it is given; S3 takes 1,024, and a folder needs names in it."""

_URL: Final = re.compile(r"s3://([^/]*)(?:/(.*))?", re.IGNORECASE | re.DOTALL)
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "gz": "application/gzip",  # RFC 6713
    "json": "application/json",
    "jsonl": "application/jsonl",
    "md": "text/markdown; charset=utf-8",  # RFC 7763
    "parquet": "application/vnd.apache.parquet",
    "sqlite": "application/vnd.sqlite3",
    "txt": "text/plain; charset=utf-8",
    "xml": "application/xml",
    "zst": "application/zstd",  # RFC 8878
}
"""Ending -> media type."""
T = TypeVar("T")
log = logging.getLogger(__name__)


class BucketError(OSError):
    """A request failed. `away` says that the bucket could not be reached, else it refused; `code` is S3's own word."""

    def __init__(self, why: str, *, away: bool = False, code: str = "") -> None:
        super().__init__(why)
        self.away, self.code = away, code


class Changed(Exception):
    """A conditional put was refused: the object is there already, or is another one than was expected."""


class Bucket:
    """One bucket; threads may share it. UsageError if the environment or the library does not allow to use it.

    Each request is repeated for *patience* seconds (PATIENCE) while the bucket is away. All raise BucketError.
    """

    def __init__(self, name: str, patience: float | None = None, answer_limit: float = _ANSWER_LIMIT) -> None:
        self.name, self._patience = name, PATIENCE if patience is None else patience
        self._obstore = _library()
        self._store = self._open(name, answer_limit)
        self._answered = self._is_away = False
        self._closing = threading.Event()
        self._stopped: Callable[[], bool] = self._closing.is_set

    def heed(self, stopped: Callable[[], bool]) -> None:
        """Repeat nothing once *stopped*."""
        self._stopped = lambda: stopped() or self._closing.is_set()

    def close(self) -> None:
        """Give up what is being repeated."""
        self._closing.set()

    def impatient(self) -> Bucket:
        """The same bucket, whose requests are not repeated for long, and in silence."""
        found = copy.copy(self)
        found._patience = 0.0
        return found

    def _open(self, name: str, answer_limit: float) -> Any:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store

        try:
            return S3Store(
                name,
                config={"disable_bulk_delete": True},  # several servers do not know it
                client_options=_client_options(_endpoint(), answer_limit),
                retry_config={
                    "max_retries": 3,  # so that one lost piece does not cost the whole upload
                    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1), "base": 2},
                },
            )
        except (BaseError, ValueError, TypeError) as error:
            why = str(error).partition("\n")[0][:120]
            raise UsageError(f"s3://{name}: the AWS_ variables cannot be used: {why}") from None

    def put(self, key: str, data: bytes | Path) -> None:
        """Put an object, whole or not at all."""
        if isinstance(data, bytes):
            self._ask(lambda: self._put(key, data))
        else:
            self._ask(lambda: self._upload(key, data))

    def put_if(self, key: str, data: bytes, tag: str | None) -> str | None:
        """Put *data* if the object is still the one with *tag*, None: if there is none; its new tag. Else Changed.

        A server that knows no conditions puts it anyway.
        """
        mode: PutMode = "create" if tag is None else {"e_tag": tag}
        kind: Attributes = {"Content-Type": type_of(key)}
        try:
            put = self._ask(lambda: self._obstore.put(self._store, key, data, mode=mode, attributes=kind), changed=True)
            new: str | None = put["e_tag"]
        except Changed:
            now = self.get(key)  # perhaps our own: its acknowledgement was lost, and the request repeated
            if now is None or now[0] != data:
                raise
            new = now[1]
        except BucketError as error:
            if error.code != "NotImplemented":
                raise
            self.put(key, data)
            new = None
        return new

    def get(self, key: str) -> tuple[bytes, str | None] | None:
        """The content of a small object and its tag, if it exists."""

        def read() -> tuple[bytes, str | None]:
            found = self._obstore.get(self._store, key)
            if found.meta["size"] > _MAX_READ:
                raise BucketError(f"{key} has {found.meta['size']:,} bytes, and should have a few: name another folder")
            return bytes(found.bytes()), found.meta["e_tag"]

        found: tuple[bytes, str | None] | None = self._ask(read, missing=True)
        return found

    def size(self, key: str) -> int:
        """Bytes of an object; 0 if there is none. Reads no content: unlike HEAD, GET says which kind of 404 it is."""
        found = self._ask(lambda: self._obstore.get(self._store, key).meta["size"], missing=True)
        return int(found or 0)

    def keys(self, folder: str) -> Iterator[str]:
        """All keys that begin with *folder* and a slash, in order; for an empty *folder* all."""
        last: str | None = None
        while page := self._ask(partial(self._page, folder, last)):
            last = page[-1]
            yield from page

    def _page(self, folder: str, after: str | None) -> list[str]:
        """The next keys: of one request, so that one that fails can be repeated without losing some."""
        found = self._obstore.list(self._store, folder or None, offset=after, chunk_size=1000)
        return [each["path"] for each in next(iter(found), ())]

    def delete(self, key: str) -> None:
        """Delete an object; nothing if there is none."""
        self._ask(lambda: self._obstore.delete(self._store, key), missing=True)

    def check_writable(self, key: str) -> None:
        """BucketError if *key* cannot be written to. Begins an upload and aborts it: nothing becomes visible."""

        def probe() -> None:
            body = _Body(io.BytesIO(), stop=True)
            try:
                self._obstore.put(self._store, key, body, use_multipart=True)
            except OSError:
                if body.error is None:
                    raise

        self._ask(probe)

    def _put(self, key: str, data: bytes) -> None:
        self._obstore.put(self._store, key, data, use_multipart=False, attributes={"Content-Type": type_of(key)})

    def _upload(self, key: str, path: Path) -> None:
        size = path.stat().st_size
        if size <= PIECE:
            self._put(key, path.read_bytes())
            return
        with path.open("rb") as file:
            body = _Body(file)
            try:
                self._obstore.put(
                    self._store,
                    key,
                    body,
                    attributes={"Content-Type": type_of(key)},
                    use_multipart=True,
                    chunk_size=max(PIECE, size // _MAXPIECES + 1),
                    max_concurrency=_AT_ONCE,
                )
            except BaseException:
                if body.error is not None:
                    raise body.error from None
                raise

    def _ask(self, request: Callable[[], T], *, missing: bool = False, changed: bool = False) -> Any:
        """The answer to *request*; None if the object does not exist and that is *missing*, Changed for *changed*."""
        from obstore.exceptions import BaseError

        began, pause = 0.0, _FIRST_PAUSE
        while True:
            try:
                answer = request()
            except (BaseError, FileNotFoundError) as error:
                trouble = trouble_of(error)
            else:
                self._answered, self._is_away = True, False
                return answer
            if trouble.missing and missing:
                return None
            if trouble.changed and changed:
                raise Changed
            if not (trouble.passing or (trouble.why == NO_CREDENTIALS and self._answered)):
                raise BucketError(trouble.why, code=trouble.code)
            began = began or self._away(trouble.why)
            if time.monotonic() - began + pause > self._patience:
                raise BucketError(f"{trouble.why}, for {_shown(self._patience)}", away=True)
            if self._pause(pause * random.uniform(0.5, 1)):
                raise BucketError(trouble.why, away=True)
            pause = min(pause * _PAUSE_GROWTH, _MAX_PAUSE)

    def _pause(self, seconds: float) -> bool:
        """Wait; true at once when it is time to give up."""
        until = time.monotonic() + seconds
        while not (ended := self._stopped()) and (left := until - time.monotonic()) > 0:
            self._closing.wait(min(left, _LOOK))
        return ended

    def _away(self, why: str) -> float:
        """Say once that the bucket is away; returns since when."""
        if self._patience and not self._is_away:
            self._is_away = True
            log.warning("s3://%s: %s; trying again for up to %s", self.name, why, _shown(self._patience))
        return time.monotonic()


class _Body:
    """What an upload reads. An error or Ctrl-C ends the upload, which obstore then aborts; `error` is what it was."""

    def __init__(self, file: IO[bytes], *, stop: bool = False) -> None:
        self._file, self._stop = file, stop
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            if self._stop:
                raise InterruptedError
            return self._file.read(size)
        except BaseException as error:
            self.error = error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def is_url(output: str) -> bool:
    """Whether *output* names a bucket."""
    return output[:5].lower() == "s3://"


def parts_of(output: str) -> tuple[str, str]:
    """Bucket and key of `s3://BUCKET/KEY`; the key keeps its last slash. UsageError if it cannot be used."""
    found = _URL.fullmatch(output)
    if found is None:
        raise UsageError(f"{output!r} is no URL of a bucket: name s3://BUCKET/FOLDER/ or s3://BUCKET/KEY")
    bucket, key = found[1], found[2] or ""
    if "@" in bucket:
        raise UsageError("a URL of S3 holds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{output!r}: {bucket!r} is no name of a bucket: 3 letters or more, digits, dots and hyphens")
    if any(part in ("", ".", "..") for part in key.removesuffix("/").split("/")) and key:
        raise UsageError(f"{output!r}: a key has no empty part, and none that is . or ..")
    if re.search(r"[\x00-\x1f\x7f?#]", key):
        raise UsageError(f"{output!r}: a key has no control character, ? or #; options come from AWS_ variables")
    if len(key.encode()) > _MAX_KEY:
        raise UsageError(f"{output[:60]!r}...: a key has at most {_MAX_KEY} bytes")
    return bucket, key


def type_of(key: str) -> str:
    """The media type for an object of this name, for those who serve the bucket as a site."""
    return _TYPES.get(key.rpartition(".")[2].lower(), "application/octet-stream")


def _library() -> Any:
    try:
        import obstore
    except ModuleNotFoundError:
        raise UsageError(f"s3:// needs obstore; {to_install('s3')}") from None
    return obstore


def _endpoint() -> str | None:
    """The server's address, as the environment has it; UsageError if it is none, and for half of the credentials."""
    environ = os.environ
    if bool(environ.get("AWS_ACCESS_KEY_ID")) != bool(environ.get("AWS_SECRET_ACCESS_KEY")):
        raise UsageError("s3:// needs both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: one of them is not set")
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    name = next((name for name in names if environ.get(name)), None)
    if name is None:
        return None
    try:
        split = urlsplit(environ[name])
        usable = split.scheme in ("http", "https") and split.hostname and split.port != 0
        if not usable or split.username is not None:
            raise ValueError
    except ValueError:
        raise UsageError(f"{name} is no address of a server: https://HOST or http://HOST:PORT is needed") from None
    return environ[name]


def _client_options(endpoint: str | None, answer_limit: float) -> ClientConfig:
    options: ClientConfig = {
        "timeout": timedelta(seconds=answer_limit),
        "connect_timeout": timedelta(seconds=min(answer_limit, 10)),
        "allow_http": endpoint is not None and endpoint.startswith("http://"),
    }
    if authority := os.environ.get("AWS_CA_BUNDLE"):
        try:
            options["root_certificate"] = Path(authority).read_bytes()
        except OSError as error:
            raise UsageError(f"AWS_CA_BUNDLE: {authority} cannot be read: {error.strerror}") from None
    return options


def _shown(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} seconds"
