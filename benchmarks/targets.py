"""What the crawler is to reach, and whether it does, by what the benchmarks found. `python -m benchmarks.targets`.

Ratios are medians of those within rounds. What was not measured is said so; a benchmark that was made shorter than it
is by default writes no results.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from benchmarks import report
from benchmarks.measure import Run

RESULTS: Final = Path(__file__).parent / "results"
_TEXT: Final = "crawler --store text"
_PARSING: Final = "crawler --parse-all"
_TWO: Final = "crawler, 2 workers"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that is to be reached, and what was found."""

    what: str
    sense: Literal["at least", "at most", "over", "under"]
    bound: float
    found: float | None
    """None: it was not measured."""
    note: str = ""
    """How to measure it, or how it spreads."""

    @property
    def verdict(self) -> str:
        """`reached`, `not reached` or `not measured`."""
        if self.found is None:
            return "not measured"
        reached = {
            "at least": self.found >= self.bound,
            "at most": self.found <= self.bound,
            "over": self.found > self.bound,
            "under": self.found < self.bound,
        }[self.sense]
        return "reached" if reached else "**not reached**"


@dataclass(frozen=True, slots=True)
class _Ratio:
    what: str
    key: str
    ours: str
    theirs: str
    ratio: Callable[[Run, Run], float]
    sense: Literal["at least", "at most", "over", "under"]
    bound: float


_RATIOS: Final = (
    _Ratio(
        "pages/s of one worker, times Scrapy as documented", "slow", "crawler", "scrapy", report.speed, "at least", 15
    ),
    _Ratio("... times Scrapy tuned by hand", "slow", "crawler", "scrapy, tuned", report.speed, "at least", 3.5),
    _Ratio("... times scrapy-redis", "slow", "crawler", "scrapy-redis", report.speed, "at least", 25),
    _Ratio("... times crawlee", "slow", "crawler", "crawlee", report.speed, "at least", 10),
    _Ratio("CPU a page, skimming, against parsing each", "fast", "crawler", _PARSING, report.cost, "at most", 0.75),
    _Ratio("... --store text against parsing alone", "fast", _TEXT, _PARSING, report.cost, "at most", 1.5),
    _Ratio("pages/s of two workers, times one", "fast", _TWO, "crawler", report.speed, "at least", 1.4),
)
_COLLY: Final = Target(
    "pages/s of one worker, times Colly a core", "at least", 2.5, None, "Colly is in no registry that this needs"
)

FIGURES: Final[tuple[tuple[str, str, str, Literal["at least", "at most", "over", "under"], float], ...]] = (
    ("frontier", "seen_bytes_10000000", "Redis memory, bytes a seen URL at 10 M", "at most", 9.3),
    ("frontier", "queued_overhead", "... bytes a queued URL beyond its length", "at most", 16),
    ("frontier", "links_per_second", "one Redis core: links deduplicated a second at 10 M", "at least", 600_000),
    ("frontier", "pages_per_second", "one Redis core: URLs leased and committed a second", "at least", 8_000),
    ("frontier", "pages_ratio", "... at 10 M seen, times that at 10 k", "at least", 0.85),
    ("states", "default_1_usual", "Redis memory, bytes a URL that has ended, default settings", "at most", 240),
    ("states", "default_3_usual", "... in three shards", "at most", 240),
    ("states", "embedded_1_usual", "... the embedded Redis", "at most", 240),
    ("states", "embedded_3_usual", "... and three shards", "at most", 240),
    ("states", "default_1_64", "... with ETags of 64 characters", "at most", 275),
    ("check_graph", "bytes_1", "a check of a million links: Redis memory, bytes a link", "at most", 12),
    ("check_graph", "bytes_3", "... in three shards", "at most", 12),
    ("check_graph", "seconds_1", "... seconds of the report", "at most", 20),
    ("check_graph", "mib_1", "... MiB of memory of the report", "at most", 200),
    ("wide", "lease_spread_1", "a lease of 1 URL at 100,000 ready hosts, times that at 100", "at most", 1.2),
    ("wide", "lease_spread_64", "a lease of 64 URLs at 100,000 ready hosts, times that at 100", "at most", 1.2),
    ("hostile", "least_ratio", "good pages a minute beside hostile hosts, times those alone", "at least", 0.9),
    ("hostile", "peak_mb", "... memory of the worker at its peak, MB", "under", 400),
    ("hostile", "requests_a_delay", "requests a delay to one address, 300 names of one site", "at most", 10),
    ("memory", "rss_mb", "memory of a worker at its 200,000th page, MB", "under", 150),
    ("memory", "growth", "... times that at its 20,000th", "at most", 1.03),
)
"""Benchmark, its figure, what it is, and the bound."""


def of_peers(found: report.Report) -> list[Target]:
    """What `make bench` tells."""
    targets = []
    for each in _RATIOS:
        runs = {} if (result := found.of(each.key)) is None else result.runs
        if each.ours in runs and each.theirs in runs:
            spread = report.spread(runs[each.ours], runs[each.theirs], each.ratio)
            note = f"{spread.least:.2f} to {spread.most:.2f}"
            targets.append(Target(each.what, each.sense, each.bound, spread.median, note))
        else:
            targets.append(Target(each.what, each.sense, each.bound, None, "make bench"))
    return [*targets[:3], _COLLY, *targets[3:]]


def of_figures(benchmark: str, figures: dict[str, float]) -> list[Target]:
    """What one of the other benchmarks tells."""
    note = "" if figures else f"make bench-{benchmark}"
    return [
        Target(what, sense, bound, figures.get(figure), note)
        for name, figure, what, sense, bound in FIGURES
        if name == benchmark
    ]


def of_results(folder: Path) -> list[Target]:
    """What the other benchmarks have left in *folder*."""
    names = dict.fromkeys(each[0] for each in FIGURES)
    return [target for name in names for target in of_figures(name, read(folder, name))]


def read(folder: Path, name: str) -> dict[str, float]:
    """The figures of one benchmark; none where it was not run."""
    try:
        figures: dict[str, float] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["figures"]
    except (OSError, ValueError, KeyError):
        return {}
    return figures


def write(folder: Path, name: str, where: str, figures: dict[str, float], text: str) -> None:
    """Leave the figures of one benchmark, and its text."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {"where": where, "figures": figures}
    (folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(f"{where}.\n\n{text}\n", encoding="utf-8")


def add_option(parser: argparse.ArgumentParser) -> None:
    """Where results are left."""
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="where to write (benchmarks/results; if it is shortened: nowhere)"
    )


def folder(args: argparse.Namespace, *, whole: bool) -> Path | None:
    """Where to leave the results, if anywhere: those of a benchmark that was not *whole* replace no others."""
    named: Path | None = args.results
    return named or (RESULTS if whole else None)


def table(targets: Sequence[Target]) -> str:
    """One line a target, as Markdown."""
    lines = ["| to reach | | found | |", "|---|--:|--:|---|"]
    for each in targets:
        found = "" if each.found is None else f"{each.found:,.2f}" if each.found < 1000 else f"{each.found:,.0f}"
        note = f" ({each.note})" if each.note else ""
        lines.append(f"| {each.what} | {each.sense} {each.bound:,g} | {found} | {each.verdict}{note} |")
    return "\n".join(lines)


def main() -> int:
    """Hold what was measured last against what is to be reached."""
    try:
        peers = report.read(RESULTS)
    except (OSError, ValueError, KeyError, TypeError):
        peers = report.Report("", {}, [])
    print(table(of_peers(peers) + of_results(RESULTS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
