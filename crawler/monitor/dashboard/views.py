"""What the dashboard's pages show, as plain values: hosts, failures, workers, settings. All lists are bounded."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from typing import Any, Final

from crawler.crawl.hosts import SORTS
from crawler.errors import UsageError
from crawler.frontier.frontier import Frontier
from crawler.frontier.host_facts import HostRow
from crawler.frontier.shards.records import Letter
from crawler.monitor.explain import explain
from crawler.monitor.screen import cause
from crawler.settings import TABLE, Kind, Settings, format_value
from crawler.text import option_name

_HOSTS, _LETTERS, _CAUSES, _WORKERS = 200, 1_000, 100, 500
_LEAST_AGE: Final = 3.0
"""Seconds for which a list of all hosts is used again."""
_SHARE: Final = 20
"""Listing all hosts takes at most one of so many seconds."""
_OF_WORKER: Final = ("pages", "bytes", "errors", "retried", "in_flight", "limit", "trouble", "lack")
NOT_HERE: Final = ("include", "exclude", "allow_private", "insecure", "ignore_robots", "user_agent")
"""Settings that only `crawler set` changes: patterns, and what protects this machine or others."""


class Views:
    """The lists of one crawl."""

    def __init__(self) -> None:
        self._rows: list[HostRow] = []
        self._until = 0.0

    def hosts(self, frontier: Frontier, sort: str, which: str) -> dict[str, Any]:
        """The first hosts by *sort*, of all, of those that are failing, or of the blocked ones."""
        if sort not in SORTS or which not in ("all", "failing", "blocked"):
            raise UsageError("there is no such list of hosts")
        rows = self._all(frontier)
        chosen = [row for row in rows if which == "all" or (row.blocked if which == "blocked" else row.trouble)]
        return {
            "total": len(chosen),
            "rows": [asdict(row) for row in sorted(chosen, key=SORTS[sort])[:_HOSTS]],
            "blocked": frontier.crawldb.hosts.blocked()[:_HOSTS],
        }

    def changed(self) -> None:
        """Hosts have changed: read them again."""
        self._until = 0.0

    def _all(self, frontier: Frontier) -> list[HostRow]:
        began = time.monotonic()
        if began >= self._until:
            self._rows = list(frontier.crawldb.hosts.all())
            ended = time.monotonic()
            self._until = ended + max(_LEAST_AGE, _SHARE * (ended - began))
        return self._rows

    def failures(self, frontier: Frontier) -> dict[str, Any]:
        """The causes of the latest failures, and what is wrong with hosts now."""
        latest = frontier.crawldb.records.latest(_LETTERS)
        letters = [one for one in latest if one.record is None or one.record.outcome.startswith("failed:")]
        failing = [row for row in self._all(frontier) if row.trouble is not None]
        troubles = Counter((row.trouble.kind, row.trouble.text) for row in failing if row.trouble is not None)
        return {
            "causes": _causes(letters),
            "looked_at": len(letters),
            "troubles": [{"kind": kind, "text": text, "hosts": n} for (kind, text), n in troubles.most_common(_CAUSES)],
        }

    def workers(self, frontier: Frontier) -> dict[str, Any]:
        """The workers, and the numbers of their last heartbeats."""
        found = frontier.crawldb.workers()
        rows = [
            {"worker": one.worker, "age": round(one.age, 1)} | {name: one.facts.get(name) for name in _OF_WORKER}
            for one in found[:_WORKERS]
        ]
        return {"total": len(found), "rows": rows}

    def settings(self, frontier: Frontier) -> list[dict[str, Any]]:
        """The settings of the crawl, as a person writes them."""
        stored = Settings().with_stored(frontier.crawldb.settings())
        return [
            {
                "name": option_name(name),
                "value": format_value(name, getattr(stored, name)),
                "help": meta.help,
                "unit": meta.unit,
                "choices": meta.choices or (("yes", "no") if meta.switch else ()),
                "changeable": meta.kind is Kind.CHANGEABLE and name not in NOT_HERE,
            }
            for name, meta in TABLE.items()
            if meta.kind is not Kind.PROCESS
        ]

    def url(self, frontier: Frontier, given: str) -> dict[str, Any]:
        """All that is known of one URL."""
        settings = Settings().with_stored(frontier.crawldb.settings())
        found = explain(frontier, settings, given)
        return {"url": found.url, "state": found.state, "lines": found.lines()}


def _causes(letters: list[Letter]) -> list[dict[str, Any]]:
    """The causes of these dead letters, the most frequent first, each with its latest URL."""
    counts, latest = Counter[tuple[str, str]](), dict[tuple[str, str], Letter]()
    for letter in letters:
        record = letter.record
        found = ("unreadable", "") if record is None else (record.outcome, cause(record))
        counts[found] += 1
        latest.setdefault(found, letter)
    return [
        {
            **{"outcome": outcome, "error": error, "urls": n, "latest": latest[outcome, error].when},
            "url": record.url if (record := latest[outcome, error].record) else "",
        }
        for (outcome, error), n in counts.most_common(_CAUSES)
    ]
