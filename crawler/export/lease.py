"""A lease on a folder of a bucket: the object `.lock` in it, which the export that holds it renews while it lives.

No clock is compared with that of another machine: a lock is free when it was not renewed for LEASE seconds while an
export waited for it. If the process that left it was one of this machine, and has ended, it is free at once.

All puts of it are conditional (If-None-Match, If-Match). On a server that ignores conditions, two exports that begin
within the same moment may both believe that they hold it; at the next renewal the earlier one notices and ends.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from crawler.errors import UsageError
from crawler.export.bucket import Bucket, BucketError, Changed

LEASE: Final = 40.0
"""Seconds after which a lock that nobody renewed is free."""
_LOOK: Final = 1.0
"""Seconds between looks at the lock of another export."""

_held: set[str] = set()
"""The owners of this process."""

log = logging.getLogger(__name__)


class Lock(msgspec.Struct, frozen=True):
    """The content of a lock."""

    owner: str
    """A random word."""
    machine: str
    """A digest of what identifies the machine, or the container, until it is booted again."""
    process: int
    renewed: int = 0
    """How many times."""


class Lease:
    """The lease on one key, renewed by a thread until `release`. *seconds* is LEASE except in tests."""

    def __init__(self, bucket: Bucket, key: str, name: str, seconds: float = LEASE) -> None:
        """*name* is the folder's, for people. UsageError if another export holds it."""
        self._bucket, self._key, self._name, self._seconds = bucket, key, name, seconds
        self._lock = Lock(secrets.token_hex(8), _machine(), os.getpid())
        self._one = threading.Lock()
        self._released = threading.Event()
        self._lost = ""
        _held.add(self._lock.owner)  # before the lock is there, else other threads take it for one that was left
        try:
            self._acquire()
        except BaseException:
            _held.discard(self._lock.owner)
            raise
        self._at = time.monotonic()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """OSError if the lease was lost. One that may have run out, because this process stood still, is renewed."""
        if not self._lost and time.monotonic() - self._at > self._seconds:
            self._renew(self._bucket)
        if self._lost:
            raise BucketError(self._lost)

    def release(self) -> None:
        """End it; never raises."""
        self._released.set()
        _held.discard(self._lock.owner)
        with suppress(BucketError), self._one:
            found = None if self._lost else self._bucket.get(self._key)
            if found is not None and _read(found[0]).owner == self._lock.owner:
                self._bucket.delete(self._key)

    def _acquire(self) -> None:
        seen: str | None = None
        since = 0.0
        while True:
            found = self._bucket.get(self._key)
            tag = None if found is None else found[1]
            if found is None or _is_left(_read(found[0])) or (tag == seen and time.monotonic() - since > self._seconds):
                with suppress(Changed):
                    self._bucket.put_if(self._key, msgspec.json.encode(self._lock), tag)
                    return
            elif _read(found[0]).owner in _held or seen not in (None, tag):
                raise UsageError(f"{self._name} is being written by another export: stop it, or name another folder")
            elif seen is None:
                seen, since = tag, time.monotonic()
                log.warning("%s may be locked by another export: looking for up to %g s", self._name, self._seconds)
            else:
                time.sleep(min(_LOOK, self._seconds / 10))

    def _keep(self) -> None:
        bucket = self._bucket.impatient()
        while not (self._lost or self._released.wait(self._seconds / 4)):
            with suppress(BucketError):  # it is away: the next put says so
                self._renew(bucket)

    def _renew(self, bucket: Bucket) -> None:
        with self._one:
            if self._released.is_set() or self._lost:
                return
            found = bucket.get(self._key)
            lock = msgspec.structs.replace(self._lock, renewed=self._lock.renewed + 1)
            try:
                if found is None or _read(found[0]).owner != lock.owner:
                    raise Changed
                bucket.put_if(self._key, msgspec.json.encode(lock), found[1])
            except Changed:
                self._lost = "another export has taken it over"
                return
            self._lock, self._at = lock, time.monotonic()


def _read(raw: bytes) -> Lock:
    """A lock; one that cannot be read was written by something else, and is waited for."""
    try:
        return msgspec.json.decode(raw, type=Lock)
    except msgspec.DecodeError:
        return Lock("", "", 0)


def _is_left(lock: Lock) -> bool:
    """Whether a process of this machine left it behind when it died."""
    if lock.machine != _machine() or lock.process <= 0:
        return False
    if lock.process == os.getpid():
        return lock.owner not in _held
    try:
        os.kill(lock.process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _machine() -> str:
    """What tells this machine from others, and from itself before it was booted; a container counts as a machine."""
    facts = [socket.gethostname(), str(os.geteuid())]
    try:
        facts += [Path("/proc/sys/kernel/random/boot_id").read_text(), str(Path("/proc/self/ns/pid").readlink())]
    except OSError:  # no Linux
        facts.append(str(uuid.getnode()))
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=12).hexdigest()
