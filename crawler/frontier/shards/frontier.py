"""A crawl of several shards as one: what concerns a lease, a URL or a host goes to its shard, the rest to all of them.

`find`, `create` and `ledger_of` give what a crawl needs, whether it has one shard or many. The first shard is the one
that decides: it is made first and taken away last, and who finds another one missing makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from crawler.errors import NoCrawl
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import PLAIN, Frontier, shard_of_token
from crawler.frontier.identity import Identity
from crawler.frontier.keys import shard_of
from crawler.frontier.messages import (
    Accepted,
    Commit,
    CrawlState,
    Event,
    Exported,
    HostFacts,
    Lease,
    Limits,
    Quarantined,
    TemplateSample,
)
from crawler.frontier.redis.connection import Call, Connection
from crawler.frontier.scripts import NEVER, SERVER_CLOCK
from crawler.frontier.shards.crawldb import ShardedCrawlDb, grouped
from crawler.record import Request
from crawler.url import Form


def create(
    link: Connection,
    crawl: str,
    settings: bytes,
    limits: Limits,
    *,
    form: Form = PLAIN,
    shards: int = 1,
    clock: str = SERVER_CLOCK,
) -> Frontier:
    """Make a crawl; CrawlExists if its name is taken. *settings* is all of them, as JSON."""
    first = Frontier.create(link, crawl, settings, limits, form=form, shards=shards, clock=clock)
    return first if shards == 1 else ShardedFrontier.of(first, link)


def find(link: Connection, crawl: str, *, clock: str = SERVER_CLOCK) -> Frontier:
    """The crawl of that name. Raises NoCrawl if there is none, DamagedCrawl if it cannot be worked on."""
    first = Frontier.find(link, crawl, clock=clock)
    return first if first.count == 1 else ShardedFrontier.of(first, link)


def ledger_of(frontier: Frontier) -> CrawlDb:
    """What the crawl has stored."""
    if frontier.count == 1:
        return CrawlDb(frontier.link, frontier.crawl)
    return ShardedCrawlDb(frontier.link, frontier.crawl, frontier.count)


class ShardedFrontier(Frontier):
    """All shards of one crawl."""

    def __init__(self, link: Connection, crawl: str, identity: Identity, *, clock: str = SERVER_CLOCK) -> None:
        super().__init__(link, crawl, identity, clock=clock)
        self._parts = [Frontier(link, crawl, identity, shard=n, clock=clock) for n in range(identity.shards)]

    @classmethod
    def of(cls, first: Frontier, link: Connection) -> ShardedFrontier:
        """The whole of a crawl whose *first* shard is there; others that are missing are made."""
        whole = cls(link, first.crawl, first.identity, clock=first.clock)
        if first.state().state != "deleting":
            whole._complete()
        return whole

    def _complete(self) -> None:
        meta: dict[str, bytes] | None = None
        for part in self.parts[1:]:
            link, key = part.link, part.keys.meta
            found: Any = link.ask(lambda link=link, key=key: link.client.hget(key, "generation"))  # type: ignore[misc]
            if found is not None and found.decode("latin-1") == self.generation:
                continue
            if found is not None:  # left from a crawl of this name that is no more
                CrawlDb(link, self.crawl, part.shard, self.count).sweep()
            meta = meta or CrawlDb(self.link, self.crawl).meta()
            own = ("generation", "state", "created_ms", "ips_used", "crowds", "full_site", "slow_pages")
            part.make({name: value for name, value in meta.items() if name not in own and not name.endswith("_rev")})

    def on(self, link: Connection) -> Frontier:
        """The same crawl by another connection."""
        return ShardedFrontier(link, self.crawl, self.identity, clock=self.clock)

    @property
    def parts(self) -> Sequence[Frontier]:
        """The shards, by number."""
        return self._parts

    def at(self, token: str) -> Frontier:
        """The shard that a lease is of."""
        return self._parts[shard_of_token(token)]

    def home(self, host: str) -> Frontier:
        """The shard in which a host lives; also that of a root or a template, which begins with one."""
        return self._parts[shard_of(host, self.count)]

    def _by_host(self, requests: Iterable[Request]) -> dict[Frontier, list[Request]]:
        return grouped(requests, lambda request: self.home(request.place()[0]))

    def first_with(self, digest: str) -> str | None:
        """The id of the first page that had this content: copies are noticed within a shard."""
        return next((found for part in self.parts if (found := part.first_with(digest)) is not None), None)

    # -- seeding -------------------------------------------------------------------------------------------------------

    def open(self, source: str, term: float) -> None:
        """Say in each shard that *source* is seeding."""
        for part in self.parts:
            part.open(source, term)

    def close(self, source: str) -> None:
        """*source* has put all it had."""
        for part in self.parts:
            part.close(source)

    def put(
        self, requests: Sequence[Request], *, source: str = "", term: float = 60.0, roots: Sequence[str] = ()
    ) -> Accepted:
        """Put each request into its shard, and each root into its own. Raises OutOfMemory: repeat all then."""
        accepted = Accepted()
        by_shard, of_roots = self._by_host(requests), grouped(roots, self.home)
        for part in self.parts:
            mine, theirs = by_shard.get(part, ()), of_roots.get(part, ())
            if mine or theirs:
                more = part.put(mine, source=source, term=term, roots=theirs)
                accepted = Accepted(
                    accepted.new + more.new,
                    accepted.seen + more.seen,
                    accepted.over_budget + more.over_budget,
                    long=[*accepted.long, *more.long],
                )
            elif source:
                part.open(source, term)
        return accepted

    def pack_call(self, host: str, entries: Sequence[bytes]) -> Call:
        """Make a segment of what the tail of *host* begins with."""
        return self.home(host).pack_call(host, entries)

    def unpack_call(self, host: str, segment: bytes) -> Call:
        """Move the entries of the oldest *segment* of *host* to its head."""
        return self.home(host).unpack_call(host, segment)

    def tidy(self, long: Iterable[str], low: Iterable[str], say: Callable[[str], None]) -> None:
        """Pack tails that are long, unpack a segment where a head is low."""
        for host in long:
            self.home(host).tidy([host], (), say)
        for host in low:
            self.home(host).tidy((), [host], say)

    # -- leases --------------------------------------------------------------------------------------------------------

    def extend(self, tokens: Sequence[str], term: float) -> frozenset[str]:
        """Keep leases for another *term* seconds; those that are no longer held."""
        lost = [part.extend(own, term) for part, own in grouped(tokens, self.at).items()]
        return frozenset().union(*lost)

    def release(self, tokens: Sequence[str]) -> int:
        """Give leases back unused; how many were still held."""
        return sum(part.release(own) for part, own in grouped(tokens, self.at).items())

    def release_call(self, tokens: Sequence[str]) -> Call:
        """Give leases of one shard back unused."""
        return self.at(tokens[0]).release_call(tokens)

    def reap(self, most: int = 50) -> tuple[int, int]:
        """Take back leases past their deadline: how many, and milliseconds to the next deadline (-1: none)."""
        found = [part.reap(most) for part in self.parts]
        waits = [wait for _, wait in found if wait >= 0]
        return sum(n for n, _ in found), min(waits, default=-1)

    def commit_call(self, ending: Commit) -> Call:
        """End a page's lease, in its shard."""
        return self.at(ending.lease.token).commit_call(ending)

    def retry_call(self, lease: Lease, event: Event, **more: Any) -> Call:
        """Try a page again later, in its shard."""
        return self.at(lease.token).retry_call(lease, event, **more)

    def robots_call(self, lease: Lease, event: Event, **more: Any) -> Call:
        """End a robots lease, in its shard."""
        return self.at(lease.token).robots_call(lease, event, **more)

    def run(self, calls: Sequence[Call]) -> list[Any]:
        """Send *calls*, each to its shard; results in order."""
        results: dict[int, Any] = {}
        for part in self.parts:
            own = [n for n, call in enumerate(calls) if call.shard == part.shard]
            results |= dict(zip(own, part.run([calls[n] for n in own]), strict=True))
        return [results[n] for n in range(len(calls))]

    # -- what has ended ------------------------------------------------------------------------------------------------

    def revive(self, requests: Sequence[Request], latest: int = NEVER) -> int:
        """Put dead letters back into their queues; how many there were."""
        return sum(part.revive(own, latest) for part, own in self._by_host(requests).items())

    def drain(self, exported: Sequence[Exported]) -> int:
        """Free records that were exported; how many there were."""
        return sum(
            part.drain(own) for part in self.parts if (own := [one for one in exported if one.shard == part.shard])
        )

    def judge_templates(self, samples: Sequence[TemplateSample]) -> Quarantined:
        """Count what pages of templates held, each in its shard."""
        found: list[str] = []
        for part in self.parts:
            if own := [sample for sample in samples if self.home(sample.template) is part]:
                found += part.judge_templates(own).templates
        return Quarantined(tuple(found))

    def unquarantine(self, template: str, template_id: str) -> bool:
        """Let the URLs of a quarantined template be fetched again; false where it is not quarantined."""
        return self.home(template).unquarantine(template, template_id)

    # -- the crawl as a whole ------------------------------------------------------------------------------------------

    def configure(self, settings: bytes, limits: Limits, max_time: float | str | None = "-") -> None:
        """Change settings, in each shard."""
        for part in self.parts:
            part.configure(settings, limits, max_time)

    def state(self) -> CrawlState:
        """What the crawl is at: the sums, and the gravest word. Of a shard that is gone: NoCrawl."""
        states = [part.state() for part in self.parts]
        words = [state.state for state in states]
        waits = [state.wait_ms for state in states if state.wait_ms >= 0]
        whole = CrawlState(
            "running",
            accepted=sum(state.accepted for state in states),
            queued=sum(state.queued for state in states),
            leased=sum(state.leased for state in states),
            ended=sum(state.ended for state in states),
            sources=max(state.sources for state in states),
            wait_ms=min(waits, default=-1),
            odd=any(state.odd for state in states),
            pending=sum(state.pending for state in states),
            fetched=sum(state.fetched for state in states),
            max_pages=states[0].max_pages,
        )
        if "deleting" in words or "paused" in words:
            return replace(whole, state="deleting" if "deleting" in words else "paused")
        return replace(whole, state="limit") if ("limit" in words or whole.spent) and not whole.leased else whole

    def explain(self, host: str) -> HostFacts:
        """How *host* stands and how the rules judge it now, in its shard."""
        return self.home(host).explain(host)

    def done(self) -> bool:
        """Nothing is left to do in any shard: read twice, so that a URL between two places is not missed."""
        first = self._idle_at()
        return first is not None and first == self._idle_at()

    def _idle_at(self) -> list[int] | None:
        states = [part.state() for part in self.parts]
        return [state.accepted for state in states] if all(state.idle for state in states) else None

    def pause(self) -> None:
        """Hand out nothing more until `resume`; what is in flight ends."""
        self._all(lambda part: part.pause())

    def resume(self) -> None:
        """Hand out URLs again."""
        self._all(lambda part: part.resume())

    def delete(self) -> None:
        """Refuse all from now on, in each shard."""
        self._all(lambda part: part.delete(), missing_ok=True)

    def _all(self, do: Callable[[Frontier], None], *, missing_ok: bool = False) -> None:
        for part in self.parts:
            try:
                do(part)
            except NoCrawl:
                if not missing_ok or part.shard == 0:
                    raise

    def heartbeat(self, worker: str, text: bytes) -> None:
        """Say what *worker* is doing, in the first shard."""
        self.parts[0].heartbeat(worker, text)
