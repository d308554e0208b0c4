"""Near duplicates: how well they are told from other pages, and what looking for them costs.

`make bench-similarity`. Real pages are changed: 1, 5, 10, 20 or 50 percent of their words, each drawn by itself, are
replaced by words of other pages (three in five), left out, or followed by such a word. For each part it prints in how
many bits the hashes differ on average, how many of the changed pages are near by that, and how many the frontier finds.
Then how many pairs of different pages count as near, what a commit costs Redis, and what a page takes of its memory.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks import docs
from benchmarks.commands import Redis
from benchmarks.crawls import CRAWL, TERM, Spent, Web, answer_robots, create, ending, fill, spent
from benchmarks.site import SiteError
from benchmarks.skim import pages
from crawler.fetch.fetcher import Headers, Response
from crawler.frontier import verbs
from crawler.frontier.keys import Keys
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.scripts import NEAR_BITS, NEAR_MAX
from crawler.frontier.shards.shard import Shard
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.policy.similarity import distance, similarity

PARTS: Final = (0.01, 0.05, 0.1, 0.2, 0.5)
TIMED: Final = 16_000
"""Characters of the text by which the hash is timed."""
PAGES: Final = 2_000
"""Committed in one measurement."""
AT_ONCE: Final = 16
WEB: Final = Web(hosts=100, run=100)
LIMITS: Final = Limits(delay_ms=0, per_host=64)
FULL: Final = 1_000_000
"""Pages after which the index is full."""
_FIELDS: Final = 64

Hashes = Callable[[int], int | None]
"""Number of a page -> its hash."""


# -- quality -----------------------------------------------------------------------------------------------------------


def texts(folder: Path, most: int) -> list[str]:
    """The main texts of up to *most* pages of a folder that are long enough to be compared."""
    extractor = Extractor(ExtractOptions(want=frozenset(("main", "text")), agent="crawler"))
    found = []
    for path in list(pages(folder))[:most]:
        response = Response("http://site.example/", 200, Headers([("content-type", "text/html")]), path.read_bytes())
        page = extractor.extract(response)
        text = page.text if page.main is None else page.main
        if text and similarity(text) is not None:
            found.append(text)
    return found


def changed(words: Sequence[str], part: float, dice: random.Random, others: Sequence[str]) -> str:
    """A text with this part of its words changed."""
    out: list[str] = []
    for word in words:
        if dice.random() >= part:
            out.append(word)
        elif (how := dice.random()) < 0.6:
            out.append(dice.choice(others))
        elif how < 0.8:
            out += [word, dice.choice(others)]
    return " ".join(out)


def bands(text: int) -> list[int]:
    """The parts of a hash by which the frontier looks it up (see shared/similar.lua)."""
    return [text >> low & (1 << high - low) - 1 for high, low in pairwise([*range(64, 0, -13), 0])]


def is_found(one: int, other: int) -> bool:
    """Whether the frontier finds that the two are near: they share a band and differ in few bits."""
    return distance(one, other) <= NEAR_BITS and any(a == b for a, b in zip(bands(one), bands(other), strict=True))


def alike(one: str, other: str) -> float:
    """What two texts share of the pairs of words that either has."""
    first, second = (set(pairwise(text.split())) for text in (one, other))
    return len(first & second) / max(len(first | second), 1)


def judge(name: str, found: list[str], seed: int) -> None:
    """Print what is found of changed pages, and what counts as near of different ones."""
    hashes = [similarity(text) or 0 for text in found]
    others = [word for text in found for word in text.split()]
    words = sorted(len(text.split()) for text in found)
    print(f"{name}: {len(found):,} pages, the middle one has {words[len(words) // 2]:,} words")
    for part in PARTS:
        dice = random.Random(f"{seed} {part}")
        made = [similarity(changed(text.split(), part, dice, others)) or 0 for text in found]
        bits = [distance(one, other) for one, other in zip(hashes, made, strict=True)]
        near = sum(n <= NEAR_BITS for n in bits) / len(bits)
        shown = sum(is_found(one, other) for one, other in zip(hashes, made, strict=True)) / len(bits)
        mean = sum(bits) / len(bits)
        print(f"  {part:4.0%} changed: {mean:4.1f} bits differ; {near:6.1%} are near, {shown:6.1%} are found")
    pairs = [(a, b) for a, b in combinations(range(len(found)), 2) if distance(hashes[a], hashes[b]) <= NEAR_BITS]
    shares = sorted(alike(found[a], found[b]) for a, b in pairs)
    right = sum(share >= 0.5 for share in shares)
    print(f"  of {len(found) * (len(found) - 1) // 2:,} pairs of different pages {len(pairs)} are near;", end=" ")
    print(f"{right} of these share half of their pairs of words or more")


def time_hash(found: Sequence[str]) -> None:
    """Print what the hash of 16 kB takes."""
    text = " ".join(found)[:TIMED]
    least = min(_cpu_of(lambda: similarity(text)) for _ in range(20))
    print(f"the hash of {TIMED:,} characters, {len(text.split()):,} words, takes {least * 1000:.2f} ms of CPU")


def _cpu_of(work: Callable[[], object], times: int = 100) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


# -- cost in Redis -----------------------------------------------------------------------------------------------------


def entries(count: int, dice: random.Random) -> Iterator[tuple[int, int, bytes]]:
    """Of *count* pages with different texts: number of the hash in Redis, field and entry."""
    for _ in range(count):
        text, url_id = dice.getrandbits(64), dice.getrandbits(63)
        entry = text.to_bytes(8, "big") + url_id.to_bytes(8, "big")
        for band, value in enumerate(bands(text)):
            yield band * 128 + value // _FIELDS, value % _FIELDS, entry


def fill_index(client: Any, count: int) -> None:
    """Put *count* pages into the index, as commits would."""
    found: dict[int, dict[int, bytes]] = {}
    for key, field, entry in entries(count, random.Random(count)):
        fields = found.setdefault(key, {})
        fields[field] = (fields.get(field, b"") + entry)[-16 * NEAR_MAX :]
    pipe = client.pipeline(transaction=False)
    for key, fields in found.items():
        for field, value in fields.items():
            pipe.hset(f"{Keys(CRAWL).prefix}near:{key}", field, value)
    pipe.execute()


def weigh(redis: Redis, client: Any) -> None:
    """Print what pages take of the index."""
    for count in (1_000, 10_000, 100_000, FULL):
        redis.flush()
        before = redis.memory()
        fill_index(client, count)
        taken = redis.memory() - before
        print(f"  {count:>9,} different texts: {taken / count:6.0f} bytes each, {taken / (1 << 20):6.1f} MiB in all")


def committed(redis: Redis, shard: Shard, hashes: Hashes) -> Spent:
    """PAGES pages from lease to commit, their texts by number."""

    def work() -> int:
        done, calls = 0, list[Any]()
        while done < PAGES:
            *_, leased = shard.run([*calls, verbs.lease(shard, verbs.new_call(), AT_ONCE, TERM, "benchmark")])
            ended = [ending(shard, each) for each in leased.leases]
            ended = [msgspec.structs.replace(each, similarity=hashes(done + n)) for n, each in enumerate(ended)]
            calls = [verbs.commit(shard, each) for each in ended]
            done += len(calls)
        shard.run(calls)
        return done

    return spent(redis, work)


def cost(redis: Redis) -> None:
    """Print what a commit takes of Redis's CPU, lease included."""
    link = Connection(redis.url, timeout=60)
    dice = random.Random(3)
    floods: dict[str, tuple[bool, Hashes]] = {
        "no hash": (False, lambda n: None),
        "new texts, the index is empty": (False, lambda n: dice.getrandbits(64)),
        "new texts, the index is full": (True, lambda n: dice.getrandbits(64)),
        "one text on all pages": (True, lambda n: 77),
        "a flood: texts of one band, all else differs": (True, lambda n: dice.getrandbits(51)),
        "no hash, the index is full": (True, lambda n: None),
    }
    for name, (is_full, hashes) in floods.items():
        redis.flush()
        shard = create(link, LIMITS)
        fill(redis.url, WEB, 0, 3 * PAGES)
        answer_robots(shard)
        if is_full:
            fill_index(link.client, FULL)
        found = committed(redis, shard, hashes)
        print(f"  {found.cpu / found.n * 1e6:5.0f} us a page: {name}")
    link.close()


def main() -> int:
    """Measure how near duplicates are found, and what that costs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.similarity", description=main.__doc__)
    docs.add_options(parser)
    parser.add_argument("--most", type=int, default=1_200, metavar="N", help="pages of a folder at most (1200)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the changes (0)")
    args = parser.parse_args()
    try:
        folders = docs.folders(args.folder)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 2
    for name, folder in folders.items():
        found = texts(folder, args.most)
        judge(name, found, args.seed)
        time_hash(found)
    with Redis() as redis:
        print("memory of the index:")
        weigh(redis, Connection(redis.url, timeout=60).client)
        print("CPU of Redis for lease and commit:")
        cost(redis)
    return 0


if __name__ == "__main__":
    sys.exit(main())
