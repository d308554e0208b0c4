"""A simulated year of a site whose pages change at known rates: how current copies are, and what that costs.

`make bench-schedule`. Nothing is fetched: the schedule of the crawler (`policy/schedule.py`) decides on 4,000 pages.
Most change at random, each at its own rate (a Poisson process); some regularly; some never. A copy is current from a
visit until the next change of its page. The schedules:

- weekly: each page every seven days
- adaptive: `--interval 7d` and the other settings as they are
- adaptive, at most daily: with `--min-interval 1d`
- adaptive with a sitemap: it is read once a day, and has the right `lastmod` of each page
- uniform: each page at one interval, with as many visits as the adaptive schedule makes
- best in hindsight: with as many visits, the rates known, divided so that the mean freshness is highest (Cho and
  Garcia-Molina, "Effective page refresh policies for Web crawlers", 2003). Pages that change too fast get none. A page
  that changes regularly is visited right after its changes.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import chart, targets
from crawler.policy.schedule import is_due, next_interval
from crawler.settings import Settings
from crawler.url_state import UrlState

DAY: Final = 86_400.0
YEAR: Final = 365 * DAY
SEEDS: Final = (1, 2, 3)
SETTINGS: Final = Settings()


@dataclass(frozen=True, slots=True)
class Kind:
    """Pages that change alike."""

    name: str
    pages: int
    every: float
    """Mean seconds between two changes; infinite: they never change."""
    is_regular: bool = False


KINDS: Final = (
    Kind("every 6 hours", 200, DAY / 4),
    Kind("every day", 400, DAY),
    Kind("every 4 days", 600, 4 * DAY),
    Kind("every 2 weeks", 800, 14 * DAY),
    Kind("every 2 months", 800, 60 * DAY),
    Kind("every day, regularly", 200, DAY, is_regular=True),
    Kind("every week, regularly", 200, 7 * DAY, is_regular=True),
    Kind("never", 800, math.inf),
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page, with the moments at which it changes within the year."""

    kind: Kind
    changes: Sequence[float]


Visits = Callable[[Page, random.Random], list[float]]
"""The moments at which a schedule visits a page; the first one is 0."""


@dataclass(slots=True)
class Sum:
    """Freshness and visits, added up over pages."""

    pages: int = 0
    fresh: float = 0.0
    """Seconds for which copies were current."""
    visits: int = 0

    def add(self, page: Page, visits: Sequence[float]) -> None:
        """Count the *visits* to a *page*."""
        self.pages += 1
        self.visits += len(visits) - 1  # the first one every schedule makes
        self.fresh += current(page.changes, visits)

    @property
    def freshness(self) -> float:
        """The share of the time for which copies were current."""
        return self.fresh / (self.pages * YEAR)

    @property
    def a_day(self) -> float:
        """Visits a day to 1,000 pages."""
        return self.visits / self.pages * 1000 / 365


# -- the site ----------------------------------------------------------------------------------------------------------


def pages_of(seed: int) -> list[Page]:
    """The pages of the site, and the year that they have."""
    dice = random.Random(seed)
    return [Page(kind, moments(kind, dice)) for kind in KINDS for _ in range(kind.pages)]


def moments(kind: Kind, dice: random.Random) -> list[float]:
    """When a page changes."""
    if math.isinf(kind.every):
        return []
    found: list[float] = []
    at = dice.uniform(0, kind.every) if kind.is_regular else dice.expovariate(1 / kind.every)
    while at < YEAR:
        found.append(at)
        at += kind.every if kind.is_regular else dice.expovariate(1 / kind.every)
    return found


def current(changes: Sequence[float], visits: Sequence[float]) -> float:
    """Seconds of the year for which the copy was that of the page."""
    fresh = 0.0
    for begin, end in zip(visits, [*visits[1:], YEAR], strict=True):
        n = bisect_right(changes, begin)
        fresh += min(end, changes[n] if n < len(changes) else YEAR) - begin
    return fresh


def evenly(interval: float, dice: random.Random) -> list[float]:
    """A first visit at 0, then one each *interval*, from a moment by chance on."""
    found, at = [0.0], dice.uniform(0, interval)
    while at < YEAR:
        found.append(at)
        at += interval
    return found


# -- schedules ---------------------------------------------------------------------------------------------------------


def weekly(_page: Page, dice: random.Random) -> list[float]:
    """Each page every seven days."""
    return evenly(7 * DAY, dice)


def adaptive(settings: Settings) -> Visits:
    """As the crawler does it."""

    def visits(page: Page, _dice: random.Random) -> list[float]:
        found, interval = [0.0], 0
        at = settings.interval
        while at < YEAR:
            interval = next_interval(interval, has_changed(page, found[-1], at), settings)
            found.append(at)
            at += interval
        return found

    return visits


def with_sitemap(page: Page, dice: random.Random) -> list[float]:
    """As the crawler does it where a sitemap, read once a day, names the last change of each page."""
    visits, interval = [0.0], 0
    offset = dice.uniform(0, DAY)
    for day in range(365):
        now = day * DAY + offset
        n = bisect_right(page.changes, now)
        lastmod = int(page.changes[n - 1]) if n else None
        state = UrlState(url="", outcome="fetched", first_seen=0, checked_at=int(visits[-1]), interval=interval)
        if is_due(state, int(now), SETTINGS, lastmod):
            interval = next_interval(interval, has_changed(page, visits[-1], now), SETTINGS)
            visits.append(now)
    return visits


def has_changed(page: Page, since: float, now: float) -> bool:
    """Whether a visit at *now* finds another content than that at *since*."""
    return bisect_right(page.changes, now) > bisect_right(page.changes, since)


def uniform(most: float) -> Visits:
    """Each page equally often, *most* visits to a page in the year."""
    return lambda _page, dice: evenly(YEAR / most, dice)


def best(most: float) -> Visits:
    """As fresh as can be with *most* visits to a page on average in the year, where the rates are known."""
    rates = shares(most * sum(kind.pages for kind in KINDS))

    def visits(page: Page, dice: random.Random) -> list[float]:
        rate = rates[page.kind.name]
        if not rate:
            return [0.0]
        if page.kind.is_regular:
            kept = rate * page.kind.every / YEAR  # of all changes, those that a visit follows
            return [0.0, *(at for at in page.changes if dice.random() < kept)]
        return evenly(YEAR / rate, dice)

    return visits


def shares(most: float) -> dict[str, float]:
    """How often in the year a page of each kind is visited, so that it is *most* visits in all.

    The gain of one more visit to a page is the same for all pages that are visited (a Lagrange multiplier, found by
    bisection).
    """

    def used(rates: dict[str, float]) -> float:
        return sum(kind.pages * rates[kind.name] for kind in KINDS)

    low, high = 0.0, YEAR
    for _ in range(100):
        gain = (low + high) / 2
        rates = {kind.name: rate_at(kind, gain) for kind in KINDS}
        low, high = (gain, high) if used(rates) > most else (low, gain)
    rates = {kind.name: rate_at(kind, high) for kind in KINDS}
    for kind in KINDS:  # the rest goes to regular pages, whose every visit gains the same
        if kind.is_regular and not rates[kind.name] and kind.every >= low:
            rates[kind.name] = min((most - used(rates)) / kind.pages, YEAR / kind.every)
    return rates


def rate_at(kind: Kind, gain: float) -> float:
    """Visits a year to a page of this *kind* at which one more makes it current for *gain* seconds longer."""
    if math.isinf(kind.every):
        return 0.0
    if kind.is_regular:  # each visit after a change makes it current for one period
        return YEAR / kind.every if kind.every > gain else 0.0
    low, high = 1e-3, 1e5
    if gain_of(kind, low) < gain:
        return 0.0
    for _ in range(100):
        rate = (low + high) / 2
        low, high = (rate, high) if gain_of(kind, rate) > gain else (low, rate)
    return low


def gain_of(kind: Kind, rate: float) -> float:
    """Seconds of freshness by one more visit a year: the derivative of (1 - exp(-x)) / x, x changes between visits."""
    x = YEAR / kind.every / rate
    return kind.every * (1 - math.exp(-x) * (1 + x))


# -- the report --------------------------------------------------------------------------------------------------------

Rows = dict[str, dict[str, Sum]]
"""Schedule -> kind of page, or "all" -> its sum."""


def simulate() -> Rows:
    """All schedules, over the same years."""
    found: Rows = {}
    found["weekly"] = run(weekly)
    found["adaptive"] = run(adaptive(SETTINGS))
    found["adaptive, at most daily"] = run(adaptive(Settings(min_interval=DAY)))
    found["adaptive, sitemap daily"] = run(with_sitemap)
    adapted, week = found["adaptive"]["all"], found["weekly"]["all"]
    most = adapted.visits / adapted.pages
    found["uniform, as many visits"] = run(uniform(most))
    found["best in hindsight"] = run(best(most))
    found["best with weekly's visits"] = run(best(week.visits / week.pages))
    return found


def run(visits: Visits) -> dict[str, Sum]:
    """One schedule, over the years of all SEEDS."""
    sums = {name: Sum() for name in ("all", *(kind.name for kind in KINDS))}
    for seed in SEEDS:
        dice = random.Random(seed)
        for page in pages_of(seed):
            moments_of_visits = visits(page, dice)
            for name in ("all", page.kind.name):
                sums[name].add(page, moments_of_visits)
    return sums


def table(rows: Rows) -> str:
    """Freshness and visits of all pages, then by kind of page, as Markdown."""
    lines = ["| schedule | current, % of the time | visits a day to 1,000 pages |", "|---|--:|--:|"]
    lines += [f"| {name} | {100 * row['all'].freshness:.1f} | {row['all'].a_day:,.0f} |" for name, row in rows.items()]
    shown = ("weekly", "adaptive", "adaptive, sitemap daily", "best in hindsight")
    lines += ["", f"| pages that change | {' | '.join(shown)} |", "|---|" + "--:|" * len(shown)]
    for kind in KINDS:
        sums = [rows[name][kind.name] for name in shown]
        lines.append(f"| {kind.name} | {' | '.join(f'{100 * s.freshness:.0f} % ({s.a_day:,.0f})' for s in sums)} |")
    return "\n".join(lines)


def picture(rows: Rows) -> str:
    """The first table as bars."""
    bars = [
        chart.Bars(
            name,
            (row["all"].freshness, row["all"].a_day),
            (f"{100 * row['all'].freshness:.1f} %", f"{row['all'].a_day:,.0f}"),
            is_ours=name.startswith("adaptive"),
        )
        for name, row in rows.items()
    ]
    pages = sum(kind.pages for kind in KINDS)
    heads = ("share of the time that copies are current", "visits a day to 1,000 pages")
    return chart.bars(f"{pages:,} pages in a simulated year", heads, bars, f"{len(SEEDS)} years by chance")


def main() -> int:
    """Simulate, print, and leave the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    targets.add_option(parser)
    folder = targets.folder(parser.parse_args(), whole=True)
    rows = simulate()
    text = table(rows)
    print(text)
    if folder is not None:
        figures = {name: row["all"].freshness for name, row in rows.items()}
        targets.write(folder, "schedule", f"{len(SEEDS)} years by chance, interval 7d", figures, text)
        (folder / "schedule.svg").write_text(picture(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
