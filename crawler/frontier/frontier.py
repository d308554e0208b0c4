"""The frontier of one crawl: one method a verb, each the script of the same name.

Each `..._call` builds a verb's call for a pipeline (`run`); the method without that suffix sends it alone. Errors are
raised by the methods; in the results of `run` they are values, so that one refusal does not hide the others.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, Literal

from crawler.clock import since_boot
from crawler.errors import DamagedCrawl, FrontierError, NoCrawl, RedisUnavailable
from crawler.frontier import replies
from crawler.frontier.corruption import naming
from crawler.frontier.identity import Identity
from crawler.frontier.keys import Keys
from crawler.frontier.messages import (
    Accepted,
    Commit,
    CrawlState,
    Event,
    Exported,
    HostFacts,
    Lease,
    Leased,
    Limits,
    OutboxBatch,
    Quarantined,
    Shares,
    TemplateSample,
)
from crawler.frontier.overflow import Packing
from crawler.frontier.redis.connection import Call, Connection
from crawler.frontier.scripts import NEVER, SERVER_CLOCK, load
from crawler.frontier.shards.outbox import Args, site_key, sort
from crawler.record import Charge, Request
from crawler.url import Form, url_id

MAX_REQUESTS: Final = 1_000
"""Requests a script takes at most: more would block Redis for too long."""
MAX_REVIVED: Final = 500
MAX_DRAINED: Final = 500
PLAIN: Final = Form()
"""No two spellings are taken for one beyond the canonical form."""


class Frontier(Packing):
    """One crawl's frontier on one shard, bound to the generation that was found or made.

    Requests for other shards may be given to any: they go into its outbox, and from there on by a `delivery.Relay`.
    """

    def __init__(
        self, link: Connection, crawl: str, identity: Identity, *, shard: int = 0, clock: str = SERVER_CLOCK
    ) -> None:
        """*link* may be to any server of a cluster."""
        self.crawl, self.identity, self.shard = crawl, identity, shard
        self.generation, self.salt = identity.generation, identity.salt
        self.form, self.count = identity.form, identity.shards
        self.keys = Keys(crawl, shard, self.count)
        self.link = link.at(self.keys.meta)
        self.clock = clock

    # -- making and finding a crawl ------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        link: Connection,
        crawl: str,
        settings: bytes,
        limits: Limits,
        *,
        form: Form = PLAIN,
        clock: str = SERVER_CLOCK,
        shards: int = 1,
    ) -> Frontier:
        """Make a crawl, here its first shard; CrawlExists if its name is taken. *settings* is all of them, as JSON."""
        frontier = cls(link, crawl, Identity.new(form, shards), clock=clock)
        frontier.make({"settings": settings} | {name: value.encode() for name, value in limits.fields().items()})
        return frontier

    def make(self, meta: Mapping[str, bytes]) -> None:
        """Make this shard, with what else stands in *meta*; CrawlExists if another crawl's is there."""
        fields = self.identity.fields() | dict(meta)
        args: Args = [part for name, value in fields.items() if value for part in (name, value)]
        self.run_one(self.call("create", [], args, replies.ok))

    @classmethod
    def find(cls, link: Connection, crawl: str, *, clock: str = SERVER_CLOCK) -> Frontier:
        """The crawl of that name, here its first shard. Raises NoCrawl, DamagedCrawl (see `Identity.read`)."""
        return cls(link, crawl, Identity.read(link, crawl), clock=clock)

    @classmethod
    def condemn(cls, link: Connection, crawl: str, shard: int = 0, shards: int = 1) -> None:
        """Say that the crawl is being deleted, whatever its version, as far as it can be told which one it is."""
        meta = Keys(crawl, shard, shards).meta
        at = link.at(meta)
        with suppress(DamagedCrawl, NoCrawl):
            found: Any = at.ask(lambda: at.client.hget(meta, "generation"))
            cls(link, crawl, Identity((found or b"").decode("latin-1"), b"", PLAIN, shards), shard=shard).delete()

    def on(self, link: Connection) -> Frontier:
        """The same crawl by another connection."""
        return Frontier(link, self.crawl, self.identity, shard=self.shard, clock=self.clock)

    @property
    def parts(self) -> Sequence[Frontier]:
        """The shards of the crawl: this one alone."""
        return (self,)

    def at(self, token: str) -> Frontier:
        """The shard that a lease is of."""
        return self

    def id(self, url: str) -> str:
        """The id of a canonical URL in this crawl, the same for all spellings that its form takes for one."""
        return url_id(self.form.identity(url), self.salt)

    def first_with(self, digest: str) -> str | None:
        """The id of the first page that had content of this digest (see Ending.digest)."""
        found: Any = self.link.ask(lambda: self.link.client.hget(self.keys.digests(digest), digest))
        return None if found is None else str(found.decode("utf-8", "replace"))

    # -- sending -------------------------------------------------------------------------------------------------------

    def call(
        self, verb: str, keys: Sequence[str], args: Iterable[str | bytes | int], read: Callable[[list[Any]], Any]
    ) -> Call:
        return Call(load(verb, self.clock), [*self.keys.fixed, *keys], [self.generation, *args], read, self.shard)

    def run(self, calls: Sequence[Call]) -> list[Any]:
        """Send *calls* in one round trip; results in order, refusals as FrontierError values."""
        results = self.link.execute(calls) if calls else []
        return [self._named(result) if isinstance(result, DamagedCrawl) else result for result in results]

    def _named(self, error: DamagedCrawl) -> DamagedCrawl:
        try:
            with naming(self.link, self.keys):
                raise error
        except DamagedCrawl as named:
            return named

    def run_one(self, call: Call) -> Any:
        """Send one call and raise what it refused."""
        (result,) = self.run([call])
        if isinstance(result, FrontierError | RedisUnavailable):
            raise result
        return result

    # -- seeding -------------------------------------------------------------------------------------------------------

    def open(self, source: str, term: float) -> None:
        """Say that *source* is seeding: the crawl is not done for *term* seconds, or until `close`."""
        self.run_one(self.call("open", [], [source, _ms(term)], replies.ok))

    def close(self, source: str) -> None:
        """*source* has put all it had."""
        self.run_one(self.call("close", [], [source], replies.ok))

    def put_call(
        self, requests: Sequence[Request], *, source: str = "", term: float = 60.0, roots: Sequence[str] = ()
    ) -> Call:
        """Accept up to MAX_REQUESTS requests, and the *roots* that they bring; extends *source* by *term* seconds."""
        keys, args = self._sorted(requests, roots)
        return self.call("put", keys, [source, _ms(term), *args], replies.accepted)

    def put(
        self, requests: Sequence[Request], *, source: str = "", term: float = 60.0, roots: Sequence[str] = ()
    ) -> Accepted:
        """`put_call`, sent alone. Raises OutOfMemory when Redis is full: nothing was accepted."""
        result: Accepted = self.run_one(self.put_call(requests, source=source, term=term, roots=roots))
        return result

    def _sorted(self, requests: Sequence[Request], roots: Sequence[str]) -> tuple[list[str], Args]:
        """Roots, parcels of other shards and requests of this one, as `post` and `accept` in lua/shared read them."""
        _at_most(len(requests), MAX_REQUESTS)
        parcels = sort(requests, roots, self.shard, self.count, self.id)
        own = parcels.pop(self.shard)
        keys, args = own.laid_out(self.keys)
        away = [part for target, parcel in parcels.items() for part in (target, parcel.packed())]
        return [*map(self.keys.parcels, parcels), *keys], [len(own.roots), *own.roots, len(parcels), *away, *args]

    def collect(self, courier: str, term: float, most: int, targets: Sequence[int]) -> list[OutboxBatch]:
        """What lies in the outbox for *targets*, *most* parcels each; nobody else gets any for *term* seconds."""
        keys = [self.keys.parcels(target) for target in targets]
        call = self.call("collect", keys, [courier, _ms(term), most, *targets], replies.collected)
        result: list[OutboxBatch] = self.run_one(call)
        return result

    def ack_delivered(self, target: int, run: str, at: bytes = b"") -> bool:
        """Parcels up to *at* were put into *target*, whose server's run id was *run* before; true if all go again."""
        keys = [self.keys.parcels(target)]
        return bool(self.run_one(self.call("ack_delivered", keys, [target, run, at], replies.number)))

    def run_id(self) -> str:
        """What names this run of the server, which may have lost its last second with the one before."""
        info: Any = self.link.ask(lambda: self.link.client.info("server"))
        return str(info["run_id"])

    # -- leasing -------------------------------------------------------------------------------------------------------

    def lease_call(self, call: str, shares: Shares | int, term: float, worker: str) -> Call:
        """Ask for leases of *term* seconds under the name *call* (`new_call`); a repetition keeps it.

        *shares* is how many, or how many of whatever is due.
        """
        asked, shares = since_boot(), Shares.any(shares) if isinstance(shares, int) else shares
        args: Args = [call, shares.want, _ms(term), worker, *shares.rest()]
        return self.call("lease", [], args, lambda reply: replies.leased(reply, asked + term))

    def lease(self, want: Shares | int, term: float, worker: str, call: str | None = None) -> Leased:
        """`lease_call`, sent alone."""
        result: Leased = self.run_one(self.lease_call(call or new_call(self.shard), want, term, worker))
        return result

    def extend_call(self, tokens: Sequence[str], term: float) -> Call:
        """Keep leases for another *term* seconds; the result is the tokens that are no longer held."""
        return self.call("extend", [], [_ms(term), *tokens], lambda r: frozenset(t.decode() for t in replies.ok(r)[1:]))

    def extend(self, tokens: Sequence[str], term: float) -> frozenset[str]:
        """`extend_call`, sent alone."""
        result: frozenset[str] = self.run_one(self.extend_call(tokens, term))
        return result

    def release_call(self, tokens: Sequence[str]) -> Call:
        """Give leases back unused, in the order in which they were leased; the result is how many were still held."""
        return self.call("release", [], tokens, replies.number)

    def release(self, tokens: Sequence[str]) -> int:
        """`release_call`, sent alone."""
        return int(self.run_one(self.release_call(tokens)))

    def reap_call(self, most: int = 50) -> Call:
        """Take back leases past their deadline: how many, and milliseconds to the next deadline (-1: none)."""
        return self.call("reap", [], [most], lambda r: (int(replies.ok(r)[1]), int(r[2])))

    def reap(self, most: int = 50) -> tuple[int, int]:
        """`reap_call`, sent alone."""
        result: tuple[int, int] = self.run_one(self.reap_call(most))
        return result

    # -- ending --------------------------------------------------------------------------------------------------------

    def commit_call(self, ending: Commit) -> Call:
        """End a page's lease with its outcome, record and requests; the result is Accepted, or LeaseLost.

        A repetition of a commit that went through succeeds with nothing new.
        """
        keys, groups = self._sorted(ending.requests, ending.roots)
        latency = "" if ending.latency_ms is None else ending.latency_ms
        args: Args = [ending.lease.token, ending.lease.what, ending.id, ending.event, ending.rest_ms, latency]
        args += ending.outcome, ending.record, ending.text, ending.digest, ending.spared, ending.ip, ending.copy
        args += ending.handling_ms, len(ending.tallies)
        for name, n in ending.tallies.items():
            args += name, n
        args += groups
        own = [self.keys.page(ending.id), *([self.keys.digests(ending.digest)] if ending.digest else [])]
        return self.call("commit", [*own, *keys], args, replies.committed)

    def commit(self, ending: Commit) -> Accepted:
        """`commit_call`, sent alone; raises LeaseLost."""
        result: Accepted = self.run_one(self.commit_call(ending))
        return result

    def retry_call(
        self,
        lease: Lease,
        event: Event,
        *,
        charge: int = Charge.RETRY,
        rest_ms: int = 0,
        alone_ms: int = 0,
        respelled: Request | None = None,
        handling_ms: int = 0,
    ) -> Call:
        """Try a page again later; it goes to the tail of its queue, its host rests *alone_ms* if it is alone there.

        *respelled* is the same URL in another spelling (of the same id and host), by which it is tried next.
        """
        entry = b"" if respelled is None else respelled.place()[1]
        how: Args = [event, rest_ms, charge, alone_ms, entry, handling_ms]
        return self.call("retry", [], [lease.token, lease.what, *how], replies.ok)

    def retry(
        self, lease: Lease, event: Event, *, charge: int = Charge.RETRY, rest_ms: int = 0, alone_ms: int = 0
    ) -> None:
        """`retry_call`, sent alone; raises LeaseLost, which is harmless: somebody else tries it."""
        self.run_one(self.retry_call(lease, event, charge=charge, rest_ms=rest_ms, alone_ms=alone_ms))

    def robots_call(
        self,
        lease: Lease,
        event: Event,
        *,
        text: bytes = b"",
        ttl: float = 86_400.0,
        crawl_delay: float | None = None,
        rest_ms: int = 0,
        ip: str = "",
        handling_ms: int = 0,
        tallies: Mapping[str, int] = MappingProxyType({}),
    ) -> Call:
        """End a robots lease: with event `ok` the zlib *text* holds for *ttl* seconds; with another the host rests."""
        delay = "" if crawl_delay is None else _ms(crawl_delay)
        args: Args = [lease.token, lease.what, lease.scheme, event, text, _ms(ttl), delay, rest_ms, ip]
        args += handling_ms, *(part for tally in tallies.items() for part in tally)
        return self.call("robots", [self.keys.robots(lease.origin)], args, replies.ok)

    def robots(self, lease: Lease, event: Event, *, text: bytes = b"", ttl: float = 86_400.0) -> None:
        """`robots_call`, sent alone; raises LeaseLost, which is harmless."""
        self.run_one(self.robots_call(lease, event, text=text, ttl=ttl))

    def revive(self, requests: Sequence[Request], latest: int = NEVER) -> int:
        """Put dead letters back into their queues, at most MAX_REVIVED a call; how many there were.

        What failed after *latest* (ms, server's clock) stays: a repetition does not bring back what failed once more.
        """
        _at_most(len(requests), MAX_REVIVED)
        keys: list[str] = []
        args: Args = [latest]
        for request in requests:
            host, entry = request.place()
            keys.append(self.keys.page(self.id(request.url)))
            args += self.id(request.url), host, entry
        return int(self.run_one(self.call("revive", keys, args, replies.number)))

    def drain(self, exported: Sequence[Exported]) -> int:
        """Free records that were exported, at most MAX_DRAINED a call, but for their stubs; how many there were.

        Safe to repeat. A page that was committed again since stays whole; a dead letter keeps its record.
        """
        _at_most(len(exported), MAX_DRAINED)
        keys = [self.keys.page(one.id) for one in exported]
        args: Args = [part for one in exported for part in (one.at, one.id, one.stub.encode() if one.stub else b"")]
        return int(self.run_one(self.call("drain", keys, args, replies.number)))

    # -- traps, repair -------------------------------------------------------------------------------------------------

    def judge_templates_call(self, samples: Sequence[TemplateSample]) -> Call:
        """Count what pages of templates held; the result is which are quarantined from now on."""
        keys: list[str] = []
        args: Args = []
        for sample in samples:
            keys += self.keys.template(sample.id), self.keys.prints(sample.id)
            args += sample.template, len(sample.prints), *sample.prints
        return self.call("judge_templates", keys, args, replies.quarantined)

    def judge_templates(self, samples: Sequence[TemplateSample]) -> Quarantined:
        """`judge_templates_call`, sent alone."""
        result: Quarantined = self.run_one(self.judge_templates_call(samples))
        return result

    def unquarantine(self, template: str, template_id: str) -> bool:
        """Let the URLs of a quarantined template be fetched again; false where it is not quarantined."""
        keys = [self.keys.template(template_id)]
        return bool(self.run_one(self.call("unquarantine", keys, [template], replies.number)))

    def repair(
        self, part: Literal["leases", "entries", "counts", "hosts"], values: Sequence[bytes | int]
    ) -> tuple[int, int]:
        """Put one part right (see repair.lua, and `repair.repair`, which does all of it): how much of it was wrong.

        Beside it: of entries how many there are, of counts how many URLs are lost.
        """
        call = self.call("repair", [], [part, *values], lambda r: (replies.ok(r)[1], r[2]))
        result: tuple[int, int] = self.run_one(call)
        return result

    # -- the crawl as a whole ------------------------------------------------------------------------------------------

    def configure(self, settings: bytes, limits: Limits, max_time: float | str | None = "-") -> None:
        """Change settings; *max_time* in seconds from now, None for no limit, "-" to leave it."""
        until = "-" if max_time == "-" else "" if max_time is None else str(_ms(float(max_time)))
        changed: Mapping[str, str | bytes] = {"settings": settings, **limits.fields()}
        self.run_one(self.call("configure", [], [until, *(p for kv in changed.items() for p in kv)], replies.ok))

    def state_call(self) -> Call:
        """What the crawl is at."""
        return self.call("state", [], [], replies.state)

    def state(self) -> CrawlState:
        """`state_call`, sent alone."""
        result: CrawlState = self.run_one(self.state_call())
        return result

    def explain(self, host: str) -> HostFacts:
        """How *host* stands, and how the rules judge it now. The empty name is a host that the crawl has not met."""
        call = self.call("explain", [self.keys.host(host)], [host, site_key(host)], replies.ok)
        return replies.explained(self.run_one(call))

    def done(self) -> bool:
        """Nothing is left to do: read twice, so that a URL between two places is not missed."""
        first = self.state()
        return first.idle and (second := self.state()).idle and first.accepted == second.accepted

    def pause(self) -> None:
        """Hand out nothing more until `resume`; what is in flight ends."""
        self.run_one(self.call("pause", [], [], replies.ok))

    def resume(self) -> None:
        """Hand out URLs again."""
        self.run_one(self.call("resume", [], [], replies.ok))

    def delete(self) -> None:
        """Refuse all from now on; `Ledger.sweep` then takes the keys away."""
        self.run_one(self.call("delete", [], [], replies.ok))

    def heartbeat_call(self, worker: str, text: bytes) -> Call:
        """Say what *worker* is doing (JSON); an empty text takes it off the list."""
        return self.call("heartbeat", [], [worker, text], replies.ok)

    def heartbeat(self, worker: str, text: bytes) -> None:
        """`heartbeat_call`, sent alone."""
        self.run_one(self.heartbeat_call(worker, text))

    def bound(self, site: str) -> None:
        """Name the site that fills Redis and gets no new links; empty: none."""
        self.run_one(self.call("bound", [], [site], replies.ok))

    def wait(self, seconds: float) -> None:
        """Block until a hint says that a host became ready, at most *seconds*; only a hint."""
        self.link.wait(self.keys.wake, seconds)


def new_call(shard: int = 0) -> str:
    """A name for one call of `lease`: 64 random bits, never a counter (a counter rolls back with Redis).

    Behind the first shard's it says which shard gave the lease (see `shard_of_token`).
    """
    return f"{shard}.{secrets.token_hex(8)}" if shard else secrets.token_hex(8)


def shard_of_token(token: str) -> int:
    """The shard that a lease is of; 0 of what is no token."""
    shard, dot, _ = token.partition(".")
    return int(shard) if dot and shard.isdecimal() else 0


def _at_most(n: int, most: int) -> None:
    if n > most:
        raise ValueError(f"{n} requests in one call: at most {most}, more go into further calls")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
