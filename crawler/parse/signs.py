"""Finds which of several expressions occur in a document, in one pass. The only module that uses Hyperscan. Pure.

Without it (`pip install crawler[fast]`) its callers search with the standard library, which takes longer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

Scanner = Callable[[bytes], set[int]]
"""Returns the indexes, in the list of expressions, of those that occur in a document."""


@cache
def scanner(*expressions: str) -> Scanner | None:
    """A scanner for *expressions*, in Hyperscan's syntax; None if it is not installed."""
    try:
        import hyperscan  # imported late: most commands read no page
    except ImportError:
        return None
    database = hyperscan.Database()
    encoded = [expression.encode() for expression in expressions]
    database.compile(encoded, list(range(len(encoded))), len(encoded), hyperscan.HS_FLAG_SINGLEMATCH)

    def scan(document: bytes) -> set[int]:
        found: set[int] = set()

        def note(number: int, *_: Any) -> None:
            found.add(number)

        database.scan(document, match_event_handler=note)
        return found

    return scan
