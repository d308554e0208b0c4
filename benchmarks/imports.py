"""What an import costs: fingerprints and requests a second, bytes of Redis, and what workers pay for each new link.

A Redis of its own is filled as scrapy-redis would leave it, and imported into another database of it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import redis

from benchmarks.commands import Redis
from benchmarks.measure import rss_of
from crawler.config import load
from crawler.crawl.imports.importer import Importer
from crawler.crawl.imports.scrapy_redis import Names, ScrapyRedis
from crawler.crawl.session import Session
from crawler.frontier.frontier import Frontier
from crawler.policy.scope import Scope
from crawler.worker.link_filter import LinkFilter
from crawler.worker.seen_before import SeenBefore

LINKS: Final = 100
"""New links of a page."""
PAGES: Final = 300
_BATCH: Final = 1_000


def main() -> int:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=main.__doc__)
    parser.add_argument("--fingerprints", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args()
    with Redis() as server, redis.Redis.from_url(server.url) as client:
        fill(client, options.fingerprints, options.requests)
        before = client.info("memory")["used_memory"]
        settings = {"redis": server.url.replace("/0", "/1"), "crawl": "imported"}
        with (
            ScrapyRedis(server.url, Names("shop"), say) as source,
            Session(load(settings, {}), lambda _: None) as session,
        ):
            frontier = session.create_or_join()
            importer = Importer(session, frontier)
            began = time.monotonic()
            total, _ = importer.mark_seen(source.fingerprints())
            took = time.monotonic() - began
            each = (client.info("memory")["used_memory"] - before) / max(total, 1)
            say(f"{total:,} fingerprints: {total / took:,.0f} a second, {each:.1f} bytes of Redis each")
            began = time.monotonic()
            seeded = importer.seed(source.lines())
            took = time.monotonic() - began
            memory = rss_of(os.getpid()) / 1e6
            say(f"{seeded.new:,} requests: {seeded.new / took:,.0f} a second; {memory:.0f} MB of memory")
            for words, filter_ in filters(frontier).items():
                say(f"{words}: {milliseconds(filter_):.2f} ms of CPU for a page of {LINKS} links that are new")
    return 0


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def fill(client: redis.Redis, fingerprints: int, requests: int) -> None:
    """Write what a spider `shop` would leave."""
    hashes = (hashlib.sha1(b"%d" % n).hexdigest() for n in range(fingerprints))
    for batch in batches(hashes):
        client.sadd("shop:dupefilter", *batch)
    waiting = (
        json.dumps({"url": f"https://h{n % 1000}.example/{n}.html", "meta": {"depth": 2}}) for n in range(requests)
    )
    for batch in batches(waiting):
        client.zadd("shop:requests", dict.fromkeys(batch, 0))


def batches(values: Iterator[str]) -> Iterator[list[str]]:
    """*values* in parts."""
    while batch := list(islice(values, _BATCH)):
        yield batch


def filters(frontier: Frontier) -> dict[str, LinkFilter]:
    """A worker's filter of links without an import, and with it."""
    found = {name: LinkFilter(Scope("all"), every) for name in ("without an import", "with it")}
    found["with it"].seen_before = SeenBefore(frontier.crawldb.hosts.seen_before)
    return found


def every(keys: Sequence[str]) -> list[bool]:
    """All are roots."""
    return [True] * len(keys)


def milliseconds(links: LinkFilter) -> float:
    """CPU of this process for each page."""
    pages: list[list[Any]] = [[f"https://a.example/{p}/{n}.html?b={n}&a=1" for n in range(LINKS)] for p in range(PAGES)]
    began = time.process_time()
    for page in pages:
        links.admit(page, depth=1, via="1")
    return (time.process_time() - began) / PAGES * 1000


if __name__ == "__main__":
    sys.exit(main())
