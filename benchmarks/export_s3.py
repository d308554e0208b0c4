"""How fast records get into a bucket: `crawler export -o s3://...` in several formats. `make bench-bucket`.

The records are those of `export.py`. The server is the one of the tests: it writes each object to a file. It shares the
machine, but its CPU is not counted. Between two machines the time for an answer adds up instead: once for each part and
each state, once for sixteen Markdown files.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import docs, report, targets
from benchmarks.commands import PROGRAM, Redis, Unexpected
from benchmarks.crawls import Web, create, fill
from benchmarks.export import commit_again, finish, stored
from benchmarks.measure import load, wait_until_quiet
from benchmarks.site import SiteError, exit_on_sigterm
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from tests.export.s3_server import BUCKET, S3Server

RECORDS: Final = 100_000
ROUNDS: Final = 3
WEB: Final = Web(hosts=100, run=100)
PATIENCE: Final = 15.0
FILE: Final = "jsonl, a file"
FORMS: Final = {
    FILE: ("pages.jsonl",),
    "jsonl, one object": ("s3:pages.jsonl",),
    "jsonl, parts": ("s3:pages.jsonl/",),
    "jsonl.gz, parts": ("s3:pages.jsonl.gz/",),
    "csv, parts": ("s3:pages.csv/",),
    "parquet, one object": ("s3:pages.parquet",),
    "parquet, parts": ("s3:pages.parquet/",),
    "sqlite, one object": ("s3:pages.sqlite",),
    "markdown, a folder": ("s3:docs/", "--format", "markdown"),
    "markdown, one object": ("s3:site.md",),
}


@dataclass(frozen=True, slots=True)
class Written:
    """One export. Seconds and bytes."""

    wall: float
    cpu: float
    rss: int
    size: int
    objects: int


def write(redis: Redis, output: str, more: Sequence[str]) -> Written:
    """Run one export on an empty server."""
    with tempfile.TemporaryDirectory(prefix="crw-export-") as folder, S3Server(Path(folder) / "s3") as server:
        os.environ.update(server.environment)
        place = output.replace("s3:", f"s3://{BUCKET}/")
        began = time.monotonic()
        program = finish([PROGRAM, "export", "--redis", redis.url, "-o", place, *more], Path(folder))
        wall = time.monotonic() - began
        if place == output:
            return Written(wall, program.cpu, program.rss, (Path(folder) / output).stat().st_size, 1)
        if server.uploads:
            raise Unexpected(f"{len(server.uploads)} uploads are not complete")
        files = list((server.folder / "objects" / BUCKET).iterdir())
        return Written(wall, program.cpu, program.rss, sum(file.stat().st_size for file in files), len(files))


def measured(redis: Redis, count: int, rounds: int) -> dict[str, list[Written]]:
    """Every form *rounds* times."""
    found: dict[str, list[Written]] = {name: [] for name in FORMS}
    for _ in range(rounds):
        for name, (output, *more) in FORMS.items():
            wait_until_quiet(PATIENCE)
            found[name].append(write(redis, output, more))
            print(f"  {name:<22} {count / found[name][-1].wall:>8,.0f} records/s", flush=True)
    return found


def table(found: dict[str, list[Written]], count: int, figures: dict[str, float]) -> str:
    """Medians, as Markdown."""
    lines = [
        "| | records/s | MB written | objects | CPU µs a record | peak memory MB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, runs in found.items():
        wall, cpu = statistics.median(run.wall for run in runs), statistics.median(run.cpu for run in runs)
        figures[f"{name} records_per_second"] = count / wall
        lines.append(
            f"| {name} | {count / wall:,.0f} | {runs[0].size / 1e6:.0f} | {runs[0].objects:,} "
            f"| {1e6 * cpu / count:.0f} | {max(run.rss for run in runs) / 1e6:.0f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure exports into a bucket."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export_s3", description=main.__doc__)
    docs.add_options(parser)
    parser.add_argument("--records", type=int, default=RECORDS, metavar="N", help="(100000)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="(3)")
    targets.add_option(parser)
    args = parser.parse_args()
    exit_on_sigterm()
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
            found = measured(redis, args.records, args.rounds)
    except (SiteError, Unexpected) as error:
        print(error, file=sys.stderr)
        return 2
    figures: dict[str, float] = {}
    text = table(found, args.records, figures)
    text += f"\n\n{args.records:,} records of {len(pages):,} real pages. Wall time has the program's start in it."
    folder = targets.folder(args, whole=(args.records, args.rounds) == (RECORDS, ROUNDS))
    if folder is not None:
        targets.write(folder, "export_s3", where, figures, text)
    print(f"\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
