"""CrawlDb: what a crawl has stored and counted, read in bounded steps."""

from __future__ import annotations

import zlib

import pytest

from crawler.errors import DamagedCrawl, FrontierError, NoCrawl, OutOfMemory, RedisAway
from crawler.frontier.crawldb import CrawlDb, crawls
from crawler.frontier.keys import crawl_of_meta
from crawler.frontier.memory import measure
from crawler.frontier.redis.connection import Connection
from crawler.frontier.shards.records import START
from crawler.record import Record, Request
from tests.frontier.crawls import Crawl, Make

A = "http://a.example/"


def commit_all(crawl: Crawl, n: int, outcome: str = "fetched") -> list[str]:
    """n pages of one host, put and ended in this order."""
    urls = [f"{A}{outcome}/{k}" for k in range(n)]
    crawl.put(*urls)
    while leases := crawl.lease(10):
        for lease in leases:
            crawl.commit(lease, outcome)
    return urls


def exported(crawl: Crawl, most: int) -> list[str]:
    """The URLs of the whole export, read *most* at a time."""
    found, cursor = list[str](), START
    while True:
        stored, after = crawl.crawldb.records.read(cursor, most)
        if after == cursor:
            assert stored == []
            return found
        found += [one.record.url for one in stored]
        cursor = after


# -- records -----------------------------------------------------------------------------------------------------------


def test_records_come_in_the_order_of_their_commits(crawl: Crawl) -> None:
    urls = commit_all(crawl, 23)
    assert exported(crawl, 500) == urls
    assert exported(crawl, 5) == urls
    assert exported(crawl, 1) == urls


def test_a_record_carries_its_place_id_and_text(crawl: Crawl) -> None:
    crawl.put(A)
    crawl.commit(crawl.one(), contents={"text": zlib.compress("Grüße aus Köln".encode())})
    ((stored,), after) = crawl.crawldb.records.read()
    assert (stored.id, stored.at) == (crawl.frontier.id(A), after)
    assert stored.record == Record(url=A, outcome="fetched", depth=0, text="Grüße aus Köln")
    assert crawl.crawldb.records.get(stored.id, ["text"]) == stored.record


def test_a_cursor_goes_on_where_it_stopped(crawl: Crawl) -> None:
    commit_all(crawl, 3)
    _, cursor = crawl.crawldb.records.read()
    assert crawl.crawldb.records.read(cursor) == ([], cursor)
    crawl.put(f"{A}new")
    crawl.commit(crawl.one())
    stored, _ = crawl.crawldb.records.read(cursor)
    assert [one.record.url for one in stored] == [f"{A}new"]


def test_a_page_that_ended_again_is_exported_once_at_its_later_place(crawl: Crawl) -> None:
    first, second = commit_all(crawl, 2, "failed:http")
    crawl.frontier.revive([Request(first)])
    crawl.commit(crawl.one())
    for most in (1, 2, 500):
        assert exported(crawl, most) == [second, first]


def test_a_page_that_was_revived_and_not_yet_ended_is_not_exported(crawl: Crawl) -> None:
    first, second = commit_all(crawl, 2, "failed:http")
    crawl.frontier.revive([Request(first)])
    assert exported(crawl, 1) == [second]


@pytest.mark.parametrize("field", ["m", "t"])
def test_a_record_that_cannot_be_read_is_named_and_told_in_one_line(crawl: Crawl, field: str) -> None:
    commit_all(crawl, 1)
    url_id = crawl.frontier.id(f"{A}fetched/0")
    crawl.link.client.hset(crawl.frontier.keys.page(url_id), field, "\x00nonsense")
    with pytest.raises(FrontierError, match=r"^a stored record cannot be read .*$"):
        crawl.crawldb.records.read()


def test_a_url_that_has_not_ended_has_no_record(crawl: Crawl) -> None:
    crawl.put(A)
    assert crawl.crawldb.records.get(crawl.frontier.id(A)) is None


def test_urls_are_found_by_their_ids(crawl: Crawl) -> None:
    urls = commit_all(crawl, 3)
    ids = [crawl.frontier.id(url) for url in urls]
    assert crawl.crawldb.records.urls([*ids, "5"]) == dict(zip(ids, urls, strict=True))
    assert crawl.crawldb.records.urls([]) == {}


# -- dead letters ------------------------------------------------------------------------------------------------------


def test_dead_letters_come_oldest_first_and_of_a_time(crawl: Crawl) -> None:
    old = commit_all(crawl, 2, "failed:dns")
    crawl.advance(1)
    new = commit_all(crawl, 1, "failed:http")
    commit_all(crawl, 1)
    letters = list(crawl.crawldb.records.letters())
    urls = [letter.record.url for letter in letters if letter.record]
    assert (sorted(urls[:2]), urls[2:]) == (old, new)
    assert [letter.id for letter in letters] == [crawl.frontier.id(url) for url in urls]
    assert [letter.at for letter in letters] == [crawl.now - 1000, crawl.now - 1000, crawl.now]
    assert list(crawl.crawldb.records.letters(since=crawl.now)) == letters[2:]
    assert list(crawl.crawldb.records.letters(until=crawl.now)) == letters[:2]
    assert [crawl.crawldb.records.letter(letter.id) for letter in letters] == letters
    assert crawl.crawldb.records.letter("5") is None


def test_no_dead_letters_are_none(crawl: Crawl) -> None:
    assert list(crawl.crawldb.records.letters()) == []


def test_dead_letters_may_be_revived_while_they_are_read(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.frontier.shards.records._BATCH", 4)
    urls = [url for n in range(3) for url in commit_all(crawl, 7, ("failed:dns", "failed:tls", "failed:http")[n])]
    revived = []
    for letter in crawl.crawldb.records.letters():
        assert letter.record is not None
        crawl.advance(0.001)
        revived.append(letter.record.url)
        assert crawl.frontier.revive([Request(letter.record.url)]) == 1
    assert sorted(revived) == sorted(urls)


def test_what_fails_meanwhile_is_not_read_for_ever(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.frontier.shards.records._BATCH", 2)
    urls = commit_all(crawl, 5, "failed:http")
    read = []
    for letter in crawl.crawldb.records.letters():
        assert letter.record is not None
        read.append(letter.record.url)
        crawl.frontier.revive([Request(letter.record.url)])
        crawl.advance(1)
        crawl.commit(crawl.one(), "failed:http")
    assert sorted(read) == urls


def test_many_that_failed_at_once_are_read_in_pages(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one millisecond, some revived meanwhile, some failed again: each is read once, or was there no more."""
    monkeypatch.setattr("crawler.frontier.shards.records._BATCH", 3)
    urls = commit_all(crawl, 20, "failed:http")
    read = []
    for n, letter in enumerate(crawl.crawldb.records.letters()):
        assert letter.record is not None
        read.append(letter.record.url)
        if n == 4:
            crawl.frontier.revive([Request(url) for url in read])
            crawl.advance(1)
            for _ in read:
                crawl.commit(crawl.one(), "failed:http")
    assert sorted(read) == sorted(urls)


def test_a_dead_letter_that_cannot_be_read(crawl: Crawl) -> None:
    (url,) = commit_all(crawl, 1, "failed:http")
    crawl.link.client.hset(crawl.frontier.keys.page(crawl.frontier.id(url)), "m", b"{")
    assert [(letter.id, letter.record) for letter in crawl.crawldb.records.letters()] == [
        (crawl.frontier.id(url), None)
    ]


# -- counts ------------------------------------------------------------------------------------------------------------


def test_the_counters_and_meta(crawl: Crawl) -> None:
    commit_all(crawl, 2)
    counters = crawl.crawldb.counters()
    assert (counters["accepted"], counters["ended"], counters["outcome:fetched"]) == (2, 2, 2)
    meta = crawl.crawldb.meta()
    assert (meta["settings"], meta["state"]) == (b"{}", b"running")


def test_a_crawl_that_does_not_exist_is_empty(link: Connection) -> None:
    crawldb = CrawlDb(link, "nothing")
    assert (crawldb.meta(), crawldb.counters(), crawldb.workers(), crawldb.records.read()) == ({}, {}, [], ([], START))
    assert (list(crawldb.records.letters()), crawldb.hosts.roots(["a"]), crawldb.leases_of("w")) == ([], [False], [])
    assert crawldb.hosts.due() == (0, [])


def test_the_hosts_that_are_due_first(make: Make) -> None:
    crawl = make(delay_ms=1000)
    crawl.put("http://b.example/1", "http://b.example/2", "http://a.example/1", "http://a.example/2")
    for lease in crawl.lease(2):
        crawl.commit(lease, rest_ms=3000 if lease.host == "a.example" else 0, event="slow")
    crawl.put("http://c.example/1")
    assert crawl.crawldb.hosts.due(most=2) == (3, [(crawl.now, "c.example"), (crawl.now + 1000, "b.example")])


def test_the_hosts_that_have_answered(make: Make) -> None:
    crawl = make(robots=True, delay_ms=1000)
    crawl.put(*(f"http://{name}.example/{n}" for name in "abc" for n in range(2)))
    about_robots, by_a_page, _ = (lease for lease in crawl.lease(3))
    crawl.frontier.robots(about_robots, "ok")
    crawl.frontier.robots(by_a_page, "none")
    assert crawl.crawldb.hosts.answered(9) == [about_robots.host]
    crawl.link.client.hset(crawl.frontier.keys.host(by_a_page.host), "latency", 5)
    assert crawl.crawldb.hosts.answered(9) == sorted([about_robots.host, by_a_page.host])
    assert crawl.crawldb.hosts.answered(1) == [about_robots.host]


def test_roots_are_asked_for(crawl: Crawl) -> None:
    crawl.put(roots=[f"{n}.example" for n in range(30)])
    assert crawl.crawldb.hosts.roots(["3.example", "x.example", "29.example"]) == [True, False, True]
    assert crawl.crawldb.hosts.roots([]) == []


def test_the_leases_of_a_worker_are_whole(make: Make) -> None:
    crawl = make(robots=True)
    crawl.put("http://a.example/1", "https://b.example/1")
    robots = crawl.lease(2, worker="ann")
    crawl.frontier.robots(robots[0], "ok")
    pages = crawl.lease(1, worker="ann", call="0")
    crawl.lease(1, worker="bob")
    found = crawl.crawldb.leases_of("ann")
    assert {(x.token, x.kind, x.what) for x in found} == {(x.token, x.kind, x.what) for x in (robots[1], *pages)}
    assert crawl.crawldb.leases_of("an") == []


def test_the_leases_of_a_worker_come_in_their_order(crawl: Crawl) -> None:
    crawl.put(*(f"{A}{n}" for n in range(10)))
    leased = crawl.lease(10, call="c")
    assert [x.token for x in crawl.crawldb.leases_of("w")] == [x.token for x in leased]


def test_robots_texts_by_origin(crawl: Crawl) -> None:
    assert crawl.crawldb.hosts.robots([]) == []
    assert crawl.crawldb.hosts.robots(["http://a.example"]) == [None]


def test_all_crawls_are_listed(make: Make, link: Connection) -> None:
    assert crawls(link) == []
    make(name="two")
    make(name="one").put(A)
    link.client.set("crawler:{x.1}:meta", "another shard")
    link.client.set("other:{x.0}:meta", "another program")
    assert crawls(link) == ["one", "two"]


def test_only_the_meta_of_the_first_shard_names_a_crawl() -> None:
    assert crawl_of_meta("crawler:{a-b_1.0}:meta") == "a-b_1"
    assert crawl_of_meta("crawler:{a.1}:meta") is None
    assert crawl_of_meta("crawler:{a.0}:ready") is None


def test_a_redis_that_is_away_is_our_error_everywhere() -> None:
    link = Connection("unix:///nowhere/at/all")
    crawldb = CrawlDb(link, "test")
    for ask in (crawldb.records.read, crawldb.meta, crawldb.sweep, lambda: measure(link, "test"), lambda: crawls(link)):
        with pytest.raises(RedisAway):
            ask()
    with pytest.raises(RedisAway):
        crawldb.leases_of("w")
    with pytest.raises(RedisAway):
        next(crawldb.records.letters())
    link.close()


# -- what something else wrote -----------------------------------------------------------------------------------------


def test_nonsense_counts_for_nothing(crawl: Crawl) -> None:
    """Numbers that are none are 0; entries, ids and workers that nobody wrote are passed over."""
    urls = commit_all(crawl, 2)
    client, keys = crawl.link.client, crawl.frontier.keys
    client.xadd(keys.records, {b"\xff": b"\xff"})
    client.xadd(keys.records, {"i": b"\xff"})
    client.zadd(keys.failed, {b"\xff": "+inf", b"none": 5})
    client.hset(keys.counters, mapping={b"\xff": "x", "bytes": "many"})
    client.hset(keys.workers, mapping={b"\xff": b"1 {}", "a": "x", "b": "5 [1]", "c": b"5 \xff"})
    client.hset(keys.host("a.example"), mapping={"due": "soon", "latency": ""})
    client.hset(keys.traps, mapping={b"\xff": "then"})
    client.hset(keys.leased, mapping={b"\xff": b"\xff", "x": ""})
    assert exported(crawl, 1) == urls
    assert list(crawl.crawldb.records.letters()) == []
    assert crawl.crawldb.counters()["bytes"] == 0
    assert [heartbeat.worker for heartbeat in crawl.crawldb.workers()] == ["\ufffd"]
    assert crawl.frontier.explain("a.example").rest_ms == 0
    assert crawl.crawldb.traps() == {"\ufffd": 0}
    assert len(list(crawl.crawldb.leases())) == 2
    client.flushdb()


def test_what_is_packed_is_not_trusted(crawl: Crawl) -> None:
    """A bomb, what breaks off, and what was never packed; a robots.txt that cannot be read is as good as none."""
    client, keys = crawl.link.client, crawl.frontier.keys
    commit_all(crawl, 1)
    page = keys.page(crawl.frontier.id(f"{A}fetched/0"))
    whole = zlib.compress(b"text" * 1_000)
    for raw in (zlib.compress(bytes(65 << 20)), whole[:-5], b"text"):
        client.set(keys.robots("http://a.example"), raw)
        assert crawl.crawldb.hosts.robots(["http://a.example"]) == [None]
        client.hset(page, "t", raw)
        with pytest.raises(FrontierError, match=f"cannot be read .* its key is {page}$"):
            crawl.crawldb.records.read()
    crawl.crawldb.hosts.forget_robots("http://a.example")
    assert not client.exists(keys.robots("http://a.example"))


def test_settings_that_are_missing_are_no_settings(crawl: Crawl) -> None:
    assert crawl.crawldb.settings() == b"{}"
    crawl.link.client.hdel(crawl.frontier.keys.meta, "settings")
    with pytest.raises(DamagedCrawl, match="its settings are missing"):
        crawl.crawldb.settings()
    crawl.link.client.flushdb()
    with pytest.raises(NoCrawl):
        crawl.crawldb.settings()


def test_a_probe_writes_nothing_and_tells_whether_it_could(crawl: Crawl) -> None:
    crawl.crawldb.probe()
    assert not crawl.link.client.exists(crawl.frontier.keys.probe)
    crawl.link.client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemory):
        crawl.crawldb.probe()


def test_keys_of_another_kind_are_found_wherever_they_are(crawl: Crawl) -> None:
    assert list(crawl.crawldb.misfits()) == []
    crawl.link.client.set(crawl.frontier.keys.page("7"), "x")
    crawl.link.client.lpush(crawl.frontier.keys.roots, "x")
    crawl.link.client.set(f"{crawl.frontier.keys.prefix}unknown", "x")
    assert sorted(crawl.crawldb.misfits()) == [
        f"its key {crawl.frontier.keys.page('7')} holds a string, not a hash",
        f"its key {crawl.frontier.keys.roots} holds a list, not a set",
    ]
    crawl.link.client.flushdb()
