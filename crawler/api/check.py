"""A check as a method of `Crawl`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from crawler.api.access import Access
from crawler.api.rows import several
from crawler.check.report import ReportOptions
from crawler.check.run import begin, findings, refuse_other
from crawler.check.selection import Selection
from crawler.check.source import Source
from crawler.crawl.signals import forget
from crawler.crawl.supervisor import Ended, Way
from crawler.errors import UsageError
from crawler.findings import Finding
from crawler.frontier.frontier import Frontier
from crawler.keywords import Number, Strings
from crawler.text import did_you_mean
from crawler.units import duration, size


class CheckOptions(TypedDict, total=False):
    """See `Crawl.check`."""

    only: Strings
    """Codes, severities, patterns of URLs: only these findings."""
    ignore: Strings
    """Without these."""
    slow: Number
    """Pages that take longer than this: "3s", or seconds."""
    large: Number
    """Pages that are larger than this: "5MiB", or bytes."""
    base: str
    """The URL that the folder will have."""


def checked(
    access: Access, options: CheckOptions, stops: Callable[[], int], work: Callable[[Frontier, Way], Ended]
) -> list[Finding]:
    """Check what *access* names; *work* runs the workers. What is found, also where it was stopped."""
    selection, report = _read(options)
    source = Source.of(access.purpose.sources, access.purpose.sitemaps, options.get("base", ""))
    with source.served(source.settings_of(access.loaded)) as loaded, access.instead(loaded) as session:
        refuse_other(session, source)
        forget()
        begun = begin(session, source, add=access.purpose.add, stopped=lambda: stops() > 0)
        if not begun.is_done:
            work(begun.frontier, Way(sweep=begun.sweep)).refuse_stuck()
        return selection.apply(findings(session, begun.frontier, source, report))


def _read(options: CheckOptions) -> tuple[Selection, ReportOptions]:
    """What *options* ask for. UsageError for what cannot be used."""
    for name in options:
        if name not in CheckOptions.__annotations__:
            known = did_you_mean(name, CheckOptions.__annotations__, "docs/check.md lists them")
            raise UsageError(f"{name!r} is no option of a check: {known}")
    try:
        slow, large = duration(str(options.get("slow", 3.0))), size(str(options.get("large", "5MiB")))
    except ValueError as error:
        raise UsageError(f"slow or large cannot be used: {error}") from None
    selection = Selection.of(several(options.get("only", ())), several(options.get("ignore", ())))
    return selection, ReportOptions(slow=slow, large=large)
