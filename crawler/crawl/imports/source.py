"""What an import reads from: the URLs that wait in another crawler, and the fingerprints of what it has fetched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from crawler.crawl.seed_list import Line


class Source(Protocol):
    """Another crawler's state. Each iterator may be asked for again, and reads from the beginning."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def found(self) -> str:
        """What is there, for a person. Raises UsageError if there is nothing, or another kind of data."""

    def fingerprints(self) -> Iterator[bytes]:
        """The fingerprints of all requests that it has queued so far (see `crawler.fingerprint`)."""

    def lines(self) -> Iterator[Line]:
        """Its start URLs, then the requests that wait."""
