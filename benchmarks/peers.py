"""This crawler beside its peers on the same pages in the same run. Run by `make bench`.

Contenders: the crawler with one worker, Scrapy's CrawlSpider as documented (in an environment of its own, made in
`benchmarks/.cache`), and the floor (`floor.py`). Rounds alternate between them, so that what the machine does meanwhile
falls on all; ratios are made within a round. Each runs in its own process tree on a fresh Redis. Two sizes: the sites
once, and the same sites on four loopback addresses, for those that are fast enough.

Coverage is checked by nginx's log: a contender that asked for more than 1% more or fewer URLs than the others makes the
run fail. (Scrapy compares URLs with their query sorted, leaves out URLs that end like binary files, and does not follow
`link`; of the sites of `docs.py` it leaves out one download.)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks import docs, report
from benchmarks.commands import PROGRAM, Redis, Unexpected
from benchmarks.measure import Run, load, measure, wait_until_quiet
from benchmarks.site import SiteError, Sites, exit_on_sigterm

HERE: Final = Path(__file__).parent
SCRAPY: Final = docs.CACHE / "venv-scrapy"
SCRAPY_VERSION: Final = "2.19.*"
ADDRESSES: Final = 4
TOLERANCE: Final = 0.01
CONCURRENCY: Final = "32"
PATIENCE: Final = 30.0
"""Seconds that a run waits for the rest of the machine to become quiet."""
_RUN: Final = ("--store", "meta", "--delay", "0", "--per-host", "64", "--concurrency", CONCURRENCY)
_SCRAPY_SETTINGS: Final = {
    "ROBOTSTXT_OBEY": "True",
    "CONCURRENT_REQUESTS": CONCURRENCY,
    "CONCURRENT_REQUESTS_PER_DOMAIN": CONCURRENCY,
    "DOWNLOAD_DELAY": "0",
    "LOG_LEVEL": "ERROR",
}

Command = Callable[[Sequence[str], str], list[str]]


@dataclass(frozen=True, slots=True)
class Contender:
    """A program to measure: its command for seeds and the URL of a Redis."""

    name: str
    command: Command
    needs_redis: bool = False


def crawler(name: str, *options: str) -> Contender:
    """This crawler; *options* come after those that all its runs have."""
    return Contender(name, lambda seeds, redis: [PROGRAM, "run", *seeds, "--redis", redis, *_RUN, *options], True)


def scrapy() -> Contender:
    """Scrapy, which writes its items into a JSON lines feed."""
    settings = [word for name, value in _SCRAPY_SETTINGS.items() for word in ("-s", f"{name}={value}")]
    program = [str(SCRAPY / "bin" / "python"), "-m", "scrapy", "runspider", str(HERE / "spider.py")]
    return Contender(
        "scrapy", lambda seeds, _: [*program, "-a", f"seeds={' '.join(seeds)}", "-O", "items.jsonl", *settings]
    )


def floor() -> Contender:
    """The bare loop."""
    return Contender("floor", lambda seeds, _: [sys.executable, str(HERE / "floor.py"), *seeds])


def ensure_scrapy() -> str | None:
    """Make Scrapy's environment where it is not there; None, or why it cannot be had."""
    python = SCRAPY / "bin" / "python"
    try:
        if not python.exists():
            print("installing Scrapy ...", file=sys.stderr)
            _run([sys.executable, "-m", "venv", str(SCRAPY)])
        if subprocess.run([python, "-c", "import scrapy"], capture_output=True, check=False).returncode:
            _run([str(python), "-m", "pip", "install", "--quiet", f"scrapy=={SCRAPY_VERSION}"])
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        return said.strip().splitlines()[-1]
    return None


def _run(command: list[str]) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True)


# -- one run -----------------------------------------------------------------------------------------------------------


def run_once(contender: Contender, sites: Sites) -> Run:
    """One run on a fresh Redis, if the contender needs one."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crw-bench-")))
        if not contender.needs_redis:
            return measure(contender.command(sites.urls, ""), sites, folder)
        redis = stack.enter_context(Redis())
        before = redis.cpu()
        run = measure(contender.command(sites.urls, redis.url), sites, folder)
        used = redis.cpu() - before
        return replace(run, redis=used, others=max(run.others - used / run.wall, 0.0))


def rounds(contenders: Sequence[Contender], sites: Sites, count: int) -> dict[str, list[Run]]:
    """*count* rounds, in each of which every contender runs once; the order is turned each time."""
    runs: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    for n in range(count):
        turn = n % len(contenders)
        for contender in (*contenders[turn:], *contenders[:turn]):
            wait_until_quiet(PATIENCE)
            run = run_once(contender, sites)
            runs[contender.name].append(run)
            print(
                f"  round {n + 1} {contender.name:<16} {run.pages:>6,} pages {run.rate:>7.0f}/s "
                f"{1000 * run.cpu / run.pages:>6.2f} ms CPU a page   others used {run.others:.2f} cores, {load()}",
                flush=True,
            )
    return runs


def uneven(runs: dict[str, list[Run]]) -> list[str]:
    """Contenders whose coverage is off by more than TOLERANCE."""
    most = max(run.pages for each in runs.values() for run in each)
    return [name for name, each in runs.items() if min(run.pages for run in each) < most * (1 - TOLERANCE)]


def start_up(contenders: Sequence[Contender], count: int) -> dict[str, list[Run]]:
    """The same programs on a site of one page: what they cost before they do anything."""
    with tempfile.TemporaryDirectory(prefix="crw-one-") as folder:
        (Path(folder) / "index.html").write_text("<!doctype html><title>one page</title>", encoding="utf-8")
        with Sites({"one": Path(folder)}) as sites:
            print("a site of one page")
            return rounds(contenders, sites, count)


# -- all ---------------------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure the crawler beside Scrapy and the floor."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=main.__doc__)
    docs.add_options(parser)
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="rounds of each size (3)")
    parser.add_argument("--without-scrapy", action="store_true", help="leave Scrapy out; it is the slow one")
    parser.add_argument("--results", type=Path, default=HERE / "results", metavar="DIR", help="where to write")
    args = parser.parse_args()
    exit_on_sigterm()
    try:
        return _bench(args)
    except (SiteError, Unexpected) as error:
        print(error, file=sys.stderr)
        return 2


def _bench(args: argparse.Namespace) -> int:
    folders = docs.folders(args.folder)
    once = [crawler("crawler", "-n", "1"), floor()]
    if not args.without_scrapy:
        missing = ensure_scrapy()
        if missing is None:
            once.insert(1, scrapy())
        else:
            print(f"without Scrapy, which cannot be installed: {missing}", file=sys.stderr)
    often = [
        # The same sites on several addresses: without the option, copies of a page would not be followed.
        crawler("crawler", "-n", "1", "--follow-duplicates"),
        crawler("crawler --store text", "-n", "1", "--store", "text", "--follow-duplicates"),
        crawler("crawler, 2 workers", "-n", "2", "--follow-duplicates"),
        floor(),
    ]
    machine = report.machine(load())
    print(f"{machine}\n")
    results = [report.Result("start", "one page", start_up(once, args.runs))]
    for key, what, contenders, addresses in (
        ("once", "the sites once", once, 1),
        ("often", f"the sites on {ADDRESSES} addresses", often, ADDRESSES),
    ):
        print(what)
        with Sites(folders, [f"127.0.0.{n}" for n in range(1, addresses + 1)]) as sites:
            results.append(report.Result(key, what, rounds(contenders, sites, args.runs)))
    table = report.table(results, machine)
    report.write(args.results, results, table, machine)
    print(f"\n{table}")
    bad = [f"{result.what}: {name}" for result in results for name in uneven(result.runs)]
    for each in bad:
        print(f"fetched too few pages, so its numbers count for nothing: {each}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
