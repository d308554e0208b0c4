"""What a place for named files can do: each of them appears whole or not at all. See storage.py and s3.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path


class Storage(ABC):
    """Named files. All methods raise OSError if the place fails; UsageError, before a change, if it cannot be used.

    A name is relative, with `/` between its parts. Each part consists of ASCII letters, digits and `.-_~+`, and is
    neither `.` nor `..`.
    """

    name: str
    """For people: as the user named it."""

    @abstractmethod
    def lock(self) -> None:
        """Keep other exports away until `close`; UsageError if another one holds it."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """The names of all files in it, those in folders within it included, in any order."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none of that name."""

    @abstractmethod
    def put(self, name: str, content: bytes | Path) -> None:
        """Make the file *name*, or replace it as a whole.

        A path is one from `scratch`, which is consumed: its content is safe before it has its name. Bytes are for many
        small files: they are safe after `sync`.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file; nothing if there is none."""

    def sync(self) -> None:  # noqa: B027 - where `put` returns only when the content is safe there is nothing to do
        """Make all that was put and deleted survive a power loss."""

    def heed(self, stopped: Callable[[], bool]) -> None:  # noqa: B027 - only a place that may be away has to
        """Once *stopped*, do not wait for the place if it is away."""

    @abstractmethod
    def scratch(self) -> Path:
        """A new, empty file on this machine, to be filled for `put`. What is not put goes at `close`."""

    @abstractmethod
    def close(self) -> None:
        """Release it to others."""
