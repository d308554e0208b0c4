"""Does the crawler find on real sites exactly what there is? Run by `make check-real`; non-zero where it does not.

What there is says `walk.py`, which shares no code with the crawler. Each check is a crawl in another setting: workers,
fetcher, Redis, order of the commands, kill -9, Ctrl-C. Each must have asked for the same URLs, by nginx's log none of
them twice, and must have written one record for each, with the same status and the same digest of the body.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import permutations, product
from typing import Any, Final

from benchmarks import docs
from benchmarks.commands import Home, Redis, Running, Unexpected, wait_until
from benchmarks.site import SiteError, Sites, exit_on_sigterm
from benchmarks.walk import Walk, walk
from crawler.fetch import ENGINES

FAST: Final = ("--delay", "0", "--per-host", "64")
KILLS: Final = 5
SHOWN: Final = 5
"""Differences of a kind that are told one by one."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one crawl did."""

    asked: Mapping[str, int]
    """How often nginx saw each URL."""
    records: Sequence[Mapping[str, Any]]
    may_repeat: int = 0
    """Requests that may have been made again: those in flight when a worker was killed."""


Crawl = Callable[[Sites], Found]


@dataclass(frozen=True, slots=True)
class Check:
    """A crawl in one setting."""

    name: str
    crawl: Crawl


# -- crawls ------------------------------------------------------------------------------------------------------------


def plain(sites: Sites, *, options: Sequence[str], redis_url: str | None) -> Found:
    """`run -o`."""
    mark = sites.mark()
    with Home(redis_url) as home:
        home.run("run", *sites.urls, *FAST, *options, "-o", "pages.jsonl")
        return Found(sites.asked(mark), home.records())


def apart(sites: Sites, *, order: Sequence[str], redis_url: str | None) -> Found:
    """`seed`, `work` and `export --follow` in processes of their own, started in this order."""
    mark = sites.mark()
    commands = {
        "seed": ("seed", *sites.urls, *FAST),
        "work": ("work", "-n", "4", "--until-done"),
        "export": ("export", "--follow", "-o", "pages.jsonl"),
    }
    with Home(redis_url) as home:
        started: dict[str, Running] = {}
        for name in order:
            started[name] = home.start(*commands[name])
            if "seed" not in started:  # it must be waiting when the next one comes
                wait_until(partial(_is_waiting, started[name]), f"`{name}` to wait for a crawl", 30)
        for running in started.values():
            running.wait()
        return Found(sites.asked(mark), home.records())


def _is_waiting(running: Running) -> bool:
    return "waiting for crawl" in running.err


def killed(sites: Sites, *, total: int) -> Found:
    """kill -9 of a worker, five times, spread over the crawl."""
    mark = sites.mark()
    concurrency = 16
    with Home() as home:
        going = home.start("run", *sites.urls, *FAST, "-n", "4", "--concurrency", str(concurrency), "-o", "pages.jsonl")
        for n in range(1, KILLS + 1):
            wait_until(lambda n=n: sites.count(mark) >= total * n // (KILLS + 2), "the crawl to get on", 60)  # type: ignore[misc]
            wait_until(going.workers, "a worker", 30)
            if going.process.poll() is not None:
                raise Unexpected("the crawl was over before its workers could be killed")
            with suppress(ProcessLookupError):
                os.kill(going.workers()[n % len(going.workers())], signal.SIGKILL)
        going.wait()
        if f"{KILLS} died" not in going.err:
            raise Unexpected(f"{KILLS} workers were killed, the summary says: {going.err[-300:]}")
        return Found(sites.asked(mark), home.records(), may_repeat=KILLS * concurrency)


def interrupted(sites: Sites, *, total: int) -> Found:
    """Ctrl-C in the middle, then the same command again."""
    mark = sites.mark()
    command = ("run", *sites.urls, *FAST, "-n", "2", "-o", "pages.jsonl")
    with Home() as home:
        going = home.start(*command)
        wait_until(lambda: sites.count(mark) >= total // 3, "a third of the crawl", 60)
        going.interrupt()
        going.wait(130)
        if sites.count(mark) >= total:
            raise Unexpected("Ctrl-C came too late to interrupt anything")
        home.run(*command)
        return Found(sites.asked(mark), home.records())


def checks(total: int, redis_url: str) -> Iterator[Check]:
    """All settings, for sites of *total* URLs."""
    places = {"embedded": None, "tcp": redis_url}
    for (place, url), fetcher, workers in product(places.items(), ENGINES, ("1", "4")):
        options = ("-n", workers, "--fetcher", fetcher)
        name = f"run: {workers} worker{'s' * (workers != '1')}, {fetcher}, {place} Redis"
        yield Check(name, partial(plain, options=options, redis_url=url))
    for n, order in enumerate(permutations(("seed", "work", "export"))):
        place, url = list(places.items())[n % 2]
        name = f"{', '.join(order)}: {place} Redis"
        yield Check(name, partial(apart, order=order, redis_url=url))
    yield Check(f"run: kill -9 of a worker, {KILLS} times", partial(killed, total=total))
    yield Check("run: Ctrl-C, and again", partial(interrupted, total=total))


# -- judging -----------------------------------------------------------------------------------------------------------


def differences(expected: Walk, found: Found) -> dict[str, list[str]]:
    """What differs from the walk, by kind; kinds without a difference are absent."""
    there = expected.answers
    records = {record["url"]: record for record in found.records}
    repeated = Counter(record["url"] for record in found.records)
    again = [url for url, n in found.asked.items() if n > 1]
    status = [url for url in records.keys() & there if records[url].get("status") != there[url].status]
    digest = [
        url
        for url in records.keys() & there
        if "digest" in records[url]
        and not records[url].get("truncated")
        and records[url]["digest"] != there[url].digest
    ]
    kinds = {
        "not asked for": there.keys() - found.asked.keys(),
        "asked for, but not there": found.asked.keys() - there.keys(),
        "asked for again": again if sum(found.asked[url] - 1 for url in again) > found.may_repeat else [],
        "without a record": there.keys() - records.keys(),
        "a record too much": records.keys() - there.keys(),
        "with more than one record": [url for url, n in repeated.items() if n > 1],
        "another status": status,
        "another body": digest,
    }
    return {kind: sorted(urls) for kind, urls in kinds.items() if urls}


def run_check(check: Check, sites: Sites, expected: Walk) -> bool:
    """Make one check and print its line, and its differences if there are any; whether it passed."""
    began = time.monotonic()
    try:
        found = check.crawl(sites)
    except Unexpected as error:
        print(f"{check.name:<44} FAILED: {error}", flush=True)
        return False
    seconds = time.monotonic() - began
    different = differences(expected, found)
    again = sum(found.asked.values()) - len(found.asked)
    verdict = "ok" if not different else "DIFFERENT"
    print(f"{check.name:<44} {len(found.asked):>7,} {again:>6} {len(found.records):>8,} {seconds:>6.1f} s  {verdict}")
    for kind, urls in different.items():
        print(f"  {len(urls):,} {kind}: {', '.join(urls[:SHOWN])}{' ...' * (len(urls) > SHOWN)}")
    sys.stdout.flush()
    return not different


def main() -> int:
    """Crawl real sites in every setting, and compare with an independent walk."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real", description=main.__doc__)
    docs.add_options(parser)
    parser.add_argument("--only", metavar="TEXT", default="", help="only checks whose name has TEXT in it")
    args = parser.parse_args()
    exit_on_sigterm()
    try:
        with Sites(docs.folders(args.folder)) as sites, Redis() as redis:
            return _check_all(sites, redis, args.only)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 2


def _check_all(sites: Sites, redis: Redis, only: str) -> int:
    began = time.monotonic()
    expected = walk(sites.urls)
    total = len(expected.answers)
    print(f"independent walk of {', '.join(sites.urls)}: {total:,} URLs, {expected.links:,} links,", end=" ")
    print(f"{time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'check':<44} {'asked':>7} {'again':>6} {'records':>8} {'time':>8}")
    failed = 0
    for check in checks(total, redis.url):
        if only in check.name:
            redis.flush()
            failed += not run_check(check, sites, expected)
    print(f"\n{failed} checks failed" if failed else "\nall the same")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
