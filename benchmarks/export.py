"""How fast records leave: `crawler export` in each form, its peak memory, and what it costs Redis. `make bench-export`.

The records are real: the first site of `docs.py` is crawled with `--store text`, and the pages that it stored are
committed again and again under other URLs, by the frontier's own scripts, until there are 100,000. Each form is written
once (`--rounds`), by turns; `--drain`, which takes the records away, comes last and once.

`--kill N` kills an export of each form N times at random moments instead, see tests/export/killed.py. The kills are
spread over the whole export; other programs read what is there after each kill, and each record is there once in the
end. The records of `--kill` have little text.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks import exports
from benchmarks.commands import Redis, Unexpected
from benchmarks.exports import Written
from benchmarks.site import exit_on_sigterm
from tests.export.killed import fill

ROOT: Final = Path(__file__).parent.parent
ROUNDS: Final = 1
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
    *("pages.jsonl", "pages.jsonl.gz", "pages.jsonl.zst", "pages.csv", "pages.csv.gz", "pages.csv.zst", "site.md"),
    *("pages.sqlite", "pages/ jsonl", "pages/ jsonl.gz", "pages/ csv.zst", "pages.parquet/", "docs/ markdown"),
    *("pages.parquet", "sitemap.xml", "llms.txt"),
)
"""Outputs to kill: a name, and a format if the name does not say it."""
_DRAIN: Final = "jsonl --drain"


def write(redis: Redis, arguments: tuple[str, ...], count: int) -> Written:
    """Run one export in a new folder."""
    name, *more = arguments
    with tempfile.TemporaryDirectory(prefix="crw-export-") as folder:
        output = Path(folder) / "out"
        output.mkdir()
        written = exports.export(redis, [f"out/{name}", *more], Path(folder), output)
        if arguments == _FORMS["jsonl"]:
            lines = sum(1 for _ in (output / name).open("rb"))
            if lines != count:
                raise Unexpected(f"{lines:,} lines were written of {count:,} records")
    return written


def measure(redis: Redis, count: int, rounds: int) -> tuple[dict[str, list[Written]], dict[str, float], str]:
    """Every form *rounds* times, then the draining one."""
    held = redis.memory()
    found = exports.measured(lambda name: write(redis, _FORMS[name], count), tuple(_FORMS), count, rounds)
    found |= exports.measured(lambda _: write(redis, ("pages.jsonl", "--drain"), count), (_DRAIN,), count, 1)
    drained = redis.memory()
    said = f" Redis held {held / 1e6:.0f} MB, {drained / 1e6:.0f} MB after `--drain`."
    return found, {"redis_mb": held / 1e6, "redis_mb_drained": drained / 1e6}, said


def kill(times: int, records: int, only: list[str]) -> int:
    """Kill the export of so many records so many times, into each output, and look what is there."""
    print("| | kills | after a new checkpoint | within a write | ended before | records, each there once | seconds |")
    print("|---|--:|--:|--:|--:|--:|--:|", flush=True)
    with Redis() as redis:
        fill(redis.url, records)
        for output in only or _KILLED:
            name, _, form = output.partition(" ")
            with tempfile.TemporaryDirectory(prefix="crw-export-") as folder:
                command = [sys.executable, "-m", "tests.export.killed", redis.url, name, form, str(times), str(records)]
                where = os.environ | {"PYTHONPATH": str(ROOT)}
                ended = subprocess.run(command, cwd=folder, env=where, capture_output=True, text=True, check=False)
            if ended.returncode:
                print(f"{output}: {ended.stderr}", file=sys.stderr)
                return 1
            found = json.loads(ended.stdout)
            shown = [found[name] for name in ("killed", "advanced", "cut", "ended", "records", "seconds")]
            print(f"| {output} | {' | '.join(f'{one:,}' for one in shown)} |", flush=True)
    return 0


def main() -> int:
    """Measure the export."""
    options = exports.parser("export", main.__doc__, ROUNDS)
    options.add_argument("--kill", type=int, default=0, metavar="N", help="kill each form N times instead")
    options.add_argument("--output", action="append", metavar="NAME", help="kill only this one; may be repeated")
    args = options.parse_args()
    exit_on_sigterm()
    if args.kill:
        return kill(args.kill, args.records, args.output or [])
    return exports.run("export", args, ROUNDS, measure)


if __name__ == "__main__":
    sys.exit(main())
