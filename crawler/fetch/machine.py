"""Shortages of this machine: errors that are not the host's, and how many descriptors may be used."""

from __future__ import annotations

import errno
import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crawler.fetch.fetcher import Lack

SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""socket(2), connect(2): this process or machine has no descriptor or memory left."""
_NO_NETWORK: Final = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM})
"""connect(2): no route, no interface, no local port, or a rule of this machine forbids it."""
MAX_DESCRIPTORS: Final = 65_536
"""The limit is raised to at most this, whatever the hard limit is."""
_RESERVED: Final = 8
"""Descriptors reserved for everything but transfers: Redis, log, resolver."""
_SHORT_FOR: Final = 30.0
"""After a transfer found no descriptor, fewer transfers start for these seconds."""
_FOLDERS: Final = ("/proc/self/fd", "/dev/fd")


def lack_of(number: int | None) -> Lack:
    """What this machine lacks, by an error number of socket(2) or connect(2)."""
    if number in SHORTAGES:
        return "shortage"
    return "network" if number in _NO_NETWORK else ""


def raise_limit() -> None:
    """Raise the soft limit of open descriptors to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # a system with another bound
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def is_short() -> bool:
    """Whether no descriptor is left."""
    try:
        os.close(os.dup(2))
    except OSError as error:
        return error.errno in SHORTAGES
    return False


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many transfers and connections fit within the limit of open descriptors."""

    transfers: int
    connections: int
    """Connections of transfers and idle ones."""
    limit: int


def allowance(wanted: int, idle: int, each: int) -> Allowance:
    """How many of *wanted* transfers, with up to *each* descriptors, and of *idle* connections fit within the limit."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return Allowance(wanted, wanted + idle, MAX_DESCRIPTORS)
    spare = max(limit - _open_descriptors() - _RESERVED, 1)
    transfers = min(wanted, max(spare // (each + 1), 1))
    return Allowance(transfers, max(min(wanted + idle, spare - (each - 1) * transfers), 1), limit)


def _open_descriptors() -> int:
    for folder in _FOLDERS:
        with suppress(OSError):
            return len(list(Path(folder).iterdir()))
    return 32


class Throttle:
    """How many transfers may be under way: fewer for a while after one found no descriptor."""

    def __init__(self, wanted: int, room: Allowance) -> None:
        self.allowed = self._most = room.transfers
        self._wanted, self._limit = wanted, room.limit
        self._until = float("inf")
        self._starved = False

    def starve(self, at_work: int, now: float) -> None:
        """There was no descriptor, with *at_work* other transfers under way."""
        self.allowed = max(min(self.allowed, at_work), 1)
        self._until, self._starved = now + _SHORT_FOR, True

    def relieve(self, now: float) -> bool:
        """Whether that is long enough ago to try the full number again."""
        if now < self._until:
            return False
        self.allowed, self._until = self._most, float("inf")
        return True

    @property
    def words(self) -> str:
        """One line for a person, with what to do; empty if as many transfers run as configured."""
        if self._most >= self._wanted and not self._starved:
            return ""
        return (
            f"only {self._limit:,} files may be open, so a worker makes fewer transfers at once than the {self._wanted}"
            f" of --concurrency; raise the limit with `ulimit -n {max(1024, 8 * self._wanted, 2 * self._limit)}`"
        )
