"""The link graph of a check, and the report that is made from it: `make bench-check-graph`.

A site of 20,000 pages with 50 links and 60 names of elements each: 20 links of the menu that all pages share, 16 to
other pages, 10 images, scripts and styles, 4 to other sites; 12 of the 50 name a target that the page has named before
(of the documentation of PostgreSQL half of the links do so, of Python's five in six). A fifth of the links to pages ask
for a fragment, of which one in 200 is missing. 10,000 links lead to as many broken targets, and each page has one that
redirects. All of it is written as the frontier's scripts leave it.

Counted is MEMORY USAGE of every `links:` hash. The report is made in a process of its own, without texts, and all its
findings are read.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks import report, targets
from benchmarks.commands import Redis, Unexpected
from benchmarks.crawls import CRAWL
from benchmarks.frontier import DEFAULT_ENTRIES
from benchmarks.measure import load
from benchmarks.site import exit_on_sigterm
from crawler.check.report import ReportOptions, findings_of
from crawler.checked_page import PLACES, CheckedPage, Named, name_hash, short_id, text_hash
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.record import Record
from crawler.settings import Settings
from crawler.url import Form, host
from crawler.url_state import UrlState, id_bytes

PAGES: Final = 20_000
NAMES: Final = 60
MENU: Final = 20
BROKEN: Final = 10_000
REDIRECTS: Final = 1_000
EXTERNAL: Final = 5_000
OWN_TARGETS: Final = 20_000
_SITE: Final = "https://www.site.example"
_LINK, _IMAGE, _SCRIPT, _STYLE = (PLACES.index(kind) for kind in ("link", "image", "script", "style"))
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Made:
    """What one report was like."""

    seconds: float
    cpu: float
    peak: int
    """Bytes of memory at the peak."""
    before: int
    """Bytes before it began: the interpreter and the crawler's modules."""
    findings: dict[str, int]
    places: int


class Filling:
    """Writes a checked site into Redis."""

    def __init__(self, frontier: Frontier, pages: int) -> None:
        self._frontier, self._pages, self._dice = frontier, pages, random.Random(7)
        self._broken = iter(range(BROKEN * pages // PAGES))
        self.links = 0

    def run(self) -> None:
        """Write all of it."""
        count = self._pages
        self._put(self._state(self._page(n), depth=n > 0) for n in range(count))
        self._put(self._target(f"{_SITE}/static/file-{n}.png") for n in range(OWN_TARGETS * count // PAGES))
        self._put(self._target(f"https://www.away{n}.example/page-{n}") for n in range(EXTERNAL * count // PAGES))
        self._put(self._gone(n) for n in range(BROKEN * count // PAGES))
        self._put(self._redirect(n) for n in range(REDIRECTS * count // PAGES))
        self._put(self._links(n) for n in range(count))
        for shard in self._frontier.shards:
            shard.read(("HSET", shard.keys.counters, "accepted", 2 * count))

    def _put(self, commands: Iterable[tuple[str, list[tuple[Any, ...]]]]) -> None:
        """Send commands, each to the shard of its URL, some at a time."""
        waiting: dict[int, list[tuple[Any, ...]]] = {shard.number: [] for shard in self._frontier.shards}
        for url, some in commands:
            number = self._frontier.home(host(url)).number
            waiting[number] += some
            if len(waiting[number]) >= _BATCH:
                self._frontier.shards[number].read(*waiting[number])
                waiting[number] = []
        for number, some in waiting.items():
            self._frontier.shards[number].read(*some)

    def _page(self, n: int) -> str:
        return f"{_SITE}/docs/section-{n % 97}/some-words-of-title-{n}.html"

    def _id(self, url: str) -> str:
        return self._frontier.id(url)

    def _state(self, url: str, outcome: str = "fetched", status: int = 200, **fields: Any) -> tuple[str, list[Any]]:
        url_id, shard = self._id(fields.pop("named", url)), self._frontier.home(host(url))
        facts = {"depth": 1, "via": "1", "digest": self._dice.getrandbits(64), **fields}
        facts["depth"] = int(facts["depth"])
        state = UrlState(url=url, outcome=outcome, status=status, first_seen=1, checked_at=1, **facts)
        commands: list[Any] = [("HSET", shard.keys.ended(url_id), id_bytes(url_id), state.encode())]
        if not state.is_target or outcome != "fetched":
            record = Record(url=url, outcome=outcome, status=status, depth=1, title=f"Title of {url[-12:]}").encode()
            commands.append(("HSET", shard.keys.page(url_id), "m", record, "at", "1-1"))
            commands.append(("XADD", shard.keys.records, "*", "i", url_id))
        return url, commands

    def _target(self, url: str) -> tuple[str, list[Any]]:
        return self._state(url, is_target=True, named=f"target {url}")

    def _gone(self, n: int) -> tuple[str, list[Any]]:
        return self._state(f"{_SITE}/docs/gone/page-{n}.html", "missing", 404)

    def _redirect(self, n: int) -> tuple[str, list[Any]]:
        return self._state(f"{_SITE}/docs/moved/{n}.html", "redirected", 301, target=self._id(self._page(n)))

    def _links(self, n: int) -> tuple[str, list[Any]]:
        """What a page names, and 60 names of its elements."""
        dice, count = self._dice, self._pages
        urls = [(self._page(m), _LINK) for m in range(MENU)]
        urls += [(self._page(dice.randrange(count)), _LINK) for _ in range(6)]
        urls += [(self._page(n), _LINK)] * 6  # anchors of its own headings
        urls.append((f"{_SITE}/docs/moved/{dice.randrange(max(REDIRECTS * count // PAGES, 1))}.html", _LINK))
        files = [dice.randrange(OWN_TARGETS * count // PAGES) for _ in range(6)]
        urls += [(f"target {_SITE}/static/file-{m}.png", _IMAGE) for m in files]
        urls += [(f"target {_SITE}/static/file-{m}.png", kind) for m in range(2) for kind in (_SCRIPT, _STYLE)]
        away = [dice.randrange(EXTERNAL * count // PAGES) for _ in range(4)]
        urls += [(f"target https://www.away{m}.example/page-{m}", _LINK) for m in away]
        urls += urls[MENU : MENU + 3]  # a card: its image and its words
        if n % 2 == 0 and (broken := next(self._broken, None)) is not None:
            urls[MENU] = (f"{_SITE}/docs/gone/page-{broken}.html", _LINK)
        self.links += len(urls)
        line, named = 10, []
        for url, kind in urls:
            line += dice.choice((0, 1, 1, 1, 2, 4))
            fragment = self._fragment() if kind == _LINK and url[:6] != "target" and dice.random() < 0.2 else None
            named.append(Named(short_id(self._id(url)), kind, line, fragment))
        names = frozenset(name_hash(f"name-{m}") for m in range(NAMES))
        page = CheckedPage(
            named=named, names=names, title=text_hash(f"Title {n}"), description=n, elapsed_ms=90, size=40_000
        )
        url = self._page(n)
        shard, url_id = self._frontier.home(host(url)), self._id(url)
        return url, [("HSET", shard.keys.links(url_id), id_bytes(url_id), page.encode())]

    def _fragment(self) -> int:
        return name_hash("nowhere" if self._dice.random() < 0.005 else f"name-{self._dice.randrange(NAMES)}")


def bytes_of_links(frontier: Frontier) -> int:
    """Bytes of Redis for all `links:` hashes, each element counted."""
    total = 0
    for shard in frontier.shards:
        client: Any = shard.connection.client
        keys = list(client.scan_iter(shard.keys.pattern("links:"), 1000))
        for start in range(0, len(keys), _BATCH):
            pipe = client.pipeline(transaction=False)
            for key in keys[start : start + _BATCH]:
                pipe.memory_usage(key, samples=0)
            total += sum(pipe.execute())
    return total


def make_report(url: str) -> Made:
    """Make one report in this process."""
    frontier = Frontier.find(Connection(url, timeout=120), CRAWL)
    before = _peak()
    began, cpu = time.perf_counter(), time.process_time()
    found: dict[str, int] = {}
    places = 0
    for finding in findings_of(frontier, ReportOptions(texts=False)):
        found[finding.code] = found.get(finding.code, 0) + 1
        places += len(finding.pages)
    return Made(time.perf_counter() - began, time.process_time() - cpu, _peak(), before, found, places)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(shards: int, pages: int) -> tuple[int, float, Made]:
    """Fill a Redis and make a report: the number of links, bytes of Redis a link, the report."""
    with Redis(DEFAULT_ENTRIES) as running:
        link = Connection(running.url, timeout=120)
        limits = Limits(delay_ms=0, per_host=1, robots=False)
        settings = Settings(shards=shards).encode()
        frontier = Frontier.create(link, CRAWL, Identity.new(Form(), shards), settings, limits)
        filling = Filling(frontier, pages)
        filling.run()
        stored = bytes_of_links(frontier)
        command = [sys.executable, "-m", "benchmarks.check_graph", "--report", running.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unexpected(f"the report failed: {done.stderr[-2000:]}")
        link.close()
        return filling.links, stored / filling.links, Made(**json.loads(done.stdout))


HEAD: Final = (
    "| shards | links | bytes of Redis a link | seconds of the report | of CPU | MiB at its peak | before it |"
    " findings | places |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def _row(shards: int, links: int, stored: float, made: Made) -> str:
    took = f"{made.seconds:.1f} | {made.cpu:.1f} | {made.peak / 2**20:.0f} | {made.before / 2**20:.0f}"
    found = f"{sum(made.findings.values()):,} | {made.places:,}"
    return f"| {shards} | {links:,} | {stored:.1f} | {took} | {found} |"


def main() -> int:
    """Measure what Redis holds of a million links, and the report that is made from it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_graph", description=main.__doc__)
    parser.add_argument("--pages", type=int, default=PAGES, metavar="N", help="(20000)")
    parser.add_argument("--report", metavar="URL", help=argparse.SUPPRESS)
    targets.add_option(parser)
    args = parser.parse_args()
    if args.report:
        print(json.dumps(asdict(make_report(args.report))))
        return 0
    exit_on_sigterm()
    where = report.machine(load())
    print(f"{where}\n\n{HEAD}", flush=True)
    figures: dict[str, float] = {}
    rows: list[str] = []
    try:
        for shards in (1, 3):
            links, stored, made = measure(shards, args.pages)
            figures |= {
                f"bytes_{shards}": stored,
                f"seconds_{shards}": made.seconds,
                f"mib_{shards}": made.peak / 2**20,
            }
            rows.append(_row(shards, links, stored, made))
            print(rows[-1], flush=True)
            print(made.findings, file=sys.stderr)
    except Unexpected as error:
        print(error, file=sys.stderr)
        return 2
    folder = targets.folder(args, whole=args.pages == PAGES)
    if folder is not None:
        targets.write(folder, "check_graph", where, figures, "\n".join([HEAD, *rows]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
