"""`crawler report`: a crawl in one HTML file, without scripts and without anything from elsewhere.

The records are read once. What is counted by host, cause or time is bounded, whatever sites answered.
"""

from __future__ import annotations

import base64
import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from crawler import url as urls
from crawler.errors import FrontierError
from crawler.export import read
from crawler.frontier.frontier import Frontier
from crawler.frontier.host_facts import HostRow
from crawler.frontier.status import Monitor, Status
from crawler.monitor.screen import cause, clock, size
from crawler.record import Record
from crawler.settings import TABLE, Kind, Settings, format_value
from crawler.text import option_name, printable, rfc3339

PAGES: Final = Path(__file__).parent / "pages"
_KEPT: Final = 10_000
"""Most names that are counted of one kind; others are counted as one."""
_OTHERS: Final = "(others)"
_STEPS: Final = 240
"""Most steps of a curve over time."""
_EXAMPLES: Final = 3
_DEEPEST: Final = 20
_SIZES: Final = (1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20)
_TIMES: Final = (50, 100, 250, 500, 1000, 2500, 5000, 10_000)


@dataclass(slots=True)
class Row:
    """What is counted of one host, or of one cause of failures."""

    ended: int = 0
    fetched: int = 0
    failed: int = 0
    bytes: int = 0
    answered: int = 0
    elapsed_ms: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def latency_ms(self) -> int:
        """The mean time of an answer."""
        return self.elapsed_ms // self.answered if self.answered else 0

    def add(self, record: Record) -> None:
        """Count one URL."""
        self.ended += 1
        self.fetched += record.outcome == "fetched"
        self.failed += record.outcome.startswith("failed:")
        self.bytes += record.size or 0
        if record.elapsed_ms is not None:
            self.answered += 1
            self.elapsed_ms += record.elapsed_ms
        if len(self.examples) < _EXAMPLES:
            self.examples.append(record.url)


class Timeline:
    """Counts by time, in steps that grow so that there are never many."""

    def __init__(self) -> None:
        self.width = 1
        self._counts = Counter[int]()

    def add(self, second: int) -> None:
        """Count one at that second."""
        self._counts[second // self.width] += 1
        while max(self._counts) - min(self._counts) >= _STEPS:
            self.width *= 2
            wider = Counter[int]()
            for step, n in self._counts.items():
                wider[step // 2] += n
            self._counts = wider

    @property
    def rates(self) -> list[float]:
        """Per second, step by step."""
        if not self._counts:
            return []
        return [self._counts[step] / self.width for step in range(min(self._counts), max(self._counts) + 1)]


class Tally:
    """What a report counts of the records."""

    def __init__(self) -> None:
        self.count = 0
        self.unreadable = ""
        self.first = self.last = 0
        self.seeds: list[str] = []
        self.speed = Timeline()
        self.hosts: dict[str, Row] = {}
        self.causes: dict[tuple[str, str], Row] = {}
        self.types, self.copied = Counter[str](), Counter[str]()
        self.depths, self.sizes, self.times = Counter[int](), Counter[int](), Counter[int]()

    def read(self, records: Iterable[Record]) -> None:
        """Count all *records*; those that cannot be read are named in `unreadable`."""
        try:
            for record in records:
                self.add(record)
        except FrontierError as error:
            self.unreadable = str(error)

    def add(self, record: Record) -> None:
        """Count one URL."""
        self.count += 1
        _row(self.hosts, urls.host(record.url)).add(record)
        self.depths[min(record.depth, _DEEPEST)] += 1
        if record.depth == 0 and record.via is None and len(self.seeds) < _EXAMPLES * 4:
            self.seeds.append(record.url)
        if record.outcome.startswith("failed:"):
            _row(self.causes, (record.outcome, cause(record)), (record.outcome, _OTHERS)).add(record)
        if record.duplicate_of is not None:
            _count(self.copied, record.duplicate_of)
        if record.size is not None:
            self.sizes[bisect_right(_SIZES, record.size)] += 1
            _count(self.types, (record.content_type or "unknown").partition(";")[0].strip().lower()[:80])
        if record.elapsed_ms is not None:
            self.times[bisect_right(_TIMES, record.elapsed_ms)] += 1
        if record.fetched_at is not None:
            with suppress(ValueError, OverflowError):  # Redis is an input
                self._at(int(datetime.fromisoformat(record.fetched_at).timestamp()))

    def _at(self, second: int) -> None:
        self.speed.add(second)
        self.first = min(self.first or second, second)
        self.last = max(self.last, second)


def _row(rows: dict[Any, Row], key: Any, others: Any = _OTHERS) -> Row:
    return rows.setdefault(key if key in rows or len(rows) < _KEPT else others, Row())


def _count(counter: Counter[str], key: str) -> None:
    counter[key if key in counter or len(counter) < _KEPT else _OTHERS] += 1


def _ranges(bounds: Sequence[int], counts: Counter[int], shown: Callable[[int], str]) -> list[tuple[str, int]]:
    """A histogram: its ranges in words, and the counts."""
    words = [
        f"under {shown(bounds[0])}",
        *(f"to {shown(bound)}" for bound in bounds[1:]),
        f"{shown(bounds[-1])} and more",
    ]
    return [(word, counts[n]) for n, word in enumerate(words)]


def _depths(counts: Counter[int]) -> list[tuple[str, int]]:
    deepest = max(counts, default=0)
    return [(f"{n}{' and more' if n == _DEEPEST else ''}", counts[n]) for n in range(deepest + 1)]


def _changed(settings: Settings) -> list[tuple[str, str]]:
    """The settings of the crawl that are not the defaults."""
    defaults = Settings()
    names = [name for name, meta in TABLE.items() if meta.kind is not Kind.PROCESS and not meta.secret]
    found = [(name, getattr(settings, name)) for name in names]
    return [(option_name(name), format_value(name, value)) for name, value in found if value != getattr(defaults, name)]


def _troubles(rows: Sequence[HostRow]) -> dict[str, str]:
    """What is wrong with a host now, in words."""
    found = {row.host: row.trouble.text for row in rows if row.trouble is not None}
    return found | {row.host: "blocked" for row in rows if row.blocked}


def render(frontier: Frontier, settings: Settings, now: float) -> str:
    """The report of a crawl as HTML; *now* is in seconds since the epoch."""
    status, tally = Monitor(frontier).look(), Tally()
    tally.read(read(frontier.crawldb.records))
    troubles = _troubles(list(frontier.crawldb.hosts.all()))
    for host in troubles:  # also those of which no URL has ended yet
        _row(tally.hosts, host)
    style = "".join((PAGES / name).read_text(encoding="utf-8") for name in ("base.css", "report.css"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html")
        .render(
            **_numbers(status, tally),
            style=Markup(style),
            style_digest=digest,
            troubles=troubles,
            settings=_changed(settings),
            made=rfc3339(now),
        )
    )


def _numbers(status: Status, tally: Tally) -> dict[str, Any]:
    seconds = max(tally.last - tally.first, 1)
    return {
        "status": status,
        "tally": tally,
        "seconds": seconds,
        "mean": tally.count / seconds,
        "hosts": sorted(tally.hosts.items(), key=lambda item: -item[1].ended)[:100],
        "causes": sorted(tally.causes.items(), key=lambda item: -item[1].ended)[:100],
        "sizes": _ranges(_SIZES, tally.sizes, size),
        "times": _ranges(_TIMES, tally.times, lambda ms: f"{ms / 1000:g} s"),
        "depths": _depths(tally.depths),
    }


def _environment() -> Environment:
    """Templates in which everything is escaped, and characters that hide or reorder text are shown."""
    made = Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    made.filters |= {"size": size, "clock": clock, "when": rfc3339, "number": lambda n: f"{n:,}"}
    return made
