"""Kills an export again and again: `python -m tests.export.killed REDIS OUTPUT FORMAT KILLS` in an empty folder.

Each round commits some records, exports them in a process of its own and kills that by SIGKILL at a random moment.
After each kill, another program reads the output: what the state counts as written is there, and nothing twice. The
last export is not killed; then each record is there once. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from crawler.export import Output, Wanted, checkpoints
from crawler.export.state import Mark
from crawler.frontier.frontier import Frontier
from crawler.frontier.redis.connection import Connection
from tests.export.conftest import Crawl, page
from tests.export.readers import numbers

EACH = 150
"""Records that a round commits."""
STORED = ("markdown",)


@dataclass
class Killer:
    """One output, and the crawl that is exported to it."""

    crawl: Crawl
    output: str
    format: str
    dice: random.Random
    span: float = 0.25
    """Seconds within which an export is killed."""

    def wanted(self) -> Wanted:
        state = None if self.output.endswith(("/", ".sqlite", ".db")) else "state"
        return Wanted(self.output, state, self.format or None)

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
        self.span *= 1.1 if was_killed else 0.8  # on any machine about as many end as are killed
        return was_killed

    def mark(self) -> Mark | None:
        """What the state says."""
        with Output(self.wanted()) as output:
            return output.state.mark if output.state else None

    def check(self, committed: int) -> None:
        """What another program reads is what the state says, or more where a part has come that it does not know."""
        if not Path(self.output).exists():
            return
        found = Counter(numbers(self.output))
        mark = self.mark()
        known = mark.records if mark else 0
        assert not [n for n, times in found.items() if times > 1], "a record is there twice"
        assert set(found) >= set(range(known)), f"of {known} records only {len(found)} are there"
        assert set(found) <= set(range(committed))


def main(url: str, output: str, form: str, kills: int) -> None:
    """Kill it *kills* times."""
    checkpoints.EVERY_RECORDS = 50  # type: ignore[misc]
    killer = Killer(Crawl.create(Connection(url)), output, form, random.Random(5))
    killed = committed = 0
    began = time.monotonic()
    killer.export()
    while killed < kills:
        killer.crawl.commit([page(n, markdown=f"# {n}\n") for n in range(committed, committed + EACH)])
        committed += EACH
        while killed < kills and killer.kill():
            killed += 1
            killer.check(committed)
    killer.export()
    found = sorted(numbers(output))
    assert found == list(range(committed)), f"{len(found)} instead of {committed}"
    print(json.dumps({"killed": killed, "records": committed, "seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
