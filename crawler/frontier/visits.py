"""Visiting URLs again: the verbs that begin a visit, that queue what is due, and the lease of the one who looks for it.

What is due is read from the states of URLs that have ended (see url_state.py), by `crawl/sweep.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from crawler.frontier import replies
from crawler.frontier.decode import number
from crawler.frontier.redis.connection import Call
from crawler.frontier.shards.outbox import NORMAL
from crawler.frontier.shards.shard import Shard
from crawler.record import Request
from crawler.url_state import UrlState, id_bytes

MAX_REVISITED: Final = 500
"""URLs that one call of `revisit` takes."""
CONTINUES: Final = 86_400.0
"""Seconds for which a sweep that was interrupted can be continued."""
SITEMAPS, PAGES, ALL, DONE = range(4)
"""A sweep looks at all states for sitemaps, then for what is none; where there are no sitemaps once, for all."""
END: Final = "end"
"""The cursor of a sweep that has looked at all states."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A URL that has ended: its id, its state as it is stored, and the same decoded."""

    id: str
    raw: bytes
    state: UrlState

    def request(self, lastmod: int | None = None) -> Request:
        """The request that visits it again."""
        it = self.state
        return Request(it.url, it.depth, it.hops, it.via, it.sitemap, lastmod, revisit=True, target=it.is_target)


@dataclass(frozen=True, slots=True)
class SweepState:
    """What is known of the crawl's latest sweep."""

    owner: str = ""
    """Who has its lease; empty: nobody."""
    began: int = 0
    """When it began, in ms of the server's clock; 0: there was none."""
    choice: str = ""
    """Which URLs it takes, in words."""
    cursor: str = ""
    """How far it is; END: it has looked at all states."""
    queued: int = 0
    """URLs that it has queued."""
    visit: int = 0
    """The visit that it has begun; 0: it has queued nothing yet."""
    is_mine: bool = False
    """The caller has its lease."""

    @property
    def is_over(self) -> bool:
        """It has looked at all states."""
        return self.cursor == END

    def place(self, shards: int) -> tuple[int, int, int]:
        """Phase, shard and bucket that it comes to next; the first ones of a cursor that is none."""
        parts = [number(part) for part in self.cursor.split(".")]
        if len(parts) == 3 and 0 <= parts[0] < DONE and 0 <= parts[1] < shards and parts[2] >= 0:
            return parts[0], parts[1], parts[2]
        return 0, 0, 0

    def share(self, shards: int, buckets: int) -> float:
        """The share of the states that it has looked at, with so many *buckets* of each shard."""
        phase, shard, bucket = self.place(shards)
        share = (shard + min(bucket / buckets, 1.0)) / shards
        return 1.0 if self.is_over else share if phase == ALL else (phase + share) / 2


@dataclass(frozen=True, slots=True)
class Visit:
    """The latest visit of the crawl, and the sweep that queues, or queued, what it visits again."""

    number: int
    """1: the first one."""
    began_ms: int
    """When it began (server's clock)."""
    sweep: SweepState


def revisit(shard: Shard, due: Sequence[tuple[Ended, Request]]) -> Call[tuple[int, tuple[str, ...]]]:
    """Queue URLs of this shard that have ended, if their states are still as they were read.

    At most MAX_REVISITED a call. The result is how many there were, and the hosts whose tail is to be packed. Refused
    with OutOfMemory when Redis is full: nothing was queued then.
    """
    if len(due) > MAX_REVISITED:
        raise ValueError(f"{len(due)} URLs in one call: at most {MAX_REVISITED}, more go into further calls")
    groups: dict[tuple[str, int], list[str | bytes | int]] = {}
    keys: dict[tuple[str, int], list[str]] = {}
    for one, request in due:
        host, entry = request.place()
        queue = host, 0 if request.sitemap else NORMAL
        groups.setdefault(queue, []).extend((one.id, id_bytes(one.id), one.state.outcome, one.raw, entry))
        keys.setdefault(queue, []).append(shard.keys.ended(one.id))
    args: list[str | bytes | int] = [len(groups)]
    for queue, items in groups.items():
        args += *queue, len(keys[queue]), *items
    return shard.call("revisit", _revisited, keys=[key for own in keys.values() for key in own], rest=args)


def _revisited(reply: list[Any]) -> tuple[int, tuple[str, ...]]:
    queued, long = replies.ok(reply)[1:3]
    return int(queued), tuple(host.decode() for host in long)


def begin_visit(shard: Shard, visit: int, max_time: float | None) -> Call[Any]:
    """The visit of this number begins, with a limit of *max_time* seconds; nothing happens if it has begun."""
    limit = "" if max_time is None else round(max_time * 1000)
    return shard.call("begin_visit", replies.ok, visit=visit, max_time_ms=limit)


def sweep(shard: Shard, mine: SweepState, term: float, over: int = 0) -> Call[SweepState]:
    """Take the lease of the sweeper for *term* seconds; or keep it, with how far *mine* is now; 0 gives it up.

    One that has not begun takes it, and gets the sweep that another one has, or did not end, or a new one (see
    sweep.lua). *over*: when a sweep began that is not to be continued. The lease may not be the caller's any more.
    """
    return shard.call(
        "sweep",
        _swept,
        owner=mine.owner,
        term_ms=round(term * 1000),
        choice=mine.choice,
        continues_ms=round(CONTINUES * 1000),
        over=over or "",
        began=mine.began or "",
        cursor=mine.cursor,
        queued=mine.queued,
        visit=mine.visit,
    )


def _swept(reply: list[Any]) -> SweepState:
    is_mine, *facts = replies.ok(reply)[1:8]
    return sweep_of(facts, is_mine=bool(is_mine))


SWEEP_FIELDS: Final = ("owner", "began", "choice", "cursor", "queued", "visit")


def sweep_of(facts: Sequence[bytes | None], *, is_mine: bool = False) -> SweepState:
    """From what the fields SWEEP_FIELDS have."""
    owner, began, choice, cursor, queued, visit = (fact or b"" for fact in facts)
    words = (word.decode("utf-8", "replace") for word in (owner, choice, cursor))
    (who, what, where), numbers = words, [max(number(n), 0) for n in (began, queued, visit)]
    return SweepState(who, numbers[0], what, where, numbers[1], numbers[2], is_mine)
