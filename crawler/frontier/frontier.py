"""The frontier of one crawl: all its shards, of which most crawls have one.

What concerns a lease, a URL or a host goes to its shard, the rest to all of them. The first shard decides: it is made
first and taken away last, and a client that finds another one missing makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from crawler.errors import DamagedCrawl, NoCrawl
from crawler.frontier import overflow, verbs
from crawler.frontier.crawldb import CrawlDb, grouped
from crawler.frontier.host_facts import HostFacts
from crawler.frontier.identity import Identity, shards_known
from crawler.frontier.keys import Keys, shard_of
from crawler.frontier.messages import Accepted, CrawlState, Exported, Limits
from crawler.frontier.redis.connection import Call, Connection
from crawler.frontier.scripts import NEVER, SERVER_CLOCK
from crawler.frontier.seen import set_size
from crawler.frontier.shards.crawldb import ShardDb
from crawler.frontier.shards.reader import Reader
from crawler.frontier.shards.shard import Shard
from crawler.record import Request
from crawler.url import Form

_OWN: Final = (
    "generation",
    "state",
    "created_ms",
    "ips_used",
    "crowds",
    "full_site",
    "slow_pages",
    "blocks",
    "host_settings",
    "visit_ms",
)
"""Fields of `meta` that each shard has for itself."""


class Frontier:
    """All shards of the generation of a crawl that was found or made."""

    def __init__(self, connection: Connection, crawl: str, identity: Identity, *, clock: str = SERVER_CLOCK) -> None:
        """*connection* may be to any server of a cluster."""
        self.connection, self.crawl, self.identity, self.clock = connection, crawl, identity, clock
        self.generation, self.form = identity.generation, identity.form
        self.crawldb = CrawlDb(connection, crawl, identity.shards)
        self.shards = [Shard(connection, crawl, identity, n, clock=clock) for n in range(identity.shards)]

    # -- making and finding a crawl ------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        connection: Connection,
        crawl: str,
        identity: Identity,
        settings: bytes,
        limits: Limits,
        *,
        clock: str = SERVER_CLOCK,
    ) -> Frontier:
        """Make a crawl; CrawlExists if its name is taken. *settings* is all of them, as JSON."""
        frontier = cls(connection, crawl, identity, clock=clock)
        facts = limits.fields() | {"seen_set": str(set_size(connection))}
        meta = {"settings": settings} | {name: value.encode() for name, value in facts.items()}
        first = frontier.shards[0]
        first.ask(verbs.create(first, meta))
        frontier._complete()
        return frontier

    @classmethod
    def find(cls, connection: Connection, crawl: str, *, older: bool = False, clock: str = SERVER_CLOCK) -> Frontier:
        """The crawl of that name; with *older* to be read alone. Raises NoCrawl, DamagedCrawl (see `Identity.read`)."""
        frontier = cls(connection, crawl, Identity.read(connection, crawl, older=older), clock=clock)
        first = frontier.shards[0]
        if len(frontier.shards) > 1 and not older and first.ask(verbs.state(first)).state != "deleting":
            frontier._complete()
        return frontier

    def _complete(self) -> None:
        """Make the shards that are missing."""
        meta: dict[str, bytes] | None = None
        for shard in self.shards[1:]:
            (found,) = shard.read(("HGET", shard.keys.meta, "generation"))
            if found is not None and found.decode("latin-1") == self.identity.generation:
                continue
            if found is not None:  # left from a crawl of this name that is no more
                ShardDb(shard).sweep()
            meta = meta or ShardDb(self.shards[0]).meta()
            copied = {name: value for name, value in meta.items() if name not in _OWN and not name.endswith("_rev")}
            shard.ask(verbs.create(shard, copied))

    def on(self, connection: Connection) -> Frontier:
        """The same crawl by another connection."""
        return Frontier(connection, self.crawl, self.identity, clock=self.clock)

    # -- which shard ---------------------------------------------------------------------------------------------------

    def at(self, token: str) -> Shard:
        """The shard that a lease is of; any for what is no token of this crawl, which no shard holds."""
        return self.shards[verbs.shard_of_token(token) % len(self.shards)]

    def home(self, host: str) -> Shard:
        """The shard in which a host lives; also that of a root or a template, which begins with one."""
        return self.shards[shard_of(host, len(self.shards))]

    def id(self, url: str) -> str:
        """The id of a canonical URL in this crawl, the same for all spellings that its form takes for one."""
        return self.shards[0].id(url)

    def _by_host(self, requests: Sequence[Request]) -> dict[Shard, list[Request]]:
        if len(self.shards) == 1:
            return {self.shards[0]: list(requests)}
        return grouped(requests, lambda request: self.home(request.place()[0]))

    # -- seeding -------------------------------------------------------------------------------------------------------

    def open(self, source: str, term: float) -> None:
        """Say that *source* is seeding: the crawl is not done for *term* seconds, or until `close`."""
        self._all(lambda shard: verbs.open(shard, source, term))

    def close(self, source: str) -> None:
        """*source* has put all it had."""
        self._all(lambda shard: verbs.close(shard, source))

    def put(
        self, requests: Sequence[Request], *, source: str = "", term: float = 60.0, roots: Sequence[str] = ()
    ) -> Accepted:
        """Put each request into its shard, and each root into its own. Raises OutOfMemory: repeat all then."""
        accepted = Accepted()
        by_shard, of_roots = self._by_host(requests), grouped(roots, self.home)
        for shard in self.shards:
            mine, theirs = by_shard.get(shard, ()), of_roots.get(shard, ())
            if mine or theirs:
                more = shard.ask(verbs.put(shard, mine, source=source, term=term, roots=theirs))
                counts = accepted.new + more.new, accepted.seen + more.seen, accepted.over_budget + more.over_budget
                accepted = Accepted(*counts, long=[*accepted.long, *more.long])
            elif source:
                shard.ask(verbs.open(shard, source, term))
        return accepted

    def compact(self, long: Iterable[str], say: Callable[[str], None]) -> None:
        """Pack the tails of the hosts in *long* (see `overflow.compact`)."""
        for shard, hosts in grouped(long, self.home).items():
            overflow.compact(shard, hosts, (), say)

    # -- leases and what has ended -------------------------------------------------------------------------------------

    def release(self, tokens: Sequence[str]) -> int:
        """Give leases back unused; how many were still held."""
        return sum(shard.ask(verbs.release(shard, own)) for shard, own in grouped(tokens, self.at).items())

    def revive(self, requests: Sequence[Request], latest: int = NEVER) -> int:
        """Put dead letters back into their queues; how many there were."""
        return sum(shard.ask(verbs.revive(shard, own, latest)) for shard, own in self._by_host(requests).items())

    def drain(self, exported: Sequence[Exported]) -> int:
        """Free records that were exported; how many there were."""
        by_shard = grouped(exported, lambda one: self.shards[one.shard])
        return sum(shard.ask(verbs.drain(shard, own)) for shard, own in by_shard.items())

    # -- the crawl as a whole ------------------------------------------------------------------------------------------

    def configure(self, settings: bytes, limits: Limits, max_time: float | str | None = "-") -> None:
        """Change settings; *max_time* in seconds from now, None for no limit, "-" to leave it."""
        self._all(lambda shard: verbs.configure(shard, settings, limits, max_time))

    def state(self) -> CrawlState:
        """What the crawl is at: the sums, and the gravest word. Of a shard that is gone: NoCrawl."""
        states = self._states()
        if len(states) == 1:
            return states[0]
        words = [state.state for state in states]
        waits = [state.wait_ms for state in states if state.wait_ms >= 0]
        sums = ("accepted", "queued", "leased", "ended", "pending", "fetched", "held")
        whole = CrawlState(
            "running",
            **{name: sum(getattr(state, name) for state in states) for name in sums},
            sources=max(state.sources for state in states),
            wait_ms=min(waits, default=-1),
            odd=any(state.odd for state in states),
            max_pages=states[0].max_pages,
        )
        if "deleting" in words or "paused" in words:
            return replace(whole, state="deleting" if "deleting" in words else "paused")
        return replace(whole, state="limit") if ("limit" in words or whole.spent) and not whole.leased else whole

    def _states(self) -> list[CrawlState]:
        return [shard.ask(verbs.state(shard)) for shard in self.shards]

    def explain(self, host: str) -> HostFacts:
        """The state of *host*, and how the rules judge it now. The empty name is a host that the crawl has not met."""
        home = self.home(host)
        return home.ask(verbs.explain(home, host))

    def done(self) -> bool:
        """Nothing is left to do in any shard: read twice, so that a URL between two places is not missed."""
        first = self._idle_at()
        return first is not None and first == self._idle_at()

    def _idle_at(self) -> list[int] | None:
        states = self._states()
        return [state.accepted for state in states] if all(state.idle for state in states) else None

    def pause(self) -> None:
        """Hand out nothing more until `resume`; what is in flight ends."""
        self._all(verbs.pause)

    def resume(self) -> None:
        """Hand out URLs again."""
        self._all(verbs.resume)

    def delete(self) -> None:
        """Refuse all from now on; `CrawlDb.sweep` then takes the keys away."""
        for shard in self.shards:
            with suppress(*([NoCrawl] if shard.number else [])):
                shard.ask(verbs.delete(shard))

    def _all(self, call: Callable[[Shard], Call[Any]]) -> None:
        for shard in self.shards:
            shard.ask(call(shard))


def delete(connection: Connection, crawl: str) -> int:
    """Delete a crawl and all that it stored, whatever its version, even if it is damaged; returns the number of keys.

    Raises NoCrawl if there is none.
    """
    with suppress(DamagedCrawl):
        Identity.read(connection, crawl)
    count = shards_known(connection, crawl)
    for number in range(count):
        _condemn(Reader(connection, Keys(crawl, number, count)), number, count)
    return CrawlDb(connection, crawl, count).sweep()


def _condemn(found: Reader, number: int, count: int) -> None:
    """Have a shard refuse all from now on, if its generation can be read."""
    with suppress(DamagedCrawl, NoCrawl):
        (generation,) = found.read(("HGET", found.keys.meta, "generation"))
        identity = Identity((generation or b"").decode("latin-1"), b"", Form(), count)
        shard = Shard(found.connection, found.keys.crawl, identity, number)
        shard.ask(verbs.delete(shard))
