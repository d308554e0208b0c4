"""What a crawl is at: one snapshot for the live screen, `status`, the summary and programs."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.estimate import Estimate
from crawler.frontier.frontier import Frontier
from crawler.frontier.host_facts import HostFacts
from crawler.frontier.memory import Footprint, measure
from crawler.frontier.messages import CrawlState
from crawler.frontier.shards.crawldb import Heartbeat
from crawler.record import FOUND, OUTCOMES
from crawler.text import counted

WEIGH_AGAIN: Final = 5.0
"""Seconds after which Redis's memory is looked at again."""
_A_RATE: Final = 5.0
"""Seconds from which on a rate says something."""
MAX_FAILURES: Final = 5
"""Texts of failures of the hook that a status has."""
SILENT: Final = 10.0
"""Seconds after its last heartbeat from which a worker does not count as alive."""

NO_WORKERS: Final = "no workers: start some with `crawler work`"
"""What a status reports as its limit as long as no worker has sent a heartbeat."""


@dataclass(frozen=True, slots=True, repr=False)
class Status:
    """One snapshot. Counts are since the crawl began; `rate` is pages a second since the snapshot before."""

    crawl: str
    """The name of the crawl."""
    state: str
    """running, waiting, seeding, empty, paused, limit, done, or deleting."""
    accepted: int
    """URLs that were ever accepted."""
    queued: int
    """URLs that wait, those of blocked hosts included."""
    leased: int
    """URLs that workers have."""
    ended: int
    """URLs that have an outcome."""
    sources: int
    """Seeders at work."""
    outcomes: dict[str, int]
    """Outcome -> URLs."""
    statuses: dict[str, int]
    """HTTP status -> answers."""
    refused: dict[str, int]
    """Reason -> links that were left out."""
    bytes: int
    """Bytes of decoded bodies."""
    workers: int
    """Workers that gave a sign of life in the last 10 s."""
    silent_workers: int
    """Workers that did not, and are not known to have ended."""
    hosts_waiting: int
    """Hosts with queued URLs."""
    wait_ms: int
    """Milliseconds until the next host is due; -1: nothing is queued."""
    limit: str
    """What the speed depends on now, in words."""
    rate: float
    """Pages a second over the last ten seconds."""
    redis_bytes: int | None
    """What Redis uses, whatever for; None if it does not report that."""
    redis_limit: int | None
    """Its `maxmemory`, or the memory of its machine where that is not set."""
    redis_bounded: bool
    """It is `maxmemory`."""
    needed_bytes: int | None
    """About what the URLs that are left will take of Redis if they end as the latest pages did (see memory.py).

    Links that they will lead to are not counted; none where there is nothing to go by."""
    duplicates: int
    """Pages whose content another page had before."""
    near_duplicates: int
    """Pages whose text is nearly that of an earlier page."""
    targets: int
    """Targets of links that `crawler check` has asked for, and not read."""
    documents: int
    """PDF and DOCX that were not read, because a worker's machine lacks `crawler[documents]`."""
    hook_calls: int
    """Calls of the user's hook."""
    hook_errors: int
    """Pages on which the user's hook raised something, or returned what cannot be stored."""
    hook_failures: dict[str, int]
    """The most frequent of them: their texts, and how often each came."""
    rules: dict[str, int]
    """Extraction rules that matched, and the number of pages."""
    rule_fields: dict[str, int]
    """Their fields that found something, as `rule.field` or `rule.items.field`, and the number of pages."""
    rule_errors: int
    """Pages on which a rule failed."""
    rule_failures: dict[str, int]
    """The most frequent of these failures: their texts, and how often each came."""
    quarantined: list[str]
    """Templates whose URLs are not fetched, because their pages held nothing new."""
    troubles: list[str]
    """What keeps machines from working, each with the machine's name."""
    lacks: list[str]
    """What keeps them from working as fast as they were asked to."""
    machines: list[str]
    """Those that can work: of their workers one at least has no trouble."""
    stuck_for: float
    """Seconds since which no worker can resolve or connect; 0 where one can, or there is none."""
    held: int
    """Queued URLs of blocked hosts: they are not handed out, and do not keep the crawl from being done."""
    failing: int
    """Hosts that fail now."""
    failing_hosts: list[tuple[str, str]]
    """Those that fail for longest, up to three, each with the reason in words."""
    lost: int
    """URLs that were accepted and vanished from their queues: something else changed what is in Redis."""
    revisited: int
    """How often a URL that had ended was queued again to be visited again."""
    visit: int
    """Number of the latest visit; 1 until a recrawl has found something due."""
    found: dict[str, int]
    """What this visit found -> URLs: new, changed, boilerplate, gone, moved, back, unchanged, failed."""
    sweep: float | None
    """The share of the URLs that a recrawl has looked at; None if none is under way."""
    sweeper: str
    """The process that looks at them; empty if none does."""
    seconds_left: float | None = None
    """About how long the URLs that are queued will take (see estimate.py); None if that cannot be known."""

    @property
    def endings(self) -> int:
        """How often a URL ended, in all visits."""
        return self.ended + self.revisited

    @property
    def fetched(self) -> int:
        """Pages that were answered with a 2xx."""
        return self.outcomes.get("fetched", 0)

    @property
    def failed(self) -> int:
        """URLs that ended as failed:*."""
        return sum(n for outcome, n in self.outcomes.items() if outcome.startswith("failed:"))

    @property
    def dropped(self) -> int:
        """URLs that ended as dropped:*."""
        return sum(n for outcome, n in self.outcomes.items() if outcome.startswith("dropped:"))

    @property
    def will_fit(self) -> bool | None:
        """There is room in Redis for what is left, as far as is known; None if it is not."""
        if self.redis_bytes is None or self.redis_limit is None or self.needed_bytes is None:
            return None
        return self.redis_bytes + self.needed_bytes <= self.redis_limit

    @property
    def done(self) -> bool:
        """Nothing is left to do."""
        return self.state == "done"

    def to_dict(self) -> dict[str, Any]:
        """All fields, and `will_fit`."""
        return {name: getattr(self, name) for name in (*self.__slots__, "will_fit")}

    def __repr__(self) -> str:
        return f"<Status of crawl {self.crawl!r}: {self.state}, {self.ended:,} ended, {self.queued:,} queued>"


def workers_alive(crawldb: CrawlDb) -> bool:
    """Whether any worker gave a sign of life lately."""
    return any(heartbeat.age < SILENT for heartbeat in crawldb.workers())


class Monitor:
    """Takes snapshots and remembers the last one, for rates."""

    def __init__(self, frontier: Frontier) -> None:
        self._frontier, self._crawldb = frontier, frontier.crawldb
        self._before: list[tuple[float, int]] = []
        self._footprint = Footprint()
        self._weigh_at = 0.0
        self._estimate = Estimate(self._crawldb.hosts)

    @property
    def _watches(self) -> bool:
        """It has looked for long enough to know the rate."""
        return self._before[-1][0] - self._before[0][0] >= _A_RATE

    def look(self) -> Status:
        """A snapshot now. Raises what the frontier raises: NoCrawl, RedisAway."""
        state = self._frontier.state()
        counters, heartbeats = self._crawldb.counters(), self._crawldb.workers()
        hosts, first = self._crawldb.hosts.due(1)
        alive = [heartbeat for heartbeat in heartbeats if heartbeat.age < SILENT]
        footprint = self._weigh()
        failing, troubles = self._crawldb.hosts.failing()
        revisited = counters.get("revisited", 0)
        left, rate = state.queued + state.leased, self._rate(state.ended + revisited)
        return Status(
            crawl=self._frontier.crawl,
            state=state.word,
            accepted=state.accepted,
            queued=state.queued,
            leased=state.leased,
            ended=state.ended,
            sources=state.sources,
            **_of_pages(counters),
            **_of_workers(alive, len(heartbeats)),
            hosts_waiting=hosts,
            wait_ms=state.wait_ms,
            limit=self._limited_by([_word(heartbeat) for heartbeat in alive], state, hosts, first),
            rate=rate,
            redis_bytes=footprint.used,
            redis_limit=footprint.most,
            redis_bounded=footprint.bounded,
            needed_bytes=left * footprint.a_page if footprint.a_page and left else None,
            **_of_hook(counters),
            **_of_rules(counters),
            quarantined=sorted(self._crawldb.traps()),
            held=state.held,
            failing=failing,
            failing_hosts=[(host, trouble.text) for host, trouble in troubles],
            revisited=revisited,
            **self._of_visit(counters),
            seconds_left=self._estimate.seconds(state, rate) if self._watches else None,
        )

    def _of_visit(self, counters: dict[str, int]) -> dict[str, Any]:
        visit, shards = self._crawldb.visit(), self._frontier.shards
        sweep = visit.sweep
        runs = sweep.began and not sweep.is_over
        return {
            "visit": visit.number,
            "found": {word: n for word in FOUND if (n := counters.get(f"visit:{word}", 0))},
            "sweep": sweep.share(len(shards), shards[0].keys.ended_buckets) if runs else None,
            "sweeper": sweep.owner if runs else "",
        }

    def _limited_by(self, words: list[str], state: CrawlState, hosts: int, first: list[tuple[float, str]]) -> str:
        next_host, failing = self._frontier.explain(first[0][1] if first else ""), self._crawldb.hosts.resting()
        hosts = 0 if state.leased and hosts <= failing else hosts  # the only ones that do not fail are being asked
        polite = _polite(hosts, failing, next_host.delay_ms / 1000)
        limit = _limit(words, state.word, polite)
        return limit + (unanswered(next_host) if hosts and limit.startswith(polite) else "")

    def _weigh(self) -> Footprint:
        now = time.monotonic()
        if now >= self._weigh_at:
            self._footprint = measure(self._frontier.connection, self._frontier.crawl, len(self._frontier.shards))
            self._weigh_at = now + WEIGH_AGAIN
        return self._footprint

    def _rate(self, ended: int) -> float:
        """Pages a second over the last ten seconds."""
        now = time.monotonic()
        self._before.append((now, ended))
        while len(self._before) > 2 and now - self._before[0][0] > 10:
            self._before.pop(0)
        (then, before) = self._before[0]
        return (ended - before) / (now - then) if now - then > 0.05 else 0.0


def _under(prefix: str, counters: dict[str, int]) -> dict[str, int]:
    return {name.removeprefix(prefix): n for name, n in sorted(counters.items()) if name.startswith(prefix)}


def _of_hook(counters: dict[str, int]) -> dict[str, Any]:
    failures = Counter(_under("hook_error:", counters)).most_common(MAX_FAILURES)
    counts = {name: counters.get(name, 0) for name in ("hook_calls", "hook_errors")}
    return counts | {"hook_failures": dict(failures)}


def _of_pages(counters: dict[str, int]) -> dict[str, Any]:
    """What became of the URLs that ended, as fields of Status."""
    return {
        "outcomes": {name: n for name in OUTCOMES if (n := counters.get(f"outcome:{name}", 0))},
        "statuses": _under("status:", counters),
        "refused": _under("refused:", counters),
        **{name: counters.get(name, 0) for name in ("targets", "documents", "bytes", "duplicates")},
        **{name: counters.get(name, 0) for name in ("near_duplicates", "lost")},
    }


def _of_rules(counters: dict[str, int]) -> dict[str, Any]:
    counts = _under("rule:", counters)
    return {
        "rules": {name: n for name, n in counts.items() if "." not in name},
        "rule_fields": {name: n for name, n in counts.items() if "." in name},
        "rule_errors": counters.get("rule_errors", 0),
        "rule_failures": dict(Counter(_under("rule_error:", counters)).most_common(MAX_FAILURES)),
    }


_WAITS: Final = "waits: "
_MAX_SAID: Final = 300
"""Characters of a worker's trouble that are shown."""


def _machine(heartbeat: Heartbeat) -> str:
    return heartbeat.worker.rsplit("-", 2)[0]


def _said(heartbeat: Heartbeat, fact: str) -> list[str]:
    """What one worker says of its machine, if it does."""
    words = heartbeat.facts.get(fact)
    return [f"{_machine(heartbeat)}: {words[:_MAX_SAID]}"] if isinstance(words, str) and words else []


def _troubled_for(heartbeat: Heartbeat) -> float:
    seconds = heartbeat.facts.get("trouble_for")
    return float(seconds) if isinstance(seconds, int | float) and heartbeat.facts.get("trouble") else 0.0


def _of_workers(alive: Sequence[Heartbeat], known: int) -> dict[str, Any]:
    """What the workers that are alive report, of those that are known (*known* of them)."""
    return {
        "workers": len(alive),
        "silent_workers": known - len(alive),
        "troubles": sorted({line for heartbeat in alive for line in _said(heartbeat, "trouble")}),
        "lacks": sorted({line for heartbeat in alive for line in _said(heartbeat, "lack")}),
        "machines": sorted({_machine(heartbeat) for heartbeat in alive if not _troubled_for(heartbeat)}),
        "stuck_for": min((_troubled_for(heartbeat) for heartbeat in alive), default=0.0),
    }


def _word(heartbeat: Heartbeat) -> str:
    """What limits one worker, in one word; a trouble of its machine in as many as it takes."""
    trouble = heartbeat.facts.get("trouble")
    return (
        f"{_WAITS}{trouble[:_MAX_SAID]}"
        if isinstance(trouble, str) and trouble
        else str(heartbeat.facts.get("limit", ""))
    )


def unanswered(host: HostFacts) -> str:
    """What to add where *host*, the next that is due, rests because it did not answer."""
    if host.trouble or not (host.backoff_ms and host.failing_ms and host.rest_ms):
        return ""
    return f"; the next did not answer, it is asked again in {math.ceil(host.rest_ms / 1000):,} s"


def _polite(hosts: int, failing: int, delay: float) -> str:
    """What workers wait for while no host is due: *hosts* wait with URLs, *failing* of them fail."""
    if not hosts:
        return "waiting for answers"  # all hosts that have URLs are being asked just now
    if hosts > failing:
        return f"waiting for politeness: {counted(hosts - failing, 'host')}, delay {delay:g} s"
    return f"waiting for {counted(hosts, 'host')} that {'fails' if hosts == 1 else 'fail'}"


def _limit(limits: list[str], state: str, polite: str) -> str:
    """What the speed depends on now, by what most workers say; *polite* is what politeness means now."""
    if state in ("paused", "done", "empty", "limit", "deleting"):
        return state
    if not limits:
        return NO_WORKERS
    well = [limit for limit in limits if not limit.startswith(_WAITS)]
    if len(well) < len(limits):
        waiting = next(limit for limit in limits if limit.startswith(_WAITS)).removeprefix(_WAITS)
        if not well:
            return f"waiting: {waiting}"
        return f"{_limit(well, state, polite)}; {len(limits) - len(well)} of {len(limits)} workers wait: {waiting}"
    most = max(set(limits), key=limits.count)
    return {
        "politeness": polite,
        "concurrency": "all transfers busy: raise --concurrency or add workers",
        "network": "waiting for answers",
        "links": "waiting for new links",
        "memory": "Redis is full",
        "paused": "paused",
        "limit": "its limit is reached",
    }.get(most, most[:_MAX_SAID])
