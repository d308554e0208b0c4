"""One worker's client for all shards of its crawl: a ShardClient for each, which take turns to lease.

Shards on separate servers fail separately: while one is away the worker continues with the others.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from crawler import url as urls
from crawler.errors import RedisAway
from crawler.frontier.frontier import Frontier
from crawler.frontier.keys import shard_of
from crawler.frontier.messages import NO_SHARES, CrawlState, Leased, Shares
from crawler.frontier.redis.connection import Backoff, Connection
from crawler.frontier.shards.relay import Relay
from crawler.frontier.verbs import shard_of_token
from crawler.parse.page import Page
from crawler.worker.pending_call import PendingCall
from crawler.worker.shard_client import NOTHING_LOST, Caller, ShardClient, SyncResult

LEFT_ALONE: Final = 0.25
"""Calls that need an absent shard are tried again after these seconds."""
COUNT_AGAIN: Final = 0.25
UNLIMITED: Final = 5.0
"""Seconds between counts of all shards' pages: while the crawl has a page limit, and while it has none."""


class FrontierClient:
    """All traffic between a worker and its frontier, of one shard or many."""

    def __init__(self, frontier: Frontier, caller: Caller, backoff: Backoff) -> None:
        self._frontier, self._caller = frontier, caller
        backoffs: dict[Connection, Backoff] = {}
        self._each: list[ShardClient] = []
        for shard in frontier.shards:
            own = backoffs.setdefault(shard.connection, backoff.another() if backoffs else backoff)
            relay = Relay(shard, frontier.shards, caller.name) if len(frontier.shards) > 1 else None
            self._each.append(ShardClient(shard, caller, own, relay=relay))
        self._apart = len(backoffs) > 1
        """Whether shards are on separate servers, which fail separately."""
        self._left_alone_until = 0.0
        self._left: int | None = None
        """How many more pages may be leased, by the last count."""
        self._state: CrawlState | None = None
        self._count_at = 0.0
        self._waited_at = frontier.shards[0]

    # -- when ----------------------------------------------------------------------------------------------------------

    @property
    def away(self) -> bool:
        """Redis did not answer last time: start nothing that may need it."""
        return time.monotonic() < self._left_alone_until if self._apart else self._each[0].away

    @property
    def pending(self) -> bool:
        """Whether outcomes are waiting to be acknowledged."""
        return any(client.pending for client in self._each)

    @property
    def held_up(self) -> bool:
        """Redis is away, or all waiting outcomes need Redis or free memory in it."""
        return self.away or (self.pending and self.due_at() > time.monotonic())

    def due_at(self) -> float:
        """When something next has to be sent, on the monotonic clock; leases aside."""
        due = min(client.due_at() for client in self._each)
        return self._left_alone_until if self._apart and self.away else due

    @property
    def lease_at(self) -> float:
        """When a lease is next possible, or worth asking for."""
        return min((client.lease_at for client in self._each if not client.away), default=float("inf"))

    @property
    def may_lease(self) -> bool:
        """Whether a lease may be available: a page has ended, or it is time to ask."""
        now = time.monotonic()
        return any(self._may_lease(client, now) for client in self._each)

    @staticmethod
    def _may_lease(client: ShardClient, now: float) -> bool:
        return not client.away and (bool(client.pending) or client.lease_at <= now)

    def failed(self, error: RedisAway) -> None:
        """Redis did not answer a question asked outside `sync`."""
        if self._apart:
            self._left_alone_until = time.monotonic() + LEFT_ALONE
        else:
            self._each[0].failed(error)

    # -- what ----------------------------------------------------------------------------------------------------------

    def submit_call(self, pending: PendingCall) -> None:
        """Send this call with the next sync, to the shard that gave the lease."""
        self._each[shard_of_token(pending.token)].pending.append(pending)

    def sample(self, url: str, page: Page) -> None:
        """A page was read: sample it for the shard of its template."""
        self._each[shard_of(urls.host(url), len(self._each))].sampler.page(url, page)

    def set_term(self, term: float) -> None:
        """Set the term of future leases, in seconds."""
        self._caller.term = term

    @property
    def not_ours(self) -> int:
        """Commits that came too late: their leases had been given to others."""
        return sum(client.not_ours for client in self._each)

    @property
    def revisions(self) -> tuple[int, ...]:
        """The latest known revisions of settings, roots and traps: each grows with a change in any shard."""
        return tuple(sum(part) for part in zip(*(client.revisions for client in self._each), strict=True))

    def sync(self, want: Shares, held: Sequence[str], heartbeat: Callable[[], bytes]) -> SyncResult:
        """Send each shard what is due, and ask one of them for leases (see `ShardClient.sync`)."""
        if len(self._each) == 1:
            return self._each[0].sync(want, held, heartbeat)
        now = time.monotonic()
        left = self._count(now) if want else None
        chosen = self._next(now) if want and left != 0 else None
        want = want if left is None else want.at_most(left)
        tokens: list[list[str]] = [[] for _ in self._each]
        for token in held:
            tokens[shard_of_token(token)].append(token)
        lost, leased = NOTHING_LOST, self._spent() if left == 0 else None
        for client, own in zip(self._each, tokens, strict=True):
            synced = client.sync(want if client is chosen else NO_SHARES, own, heartbeat)
            lost |= synced.lost
            if synced.leased is not None:  # also from another shard, whose reply had been missed
                more = leased.leases if leased is not None else ()
                leased = msgspec.structs.replace(synced.leased, leases=[*more, *synced.leased.leases])
        if leased is not None and self._left is not None:
            self._left = max(self._left - len(leased.leases), 0)
        return SyncResult(leased, lost)

    def _next(self, now: float) -> ShardClient | None:
        """The shard whose turn it is to be asked for leases."""
        ready = [client for client in self._each if self._may_lease(client, now)]
        return min(ready, key=lambda client: client.asked_at, default=None)

    def _count(self, now: float) -> int | None:
        """How many more pages may be leased, over all shards; None: any number. Counted every few seconds."""
        if now >= self._count_at:
            try:
                self._state = state = self._frontier.state()
            except RedisAway:  # an absent shard: its own sync reports that
                self._count_at = now + COUNT_AGAIN
            else:
                limited = state.max_pages is not None
                self._left = max((state.max_pages or 0) - state.fetched - state.leased, 0) if limited else None
                self._count_at = now + (COUNT_AGAIN if limited else UNLIMITED)
        return self._left

    def _spent(self) -> Leased:
        """The reply to use instead of leasing, once the last pages within the limit are in flight or have ended."""
        state = self._state or self._frontier.state()
        for client in self._each:
            client.lease_at = self._count_at
        status = "LIMIT" if state.spent else "OK"
        counts = state.accepted, state.queued, state.leased, state.ended, state.sources, state.pending
        return Leased([], status, (), round(COUNT_AGAIN * 1000), *counts, *self.revisions)  # type: ignore[arg-type]

    # -- when nothing is given -----------------------------------------------------------------------------------------

    def is_done(self, leased: Leased) -> bool:
        """Whether no shard has work left, after a reply without leases."""
        asked = max(self._each, key=lambda client: client.asked_at)
        if not asked.is_done(leased):
            return False
        if len(self._each) == 1:
            return True
        try:
            return all(client.idle for client in self._each) and self._frontier.done()
        except RedisAway:
            return False

    def wait(self, seconds: float) -> None:
        """Block for at most *seconds* until one of the shards hints that a host became ready."""
        self._waited_at = random.choice(self._frontier.shards)
        self._waited_at.wait(seconds)

    def forget_waiting(self) -> None:
        """The wait was interrupted."""
        self._waited_at.connection.forget_waiting()

    def ask_now(self) -> None:
        """Ask each shard for leases in the next turns."""
        for client in self._each:
            client.lease_at = 0.0

    def leave(self, held: Sequence[str]) -> None:
        """Sign off from each shard (see `ShardClient.leave`). Raises RedisAway, at the end, if one did not answer."""
        missed: RedisAway | None = None
        for shard, client in enumerate(self._each):
            try:
                client.leave([token for token in held if shard_of_token(token) == shard])
            except RedisAway as error:
                missed = error
        if missed is not None:
            raise missed
