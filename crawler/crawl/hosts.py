"""The hosts of a crawl as users list them, and settings for single hosts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, cast, get_args

from crawler.errors import UsageError
from crawler.frontier import blocks
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.host_facts import HostRow
from crawler.frontier.messages import OfHost
from crawler.text import option_name

SORTS: Final[dict[str, Callable[[HostRow], Any]]] = {
    "queued": lambda row: -row.queued,
    "done": lambda row: -row.done,
    "errors": lambda row: -row.errors,
    "latency": lambda row: -row.latency_ms,
    "due": lambda row: row.due_in_ms,
    "name": lambda row: row.host,
}
"""How a list of hosts may be sorted: what comes first."""


def listed(
    crawldb: CrawlDb, match: str, *, failing: bool, blocked: bool, sort: str, limit: int | None = None
) -> list[HostRow]:
    """The hosts whose names match the glob *match* (empty: all), or only those that fail, or are blocked."""
    if sort not in SORTS:
        raise UsageError(f"sort: {sort!r} is not one of {', '.join(SORTS)}")
    rows = [row for row in crawldb.hosts.all(match) if (row.trouble or not failing) and (row.blocked or not blocked)]
    return list(islice(sorted(rows, key=SORTS[sort]), limit))


def check_of_host(key: str) -> OfHost:
    """*key* as a setting that single hosts can have. UsageError for another one."""
    if key not in get_args(OfHost):
        possible = ", ".join(map(option_name, get_args(OfHost)))
        raise UsageError(f"{option_name(key)} is a setting of the whole crawl: --host is for {possible}")
    return cast(OfHost, key)


def set_for(frontier: Frontier, key: str, value: Any, names: Sequence[str]) -> int:
    """Set *key* to *value* for hosts alone; None: as the crawl's. Returns how many known hosts that concerns."""
    stored = "" if value is None else f"{round(value * 1000) if key == 'delay' else value}"
    return blocks.set_for(frontier, list(map(blocks.name_of, names)), check_of_host(key), stored)
