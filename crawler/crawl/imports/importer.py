"""Takes over another crawler's state: first what it has seen, so that no worker fetches it again, then what waits.

Safe to repeat: fingerprints and URLs that are there already change nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from crawler.crawl.imports.source import Source
from crawler.crawl.seed_list import Line
from crawler.crawl.seeds import ROOM_AGAIN, TERM, Seeded, Seeder
from crawler.crawl.session import Session
from crawler.errors import OutOfMemory
from crawler.fingerprint import number_of
from crawler.frontier import seen_before
from crawler.frontier.frontier import Frontier
from crawler.frontier.verbs import MAX_REQUESTS
from crawler.worker.options import scope_of

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of another crawler's state."""

    fingerprints: int
    new_fingerprints: int
    seeded: Seeded


class Importer:
    """Imports from one source into one crawl, which counts as being seeded meanwhile."""

    def __init__(self, session: Session, frontier: Frontier, progress: Progress = lambda _: None) -> None:
        """*progress* gets a line for a person after each batch."""
        self._session, self._frontier, self._progress = session, frontier, progress
        self._name = f"import-{secrets.token_hex(8)}"

    def take(self, source: Source) -> Imported:
        """Import all of *source*."""
        try:
            self._frontier.open(self._name, TERM)
            total, new = self.mark_seen(source.fingerprints())
            seeded = self.seed(source.lines())
        finally:
            self._frontier.close(self._name)
        return Imported(total, new, seeded)

    def mark_seen(self, fingerprints: Iterator[bytes]) -> tuple[int, int]:
        """Leave out links with these fingerprints from now on: how many there are, and how many were new."""
        total = new = 0
        while batch := list(islice(fingerprints, MAX_REQUESTS)):
            total += len(batch)
            new += self._mark_when_room([number_of(fingerprint) for fingerprint in batch])
            self._progress(f"importing: {total:,} fingerprints")
        return total, new

    def seed(self, lines: Iterator[Line]) -> Seeded:
        """Queue the URLs of *lines*."""
        return Seeder(self._frontier, scope_of(self._session.settings), self._session.say, self._show).seed(lines)

    def _mark_when_room(self, numbers: list[int]) -> int:
        said = False
        while True:
            self._frontier.open(self._name, TERM)
            try:
                return seen_before.mark(self._frontier, numbers)
            except OutOfMemory as error:
                if not said:
                    self._session.say(f"{error}; the import waits for room")
                said = True
                time.sleep(ROOM_AGAIN)

    def _show(self, seeded: Seeded) -> None:
        self._progress(f"importing: {seeded.given:,} URLs, {seeded.new:,} new")
