"""Libraries that only some commands need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crawler.errors import UsageError, to_install


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import the libraries of the extra *name* within. Raises UsageError where one is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("crawler"):
            raise
        raise UsageError(f"this command needs {error.name}; {to_install(name)}") from None
