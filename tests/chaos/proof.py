"""The proof after a crawl under chaos: from its records, its counters and the access log of its hosts. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from tests.chaos.events import Event
from tests.chaos.graph import ROBOTS, Expected
from tests.chaos.observer import RanOut
from tests.chaos.site import HUNG_UP, Hit, Lag

Json = dict[str, Any]

MEASURING: Final = 0.008
"""Seconds by which the server may see a request earlier or later than it was sent."""
SLACK: Final = 1.0
"""Seconds around an event in which it may explain a page that is asked for again."""
_BUSY: Final = 503
_KILLS: Final = ("worker-kill", "pool-kill", "pool-kill-alone", "pool-term", "worker-term")
_SHOWN: Final = 5
DEFECTS: Final = ("Traceback", "this is a defect", "handling http", "DeprecationWarning")


@dataclass(slots=True)
class Found:
    """All that is known of a crawl that has ended."""

    expected: Mapping[str, Expected]
    authorities: Sequence[str]
    records: Sequence[Json]
    status: Mapping[str, Any]
    stored: Mapping[str, int]
    """What Redis holds: `records`, `seen`, `leases`."""
    hits: Sequence[Hit]
    lags: Sequence[Lag]
    events: Sequence[Event]
    ran_out: Sequence[RanOut]
    said: Sequence[str]
    """What its commands said."""
    delay: float
    ways: bool = True
    """Depth and via are certain; on its way between shards one link may overtake another."""
    again: bool = False
    """It is a second visit: Redis holds entries of the first one as well, and rules of robots.txt."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What a second visit found, and what there was to find: a word of CHANGES for each URL that is not as it was."""

    expected: Mapping[str, str]
    records: Sequence[Json]
    """The export of changes."""


@dataclass(slots=True)
class Verdict:
    """What is wrong, by kind of check, and what was fetched again, by cause."""

    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    refetched: Counter[str] = field(default_factory=Counter)

    def say(self, check: str, text: str) -> None:
        """Note something that is wrong."""
        self.wrong[check].append(text)

    def lines(self) -> list[str]:
        """What is wrong, the first few of each kind."""
        lines = []
        for check, texts in self.wrong.items():
            lines += [f"{check}: {len(texts)}", *(f"  {text}" for text in texts[:_SHOWN])]
        return lines


CHECKS: Final = (
    "lost",
    "unexpected",
    "stored twice",
    "ended otherwise",
    "counters",
    "politeness",
    "charged",
    "refetched",
    "said",
    "change missed",
    "change made up",
    "reported twice",
)
"""Every kind of thing that can be wrong."""


def prove(found: Found) -> Verdict:
    """Check all of it."""
    verdict = Verdict()
    _records(found, verdict)
    _counters(found, verdict)
    _politeness(found, verdict)
    _charges(found, verdict)
    _refetches(found, verdict)
    for said in found.said:
        for word in DEFECTS:
            if word in said:
                verdict.say("said", said[max(said.index(word) - 200, 0) : said.index(word) + 500])
    return verdict


def prove_again(reported: Reported, found: Found, verdict: Verdict) -> None:
    """Check a second visit: each change is reported, once, and nothing else; the rest as after any crawl."""
    counts = Counter(record["url"] for record in reported.records)
    words = {record["url"]: record.get("change") for record in reported.records}
    for url, n in counts.items():
        if n > 1:
            verdict.say("reported twice", f"{url}: {n} times")
        if url not in reported.expected:
            verdict.say("change made up", f"{url}: {words[url]}")
    for url, word in reported.expected.items():
        if words.get(url) != word:
            verdict.say("change missed", f"{url} is {word}, reported is {words.get(url)}")
    again = prove(found)
    for check, texts in again.wrong.items():
        verdict.wrong[check] += [f"at the second visit: {text}" for text in texts]
    verdict.refetched += again.refetched


# -- what was stored ---------------------------------------------------------------------------------------------------


def _records(found: Found, verdict: Verdict) -> None:
    counts = Counter(record["url"] for record in found.records)
    for url, n in counts.items():
        if n > 1:
            verdict.say("stored twice", f"{url}: {n} times")
    for url in found.expected.keys() - counts.keys():
        verdict.say("lost", url)
    for record in found.records:
        wanted = found.expected.get(record["url"])
        if wanted is None:
            verdict.say("unexpected", f"{record['url']}: {record['outcome']}")
            continue
        got = (record["outcome"], record["depth"], record.get("via"))
        must = (wanted.outcome, wanted.depth, wanted.via) if found.ways else (wanted.outcome, *got[1:])
        if got != must:
            verdict.say("ended otherwise", f"{record['url']}: {got}, not {wanted}; {record.get('error')}")
        elif wanted.title is not None and record.get("title") != wanted.title:
            verdict.say("ended otherwise", f"{record['url']} has the title {record.get('title')!r}")


def _counters(found: Found, verdict: Verdict) -> None:
    n, status = len(found.expected), found.status
    wanted: Json = {"accepted": n, "ended": n, "queued": 0, "leased": 0, "state": "done"}
    outcomes = Counter(record["outcome"] for record in found.records)
    wanted |= {"outcomes": dict(outcomes)}
    for name, value in wanted.items():
        if status.get(name) != value:
            verdict.say("counters", f"{name} is {status.get(name)}, not {value}")
    stored = {"records": n, "seen": n, "leases": 0}
    for name, value in stored.items():
        if name == "records" and found.again:
            continue
        if found.stored[name] != value:
            verdict.say("counters", f"Redis holds {found.stored[name]} {name}, not {value}")


# -- what was asked for ------------------------------------------------------------------------------------------------


def _politeness(found: Found, verdict: Verdict) -> None:
    by_host: dict[int, list[Hit]] = defaultdict(list)
    for hit in found.hits:
        by_host[hit.host].append(hit)
    lags = sorted(found.lags, key=lambda lag: lag.at)
    for host, hits in by_host.items():
        name = found.authorities[host]
        if hits[0].target != ROBOTS and not found.again:
            verdict.say("politeness", f"{name}: {hits[0].target} was asked for before robots.txt")
        for hit in hits:
            if hit.target.startswith("/denied/"):
                verdict.say("politeness", f"{name}{hit.target} is denied by robots.txt")
        for one, other in pairwise(hits):
            late = MEASURING + _late(lags, one.arrived, other.arrived)
            gap = other.arrived - max(one.arrived, one.ended)
            if gap < found.delay - late:
                how = "while" if gap < 0 else f"{gap:.3f} s after"
                verdict.say(
                    "politeness",
                    f"{name}{other.target} was asked for {how} {one.target} (status {one.status})"
                    f" at {other.arrived:.3f}: {_around(found, one.arrived, other.arrived)}",
                )


def _late(lags: Sequence[Lag], since: float, until: float) -> float:
    """Seconds by which the server was late around a time: what it wrote down may be as wrong."""
    at = bisect_left(lags, since - 0.1, key=lambda lag: lag.at)
    late = 0.0
    while at < len(lags) and lags[at].at - lags[at].seconds <= until + 0.1:
        late = max(late, lags[at].seconds)
        at += 1
    return late


def _charges(found: Found, verdict: Verdict) -> None:
    """Attempts beyond the first: of a busy page one; and what a worker handled that died, and what was reaped."""
    allowed = Counter(held.url for event in found.events for held in event.handled)
    allowed.update(out.held.url for out in found.ran_out)
    for event in found.events:
        if event.kind == "power-cut":  # leases that had ended are there again, and nobody holds them any more
            since = event.began - event.lost - SLACK
            again = {_url(found, hit) for hit in found.hits if since < hit.ended and hit.arrived < event.over}
            allowed.update(again)
    for record in found.records:
        url = record["url"]
        wanted = found.expected.get(url)
        more = record.get("attempts", 1) - 1 - (1 if wanted is not None and wanted.busy else 0)
        if more > allowed[url]:
            verdict.say("charged", f"{url} has {record['attempts']} attempts, {allowed[url]} are explained")


def _url(found: Found, hit: Hit) -> str:
    return f"http://{found.authorities[hit.host]}{hit.target}"


def _refetches(found: Found, verdict: Verdict) -> None:
    """Why a page was asked for again: its first asker died, its lease ran out, or its end was lost with a power cut.

    Nothing is said of a third visit: a pool that was being started when the second one ended begins it.
    """
    if found.again and int(found.status.get("visit", 2)) > 2:
        return
    asked: dict[str, list[Hit]] = defaultdict(list)
    for hit in found.hits:
        if hit.target != ROBOTS and hit.status != _BUSY:
            asked[_url(found, hit)].append(hit)
    reaped: dict[str, list[float]] = defaultdict(list)
    for out in found.ran_out:
        reaped[out.held.url].append(out.at)
    for url, hits in asked.items():
        if url not in found.expected:
            verdict.say("unexpected", f"{url} was asked for, and no page leads there")
        for one, other in pairwise(hits):
            cause = _cause(url, one, other, found.events, reaped[url])
            verdict.refetched[cause or "unknown"] += 1
            if cause is None:
                verdict.say(
                    "refetched",
                    f"{url} at {one.arrived:.3f} (status {one.status}) and {other.arrived:.3f}, and nothing explains:"
                    f" {_around(found, one.arrived, other.arrived)}",
                )


def _around(found: Found, since: float, until: float) -> str:
    """What happened around a time, for who has to find out."""
    near = [event for event in found.events if event.over > since - 5 and event.began < until + 1]
    events = ", ".join(f"{event.kind} {event.began:.3f}-{event.over:.3f}" for event in near)
    return events or "no event"


def _cause(url: str, one: Hit, other: Hit, events: Sequence[Event], reaped: Sequence[float]) -> str | None:
    between = [event for event in events if event.over + SLACK > one.arrived and event.began < other.arrived]
    for event in between:
        if url in event.held and event.kind in _KILLS:
            return event.kind
    if any(one.arrived - SLACK < at < other.arrived + SLACK for at in reaped):
        last = between[-1].kind if between else "a slow machine"
        return f"its lease ran out ({last})"
    for event in between:
        if event.kind == "power-cut" and one.ended > event.began - event.lost - SLACK:
            return event.kind
    for event in between:
        if event.kind in _KILLS or (event.kind == "worker-freeze-long" and one.status == HUNG_UP):
            return event.kind
    return None
