"""The frontier in plain Python, one process, no keys: what each verb does and answers, straight from the contract.

Replies are tuples that begin with the status; times are in ms.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from crawler import url as urls
from crawler.frontier.host_facts import HostFacts
from crawler.frontier.messages import HostTrouble, Limits, OfHost, Shares
from crawler.frontier.scripts import NEAR_BITS

Reply = tuple[Any, ...]
Mode = Literal["new", "same", "keeps"]
"""A visit has a record; found nothing new; or failed, where an earlier one did not."""

CRASH: Final = 16
REVISIT: Final = 8
"""The flag of an entry whose URL has a state."""
BACK_OFF: Final = {"slow": (1_000, 300_000), "robots": (60_000, 3_600_000)}
DEAD_REST: Final = 2_000
NO_NAME_REST: Final = 20_000
"""Between the two answers, at least, by which a name does not exist."""
GIVEN_UP: Final = {"dead": 1, "untrusted": 2, "hang": 3, "crash": 4}
"""`failing_since` of a host whose name does not exist, that cannot be trusted, or whose robots.txt does harm."""
TROUBLES: Final = {1: "dns", 2: "tls", 3: "hang", 4: "crash"}
MAX_ROBOTS_CRASHES: Final = 3


@dataclass(slots=True)
class Host:
    """One host's state; `queues`, `packed` (segments) and `tail` hold (id, entry)."""

    due: int
    queues: tuple[list[tuple[str, bytes]], ...] = field(default_factory=lambda: ([], [], []))
    packed: list[list[tuple[str, bytes]]] = field(default_factory=list)
    tail: list[tuple[str, bytes]] = field(default_factory=list)
    in_flight: int = 0
    asking: bool = False
    known: dict[str, int] = field(default_factory=dict)
    """Origin -> until when its robots.txt holds."""
    robots_rev: int = 0
    delay: int = 0
    backoff: int = 0
    backoff_until: int = 0
    failing_since: int | None = None
    robots_crashes: int = 0
    no_name_since: int | None = None
    accepted: int = 0
    seen: int = 0
    latency: int | None = None
    ip: str | None = None
    answers: int = 0
    """Pages answered in a row, up to PROVEN_AFTER."""
    late: bool = False
    site: str = ""
    undo: str | None = None
    """Token of the latest lease, while its delay may be given back."""
    blocked: bool = False
    own: dict[str, int] = field(default_factory=dict)
    """Settings that count in place of the crawl's."""
    trouble: str = ""
    trouble_ms: int = 0
    done: int = 0
    errors: int = 0
    no_validators: bool = False

    @property
    def standing(self) -> str:
        if self.failing_since is not None or self.late:
            return "failing"
        return "proven" if self.answers >= PROVEN_AFTER else "new"

    @property
    def queued(self) -> int:
        return sum(map(len, (*self.queues, *self.packed, self.tail)))

    def end(self, overflow: int) -> list[tuple[str, bytes]]:
        """Where the next page goes."""
        return self.tail if self.packed or self.tail or len(self.queues[1]) >= overflow else self.queues[1]


@dataclass(slots=True)
class Out:
    """A lease that is out; of a robots lease the entry is the number of its scheme and the id is empty."""

    kind: str
    host: str
    entry: bytes
    deadline: int
    worker: str = ""
    id: str = ""
    priority: int = 0
    ip: str | None = None
    group: str | None = None

    def is_(self, what: tuple[str, str, bytes]) -> bool:
        return (self.kind, self.host, self.entry) == what


@dataclass(frozen=True, slots=True)
class Put:
    """One request: its id, host, priority and entry."""

    id: str
    host: str
    priority: int
    entry: bytes
    site: str = ""
    """Under which budgets are counted; none: the host is a site by itself."""
    first: bool = False
    """It goes to the front of its queue."""


PROVEN_AFTER: Final = 2
WINDOWS: Final = 4
PASSED_WAIT: Final = 250
BUSY_WAIT: Final = 1000
HEAVY, PARTS, LABOUR_MAX = 100, 20, 300_000
MANY_HOSTS: Final = 10
ENOUGH_PAGES: Final = 1000
ADAPTED_MAX: Final = 30_000
IP_WAIT: Final = 250
PACKED_WAIT: Final = 20
WINDOW, MIN_FRESH, MAX_PRINTS = 100, 10, 1000
MAX_REDIRECTS: Final = 20
FINAL_ANSWERS: Final = ("fetched", "missing", "denied")
"""What counts for --max-pages."""


@dataclass(slots=True)
class Look:
    """What a call of lease saw of one index."""

    due: int
    seen: int = 0
    found: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    had_turn: set[str] = field(default_factory=set)
    rests: set[str] = field(default_factory=set)
    anyone: bool | None = None


@dataclass(slots=True)
class Template:
    """What was counted of one template."""

    pages: int = 0
    fresh: int = 0
    total: int = 0
    state: str = ""
    prints: set[str] = field(default_factory=set)


def _names(host: str) -> list[str]:
    """The names that may mean a host, the nearest first."""
    labels = host.partition(":")[0].split(".")
    return [host, *(f"*.{'.'.join(labels[n:])}" for n in range(len(labels)))]


class Model:
    """One crawl. `now` is moved by the test."""

    def __init__(self, limits: Limits, now: int) -> None:
        self.limits = limits
        self.now = now
        self.state = "running"
        self.hosts: dict[str, Host] = {}
        self.leases: dict[str, Out] = {}
        self.seen: set[str] = set()
        self.ended: dict[str, tuple[str, str]] = {}
        """id -> outcome and token of its commit."""
        self.states: dict[str, tuple[str, str]] = {}
        """The same, also of URLs that were queued again since."""
        self.committed: list[tuple[int, str]] = []
        """The entries of the stream: number and id."""
        self.latest: dict[str, int] = {}
        """id -> number of its entry that stands for its record; absent once that is drained."""
        self.commits = 0
        self.failed: dict[str, int] = {}
        self.sources: dict[str, int] = {}
        self.roots: set[str] = set()
        self.counters: Counter[str] = Counter()
        self.sites: dict[str, tuple[int, int]] = {}
        """Site -> URLs accepted, hosts."""
        self.beside: dict[str, int] = {}
        """id -> number of the entry of a visit that failed, beside a good one; absent once that is drained."""
        self.has_failed: set[str] = set()
        """Ids of good pages with the record of a failed visit beside them."""
        self.contents: dict[str, str] = {}
        """Id -> the digest in its state."""
        self.digests: dict[str, str] = {}
        self.noted: dict[str, int] = {}
        """Id -> the hash of a page's text by which others find it, in the order in which they were noted."""
        self.near: dict[str, str] = {}
        """Id -> id of the page that it is near."""
        self.duplicates: dict[str, str] = {}
        """id -> id of the page that had its content before."""
        self.templates: dict[str, Template] = {}
        self.busy: dict[str, int] = {}
        self.costs: dict[str, int] = {}
        self.probes: dict[str, str] = {}
        self.starts: dict[str, int] = {}
        self.crowds = False
        self.site_ips: dict[str, str] = {}
        self.blocked: set[str] = set()
        """Names: hosts, and `*.name`."""
        self.host_settings: dict[tuple[str, str], int] = {}
        """Setting and name -> value."""
        self.visit, self.visit_ms, self.visit_fetched = 1, 0, 0
        """Number of the visit, when it began, and pages with a final answer in it."""
        self.links, self.targets = dict[str, bytes](), dict[str, str]()
        """id of a URL that redirects -> id of the URL that it redirects to."""

    # -- what can be seen ----------------------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        return sum(host.queued for host in self.hosts.values())

    @property
    def pages_out(self) -> int:
        return sum(out.kind == "P" for out in self.leases.values())

    @property
    def ready(self) -> dict[str, int]:
        """Host -> due of those that may be leased from: queued entries, a free slot, no robots lease out."""
        return {
            name: host.due
            for name, host in self.hosts.items()
            if host.queued and host.in_flight < self._slots(host) and not host.asking and not host.blocked
        }

    @property
    def held(self) -> int:
        return sum(host.queued for host in self.hosts.values() if host.blocked)

    @property
    def fetched(self) -> int:
        return self.visit_fetched

    @property
    def open_sources(self) -> int:
        return sum(deadline > self.now for deadline in self.sources.values())

    def numbers(self) -> tuple[int, int, int, int]:
        return len(self.seen), self.queued, self.pages_out, len(self.ended)

    def wait(self) -> int:
        return max(min(self.ready.values()) - self.now, 0) if self.ready else -1

    # -- seeding -------------------------------------------------------------------------------------------------------

    def source(self, name: str, term: int | None) -> Reply:
        """open, and close without a term."""
        if self.state == "deleting":
            return ("DELETING",)
        self.sources.pop(name, None)
        if term is not None:
            self.sources[name] = self.now + term
        return ("OK",)

    def put(self, puts: Sequence[Put], source: str, term: int, roots: Sequence[str]) -> Reply:
        if self.state == "deleting":
            return ("DELETING",)
        self.roots.update(roots)
        if source:
            self.sources[source] = self.now + term
        return "OK", *self._accept(puts, seeded=bool(source)), False

    def _accept(self, puts: Sequence[Put], *, seeded: bool = False) -> tuple[int, int, int]:
        """New ones within the budget of their host are queued; groups are taken by host and priority."""
        told = Counter({"new": 0, "seen": 0, "over": 0})
        groups: dict[tuple[str, int, bool], list[Put]] = {}
        for put in puts:
            groups.setdefault((put.host, put.priority, put.first), []).append(put)
        for group in groups.values():
            room, why = self._room(group[0], seeded)
            host = self.hosts.get(group[0].host)
            queue = None if host is None or group[0].first else host.end(self.limits.overflow)
            at = 0
            for put in group:
                what = "seen" if put.id in self.seen else "new" if room > 0 else "over"
                told[what] += 1
                if what == "over":
                    self.counters[f"refused:{why}"] += 1
                elif what == "new":
                    room -= 1
                    queue = self._accept_one(put, queue, at if put.first else None)
                    at += 1
        return told["new"], told["seen"], told["over"]

    def _room(self, put: Put, seeded: bool) -> tuple[float, str]:
        """How many more URLs the budgets of a host and its site allow, and the budget that ends first."""
        limits = self.limits
        if self._is_blocked(put.host):
            return 0, "blocked"
        if put.priority == 0:
            return math.inf, ""
        accepted = self.hosts[put.host].accepted if put.host in self.hosts else 0
        of_site, hosts = self.sites.get(put.site, (0, 0)) if put.site else (accepted, 0)
        is_new = put.host not in self.hosts
        room, why = math.inf, "budget"
        own = self._own(put.host) if is_new else self.hosts[put.host].own
        most = own.get("max_pages_per_host", limits.max_pages_per_host)
        if most is not None:
            room = most - accepted
        if limits.max_pages_per_site is not None and limits.max_pages_per_site - of_site < room:
            room, why = limits.max_pages_per_site - of_site, "site-budget"
        most_hosts = limits.max_hosts_per_site
        if is_new and most_hosts is not None and hosts >= most_hosts and room > 0 and not seeded:
            room, why = 0, "site-hosts"
        return room, why

    def _accept_one(self, put: Put, queue: list[tuple[str, bytes]] | None, at: int | None) -> list[tuple[str, bytes]]:
        """Queue it behind the others of its group, in *queue*: at its end, or *at* this place."""
        is_new, is_page = put.host not in self.hosts, put.priority != 0
        host = self.hosts.setdefault(put.host, Host(due=self.now, site=put.site or put.host))
        if is_new:
            host.own = self._own(put.host)
        if put.site:
            of_site, hosts = self.sites.get(put.site, (0, 0))
            self.sites[put.site] = of_site + is_page, hosts + is_new
            self.crowds |= is_new and hosts + is_new > MANY_HOSTS
        self.seen.add(put.id)
        host.accepted += is_page
        host.seen += 1
        queue = host.queues[put.priority] if put.priority != 1 or queue is None else queue
        queue.insert(len(queue) if at is None else at, (put.id, put.entry))
        return queue

    # -- leasing -------------------------------------------------------------------------------------------------------

    def lease(self, call: str, shares: Shares, term: int, worker: str) -> Reply:
        in_all = max(shares.want + shares.failing, shares.most)
        tokens = [f"{call}:{n}" for n in range(1, in_all + 1)]
        held = [token for token in tokens if token in self.leases]
        if held:
            return self._told("OK", held)
        if self.state != "running":
            return self._told(self.state.upper(), [])
        room = in_all
        if self.limits.max_pages is not None:
            if self.fetched >= self.limits.max_pages:
                return self._told("LIMIT", [])
            room = min(in_all, max(self.limits.max_pages - self.fetched - self.pages_out, 0))
        if in_all and not room:
            return self._told("OK", [], least_wait=1000)
        return self._told("OK", self._hand_out(tokens[:room], shares, term, worker))

    def _told(self, status: str, tokens: Sequence[str], least_wait: int = 0) -> Reply:
        wait = self.wait()
        leases = []
        for token in tokens:
            out = self.leases[token]
            host = self.hosts[out.host]
            facts = host.robots_rev, self._delay(host), self._trouble(host), host.standing, host.trouble
            leases.append((token, out.kind, out.host, out.entry, *facts, host.no_validators))
        wait = max(wait, least_wait) if wait >= 0 else wait
        return status, wait, *self.numbers(), self.open_sources, self.held, leases

    def _hand_out(self, tokens: list[str], shares: Shares, term: int, worker: str) -> list[str]:
        """Proven hosts first, but for what new ones are sure of; then who was passed over; then failing ones."""
        in_all, want = len(tokens), min(shares.want, len(tokens))
        of_site = {site: n for site, n, _ in shares.sites}
        probed: set[str] = set()
        proven, new = (self._look(x, want, shares, (of_site, probed)) for x in ("proven", "new"))
        is_quiet = not (proven.due or new.due)
        for_failing = min(max(shares.most, shares.failing) if is_quiet else shares.failing, in_all)
        failing = self._look("failing", for_failing, shares, (of_site, probed))
        given = 0
        busy = set(self.busy)

        def turns(look: Look, names: list[str], bound: int) -> None:
            nonlocal given
            share = math.ceil((bound - given) / look.due) if look.due else 0
            for name in names:
                if given >= bound:
                    return
                if name not in look.had_turn and not (
                    name in look.rests and self._others(shares, proven, new, name, busy)
                ):
                    look.had_turn.add(name)
                    most = min(share, bound - given)
                    given += self._turn(name, tokens[given : given + most], term, worker, shares)

        turns(new, new.found, min(shares.new, shares.most_new, want))
        more_new = shares.most_new - given
        turns(proven, proven.found, want)
        turns(new, new.found, min(want - min(shares.reserve, self._in_index("proven")), given + more_new))
        turns(proven, proven.passed, want)
        turns(new, new.passed, min(want, given + more_new))
        bound = min(given + for_failing, in_all)
        turns(failing, failing.found, bound)
        turns(failing, failing.passed, bound)
        for look in (proven, new, failing):
            for name in look.passed:
                if name not in look.had_turn and (name in look.rests or look.due > look.seen):
                    self._rest(self.hosts[name], BUSY_WAIT if name in look.rests else PASSED_WAIT)
        return tokens[:given]

    def _others(self, shares: Shares, proven: Look, new: Look, name: str, busy: set[str]) -> bool:
        """Whether hosts of sites that do not rest go before this one; found out once a call."""
        if proven.anyone is None:
            cost = min(self.costs.get(self.hosts[name].site, 0), LABOUR_MAX)
            soon = [
                n
                for n, at in self.ready.items()
                if self.now < at <= self.now + cost and self.hosts[n].standing != "failing"
            ]
            proven.anyone = (
                bool(proven.found or new.found)
                or any(moves and site not in busy for site, _, moves in shares.sites)
                or any(self.hosts[n].site not in busy for n in soon)
            )
        return proven.anyone

    def _in_index(self, standing: str) -> int:
        return sum(self.hosts[name].standing == standing for name in self.ready)

    def _look(self, standing: str, most: int, shares: Shares, seen: tuple[dict[str, int], set[str]]) -> Look:
        of_site, probed = seen
        due = sorted(
            (at, name) for name, at in self.ready.items() if at <= self.now and self.hosts[name].standing == standing
        )
        look = Look(len(due) if most > 0 else 0)
        while look.seen < look.due and len(look.found) < most and look.seen < WINDOWS * most:
            for _, name in due[look.seen : look.seen + most]:
                host = self.hosts[name]
                site = host.site
                if self._unreachable(host):
                    look.found.append(name)
                    continue
                if site in self.busy and (self.busy[site] > self.now or site in probed):
                    look.rests.add(name)
                if name in look.rests or of_site.get(site, 0) >= shares.half:
                    look.passed.append(name)
                    continue
                probed.add(site)
                of_site[site] = of_site.get(site, 0) + 1
                look.found.append(name)
            look.seen += most
        return look

    def _turn(self, name: str, tokens: list[str], term: int, worker: str, shares: Shares) -> int:
        """One host's turn at these tokens: how many it takes."""
        host, most = self.hosts[name], len(tokens)
        if not self._unreachable(host):
            most = min(most, 1 if self._delay(host) else most, self._slots(host) - host.in_flight)
            if most > 0 and not self._take_turn(host, shares):
                most = 0
            most = min(most, self._room_at_ip(host, most))
        return self._lease_from(name, tokens[:most], term, worker)

    def _take_turn(self, host: Host, shares: Shares) -> bool:
        """Hosts of a site with many of them start at intervals at each address, and wait for that in a line."""
        self.group, self.next_start = None, 0
        many = self.sites.get(host.site, (0, 0))[1] > MANY_HOSTS
        if not (self.crowds and shares.sees_addresses and self.limits.delay_ms and many):
            return True
        group = f"{host.site} {host.ip or self.site_ips.get(host.site, '')}"
        interval = self._interval(host)
        start = self.starts.get(group, 0)
        out = sum(lease.group == group for lease in self.leases.values())
        is_full = out >= MANY_HOSTS * self.limits.per_host
        old = sorted((at, name) for name, at in self.starts.items() if at <= self.now - 60_000)[:8]
        for _, name in old:
            del self.starts[name]
        if start <= self.now and not is_full:
            self.group, self.next_start = group, max(start, self.now - interval) + interval
            return True
        place = max(self.starts.get(f"{group} line", 0), start, self.now + IP_WAIT if is_full else 0)
        self._rest(host, place - self.now)
        self.starts[f"{group} line"] = place + interval
        return False

    def _interval(self, host: Host) -> int:
        return max(self._delay(host) // (MANY_HOSTS - 2), 1)

    def _room_at_ip(self, host: Host, most: int) -> int:
        """Free slots of the host's address; a host without any rests a little."""
        if self.limits.per_ip is None or host.ip is None:
            return most
        free = self.limits.per_ip - sum(out.ip == host.ip for out in self.leases.values())
        if free <= 0:
            self._rest(host, IP_WAIT)
        return max(free, 0)

    def _lease_from(self, name: str, tokens: list[str], term: int, worker: str) -> int:
        """The heads of the host's queues, or one robots lease where its rules are unknown; how many."""
        host = self.hosts[name]
        unreachable = self._unreachable(host)
        taken = 0
        for token in tokens:
            priority = self._next_queue(host)
            if priority is None:
                if host.packed and taken == 0:
                    self._rest(host, PACKED_WAIT)
                break
            url_id, entry = host.queues[priority][0]
            scheme = entry[3] & 3
            if self.limits.robots and not unreachable and host.known.get(urls.origin(name, scheme), 0) <= self.now:
                if taken == 0:
                    self._lend(token, Out("R", name, str(scheme).encode(), self.now + term, worker))
                    host.asking = True
                    taken = 1
                break
            host.queues[priority].pop(0)
            self._lend(token, Out("P", name, entry, self.now + term, worker, url_id, priority))
            taken += 1
        if taken and not unreachable:
            self._rest(host, self._delay(host))
            if self._delay(host) and not host.asking:
                host.undo = tokens[taken - 1]
        return taken

    def _next_queue(self, host: Host) -> int | None:
        """Sitemaps wait while enough pages are queued. A tail with no pages before it becomes the head."""
        first = host.queues[0][:1]
        if first and not (first[0][1][3] & 16 and self._has_enough(host)):
            return 0
        if not host.packed and not host.queues[1]:
            host.queues[1].extend(host.tail)
            host.tail.clear()
        return next((n for n in (1, 2) if host.queues[n]), 0 if first else None)

    def _has_enough(self, host: Host) -> bool:
        return bool(host.packed) or len(host.queues[1]) + len(host.tail) >= ENOUGH_PAGES

    def _lend(self, token: str, out: Out) -> None:
        host = self.hosts[out.host]
        out.ip = host.ip if self.limits.per_ip is not None and not self._unreachable(host) else None
        if not self._unreachable(host):
            out.group = self.group
            if self.group:
                self.starts[self.group] = self.next_start
            if host.site in self.busy:
                self.busy[host.site] = self.now + min(self.costs.get(host.site, 0) * PARTS, LABOUR_MAX)
                self.probes[host.site] = token
        self.leases[token] = out
        host.in_flight += 1

    def extend(self, tokens: Sequence[str], term: int) -> Reply:
        for token in self.leases.keys() & set(tokens):
            self.leases[token].deadline = self.now + term
        return "OK", frozenset(tokens) - self.leases.keys()

    # -- ending --------------------------------------------------------------------------------------------------------

    def _end(self, token: str) -> Out:
        out = self.leases.pop(token)
        host = self.hosts[out.host]
        host.in_flight -= 1
        if out.kind == "R":
            host.asking = False
        return out

    def _owned(self, token: str, what: tuple[str, str, bytes]) -> bool:
        return token in self.leases and self.leases[token].is_(what)

    def commit(
        self,
        token: str,
        what: tuple[str, str, bytes],
        url_id: str,
        outcome: str,
        *,
        event: str,
        rest_ms: int,
        puts: Sequence[Put],
        digest: str = "",
        similarity: int | None = None,
        latency: int | None = None,
        ip: str = "",
        handling: int = 0,
        trouble: str = "",
        no_validators: bool = False,
        target: str = "",
        mode: Mode = "new",
        gone: bool = False,
        links: bytes | None = None,
        counts: bool = True,
    ) -> Reply:
        if not self._owned(token, what):
            done = url_id in self.states and self.states[url_id][1] == token
            return ("OK", 0, 0, 0, url_id in self.duplicates) if done else ("LEASE_LOST",)
        out = self._end(token)
        assert out.id == url_id
        self.visit_fetched += counts and outcome in FINAL_ANSWERS
        if links is not None:
            self.links.pop(url_id, None)
        if links:
            self.links[url_id] = links
        if target and self._leads_to(target, url_id):
            outcome = "failed:redirect-loop"
        self.targets.pop(url_id, None)
        if target:
            self.targets[url_id] = target
        self.ended[url_id] = self.states[url_id] = outcome, token
        self._record(url_id, mode, outcome)
        host = self.hosts[out.host]
        host.done += 1
        host.no_validators |= no_validators
        host.errors += outcome.startswith("failed:")
        if outcome.startswith("failed:") or outcome in ("dropped:trap", "dropped:scope"):
            self.failed[url_id] = self.now
        if mode == "new":
            self._set_content(url_id, digest, gone=gone)
            self._note(url_id, similarity)
        is_left_out = mode == "new" and url_id in self.duplicates
        told = (0, 0, 0) if is_left_out else self._accept(puts)
        if latency is not None:
            host.latency = latency if host.latency is None else math.floor(host.latency * 0.6 + latency * 0.4)
        if ip and ip != host.ip:
            self._answered_by(host, ip)
        self._apply_event(host, event, trouble, is_page=True)
        if event == "unsent" and out.group in self.starts:
            self.starts[out.group] -= self._interval(host)
        if event == "unsent" and host.undo == token:
            host.due, host.undo = self.now, None
        self._rest(host, rest_ms)
        self._labour(host, handling, token)
        return "OK", *told, is_left_out

    def _record(self, url_id: str, mode: Mode, outcome: str) -> None:
        """The record of a visit; one that failed goes beside a good one, one that found nothing new has none.

        A target that is good has none, and keeps none.
        """
        if mode == "same":
            if outcome == "checked":
                self.latest.pop(url_id, None)
            self.beside.pop(url_id, None)
            self.has_failed.discard(url_id)
            return
        self.commits += 1
        self.committed.append((self.commits, url_id))
        if mode == "keeps" and url_id in self.latest:
            self.beside[url_id] = self.commits
            self.has_failed.add(url_id)
        else:
            self.latest[url_id] = self.commits
            self.beside.pop(url_id, None)
            self.has_failed.discard(url_id)

    def _set_content(self, url_id: str, digest: str, *, gone: bool) -> None:
        """The first page with a content is found by it, until it has another one or is gone."""
        self.duplicates.pop(url_id, None)
        if digest and self.digests.setdefault(digest, url_id) != url_id:
            self.duplicates[url_id] = self.digests[digest]
        old = self.contents.get(url_id, "")
        if old and (old != digest or gone) and self.digests.get(old) == url_id:
            del self.digests[old]
        self.contents[url_id] = digest

    def _note(self, url_id: str, similarity: int | None) -> None:
        """A page that is near none is found by others from now on. With the same text again that stays so."""
        self.near.pop(url_id, None)
        was = self.noted.get(url_id)
        if similarity is None or url_id in self.duplicates:
            self.noted.pop(url_id, None)
        elif was != similarity:
            self.noted.pop(url_id, None)
            found = [other for other, there in self.noted.items() if (there ^ similarity).bit_count() <= NEAR_BITS]
            if found:
                self.near[url_id] = found[0]
            else:
                self.noted[url_id] = similarity

    def _leads_to(self, at: str | None, end: str) -> bool:
        """Whether known redirects lead from one URL to another."""
        for _ in range(MAX_REDIRECTS):
            if at is None or at == end:
                return at == end
            at = self.targets.get(at)
        return False

    def _answered_by(self, host: Host, ip: str) -> None:
        host.ip = ip
        if self.crowds:
            self.site_ips[host.site] = ip

    def _labour(self, host: Host, ms: int, token: str) -> None:
        """A page that took long lets its site rest; one that was leased to show it may end that."""
        site = host.site
        if ms >= HEAVY:
            self.busy[site] = max(self.busy.get(site, 0), self.now + min(ms * PARTS, LABOUR_MAX))
            self.costs[site] = ms
            self.probes.pop(site, None)
            for old in [x for x, until in self.busy.items() if until <= self.now - 2 * LABOUR_MAX][:8]:
                for facts in (self.busy, self.costs, self.probes):
                    facts.pop(old, None)
        elif self.busy and self.probes.get(site) == token:
            del self.probes[site]
            cost = self.costs.pop(site, 0) / 8
            if cost >= HEAVY:
                self.busy[site], self.costs[site] = self.now, math.floor(cost)
            else:
                del self.busy[site]

    def robots(
        self,
        token: str,
        what: tuple[str, str, bytes],
        event: str,
        *,
        ttl: int,
        delay: int | None,
        rest_ms: int,
        ip: str = "",
        handling: int = 0,
        trouble: str = "",
    ) -> Reply:
        if not self._owned(token, what):
            return ("LEASE_LOST",)
        out = self._end(token)
        host = self.hosts[out.host]
        if event == "ok":
            host.known[urls.origin(out.host, int(out.entry))] = self.now + ttl
            host.robots_rev += 1
            host.robots_crashes = 0
            host.delay = delay or 0
        if ip:
            self._answered_by(host, ip)
        self._apply_event(host, event, trouble)
        self._rest(host, rest_ms)
        self._labour(host, handling, token)
        return ("OK",)

    def retry(
        self,
        token: str,
        what: tuple[str, str, bytes],
        event: str,
        *,
        rest_ms: int,
        charge: int,
        alone_ms: int,
        handling: int = 0,
        trouble: str = "",
    ) -> Reply:
        if not self._owned(token, what):
            return ("LEASE_LOST",)
        out = self._end(token)
        host = self.hosts[out.host]
        was_failing = host.failing_since is not None and event != "none"
        self._apply_event(host, event, trouble, is_page=out.kind == "P")
        if out.kind == "P":
            self._requeue(out, 0 if event == "fail" and was_failing else charge, front=False)
            if charge >= CRASH and not (event == "fail" and was_failing):
                self._rest(host, self._delay(host))
            if host.queued == 1:
                self._rest(host, alone_ms)
        self._rest(host, rest_ms)
        self._labour(host, handling, token)
        return ("OK",)

    def release(self, tokens: Sequence[str]) -> Reply:
        held = [token for token in reversed(tokens) if token in self.leases]
        for token in held:
            out = self._end(token)
            self._requeue(out, 0, front=True)
            self._rest(self.hosts[out.host], self._delay(self.hosts[out.host]))
        return "OK", len(held)

    def reap(self, most: int) -> Reply:
        overdue = sorted((out.deadline, token) for token, out in self.leases.items() if out.deadline <= self.now)[:most]
        for _, token in overdue:
            out = self._end(token)
            self._requeue(out, CRASH, front=True)
            self._rest(self.hosts[out.host], self._delay(self.hosts[out.host]))
        deadlines = [out.deadline for out in self.leases.values()]
        return "OK", len(overdue), max(min(deadlines) - self.now, 0) if deadlines else -1

    def revive(self, puts: Sequence[Put], latest: int) -> Reply:
        if self.state == "deleting":
            return ("DELETING",)
        revived = [put for put in puts if put.id in self.failed and self.failed[put.id] <= latest]
        for put in {put.id: put for put in revived}.values():
            del self.failed[put.id]
            del self.ended[put.id]
            if put.id in self.has_failed:
                self.has_failed.discard(put.id)
                self.beside.pop(put.id, None)
            else:
                self.latest.pop(put.id, None)
            host = self.hosts[put.host]
            host.failing_since, host.late, host.backoff, host.backoff_until = None, False, 0, 0
            host.no_name_since, host.robots_crashes = None, 0
            host.queues[0].append((put.id, put.entry[:3] + bytes([put.entry[3] | REVISIT]) + put.entry[4:]))
        return "OK", len({put.id for put in revived})

    def begin_visit(self, visit: int) -> Reply:
        if self.state == "deleting":
            return ("DELETING",)
        if visit > self.visit:
            self.visit, self.visit_ms, self.visit_fetched = visit, self.now, 0
        return ("OK",)

    def revisit(self, puts: Sequence[Put], read: Sequence[tuple[str, str]]) -> Reply:
        """*read*: outcome and token of each, as its state said when it was read."""
        if self.state == "deleting":
            return ("DELETING",)
        groups: dict[tuple[str, int], list[Put]] = {}
        due = [put for put, was in zip(puts, read, strict=True) if self.ended.get(put.id) == was]
        for put in due:
            groups.setdefault((put.host, put.priority), []).append(put)
            del self.ended[put.id]
            self.failed.pop(put.id, None)
        long = []
        for (name, priority), group in groups.items():
            host = self.hosts[name]
            self._forget(host)
            queue = host.queues[0] if priority == 0 else host.end(self.limits.overflow)
            queue += [(put.id, put.entry) for put in group]
            if queue is host.tail and len(queue) % math.ceil(self.limits.overflow / 2) < len(group):
                long.append(name)
        return "OK", len(due), tuple(long)

    def _forget(self, host: Host) -> None:
        """What a host failed before this visit is forgotten."""
        since = host.failing_since
        if (since is None or since in TROUBLES) and host.trouble:
            since = host.trouble_ms
        if since is not None and since < self.visit_ms:
            host.failing_since, host.late, host.backoff, host.backoff_until = None, False, 0, 0
            host.no_name_since, host.robots_crashes = None, 0
            host.trouble, host.trouble_ms = "", 0

    def drain(self, entries: Sequence[tuple[int, str]]) -> Reply:
        if self.state == "deleting":
            return ("DELETING",)
        drained = 0
        for number, url_id in entries:
            if self.latest.get(url_id) == number:
                del self.latest[url_id]
                if url_id in self.beside:
                    self.latest[url_id] = self.beside.pop(url_id)
                self.has_failed.discard(url_id)
                drained += 1
            elif self.beside.get(url_id) == number:
                del self.beside[url_id]
                drained += 1
        self.committed = [entry for entry in self.committed if entry not in entries]
        self.counters["drained"] += drained
        return "OK", drained

    def _requeue(self, out: Out, charge: int, *, front: bool) -> None:
        if out.kind == "R":
            return
        retries, crashes = out.entry[0] & 15, out.entry[0] >> 4
        if charge == CRASH:
            crashes = min(crashes + 1, 15)
        else:
            retries = min(retries + charge, 15)
        host = self.hosts[out.host]
        queue = host.queues[out.priority] if front or out.priority != 1 else host.end(self.limits.overflow)
        queue.insert(0 if front else len(queue), (out.id, bytes([crashes << 4 | retries]) + out.entry[1:]))

    # -- long queues ---------------------------------------------------------------------------------------------------

    def pack(self, name: str, entries: Sequence[bytes]) -> Reply:
        if self.state == "deleting":
            return ("DELETING",)
        host = self.hosts[name]
        n = len(entries)
        if [entry for _, entry in host.tail[:n]] == entries:
            host.packed.append(host.tail[:n])
            del host.tail[:n]
        return "OK", len(host.tail) >= math.ceil(self.limits.overflow / 2)

    def unpack(self, name: str, entries: Sequence[bytes]) -> Reply:
        if self.state == "deleting":
            return ("DELETING",)
        host = self.hosts[name]
        low = len(host.queues[1]) < math.ceil(self.limits.overflow / 4)
        if low and host.packed and [entry for _, entry in host.packed[0]] == entries:
            host.queues[1].extend(host.packed.pop(0))
        return "OK", 0

    # -- blocked hosts -------------------------------------------------------------------------------------------------

    def block(self, names: Sequence[str], hosts: Sequence[str]) -> Reply:
        if self.state == "deleting":
            return ("DELETING",)
        self.blocked.update(names)
        known = [self.hosts[name] for name in hosts if name in self.hosts and self._is_blocked(name)]
        newly = [host for host in known if not host.blocked]
        for host in newly:
            host.blocked = True
        return "OK", len(newly), sum(host.queued for host in newly)

    def unblock(self, names: Sequence[str], hosts: Sequence[str]) -> Reply:
        if self.state == "deleting":
            return ("DELETING",)
        were = len(self.blocked & set(names))
        self.blocked -= set(names)
        known = [self.hosts[name] for name in hosts if name in self.hosts and not self._is_blocked(name)]
        freed = [host for host in known if host.blocked]
        for host in freed:
            host.blocked = False
        return "OK", were, sum(host.queued for host in freed)

    def _is_blocked(self, host: str) -> bool:
        return not self.blocked.isdisjoint(_names(host))

    def set_host(self, names: Sequence[str], hosts: Sequence[str], *, setting: str, value: str) -> Reply:
        if self.state == "deleting":
            return ("DELETING",)
        for name in names:
            self.host_settings.pop((setting, name), None)
            if value:
                self.host_settings[setting, name] = int(value)
        known = [name for name in hosts if name in self.hosts]
        for name in known:
            self.hosts[name].own = self._own(name)
        return "OK", 0, len(known)

    def _own(self, host: str) -> dict[str, int]:
        """By each setting's nearest name."""
        found = {(s, n): self.host_settings.get((s, n)) for s in get_args(OfHost) for n in reversed(_names(host))}
        return {setting: value for (setting, _), value in found.items() if value is not None}

    def _slots(self, host: Host) -> int:
        return host.own.get("per_host", self.limits.per_host)

    # -- hosts ---------------------------------------------------------------------------------------------------------

    def _delay(self, host: Host) -> int:
        delay = max(host.own.get("delay", self.limits.delay_ms), host.delay)
        if not delay or not host.latency or not self.limits.adaptive:
            return delay
        return max(delay, min(math.floor(host.latency * self.limits.adaptive), ADAPTED_MAX))

    def _rest(self, host: Host, ms: int) -> None:
        if ms > 0:
            host.undo = None
        host.due = max(host.due, self.now + ms)

    def _unreachable(self, host: Host) -> bool:
        return bool(self._trouble(host))

    def _trouble(self, host: Host) -> str:
        since, patience = host.failing_since, self.limits.patience_ms
        if since is None or since in TROUBLES:
            return TROUBLES.get(since or 0, "")
        return "away" if patience > 0 and self.now - since > patience else ""

    def _apply_event(self, host: Host, event: str, trouble: str, *, is_page: bool = False) -> None:
        knows = event not in ("none", "unsent")
        if event != "late" and (knows or trouble):
            host.trouble_ms = host.trouble_ms if host.trouble and trouble else self.now if trouble else 0
            host.trouble = trouble
        match event:
            case "none" | "unsent":
                return
            case "ok" | "slow":
                host.answers = min(host.answers + is_page, PROVEN_AFTER)
                host.late, host.failing_since, host.no_name_since = False, None, None
                if event == "ok":
                    host.backoff, host.backoff_until = 0, 0
                else:
                    self._back_off(host, *BACK_OFF["slow"])
                return
            case "late":
                host.late = True
                self._rest(host, self._delay(host))
            case "hang":
                host.failing_since = GIVEN_UP[event]
            case "crash":
                host.robots_crashes += 1
                if host.robots_crashes >= MAX_ROBOTS_CRASHES:
                    host.failing_since = GIVEN_UP[event]
                self._rest(host, self._delay(host))
            case "dead":
                patience = self.limits.patience_ms
                apart = min(NO_NAME_REST, max(patience // 2, 1000)) if patience else NO_NAME_REST
                if host.no_name_since is not None and self.now - host.no_name_since >= apart:
                    host.failing_since = GIVEN_UP[event]
                else:
                    host.no_name_since = self.now if host.no_name_since is None else host.no_name_since
                    host.failing_since = self.now if host.failing_since is None else host.failing_since
                    self._rest(host, apart)
            case "untrusted":
                host.failing_since = self.now if host.failing_since is None else GIVEN_UP[event]
                self._rest(host, DEAD_REST)
            case _:
                if host.failing_since is None:
                    host.failing_since = self.now
                self._back_off(host, *BACK_OFF["robots" if event == "robots" else "slow"])
        host.answers = 0

    def _back_off(self, host: Host, first: int, most: int) -> None:
        """Doubled each time, once for failures that fall into one rest; never far past the end of patience."""
        if self.now >= host.backoff_until:
            host.backoff = min(max(host.backoff * 2, first), most)
            if host.failing_since is not None and self.limits.patience_ms:
                left = host.failing_since + self.limits.patience_ms + 1 - self.now
                host.backoff = min(host.backoff, max(left, 1000))
            host.backoff_until = self.now + host.backoff
        self._rest(host, host.backoff_until - self.now)

    # -- traps ---------------------------------------------------------------------------------------------------------

    def judge_templates(self, name: str, prints: Sequence[str]) -> Reply:
        """Quarantine a template whose last window of pages held nearly nothing that it never held before."""
        if self.state == "deleting":
            return ("DELETING",)
        template = self.templates.setdefault(name, Template())
        if template.state:
            return ("OK",)
        template.total += len(prints)
        for one in prints:
            template.pages += 1
            template.fresh += one not in template.prints
            template.prints.add(one)
            if template.pages < WINDOW:
                continue
            if template.fresh < MIN_FRESH:
                template.state = "quarantined"
                return "OK", name
            template.pages = template.fresh = 0
            if len(template.prints) > MAX_PRINTS:
                template.prints.clear()
        return ("OK",)

    def unquarantine(self, name: str) -> Reply:
        if self.state == "deleting":
            return ("DELETING",)
        if name not in self.templates or self.templates[name].state != "quarantined":
            return "OK", 0
        self.templates[name].state = "pardoned"
        return "OK", 1

    # -- the crawl as a whole ------------------------------------------------------------------------------------------

    def told_state(self) -> Reply:
        state = self.state
        if state == "running" and self.limits.max_pages is not None and not self.pages_out:
            state = "limit" if self.fetched >= self.limits.max_pages else state
        return "OK", state, *self.numbers(), self.open_sources, self.wait(), self.held

    def facts(self, name: str, site: str) -> HostFacts:
        """explain: how a host stands, and how the rules judge it."""
        host = self.hosts.get(name) or Host(due=self.now)
        since, room = host.failing_since or 0, self._room(Put("", name, 1, b"", site), seeded=False)
        return HostFacts(
            *(host.queued, host.in_flight, host.accepted, host.latency or 0, host.delay, host.backoff),
            rest_ms=max(host.due - self.now, 0),
            failing_ms=self.now - since if since > max(TROUBLES) else 0,
            delay_ms=self._delay(host),
            trouble=self._trouble(host),  # type: ignore[arg-type]
            waits=self._waits(host),
            refusal=room[1] if room[0] <= 0 else "",
            cause=HostTrouble.of(host.trouble, host.trouble_ms),
            done=host.done,
            errors=host.errors,
        )

    def _waits(self, host: Host) -> Literal["", "blocked", "robots", "slot", "due"]:
        if host.blocked:
            return "blocked"
        if host.asking or host.in_flight >= self._slots(host):
            return "robots" if host.asking else "slot"
        return "due" if host.due > self.now else ""

    def become(self, state: str) -> Reply:
        """pause, resume, delete."""
        if self.state == "deleting" and state != "deleting":
            return ("DELETING",)
        self.state = state
        return ("OK",)
