"""How fast records leave: `crawler export` in each form, its peak memory, and what it costs Redis. `make bench-export`.

The records are real: the first site of `docs.py` is crawled with `--store text`, and the pages that it stored are
committed again and again under other URLs, by the frontier's own scripts, until there are 100,000. Each form is written
once (`--rounds`), by turns; `--drain`, which takes the records away, comes last and once.

`--kill N` kills an export of each form N times at random moments instead, see tests/export/killed.py: other programs
read what is there after each kill, and each record is there once in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks import docs, report, targets
from benchmarks.commands import PROGRAM, Redis, Unexpected
from benchmarks.crawls import AT_ONCE, CRAWL, Web, create, fill, lease
from benchmarks.measure import LOOK, Program, load, wait_until_quiet
from benchmarks.site import SiteError, Sites, exit_on_sigterm
from crawler.frontier import verbs
from crawler.frontier.keys import Keys
from crawler.frontier.messages import Commit, Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.shards.shard import Shard
from crawler.record import Record
from crawler.worker.visit import state_of

ROOT: Final = Path(__file__).parent.parent
RECORDS: Final = 100_000
ROUNDS: Final = 1
WEB: Final = Web(hosts=100, run=100)
PATIENCE: Final = 15.0
_FORMS: Final = {
    "jsonl": ("pages.jsonl",),
    "csv": ("pages.csv",),
    "jsonl.gz": ("pages.jsonl.gz",),
    "jsonl.zst": ("pages.jsonl.zst",),
    "csv.gz": ("pages.csv.gz",),
    "csv.zst": ("pages.csv.zst",),
    "jsonl --state": ("pages.jsonl", "--state", "state"),
    "jsonl in parts": ("pages/", "--format", "jsonl"),
    "sqlite": ("pages.sqlite",),
    "parquet": ("pages.parquet",),
    "parquet in parts": ("pages.parquet/",),
    "markdown, a file a page": ("docs/", "--format", "markdown"),
    "markdown, one file": ("site.md",),
    "sitemap.xml": ("sitemap.xml",),
    "llms.txt": ("llms.txt",),
}
_KILLED: Final = (
    *(("pages.jsonl", ""), ("pages.jsonl.gz", ""), ("pages.csv.zst", ""), ("pages.sqlite", ""), ("site.md", "")),
    *(("pages/", "jsonl.gz"), ("pages/", "csv"), ("pages.parquet/", ""), ("docs/", "markdown")),
)
_DRAIN: Final = ("pages.jsonl", "--drain")


@dataclass(frozen=True, slots=True)
class Written:
    """One export. Seconds and bytes."""

    wall: float
    cpu: float
    rss: int
    size: int
    """Of its files."""
    redis: float
    """CPU of the Redis."""


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


def commit_again(shard: Shard, pages: Sequence[tuple[Record, bytes]], count: int) -> None:
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


def write(redis: Redis, folder: Path, arguments: Sequence[str]) -> Written:
    """Run one export in *folder*."""
    cpu, began = redis.cpu(), time.monotonic()
    program = finish([PROGRAM, "export", "--redis", redis.url, "-o", *arguments], folder)
    wall = time.monotonic() - began
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != "said")
    return Written(wall, program.cpu, program.rss, size, redis.cpu() - cpu)


def finish(command: Sequence[str], folder: Path) -> Program:
    """Run *command* in *folder* until it ends."""
    program = Program([command], folder, (0,))
    try:
        while not program.has_ended():
            time.sleep(LOOK / 10)
    finally:
        program.kill()
    return program


def measured(redis: Redis, count: int, rounds: int) -> dict[str, list[Written]]:
    """Every form *rounds* times, then the draining one."""
    found: dict[str, list[Written]] = {name: [] for name in _FORMS}
    for _ in range(rounds):
        for name, arguments in _FORMS.items():
            found[name].append(_written(redis, name, arguments, count))
    found["jsonl --drain"] = [_written(redis, "jsonl --drain", _DRAIN, count)]
    return found


def _written(redis: Redis, name: str, arguments: Sequence[str], count: int) -> Written:
    wait_until_quiet(PATIENCE)
    with tempfile.TemporaryDirectory(prefix="crw-export-") as folder:
        written = write(redis, Path(folder), arguments)
        if name == "jsonl":
            lines = sum(1 for _ in (Path(folder) / arguments[0]).open("rb"))
            if lines != count:
                raise Unexpected(f"{lines:,} lines were written of {count:,} records")
    cpu, size, rss = 1e6 * written.cpu / count, written.size / 1e6, written.rss / 1e6
    cost = f"{cpu:,.0f} µs of CPU a record, {size:,.0f} MB, {rss:.0f} MB of memory"
    print(f"  {name:<24} {count / written.wall:>8,.0f} records/s, {cost}", flush=True)
    return written


def table(found: dict[str, list[Written]], count: int, figures: dict[str, float]) -> str:
    """Medians, as Markdown."""
    lines = [
        "| | records/s | MB written | CPU µs a record | Redis µs a record | peak memory MB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, runs in found.items():
        wall, cpu = statistics.median(run.wall for run in runs), statistics.median(run.cpu for run in runs)
        redis, rss = statistics.median(run.redis for run in runs), max(run.rss for run in runs)
        figures[f"{name} records_per_second"] = count / wall
        lines.append(
            f"| {name} | {count / wall:,.0f} | {runs[0].size / 1e6:.0f} "
            f"| {1e6 * cpu / count:.0f} | {1e6 * redis / count:.0f} | {rss / 1e6:.0f} |"
        )
    return "\n".join(lines)


def kill(times: int) -> int:
    """Kill an export of each form so many times, and look what is there."""
    print("| | kills | records, each there once | seconds |\n|---|--:|--:|--:|", flush=True)
    for output, form in _KILLED:
        with tempfile.TemporaryDirectory(prefix="crw-export-") as folder, Redis() as redis:
            command = [sys.executable, "-m", "tests.export.killed", redis.url, output, form, str(times)]
            where = os.environ | {"PYTHONPATH": str(ROOT)}
            ended = subprocess.run(command, cwd=folder, env=where, capture_output=True, text=True, check=False)
            if ended.returncode:
                print(f"{output} {form}: {ended.stderr}", file=sys.stderr)
                return 1
            found = json.loads(ended.stdout)
            print(
                f"| {f'{output} {form}'.strip()} | {found['killed']} | {found['records']:,} | {found['seconds']} |",
                flush=True,
            )
    return 0


def main() -> int:
    """Measure the export."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=main.__doc__)
    docs.add_options(parser)
    parser.add_argument("--records", type=int, default=RECORDS, metavar="N", help="(100000)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="of all but --drain (1)")
    parser.add_argument("--kill", type=int, default=0, metavar="N", help="kill each form N times instead")
    targets.add_option(parser)
    args = parser.parse_args()
    exit_on_sigterm()
    if args.kill:
        return kill(args.kill)
    where = report.machine(load())
    print(where)
    try:
        pages = stored(next(iter(docs.folders(args.folder).values())))
        with ExitStack() as stack:
            redis = stack.enter_context(Redis())
            link = Connection(redis.url, timeout=60)
            stack.callback(link.close)
            shard = create(link, Limits(delay_ms=0, per_host=64, robots=False))
            fill(redis.url, WEB, 0, args.records)
            commit_again(shard, pages, args.records)
            held = redis.memory()
            found = measured(redis, args.records, args.rounds)
            drained = redis.memory()
    except (SiteError, Unexpected) as error:
        print(error, file=sys.stderr)
        return 2
    figures: dict[str, float] = {"redis_mb": held / 1e6, "redis_mb_drained": drained / 1e6}
    text = table(found, args.records, figures)
    text += (
        f"\n\n{args.records:,} records of {len(pages):,} real pages. Wall time has the program's start in it."
        f" Redis held {held / 1e6:.0f} MB, {drained / 1e6:.0f} MB after `--drain`."
    )
    folder = targets.folder(args, whole=(args.records, args.rounds) == (RECORDS, ROUNDS))
    if folder is not None:
        targets.write(folder, "export", where, figures, text)
    print(f"\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
