"""A second visit to a site that has not changed, beside Scrapy with its HTTP cache: `make bench-unchanged`, with nginx.

nginx sends ETag and Last-Modified, and answers 304 to a request that has them. Each program visits the sites twice, in
one folder and on one Redis. What the second visit costs is held against the first one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import docs
from benchmarks.commands import PROGRAM, Redis, Unexpected
from benchmarks.contenders import scrapy_with_cache
from benchmarks.measure import Run, load, measure, wait_until_quiet
from benchmarks.site import SiteError, Sites, exit_on_sigterm

_FAST: Final = ("--delay", "0", "--per-host", "64", "--follow-duplicates")
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Visits:
    """The first visit and the second one: what each cost, and the bytes that nginx sent."""

    runs: tuple[Run, Run]
    octets: tuple[int, int]

    def row(self, name: str) -> str:
        """As a row of the table."""
        first, second = self.runs
        share = 100 * self.octets[1] / self.octets[0]
        costs = f"{1000 * first.cpu / first.requests:.2f} | {1000 * second.cpu / second.requests:.2f}"
        return f"| {name} | {first.rate:.0f} | {second.rate:.0f} | {costs} | {share:.1f} |"


def _visits(commands: Sequence[Sequence[str]], sites: Sites, folder: Path) -> Visits:
    runs, octets = [], []
    for command in commands:
        wait_until_quiet(_PATIENCE)
        mark = sites.mark()
        runs.append(measure([command], sites, folder))
        octets.append(sum(hit.octets for hit in sites.hits(mark) if not hit.is_robots))
    return Visits((runs[0], runs[1]), (octets[0], octets[1]))


def of_crawler(sites: Sites, store: str) -> Visits:
    """This crawler with one worker: `run`, then `recrawl`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crw-bench-")))
        redis = stack.enter_context(Redis())
        place = ("--redis", redis.url, "-n", "1", "--concurrency", "32")
        run = (PROGRAM, "run", *sites.urls, "--store", store, *_FAST, *place)
        return _visits([run, (PROGRAM, "recrawl", "--older-than", "0", *place)], sites, folder)


def of_scrapy(sites: Sites) -> Visits:
    """Scrapy: the same spider twice."""
    with tempfile.TemporaryDirectory(prefix="crw-bench-") as name:
        (command,) = scrapy_with_cache().commands(sites.urls, "")
        return _visits([command, command], sites, Path(name))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unchanged", description=__doc__)
    docs.add_options(parser)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--addresses", type=int, default=4, help="loopback addresses that have the sites (4)")
    given = parser.parse_args()
    exit_on_sigterm()
    try:
        missing = scrapy_with_cache().missing()
        print(f"{load()}\n\n| | pages/s | second visit | CPU ms a page | second visit | bytes of the second, % |")
        print("|---|--:|--:|--:|--:|--:|", flush=True)
        with Sites(docs.folders(given.folder), [f"127.0.0.{n + 1}" for n in range(given.addresses)]) as sites:
            for _ in range(given.rounds):
                for store in ("meta", "text"):
                    print(of_crawler(sites, store).row(f"this crawler, one worker, --store {store}"), flush=True)
                print(missing or of_scrapy(sites).row("Scrapy, HTTP cache (RFC 2616 policy)"), flush=True)
    except (SiteError, Unexpected) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
