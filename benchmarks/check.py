"""Three documentations of Debian checked beside other checkers: `make bench-check`, with nginx and npm.

Each checker checks the same sites on the same machine, without delay and without external links. What it says is broken
is then asked for by a judge that shares no code with any of them: it looks for the status, and for the id.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import unquote
from urllib.request import urlopen

from lxml import html

from benchmarks import docs
from benchmarks.checkers import Checker, canonical, crawler, linkchecker, linkinator
from benchmarks.commands import Redis, Unexpected
from benchmarks.docs import PACKAGES, Package
from benchmarks.measure import Run, load, measure, wait_until_quiet
from benchmarks.site import SiteError, Sites, exit_on_sigterm

SITES: Final = {**PACKAGES, "sqlite": Package("sqlite3-doc", "usr/share/doc/sqlite3")}
"""The last one has links to pages that Debian's package lacks."""
UNLIMITED: Final = "LinkChecker yes"
"""The header by which a server takes LinkChecker's limit of ten requests a second away."""
_PATIENCE: Final = 10.0
_SHOWN: Final = 12
"""Differences of a kind that are listed."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one checker did with one site."""

    run: Run
    broken: frozenset[str]

    def row(self, site: str, name: str) -> str:
        """As a row of the table."""
        wrong = sum(judge(url) == "" for url in self.broken)
        return (
            f"| {site} | {name} | {self.run.wall:.1f} | {self.run.cpu:.1f} | {self.run.memory / 2**20:.0f} |"
            f" {self.run.requests:,} | {len(self.broken) - wrong:,} | {wrong:,} |"
        )


@cache
def judge(url: str) -> str:
    """Why *url* is broken, by a request for it and a look at its source; empty: it is not."""
    page, _, fragment = url.partition("#")
    try:
        body, is_html = _source(page)
    except HTTPError as error:
        return str(error.code)
    except (URLError, ValueError) as error:
        return f"no answer: {error}"[:60]
    if not fragment or not is_html or fragment.lower() == "top":
        return ""
    names = _names(page, body)
    return "" if fragment in names or unquote(fragment) in names else "no such id"


@cache
def _source(page: str) -> tuple[bytes, bool]:
    with urlopen(page, timeout=30) as answer:
        return answer.read(), "html" in answer.headers.get("Content-Type", "")


@cache
def _names(page: str, body: bytes) -> frozenset[str]:
    tree = html.fromstring(body)
    return frozenset([*tree.xpath("//@id"), *tree.xpath("//a/@name")])


def check(checker: Checker, url: str, sites: Sites) -> Result:
    """Run one checker on one site; Unexpected where it fails. What it says of other sites does not count."""
    with tempfile.TemporaryDirectory(prefix="crw-check-") as name, Redis() as redis:
        folder = Path(name)
        wait_until_quiet(_PATIENCE)
        run = measure([checker.command(url, redis.url, folder)], sites, folder, ends=checker.ends)
        return Result(run, frozenset(found for found in canonical(checker.broken(folder)) if found.startswith(url)))


def differences(results: Mapping[str, Result]) -> list[str]:
    """What some have and others lack, grouped by who has it and why it is broken, as rows of a table."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for url in sorted(frozenset().union(*(result.broken for result in results.values()))):
        has = ["yes" if url in result.broken else "" for result in results.values()]
        if not all(has):
            groups.setdefault((*has, judge(url) or "it is there"), []).append(url)
    rows = []
    for key, urls in sorted(groups.items()):
        shown = ", ".join(f"`{url.split('/', 3)[3]}`" for url in urls[:_SHOWN])
        more = f", and {len(urls) - _SHOWN} more" if len(urls) > _SHOWN else ""
        rows.append(f"| {len(urls)} | {' | '.join(key)} | {shown}{more} |")
    return rows


def compare(name: str, url: str, sites: Sites, checkers: Sequence[Checker]) -> list[str]:
    """Check one site with all; the lines about differences. Prints a row for each as it ends."""
    results = {}
    for checker in checkers:
        try:
            results[checker.name] = check(checker, url, sites)
        except Unexpected as error:
            print(f"| {name} | {checker.name} | {str(error)[-200:]} |", flush=True)
        else:
            print(results[checker.name].row(name, checker.name), flush=True)
    names = " | ".join(results)
    head = [
        f"\n{name}: what not all have\n",
        f"| targets | {names} | judge | which |",
        "|--:|" + "---|" * (len(results) + 2),
    ]
    return [*head, *differences(results)]


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check", description=__doc__)
    docs.add_options(parser)
    parser.add_argument("--only", default="", metavar="TEXT", help="checkers with this in their names")
    given = parser.parse_args()
    exit_on_sigterm()
    checkers = [one for one in (crawler(1), crawler(2), linkchecker(), linkinator()) if given.only in one.name]
    try:
        for checker in checkers:
            if why := checker.missing():
                raise SiteError(f"{checker.name}: {why}")
        folders = docs.folders(given.folder) if given.folder else {n: docs.fetched(p) for n, p in SITES.items()}
        print(f"{load()}\n\n| site | checker | s | CPU s | peak MB | requests | broken, right | wrong |")
        print("|---|---|--:|--:|--:|--:|--:|--:|", flush=True)
        with Sites(folders, header=UNLIMITED) as sites:
            lines = [
                line for n, url in zip(folders, sites.urls, strict=True) for line in compare(n, url, sites, checkers)
            ]
        print("\n".join(lines))
    except (SiteError, Unexpected) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
