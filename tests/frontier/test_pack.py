"""pack: the oldest entries of a long queue's tail become a segment."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from typing import Any, Final

import pytest

from crawler.errors import CrawlDeleting, DamagedCrawl, NoCrawl
from crawler.frontier import segment as segments
from crawler.frontier import verbs
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Call
from crawler.frontier.shards.shard import Shard
from crawler.record import Request
from tests.frontier.crawls import Crawl, Make

A: Final = "a.example"
B: Final = "b.example:81"


def urls(first: int, n: int, host: str = A) -> list[str]:
    return [f"http://{host}/{k}" for k in range(first, first + n)]


def entries(first: int, n: int) -> list[bytes]:
    return [Request(url).place()[1] for url in urls(first, n)]


def long_queue(make: Make, **limits: Any) -> Crawl:
    """Of a host eight pages in the head, seven in the tail."""
    crawl = make(overflow=8, per_host=99, **limits)
    crawl.put(*urls(0, 8))
    for n in range(8, 15):
        crawl.put(*urls(n, 1))
    return crawl


def parts(crawl: Crawl, host: str = A) -> tuple[int, list[int], int]:
    """How many entries are in the head, in each segment, in the tail."""
    shot = crawl.snapshot()
    return len(shot.queues.get((host, "1"), ())), shot.segments.get(host, []), len(shot.queues.get((host, "tail"), ()))


def tail(crawl: Crawl) -> Sequence[bytes]:
    return crawl.snapshot().queues.get((A, "tail"), [])


def test_a_head_that_is_full_gets_no_more(make: Make) -> None:
    assert parts(long_queue(make)) == (8, [], 7)


def test_who_makes_a_tail_long_is_told_once(make: Make) -> None:
    """And again when it is as long once more, for the first may have died."""
    crawl = make(overflow=8)
    told = [crawl.put(*urls(n, 2)).long for n in range(0, 28, 2)]
    assert [bool(hosts) for hosts in told] == [n >= 10 and (n - 6) % 4 == 0 for n in range(0, 28, 2)]
    lease = crawl.lease(1)[0]
    assert crawl.commit(lease, links=urls(100, 3)).long == ()
    assert crawl.commit(crawl.lease(1)[0], links=[*urls(200, 1), *urls(0, 1, B)]).long == (A,)


def test_the_oldest_of_the_tail_become_a_segment(make: Make) -> None:
    crawl = long_queue(make)
    assert crawl.frontier.pack(A, entries(8, 3)) is True
    assert parts(crawl) == (8, [3], 4)
    assert crawl.frontier.pack(A, entries(11, 2)) is False
    assert parts(crawl) == (8, [3, 2], 2)
    assert crawl.frontier.state().queued == 15


def test_sent_twice_it_changes_nothing(make: Make) -> None:
    crawl = long_queue(make)
    call = crawl.frontier.pack_call(A, entries(8, 4))
    assert crawl.frontier.run([call, call]) == [False, False]
    assert parts(crawl) == (8, [4], 3)


@pytest.mark.parametrize("found", [entries(9, 3), entries(8, 8), [*entries(8, 2), b"x"], [b"x"]])
def test_what_the_tail_does_not_begin_with_is_not_packed(make: Make, found: list[bytes]) -> None:
    crawl = long_queue(make)
    assert crawl.frontier.pack(A, found) is True
    assert parts(crawl) == (8, [], 7)


def test_a_full_redis_does_not_stop_it(make: Make) -> None:
    crawl = long_queue(make)
    crawl.link.client.config_set("maxmemory", 1)
    crawl.frontier.pack(A, entries(8, 7))
    assert parts(crawl) == (8, [7], 0)


def test_nothing_is_taken_where_the_segments_are_of_another_kind(make: Make) -> None:
    crawl = long_queue(make)
    crawl.link.client.set(crawl.frontier.keys.queue(A, "packed"), "x")
    with pytest.raises(DamagedCrawl, match=r"queue:a\.example:packed holds a string, not a list"):
        crawl.frontier.pack(A, entries(8, 4))
    crawl.link.client.delete(crawl.frontier.keys.queue(A, "packed"))
    assert parts(crawl) == (8, [], 7)


def test_a_crawl_that_is_gone_gets_no_segment(make: Make) -> None:
    crawl = long_queue(make)
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.frontier.pack(A, entries(8, 4))
    crawl.crawldb.sweep()
    with pytest.raises(NoCrawl):
        crawl.frontier.pack(A, entries(8, 4))
    assert crawl.link.client.keys("crawler:*") == []


# -- what is done with it ----------------------------------------------------------------------------------------------


def test_tidy_packs_until_the_tail_is_short(make: Make) -> None:
    """Whoever takes from it meanwhile; a segment has its limits, in entries and in bytes."""
    crawl = make(overflow=8)
    crawl.put(*urls(0, 8))
    for n in range(0, 6000, 1000):
        crawl.put(*urls(n + 8, 1000))
    crawl.frontier.compact([A], (), pytest.fail)
    assert parts(crawl) == (8, [4096, 1904], 0)
    crawl.put(*(f"http://{A}/long?{k}{'x' * 1900}" for k in range(400)))
    crawl.frontier.compact([A, B], (), pytest.fail)
    (head, (_, _, *more), left) = parts(crawl)
    assert (head, sum(more), left, max(more) < 140, len(more)) == (8, 400, 0, True, 3)


def test_many_pack_at_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one packs after each look: whatever the order, each entry is in one place."""
    crawl = long_queue(make)
    real = verbs.pack

    def late(shard: Shard, host: str, found: Sequence[bytes]) -> Call[bool]:
        shard.ask(real(shard, host, tail(crawl)[:1]))
        return real(shard, host, found)

    monkeypatch.setattr(verbs, "pack", late)
    crawl.frontier.compact([A], (), pytest.fail)
    head, packed, left = parts(crawl)
    assert (head, sum(packed) + left, left < 4) == (8, 7, True)
    assert crawl.snapshot().queues[A, "packed"] == entries(8, sum(packed))


def test_a_segment_is_read_as_it_was_written() -> None:
    dice = random.Random(7)
    for n in (1, 2, 300, segments.MAX_ENTRIES):
        written = [dice.randbytes(dice.choice((0, 1, 20, 300))) for _ in range(n)]
        segment = segments.encode(written)
        assert segments.decode(segment) == written
        assert int.from_bytes(segment[:2], "big") == n


@pytest.mark.parametrize(
    "segment",
    [
        b"",
        b"x",
        b"junk that is no segment",
        segments.encode(entries(0, 9))[:-5],
        b"\x00\x08" + segments.encode(entries(0, 9))[2:],
        segments.encode([]),
        b"\x00\x01" + zlib.compress(b"\x00\x00\x00\x03ab"),
    ],
)
def test_what_is_no_segment_is_none(segment: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        segments.decode(segment)


def test_limits_say_what_is_long() -> None:
    assert Limits().fields()["overflow"] == "8192"


# -- what it is for ----------------------------------------------------------------------------------------------------


def _of(client: Any, keys: Sequence[str]) -> int:
    """Bytes that *keys* take."""
    return sum(client.memory_usage(key, samples=0) or 0 for key in keys)


@pytest.mark.slow
def test_a_long_queue_takes_little_room(make: Make) -> None:
    """A hundred thousand URLs of one host in less than 3 MB; all are leased, once, in the order in which they came."""
    n = 100_000
    crawl = make(per_host=n)
    dice = random.Random(3)
    words = [f"{dice.getrandbits(24):x}" for _ in range(500)]
    paths = [f"/{'-'.join(dice.choices(words, k=4))}/{k}" for k in range(n)]
    for at in range(0, n, 1000):
        via = str(dice.getrandbits(63))
        batch = [Request(f"https://{A}{path}", via=via) for path in paths[at : at + 1000]]
        crawl.frontier.compact(crawl.frontier.put(batch).long, (), pytest.fail)
    assert _of(crawl.link.client, crawl.frontier.keys.pages(A)) < 3_000_000
    found: list[bytes] = []
    while len(found) < n:
        reply = crawl.frontier.lease(256, 90.0, "w")
        found += [lease.raw[12:] for lease in reply.leases]
        if dice.random() < 0.3:  # else whoever was told dies before he does it
            crawl.frontier.compact((), reply.low, pytest.fail)
        crawl.advance(0.01)
    assert found == [path.encode() for path in paths]
    crawl.link.client.flushdb()


def test_a_queue_that_is_not_long_takes_its_urls_and_sixteen_bytes_each(make: Make) -> None:
    crawl = make()
    dice = random.Random(5)
    found = [f"http://{A}/{n}/{'x' * dice.randrange(60)}" for n in range(8_000)]
    for at in range(0, len(found), 1000):
        crawl.put(*found[at : at + 1000])
    assert _of(crawl.link.client, crawl.frontier.keys.pages(A)) < sum(len(url) + 16 for url in found)
    crawl.link.client.flushdb()
