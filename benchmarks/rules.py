"""What rules and structured data cost: milliseconds a page, parsing apart and included. No network, no Redis.

The pages are those of Debian's documentation packages (see docs.py), or of any folder.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.docs import add_options, folders
from benchmarks.site import SiteError
from crawler.parse.page import read
from crawler.parse.rules_file import read_rules
from crawler.parse.structured import Document, structured_data

RULES: Final = """[[rule]]
name = "page"
[rule.fields]
heading = "h1, h2"
next = { css = "a[accesskey=n], link[rel=next]", type = "url" }
code = { css = "pre", all = true }
"""
URL: Final = "https://a.example/"


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rules", description=main.__doc__)
    add_options(parser)
    parser.add_argument("--pages", type=int, default=500, help="pages of each site")
    options = parser.parse_args()
    rules = read_rules(RULES, "benchmark")

    def document(html: bytes) -> Document:
        return Document(read(html)[0], URL)

    jobs: dict[str, Callable[[bytes], object]] = {
        "parsing": document,
        "parsing, 3 rules": lambda html: rules.apply(URL, document(html)),
        "parsing, structured data": lambda html: structured_data(document(html)),
    }
    try:
        for name, folder in folders(options.folder).items():
            measure(name, sorted(folder.rglob("*.html"))[: options.pages], jobs)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def measure(name: str, paths: list[Path], jobs: dict[str, Callable[[bytes], object]]) -> None:
    """Print what each of *jobs* takes on the pages at *paths*."""
    pages = [path.read_bytes() for path in paths]
    if not pages:
        raise SiteError(f"{name}: there are no *.html")
    print(f"{name}: {len(pages):,} pages, {sum(map(len, pages)) / len(pages) / 1024:.0f} KiB each")
    rounds = [[_milliseconds(run, page) for run in jobs.values()] for page in pages for _ in range(3)]
    for number, job in enumerate(jobs):
        times = [min(taken[number] for taken in rounds[n : n + 3]) for n in range(0, len(rounds), 3)]
        print(f"  {job:<26} mean {statistics.mean(times):.3f} ms, median {statistics.median(times):.3f} ms")


def _milliseconds(run: Callable[[bytes], object], page: bytes) -> float:
    """CPU time of one call."""
    began = time.process_time()
    run(page)
    return 1000 * (time.process_time() - began)


if __name__ == "__main__":
    sys.exit(main())
