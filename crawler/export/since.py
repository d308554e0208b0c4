"""Where an export of changes begins, `--changed-since`: at a time, a time ago, or with the latest visit.

    2026-11-01   2026-11-01T06:00:00+01:00   7d   last

Entries of `records` have the time of their commit in their ids, so a time is a place among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from crawler.errors import UsageError
from crawler.frontier import decode
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.shards.records import START
from crawler.text import rfc3339
from crawler.units import moment

LAST: Final = "last"
"""Since the latest visit began."""
_NEEDED: Final = "a date such as 2026-11-01 or 2026-11-01T06:00:00Z, a time ago such as 7d, or `last` is needed"
_MAX_SEQUENCE: Final = (1 << 64) - 1
"""The last entry of a millisecond: what is behind it is of the next one."""

When = str | date | timedelta
"""As a program names it; a datetime is a date."""


@dataclass(frozen=True, slots=True)
class Since:
    """A time as it was named. UsageError if it is none."""

    text: str

    def __post_init__(self) -> None:
        """Check it."""
        if self.text != LAST:
            self._moment(0)

    @classmethod
    def of(cls, when: When) -> Since:
        """A time as a program names it; without a zone it is UTC."""
        if isinstance(when, timedelta):
            return cls(f"{when.total_seconds():f}s")
        if isinstance(when, date):
            return cls(when.isoformat())
        if not isinstance(when, str):
            raise UsageError(f"changed_since={when!r:.100}: {_NEEDED}")
        return cls(when)

    def _moment(self, now: int) -> int:
        text = self.text.strip()
        try:
            found = moment(text, now)
        except ValueError:
            found = None
        if found is None or (text.isdecimal() and len(text) < len("20261101")):  # 2026 would be 2026 seconds ago
            raise UsageError(f"--changed-since {self.text!r}: {_NEEDED}")
        return found

    def is_all(self, crawldb: CrawlDb) -> bool:
        """Whether the crawl has nothing that is older."""
        return self.begins(crawldb) <= decode.number(crawldb.meta().get("created_ms"))

    def begins(self, crawldb: CrawlDb) -> int:
        """When that is, in ms of the server's clock. UsageError if it is in the future."""
        if self.text == LAST:
            return crawldb.began()[0]
        now = crawldb.clock()
        found = self._moment(now)
        if found > now:
            raise UsageError(f"--changed-since {self.text!r}: that is in the future, by the clock of Redis: {_NEEDED}")
        return found

    def cursor(self, crawldb: CrawlDb) -> str:
        """The cursor behind which the records of that time and later are."""
        times = crawldb.began() if self.text == LAST else [self.begins(crawldb)]
        return ",".join(START if begins <= 0 else f"{begins - 1}-{_MAX_SEQUENCE}" for begins in times)


def reached(cursor: str) -> str:
    """When the last record was committed that an export has read (RFC 3339, UTC); empty if it has read none."""
    last = max(decode.place(place)[0] for place in cursor.split(","))
    return rfc3339(last / 1000) if last else ""
