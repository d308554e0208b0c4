"""The property test's machine: clients, deaths, late and repeated calls in any order, each step held against the model.

The clients are of no trust: they forget leases, send calls twice or long after, and end leases that they lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, cast
from unittest import mock

import hypothesis.strategies as st
from hypothesis.stateful import initialize, rule

from crawler.frontier import segment as segments
from crawler.frontier import visits
from crawler.frontier.messages import Commit, Event, Lease, Limits, Shares, TemplateSample
from crawler.frontier.repair import host_names, repair
from crawler.frontier.shards import reader
from crawler.frontier.shards.outbox import site_key
from crawler.record import Charge, Request, is_revisit
from tests.frontier.checked import HOSTS, POOL, CheckedMachine
from tests.frontier.crawls import record_of, state_of
from tests.frontier.model import FINAL_ANSWERS, Mode
from tests.frontier.states import ended

TERM_MS: Final = 20_000
WORKERS: Final = ("ann", "bob", "cyd")
PAGE_EVENTS: Final[tuple[Event, ...]] = ("ok", "ok", "none", "unsent", "slow", "fail", "stall", "dead", "late")
ROBOTS_EVENTS: Final[tuple[Event, ...]] = (
    *("ok", "ok", "robots", "dead", "untrusted", "fail", "hang", "crash", "crash", "late"),
)
OUTCOMES: Final = (
    *("fetched", "fetched", "redirected", "redirected", "missing", "denied"),
    *("dropped:robots", "dropped:trap", "dropped:scope", "failed:http", "failed:dns"),
)
TROUBLES: Final = st.sampled_from(("", "", "http 503 Service Unavailable", "connect refused"))
BLOCKABLE: Final = st.lists(
    st.sampled_from((*HOSTS, "*.b.example", "*.example", "x.example")), min_size=1, max_size=2, unique=True
)
ADDRESSES: Final = ("", "192.0.2.1", "192.0.2.2")
TEMPLATES: Final = ("a.example/cal?d=*", "b.example/0")
numbers = st.integers(0, 23)
few = st.integers(1, 4)
MOMENTS: Final = st.sampled_from((1, 999, 1000, 1000, 2500, 2500, TERM_MS, 70_000))
SITES: Final = st.lists(
    st.tuples(st.sampled_from(("a.example", "b.example")), st.integers(1, 3), st.integers(0, 1)),
    max_size=2,
    unique_by=lambda site: site[0],
)
SHARES: Final = st.integers(0, 6).map(Shares.any) | st.builds(
    Shares,
    want=st.integers(0, 4),
    new=st.integers(0, 2),
    failing=st.integers(0, 2),
    most=st.integers(0, 6),
    reserve=st.integers(0, 2),
    most_new=st.integers(0, 6),
    half=st.integers(1, 3),
    sees_addresses=st.booleans(),
    sites=SITES,
)
HANDLING: Final = st.sampled_from((0, 0, 0, 150, 2_000))


class FrontierMachine(CheckedMachine):
    """Rules are what clients do; `now` moves by `advance` alone."""

    @initialize(
        delay=st.sampled_from((0, 1000)),
        per_host=st.integers(1, 3),
        robots=st.booleans(),
        max_pages=st.sampled_from((None, None, 6)),
        of_host=st.sampled_from((None, None, 3)),
        patience=st.sampled_from((0, 2_000, 60_000)),
        more=st.fixed_dictionaries(
            {
                "adaptive": st.sampled_from((0.0, 1.0, 2.5)),
                "max_pages_per_site": st.sampled_from((None, None, 5)),
                "max_hosts_per_site": st.sampled_from((None, None, 1)),
                "per_ip": st.sampled_from((None, None, 1, 2)),
                "overflow": st.sampled_from((8_192, 1, 2)),
            }
        ),
        crowded=st.booleans(),
    )
    def create(
        self,
        delay: int,
        per_host: int,
        robots: bool,
        max_pages: int | None,
        of_host: int | None,
        patience: int,
        more: dict[str, Any],
        crowded: bool,
    ) -> None:
        self.begin(Limits(delay, per_host, robots, max_pages, of_host, patience, **more))
        if crowded:
            self.crowd("b.example")
        self.put(0, 6, False)

    # -- seeding -------------------------------------------------------------------------------------------------------

    @rule(first=numbers, n=st.integers(1, 6), seeded=st.booleans())
    def put(self, first: int, n: int, seeded: bool) -> None:
        requests = [POOL[(first + k) % len(POOL)] for k in range(n)]
        source = "seeder" if seeded else ""
        roots = [requests[0].place()[0]]
        call = self.frontier.put_call(requests, source=source, term=30.0, roots=roots)
        self._send(call, partial(self.model.put, self._puts(requests), source, 30_000, roots))

    @rule(opened=st.booleans())
    def source(self, opened: bool) -> None:
        if opened:
            self._do(self._attempt(self.frontier.open, "seeder", 5.0), partial(self.model.source, "seeder", 5_000))
        else:
            self._do(self._attempt(self.frontier.close, "seeder"), partial(self.model.source, "seeder", None))

    # -- leasing -------------------------------------------------------------------------------------------------------

    @rule(shares=SHARES, worker=st.sampled_from(WORKERS))
    def lease(self, shares: Shares, worker: str) -> None:
        name = f"{len(self.lease_calls):016x}"
        call = self.frontier.lease_call(name, shares, TERM_MS / 1000, worker)
        self._send(call, partial(self.model.lease, name, shares, TERM_MS, worker))
        self.lease_calls[name] = self.sent[-1]

    @rule(worker=st.sampled_from(WORKERS), stranger=st.booleans())
    def extend(self, worker: str, stranger: bool) -> None:
        tokens = [token for token, out in self.model.leases.items() if out.worker == worker]
        tokens += ["0123456789abcdef:1"] * stranger + [lease.token for lease in self.known[:2]]
        self._send(self.frontier.extend_call(tokens, 20.0), partial(self.model.extend, tokens, 20_000))

    # -- ending --------------------------------------------------------------------------------------------------------

    @rule(
        n=numbers,
        outcome=st.sampled_from(OUTCOMES),
        event=st.sampled_from(PAGE_EVENTS),
        rest_ms=st.sampled_from((0, 0, 1500)),
        first=numbers,
        links=st.integers(0, 3),
        more=st.fixed_dictionaries(
            {
                "digested": st.booleans(),
                "similar": st.integers(0, 3),
                "latency_ms": st.sampled_from((None, 200, 4_000)),
                "ip": st.sampled_from(ADDRESSES),
                "handling_ms": HANDLING,
                "trouble": TROUBLES,
                "no_validators": st.booleans(),
                "visit": st.sampled_from(("new", "same", "keeps")),
                "changed": st.booleans(),
                "named": st.sampled_from((None, None, b"", b"\x01 named", b"\x01 others")),
            }
        ),
    )
    def commit(
        self, n: int, outcome: str, event: Event, rest_ms: int, first: int, links: int, more: dict[str, Any]
    ) -> None:
        lease = self._known(n, "P")
        if lease is not None:
            requests = [POOL[(first + k) % len(POOL)] for k in range(links)]
            self._commit(lease, outcome, event, rest_ms, requests, **more)

    def _commit(
        self,
        lease: Lease,
        outcome: str,
        event: Event,
        rest_ms: int = 0,
        requests: Sequence[Request] = (),
        *,
        digested: bool = False,
        similar: int = 0,
        latency_ms: int | None = None,
        ip: str = "",
        handling_ms: int = 0,
        trouble: str = "",
        no_validators: bool = False,
        visit: Mode = "new",
        changed: bool = False,
        named: bytes | None = None,
    ) -> None:
        request = lease.entry().request
        url, url_id = request.url, self.frontier.id_of(request)
        outcome = "checked" if request.target and outcome == "fetched" else outcome
        number = int(url.rpartition("/")[2].partition("?")[0]) + changed
        digest = str(number % 2 + 7) if digested else ""  # others have the same content
        # two kinds of text; those of one kind are near each other
        similarity = (-(number % 2) & (1 << 64) - 1) ^ similar if similar and outcome == "fetched" else None
        target = self.frontier.id_of(requests[0]) if outcome == "redirected" and requests else ""
        before = self.crawl.crawldb.records.state(url_id) if is_revisit(lease.raw) else None
        is_bad = outcome.startswith("failed") or outcome in ("dropped:trap", "dropped:scope")
        mode = "new" if before is None or target else "keeps" if visit == "keeps" else "same" if not is_bad else "new"
        mode = "same" if outcome == "checked" else mode if visit != "new" else "new"
        stays = before if mode != "new" else None
        state = state_of(
            lease,
            outcome,
            target=target or None,
            similarity=similarity if stays is None else stays.similarity,
            digest=int(digest or 0) << 1 if stays is None else stays.digest,
            is_gone=mode == "new" and not digest,
        )
        ending = Commit(
            lease,
            url_id,
            state,
            None if mode == "same" else record_of(url, outcome),
            event=event,
            rest_ms=rest_ms,
            requests=requests,
            digest=digest if mode == "new" else "",
            similarity=similarity if mode == "new" else None,
            latency_ms=latency_ms,
            ip=ip,
            handling_ms=handling_ms,
            trouble=trouble,
            no_validators=no_validators,
            loop=record_of(url, "failed:redirect-loop") if target else b"",
            before=before,
            keeps=mode == "keeps",
            links=named,
            tallies={"visit:fetched": 1} if outcome in FINAL_ANSWERS and not request.target else {},
        )
        if event == "unsent":
            self.nothing_was_sent(lease)
        end = partial(self.model.commit, lease.token, self._what(lease), url_id, outcome)
        expect = partial(end, event=event, rest_ms=rest_ms, puts=self._puts(requests), handling=handling_ms)
        expect = partial(expect, trouble=trouble, target=target, similarity=similarity, mode=mode, gone=state.is_gone)
        expect = partial(expect, no_validators=no_validators, links=named, counts=not request.target)
        self._send(self.frontier.commit_call(ending), partial(expect, digest=digest, latency=latency_ms, ip=ip))

    @rule(
        n=numbers,
        event=st.sampled_from(PAGE_EVENTS),
        charge=st.sampled_from((Charge.NONE, Charge.RETRY, Charge.CRASH)),
        rest_ms=st.sampled_from((0, 2500)),
        alone_ms=st.sampled_from((0, 4000)),
        trouble=TROUBLES,
    )
    def retry(self, n: int, event: Event, charge: int, rest_ms: int, alone_ms: int, trouble: str) -> None:
        lease = self._known(n)
        if lease is None:
            return
        options = {"charge": charge, "rest_ms": rest_ms, "alone_ms": alone_ms, "trouble": trouble}
        end = partial(self.model.retry, lease.token, self._what(lease), event)
        self._send(self.frontier.retry_call(lease, event, **options), partial(end, **options))

    @rule(
        n=numbers,
        event=st.sampled_from(ROBOTS_EVENTS),
        ttl=st.sampled_from((3, 86_400)),
        delay=st.sampled_from((None, None, 2)),
        rest_ms=st.sampled_from((0, 1000)),
        more=st.fixed_dictionaries({"ip": st.sampled_from(ADDRESSES), "trouble": TROUBLES}),
    )
    def robots(self, n: int, event: Event, ttl: int, delay: int | None, rest_ms: int, more: dict[str, str]) -> None:
        lease = self._known(n, "R")
        if lease is None:
            return
        call = self.frontier.robots_call(lease, event, text=b"x", ttl=ttl, crawl_delay=delay, rest_ms=rest_ms, **more)
        end = partial(self.model.robots, lease.token, self._what(lease), event)
        ms = None if delay is None else delay * 1000
        self._send(call, partial(end, ttl=ttl * 1000, delay=ms, rest_ms=rest_ms, **more))

    @rule(n=numbers, of=few)
    def release(self, n: int, of: int) -> None:
        leases = [lease for lease in map(self._known, range(n, n + of)) if lease is not None]
        tokens = list(dict.fromkeys(lease.token for lease in leases))
        self._send(self.frontier.release_call(tokens), partial(self.model.release, tokens))

    @rule(worker=st.sampled_from(WORKERS), handling=st.integers(0, 3))
    def die(self, worker: str, handling: int) -> None:
        """A worker dies; its pool charges what it was handling and releases the rest."""
        leases = self.crawl.crawldb.leases_of(worker)
        assert {x.token for x in leases} == {token for token, x in self.model.leases.items() if x.worker == worker}
        pages = [lease for lease in leases if lease.kind == "P"]
        handled = pages[handling] if handling < len(pages) else None
        if handled is not None:
            call = self.frontier.retry_call(handled, "none", charge=Charge.CRASH)
            end = partial(self.model.retry, handled.token, self._what(handled), "none")
            self._send(call, partial(end, rest_ms=0, charge=Charge.CRASH, alone_ms=0))
        tokens = [lease.token for lease in leases if lease is not handled]
        self._send(self.frontier.release_call(tokens), partial(self.model.release, tokens))

    @rule(most=st.sampled_from((1, 2, 50)))
    def reap(self, most: int) -> None:
        self._send(self.frontier.reap_call(most), partial(self.model.reap, most))

    @rule(first=numbers, n=st.integers(1, 6), ago=st.sampled_from((0, 0, 1, 70_000)))
    def revive(self, first: int, n: int, ago: int = 0) -> None:
        requests = [POOL[(first + k) % len(POOL)] for k in range(n)]
        requests += [request for request in POOL if self.frontier.id_of(request) in self.model.failed][:n]
        latest = self.model.now - ago
        expect = partial(self.model.revive, self._puts(requests), latest)
        self._do(self._attempt(self.frontier.revive, requests, latest), expect)

    @rule(first=numbers, n=st.integers(1, 6), visit=st.integers(1, 4))
    def revisit(self, first: int, n: int, visit: int) -> None:
        """A sweeper has found URLs due, in a visit that it has begun."""
        shard = self.frontier.shard
        self._send(visits.begin_visit(shard, visit, None), partial(self.model.begin_visit, visit))
        over = [request for request in POOL if self.frontier.id_of(request) in self.model.ended]
        picked = dict.fromkeys(over[(first + k) % len(over)] for k in range(n)) if over else {}
        due = [ended(self.crawl, request.url, target=request.target) for request in picked]
        puts = self._puts([request for _, request in due])
        read = [self.model.ended[put.id] for put in puts]
        self._send(visits.revisit(shard, due), partial(self.model.revisit, puts, read))

    @rule(first=numbers, n=st.integers(1, 6), late=st.booleans())
    def drain(self, first: int, n: int, late: bool) -> None:
        """An export frees what it has written; while it was writing, dead letters may have been tried again."""
        if late and (lease := self._known(first, "P")) is not None:
            self._commit(lease, "failed:http", "ok")
        found, entries = self.crawl.crawldb.records.exported("0-0", "+")[0], list(self.model.committed)
        if late:
            self.revive(first, n)
            self._move(70_000)
            self.work(3, "ann", first, 0, 1000)
        else:
            at = first % max(len(found) - n, 1)
            found, entries = found[at : at + n], entries[at : at + n]
        self._do(self._attempt(self.frontier.drain, found), partial(self.model.drain, entries))

    # -- long queues ---------------------------------------------------------------------------------------------------

    @rule(host=st.sampled_from(HOSTS), most=st.sampled_from((1, 2, 9)))
    def pack(self, host: str, most: int) -> None:
        """As many as a worker may have found in the tail, by the time that it has packed them."""
        entries = cast(list[bytes], self.link.client.lrange(self.frontier.keys.queue(host, "tail"), 0, most - 1))
        if entries:
            self._send(self.frontier.pack_call(host, entries), partial(self.model.pack, host, entries))
            self.packings.append(self.sent[-1])

    @rule(host=st.sampled_from(HOSTS))
    def unpack(self, host: str) -> None:
        segment = cast(bytes | None, self.link.client.lindex(self.frontier.keys.queue(host, "packed"), 0))
        if segment is not None:
            expect = partial(self.model.unpack, host, segments.decode(segment))
            self._send(self.frontier.unpack_call(host, segment), expect)
            self.packings.append(self.sent[-1])

    @rule(back=st.integers(0, 5))
    def tidy(self, back: int) -> None:
        """All that is due; another worker does some of it once more, or comes too late."""
        for host in HOSTS:
            self.pack(host, 9)
            self.unpack(host)
        for act, expect in self.packings[-1 - back :][:2]:
            self._compare(act, expect)

    # -- blocked hosts -------------------------------------------------------------------------------------------------

    @rule(names=BLOCKABLE, found=st.booleans())
    def block(self, names: list[str], found: bool) -> None:
        """One that dies between its two calls has not *found* the hosts; nor has one that comes before they are met."""
        self._send(self.frontier.block_call(names), partial(self.model.block, names, ()))
        if found:
            self._send(self.frontier.block_call(names, HOSTS), partial(self.model.block, names, HOSTS))

    @rule(names=BLOCKABLE, found=st.booleans())
    def unblock(self, names: list[str], found: bool) -> None:
        self._send(self.frontier.unblock_call(names), partial(self.model.unblock, names, ()))
        if found:
            self._send(self.frontier.unblock_call(names, HOSTS), partial(self.model.unblock, names, HOSTS))

    @rule(
        names=BLOCKABLE,
        value=st.sampled_from(
            (
                ("delay", "0"),
                ("delay", "3000"),
                ("delay", ""),
                ("per_host", "2"),
                ("per_host", ""),
                ("max_pages_per_host", "3"),
                ("max_pages_per_host", ""),
            )
        ),
        found=st.booleans(),
    )
    def set_host(self, names: list[str], value: tuple[str, str], found: bool) -> None:
        options: dict[str, Any] = {"setting": value[0], "value": value[1]}
        self._send(self.frontier.set_host_call(names, **options), partial(self.model.set_host, names, (), **options))
        if found:
            call = self.frontier.set_host_call(names, HOSTS, **options)
            self._send(call, partial(self.model.set_host, names, HOSTS, **options))

    # -- traps ---------------------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(TEMPLATES), n=st.sampled_from((1, 30, 99, 100)), kinds=st.sampled_from((1, 5, 60)))
    def judge_templates(self, name: str, n: int, kinds: int) -> None:
        prints = [str(k % kinds) for k in range(n)]
        call = self.frontier.judge_templates_call([TemplateSample(name, str(TEMPLATES.index(name)), prints)])
        self._send(call, partial(self.model.judge_templates, name, prints))

    @rule(name=st.sampled_from(TEMPLATES))
    def unquarantine(self, name: str) -> None:
        unquarantine = partial(self.frontier.unquarantine, name, str(TEMPLATES.index(name)))
        self._do(self._attempt(lambda: int(unquarantine())), partial(self.model.unquarantine, name))

    # -- the crawl, time, the network ----------------------------------------------------------------------------------

    @rule(paused=st.booleans())
    def pause_or_resume(self, paused: bool) -> None:
        method = self.frontier.pause if paused else self.frontier.resume
        self._do(self._attempt(method), partial(self.model.become, "paused" if paused else "running"))

    @rule()
    def state(self) -> None:
        self._send(self.frontier.state_call(), self.model.told_state)
        for name in HOSTS:
            assert self.frontier.explain(name) == self.model.facts(name, site_key(name))

    @rule()
    def repair(self) -> None:
        """Nothing is wrong, so nothing is changed."""
        assert not repair(self.frontier.shard)
        hosts = sorted(host_names(self.frontier.shard))
        assert self.frontier.repair("hosts", hosts) == (0, 0)
        assert self.frontier.repair("entries", hosts) == (self.model.held, self.model.queued)
        counts = [self.model.queued, *self.model.numbers(), self.model.held]
        assert self.frontier.repair("counts", counts) == (0, 0)

    @rule(ms=MOMENTS)
    def advance(self, ms: int) -> None:
        self._move(ms)

    def _move(self, ms: int) -> None:
        self.crawl.set_clock(self.model.now + ms)
        self.model.now += ms

    @rule(back=st.integers(0, 9))
    def repeat(self, back: int) -> None:
        """The network delivers a call again: the last one, or an old one."""
        act, expect = self.sent[-1 - back % len(self.sent)]
        self._compare(act, expect)

    @rule(n=numbers, ends=st.booleans())
    def repeat_lease(self, n: int, ends: bool) -> None:
        """The network delivers an old call of `lease` again; then one whom it served before ends what he had."""
        lease = self._known(16 + n)
        if lease is None:
            return
        self._compare(*self.lease_calls[lease.token.partition(":")[0]])
        if ends:
            self._end_well(lease)

    @rule(turns=few, worker=st.sampled_from(WORKERS), first=numbers, kept=st.integers(0, 2), ms=MOMENTS)
    def work(self, turns: int, worker: str, first: int, kept: int, ms: int) -> None:
        """What a worker does most of the time: lease, end most leases well, and so on."""
        for turn in range(turns):
            before = {lease.token for lease in self.known}
            self.lease(Shares.any(turns), worker)
            new = [lease for lease in self.known if lease.token not in before]
            for k, lease in enumerate(new[kept:], first + turn):
                self._end_well(lease, [POOL[k % len(POOL)]], OUTCOMES[k % len(OUTCOMES)], first % 2 == 0)
            self._move(ms)

    def _end_well(
        self, lease: Lease, requests: Sequence[Request] = (), outcome: str = "fetched", digested: bool = False
    ) -> None:
        if lease.kind == "P":
            if lease.unreachable:
                self._commit(lease, "failed:connect", "none")
            else:
                event: Event = "unsent" if outcome.startswith("dropped") else "ok"
                more: dict[str, Any] = {"digested": digested, "similar": len(requests), "ip": ADDRESSES[1]}
                self._commit(lease, outcome, event, 0, requests, **more)
            return
        end = partial(self.model.robots, lease.token, self._what(lease), "ok")
        self._send(self.frontier.robots_call(lease, "ok"), partial(end, ttl=86_400_000, delay=None, rest_ms=0))

    # -- the end of every example --------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """The crawl can always be brought to its end, exported and deleted, with late calls all the while."""
        try:
            if self.sound and hasattr(self, "model"):
                self._drain()
                self.holds()
                self._check_export()
                self._delete()
        finally:
            self.link.close()

    def _drain(self) -> None:
        """To its end but for what is held, then all of it."""
        self._do(self._attempt(self.frontier.resume), partial(self.model.become, "running"))
        self._exhaust()
        names = sorted(self.model.blocked)
        self._send(self.frontier.unblock_call(names, HOSTS), partial(self.model.unblock, names, HOSTS))
        self._exhaust()

    def _exhaust(self) -> None:
        for _ in range(200):
            self.known.clear()
            self.reap(50)
            self.tidy(0)
            self.lease(Shares.any(6), "ann")
            for lease in list(self.known):
                self._end_well(lease)
            if not self.known:
                if self.model.queued - self.model.held + self.model.pages_out + len(self.model.leases) == 0:
                    break
                if self.model.limits.max_pages is not None and self.model.told_state()[1] == "limit":
                    break
                self._move(self._until_something())
        else:
            raise AssertionError("the crawl does not come to its end")
        self._move(60_000)
        done = self.model.queued == self.model.held
        assert self.frontier.done() == done

    def _until_something(self) -> int:
        """Milliseconds until a host is due or a lease is overdue."""
        moments = [*self.model.ready.values(), *(out.deadline for out in self.model.leases.values())]
        return min(moment for moment in moments if moment > self.model.now) - self.model.now

    def _check_export(self) -> None:
        """The export gives every page that was not drained once, in the order of the latest commits."""
        exported: list[str] = []
        cursor = "0-0"
        while True:
            found, after = self.crawl.crawldb.records.read(cursor, 5)
            exported += [stored.id for stored in found]
            if after == cursor:
                break
            cursor = after
        stand = (self.model.latest, self.model.beside)
        assert exported == [url_id for n, url_id in self.model.committed if n in (of.get(url_id) for of in stand)]

    def _delete(self) -> None:
        self._do(self._attempt(self.frontier.delete), partial(self.model.become, "deleting"))
        late = self.sent[-8:]
        for act, expect in late:
            self._compare(act, expect)
        with mock.patch.object(reader, "SLICE", 7):
            self.crawl.crawldb.sweep()
        for act, _ in late:
            assert act() == ("NO_CRAWL",)
        assert self.link.client.keys("crawler:*") == []
