"""All that one crawl has in Redis, read in one step, and the invariants that hold between any two calls."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import redis

from crawler.frontier import segment as segments
from crawler.frontier.keys import Keys
from crawler.url_state import UrlState

_DUMP = """
local out = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local kind = redis.call('TYPE', key).ok
  local value
  if kind == 'hash' then value = redis.call('HGETALL', key)
  elseif kind == 'list' then value = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'set' then value = redis.call('SMEMBERS', key)
  elseif kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'stream' then value = redis.call('XRANGE', key, '-', '+')
  else value = redis.call('GET', key) end
  out[#out + 1] = { key, kind, value }
end
return out
"""


@dataclass(frozen=True, slots=True)
class Held:
    """One row of `leased`, with its deadline in ms; none when `leases` does not know it."""

    kind: str
    priority: int
    worker: str
    host: str
    entry: bytes
    deadline: int | None


@dataclass(slots=True)
class Snapshot:
    """The keys of shard 0 as plain values: by their names without the prefix."""

    now: int
    meta: dict[str, str] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    indexes: dict[str, dict[str, int]] = field(default_factory=dict)
    """`ready`, `ready_proven` and `ready_failing`: host -> due."""
    busy: dict[str, int] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    site_facts: dict[str, str] = field(default_factory=dict)
    """`<site> cost`, `<site> ip`, `<site> probe`."""
    deadlines: dict[str, int] = field(default_factory=dict)
    leased: dict[str, Held] = field(default_factory=dict)
    hosts: dict[str, dict[str, str]] = field(default_factory=dict)
    queues: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)
    """By host and part; of `packed` the entries of all its segments."""
    segments: dict[str, list[int]] = field(default_factory=dict)
    """Host -> how many entries each of its segments holds."""
    robots: dict[str, bytes] = field(default_factory=dict)
    pages: dict[str, dict[str, bytes]] = field(default_factory=dict)
    states: dict[str, UrlState] = field(default_factory=dict)
    """By id; of each URL that has ended, also while it is visited again."""
    links: dict[str, bytes] = field(default_factory=dict)
    """By id; what pages of a check name."""
    records: list[tuple[str, str]] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    roots: set[str] = field(default_factory=set)
    sources: dict[str, int] = field(default_factory=dict)
    workers: dict[str, bytes] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    near: dict[int, set[bytes]] = field(default_factory=dict)
    """Band -> the entries in it (see shared/similar.lua)."""
    sites: dict[str, tuple[int, int]] = field(default_factory=dict)
    traps: set[str] = field(default_factory=set)
    templates: dict[str, dict[str, str]] = field(default_factory=dict)
    seen_before: set[int] = field(default_factory=set)
    prints: dict[str, set[str]] = field(default_factory=dict)
    ips: dict[str, int] = field(default_factory=dict)
    ip_of: dict[str, str] = field(default_factory=dict)
    outbox: dict[str, str] = field(default_factory=dict)
    parcels: dict[int, list[str]] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    """Names that are blocked: hosts, and `*.name`."""
    host_settings: dict[str, str] = field(default_factory=dict)
    failing: dict[str, int] = field(default_factory=dict)
    """Host -> since when it has a trouble."""
    sweep: dict[str, str] = field(default_factory=dict)
    findings: dict[bytes, int] = field(default_factory=dict)
    wake: int = 0
    other: list[str] = field(default_factory=list)

    @classmethod
    def take(cls, client: redis.Redis, crawl: str, now: int) -> Snapshot:
        """What *crawl* is at, at the time *now* of the scripts' clock in ms."""
        prefix = Keys(crawl).prefix
        shot = cls(now)
        raw: Any = client.eval(_DUMP, 0, prefix + "*")
        for key, _, value in raw:
            shot._add(key.decode()[len(prefix) :], value)
        for token, held in shot.leased.items():
            shot.leased[token] = replace(held, deadline=shot.deadlines.get(token))
        return shot

    def _add(self, name: str, value: Any) -> None:
        what, _, rest = name.partition(":")
        match what:
            case "meta":
                self.meta = {k.decode(): v.decode("latin-1") for k, v in _pairs(value)}
            case "counters":
                self.counters = {k.decode(): int(v) for k, v in _pairs(value)}
            case "leased":
                self.leased = {k.decode(): _held(v) for k, v in _pairs(value)}
            case "leases":
                self.deadlines = _scores(value)
            case "ready" | "ready_proven" | "ready_failing":
                self.indexes[what] = _scores(value)
            case "failed" | "sources" | "busy" | "starts" | "failing":
                setattr(self, what, _scores(value))
            case "host":
                self.hosts[rest] = {k.decode(): v.decode() for k, v in _pairs(value)}
            case "queue":
                self._add_queue(*rest.rpartition(":")[::2], value)
            case "robots":
                self.robots[rest] = value
            case "page":
                self.pages[rest] = {k.decode(): v for k, v in _pairs(value)}
            case "ended":
                found = {str(int.from_bytes(k, "big")): UrlState.decode(v) for k, v in _pairs(value)}
                assert all(int(url_id) % 16_384 == int(rest) for url_id in found)
                self.states.update(found)
            case "links":
                named = {str(int.from_bytes(k, "big")): v for k, v in _pairs(value)}
                assert all(int(url_id) % 1_024 == int(rest) for url_id in named)
                self.links.update(named)
            case "host_settings":
                self.host_settings = {k.decode(): v.decode() for k, v in _pairs(value)}
            case "outbox":
                self.outbox = {k.decode(): v.decode() for k, v in _pairs(value)}
            case "parcels":
                self.parcels[int(rest)] = [at.decode() for at, _ in value]
            case "records":
                self.records = [(at.decode(), fields[1].decode()) for at, fields in value]
            case "seen":
                self.seen.update(i.decode() for i in value)
            case "seen_before":
                self.seen_before.update(map(int, value))
            case "roots" | "blocked":
                setattr(self, what, {name.decode() for name in value})
            case "workers":
                self.workers = {k.decode(): v for k, v in _pairs(value)}
            case "digests":
                self.digests.update({k.decode(): str(int.from_bytes(v, "big")) for k, v in _pairs(value)})
            case "near":
                entries = [v[at : at + 16] for _, v in _pairs(value) for at in range(0, len(v), 16)]
                assert len(entries) == len(set(entries))
                self.near.setdefault(int(rest) // 128, set()).update(entries)
            case "sites":
                facts = {k.decode(): v.decode() for k, v in _pairs(value)}
                self.site_facts = {name: v for name, v in facts.items() if name.endswith((" cost", " ip", " probe"))}
                self.sites = _sites({name: int(v) for name, v in facts.items() if name not in self.site_facts})
            case "traps":
                self.traps = {k.decode() for k, _ in _pairs(value)}
            case "template":
                self.templates[rest] = {k.decode(): v.decode() for k, v in _pairs(value)}
            case "prints":
                self.prints[rest] = {member.decode() for member in value}
            case "ips":
                self.ips = {k.decode(): int(v) for k, v in _pairs(value)}
            case "ip_of":
                self.ip_of = {k.decode(): v.decode() for k, v in _pairs(value)}
            case "findings":
                self.findings = {k: int(v) for k, v in _pairs(value)}
            case "sweep":
                self.sweep = {k.decode("latin-1"): v.decode("latin-1") for k, v in _pairs(value)}
            case "wake":
                self.wake = len(value)
            case _:
                self.other.append(name)

    def _add_queue(self, host: str, part: str, value: list[bytes]) -> None:
        if part == "packed":
            read = [segments.decode(segment) for segment in value]
            self.segments[host] = [len(entries) for entries in read]
            value = [entry for entries in read for entry in entries]
        self.queues[host, part] = value

    @property
    def ready(self) -> dict[str, int]:
        """The hosts that may be leased from, of whatever standing."""
        return {host: due for index in self.indexes.values() for host, due in index.items()}

    def standing(self, host: str) -> str:
        """The index that a host belongs to."""
        if "failing_since" in self.hosts[host] or "late" in self.hosts[host]:
            return "ready_failing"
        return "ready_proven" if self.number(host, "answers") >= 2 else "ready"

    @property
    def ended(self) -> dict[str, UrlState]:
        """The states of the URLs that are neither queued nor leased again."""
        return {url_id: state for url_id, state in self.states.items() if not state.is_queued}

    @property
    def noted(self) -> set[bytes]:
        """The entries by which pages with a similar text are found."""
        found = [(state.similarity, int(url_id)) for url_id, state in self.states.items() if state.is_noted]
        assert all(similarity is not None for similarity, _ in found)
        return {struct.pack(">QQ", *entry) for entry in found}

    def number(self, host: str, name: str) -> int:
        """A number of a host's hash; 0 when it is absent."""
        return int(self.hosts.get(host, {}).get(name, 0))

    def queued_of(self, host: str) -> int:
        """How many entries the host's lists hold."""
        return sum(len(entries) for (name, _), entries in self.queues.items() if name == host)

    def entries(self) -> list[tuple[str, bytes]]:
        """Every entry in a queue or a page's lease, with its host."""
        queued = [(host, entry) for (host, _), entries in self.queues.items() for entry in entries]
        return queued + [(held.host, held.entry) for held in self.leased.values() if held.kind == "P"]

    def check(self) -> None:
        """Assert what PROTOCOL calls invariants, from these keys alone."""
        assert self.other == []
        assert self.wake <= 8
        assert set(self.deadlines) == set(self.leased)
        assert {host for host, _ in self.queues} <= set(self.hosts)
        for host in self.hosts:
            self._check_host(host)
        pages = sum(held.kind == "P" for held in self.leased.values())
        queued = sum(map(len, self.queues.values()))
        counted = {name: self.counters.get(name, 0) for name in ("accepted", "queued", "leased", "ended")}
        assert counted == {
            "accepted": queued + pages + len(self.ended),
            "queued": queued,
            "leased": pages,
            "ended": len(self.ended),
        }
        outcomes = Counter(f"outcome:{state.outcome}" for state in self.ended.values())
        assert outcomes == {name: n for name, n in self.counters.items() if n and name.startswith("outcome:")}
        assert len(self.seen) == counted["accepted"] >= sum(self.number(host, "seen") for host in self.hosts)
        assert set(self.ip_of) <= set(self.leased)
        assert self.counters.get("held", 0) == sum(
            self.queued_of(host) for host, facts in self.hosts.items() if "blocked" in facts
        )
        assert self.failing == {
            host: int(facts["trouble_ms"])
            for host, facts in self.hosts.items()
            if "trouble" in facts and self.number(host, "queued") + self.number(host, "in_flight") > 0
        }
        assert self.ips == Counter(name for names in self.ip_of.values() for name in names.split("\n") if name)
        self._check_records()

    def _check_host(self, host: str) -> None:
        held = [lease for lease in self.leased.values() if lease.host == host]
        asking = self.hosts[host].get("asking")
        assert self.number(host, "queued") == self.queued_of(host), host
        assert self.number(host, "in_flight") == len(held), host
        assert (asking is not None) == any(lease.kind == "R" for lease in held), host
        assert sum(lease.kind == "R" for lease in held) <= 1, host
        slots = int(self.hosts[host].get("own_per_host", self.meta["per_host"]))
        leasable = self.queued_of(host) > 0 and len(held) < slots and asking is None
        leasable = leasable and "blocked" not in self.hosts[host]
        places = {name: index[host] for name, index in self.indexes.items() if host in index}
        assert places == ({self.standing(host): self.number(host, "due")} if leasable else {}), host

    def _check_records(self) -> None:
        order = [_order(at) for at, _ in self.records]
        assert order == sorted(set(order))
        by_id: dict[str, list[str]] = {}
        for at, url_id in self.records:
            by_id.setdefault(url_id, []).append(at)
        for url_id, page in self.pages.items():
            assert "m" in page
            assert "f" in page or "fat" not in page
            places = {page[name].decode() for name in ("at", "fat") if name in page}
            assert places <= set(by_id.get(url_id, ()))
            # Else it was drained; of a dead letter the record stays, also while it is visited again.
            assert "at" in page or url_id in self.failed or url_id not in self.ended
        assert set(self.pages) <= set(self.states) >= set(self.links)
        assert set(self.failed) <= set(self.pages) & set(self.ended)
        assert all(entries <= self.noted for entries in self.near.values())  # of a full band the latest


def _held(value: bytes) -> Held:
    kind_priority, worker, host, entry = value.split(b" ", 3)
    return Held(kind_priority[:1].decode(), int(kind_priority[1:]), worker.decode(), host.decode(), entry, None)


def _sites(numbers: dict[str, int]) -> dict[str, tuple[int, int]]:
    sites = {name.partition(" ")[0] for name in numbers}
    return {site: (numbers.get(site, 0), numbers.get(f"{site} hosts", 0)) for site in sites}


def _order(at: str) -> tuple[int, int]:
    ms, _, n = at.partition("-")
    return int(ms), int(n)


def _pairs(flat: list[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _scores(flat: list[bytes]) -> dict[str, int]:
    return {member.decode(): int(float(score)) for member, score in _pairs(flat)}
