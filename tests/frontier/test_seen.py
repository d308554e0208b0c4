"""`seen`: the ids of a host in levels, by which a URL is accepted once, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from crawler.errors import DamagedCrawl
from crawler.frontier.messages import Accepted, Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.scripts import SEEN
from crawler.frontier.seen import set_size
from crawler.record import Request
from tests.frontier.crawls import Crawl, Make
from tests.frontier.test_scripts import READS, commands_of

A = "a.example"
STEP = 500
NONE = [0] * SEEN["TOP"]
"""Ids on the levels of own sets, of a host that needs none."""
SETTING = "set-max-intset-entries"


def urls(first: int, last: int, host: str = A) -> list[str]:
    """URLs of a host, by number."""
    return [f"http://{host}/{n}" for n in range(first, last)]


def put_all(crawl: Crawl, first: int, last: int, host: str = A) -> int:
    """Put URLs of a host in calls of STEP; how many were new."""
    return sum(crawl.put(*urls(n, min(n + STEP, last), host)).new for n in range(first, last, STEP))


def with_sets_of(crawl: Crawl, size: int) -> Crawl:
    """The same crawl, as if it had been made with sets of this size."""
    crawl.link.client.hset(crawl.frontier.keys.meta, "seen_set", size)
    return crawl


def own_sets(crawl: Crawl, host: str = A) -> dict[tuple[int, int], int]:
    """Level and part of each set that a host has of its own -> how many ids are in it."""
    client: Any = crawl.link.client
    prefix = f"{crawl.frontier.keys.prefix}seen:{host}:"
    found = [key.decode() for key in client.scan_iter(f"{prefix.replace('{', '?')}*", count=1000)]
    places = {key: key.removeprefix(prefix).partition(".") for key in found if key.count(":") == prefix.count(":")}
    return {(int(level), int(part)): client.scard(key) for key, (level, _, part) in places.items()}


def levels(crawl: Crawl, host: str = A) -> list[int]:
    """How many ids of a host are on each level."""
    shared = crawl.link.client.scard(crawl.frontier.keys.seen(host))
    sets = own_sets(crawl, host)
    return [shared, *(sum(n for (own, _), n in sets.items() if own == level) for level in range(1, SEEN["TOP"] + 1))]


def test_a_small_host_has_no_set_of_its_own(crawl: Crawl) -> None:
    crawl = with_sets_of(crawl, 384)
    assert put_all(crawl, 0, 128) == 128
    assert levels(crawl) == [128, *NONE]


def test_each_level_is_filled_before_the_next_one(make: Make) -> None:
    crawl = with_sets_of(make(), 12)
    assert put_all(crawl, 0, 2_400) == 2_400
    assert levels(crawl) == [4, 12, 12 * 32, 2_000, 0]
    sets = own_sets(crawl)
    parts = [{part for part_level, part in sets if part_level == level} for level in (1, 2, 3)]
    assert parts[:2] == [{0}, set(range(32))]
    assert 700 < len(parts[2]) <= 1_024
    assert crawl.host(A)["seen"] == "2400"


@pytest.mark.parametrize("size", [3, 12, 384, 15_000])
def test_what_was_accepted_is_seen_on_whichever_level_it_is(make: Make, size: int) -> None:
    crawl = with_sets_of(make(), size)
    for last in (3, 40, 200, 900, 2_000):
        put_all(crawl, 0, last)
        assert crawl.snapshot().counters["accepted"] == last
        assert [crawl.put(*urls(n, n + STEP)).seen for n in range(0, last - STEP, STEP)] == [STEP] * (
            (last - 1) // STEP
        )
        assert crawl.frontier.accepted(urls(last - 3, last + 3)) == [True] * 3 + [False] * 3
    assert crawl.put(*urls(1_990, 2_010)) == Accepted(10, 10, 0)


@pytest.mark.parametrize("size", [3, 12, 48])
def test_calls_whose_urls_are_known_in_part_bring_the_rest(make: Make, size: int) -> None:
    """Whether each set of a level gets one of them or several, and whether they enter one level or two."""
    crawl = with_sets_of(make(), size)
    for first in range(0, 3_000, 60):
        answer = crawl.put(*urls(first, first + 100))
        assert (answer.new, answer.seen) == ((60, 40) if first else (100, 0))
    assert sum(levels(crawl)) == crawl.snapshot().counters["accepted"] == 3_040


def test_hosts_that_share_a_set_do_not_count_for_each_other(make: Make) -> None:
    crawl = with_sets_of(make(), 12)
    bucket = crawl.frontier.keys.seen(A)
    other = next(host for n in count() if crawl.frontier.keys.seen(host := f"s{n}.example") == bucket)
    assert put_all(crawl, 0, 3) + put_all(crawl, 0, 3, other) == 6
    assert crawl.link.client.scard(bucket) == 6
    assert put_all(crawl, 0, 5) == 2
    assert own_sets(crawl) == {(1, 0): 1}
    assert own_sets(crawl, other) == {}


def test_a_host_with_a_port_has_sets_of_its_own(make: Make) -> None:
    """Whatever its port looks like."""
    crawl = with_sets_of(make(), 3)
    hosts = [A, f"{A}:1", f"{A}:2"]
    for host in hosts:
        assert put_all(crawl, 0, 60, host) == 60
    assert [levels(crawl, host)[1:3] for host in hosts] == [[3, 56]] * 3
    for host in hosts:
        assert put_all(crawl, 0, 60, host) == 0


def test_a_url_twice_in_one_call_is_one_in_whichever_queue(make: Make) -> None:
    crawl = with_sets_of(make(), 12)
    put_all(crawl, 0, 30)
    url = f"http://{A}/new"
    kinds = [Request(url), Request(url, first=True), Request(url, sitemap=True), Request(url)]
    assert crawl.frontier.put(kinds) == Accepted(1, 3, 0)
    assert crawl.frontier.put(kinds) == Accepted(0, 4, 0)
    assert crawl.snapshot().counters["accepted"] == 31


def test_a_url_twice_beyond_the_budget_is_refused_twice(make: Make) -> None:
    crawl = make(max_pages_per_host=2)
    assert crawl.put(*urls(0, 4), *urls(0, 4)) == Accepted(2, 2, 4)
    assert crawl.snapshot().counters["refused:budget"] == 4


def test_sitemaps_are_counted_with_the_pages_of_their_host(make: Make) -> None:
    crawl = with_sets_of(make(max_pages_per_host=20), 12)
    sitemaps = [Request(f"http://{A}/{n}.xml", sitemap=True) for n in range(10)]
    assert crawl.frontier.put([*sitemaps, *map(Request, urls(0, 20))]) == Accepted(30, 0, 0)
    assert (crawl.host(A)["seen"], crawl.host(A)["accepted"]) == ("30", "20")
    assert levels(crawl) == [4, 12, 14, *NONE[2:]]
    assert crawl.frontier.put(sitemaps) == Accepted(0, 10, 0)


@contextmanager
def limit(link: Connection, entries: int) -> Iterator[None]:
    """The server keeps sets of so many ids packed."""
    client: Any = link.client
    before = client.config_get(SETTING)[SETTING]
    client.config_set(SETTING, entries)
    try:
        yield
    finally:
        client.config_set(SETTING, before)


def test_sets_stay_packed_on_a_server_with_default_settings(link: Connection, make: Make) -> None:
    client: Any = link.client
    with limit(link, 512):
        crawl = make()
        put_all(crawl, 0, 12_000)
        keys = list(client.scan_iter("crawler:*:seen:*", count=1000))
        assert len(keys) == 1 + 1 + 32
        assert {client.object("encoding", key) for key in keys} == {b"intset"}


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [None, b"many", b"nan", b"1e400"])
def test_a_count_that_was_lost_is_counted_again(make: Make, count: bytes | None) -> None:
    crawl = with_sets_of(make(), 12)
    put_all(crawl, 0, 900)
    client, host = crawl.link.client, crawl.frontier.keys.host(A)
    client.hdel(host, "seen") if count is None else client.hset(host, "seen", count)
    assert crawl.frontier.accepted(urls(897, 903)) == [True] * 3 + [False] * 3
    assert put_all(crawl, 0, 901) == 1
    assert crawl.snapshot().number(A, "seen") == 901


def test_a_count_that_is_no_number_is_taken_away_by_a_repair(make: Make) -> None:
    crawl = with_sets_of(make(), 12)
    put_all(crawl, 0, 30)
    crawl.link.client.hset(crawl.frontier.keys.host(A), "seen", "x")
    assert crawl.raw("repair", ["hosts", A])[1] == 1
    assert put_all(crawl, 0, 31) == 1


@pytest.mark.parametrize("count", [b"-5", b"1.5", b"70000000000.25"])
def test_a_count_that_is_absurd_stops_nothing(make: Make, count: bytes) -> None:
    crawl = with_sets_of(make(), 12)
    crawl.link.client.hset(crawl.frontier.keys.host(A), "seen", count)
    assert put_all(crawl, 0, 40) == 40
    assert put_all(crawl, 0, 40) == 0
    crawl.link.client.delete(crawl.frontier.keys.meta)  # its counts are odd


@pytest.mark.parametrize("size", [b"0", b"-3", b"x", b"1e300", b""])
def test_a_size_of_sets_that_is_absurd_stops_nothing(make: Make, size: bytes) -> None:
    crawl = make()
    crawl.link.client.hset(crawl.frontier.keys.meta, "seen_set", size)
    assert put_all(crawl, 0, 600) == 600
    assert put_all(crawl, 0, 600) == 0


@pytest.mark.parametrize(("had", "key"), [(0, "1.0"), (10, "1.0"), (150, "2.{}"), (16, "2.{}")])
def test_a_set_of_another_type_stops_a_commit_before_its_first_write(make: Make, had: int, key: str) -> None:
    """Also one on the level that the new ids would enter."""
    crawl = with_sets_of(make(), 12)
    crawl.put("http://b.example/")
    put_all(crawl, 0, had)
    links = urls(1_000, 1_020)
    parts = {int(crawl.frontier.id(link)) % 32 for link in links}
    names = {f"{crawl.frontier.keys.prefix}seen:{A}:{key.format(part)}" for part in parts}
    client: Any = crawl.link.client
    lease = next(one for one in crawl.lease(500) if one.host == "b.example")
    for name in names:
        client.delete(name)
        client.set(name, "x")
    before = dump(client)
    with pytest.raises(DamagedCrawl, match=r"seen:a\.example"):
        crawl.commit(lease, links=links)
    assert dump(client) == before
    client.delete(crawl.frontier.keys.meta, *names)


def dump(client: Any) -> dict[bytes, bytes]:
    """All that is in Redis."""
    return {key: client.dump(key) for key in client.scan_iter(count=1000)}


def test_sets_that_a_call_writes_were_read_before_its_first_write(make: Make) -> None:
    """In a slot that moves a missing key stops a script."""
    crawl = with_sets_of(make(), 3)
    crawl.put("http://b.example/")
    put_all(crawl, 0, 2)
    lease = next(one for one in crawl.lease(10) if one.host == "b.example")
    commands = commands_of(crawl, crawl.frontier.commit_call(crawl.ending(lease, links=urls(2, 40))))
    first = next(n for n, command in enumerate(commands) if command[0] not in READS)
    read, written = (
        {command[1] for command in part if ":seen:" in command[1]} for part in (commands[:first], commands)
    )
    assert len(written) > 10
    assert written == read


# -- the size of sets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "size"), [(512, 384), (20_000, 15_000), (4_096, 3_072), (1_000_000, 16_384), (128, 96), (1, 64)]
)
def test_sets_are_as_large_as_the_server_keeps_packed(link: Connection, make: Make, entries: int, size: int) -> None:
    with limit(link, entries):
        crawl = make()
    assert crawl.snapshot().meta["seen_set"] == str(size)


@pytest.mark.parametrize("error", [NoPermissionError("this user"), ResponseError("unknown command 'CONFIG'")])
def test_where_config_is_forbidden_sets_are_as_large_as_by_default(
    link: Connection, error: RedisError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> dict[str, str]:
        raise error

    monkeypatch.setattr(link.client, "config_get", refuse)
    assert set_size(link) == 384


@pytest.mark.parametrize("answer", [{}, {SETTING: "many"}, {SETTING: "0"}])
def test_an_answer_that_is_none_is_as_no_answer(
    link: Connection, answer: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link.client, "config_get", lambda name: answer)
    assert set_size(link) == 384


def test_of_several_servers_the_one_with_the_smallest_sets_decides(
    link: Connection, both_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Connection(both_redis_url)
    monkeypatch.setattr(link, "masters", lambda: [link, other])
    monkeypatch.setattr(other.client, "config_get", lambda name: {SETTING: "1000"})
    assert set_size(link) == 750
    other.close()


def test_the_size_does_not_change_with_the_server(make: Make, link: Connection) -> None:
    crawl = make()
    size = crawl.snapshot().meta["seen_set"]
    with limit(link, 100):
        crawl.frontier.configure(b"{}", Limits(delay_ms=5))
        assert crawl.snapshot().meta["seen_set"] == size
