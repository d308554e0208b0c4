"""Exports that are measured: real records in a Redis, one export after the other, and the table of what they took."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks import docs, report, targets
from benchmarks.commands import PROGRAM, Redis, Unexpected
from benchmarks.crawls import AT_ONCE, CRAWL, Web, create, fill, lease
from benchmarks.measure import LOOK, Program, load, wait_until_quiet
from benchmarks.site import SiteError, Sites
from crawler.frontier import verbs
from crawler.frontier.keys import Keys
from crawler.frontier.messages import Commit, Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.shards.shard import Shard
from crawler.record import Record
from crawler.worker.visit import state_of

RECORDS: Final = 100_000
_WEB: Final = Web(hosts=100, run=100)
_PATIENCE: Final = 15.0


@dataclass(frozen=True, slots=True)
class Written:
    """One export. Seconds and bytes."""

    wall: float
    cpu: float
    rss: int
    redis: float
    """CPU of the Redis."""
    size: int
    """Of its files or objects."""
    files: int


Write = Callable[[str], Written]
"""Writes one form, by its name."""
Measure = Callable[[Redis, int, int], tuple[dict[str, list[Written]], dict[str, float], str]]
"""Writes all forms: so many records, so often. Returns what was found, further figures, and a sentence on them."""


def parser(program: str, description: str | None, rounds: int) -> argparse.ArgumentParser:
    """The options that both benchmarks have."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{program}", description=description)
    docs.add_options(made)
    made.add_argument("--records", type=int, default=RECORDS, metavar="N", help=f"({RECORDS})")
    made.add_argument("--rounds", type=int, default=rounds, metavar="N", help=f"({rounds})")
    targets.add_option(made)
    return made


# -- the records -------------------------------------------------------------------------------------------------------


@contextmanager
def filled(folder: Path, count: int) -> Iterator[tuple[Redis, int]]:
    """A Redis with *count* records of the pages in *folder*, and how many pages these are."""
    pages = stored(folder)
    with Redis() as redis:
        link = Connection(redis.url, timeout=60)
        try:
            shard = create(link, Limits(delay_ms=0, per_host=64, robots=False))
            fill(redis.url, _WEB, 0, count)
            _commit_again(shard, pages, count)
        finally:
            link.close()
        yield redis, len(pages)


def stored(folder: Path) -> list[tuple[Record, bytes]]:
    """The records of a crawl of *folder*, and the compressed text of each."""
    with tempfile.TemporaryDirectory(prefix="crw-bench-") as home, Redis() as redis, Sites({"site": folder}) as sites:
        command = [PROGRAM, "run", *sites.urls, "--redis", redis.url, "--delay", "0", "--per-host", "64"]
        finish([*command, "--store", "text"], Path(home))
        link, keys = Connection(redis.url), Keys(CRAWL)
        entries: Any = link.client.xrange(keys.records)
        ids = [fields[b"i"].decode() for _, fields in entries]
        pipe = link.client.pipeline(transaction=False)
        for each in ids:
            pipe.hmget(keys.page(each), "m", "t")
        pages = pipe.execute()
        link.close()
    records = [(Record.decode(raw), text) for raw, text in pages]
    return [(record, text) for record, text in records if record.outcome == "fetched" and text]


def _commit_again(shard: Shard, pages: Sequence[tuple[Record, bytes]], count: int) -> None:
    """Commit what was stored under the URLs of *count* leases."""
    done = 0
    while done < count:
        leased = lease(shard, AT_ONCE)
        if not leased.leases:
            raise Unexpected(f"only {done:,} URLs of {count:,} could be leased")
        calls = []
        for each in leased.leases:
            record, text = pages[done % len(pages)]
            url = each.entry().request.url
            again = msgspec.structs.replace(record, url=url, via=None, duplicate_of=None, canonical=None)
            state = state_of(each.entry().request, each.token, again)
            calls.append(
                verbs.commit(shard, Commit(each, shard.id(url), state, again.encode(), {"text": text}, event="ok"))
            )
            done += 1
        shard.run(calls)


# -- measuring ---------------------------------------------------------------------------------------------------------


def finish(command: Sequence[str], folder: Path) -> Program:
    """Run *command* in *folder* until it ends."""
    program = Program([command], folder, (0,))
    try:
        while not program.has_ended():
            time.sleep(LOOK / 10)
    finally:
        program.kill()
    return program


def export(redis: Redis, arguments: Sequence[str], folder: Path, output: Path) -> Written:
    """One export to its end, which *folder* is the working directory of; *output* is what it writes, or is in."""
    cpu, began = redis.cpu(), time.monotonic()
    program = finish([PROGRAM, "export", "--redis", redis.url, "-o", *arguments], folder)
    wall = time.monotonic() - began
    files = [path for path in output.rglob("*") if path.is_file()] if output.is_dir() else [output]
    size = sum(path.stat().st_size for path in files)
    return Written(wall, program.cpu, program.rss, redis.cpu() - cpu, size, len(files))


def measured(write: Write, forms: Sequence[str], count: int, rounds: int) -> dict[str, list[Written]]:
    """Every form *rounds* times, by turns."""
    found: dict[str, list[Written]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name in forms:
            wait_until_quiet(_PATIENCE)
            written = write(name)
            found[name].append(written)
            cpu, size, rss = 1e6 * written.cpu / count, written.size / 1e6, written.rss / 1e6
            cost = f"{cpu:,.0f} µs of CPU a record, {size:,.0f} MB, {rss:.0f} MB of memory"
            print(f"  {name:<24} {count / written.wall:>8,.0f} records/s, {cost}", flush=True)
    return found


def table(found: dict[str, list[Written]], count: int, figures: dict[str, float]) -> str:
    """Medians, as Markdown; the rates go to *figures*, too."""
    lines = [
        "| | records/s | MB written | files | CPU µs a record | Redis µs a record | peak memory MB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, runs in found.items():
        wall, cpu = statistics.median(run.wall for run in runs), statistics.median(run.cpu for run in runs)
        redis, rss = statistics.median(run.redis for run in runs), max(run.rss for run in runs)
        figures[f"{name} records_per_second"] = count / wall
        lines.append(
            f"| {name} | {count / wall:,.0f} | {runs[0].size / 1e6:.0f} | {runs[0].files:,} "
            f"| {1e6 * cpu / count:.0f} | {1e6 * redis / count:.0f} | {rss / 1e6:.0f} |"
        )
    return "\n".join(lines)


def run(program: str, args: argparse.Namespace, rounds: int, measure: Measure) -> int:
    """Fill a Redis and measure; print the table, and leave it where results are. Exit code 2 for what cannot be."""
    where = report.machine(load())
    print(where)
    try:
        with filled(next(iter(docs.folders(args.folder).values())), args.records) as (redis, pages):
            found, figures, more = measure(redis, args.records, args.rounds)
    except (SiteError, Unexpected) as error:
        print(error, file=sys.stderr)
        return 2
    text = table(found, args.records, figures)
    text += f"\n\n{args.records:,} records of {pages:,} real pages. Wall time has the program's start in it.{more}"
    folder = targets.folder(args, whole=(args.records, args.rounds) == (RECORDS, rounds))
    if folder is not None:
        targets.write(folder, program, where, figures, text)
    print(f"\n{text}")
    return 0
