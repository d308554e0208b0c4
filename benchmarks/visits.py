"""A second crawl of a site that has changed: is each change reported, once, and what does it cost? `make bench-visits`.

Each round crawls a site of its own twice. Between the two visits some pages change, some only in their footer, some are
gone, moved or new (see changing_site.py). Servers of five kinds are met in four settings. The export of changes must
have what changed, no more and no less. It ends with 1 where it is not.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.changing_site import BROKEN_WAYS, KINDS, ChangingSite, Hits, Kind
from benchmarks.commands import Home, Redis, Running, Unexpected
from benchmarks.measure import load
from benchmarks.site import exit_on_sigterm

FAST: Final = ("--delay", "0", "--per-host", "64", "--allow-private")
SHOWN: Final = 5
"""Differences of a round that are shown one by one."""
_KILLS: Final = 4
"""Workers that are killed at a visit, besides the Redis."""
_TICK: Final = 0.05


@dataclass(frozen=True, slots=True)
class Setting:
    """How a crawl is made."""

    workers: int = 1
    addresses: int = 1
    shards: int = 1
    kills: bool = False


SETTINGS: Final = {
    "one worker": Setting(),
    "four workers": Setting(workers=4),
    "three shards": Setting(workers=2, addresses=6, shards=3),
    "kill -9": Setting(workers=4, kills=True),
}


@dataclass(frozen=True, slots=True)
class Visit:
    """What one visit took."""

    hits: Hits
    cpu: float
    """Seconds of the crawler's processes."""
    wall: float

    @property
    def cpu_ms(self) -> float:
        """CPU of a request, in milliseconds."""
        return 1000 * self.cpu / self.hits.requests


@dataclass(frozen=True, slots=True)
class Round:
    """Two visits, and what is wrong with what was reported of the second."""

    first: Visit
    second: Visit
    wrong: list[str]


def play(kind: Kind, setting: Setting, pages: int) -> Round:
    """Crawl twice, and compare."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crw-site-")))
        addresses = max(setting.addresses, BROKEN_WAYS if kind == "broken" else 1)
        site = stack.enter_context(ChangingSite(folder, kind, pages // addresses, addresses))
        redis = stack.enter_context(Redis())
        home = stack.enter_context(Home(redis.url))
        workers = ("-n", str(setting.workers))
        shards = ("--shards", str(setting.shards)) if setting.shards > 1 else ()
        run = home.start, ("run", *site.seeds, *FAST, *workers, *shards)
        first = _visit(site, 1, lambda: _wait(run[0](*run[1]), redis, kills=False))
        home.run("export", "-o", "pages.jsonl", "--state", "pages.state")
        site.next_visit()
        recrawl = ("recrawl", "--older-than", "0", *workers)
        second = _visit(site, 2, lambda: _wait(home.start(*recrawl), redis, kills=setting.kills))
        home.run("export", "--changed-since", "last", "-o", "changes.jsonl")
        wrong = _differences(site.changes(), home.records("changes.jsonl"))
        asked = [] if setting.kills else second.hits.twice
        return Round(first, second, wrong + [f"asked for twice at the second visit: {url}" for url in asked])


def _visit(site: ChangingSite, number: int, crawl: Callable[[], None]) -> Visit:
    before, began = _cpu(), time.monotonic()
    crawl()
    return Visit(site.hits(number), _cpu() - before, time.monotonic() - began)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wait(running: Running, redis: Redis, *, kills: bool) -> None:
    """Wait for the end of a crawl, during which workers and the Redis may be killed."""
    ended = threading.Event()
    killer = threading.Thread(target=_kill, args=(running, redis, ended), daemon=True)
    if kills:
        killer.start()
    try:
        running.wait()
    finally:
        ended.set()
        if kills:
            killer.join()


def _kill(running: Running, redis: Redis, ended: threading.Event) -> None:
    """Kill workers, one after the other, and the Redis in between."""
    killed = 0
    while killed < _KILLS and not ended.wait(10 * _TICK):
        if workers := running.workers():
            with suppress(ProcessLookupError):
                os.kill(workers[killed % len(workers)], signal.SIGKILL)
                killed += 1
        if killed == _KILLS // 2:
            redis.restart()


def _differences(expected: dict[str, str], records: Sequence[dict[str, Any]]) -> list[str]:
    """What is missing, too much, twice, or reported as something else."""
    counts = Counter(record["url"] for record in records)
    found = {record["url"]: record.get("change") for record in records}
    wrong = [f"reported {n} times: {url}" for url, n in counts.items() if n > 1]
    return wrong + [
        f"{expected.get(url)} is reported as {found.get(url)}: {url}"
        for url in sorted(expected.keys() | found.keys())
        if expected.get(url) != found.get(url)
    ]


def _row(kind: str, setting: str, played: Round) -> str:
    first, second = played.first, played.second
    share = second.hits.octets / first.hits.octets
    verdict = f"{len(played.wrong)} wrong" if played.wrong else "all as it is"
    return (
        f"| {kind} | {setting} | {first.hits.requests:,} | {first.cpu_ms:.2f} | {second.hits.requests:,}"
        f" | {second.hits.statuses[304]:,} | {100 * share:.1f} | {second.cpu_ms:.2f} | {verdict} |"
    )


def main() -> int:
    """0 if each round reported what had changed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.visits", description=__doc__)
    parser.add_argument("--pages", type=int, default=10_000, help="of a site (default 10000)")
    parser.add_argument("--kind", action="append", choices=KINDS, help="of the servers (default: all)")
    parser.add_argument("--setting", action="append", choices=tuple(SETTINGS), help="default: all")
    given = parser.parse_args()
    exit_on_sigterm()
    print(f"{given.pages:,} pages, {load()}\n")
    print("| servers | crawl | requests | CPU ms each | second visit | 304 | bytes, % | CPU ms each | changes |")
    print("|---|---|--:|--:|--:|--:|--:|--:|---|", flush=True)
    wrong = 0
    for kind in given.kind or KINDS:
        for name in given.setting or SETTINGS:
            try:
                played = play(kind, SETTINGS[name], given.pages)
            except Unexpected as error:
                print(f"| {kind} | {name} | {error} |", flush=True)
                wrong += 1
                continue
            print(_row(kind, name, played), flush=True)
            for line in played.wrong[:SHOWN]:
                print(f"  WRONG {line}", flush=True)
            wrong += bool(played.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
