"""A crawl of several shards as one: what concerns a lease or a host goes to its shard, the rest to all."""

from __future__ import annotations

import inspect

import pytest
from redis.crc import key_slot

from crawler.errors import CrawlExists, NoCrawl
from crawler.frontier import verbs
from crawler.frontier.crawldb import CrawlDb, Hosts, Records
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.keys import BUCKETS, MIN_BUCKETS, SLOTS, Keys, shard_of, slot_of
from crawler.frontier.messages import Commit, Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.seen import accepted
from crawler.frontier.shards.crawldb import ShardDb
from crawler.frontier.shards.hosts import ShardHosts
from crawler.frontier.shards.records import START, ShardRecords
from crawler.frontier.verbs import shard_of_token
from crawler.record import Request
from crawler.url import Form
from tests.frontier.crawls import SETTINGS, record_of, state_of
from tests.frontier.shards import SHARDS, Sharded, host_in, url_in

OF_ALL_SHARDS = {
    *("create", "configure", "state", "pause", "resume", "delete"),
    *("open", "close", "put", "release", "revive", "drain", "explain"),
}
"""Verbs that mean something for a whole crawl, or find the shard by a host; the others are sent to one shard."""


@pytest.fixture
def crawl(link: Connection) -> Sharded:
    return Sharded(link)


def public(of: object) -> set[str]:
    return {name for name, _ in inspect.getmembers(of, inspect.isfunction) if not name.startswith("_")}


def made(link: Connection, limits: Limits) -> Frontier:
    return Frontier.create(link, "test", Identity.new(Form(), SHARDS), SETTINGS, limits)


def test_a_frontier_has_no_verb_of_one_shard() -> None:
    of_classes = {name for name, _ in inspect.getmembers(Frontier, inspect.ismethod)}
    assert (public(Frontier) | of_classes) & public(verbs) == OF_ALL_SHARDS


def test_all_that_a_shard_has_stored_is_read_over_all() -> None:
    assert public(CrawlDb) == public(ShardDb) | {"leases_of", "began"}
    assert public(Records) == public(ShardRecords) | {"state", "states", "buckets", "packed", "swept"}
    assert public(Hosts) == public(ShardHosts)


def test_a_site_lives_in_one_shard_with_all_its_hosts() -> None:
    for hosts in (["a.example.org", "b.example.org", "example.org"], ["x.github.io"], ["127.0.0.1:80", "127.0.0.1:80"]):
        assert len({shard_of(host, 7) for host in hosts}) == 1
    assert shard_of("example.org/docs/", 7) == shard_of("example.org", 7) == shard_of("www.example.org/#?x", 7)
    spread = [shard_of(f"s{n}.example", 8) for n in range(4_000)]
    assert all(400 < spread.count(shard) < 600 for shard in range(8))


@pytest.mark.parametrize(("shards", "buckets"), [(1, BUCKETS), (4, BUCKETS // 4), (96, MIN_BUCKETS)])
def test_the_buckets_of_seen_are_divided_among_the_shards(shards: int, buckets: int) -> None:
    keys = Keys("x", 1 % shards, shards)
    found = {keys.seen(f"www.host{n}.example") for n in range(10 * buckets)}
    assert buckets - 99 < len(found) <= buckets


def test_the_shards_divide_the_slots_of_a_cluster_evenly() -> None:
    for crawl in ("default", "x", "a-long-name_1"):
        for shards in (2, 7, 24, 256):
            slots = [slot_of(Keys(crawl, shard, shards).meta) for shard in range(shards)]
            assert sorted(slot * shards // SLOTS for slot in slots) == list(range(shards))
            assert Keys(crawl, 0, shards).prefix == Keys(crawl).prefix


@pytest.mark.parametrize("key", ["plain", "{a}", "x{user1000}.y", "{}z", "foo{{bar}}zap", "foo{bar}{zap}", "no}brace{"])
def test_slots_are_those_of_the_library(key: str) -> None:
    assert slot_of(key) == key_slot(key.encode())


def test_seeds_and_leases_find_their_shards(crawl: Sharded) -> None:
    accepted = crawl.seed(*(url_in(shard, f"/{n}") for shard in range(SHARDS) for n in range(shard + 1)))
    assert accepted.new == 6
    assert crawl.queued() == [1, 2, 3]
    leases = [lease for shard in range(SHARDS) for lease in crawl.lease(shard, 10)]
    assert [shard_of_token(lease.token) for lease in leases] == [0, 1, 1, 2, 2, 2]
    state = crawl.frontier.state()
    assert (state.leased, state.queued) == (6, 0)
    tokens = [lease.token for lease in leases]
    assert {lease.token for lease in crawl.crawldb.leases_of("w")} == set(tokens)
    assert crawl.shards[2].extend([*tokens[3:], "2.gone:1"], 90) == {"2.gone:1"}
    assert crawl.frontier.release(tokens[:3]) == 3
    assert crawl.frontier.release(["2.gone:1", "7.gone:1", "nonsense"]) == 0
    assert crawl.queued() == [1, 2, 0]
    assert crawl.crawldb.deadline(tokens[0]) is None
    assert crawl.crawldb.deadline(tokens[-1]) is not None


def test_exports_and_their_cursors_cover_all_shards(crawl: Sharded) -> None:
    crawl.seed(*(url_in(shard, f"/{n}") for shard in range(SHARDS) for n in range(4)))
    for shard in range(SHARDS):
        for lease in crawl.lease(shard, 4):
            crawl.commit(lease)
    found, cursor = [], START
    while True:
        more, cursor = crawl.crawldb.records.read(cursor, 3)
        if not more:
            break
        found += more
    assert sorted(stored.record.url for stored in found) == sorted(
        url_in(shard, f"/{n}") for shard in range(SHARDS) for n in range(4)
    )
    last = crawl.crawldb.records.entry(cursor)
    assert last is not None
    assert crawl.crawldb.records.standing(cursor, last) == cursor
    drained = 0
    while True:
        some, _ = crawl.crawldb.records.exported(START, cursor, 3)
        if not some:
            break
        drained += crawl.frontier.drain(some)
    assert drained == 12
    assert crawl.crawldb.records.entry(cursor) is None
    assert crawl.crawldb.records.urls([stored.id for stored in found]).keys() == {stored.id for stored in found}


def test_what_of_an_export_is_no_longer_there_is_told_shard_by_shard(crawl: Sharded) -> None:
    crawl.seed(url_in(0), url_in(1))
    for shard in (0, 1):
        crawl.commit(crawl.lease(shard)[0])
    found, cursor = crawl.crawldb.records.read()
    last = crawl.crawldb.records.entry(cursor) or ""
    exported, _ = crawl.crawldb.records.exported(START, cursor)
    crawl.frontier.drain(exported)
    places = cursor.split(",")
    assert crawl.crawldb.records.standing(cursor, last).split(",") == [START, *places[1:2], START]
    assert len(found) == 2


def test_the_limit_of_pages_is_one_for_all(link: Connection) -> None:
    crawl = Sharded(link, max_pages=2)
    crawl.seed(*(url_in(shard) for shard in range(SHARDS)))
    crawl.commit(crawl.lease(0)[0])
    assert not crawl.frontier.state().spent
    crawl.commit(crawl.lease(1)[0])
    state = crawl.frontier.state()
    assert state.spent and state.word == "limit"


def test_pausing_and_deleting_reach_all(crawl: Sharded) -> None:
    crawl.seed(url_in(1))
    crawl.frontier.pause()
    assert [shard.state().state for shard in crawl.shards] == ["paused"] * SHARDS
    crawl.frontier.resume()
    assert crawl.frontier.state().word == "waiting"
    crawl.frontier.delete()
    assert crawl.crawldb.sweep() > 0
    assert crawl.link.client.keys("crawler:*") == []


def test_a_shard_that_was_not_made_yet_is_made_by_who_joins(link: Connection) -> None:
    """Its maker died behind the first one."""
    first = made(link, Limits(delay_ms=7))
    client = link.client
    client.delete(*(key for shard in first.shards[1:] for key in client.keys(f"{shard.keys.prefix}*")))
    found = Frontier.find(link, "test")
    assert [shard.ask(verbs.state(shard)).word for shard in found.shards] == ["empty"] * SHARDS
    assert {shard.identity for shard in found.shards} == {first.identity}
    delays = [client.hget(shard.keys.meta, "delay") for shard in found.shards]
    assert delays == [b"7"] * SHARDS
    with pytest.raises(CrawlExists):
        made(link, Limits())


def test_remains_of_an_older_crawl_are_taken_away(link: Connection) -> None:
    crawl = Sharded(link)
    crawl.seed(*(url_in(shard) for shard in range(SHARDS)))
    client = link.client
    client.delete(*client.keys(f"{crawl.shards[0].keys.prefix}*"))
    with pytest.raises(NoCrawl):
        Frontier.find(link, "test")
    again = made(link, Limits())
    assert again.state().accepted == 0


def test_a_crawl_that_is_being_deleted_is_not_completed(crawl: Sharded, link: Connection) -> None:
    crawl.frontier.delete()
    client = link.client
    client.delete(*client.keys(f"{crawl.shards[1].keys.prefix}*"))
    Frontier.find(link, "test")
    assert client.keys(f"{crawl.shards[1].keys.prefix}*") == []


def test_revived_and_released_where_they_live(crawl: Sharded) -> None:
    crawl.seed(url_in(1), url_in(2))
    for shard in (1, 2):
        lease = crawl.lease(shard)[0]
        url = lease.entry().request.url
        state, record = state_of(lease, "failed:http"), record_of(url, "failed:http")
        crawl.shards[shard].commit(Commit(lease, crawl.frontier.id(url), state, record))
    letters = list(crawl.crawldb.records.letters())
    assert len(letters) == 2
    assert crawl.crawldb.records.letter(letters[1].id) == letters[1]
    assert crawl.frontier.revive([Request(url_in(1)), Request(url_in(2))]) == 2
    assert crawl.queued() == [0, 1, 1]
    assert not crawl.shards[1].unquarantine(f"{host_in(1)}/0", "7")


def test_what_was_ever_accepted_is_asked_of_the_shard_of_its_host(crawl: Sharded) -> None:
    urls = [url_in(shard) for shard in range(SHARDS)]
    crawl.frontier.put([Request(url) for url in urls[1:]])
    assert accepted(crawl.frontier.shards, urls) == [False, *[True] * (SHARDS - 1)]
    found = [shard.ask(verbs.accepted(shard, urls)).count(True) for shard in crawl.frontier.shards]
    assert found == [0, *[1] * (SHARDS - 1)]
