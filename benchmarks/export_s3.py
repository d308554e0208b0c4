"""How fast records get into a bucket: `crawler export -o s3://...` in several formats. `make bench-bucket`.

The records are those of `export.py`. The server is the one of the tests: it writes each object to a file. It shares the
machine, but its CPU is not counted. Between two machines the time for an answer adds up instead: once for each part and
each state, once for sixteen Markdown files.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks import exports
from benchmarks.commands import Redis, Unexpected
from benchmarks.exports import Written
from benchmarks.site import exit_on_sigterm
from tests.export.s3_server import BUCKET, S3Server

ROUNDS: Final = 3
_FORMS: Final = {
    "jsonl, a file": ("pages.jsonl",),
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


def write(redis: Redis, name: str) -> Written:
    """Run one export on an empty server."""
    output, *more = _FORMS[name]
    with tempfile.TemporaryDirectory(prefix="crw-export-") as folder, S3Server(Path(folder) / "s3") as server:
        os.environ.update(server.environment)
        place = output.replace("s3:", f"s3://{BUCKET}/")
        what = Path(folder) / output if place == output else server.folder / "objects" / BUCKET
        written = exports.export(redis, [place, *more], Path(folder), what)
        if server.uploads:
            raise Unexpected(f"{len(server.uploads)} uploads are not complete")
    return written


def measure(redis: Redis, count: int, rounds: int) -> tuple[dict[str, list[Written]], dict[str, float], str]:
    """Every form *rounds* times."""
    return exports.measured(lambda name: write(redis, name), tuple(_FORMS), count, rounds), {}, ""


def main() -> int:
    """Measure exports into a bucket."""
    args = exports.parser("export_s3", main.__doc__, ROUNDS).parse_args()
    exit_on_sigterm()
    return exports.run("export_s3", args, ROUNDS, measure)


if __name__ == "__main__":
    sys.exit(main())
