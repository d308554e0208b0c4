"""Results of `peers.py` as a Markdown table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
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


def machine(load: str) -> str:
    """Where and when, in one line."""
    parts = [f"{os.cpu_count()} cores", _processor(), f"Python {platform.python_version()}"]
    parts += [f"{name} {version(name)}" for name in ("pycurl", "selectolax", "redis")]
    return f"{time.strftime('%Y-%m-%d %H:%M')}, {', '.join(part for part in parts if part)}; {load} before"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def table(results: Sequence[Result], where: str) -> str:
    """All results as Markdown: medians, and ratios to the crawler as min - median - max over the rounds."""
    start = {name: _median([run.cpu for run in runs]) for name, runs in results[0].runs.items()}
    lines = [f"{where}.", ""]
    for result in results[1:]:
        lines += _of_pages(result, start)
        lines += _ratios(result)
    first = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in start.items())
    lines.append(f"CPU on a site of one page (what starting costs): {first}.")
    return "\n".join(lines)


def _of_pages(result: Result, start: dict[str, float]) -> list[str]:
    lines = [
        f"**{result.what[0].upper()}{result.what[1:]}**, medians of {len(next(iter(result.runs.values())))} runs",
        "",
        "| | pages | pages/s | CPU ms a page | without its start | Redis ms a page | peak RSS MB | others, cores |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, runs in result.runs.items():
        begin = start.get(name, start["crawler"])
        redis = 1000 * _median([run.redis / run.pages for run in runs])
        lines.append(
            f"| {name} | {runs[0].pages:,} | {_median([run.rate for run in runs]):,.0f} "
            f"| {1000 * _median([run.cpu / run.pages for run in runs]):.2f} "
            f"| {1000 * _median([(run.cpu - begin) / run.pages for run in runs]):.2f} "
            f"| {f'{redis:.2f}' if redis else ''} | {_median([run.rss for run in runs]) / 1e6:.0f} "
            f"| {_median([run.others for run in runs]):.2f} |"
        )
    return [*lines, ""]


def _ratios(result: Result) -> list[str]:
    """The crawler against each of the others, round by round."""
    ours = result.runs["crawler"]
    lines = ["| crawler against | pages/s, times | CPU a page, times |", "|---|--:|--:|"]
    for name, runs in result.runs.items():
        if name != "crawler":
            faster = _spread(ours, runs, lambda a, b: a.rate / b.rate)
            dearer = _spread(ours, runs, lambda a, b: (a.cpu / a.pages) / (b.cpu / b.pages))
            lines.append(f"| {name} | {faster} | {dearer} |")
    return [*lines, ""]


def _spread(ours: Sequence[Run], theirs: Sequence[Run], ratio: Callable[[Run, Run], float]) -> str:
    found = [ratio(a, b) for a, b in zip(ours, theirs, strict=True)]
    return f"{min(found):.2f} - **{_median(found):.2f}** - {max(found):.2f}"


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def write(folder: Path, results: Sequence[Result], text: str, where: str) -> None:
    """Write `peers.json` with every run, and `peers.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = {
        result.key: {name: [asdict(run) for run in each] for name, each in result.runs.items()} for result in results
    }
    (folder / "peers.json").write_text(json.dumps({"where": where, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    (folder / "peers.md").write_text(f"# The crawler beside its peers\n\n{text}\n", encoding="utf-8")
