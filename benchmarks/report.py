"""Results of `peers.py` as a Markdown table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Run


@dataclass(frozen=True, slots=True)
class Result:
    """The runs of each contender on the same pages, round by round."""

    key: str
    what: str
    runs: dict[str, list[Run]]


@dataclass(frozen=True, slots=True)
class Report:
    """All that was measured."""

    where: str
    """Machine, date and versions."""
    start: dict[str, list[Run]]
    """The runs on a site of one page."""
    results: list[Result]

    def of(self, key: str) -> Result | None:
        """The result on one set of pages, if it was measured."""
        return next((result for result in self.results if result.key == key), None)


@dataclass(frozen=True, slots=True)
class Spread:
    """A ratio over the rounds."""

    least: float
    median: float
    most: float

    def __str__(self) -> str:
        return f"{self.least:.2f} - **{self.median:.2f}** - {self.most:.2f}"


def spread(one: Sequence[Run], other: Sequence[Run], ratio: Callable[[Run, Run], float]) -> Spread:
    """*ratio* of the two, made within each round."""
    found = [ratio(a, b) for a, b in zip(one, other, strict=True)]
    return Spread(min(found), statistics.median(found), max(found))


def speed(one: Run, other: Run) -> float:
    """How many times as fast *one* is, in pages a second."""
    return one.rate / other.rate


def cost(one: Run, other: Run) -> float:
    """How many times as much CPU *one* needs for a page."""
    return (one.cpu / one.pages) / (other.cpu / other.pages)


def median(runs: Iterable[Run], value: Callable[[Run], float]) -> float:
    """The median of something over runs."""
    return statistics.median(value(run) for run in runs)


def machine(load: str, versions: Iterable[str] = ()) -> str:
    """Where, when and with what, in one line."""
    parts = [f"{os.cpu_count()} cores", _processor(), f"Python {platform.python_version()}"]
    parts += [f"{name} {version(name)}" for name in ("pycurl", "selectolax", "redis")]
    parts += sorted(set(versions))
    return f"{time.strftime('%Y-%m-%d %H:%M')}, {', '.join(part for part in parts if part)}; {load} before"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


# -- the table ---------------------------------------------------------------------------------------------------------


def table(report: Report) -> str:
    """All results as Markdown: medians, and ratios to the crawler as min - median - max over the rounds."""
    start = {name: median(runs, lambda run: run.cpu) for name, runs in report.start.items()}
    lines = [f"{report.where}.", ""]
    for result in report.results:
        lines += _of_pages(result, start)
        lines += _ratios(result)
    if start:
        first = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in start.items())
        lines.append(f"CPU on a site of one page (what starting costs): {first}.")
    return "\n".join(lines)


def _of_pages(result: Result, start: dict[str, float]) -> list[str]:
    lines = [
        f"**{result.what[0].upper()}{result.what[1:]}**, medians of {len(next(iter(result.runs.values())))} rounds",
        "",
        "| | pages | pages/s | CPU ms a page | without its start | peak memory MB | biggest process MB "
        "| Redis: CPU ms a page | kept, bytes a page | at its peak | others, cores |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    return [*lines, *(_row(name, runs, start.get(name)) for name, runs in result.runs.items()), ""]


def _row(name: str, runs: Sequence[Run], start: float | None) -> str:
    without = "" if start is None else f"{1000 * median(runs, lambda run: (run.cpu - start) / run.pages):.2f}"
    redis = ["", "", ""]
    if any(run.redis for run in runs):
        redis = [
            f"{1000 * median(runs, lambda run: run.redis / run.pages):.2f}",
            f"{median(runs, lambda run: run.redis_kept / run.pages):,.0f}",
            f"{median(runs, lambda run: run.redis_peak / run.pages):,.0f}",
        ]
    cells = [
        name,
        f"{runs[0].pages:,}",
        f"{median(runs, lambda run: run.rate):,.0f}",
        f"{1000 * median(runs, lambda run: run.cpu / run.pages):.2f}",
        without,
        f"{median(runs, lambda run: run.memory) / 1e6:.0f}",
        f"{median(runs, lambda run: run.rss) / 1e6:.0f}",
        *redis,
        f"{median(runs, lambda run: run.others):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _ratios(result: Result) -> list[str]:
    """The crawler against each of the others, round by round."""
    ours = result.runs.get("crawler")
    if ours is None or len(result.runs) == 1:
        return []
    lines = ["| crawler against | pages/s, times | CPU a page, times |", "|---|--:|--:|"]
    for name, runs in result.runs.items():
        if name != "crawler":
            lines.append(f"| {name} | {spread(ours, runs, speed)} | {spread(ours, runs, cost)} |")
    return [*lines, ""]


def write(folder: Path, report: Report, text: str) -> None:
    """Write `peers.json` with every run, and `peers.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = {"start": report.start} | {result.key: result.runs for result in report.results}
    found = {
        "where": report.where,
        "pages": {result.key: result.what for result in report.results},
        "runs": {key: {name: [asdict(run) for run in each] for name, each in of.items()} for key, of in runs.items()},
    }
    (folder / "peers.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "peers.md").write_text(f"# The crawler beside its peers\n\n{text}\n", encoding="utf-8")


def read(folder: Path) -> Report:
    """What `write` wrote; OSError or ValueError where it is not there."""
    found = json.loads((folder / "peers.json").read_text(encoding="utf-8"))
    runs = {key: {name: [Run(**run) for run in each] for name, each in of.items()} for key, of in found["runs"].items()}
    results = [Result(key, what, runs[key]) for key, what in found["pages"].items()]
    return Report(found["where"], runs["start"], results)
