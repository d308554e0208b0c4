"""Kills an export again and again: `python -m tests.export.killed REDIS OUTPUT FORMAT KILLS [RECORDS]`.

It runs in an empty folder. Each export is a process of its own, killed by SIGKILL at a random moment. After each kill
other programs read the output: what the state counts as written is there, and nothing twice. An output without a state
is as it was before, or whole. The last export is not killed; then each record is there once.

Without RECORDS, some are committed whenever an export has come to its end. With it the crawl has so many records
already (`fill`), and the kills are spread over the export of all of them. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import duckdb

from crawler.export import Output, Wanted, checkpoints
from crawler.export.formats import format_of
from crawler.export.state import Mark
from crawler.export.whole_file import WholeFile
from crawler.frontier.frontier import Frontier
from crawler.frontier.redis.connection import Connection
from tests.export.conftest import Crawl, page
from tests.export.readers import Watched, numbers

EACH = 150
"""Records that are committed when an export has come to its end."""
STORED = ("markdown",)
STATE = "state"
LINE = "One line of [page %d](http://example.org/page/%d), with `code`, and words of **some** length.\n\n"


@dataclass
class Found:
    """What came out."""

    killed: int = 0
    advanced: int = 0
    """Kills before which the export had passed a checkpoint."""
    ended: int = 0
    """Exports that came to their end before they could be killed."""
    cut: int = 0
    """Kills in the midst of a write: a stream could be read as far as its state says, and not to its end."""
    records: int = 0
    seconds: float = 0.0


@dataclass
class Killer:
    """One output, and the crawl that is exported to it."""

    crawl: Crawl
    output: str
    format: str
    dice: random.Random = field(default_factory=lambda: random.Random(5))
    span: float = 0.25
    """Seconds within which an export is killed."""
    found: Found = field(default_factory=Found)

    def __post_init__(self) -> None:
        is_file = not self.output.endswith("/")
        self.is_whole = is_file and isinstance(format_of(self.output, self.format or None), WholeFile)
        self._watched = Watched(self.output)

    def wanted(self) -> Wanted:
        contained = self.output.endswith(("/", ".sqlite", ".db"))
        return Wanted(self.output, None if contained or self.is_whole else STATE, self.format or None)

    def export(self) -> None:
        """One export to its end, as the command does it."""
        link = Connection(self.crawl.url)
        with Output(self.wanted()) as output:
            output.write(Frontier.find(link, self.crawl.frontier.crawl), STORED)
        link.close()

    def kill(self) -> bool:
        """An export that is killed at a random moment; false if it ended before."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                self.export()
                code = 0
            finally:
                os._exit(code)
        time.sleep(self.dice.uniform(0, self.span))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise SystemExit("an export failed")
        was_killed = os.WIFSIGNALED(status)
        self.found.killed += was_killed
        self.found.ended += not was_killed
        return was_killed

    def mark(self) -> Mark | None:
        """What the state says."""
        with Output(self.wanted()) as output:
            return output.state.mark if output.state else None

    def check(self, committed: int) -> int:
        """What other programs read is what the state says, or more that it does not know yet; how much that is."""
        if not Path(self.output).exists():
            return 0
        found = Counter(self._read())  # before the state is opened: nothing is repaired
        if self.is_whole:
            assert sorted(found.elements()) == list(range(committed)), f"{len(found)} of {committed}"
            return committed
        mark = self.mark()
        known = mark.records if mark else 0
        assert not [n for n, times in found.items() if times > 1], "a record is there twice"
        assert set(found) >= set(range(known)), f"of {known} records only {len(found)} are there"
        assert set(found) <= set(range(committed))
        return known

    def _read(self) -> list[int]:
        try:
            return self._watched.numbers()
        except duckdb.Error:
            mark = self.mark()
            if self.is_whole or Path(self.output).is_dir() or mark is None:
                raise
            self.found.cut += 1
            with TemporaryDirectory() as folder:
                known = Path(folder) / self.output
                known.write_bytes(Path(self.output).read_bytes()[: mark.length])
                return numbers(known)

    def start_over(self) -> None:
        """Delete the output and its state."""
        path = Path(self.output)
        rmtree(path) if path.is_dir() else path.unlink()
        Path(STATE).unlink(missing_ok=True)

    def end(self, committed: int) -> None:
        """One export to its end, and a look at what there is."""
        self.export()
        found = sorted(self._watched.numbers())
        assert found == list(range(committed)), f"{len(found)} instead of {committed}"
        left = [path for path in Path().rglob(".*") if path.is_file() and path.name != ".crawler-export.json"]
        assert not left, left
        self.found.records = committed


def in_rounds(killer: Killer, kills: int) -> None:
    """Commit some records whenever an export has ended, and kill those that follow."""
    checkpoints.EVERY_RECORDS = 50  # type: ignore[misc]
    committed = 0
    killer.export()
    while killer.found.killed < kills:
        killer.crawl.commit([page(n, markdown=f"# Page {n}\n") for n in range(committed, committed + EACH)])
        committed += EACH
        while killer.found.killed < kills and killer.kill():
            killer.check(committed)
            killer.span *= 1.1
        killer.span *= 0.8  # on any machine about as many end as are killed
    killer.end(committed)


def over_all(killer: Killer, kills: int, records: int) -> None:
    """Kill the export of all records so that it comes by a fair share of what is left from one kill to the next."""
    before, killer.span = 0, 2.0
    if killer.is_whole:
        began = time.monotonic()
        killer.export()
        killer.span = 1.2 * (time.monotonic() - began)
    while killer.found.killed < kills:
        if not killer.kill():
            assert killer.check(records) == records
            before = 0
            if not killer.is_whole:
                killer.start_over()
            continue
        known = killer.check(records)
        share = (records - before) / (kills - killer.found.killed + 1)
        if not killer.is_whole:
            killer.found.advanced += known > before
            killer.span *= 0.8 if known - before > share else 1.25
            before = known
    killer.end(records)


def fill(url: str, records: int) -> None:
    """Commit so many records with some text."""
    link = Connection(url, timeout=60)
    crawl = Crawl.create(link)
    for first in range(0, records, 500):
        part = range(first, min(first + 500, records))
        crawl.commit([page(n, markdown=f"# Page {n}\n\n" + LINE % (n, n) * (1 + n % 4)) for n in part])
    link.close()


def main(url: str, output: str, form: str, kills: int, records: int = 0) -> None:
    """Kill it *kills* times."""
    began, link = time.monotonic(), Connection(url)
    if records:
        killer = Killer(Crawl(url, Frontier.find(link, "export")), output, form)
        over_all(killer, kills, records)
    else:
        killer = Killer(Crawl.create(link), output, form)
        in_rounds(killer, kills)
    killer.found.seconds = round(time.monotonic() - began, 1)
    print(json.dumps(asdict(killer.found)))


if __name__ == "__main__":
    address, place, kind, *counts = sys.argv[1:]
    main(address, place, kind, *map(int, counts))
