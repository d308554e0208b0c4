"""What stays of a URL that has ended, in bytes of Redis: `make bench-states`.

A million URLs of 60 characters on average are put, leased, committed and drained by the crawler's own scripts; then
only their states are left, and `seen`. Of their ETags 40% are none, 30% have 15 characters, 20% have 34 and 10% have 20
to 60, as they are met; or all have 64. The Redis is one with default settings, or the embedded one; the crawl has one
shard or three. Counted is the growth of used_memory, without `seen` and the hosts (MEMORY USAGE of every element).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks import report, targets
from benchmarks.commands import Redis, Unexpected, wait_until
from benchmarks.crawls import CRAWL, ending
from benchmarks.frontier import DEFAULT_ENTRIES
from benchmarks.measure import load
from benchmarks.site import exit_on_sigterm
from crawler.export.drain import drain
from crawler.frontier import verbs
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Commit, Lease, Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.redis.embedded import EmbeddedRedis
from crawler.frontier.shards.records import START
from crawler.frontier.shards.shard import Shard
from crawler.record import Request
from crawler.settings import Settings
from crawler.url import Form

URLS: Final = 1_000_000
HOSTS: Final = 1_000
AT_ONCE: Final = 500
LENGTH: Final = 60
CASES: Final = (
    ("default", 1, "usual"),
    ("default", 3, "usual"),
    ("embedded", 1, "usual"),
    ("embedded", 3, "usual"),
    ("default", 1, "64"),
)
"""Server, shards, ETags."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes a URL that has ended."""

    of_states: float
    """The growth of used_memory without what follows."""
    of_seen: float
    """The sets `seen` and the hashes of hosts."""


def url_of(n: int) -> str:
    """A URL of LENGTH characters on average."""
    url = f"https://www.host{n % HOSTS}.example/articles/{n % 97}/title-{n:07}"
    return url + "-and-some-words-of-it"[: LENGTH - 56 + n % 9]


def etag_of(kind: str, dice: random.Random) -> str | None:
    """The ETag of an answer."""
    if kind != "usual":
        return "e" * int(kind)
    chance = dice.random()
    if chance < 0.4:
        return None
    length = 15 if chance < 0.7 else 34 if chance < 0.9 else dice.randint(20, 60)
    return f'"{dice.getrandbits(4 * length):0{length}x}'[: length - 1] + '"'


def commit_of(shard: Shard, lease: Lease, tags: str, dice: random.Random) -> Commit:
    """The end of a page with all that a first visit leaves of it; it has a Last-Modified as often as an ETag."""
    made = ending(shard, lease)
    etag, digest, similarity = etag_of(tags, dice), dice.getrandbits(64), dice.getrandbits(64)
    state = msgspec.structs.replace(
        made.state,
        etag=etag,
        last_modified=None if etag is None else 1_700_000_000 + dice.randrange(1 << 20),
        digest=digest,
        similarity=similarity,
        text_digest=dice.getrandbits(64),
        text_method=1,
    )
    return msgspec.structs.replace(made, state=state)


@contextmanager
def server(kind: str) -> Iterator[str]:
    """The URL of an empty Redis with default settings, or of an embedded one."""
    if kind == "default":
        with Redis(DEFAULT_ENTRIES) as running:
            yield running.url
    else:
        with tempfile.TemporaryDirectory(prefix="crw-states-") as folder, EmbeddedRedis(Path(folder)) as embedded:
            yield embedded.url


def measure(url: str, shards: int, tags: str, count: int) -> Kept:
    """Crawl and drain *count* URLs; what is left of each."""
    link, dice = Connection(url, timeout=120), random.Random(count)
    client: Any = link.client
    before = int(client.info("memory")["used_memory"])
    limits = Limits(delay_ms=0, per_host=AT_ONCE, robots=False)
    settings = Settings(delay=0.0, shards=shards).encode()
    frontier = Frontier.create(link, CRAWL, Identity.new(Form(), shards), settings, limits)
    for start in range(0, count, verbs.MAX_REQUESTS):
        frontier.put(
            [Request(url_of(n), 2, 0, str(n + 1)) for n in range(start, min(start + verbs.MAX_REQUESTS, count))]
        )
    done = 0
    for shard in frontier.shards:
        while leases := shard.ask(verbs.lease(shard, verbs.new_call(shard.number), AT_ONCE, 600, "benchmark")).leases:
            shard.run([verbs.commit(shard, commit_of(shard, lease, tags, dice)) for lease in leases])
            done += drain(frontier, START, ",".join(["+"] * shards), lambda one: True)
    if done != count:
        raise Unexpected(f"{done:,} URLs of {count:,} ended and were drained")
    wait_until(lambda: _is_settled(client), "an end of rehashing", 120)
    grown = int(client.info("memory")["used_memory"]) - before
    seen = sum(_usage(client, shard.keys.pattern(name)) for shard in frontier.shards for name in ("seen:", "host:"))
    link.close()
    return Kept((grown - seen) / count, seen / count)


def _is_settled(client: Any) -> bool:
    """Whether the table of keys has come to the size that its keys need."""
    before = int(client.info("memory")["used_memory"])
    time.sleep(1)
    return abs(int(client.info("memory")["used_memory"]) - before) < 100_000


def _usage(client: Any, pattern: str) -> int:
    """Bytes of all keys that match, each element counted."""
    keys = list(client.scan_iter(pattern, 1000))
    total = 0
    for start in range(0, len(keys), 1000):
        pipe = client.pipeline(transaction=False)
        for key in keys[start : start + 1000]:
            pipe.memory_usage(key, samples=0)
        total += sum(pipe.execute())
    return total


HEAD: Final = "| Redis | shards | ETags | bytes a URL that has ended | `seen` and hosts |\n|---|--:|---|--:|--:|"


def main() -> int:
    """Measure what stays of a URL that has ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.states", description=main.__doc__)
    parser.add_argument("--urls", type=int, default=URLS, metavar="N", help="(1000000)")
    parser.add_argument("--only", default="", metavar="WORDS", help="one case, as `default 3 usual`")
    targets.add_option(parser)
    args = parser.parse_args()
    exit_on_sigterm()
    where = report.machine(load())
    print(f"{where}\n\n{HEAD}", flush=True)
    figures: dict[str, float] = {}
    rows: list[str] = []
    try:
        for kind, shards, tags in CASES:
            if args.only in ("", f"{kind} {shards} {tags}"):
                with server(kind) as url:
                    kept = measure(url, shards, tags, args.urls)
                figures[f"{kind}_{shards}_{tags}"] = kept.of_states
                rows.append(f"| {kind} | {shards} | {tags} | {kept.of_states:.1f} | {kept.of_seen:.1f} |")
                print(rows[-1], flush=True)
    except Unexpected as error:
        print(error, file=sys.stderr)
        return 2
    folder = targets.folder(args, whole=args.urls == URLS and not args.only)
    if folder is not None:
        targets.write(folder, "states", where, figures, "\n".join([HEAD, *rows]))
    print(f"\n{targets.table(targets.of_figures('states', figures))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
