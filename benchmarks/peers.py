"""This crawler beside its peers on the same pages in the same run. Run by `make bench`; who they are: `contenders.py`.

Rounds alternate between the contenders, so that what the machine does meanwhile falls on all; ratios are made within a
round. Each runs in its own process tree, and on a fresh Redis where it needs one. Two sets of pages: the sites once for
all, and the same sites on four loopback addresses for the fast ones, so that starting does not count for much.

Coverage is checked by nginx's log: a contender that asked for more than 1% more or fewer URLs than the others makes the
run fail. (Scrapy compares URLs with their query sorted, leaves out URLs that end like binary files, and does not follow
`link`; of the sites of `docs.py` it leaves out one download.)
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import redis as redis_py

from benchmarks import chart, docs, report, targets
from benchmarks.commands import Redis, Unexpected
from benchmarks.contenders import (
    Contender,
    crawlee,
    crawler,
    floor,
    scrapy,
    scrapy_redis,
    tuned_scrapy,
    wget2,
)
from benchmarks.measure import Run, load, measure, wait_until_quiet
from benchmarks.site import SiteError, Sites, exit_on_sigterm

ADDRESSES: Final = 4
ROUNDS: Final = 3
TOLERANCE: Final = 0.01
PATIENCE: Final = 10.0
"""Seconds that a run waits for the rest of the machine to become quiet."""


@dataclass(frozen=True, slots=True)
class Course:
    """Pages, and who crawls them."""

    key: str
    what: str
    contenders: tuple[Contender, ...]
    addresses: int
    folders: dict[str, Path]


def courses(folders: dict[str, Path], *, first_site: bool) -> list[Course]:
    """What is crawled by whom; with *first_site* the first course has that alone."""
    names = " and ".join(folders)
    first = dict([next(iter(folders.items()))]) if first_site else folders
    slow = (
        crawler("crawler", "-n", "1"),
        scrapy(),
        tuned_scrapy(),
        scrapy_redis(1),
        scrapy_redis(2),
        crawlee(),
        floor(),
    )
    # The same sites on several addresses: without the option, copies of a page would not be followed.
    often = "--follow-duplicates"
    fast = (
        crawler("crawler", "-n", "1", often),
        crawler("crawler, 2 workers", "-n", "2", often),
        crawler("crawler --parse-all", "-n", "1", "--store", "meta", "--parse-all", often),
        crawler("crawler --store text", "-n", "1", "--store", "text", often),
        crawler("crawler --store text, 2 workers", "-n", "2", "--store", "text", often),
        wget2("wget2 to disk"),
        wget2("wget2 to memory", "--output-document=/dev/null"),
        floor(),
    )
    return [
        Course("slow", f"{' and '.join(first)} once, for all", slow, 1, first),
        Course("fast", f"{names} on {ADDRESSES} addresses, for the fast ones", fast, ADDRESSES, folders),
    ]


def present(course: Course, only: Sequence[str]) -> tuple[Course, list[str]]:
    """The course with those that can be had here and that *only* names, if anybody; and a word on each other."""
    wanted = [each for each in course.contenders if not only or any(name in each.name for name in only)]
    without = {each.name: each.missing() for each in wanted}
    words = [f"{name} is left out: {why}" for name, why in without.items() if why]
    return replace(course, contenders=tuple(each for each in wanted if not without[each.name])), words


# -- one run -----------------------------------------------------------------------------------------------------------


def run_once(contender: Contender, sites: Sites) -> Run:
    """One run on a fresh Redis, if the contender needs one."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crw-bench-")))
        if not contender.needs_redis:
            return measure(contender.commands(sites.urls, ""), sites, folder, ends=contender.ends)
        redis = stack.enter_context(Redis())
        with redis_py.Redis.from_url(redis.url) as client:
            contender.prepare(sites.urls, client)
        cpu, memory = redis.cpu(), redis.memory()
        commands = contender.commands(sites.urls, redis.url)
        run = measure(commands, sites, folder, ends=contender.ends, endless=contender.endless)
        used = redis.cpu() - cpu
        return replace(
            run,
            redis=used,
            redis_kept=redis.memory() - memory,
            redis_peak=redis.peak() - memory,
            others=max(run.others - used / run.wall, 0.0),
        )


def rounds(
    contenders: Sequence[Contender], sites: Sites, count: int, patience: float = PATIENCE
) -> dict[str, list[Run]]:
    """*count* rounds, in each of which every contender runs once; the order is turned each time."""
    runs: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    for n in range(count):
        turn = n % max(len(contenders), 1)
        for contender in (*contenders[turn:], *contenders[:turn]):
            wait_until_quiet(patience)
            run = run_once(contender, sites)
            runs[contender.name].append(run)
            print(
                f"  round {n + 1} {contender.name:<31} {run.pages:>6,} pages {run.rate:>7.0f}/s "
                f"{1000 * run.cpu / run.pages:>6.2f} ms CPU a page   others used {run.others:.2f} cores, {load()}",
                flush=True,
            )
    return runs


def uneven(runs: dict[str, list[Run]]) -> list[str]:
    """Contenders whose coverage is off by more than TOLERANCE."""
    most = max(run.pages for each in runs.values() for run in each)
    return [name for name, each in runs.items() if min(run.pages for run in each) < most * (1 - TOLERANCE)]


def start_up(contenders: Sequence[Contender], count: int) -> dict[str, list[Run]]:
    """The same programs on a site of one page: what they cost before they do anything. Endless ones are left out."""
    with tempfile.TemporaryDirectory(prefix="crw-one-") as folder:
        (Path(folder) / "index.html").write_text("<!doctype html><title>one page</title>", encoding="utf-8")
        with Sites({"one": Path(folder)}) as sites:
            return rounds([each for each in contenders if not each.endless], sites, count, patience=0)


# -- all ---------------------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure the crawler beside its peers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=main.__doc__)
    docs.add_options(parser)
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="rounds of each set of pages (3)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="contenders with that in their name; may be repeated",
    )
    parser.add_argument("--first-site", action="store_true", help="where the slow ones take part, that site alone")
    targets.add_option(parser)
    args = parser.parse_args()
    exit_on_sigterm()
    try:
        return _bench(args)
    except (SiteError, Unexpected) as error:
        print(error, file=sys.stderr)
        return 2


def _bench(args: argparse.Namespace) -> int:
    found = [present(course, args.only) for course in courses(docs.folders(args.folder), first_site=args.first_site)]
    measured = [course for course, _ in found if course.contenders]
    contenders = {each.name: each for course in measured for each in course.contenders}
    if not contenders:
        raise Unexpected(f"nobody has {' or '.join(args.only)} in its name, or can be had here")
    for word in dict.fromkeys(word for _, words in found for word in words):
        print(word, file=sys.stderr)
    machine = report.machine(load(), {one for each in contenders.values() for one in each.versions()})
    print(f"{machine}\n\na site of one page")
    start = start_up(list(contenders.values()), min(args.rounds, 3))
    results = []
    for course in measured:
        print(course.what)
        with Sites(course.folders, [f"127.0.0.{n}" for n in range(1, course.addresses + 1)]) as sites:
            results.append(report.Result(course.key, course.what, rounds(course.contenders, sites, args.rounds)))
    return _tell(args, report.Report(machine, start, results))


def _tell(args: argparse.Namespace, found: report.Report) -> int:
    text = report.table(found)
    print(f"\n{text}\n")
    folder = targets.folder(args, whole=args.rounds >= ROUNDS and not (args.only or args.first_site))
    if folder is not None:
        report.write(folder, found, text)
        (folder / "peers.svg").write_text(chart.draw(found), encoding="utf-8")
    print(targets.table(targets.of_peers(found) + targets.of_results(folder or targets.RESULTS)))
    bad = [f"{result.what}: {name}" for result in found.results for name in uneven(result.runs)]
    for each in bad:
        print(f"fetched too few pages, so its numbers count for nothing: {each}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
