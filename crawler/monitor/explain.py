"""`crawler explain URL`: what the crawl knows of one URL, how it was found, and which rule admits or refuses it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from crawler import url as urls
from crawler.frontier.frontier import Frontier
from crawler.frontier.host_facts import HostFacts
from crawler.frontier.messages import Lease
from crawler.frontier.seen import accepted
from crawler.frontier.status import workers_alive
from crawler.monitor.visits import visit_lines, visits_of
from crawler.policy import robots
from crawler.policy.scope import LATER_REFUSALS, REFUSALS
from crawler.record import Entry, Record, Request
from crawler.settings import Settings
from crawler.text import printable
from crawler.worker.link_filter import LinkFilter
from crawler.worker.options import plan_of
from crawler.worker.seen_before import SeenBefore

MAX_SEARCHED: Final = 1_000_000
"""Queue entries that are searched for the place of a URL."""
MAX_ORIGINS: Final = 100
"""Longest path shown from a URL back to its seed, in pages."""
_OF_HOST: Final = {
    "queued": "{} queued",
    "in_flight": "{} in flight",
    "due_in": "next request in {:.1f} s",
    "latency_ms": "latency {} ms",
    "crawl_delay": "its robots.txt asks for {:g} s",
    "backing_off_by": "backing off by {:g} s",
    "failing_for": "failing for {:.0f} s",
    "given_up": "given up ({})",
    "trouble": "{}",
    "asking_robots": "robots.txt is being asked for",
    "blocked": "blocked",
}
"""Field of `host` -> how it is shown to a person."""
_SEED: Final = "it was named as a seed (or by robots.txt as a sitemap)"
_TARGET: Final = "it is the target of a link: it is asked for, and not read"
_IMPORTED: Final = "it waited in the crawl that `crawler import` took over"
_ALWAYS: Final = ("queued", "in_flight", "due_in")
_QUEUES: Final = ("sitemaps and second tries", "pages")


@dataclass(slots=True)
class Explanation:
    """All that is known; fields are None if there is nothing to show."""

    url: str
    """In the crawl's form."""
    given: str
    """The URL as it was given."""
    id: str
    """Its id in this crawl."""
    is_target: bool = False
    """It is the target of a link, which `crawler check` asks for and does not read."""
    state: str = "unknown"
    """unknown, queued, leased, the outcome, or accepted if its place was not found."""
    where: str | None = None
    """Its place in a queue, or which worker has it until when."""
    waits_for: str | None = None
    """Why a queued URL is not fetched just now."""
    failed_at: str | None = None
    """When it was given up (RFC 3339, UTC), as long as it is a dead letter."""
    hint: str | None = None
    """What can be done about it."""
    scope: str = ""
    """Why it may join the crawl, or why it may not."""
    robots: str | None = None
    """The line of robots.txt that decides, or the fact that none does."""
    trap: str | None = None
    """Its template, if that is quarantined."""
    host: dict[str, int | float | str] = field(default_factory=dict)
    """The state of its host."""
    origins: list[str] = field(default_factory=list)
    """The pages through which it was found, the nearest first, up to the seed."""
    visits: dict[str, int | str] = field(default_factory=dict)
    """Of a URL that has ended: how often it was visited, when, and when it is due again (see `monitor/visits.py`)."""
    record: Record | None = None
    """Its record, if it has ended."""

    def __str__(self) -> str:
        return "\n".join(map(printable, self.lines()))

    def to_dict(self) -> dict[str, Any]:
        """What is known, for programs."""
        found = {name: getattr(self, name) for name in self.__slots__ if name != "record"}
        found |= {"record": None if self.record is None else self.record.to_dict()}
        return {name: value for name, value in found.items() if value not in (None, "", [], {}, False)}

    def lines(self) -> list[str]:
        """The explanation for a person."""
        rows = [
            ("given as", self.given if self.given != self.url else None),
            ("state", self.state),
            ("", self.where),
            ("waits for", self.waits_for),
            ("failed at", self.failed_at),
            ("hint", self.hint),
            ("scope", self.scope),
            ("robots", self.robots),
            ("trap", self.trap and f"quarantined: {self.trap}"),
            ("host", ", ".join(_OF_HOST[name].format(value) for name, value in self.host.items())),
            *(("visits" if n == 0 else "", text) for n, text in enumerate(visit_lines(self.visits))),
            *(("found on" if n == 0 else "  on", url) for n, url in enumerate(self.origins)),
        ]
        lines = [self.url, *(f"  {name:<9} {value}" for name, value in rows if value)]
        return lines + (_record_lines(self.record) if self.record is not None else [])


def _record_lines(record: Record) -> list[str]:
    hidden = ("url", "outcome", "via", "depth")
    rows = [(name, getattr(record, name)) for name in record.__struct_fields__ if name not in hidden]
    return [f"  {name:<14} {' '.join(str(value).split())[:120]}" for name, value in rows if value not in (None, False)]


def explain(frontier: Frontier, settings: Settings, given: str) -> Explanation:
    """Explain the URL *given*. Raises InvalidURL if it cannot be crawled."""
    return _Explainer(frontier, settings).explain(given)


class _Explainer:
    def __init__(self, frontier: Frontier, settings: Settings) -> None:
        self._frontier, self._crawldb = frontier, frontier.crawldb
        self._plan, self._settings = plan_of(settings), settings
        self._links = LinkFilter(self._plan.scope, self._crawldb.hosts.roots)
        self._links.set_quarantined(self._crawldb.traps())
        hosts = self._crawldb.hosts
        self._seen_before = SeenBefore(hosts.seen_before) if hosts.has_seen_before() else None

    def explain(self, given: str) -> Explanation:
        """As a page; in a check, what is none may be a target."""
        url = self._frontier.form.apply(urls.given(given))
        found = self._explained(Request(url), given)
        if found.state == "unknown" and self._plan.check:
            as_target = self._explained(Request(url, target=True), given)
            return as_target if as_target.state != "unknown" else found
        return found

    def _explained(self, asked: Request, given: str) -> Explanation:
        url = asked.url
        result = Explanation(url, given, self._frontier.shards[0].id_of(asked), is_target=asked.target)
        result.trap = self._links.trap_of(url)
        result.robots = self._robots(url)
        facts = self._frontier.explain(urls.host(url))
        result.host = _shown(facts)
        record, state = self._crawldb.records.get(result.id, ("data",)), self._crawldb.records.state(result.id)
        if state is not None:
            result.visits = visits_of(state, self._settings, self._crawldb.clock() // 1000)
        via, is_seed, depth, hops = None, False, 1, 0
        if record is not None and (state is None or not state.is_queued):
            result.state, via, is_seed = record.outcome, record.via, record.via is None
            depth, hops = record.depth, record.hops
            result.record = record.named(self._crawldb.records.urls(record.ids))
            self._failed(result)
        elif accepted(self._frontier.shards, [url], target=asked.target)[0]:
            result.state = "accepted"
            entry = self._pending(result)
            if entry is not None:
                result.where = f"{result.where}{_tries(entry)}"
                via, depth, hops = entry.request.found_on, entry.request.depth, entry.request.hops
                is_seed = via is None
            if result.state == "queued":
                result.waits_for = self._waits_for(facts)
        result.origins = self._origins(via)
        named = _IMPORTED if depth else _SEED
        result.scope = named if is_seed else _TARGET if asked.target else self._scope(result, facts, depth, hops)
        return result

    # -- where it is ---------------------------------------------------------------------------------------------------

    def _pending(self, result: Explanation) -> Entry | None:
        """Find an accepted URL that has not ended. Returns its entry, if found."""
        host = urls.host(result.url)
        for worker, lease in self._crawldb.leases():
            entry = self._entry(lease.host, lease.raw) if lease.kind == "P" and lease.host == host else None
            if entry is not None and self._is(entry, result.id):
                self._leased(result, worker, lease)
                return entry
        searched = 0
        for priority, name in enumerate(_QUEUES):
            for place, raw in enumerate(self._crawldb.hosts.queued(host, priority), 1):
                entry = self._entry(host, raw)
                if entry is not None and self._is(entry, result.id):
                    result.state, result.where = "queued", f"place {place:,} of its host's queue of {name}"
                    return entry
                searched += 1
                if searched >= MAX_SEARCHED:
                    result.state, result.where = "queued", f"behind the first {MAX_SEARCHED:,} URLs of its host"
                    return None
        result.where = "moving from one place to another just now: ask again"
        return None

    def _waits_for(self, facts: HostFacts) -> str:
        if facts.waits == "blocked":
            return "`crawler unblock`: its host is blocked"
        state = self._frontier.state().word
        if state == "paused":
            return "`crawler resume`: the crawl is paused"
        if state == "limit":
            return "a wider limit: the crawl is at --max-pages or --max-time"
        if not workers_alive(self._crawldb):
            return "workers: none is alive, start some with `crawler run` or `crawler work`"
        return {
            "robots": "its host's robots.txt, which is being requested",
            "slot": "another URL of its host, which is being fetched",
            "due": f"its host, which may be requested in {facts.rest_ms / 1000:.1f} s",
        }.get(facts.waits, "those before it, and a free worker")

    def _failed(self, result: Explanation) -> None:
        """When a dead letter failed, and how to retry it."""
        letter = self._crawldb.records.letter(result.id)
        if letter is None:
            return
        result.failed_at = letter.when
        trap = result.state == "dropped:trap"
        result.hint = (
            "`crawler quarantine --release TEMPLATE` releases it"
            if trap
            else (f"`crawler retry {result.url}` queues it again")
        )

    def _leased(self, result: Explanation, worker: str, lease: Lease) -> None:
        left = self._crawldb.deadline(lease.token)
        until = "" if left is None else f", its lease ends in {max(left, 0) / 1000:.0f} s"
        result.state, result.where = "leased", f"leased to worker {worker}{until}"

    @staticmethod
    def _entry(host: str, raw: bytes) -> Entry | None:
        try:
            return Entry.decode(host, raw)
        except ValueError:
            return None

    def _is(self, entry: Entry, url_id: str) -> bool:
        return self._frontier.shards[0].id_of(entry.request) == url_id

    def _origins(self, via: str | None) -> list[str]:
        found: list[str] = []
        met: set[str] = set()
        while via is not None and via not in met and len(found) < MAX_ORIGINS:
            met.add(via)
            record = self._crawldb.records.get(via)
            if record is None:
                break
            found.append(record.url)
            via = record.via
        return found

    # -- why -----------------------------------------------------------------------------------------------------------

    def _scope(self, result: Explanation, facts: HostFacts, depth: int, hops: int) -> str:
        """Whether a link to it is followed, at this distance from its seed; *depth* is 1 if nothing is known."""
        url = result.url
        reason = self._links.scope.admit(url, depth, hops)
        if reason is None and result.trap:
            reason = "trap-template"
        if reason is None and url not in self._links.inside([url]):
            reason = "scope"
        if reason is None and urls.has_bad_port(url) and not self._links.is_named(url):
            reason = "port"
        if reason is None and depth and self._seen_before is not None and self._seen_before.of([url]):
            reason = "seen-before"
        if reason is None and result.state == "unknown":
            reason = facts.refusal or None
        if reason is not None:
            known = (
                "; it was accepted all the same, by other settings or another path" if result.state != "unknown" else ""
            )
            return f"refused as a link: {reason}: {(REFUSALS | LATER_REFUSALS)[reason]}{known}"
        kind = self._links.scope.kind
        root = next((c for c in self._links.scope.candidates(url) if self._crawldb.hosts.roots([c])[0]), None)
        return (
            f"a link to it is followed: its {kind} {root} is a root" if root else "a link to it is followed: scope all"
        )

    def _robots(self, url: str) -> str:
        if not self._plan.obey_robots:
            return "not obeyed in this crawl (--ignore-robots)"
        host, scheme, _ = urls.split(url)
        origin = urls.origin(host, scheme)
        (raw,) = self._crawldb.hosts.robots([origin])
        if raw is None:
            return f"{origin}/robots.txt was not read yet"
        rules = robots.parse(raw) if raw else robots.ALLOW_ALL
        line = rules.deciding_line(url, self._plan.agent)
        verdict = "allowed" if rules.allowed(url, self._plan.agent) else "disallowed"
        return f"{verdict} by the line {line!r} of {origin}/robots.txt" if line else f"{verdict}: no line applies"


def _shown(facts: HostFacts) -> dict[str, int | float | str]:
    """The state of a host, as far as there is something to show; the units are in _OF_HOST."""
    result: dict[str, int | float | str] = {
        "queued": facts.queued,
        "in_flight": facts.in_flight,
        "due_in": facts.rest_ms / 1000,
        "latency_ms": facts.latency_ms,
        "crawl_delay": facts.crawl_delay_ms / 1000,
        "backing_off_by": facts.backoff_ms / 1000,
        "failing_for": facts.failing_ms / 1000,
        "given_up": facts.trouble,
        "trouble": facts.cause.text if facts.cause else "",
        "blocked": "yes" if facts.waits == "blocked" else "",
        "asking_robots": "yes" if facts.waits == "robots" else "",
    }
    return {name: value for name, value in result.items() if value or name in _ALWAYS} if facts.accepted else {}


def _tries(entry: Entry) -> str:
    return f", tried {entry.tries} times before" if entry.tries else ""
