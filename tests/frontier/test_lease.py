"""lease: URLs of hosts that are due, each under a token until a deadline."""

from __future__ import annotations

from functools import cache

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from crawler.errors import NoCrawl
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.record import Charge, Entry, Request
from tests.frontier.crawls import TERM, Crawl, Make

A, B = "a.example", "b.example"


def put_many(crawl: Crawl, host: str, n: int) -> None:
    """n pages of one host."""
    crawl.put(*(f"http://{host}/{k}" for k in range(n)))


def test_a_lease_is_written_down_whole(crawl: Crawl) -> None:
    crawl.put("http://a.example/x")
    reply = crawl.frontier.lease(1, TERM, "worker-1", "00ff00ff00ff00ff")
    (lease,) = reply.leases
    assert (lease.token, lease.kind, lease.host, lease.unreachable) == ("00ff00ff00ff00ff:1", "P", A, False)
    assert lease.entry().request.url == "http://a.example/x"
    shot = crawl.snapshot()
    held = shot.leased[lease.token]
    assert (held.worker, held.host, held.entry, held.priority) == ("worker-1", A, lease.raw, 1)
    assert held.deadline == crawl.now + TERM * 1000
    assert (reply.accepted, reply.queued, reply.leased, reply.ended) == (1, 0, 1, 0)
    assert shot.queues == {}


def test_nothing_queued_gives_nothing(crawl: Crawl) -> None:
    reply = crawl.frontier.lease(5, TERM, "w")
    assert (reply.status, reply.leases, reply.wait_ms, reply.idle) == ("OK", [], -1, True)


def test_a_repeated_call_gives_the_same_and_nothing_new(crawl: Crawl) -> None:
    put_many(crawl, A, 5)
    first = crawl.lease(2, call="c")
    before = crawl.snapshot()
    again = crawl.lease(2, call="c")
    assert [(x.token, x.raw) for x in again] == [(x.token, x.raw) for x in first]
    assert crawl.snapshot() == before


def test_a_repeated_call_gives_what_is_still_held(crawl: Crawl) -> None:
    put_many(crawl, A, 5)
    first = crawl.lease(3, call="c")
    crawl.commit(first[1])
    assert [x.token for x in crawl.lease(3, call="c")] == ["c:1", "c:3"]


def test_a_repeated_call_gives_a_robots_lease_again(make: Make) -> None:
    crawl = make(robots=True)
    put_many(crawl, A, 2)
    (first,) = crawl.lease(2, call="c")
    (again,) = crawl.lease(2, call="c")
    assert (again.token, again.kind, again.what) == (first.token, "R", first.what)


def test_a_host_without_delay_gives_up_to_its_free_slots(make: Make) -> None:
    crawl = make(per_host=3)
    put_many(crawl, A, 9)
    held = crawl.lease(9)
    assert len(held) == 3
    assert crawl.lease(9) == []
    crawl.commit(held[0])
    assert len(crawl.lease(9)) == 1


def test_a_host_with_a_delay_gives_one_and_rests(make: Make) -> None:
    crawl = make(delay_ms=1000, per_host=3)
    put_many(crawl, A, 9)
    assert len(crawl.lease(9)) == 1
    reply = crawl.frontier.lease(9, TERM, "w")
    assert (reply.leases, reply.wait_ms) == ([], 1000)
    crawl.advance(0.999)
    assert crawl.lease(9) == []
    crawl.advance(0.001)
    assert len(crawl.lease(9)) == 1


def test_due_hosts_share_evenly_the_oldest_first(make: Make) -> None:
    crawl = make()
    for host in "cba":
        put_many(crawl, f"{host}.example", 9)
        crawl.advance(1)
    leases = crawl.lease(5)
    assert [x.host[0] for x in leases] == ["c", "c", "b", "b", "a"]


def test_more_hosts_than_wanted_give_one_each(make: Make) -> None:
    crawl = make()
    for n in range(9):
        put_many(crawl, f"{n}.example", 2)
    assert [x.host for x in crawl.lease(3)] == ["0.example", "1.example", "2.example"]
    assert [x.host for x in crawl.lease(3)] == ["0.example", "1.example", "2.example"]


def test_hosts_that_cannot_be_leased_from_do_not_hide_others(make: Make) -> None:
    crawl = make(per_host=1)
    for n in range(9):
        put_many(crawl, f"{n}.example", 2)
    seen = [lease.host for _ in range(5) for lease in crawl.lease(2)]
    assert sorted(seen) == [f"{n}.example" for n in range(9)]


def test_nothing_wanted_tells_how_the_crawl_stands(crawl: Crawl) -> None:
    put_many(crawl, A, 2)
    reply = crawl.frontier.lease(0, TERM, "w")
    assert (reply.status, reply.leases, reply.queued, reply.wait_ms, reply.idle) == ("OK", [], 2, 0, False)


# -- robots.txt --------------------------------------------------------------------------------------------------------


def test_an_unknown_robots_txt_is_asked_for_alone(make: Make) -> None:
    crawl = make(robots=True)
    put_many(crawl, A, 3)
    (lease,) = crawl.lease(3)
    assert (lease.kind, lease.host, lease.scheme, lease.origin) == ("R", A, 0, "http://a.example")
    assert crawl.lease(3) == []
    shot = crawl.snapshot()
    assert (shot.ready, shot.counters["queued"], shot.counters.get("leased", 0)) == ({}, 3, 0)
    assert shot.hosts[A]["asking"] == lease.token


def test_a_known_robots_txt_lets_pages_out(make: Make) -> None:
    crawl = make(robots=True)
    put_many(crawl, A, 3)
    crawl.frontier.robots(crawl.one(3), "ok", ttl=60)
    leases = crawl.lease(3)
    assert [(x.kind, x.robots_rev) for x in leases] == [("P", 1)] * 3


def test_an_expired_robots_txt_is_asked_for_again_at_once(make: Make) -> None:
    crawl = make(robots=True)
    put_many(crawl, A, 9)
    crawl.frontier.robots(crawl.one(3), "ok", ttl=60)
    pages = crawl.lease(2)
    crawl.advance(60)
    (robots,) = crawl.lease(3)
    assert robots.kind == "R"
    crawl.commit(pages[0])
    assert crawl.lease(3) == []
    crawl.frontier.robots(robots, "ok")
    assert [x.robots_rev for x in crawl.lease(3)] == [2, 2, 2]


def test_each_origin_of_a_host_has_its_own_robots_txt(make: Make) -> None:
    crawl = make(robots=True, per_host=1)
    crawl.put("http://a.example/", "https://a.example/", "http://a.example:443/", "https://a.example:80/")
    origins = []
    for _ in range(4):
        robots = crawl.one()
        origins.append(robots.origin)
        crawl.frontier.robots(robots, "ok")
        page = crawl.one()
        assert page.origin == robots.origin
        crawl.commit(page)
    assert origins == ["http://a.example", "https://a.example", "http://a.example:443", "https://a.example:80"]
    assert sorted(crawl.snapshot().robots) == sorted(origins)


def test_a_robots_text_that_was_taken_away_is_asked_for_again(make: Make) -> None:
    crawl = make(robots=True)
    put_many(crawl, A, 2)
    crawl.frontier.robots(crawl.one(), "ok")
    crawl.link.client.delete(crawl.frontier.keys.robots("http://a.example"))
    assert crawl.one().kind == "R"


def test_a_robots_lease_takes_a_slot_and_obeys_the_delay(make: Make) -> None:
    crawl = make(robots=True, delay_ms=1000, per_host=2)
    put_many(crawl, A, 3)
    crawl.frontier.robots(crawl.one(), "ok")
    assert crawl.lease() == []
    crawl.advance(1)
    assert crawl.one(3).kind == "P"


def test_a_page_that_ends_makes_no_host_ready_whose_robots_txt_is_asked_for(make: Make) -> None:
    crawl = make(robots=True, per_host=3)
    put_many(crawl, A, 3)
    crawl.frontier.robots(crawl.one(), "ok")
    page = crawl.one()
    crawl.link.client.delete(crawl.frontier.keys.robots("http://a.example"))
    robots = crawl.one()
    assert robots.kind == "R"
    crawl.commit(page)
    assert crawl.snapshot().ready == {}
    crawl.frontier.robots(robots, "ok")
    assert len(crawl.lease()) == 2


# -- hosts that do not answer ------------------------------------------------------------------------------------------


def fail_for(crawl: Crawl, seconds: float) -> None:
    """The host's only transfer fails, and again after *seconds*."""
    crawl.frontier.retry(crawl.one(), "fail", charge=Charge.NONE)
    crawl.advance(seconds)


def test_after_the_patience_a_host_hands_out_its_urls_as_unreachable(make: Make) -> None:
    crawl = make(patience_ms=60_000, per_host=1)
    put_many(crawl, A, 30)
    fail_for(crawl, 60)
    held = crawl.one(30)
    assert not held.unreachable
    crawl.frontier.release([held.token])
    crawl.advance(0.001)
    leases = crawl.lease(30)
    assert [x.unreachable for x in leases] == [True] * 30
    for lease in leases:
        crawl.commit(lease, "failed:connect", event="none")
    assert crawl.frontier.state().word == "done"


def test_patience_of_zero_never_ends(make: Make) -> None:
    crawl = make(patience_ms=0)
    put_many(crawl, A, 2)
    fail_for(crawl, 365 * 86_400)
    assert [x.unreachable for x in crawl.lease(1)] == [False]


def test_an_unreachable_host_is_not_asked_for_robots_txt(make: Make) -> None:
    crawl = make(robots=True, patience_ms=1000)
    put_many(crawl, A, 2)
    crawl.frontier.robots(crawl.one(), "robots")
    crawl.advance(3600)
    assert [(x.kind, x.unreachable) for x in crawl.lease()] == [("P", True)] * 2


def test_an_answer_ends_the_failing(make: Make) -> None:
    crawl = make(patience_ms=10_000)
    put_many(crawl, A, 5)
    fail_for(crawl, 9)
    crawl.commit(crawl.one(), event="ok")
    crawl.advance(10)
    assert not crawl.one().unreachable


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_paused_crawl_gives_nothing_but_tells(crawl: Crawl) -> None:
    put_many(crawl, A, 2)
    crawl.frontier.pause()
    reply = crawl.frontier.lease(2, TERM, "w")
    assert (reply.status, reply.leases, reply.queued) == ("PAUSED", [], 2)


def test_a_repeated_call_is_answered_even_when_paused(crawl: Crawl) -> None:
    put_many(crawl, A, 2)
    first = crawl.lease(1, call="c")
    crawl.frontier.pause()
    assert [x.token for x in crawl.lease(1, call="c")] == [first[0].token]


def test_a_crawl_that_is_being_deleted_gives_nothing(crawl: Crawl) -> None:
    put_many(crawl, A, 2)
    crawl.frontier.delete()
    assert crawl.frontier.lease(2, TERM, "w").status == "DELETING"
    assert crawl.snapshot().leased == {}


def test_no_more_pages_are_in_flight_than_the_budget_has_left(make: Make) -> None:
    crawl = make(max_pages=3)
    put_many(crawl, A, 9)
    held = crawl.lease(9)
    assert len(held) == 3
    reply = crawl.frontier.lease(9, TERM, "w")
    assert (reply.status, reply.leases, reply.wait_ms) == ("OK", [], 1000)
    crawl.commit(held[0])
    crawl.commit(held[1], "dropped:robots", event="none")
    assert len(crawl.lease(9)) == 1


def test_at_its_page_limit_the_crawl_gives_nothing(make: Make) -> None:
    crawl = make(max_pages=2)
    put_many(crawl, A, 9)
    for lease in crawl.lease(9):
        crawl.commit(lease)
    assert crawl.frontier.lease(9, TERM, "w").status == "LIMIT"
    assert crawl.frontier.state().word == "limit"
    crawl.frontier.configure(b"{}", Limits(delay_ms=0, robots=False, per_host=10, max_pages=4))
    assert len(crawl.lease(9)) == 2


def test_a_full_redis_gives_nothing_new_but_what_is_held(crawl: Crawl) -> None:
    put_many(crawl, A, 3)
    first = crawl.lease(1, call="c")
    before = crawl.snapshot()
    crawl.link.client.config_set("maxmemory", 1)
    reply = crawl.frontier.lease(2, TERM, "w")
    assert (reply.status, reply.leases, reply.queued) == ("OOM", [], 2)
    assert [x.token for x in crawl.lease(1, call="c")] == [first[0].token]
    assert crawl.snapshot() == before


def test_another_generation_gets_nothing(crawl: Crawl) -> None:
    put_many(crawl, A, 1)
    crawl.link.client.hset(crawl.frontier.keys.meta, "generation", "another")
    with pytest.raises(NoCrawl):
        crawl.lease()
    assert crawl.snapshot().leased == {}


# -- repairs and hints -------------------------------------------------------------------------------------------------


def test_a_queue_that_was_emptied_by_hand_is_counted_as_lost(crawl: Crawl) -> None:
    put_many(crawl, A, 3)
    put_many(crawl, B, 1)
    crawl.link.client.delete(crawl.frontier.keys.queue(A, 1))
    assert [x.host for x in crawl.lease(5)] == [B]
    counters = crawl.crawldb.counters()
    assert (counters["lost"], counters["queued"]) == (3, 0)
    assert crawl.link.client.zcard(crawl.frontier.keys.ready) == 0
    crawl.link.client.hincrby(crawl.frontier.keys.counters, "accepted", -3)  # so that the sum is right again
    for n in range(3):
        url_id = crawl.frontier.id(f"http://{A}/{n}")
        crawl.link.client.srem(crawl.frontier.keys.seen(A), url_id)
    crawl.link.client.hset(crawl.frontier.keys.host(A), "seen", 0)


JUNK = (b"", b"x", b'{"url": "http://a.example/"}', b"\xff" * 40, bytes(3) + b"\x02" + bytes(8) + b"/", bytes(99))


@pytest.mark.parametrize("raw", JUNK)
def test_what_is_no_entry_is_handed_out_without_a_question(make: Make, raw: bytes) -> None:
    """Its worker ends it as a dead letter; no robots.txt is asked for its sake, least of all on another port."""
    crawl = make(robots=True)
    crawl.put("http://a.example:81/")
    crawl.link.client.lpush(crawl.frontier.keys.queue("a.example:81", 1), raw)
    leases = crawl.lease(9)
    assert [(lease.kind, lease.raw) for lease in leases] == [("P", raw)]
    with pytest.raises(ValueError, match="not a queue entry"):
        leases[0].entry()
    crawl.frontier.release([leases[0].token])
    crawl.link.client.flushdb()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40), st.sampled_from(("a.example", "a.example:81", "[::1]", "[::1]:81")))
def test_what_a_worker_takes_for_an_entry_is_asked_about(redis_url: str, raw: bytes, host: str) -> None:
    """The script's look at an entry is never stricter than ours: else a page would go out without its robots.txt."""
    raw = raw[:3] + bytes([raw[3] & 0x33]) + raw[4:] if len(raw) > 3 else raw
    for text in (raw, raw[:12] + b"/" + raw[12:], raw[:16] + b"/" + raw[16:]):
        try:
            Entry.decode(host, text)
        except ValueError:
            continue
        assert _asks_first(redis_url, host, text)


@cache
def _asking(redis_url: str) -> Crawl:
    return Crawl(Connection(redis_url), Limits(delay_ms=0))


def _asks_first(redis_url: str, host: str, raw: bytes) -> bool:
    crawl = _asking(redis_url)
    crawl.link.client.rpush(crawl.frontier.keys.queue(host, 1), raw)
    crawl.link.client.hset(crawl.frontier.keys.host(host), "queued", 1)
    crawl.link.client.zadd(crawl.frontier.keys.ready, {host: 0})
    (lease,) = crawl.lease(1)
    crawl.link.client.delete(
        crawl.frontier.keys.queue(host, 1), crawl.frontier.keys.host(host), crawl.frontier.keys.ready
    )
    return lease.kind == "R"


def test_more_in_a_queue_than_its_count_says_is_taken_in(crawl: Crawl) -> None:
    """Another hand put it there: nobody's URL stays in the queue for its sake, and the counts agree."""
    crawl.put("http://a.example/1")
    crawl.link.client.lpush(crawl.frontier.keys.queue("a.example", 1), b"junk", b"more junk")
    assert [lease.raw for lease in crawl.lease(1)] == [b"more junk"]
    state = crawl.frontier.state()
    assert (state.accepted, state.queued, state.leased, state.odd) == (3, 2, 1, False)
    assert [lease.raw[12:] for lease in crawl.lease(9)] == [b"", b"/1"]
    crawl.link.client.flushdb()


def test_hosts_that_cannot_be_are_dropped(crawl: Crawl) -> None:
    """A lease's row could not be read again with a blank in its host."""
    client, keys = crawl.link.client, crawl.frontier.keys
    crawl.put("http://a.example/1")
    for host in (b"a b", b"\xff", b"", b"a/b", b"u@h", b"no.example"):
        client.zadd(keys.ready, {host: 0})
        client.lpush(b"%squeue:%s:1" % (keys.prefix.encode(), host), bytes(12) + b"/")
    client.delete(keys.queue("no.example", 1))
    assert crawl.urls(crawl.lease(9)) == ["http://a.example/1"]
    assert client.zcard(keys.ready) == 0
    client.flushdb()


def test_due_hosts_that_are_left_over_wake_another_worker(crawl: Crawl) -> None:
    put_many(crawl, A, 2)
    put_many(crawl, B, 2)
    crawl.link.client.delete(crawl.frontier.keys.wake)
    crawl.lease(1)
    assert crawl.snapshot().wake == 1


def test_ids_above_two_to_the_53rd_are_not_mixed_up(crawl: Crawl) -> None:
    put_many(crawl, A, 50)
    for lease in crawl.lease(10):
        crawl.commit(lease)
    expected = {crawl.frontier.id(f"http://{A}/{n}") for n in range(10)}
    assert set(crawl.snapshot().pages) == expected
    assert any(int(url_id) > 2**53 for url_id in expected)


# -- slow hosts, addresses, sitemaps -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("latency", "delay"), [(100, 1000), (3000, 6000), (60_000, 30_000)])
def test_a_slow_host_is_asked_less_often(make: Make, latency: int, delay: int) -> None:
    """The delay is a floor, and what latency adds has a limit."""
    crawl = make(delay_ms=1000, adaptive=2.0)
    put_many(crawl, A, 3)
    crawl.commit(crawl.one(), latency_ms=latency)
    crawl.advance(1)
    lease = crawl.one()
    assert lease.delay_ms == delay
    assert crawl.host(A)["due"] == str(crawl.now + delay)


@pytest.mark.parametrize("limits", [{"delay_ms": 0, "adaptive": 2.0}, {"delay_ms": 1000, "adaptive": 0.0}])
def test_without_a_delay_or_a_factor_nothing_adapts(make: Make, limits: dict[str, float]) -> None:
    crawl = make(**limits)
    put_many(crawl, A, 3)
    crawl.commit(crawl.one(), latency_ms=9000)
    crawl.advance(1)
    assert crawl.one().delay_ms == limits["delay_ms"]


def test_hosts_of_one_address_share_its_slots(make: Make) -> None:
    """It is known from the first answer on; a host that finds no slot is looked at again a little later."""
    crawl = make(per_ip=1)
    put_many(crawl, A, 3)
    put_many(crawl, B, 3)
    for lease in crawl.lease(2):
        crawl.commit(lease, ip="192.0.2.1")
    assert len(crawl.lease(1)) == 1
    assert crawl.lease(5) == []
    assert crawl.frontier.lease(5, TERM, "w").wait_ms == 250
    shot = crawl.snapshot()
    assert shot.ips == {"192.0.2.1": 1}
    crawl.frontier.release(list(shot.leased))
    assert crawl.snapshot().ips == {}
    crawl.advance(0.25)
    assert len(crawl.lease(5)) == 1


def test_a_sitemap_waits_while_enough_pages_are_queued(crawl: Crawl) -> None:
    crawl.frontier.put([Request(f"http://{A}/sitemap.xml", sitemap=True)])
    put_many(crawl, A, 1000)
    assert crawl.urls(crawl.lease(1)) == [f"http://{A}/0"]
    assert crawl.urls(crawl.lease(1)) == [f"http://{A}/sitemap.xml"]


def test_sitemaps_do_not_count_as_pages(make: Make) -> None:
    crawl = make(max_pages=1)
    crawl.frontier.put([Request(f"http://{A}/sitemap.xml", sitemap=True)])
    put_many(crawl, A, 2)
    crawl.commit(crawl.one(), tallies={"sitemaps": 1})
    crawl.commit(crawl.one())
    assert crawl.frontier.lease(1, TERM, "w").status == "LIMIT"
