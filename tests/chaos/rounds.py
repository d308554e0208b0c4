"""One round of chaos: a crawl of a new graph, with events until it is done, and the proof of it."""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

from crawler.frontier.keys import Keys
from crawler.frontier.visits import END
from crawler.text import rfc3339
from tests.chaos.crew import AGAIN, Crew
from tests.chaos.events import KINDS, Chaos
from tests.chaos.observer import CRAWL, Observer
from tests.chaos.proof import Found, Reported, Verdict, prove, prove_again
from tests.chaos.proxy import Proxy
from tests.chaos.redis_server import ChaosRedis
from tests.chaos.site import Site
from tests.stories.commands import Commands

LEAVING: Final = 60.0
"""Seconds that pools get to see that the crawl is done."""
_TICK: Final = 0.05


@dataclass(frozen=True)
class Options:
    """How a round is."""

    hosts: int = 12
    pages: int = 3000
    pools: int = 2
    workers: int = 2
    delay: float = 0.1
    term: float = 3.0
    """The lease term."""
    shards: int = 1
    overflow: int = 8
    """Queued URLs of a host from which on more are packed: few, so that chaos comes upon much packing."""
    kinds: dict[str, int] = field(default_factory=lambda: dict(KINDS))
    quiet: tuple[float, float] = (0.3, 1.5)
    """Seconds between two events, from and to."""
    count: int | None = None
    """Events at most; None: until the crawl is done."""
    limit: float = 600.0
    """Seconds after which a visit that is not done is given up."""
    visits: int = 2
    """One, or two: then the site changes in between."""
    package: Path | None = None
    """A folder with another `crawler` in it, which is crawled with."""


@dataclass(frozen=True, slots=True)
class Round:
    """How a round went."""

    seed: str
    fsync: str
    seconds: float
    pages: int
    events: Counter[str]
    verdict: Verdict
    deaths: int
    gap: float
    """Seconds for which nobody looked at Redis at most: what began and ended in them is not known."""


class NotDone(Exception):
    """The crawl did not end in time: what it was at."""


def play(seed: str, fsync: str, options: Options) -> Round:
    """Crawl under chaos, then prove. Raises NotDone."""
    with ExitStack() as stack:
        stage = _Stage(seed, fsync, options, stack)
        began = time.monotonic()
        stage.seed()
        stage.crawl()
        found = stage.found()
        verdict = prove(found)
        if options.visits > 1 and not verdict.wrong:
            stage.visit_again()
            found = stage.found()
            prove_again(stage.reported(), found, verdict)
        seconds = time.monotonic() - began
        events = Counter(event.kind for event in found.events)
        deaths = sum(len(event.handled) for event in found.events)
        return Round(seed, fsync, seconds, len(found.expected), events, verdict, deaths, stage.gap)


class _Stage:
    """All that a round is made of; *stack* takes it down again."""

    def __init__(self, seed: str, fsync: str, options: Options, stack: ExitStack) -> None:
        self._options = options
        self._name = f"seed {seed}, appendfsync {fsync}"
        self._server = ChaosRedis(fsync)
        stack.callback(self._server.close)
        self._proxy = Proxy(self._server.socket)
        stack.callback(self._proxy.close)
        self._direct = self._commands(self._server.url, stack)
        self._crew = Crew(self._commands(self._proxy.url, stack), options.pools, options.workers)
        stack.callback(self._crew.kill_strays)
        graph_seed = random.Random(f"site {seed}").randrange(1 << 30)
        self._site = Site(self._direct.folder, graph_seed, options.hosts, options.pages)
        stack.callback(self._site.close)
        self._observer = Observer(self._server, options.shards)
        stack.callback(self._observer.close)
        self._seed = seed
        self._since = 0.0
        """When this visit began, on the monotonic clock."""
        self._changed_at = ""
        self._agent = f"chaos/{secrets.token_hex(4)}"
        """Tells this crawl from any other that may ask at an address that another site had before."""
        self._chaos: Chaos | None = None

    @property
    def gap(self) -> float:
        """Seconds between two looks of the observer at most."""
        return self._observer.gap

    def _commands(self, redis: str, stack: ExitStack) -> Commands:
        commands = Commands(redis)
        stack.callback(commands.close)
        if self._options.package is not None:
            commands.env["PYTHONPATH"] = str(self._options.package)
        return commands

    def seed(self) -> None:
        """Put the first URLs in, and hold the observer to it."""
        options = self._options
        done = self._direct.run(
            *("seed", *self._site.graph.seeds, "--delay", f"{options.delay}s", "--lease-term", f"{options.term}s"),
            *("--shards", str(options.shards), "--max-depth", "none", "--host-patience", "0", "--retries", "8"),
            *("--user-agent", self._agent),
        )
        assert done.code == 0, done.err
        with self._server.client() as client:
            for keys in self._shards():
                client.hset(keys.meta, "overflow", options.overflow)
        self._observer.start()

    def crawl(self) -> None:
        """Run the pools with events until nothing is left, then let them leave."""
        self._chaos = Chaos(
            *(self._seed, self._options.kinds, self._crew, self._server, self._proxy, self._observer),
            self._options.term,
        )
        self._under_chaos(self._chaos, lambda: True)

    def visit_again(self) -> None:
        """The site changes; each URL is visited once more, with events all the while."""
        assert self._chaos is not None
        self._changed_at = rfc3339(time.time() + 1)  # from the next full second on
        time.sleep(2)
        self._since = time.monotonic()
        self._site.next_visit()
        self._crew.over = self._is_visited
        self._crew.takes((AGAIN, "--older-than", "0"), ("work", "--until-done"))
        self._under_chaos(self._chaos, self._is_visited)

    def _is_visited(self) -> bool:
        """Whether the sweep has come to its end, and all that it queued was visited."""
        try:
            with self._server.client() as connected:
                client: Any = connected
                is_swept = client.hget(self._shards()[0].sweep, "cursor") == END.encode()
            return is_swept and self._observer.look().done
        except redis.RedisError:
            return False

    def _under_chaos(self, chaos: Chaos, may_end: Callable[[], bool]) -> None:
        options = self._options
        chaos.pause(1.0, 2.0)  # so that there is something to disturb
        until, first = time.monotonic() + options.limit, len(chaos.events)
        while True:
            while not (self._observer.looks and self._observer.looks[-1].done and may_end()):
                self._crew.tend()
                if chaos.due() and (options.count is None or len(chaos.events) - first < options.count):
                    chaos.happen()
                    chaos.pause(*options.quiet)
                if time.monotonic() > until:
                    raise NotDone(self._state(f"it was not done after {options.limit:g} s"))
                time.sleep(_TICK)
            if not self._crew.leave(LEAVING):
                raise NotDone(self._state(f"it was done, and its pools did not leave within {LEAVING:g} s"))
            if self._observer.look().done:
                return
            # A power cut has taken the last second back, in which its pools saw that it was done.

    def _state(self, what: str) -> str:
        last = self._observer.looks[-1] if self._observer.looks else None
        status = self._direct.run("status", "--json")
        said = [slot.running.err[-1500:] for slot in self._crew.slots if slot.running is not None]
        events = [] if self._chaos is None else [event.kind for event in self._chaos.events[-10:]]
        return "\n".join(
            [f"{self._name}: {what}", f"{last}", status.out or status.err, f"last events: {events}", *said]
        )

    def found(self) -> Found:
        """What is known of this visit now."""
        assert self._chaos is not None
        hits, lags = self._site.log()
        return Found(
            expected=self._site.graph.expected(),
            authorities=self._site.graph.authorities,
            records=self._direct.exported(),
            status=self._direct.status(),
            stored=self._stored(),
            hits=[hit for hit in hits if hit.agent == self._agent and hit.arrived > self._since],
            lags=lags,
            events=self._chaos.events,
            ran_out=self._observer.ran_out,
            said=self._crew.said,
            delay=self._options.delay,
            ways=self._options.shards == 1,
            again=self._since > 0,
        )

    def reported(self) -> Reported:
        """What the second visit found."""
        return Reported(
            expected=self._site.graph.changes(),
            records=self._direct.exported("--changed-since", self._changed_at),
        )

    def _shards(self) -> list[Keys]:
        return [Keys(CRAWL, shard, self._options.shards) for shard in range(self._options.shards)]

    def _stored(self) -> dict[str, int]:
        with self._server.client() as connected:
            client: Any = connected
            seen = list(client.scan_iter("crawler:*:seen:*", count=1000))
            pipe = client.pipeline(transaction=False)
            for key in seen:
                pipe.scard(key)
            return {
                "records": sum(client.xlen(keys.records) for keys in self._shards()),
                "leases": sum(client.hlen(keys.leased) for keys in self._shards()),
                "seen": sum(pipe.execute()),
            }
