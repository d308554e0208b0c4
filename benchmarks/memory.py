"""Does a worker grow? 200,000 pages by one worker, its memory looked at every 20,000: `make bench-memory`.

A site of `docs.py` is served by nginx at many loopback addresses, each a host of its own, below a path that only this
host has, so that every URL is another one. Its files over 64 KB are left out: the hosts are crawled in step, so the
worker would have the same big page in all its transfers at once, and that peak is not growth. The crawl is one worker
with the crawler's default store (text), no delay and a `redis-server` of its own. It ends with 1 if the worker holds
over 3% more after the last page than after 20,000.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import docs, report, targets
from benchmarks.commands import Home, Redis, Running, Unexpected
from benchmarks.measure import cpu_of, load, rss_of
from benchmarks.site import SiteError, Sites, exit_on_sigterm

PAGES: Final = 200_000
STEP: Final = 20_000
MAX_GROWN: Final = 1.03
ADDRESSES: Final = 250
MAX_SIZE: Final = 65_536
"""Bytes of a file that is served."""
LOOK: Final = 0.02
SILENCE: Final = 60.0
"""Seconds without a new page after which the crawl has failed."""
_RUN: Final = ("-n", "1", "--delay", "0", "--per-host", "64", "--follow-duplicates", "--concurrency", "64")


@dataclass(frozen=True, slots=True)
class Look:
    """At one moment. Bytes, and seconds since the start."""

    pages: int
    rss: int
    redis: int
    at: float
    cpu: float
    """Seconds of the worker's CPU so far."""


def addresses(count: int) -> list[str]:
    """So many addresses of loopback (all of 127.0.0.0/8 is, on Linux)."""
    return [f"127.3.{n // 250}.{n % 250 + 1}" for n in range(count)]


def small_files(folder: Path, into: Path) -> None:
    """Make *into* a folder of links to all files of *folder* that are not too big."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size <= MAX_SIZE:
            link = into / path.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())


def crawl(sites: Sites, redis: Redis, hosts: list[str], pages: int, step: int, options: tuple[str, ...]) -> list[Look]:
    """Crawl until *pages* were asked for, looking after every *step*; Unexpected where it stops before."""
    with Home(redis.url) as home:
        seeds = home.folder / "seeds.txt"
        seeds.write_text("\n".join(hosts), encoding="utf-8")
        began = time.monotonic()
        going = home.start("run", str(seeds), *_RUN, "--max-pages", str(pages + 2_000), *options)
        looks: list[Look] = []
        workers: set[int] = set()
        for count in range(step, pages + 1, step):
            _wait_for(sites, count, going)
            workers.update(going.workers())
            if len(workers) != 1:
                raise Unexpected(f"it is not the same worker any more: {going.err[-500:]}")
            (worker,) = workers
            looks.append(Look(count, rss_of(worker), redis.memory(), time.monotonic() - began, cpu_of(worker)))
            print(_row(looks[-1], looks[0]), flush=True)
        return looks


def _wait_for(sites: Sites, count: int, going: Running) -> None:
    asked, since = sites.total(), time.monotonic()
    while asked < count:
        time.sleep(LOOK)
        now = sites.total()
        if now != asked:
            asked, since = now, time.monotonic()
        elif going.process.poll() is not None or time.monotonic() - since > SILENCE:
            raise Unexpected(f"only {now:,} pages of {count:,} were asked for: {going.err[-500:]}")


HEAD: Final = (
    "| pages | worker's memory, MB | times the first row's | Redis, MB | pages/s so far | CPU ms a page so far |\n"
    "|--:|--:|--:|--:|--:|--:|"
)


def _row(look: Look, first: Look) -> str:
    return (
        f"| {look.pages:,} | {look.rss / 1e6:.1f} | {look.rss / first.rss:.3f} | {look.redis / 1e6:.0f} "
        f"| {look.pages / look.at:,.0f} | {1000 * look.cpu / look.pages:.2f} |"
    )


def measured(args: argparse.Namespace) -> list[Look]:
    """Serve and crawl."""
    name, folder = next(iter(docs.folders(args.folder).items()))
    print(f"the {name} site on {ADDRESSES} addresses, --store {args.store}\n\n{HEAD}", flush=True)
    with ExitStack() as stack:
        small = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crw-small-")))
        small_files(folder, small)
        sites = stack.enter_context(Sites({name: small}, addresses(ADDRESSES), below_own_path=True))
        redis = stack.enter_context(Redis())
        return crawl(sites, redis, sites.urls, args.pages, args.step, ("--store", args.store))


def main() -> int:
    """Look whether a worker's memory grows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=main.__doc__)
    docs.add_options(parser)
    parser.add_argument("--pages", type=int, default=PAGES, metavar="N", help="(200000)")
    parser.add_argument("--step", type=int, default=STEP, metavar="N", help="pages between two looks (20000)")
    parser.add_argument("--store", default="text", metavar="NAME", help="meta or text (text)")
    targets.add_option(parser)
    args = parser.parse_args()
    exit_on_sigterm()
    where = report.machine(load())
    print(where)
    try:
        looks = measured(args)
    except (SiteError, Unexpected) as error:
        print(error, file=sys.stderr)
        return 2
    first, last = looks[0], looks[-1]
    figures = {"rss_mb": last.rss / 1e6, "growth": last.rss / first.rss, "redis_mb": last.redis / 1e6}
    folder = targets.folder(args, whole=(args.pages, args.step) == (PAGES, STEP))
    if folder is not None:
        text = "\n".join([HEAD, *(_row(look, first) for look in looks)])
        targets.write(folder, "memory", f"{where}; --store {args.store}", figures, text)
    print(f"\n{targets.table(targets.of_figures('memory', figures))}")
    return 1 if last.rss > MAX_GROWN * first.rss else 0


if __name__ == "__main__":
    sys.exit(main())
