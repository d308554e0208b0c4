"""What the property test's machine stands on: calls that are held against the model, and checks after every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar, Final, get_args
from zlib import crc32

from hypothesis.stateful import RuleBasedStateMachine, invariant

from crawler.errors import CrawlDeleting, FrontierError, LeaseLost, NoCrawl
from crawler.frontier.messages import Accepted, CrawlState, Lease, Leased, Limits, OfHost, Quarantined
from crawler.frontier.redis.connection import Call, Connection
from crawler.frontier.shards.outbox import site_key
from crawler.record import Request
from tests.frontier.crawls import BEGIN, Crawl
from tests.frontier.model import MANY_HOSTS, Host, Model, Put, Reply
from tests.frontier.snapshot import Snapshot

MAX_KNOWN: Final = 40
OWN_SLOTS: Final = 2
"""The most that a test gives a host by a setting of its own."""
TARGETS: Final = (7, 8, 13)
"""Numbers of requests that ask for what is a page as well; one is another target's URL."""
HOSTS: Final = ("a.example", "w.b.example:8080", "b.example")
ODD_VIA: Final = str(int.from_bytes(b"\x0a \x00\x0d\xff %1", "big") >> 1)
"""An id whose bytes would hurt whoever splits or prints entries."""
STATUS: Final = {LeaseLost: "LEASE_LOST", CrawlDeleting: "DELETING", NoCrawl: "NO_CRAWL"}


def _request(n: int) -> Request:
    scheme, is_target = "https" if n // 3 % 2 else "http", n in TARGETS
    return Request(
        f"{scheme}://{HOSTS[n % 3]}/{n - 6 if is_target else n}?q=%0A",
        n * 20 % 256,
        n % 4,
        ODD_VIA if n % 2 else "0",
        n % 5 == 0,
        first=n % 7 == 3,
        target=is_target,
        get=n == TARGETS[0],
    )


POOL: Final = tuple(map(_request, range(24)))


def _parts(host: Host) -> dict[str, list[tuple[str, bytes]]]:
    parts = {str(priority): queue for priority, queue in enumerate(host.queues)}
    return {**parts, "packed": list(chain.from_iterable(host.packed)), "tail": host.tail}


class CheckedMachine(RuleBasedStateMachine):
    """A crawl, its model, and what its clients know and have sent."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.link = Connection(self.url)
        self.link.client.flushdb()
        self.known: list[Lease] = []
        self.sent: list[tuple[Callable[[], Reply], Callable[[], Reply]]] = []
        self.lease_calls: dict[str, tuple[Callable[[], Reply], Callable[[], Reply]]] = {}
        self.packings: list[tuple[Callable[[], Reply], Callable[[], Reply]]] = []
        self.sound = True
        """No check has failed so far; else teardown says nothing, so that the first failure is told."""
        self.last_leased: dict[str, tuple[int, int, str]] = {}
        """Host -> when it was last given out to be asked, its delay then, in ms, and the lease's token."""
        self.dues: dict[str, int] = {}
        self.flooded: set[str] = set()
        """Hosts that were handed out as unreachable: these alone may exceed their slots."""

    def begin(self, limits: Limits) -> None:
        """Make the crawl and its model; a host with five URLs has three levels of `seen`."""
        self.crawl = Crawl(self.link, limits)
        self.link.client.hset(self.crawl.frontier.keys.meta, "seen_set", 3)
        self.frontier = self.crawl.frontier
        self.model = Model(limits, BEGIN)
        self.origin = {self.frontier.id_of(request): request.place() for request in POOL}

    def crowd(self, site: str) -> None:
        """Let *site* have many hosts, as if those that nothing else is known of were there."""
        self.link.client.hset(self.frontier.keys.sites, f"{site} hosts", 2 * MANY_HOSTS)
        self.link.client.hset(self.frontier.keys.meta, "crowds", 1)
        self.model.sites[site], self.model.crowds = (0, 2 * MANY_HOSTS), True

    # -- sending -------------------------------------------------------------------------------------------------------

    def _do(self, act: Callable[[], Reply], expect: Callable[[], Reply]) -> Reply:
        self.sent = [*self.sent[-19:], (act, expect)]
        return self._compare(act, expect)

    def _compare(self, act: Callable[[], Reply], expect: Callable[[], Reply]) -> Reply:
        self.sound = False
        got = act()
        wanted = expect()
        assert got == wanted, f"{got} is not {wanted}"
        self.sound = True
        return got

    def _send(self, call: Call[Any], expect: Callable[[], Reply]) -> Reply:
        return self._do(lambda: self._told(self.frontier.run([call])[0]), expect)

    def _told(self, result: Any) -> Reply:
        """A result of the frontier as the model's replies are written."""
        match result:
            case FrontierError():
                return (STATUS[type(result)],)
            case Accepted(new, seen, over, left_out):
                return "OK", new, seen, over, left_out
            case Quarantined(templates):
                return "OK", *templates
            case CrawlState():
                numbers = result.accepted, result.queued, result.leased, result.ended, result.sources
                return "OK", result.state, *numbers, result.wait_ms, result.held
            case Leased():
                return self._told_leases(result)
            case frozenset() | int():
                return "OK", result
            case tuple():
                return "OK", *result
        return ("OK",)

    def _told_leases(self, leased: Leased) -> Reply:
        self._check_politeness(leased.leases)
        self.known = [*self.known, *leased.leases][-MAX_KNOWN:]
        numbers = leased.accepted, leased.queued, leased.leased, leased.ended, leased.sources
        rows = [
            (x.token, x.kind, x.host, x.raw, x.robots_rev, x.delay_ms, x.trouble, x.standing, x.cause, x.no_validators)
            for x in leased.leases
        ]
        return leased.status, leased.wait_ms, *numbers, leased.held, rows

    def _attempt(self, method: Callable[..., Any], *args: Any) -> Callable[[], Reply]:
        def act() -> Reply:
            try:
                return self._told(method(*args))
            except FrontierError as error:
                return self._told(error)

        return act

    def _puts(self, requests: Sequence[Request]) -> list[Put]:
        return [self._put_of(request) for request in requests]

    def _put_of(self, request: Request) -> Put:
        host, entry = request.place()
        first = request.first and not request.sitemap
        return Put(self.frontier.id_of(request), host, 0 if request.sitemap else 1, entry, site_key(host), first)

    def _known(self, n: int, kind: str = "") -> Lease | None:
        """The n-th latest lease that a client was given: one that is held, or one that may have ended long ago."""
        given = [lease for lease in reversed(self.known) if kind in ("", lease.kind)]
        held = [lease for lease in given if lease.token in self.model.leases]
        leases = held if held and n < 16 else given
        return leases[n % len(leases)] if leases else None

    @staticmethod
    def _what(lease: Lease) -> tuple[str, str, bytes]:
        return lease.kind, lease.host, lease.raw

    # -- what must hold ------------------------------------------------------------------------------------------------

    @invariant()
    def holds(self) -> None:
        self.sound = False
        shot = Snapshot.take(self.link.client, self.crawl.name, self.model.now)
        shot.check()
        self._check_places(shot)
        self._check_hosts(shot)
        self._check_against_model(shot)
        assert not self.frontier.state().odd
        self.sound = True

    def _check_politeness(self, leases: Sequence[Lease]) -> None:
        """By what was handed out alone: no two new leases of a host are closer than its delay."""
        for lease in leases:
            if lease.unreachable:
                self.flooded.add(lease.host)
            elif lease.token not in self.model.leases:
                when, gap, _ = self.last_leased.get(lease.host, (0, 0, ""))
                assert self.model.now - when >= gap
                self.last_leased[lease.host] = self.model.now, lease.delay_ms, lease.token

    def nothing_was_sent(self, lease: Lease) -> None:
        """The lease ends unsent: the next one of its host may come at once, if this was the latest."""
        if self.last_leased.get(lease.host, (0, 0, ""))[2] == lease.token:
            self.last_leased[lease.host] = 0, 0, ""
            self.dues.pop(lease.host, None)

    def _check_places(self, shot: Snapshot) -> None:
        """Each accepted id is in one place; its entry is as it was put, but for the first byte."""
        ids = {(host, entry[1:3], entry[4:]): url_id for url_id, (host, entry) in self.origin.items()}
        places = [ids[host, entry[1:3], entry[4:]] for host, entry in shot.entries()] + list(shot.ended)
        assert sorted(places) == sorted(shot.seen)

    def _check_hosts(self, shot: Snapshot) -> None:
        for name in shot.hosts:
            due = shot.number(name, "due")
            assert due >= self.dues.get(name, 0)
            self.dues[name] = due
            assert name in self.flooded or shot.number(name, "in_flight") <= max(self.model.limits.per_host, OWN_SLOTS)
        for name, host in self.model.hosts.items():
            told = {
                key: shot.number(name, key) for key in ("due", "in_flight", "accepted", "seen", "robots_rev", "delay")
            }
            assert told == {key: getattr(host, key) for key in told}
            assert shot.number(name, "latency") == (host.latency or 0)
            assert shot.hosts[name].get("undo") == host.undo
            own = {setting: shot.hosts[name].get(f"own_{setting}") for setting in get_args(OfHost)}
            assert {setting: int(value) for setting, value in own.items() if value is not None} == host.own
            assert (shot.number(name, "done"), shot.number(name, "errors")) == (host.done, host.errors)
            assert ("blocked" in shot.hosts[name], shot.hosts[name].get("trouble", "")) == (host.blocked, host.trouble)
            assert (shot.number(name, "answers"), "late" in shot.hosts[name]) == (host.answers, host.late)
            assert shot.hosts[name].get("site", name) == host.site
            assert shot.hosts[name].get("failing_since") == (
                None if host.failing_since is None else str(host.failing_since)
            )

    def _check_against_model(self, shot: Snapshot) -> None:
        model = self.model
        assert int(shot.meta.get("visit_ms", 0)) == model.visit_ms
        assert shot.ready == model.ready
        assert shot.queues == {
            (name, part): [entry for _, entry in queue]
            for name, host in model.hosts.items()
            for part, queue in _parts(host).items()
            if queue
        }
        assert shot.segments == {name: list(map(len, host.packed)) for name, host in model.hosts.items() if host.packed}
        assert {
            token: (x.kind, x.priority, x.worker, x.host, x.entry, x.deadline) for token, x in shot.leased.items()
        } == {token: (x.kind, x.priority, x.worker, x.host, x.entry, x.deadline) for token, x in model.leases.items()}
        assert {url_id: (state.outcome, state.token) for url_id, state in shot.states.items()} == {
            url_id: (outcome, crc32(token.encode())) for url_id, (outcome, token) in model.states.items()
        }
        assert shot.ended.keys() == model.ended.keys()
        assert [url_id for _, url_id in shot.records] == [url_id for _, url_id in model.committed]
        assert {url_id for url_id, page in shot.pages.items() if "at" in page} == set(model.latest)
        assert {url_id for url_id, page in shot.pages.items() if "fat" in page} == set(model.beside)
        assert {url_id for url_id, page in shot.pages.items() if "f" in page} == model.has_failed
        assert shot.links == model.links
        assert shot.digests == model.digests
        assert shot.failed == model.failed
        assert (shot.seen, shot.roots, shot.sources) == (model.seen, model.roots, model.sources)
        assert shot.host_settings == {" ".join(of): str(value) for of, value in model.host_settings.items()}
        assert (shot.blocked, shot.counters.get("held", 0)) == (model.blocked, model.held)
        assert shot.failing == {
            name: host.trouble_ms
            for name, host in model.hosts.items()
            if host.trouble and (host.queued or host.in_flight)
        }
        assert {i: state.target for i, state in shot.states.items() if state.target} == model.targets
        for name in ("refused:budget", "refused:site-budget", "refused:site-hosts", "refused:blocked", "drained"):
            assert shot.counters.get(name, 0) == model.counters[name]
        assert {i: state.copy_of for i, state in shot.states.items() if state.copy_of} == model.duplicates
        assert {i: state.similarity for i, state in shot.states.items() if state.is_noted} == model.noted
        assert list(shot.near.values()) == [shot.noted] * len(shot.near)
        assert bool(shot.near) == bool(model.noted)
        near = {i: str(int.from_bytes(page["n"], "big")) for i, page in shot.pages.items() if "n" in page}
        assert near.items() <= model.near.items()  # a page that was drained has none
        assert all("at" not in shot.pages.get(url_id, {}) for url_id in model.near.keys() - near.keys())
        assert shot.sites == model.sites
        assert shot.ips == Counter(x for out in model.leases.values() for x in (out.ip, out.group) if x)
        assert (shot.busy, shot.starts) == (model.busy, model.starts)
        facts: dict[str, Mapping[str, object]] = {"cost": model.costs, "ip": model.site_ips, "probe": model.probes}
        assert shot.site_facts == {f"{site} {what}": str(x) for what, of in facts.items() for site, x in of.items()}
        assert shot.traps == {name for name, x in model.templates.items() if x.state == "quarantined"}
        outcomes = {outcome for outcome, _ in model.ended.values()}
        assert {name: n for name, n in shot.counters.items() if name.startswith("outcome:") and n} == {
            f"outcome:{outcome}": sum(outcome == x for x, _ in model.ended.values()) for outcome in outcomes
        }
