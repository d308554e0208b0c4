"""The frontier of one crawl: one method a verb, each the script of the same name.

Each `..._call` builds a verb's call for a pipeline (`run`); the method without that suffix sends it alone. Errors are
raised by the methods; in the results of `run` they are values, so that one refusal does not hide the others.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final, Literal

from crawler.clock import since_boot
from crawler.errors import (
    DamagedCrawl,
    FrontierError,
    NoCrawl,
    RedisUnavailable,
)
from crawler.frontier import replies
from crawler.frontier.damage import naming
from crawler.frontier.keys import Keys
from crawler.frontier.leases import Accepted, Barren, Ending, Event, Exported, Lease, Leased, Limits, State, Weight
from crawler.frontier.link import Call, Link
from crawler.frontier.packing import Packing
from crawler.frontier.scripts import SCHEMA, SERVER_CLOCK, load
from crawler.records import Charge, Request
from crawler.url import Form, site_of_host, url_id

MOST_REQUESTS: Final = 1_000
"""Requests a script takes at most: more would block Redis for too long."""
MOST_REVIVED: Final = 500
MOST_DRAINED: Final = 500
PLAIN: Final = Form()
"""No two spellings are taken for one beyond the canonical form."""
NORMAL: Final = 1

Args = list[str | bytes | int]


class Frontier(Packing):
    """One crawl's frontier on one shard, bound to the generation that was found or made."""

    def __init__(
        self, link: Link, crawl: str, generation: str, salt: bytes, *, form: Form = PLAIN, clock: str = SERVER_CLOCK
    ) -> None:
        self.link = link
        self.form = form
        self.crawl = crawl
        self.generation = generation
        self.salt = salt
        self.keys = Keys(crawl)
        self._clock = clock

    # -- making and finding a crawl ------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        link: Link,
        crawl: str,
        settings: bytes,
        limits: Limits,
        *,
        form: Form = PLAIN,
        clock: str = SERVER_CLOCK,
    ) -> Frontier:
        """Make a crawl; CrawlExists if its name is taken. *settings* is all of them, as JSON."""
        frontier = cls(link, crawl, secrets.token_hex(8), secrets.token_bytes(16), form=form, clock=clock)
        meta: dict[str, str | bytes] = {"schema": str(SCHEMA), "salt": frontier.salt.hex(), "settings": settings}
        meta["form"] = _form_words(form)
        meta |= limits.fields()
        args: Args = [part for name, value in meta.items() if value for part in (name, value)]
        frontier.run_one(frontier._call("create", [], args, replies.ok))
        return frontier

    @classmethod
    def find(cls, link: Link, crawl: str, *, clock: str = SERVER_CLOCK) -> Frontier:
        """The crawl of that name. Raises NoCrawl if there is none, DamagedCrawl if it cannot be worked on."""
        names, keys = ["generation", "salt", "schema", "form"], Keys(crawl)
        with naming(link, crawl):
            found: Any = link.ask(lambda: link.client.hmget(keys.meta, names))
        generation, salt, schema, form = (None if raw is None else raw.decode("latin-1") for raw in found)
        if generation is None and not link.ask(lambda: link.client.exists(*keys.fixed)):
            raise NoCrawl(f"there is no crawl {crawl!r}: begin one with `crawler run` or `crawler seed`")
        if generation is None:
            replies.refuse("REMAINS")
        if schema != str(SCHEMA):
            raise _of_another_version(crawl, schema)
        try:
            return cls(link, crawl, generation, _salt_of(salt), form=_form_of(form or ""), clock=clock)
        except (ValueError, TypeError) as error:
            raise DamagedCrawl(
                f"the `meta` of crawl {crawl!r} is damaged ({error}): `crawler delete` takes the crawl away"
            ) from None

    @classmethod
    def condemn(cls, link: Link, crawl: str) -> None:
        """Say that the crawl is being deleted, whatever its version, as far as it can be told which one it is."""
        with suppress(DamagedCrawl, NoCrawl):
            found: Any = link.ask(lambda: link.client.hget(Keys(crawl).meta, "generation"))
            cls(link, crawl, (found or b"").decode("latin-1"), b"").delete()

    def on(self, link: Link) -> Frontier:
        """The same crawl by another connection."""
        return Frontier(link, self.crawl, self.generation, self.salt, form=self.form, clock=self._clock)

    def id(self, url: str) -> str:
        """The id of a canonical URL in this crawl, the same for all spellings that its form takes for one."""
        return url_id(self.form.identity(url), self.salt)

    def first_with(self, digest: str) -> str | None:
        """The id of the first page that had content of this digest (see Ending.digest)."""
        found: Any = self.link.ask(lambda: self.link.client.hget(self.keys.digests(digest), digest))
        return None if found is None else str(found.decode("utf-8", "replace"))

    # -- sending -------------------------------------------------------------------------------------------------------

    def _call(
        self, verb: str, keys: Sequence[str], args: Iterable[str | bytes | int], read: Callable[[list[Any]], Any]
    ) -> Call:
        return Call(load(verb, self._clock), [*self.keys.fixed, *keys], [self.generation, *args], read)

    def run(self, calls: Sequence[Call]) -> list[Any]:
        """Send *calls* in one round trip; results in order, refusals as FrontierError values."""
        results = self.link.execute(calls) if calls else []
        return [self._named(result) if isinstance(result, DamagedCrawl) else result for result in results]

    def _named(self, error: DamagedCrawl) -> DamagedCrawl:
        try:
            with naming(self.link, self.crawl):
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
        self.run_one(self._call("open", [], [source, _ms(term)], replies.ok))

    def close(self, source: str) -> None:
        """*source* has put all it had."""
        self.run_one(self._call("close", [], [source], replies.ok))

    def put_call(
        self, requests: Sequence[Request], *, source: str = "", term: float = 60.0, roots: Sequence[str] = ()
    ) -> Call:
        """Accept up to MOST_REQUESTS requests, and the *roots* that they bring; extends *source* by *term* seconds."""
        keys, args = self._groups(requests)
        return self._call("put", keys, [source, _ms(term), len(roots), *roots, *args], replies.accepted)

    def put(
        self, requests: Sequence[Request], *, source: str = "", term: float = 60.0, roots: Sequence[str] = ()
    ) -> Accepted:
        """`put_call`, sent alone. Raises OutOfMemory when Redis is full: nothing was accepted."""
        result: Accepted = self.run_one(self.put_call(requests, source=source, term=term, roots=roots))
        return result

    def _groups(self, requests: Sequence[Request]) -> tuple[list[str], Args]:
        """Requests as `accept` in prelude.lua reads them: by queue, each with its `seen` set."""
        _at_most(len(requests), MOST_REQUESTS)
        groups: dict[str, list[tuple[str, bytes]]] = {}
        for request in requests:
            host, entry = request.place()
            groups.setdefault(f"{0 if request.sitemap else NORMAL} {host}", []).append((self.id(request.url), entry))
        keys: list[str] = []
        args: Args = [len(groups)]
        for name, members in groups.items():
            priority, _, host = name.partition(" ")
            keys.append(self.keys.host(host))
            keys += [self.keys.queue(host, 0)] if priority == "0" else self.keys.pages(host)
            args += host, site_key(host), len(members)
            for member_id, entry in members:
                keys.append(self.keys.seen(member_id))
                args += member_id, entry
        return keys, args

    # -- leasing -------------------------------------------------------------------------------------------------------

    def lease_call(self, call: str, want: int, term: float, worker: str) -> Call:
        """Ask for up to *want* leases of *term* seconds under the name *call* (`new_call`); a repetition keeps it."""
        asked = since_boot()
        return self._call(
            "lease", [], [call, want, _ms(term), worker], lambda reply: replies.leased(reply, asked + term)
        )

    def lease(self, want: int, term: float, worker: str, call: str | None = None) -> Leased:
        """`lease_call`, sent alone."""
        result: Leased = self.run_one(self.lease_call(call or new_call(), want, term, worker))
        return result

    def extend_call(self, tokens: Sequence[str], term: float) -> Call:
        """Keep leases for another *term* seconds; the result is the tokens that are no longer held."""
        return self._call(
            "extend", [], [_ms(term), *tokens], lambda r: frozenset(t.decode() for t in replies.ok(r)[1:])
        )

    def extend(self, tokens: Sequence[str], term: float) -> frozenset[str]:
        """`extend_call`, sent alone."""
        result: frozenset[str] = self.run_one(self.extend_call(tokens, term))
        return result

    def release_call(self, tokens: Sequence[str]) -> Call:
        """Give leases back unused, in the order in which they were leased; the result is how many were still held."""
        return self._call("release", [], tokens, lambda r: int(replies.ok(r)[1]))

    def release(self, tokens: Sequence[str]) -> int:
        """`release_call`, sent alone."""
        return int(self.run_one(self.release_call(tokens)))

    def reap_call(self, most: int = 50) -> Call:
        """Take back leases past their deadline: how many, and milliseconds to the next deadline (-1: none)."""
        return self._call("reap", [], [most], lambda r: (int(replies.ok(r)[1]), int(r[2])))

    def reap(self, most: int = 50) -> tuple[int, int]:
        """`reap_call`, sent alone."""
        result: tuple[int, int] = self.run_one(self.reap_call(most))
        return result

    # -- ending --------------------------------------------------------------------------------------------------------

    def commit_call(self, ending: Ending) -> Call:
        """End a page's lease with its outcome, record and requests; the result is Accepted, or LeaseLost.

        A repetition of a commit that went through succeeds with nothing new.
        """
        keys, groups = self._groups(ending.requests)
        latency = "" if ending.latency_ms is None else ending.latency_ms
        args: Args = [ending.lease.token, ending.lease.what, ending.id, ending.event, ending.rest_ms, latency]
        args += ending.outcome, ending.record, ending.text, ending.digest, ending.spared, ending.ip
        args.append(len(ending.tallies))
        for name, n in ending.tallies.items():
            args += name, n
        args += len(ending.roots), *ending.roots, *groups
        own = [self.keys.page(ending.id), *([self.keys.digests(ending.digest)] if ending.digest else [])]
        return self._call("commit", [*own, *keys], args, replies.committed)

    def commit(self, ending: Ending) -> Accepted:
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
    ) -> Call:
        """Try a page again later; it goes to the tail of its queue, its host rests *alone_ms* if it is alone there.

        *respelled* is the same URL in another spelling (of the same id and host), by which it is tried next.
        """
        entry = b"" if respelled is None else respelled.place()[1]
        return self._call("retry", [], [lease.token, lease.what, event, rest_ms, charge, alone_ms, entry], replies.ok)

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
        tallies: Mapping[str, int] = MappingProxyType({}),
    ) -> Call:
        """End a robots lease: with event `ok` the zlib *text* holds for *ttl* seconds; with another the host rests."""
        delay = "" if crawl_delay is None else _ms(crawl_delay)
        args: Args = [lease.token, lease.what, lease.scheme, event, text, _ms(ttl), delay, rest_ms, ip]
        args += (part for tally in tallies.items() for part in tally)
        return self._call("robots", [self.keys.robots(lease.origin)], args, replies.ok)

    def robots(self, lease: Lease, event: Event, *, text: bytes = b"", ttl: float = 86_400.0) -> None:
        """`robots_call`, sent alone; raises LeaseLost, which is harmless."""
        self.run_one(self.robots_call(lease, event, text=text, ttl=ttl))

    def revive(self, requests: Sequence[Request]) -> int:
        """Put dead letters back into their queues, at most MOST_REVIVED a call; how many there were."""
        _at_most(len(requests), MOST_REVIVED)
        keys: list[str] = []
        args: Args = []
        for request in requests:
            host, entry = request.place()
            keys.append(self.keys.page(self.id(request.url)))
            args += self.id(request.url), host, entry
        return int(self.run_one(self._call("revive", keys, args, lambda r: int(replies.ok(r)[1]))))

    def drain(self, exported: Sequence[Exported]) -> int:
        """Free records that were exported, at most MOST_DRAINED a call, but for their stubs; how many there were.

        Safe to repeat. A page that was committed again since stays whole; a dead letter keeps its record.
        """
        _at_most(len(exported), MOST_DRAINED)
        keys = [self.keys.page(one.id) for one in exported]
        args: Args = [part for one in exported for part in (one.at, one.id, one.stub.encode() if one.stub else b"")]
        return int(self.run_one(self._call("drain", keys, args, lambda r: int(replies.ok(r)[1]))))

    # -- traps ---------------------------------------------------------------------------------------------------------

    def weigh_call(self, weights: Sequence[Weight]) -> Call:
        """Count what pages of templates held; the result is which are quarantined from now on."""
        keys: list[str] = []
        args: Args = []
        for weight in weights:
            keys += self.keys.template(weight.id), self.keys.prints(weight.id)
            args += weight.template, len(weight.prints), *weight.prints
        return self._call("weigh", keys, args, lambda r: Barren(tuple(t.decode() for t in replies.ok(r)[1:])))

    def weigh(self, weights: Sequence[Weight]) -> Barren:
        """`weigh_call`, sent alone."""
        result: Barren = self.run_one(self.weigh_call(weights))
        return result

    def pardon(self, template: str, template_id: str) -> bool:
        """Let the URLs of a quarantined template be fetched again; false where it is not quarantined."""
        return bool(
            self.run_one(
                self._call("pardon", [self.keys.template(template_id)], [template], lambda r: replies.ok(r)[1])
            )
        )

    # -- mending -------------------------------------------------------------------------------------------------------

    def mend(self, part: Literal["leases", "hosts", "counts"], values: Sequence[bytes | int]) -> tuple[int, int]:
        """Put one part right (see mend.lua, and `mending.mend`, which does all of it): how much of it was wrong.

        Beside it: of hosts how many entries they hold, of counts how many URLs are lost.
        """
        result: tuple[int, int] = self.run_one(
            self._call("mend", [], [part, *values], lambda r: (replies.ok(r)[1], r[2]))
        )
        return result

    # -- the crawl as a whole ------------------------------------------------------------------------------------------

    def configure(self, settings: bytes, limits: Limits, max_time: float | str | None = "-") -> None:
        """Change settings; *max_time* in seconds from now, None for no limit, "-" to leave it."""
        until = "-" if max_time == "-" else "" if max_time is None else str(_ms(float(max_time)))
        changed: Mapping[str, str | bytes] = {"settings": settings, **limits.fields()}
        self.run_one(self._call("configure", [], [until, *(p for kv in changed.items() for p in kv)], replies.ok))

    def state_call(self) -> Call:
        """What the crawl is at."""
        return self._call("state", [], [], replies.state)

    def state(self) -> State:
        """`state_call`, sent alone."""
        result: State = self.run_one(self.state_call())
        return result

    def done(self) -> bool:
        """Nothing is left to do: read twice, so that a URL between two places is not missed."""
        first = self.state()
        return first.idle and (second := self.state()).idle and first.accepted == second.accepted

    def pause(self) -> None:
        """Hand out nothing more until `resume`; what is in flight ends."""
        self.run_one(self._call("pause", [], [], replies.ok))

    def resume(self) -> None:
        """Hand out URLs again."""
        self.run_one(self._call("resume", [], [], replies.ok))

    def delete(self) -> None:
        """Refuse all from now on; `Ledger.sweep` then takes the keys away."""
        self.run_one(self._call("delete", [], [], replies.ok))

    def beat_call(self, worker: str, text: bytes) -> Call:
        """Say what *worker* is doing (JSON); an empty text takes it off the list."""
        return self._call("beat", [], [worker, text], replies.ok)

    def beat(self, worker: str, text: bytes) -> None:
        """`beat_call`, sent alone."""
        self.run_one(self.beat_call(worker, text))

    def wait(self, seconds: float) -> None:
        """Block until a hint says that a host became ready, at most *seconds*; only a hint."""
        self.link.wait(self.keys.wake, seconds)


def new_call() -> str:
    """A name for one call of `lease`: 64 random bits, never a counter (a counter rolls back with Redis)."""
    return secrets.token_hex(8)


def _form_words(form: Form) -> str:
    return " ".join(field.name for field in fields(form) if getattr(form, field.name))


def _form_of(words: str) -> Form:
    return Form(**dict.fromkeys(words.split(), True))


def _salt_of(text: str | None) -> bytes:
    """Without it every URL would have another id, and be fetched again."""
    salt = bytes.fromhex(text or "")
    if not salt:
        raise ValueError("its salt is missing")
    return salt


def _of_another_version(crawl: str, schema: str | None) -> DamagedCrawl:
    return DamagedCrawl(
        f"crawl {crawl!r} was made by another version of this program (its format is {schema!r:.20}, ours '{SCHEMA}'):"
        " use that version, or `crawler delete` it"
    )


def site_key(host: str) -> str:
    """The site under which a host's budgets are counted; "" for one that is a site by itself and has no others."""
    site = site_of_host(host)
    return "" if site == host and (":" in host or "." not in host or host.replace(".", "").isdigit()) else site


def _at_most(n: int, most: int) -> None:
    if n > most:
        raise ValueError(f"{n} requests in one call: at most {most}, more go into further calls")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
