"""repair: what something else did to counts, leases and hosts is put right, so that the crawl goes on and ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crawler.errors import NoCrawl
from crawler.frontier import blocks
from crawler.frontier.repair import Repaired, host_names, repair
from tests.frontier.crawls import Crawl, Make

HOSTS = ("a.example", "b.example", "c.example:81")
URLS = [f"http://{host}/{n}" for host in HOSTS for n in range(3)]
OUT = ("a.example", "b.example")
"""Hosts of which a page is leased; of the third one no slot is taken."""


def set_up(make: Make) -> Crawl:
    """Nine URLs on three hosts with one slot each: one ended, two in the hands of a worker, six queued."""
    crawl = make(per_host=1)
    crawl.put(*URLS)
    crawl.commit(crawl.one())
    leased = crawl.lease(3)
    crawl.frontier.release([lease.token for lease in leased if lease.host not in OUT])
    return crawl


def stall(crawl: Crawl) -> None:
    """Their worker gives back what it held: now nothing moves."""
    crawl.frontier.release([lease.token for lease in crawl.crawldb.leases_of("w")])


def finish(crawl: Crawl) -> set[str]:
    """Lease and end all there is, as workers do, until the crawl is done: what ended."""
    for _ in range(60):
        crawl.frontier.reap()
        for lease in crawl.lease(9):
            crawl.commit(lease)
        if crawl.frontier.done():
            return {stored.record.url for stored in crawl.crawldb.records.read()[0]}
        repair(crawl.frontier.shard)
        crawl.advance(60)
    raise AssertionError("the crawl does not come to its end")


def key(crawl: Crawl, name: str) -> str:
    return f"{crawl.frontier.keys.prefix}{name}"


Damage = Callable[[Crawl, Any], object]

STALLED: dict[str, Damage] = {
    "a host is in no index": lambda crawl, redis: redis.zrem(key(crawl, "ready"), *HOSTS),
    "the index is gone": lambda crawl, redis: redis.delete(key(crawl, "ready")),
    "a host's facts are gone": lambda crawl, redis: redis.delete(key(crawl, "host:a.example"), key(crawl, "ready")),
    "all facts are gone": lambda crawl, redis: redis.delete(*(key(crawl, f"host:{host}") for host in HOSTS)),
    "no host has a count": lambda crawl, redis: [redis.hdel(key(crawl, f"host:{host}"), "queued") for host in HOSTS],
    "a count is no number": lambda crawl, redis: redis.hset(key(crawl, "host:a.example"), "queued", "many"),
    "a count is infinite": lambda crawl, redis: redis.hset(key(crawl, "host:a.example"), "queued", "inf"),
    "a slot is taken by nobody": lambda crawl, redis: redis.hset(key(crawl, "host:a.example"), "in_flight", 1),
    "slots are no number": lambda crawl, redis: redis.hset(key(crawl, "host:a.example"), "in_flight", "nan"),
    "a host is due at no time": lambda crawl, redis: redis.hset(key(crawl, "host:a.example"), "due", "soon"),
    "robots.txt is asked for by nobody": lambda crawl, redis: redis.hset(key(crawl, "host:a.example"), "asking", "x"),
    "the counters are gone": lambda crawl, redis: redis.delete(key(crawl, "counters")),
    "the counters are no numbers": lambda crawl, redis: redis.hset(
        key(crawl, "counters"), mapping={"queued": "x", "leased": "1e99", "accepted": "", "status:200": "nan"}
    ),
    "the counters are no whole numbers": lambda crawl, redis: redis.hset(
        key(crawl, "counters"), mapping={"queued": "7.5", "leased": "-0.5"}
    ),
    "more are leased than there are": lambda crawl, redis: redis.hset(key(crawl, "counters"), "leased", 3),
    "fewer are queued than there are": lambda crawl, redis: redis.hset(key(crawl, "counters"), "queued", 0),
    "more are queued than there are": lambda crawl, redis: redis.hset(key(crawl, "counters"), "queued", 99),
    "a host that does not exist": lambda crawl, redis: redis.zadd(key(crawl, "ready"), {"x.example": 0, b"\xff \0": 0}),
    "a host that is never due": lambda crawl, redis: redis.zadd(key(crawl, "ready"), {"x.example": "+inf"}),
}
"""What is done while nothing moves."""

LEASED: dict[str, Damage] = {
    "a row without its token": lambda crawl, redis: redis.zpopmin(key(crawl, "leases"), 2),
    "tokens without their rows": lambda crawl, redis: redis.delete(key(crawl, "leased")),
    "tokens that nobody gave": lambda crawl, redis: redis.zadd(key(crawl, "leases"), {"x": 0, b"\xff": "+inf"}),
    "rows that cannot be read": lambda crawl, redis: redis.hset(
        key(crawl, "leased"), mapping={"x": "", "y": '{"url": 1}', b"\xff": b"\x80\x04\n\0"}
    ),
    "rows and tokens that nobody gave": lambda crawl, redis: (
        redis.hset(key(crawl, "leased"), mapping={"x": "nonsense", "y": "P1 w b\xff /"}),
        redis.zadd(key(crawl, "leases"), {"x": "+inf", "y": "+inf"}),
    ),
    "deadlines that never come": lambda crawl, redis: redis.zadd(
        key(crawl, "leases"), dict.fromkeys((lease.token for lease in crawl.crawldb.leases_of("w")), 1e300)
    ),
}
"""What is done while pages are in the hands of a worker."""


@pytest.mark.parametrize("damage", STALLED.values(), ids=STALLED.keys())
def test_a_crawl_that_stands_still_goes_on(make: Make, damage: Damage) -> None:
    """Every URL ends, whatever was done; the counts agree with what there is."""
    crawl = set_up(make)
    stall(crawl)
    damage(crawl, crawl.link.client)
    assert finish(crawl) == set(URLS)
    assert not repair(crawl.frontier.shard)
    # Nobody counts again what has ended, where that is lost.
    crawl.link.client.hset(
        key(crawl, "counters"),
        mapping={"ended": len(URLS), "outcome:fetched": len(URLS), "accepted": len(URLS)},
    )
    counters = crawl.snapshot().counters
    assert (counters["queued"], counters["leased"], counters.get("lost", 0)) == (0, 0, 0)


@pytest.mark.parametrize("damage", LEASED.values(), ids=LEASED.keys())
def test_leases_that_nobody_holds_are_ended(make: Make, damage: Damage) -> None:
    """Their worker has its lease or has lost it; no slot stays taken, and no URL stays with nobody."""
    crawl = set_up(make)
    damage(crawl, crawl.link.client)
    ended = finish(crawl)
    assert len(ended) + crawl.crawldb.counters().get("lost", 0) == len(URLS)
    assert ended == set(URLS) or len(crawl.crawldb.leases_of("w")) == 0
    if ended == set(URLS):
        crawl.snapshot()
    else:
        crawl.link.client.flushdb()


def test_only_what_is_odd_is_looked_through(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crawl has millions of keys: they are not scanned for a lease or two, nor for nothing."""
    crawl = set_up(make)
    monkeypatch.setattr("crawler.frontier.repair.host_names", lambda _: pytest.fail("the keys are scanned"))
    before = crawl.snapshot()
    assert not repair(crawl.frontier.shard)
    assert crawl.snapshot() == before
    crawl.link.client.hset(key(crawl, "leased"), "x", "nonsense")
    assert crawl.frontier.state().odd
    assert repair(crawl.frontier.shard) == Repaired(leases=1)
    assert crawl.snapshot() == before


def test_what_lies_in_no_queue_is_lost_and_counted(make: Make) -> None:
    crawl = set_up(make)
    stall(crawl)
    crawl.link.client.delete(key(crawl, "queue:a.example:1"), key(crawl, "ready"))
    repaired = repair(crawl.frontier.shard)
    assert repaired == Repaired(0, 3, 2, 2)
    assert str(repaired) == (
        "something else changed the crawl in Redis: 3 hosts, 2 counts put right;"
        " 2 URLs were taken out of it and are lost"
    )
    assert not repair(crawl.frontier.shard)
    assert len(finish(crawl)) == len(URLS) - 2
    assert crawl.crawldb.counters()["lost"] == 2
    crawl.link.client.flushdb()


def test_a_list_that_vanishes_while_the_crawl_runs_is_lost_as_well(make: Make) -> None:
    """The next lease finds it out; `repair` counts the same."""
    crawl = set_up(make)
    crawl.link.client.delete(key(crawl, "queue:c.example:81:1"))
    crawl.lease(3)
    assert crawl.crawldb.counters()["lost"] == 3
    assert len(finish(crawl)) == len(URLS) - 3
    assert crawl.frontier.repair("counts", [0, 9, 0, 0, 6, 0]) == (0, 3)
    crawl.link.client.flushdb()


def test_an_address_is_freed_as_well(make: Make) -> None:
    crawl = make(per_host=1, per_ip=1)
    crawl.put(*URLS[:2])
    crawl.commit(crawl.one(), ip="192.0.2.1")
    crawl.one()
    crawl.link.client.delete(key(crawl, "leases"))
    assert repair(crawl.frontier.shard).leases == 1
    assert crawl.snapshot().ips == {}


def test_a_host_whose_facts_were_lost_is_not_asked_at_once(make: Make) -> None:
    """When it was asked last is not known any more: it may have been just now."""
    crawl = make(delay_ms=5000)
    crawl.put(*URLS[:2])
    crawl.commit(crawl.one())
    crawl.link.client.delete(key(crawl, "host:a.example"), key(crawl, "ready"))
    repair(crawl.frontier.shard)
    assert crawl.snapshot().ready == {"a.example": crawl.now + 5000}


def test_a_full_redis_does_not_stop_it(make: Make) -> None:
    crawl = set_up(make)
    stall(crawl)
    crawl.link.client.delete(key(crawl, "ready"))
    crawl.link.client.config_set("maxmemory", 1)
    assert repair(crawl.frontier.shard).hosts == 3
    crawl.link.client.config_set("maxmemory", 0)
    crawl.snapshot()


def test_sent_twice_it_finds_nothing_more(make: Make) -> None:
    crawl = set_up(make)
    stall(crawl)
    crawl.link.client.delete(key(crawl, "ready"))
    names = sorted(host_names(crawl.frontier.shard))
    assert crawl.frontier.repair("entries", names) == crawl.frontier.repair("entries", names) == (0, 8)
    crawl.link.client.hset(key(crawl, "counters"), "queued", 99)
    assert crawl.frontier.repair("counts", [8, 9, 99, 0, 1, 0]) == (1, 0)
    assert crawl.frontier.repair("counts", [8, 9, 99, 0, 1, 0]) == (0, 0)
    assert crawl.frontier.repair("hosts", names) == (3, 0)
    assert crawl.frontier.repair("hosts", names) == (0, 0)


def test_counts_that_moved_meanwhile_are_left_alone(make: Make) -> None:
    """What was counted is no longer so: they would be put wrong, and URLs be taken for lost."""
    crawl = set_up(make)
    crawl.link.client.hset(key(crawl, "counters"), "queued", 0)
    stamp = [9, 0, 2, 1]
    entries = crawl.frontier.repair("entries", sorted(host_names(crawl.frontier.shard)))[1]
    crawl.one()
    assert crawl.frontier.repair("counts", [entries, *stamp, 0]) == (0, 0)
    assert crawl.frontier.state().odd
    assert finish(crawl) == set(URLS)
    crawl.snapshot()


def test_a_crawl_that_is_gone_is_not_repaired(crawl: Crawl) -> None:
    crawl.frontier.delete()
    crawl.crawldb.sweep()
    with pytest.raises(NoCrawl):
        crawl.frontier.repair("counts", [0, 0, 0, 0, 0, 0])
    assert crawl.link.client.keys("crawler:*") == []


@pytest.mark.parametrize("held", ["0", "9", "-3", "nan", None])
def test_the_count_of_what_is_held(crawl: Crawl, held: str | None) -> None:
    """Else a crawl with blocked hosts would never be done, or be done too soon."""
    crawl.put(*(f"http://{host}/{n}" for host in ("a.example", "b.example") for n in range(3)))
    blocks.block(crawl.frontier.frontier, ["a.example"])
    for lease in crawl.lease():
        crawl.commit(lease)
    counters = crawl.frontier.keys.counters
    crawl.link.client.hdel(counters, "held") if held is None else crawl.link.client.hset(counters, "held", held)
    assert crawl.frontier.state().odd
    assert not crawl.frontier.done()
    assert repair(crawl.frontier.shard).counts
    assert crawl.frontier.done()
    assert crawl.snapshot().counters["held"] == 3
