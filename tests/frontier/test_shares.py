"""Which hosts a call of lease gives to: new, proven and failing ones, sites that have their share, many of a site."""

from __future__ import annotations

import pytest

from crawler.frontier.messages import Lease, Shares
from crawler.frontier.repair import repair
from tests.frontier.crawls import TERM, Crawl, Make

MANY = 12
"""Hosts of one site: more than may start within a delay."""


def hosts(leases: list[Lease]) -> list[str]:
    return [lease.host for lease in leases]


def ask(crawl: Crawl, shares: Shares) -> list[Lease]:
    return list(crawl.frontier.lease(shares, TERM, "w").leases)


def prove(crawl: Crawl, host: str, pages: int = 2) -> None:
    """Have *host* answer so many pages, and leave one queued."""
    crawl.put(*(f"http://{host}/{n}" for n in range(pages + 1)))
    for _ in range(pages):
        (lease,) = (one for one in crawl.lease(100) if one.host == host)
        crawl.commit(lease)
        crawl.frontier.release(list(crawl.snapshot().leased))
        crawl.advance(2)


def fail(crawl: Crawl, host: str) -> None:
    """Have the first page of *host* time out, and its back-off be over."""
    crawl.put(f"http://{host}/")
    (lease,) = (one for one in crawl.lease(100) if one.host == host)
    crawl.frontier.retry(lease, "stall")
    crawl.frontier.release(list(crawl.snapshot().leased))
    crawl.advance(5)


# -- new, proven, failing ----------------------------------------------------------------------------------------------


def test_a_host_is_proven_by_two_pages_and_not_by_robots_txt(make: Make) -> None:
    crawl = make(robots=True, per_host=1)
    crawl.put(*(f"http://a.example/{n}" for n in range(4)))
    seen = []
    for _ in range(5):
        lease = crawl.one()
        seen.append((lease.kind, lease.standing))
        if lease.kind == "R":
            crawl.frontier.robots(lease, "ok")
        else:
            crawl.commit(lease)
    assert seen == [("R", "new"), ("P", "new"), ("P", "new"), ("P", "proven"), ("P", "proven")]


@pytest.mark.parametrize("event", ["fail", "stall", "dead", "untrusted", "late"])
def test_a_proven_host_that_fails_has_to_prove_itself_anew(make: Make, event: str) -> None:
    crawl = make(per_host=1)
    prove(crawl, "a.example")
    lease = crawl.one()
    assert lease.standing == "proven"
    crawl.frontier.retry(lease, event)
    crawl.advance(25)
    lease = crawl.one()
    assert lease.standing == "failing"
    crawl.put("http://a.example/more")
    crawl.commit(lease)
    assert crawl.one().standing == "new"


def test_a_host_that_says_slow_down_stays_proven(make: Make) -> None:
    crawl = make(per_host=1)
    prove(crawl, "a.example")
    crawl.frontier.retry(crawl.one(), "slow")
    crawl.advance(5)
    assert crawl.one().standing == "proven"


def test_proven_hosts_go_before_new_ones_that_were_due_long_before(make: Make) -> None:
    crawl = make(per_host=1)
    prove(crawl, "z.example")
    crawl.put("http://a.example/", "http://b.example/")
    assert hosts(ask(crawl, Shares(1, 0))) == ["z.example"]


def test_new_hosts_are_sure_of_their_part(make: Make) -> None:
    crawl = make(per_host=1)
    for name in ("x.example", "y.example", "z.example"):
        prove(crawl, name)
    crawl.put("http://a.example/", "http://b.example/")
    assert hosts(ask(crawl, Shares(3, 1))) == ["a.example", "x.example", "y.example"]


def test_new_hosts_take_all_while_no_proven_one_is_due(make: Make) -> None:
    crawl = make(per_host=1)
    crawl.put(*(f"http://{name}.example/" for name in "abcd"))
    assert len(ask(crawl, Shares(4, 1))) == 4


def test_new_hosts_leave_room_for_proven_ones_that_are_soon_due(make: Make) -> None:
    crawl = make(delay_ms=1000, per_host=1)
    prove(crawl, "z.example")
    crawl.put("http://z.example/more")
    others = [f"http://{name}.example/" for name in "abcd"]
    lease = crawl.one()
    assert lease.host == "z.example"
    crawl.commit(lease)
    crawl.put(*others)
    assert len(ask(crawl, Shares(4, 0, reserve=2))) == 3


def test_failing_hosts_get_only_what_they_are_sure_of_beside_others(make: Make) -> None:
    crawl = make(per_host=1)
    for name in ("x.example", "y.example"):
        fail(crawl, name)
    crawl.put("http://a.example/")
    leases = ask(crawl, Shares(3, 3, failing=1, most=3))
    assert sorted(hosts(leases)) == ["a.example", "x.example"]


def test_failing_hosts_take_all_while_nothing_else_is_due(make: Make) -> None:
    crawl = make(per_host=1)
    for name in ("x.example", "y.example"):
        fail(crawl, name)
    assert len(ask(crawl, Shares(3, 3, failing=1, most=3))) == 2


def test_a_transfer_that_gave_way_costs_its_url_and_its_hosts_patience_nothing(make: Make) -> None:
    crawl = make(patience_ms=1000)
    crawl.put("http://a.example/")
    crawl.frontier.retry(crawl.one(), "late", charge=0)
    crawl.advance(3600)
    lease = crawl.one()
    assert (lease.standing, lease.trouble, lease.entry().retries) == ("failing", "", 0)


# -- sites -------------------------------------------------------------------------------------------------------------


def test_a_site_that_has_its_half_is_passed_over_while_others_are_due(make: Make) -> None:
    crawl = make(per_host=1)
    crawl.put(*(f"http://n{n}.site.example/" for n in range(20)), "http://other.test/")
    shares = Shares(4, 4, half=2, sites=[("site.example", 1, 1)])
    assert hosts(ask(crawl, Shares(2, 2, half=2, sites=[("site.example", 2, 2)]))) == [
        "n0.site.example",
        "n1.site.example",
    ]
    assert len(ask(crawl, shares)) == 4


def test_hosts_that_are_passed_over_do_not_hide_others(make: Make) -> None:
    """The others come into view within a few calls, however many of one site are due before them."""
    crawl = make(per_host=1)
    crawl.put(*(f"http://n{n}.site.example/" for n in range(100)))
    crawl.advance(1)
    crawl.put("http://other.test/")
    full = Shares(2, 2, half=1, sites=[("site.example", 1, 1)])
    seen = [host for _ in range(20) for host in hosts(ask(crawl, full))]
    assert "other.test" in seen[:40]


def test_a_site_alone_gets_all(make: Make) -> None:
    crawl = make(per_host=1)
    crawl.put(*(f"http://n{n}.site.example/" for n in range(8)))
    assert len(ask(crawl, Shares(8, 8, half=4))) == 8


# -- time --------------------------------------------------------------------------------------------------------------


def test_a_site_whose_page_took_long_rests_while_others_are_due(make: Make) -> None:
    crawl = make(per_host=1)
    crawl.put("http://w.heavy.example/1", "http://v.heavy.example/1")
    (lease, other) = crawl.lease(2)
    crawl.commit(lease, handling_ms=2000)
    crawl.commit(other)
    crawl.put("http://w.heavy.example/2", "http://v.heavy.example/2", "http://a.example/", "http://b.example/")
    assert sorted(hosts(crawl.lease(1) + crawl.lease(3))) == ["a.example", "b.example"]


def test_it_goes_on_while_nothing_else_is_due_or_at_work(make: Make) -> None:
    crawl = make(per_host=1)
    crawl.put("http://heavy.example/1")
    crawl.commit(crawl.one(), handling_ms=2000)
    crawl.put("http://heavy.example/2")
    assert ask(crawl, Shares(1, 1, sites=[("other.example", 1, 1)])) == []
    crawl.advance(1)
    assert hosts(ask(crawl, Shares(1, 1, sites=[("other.example", 1, 0)]))) == ["heavy.example"]


def test_it_waits_for_a_host_that_is_due_before_its_page_would_end(make: Make) -> None:
    crawl = make(per_host=1, delay_ms=1000)
    crawl.put("http://heavy.example/1", "http://a.example/1")
    for lease in crawl.lease(2):
        crawl.commit(lease, handling_ms=2000 if lease.host == "heavy.example" else 0)
    crawl.advance(1.5)
    crawl.put("http://heavy.example/2", "http://a.example/2", "http://a.example/3")
    crawl.commit(next(one for one in crawl.lease(2) if one.host == "a.example"))
    assert crawl.lease(1) == []


def test_afterwards_its_hosts_go_one_at_a_time_until_a_page_took_less(make: Make) -> None:
    crawl = make(per_host=1)
    names = [f"n{n}.heavy.example" for n in range(3)]
    crawl.put("http://n0.heavy.example/x")
    crawl.commit(crawl.one(), handling_ms=500)
    crawl.advance(10)
    crawl.put(*(f"http://{name}/" for name in names), "http://a.example/")
    leases = crawl.lease(10)
    assert len(leases) == 2
    crawl.commit(next(lease for lease in leases if lease.host in names), handling_ms=1)
    crawl.put("http://b.example/")
    crawl.advance(1)
    assert len(crawl.lease(10)) == 3


def test_a_page_that_took_little_changes_nothing(make: Make) -> None:
    crawl = make(per_host=1)
    crawl.put("http://a.example/")
    crawl.commit(crawl.one(), handling_ms=99)
    assert crawl.snapshot().busy == {}


# -- addresses ---------------------------------------------------------------------------------------------------------


def starts(crawl: Crawl, shares: Shares, seconds: float) -> list[tuple[int, str]]:
    """Lease every 20 ms, and end each at once: when each host was asked."""
    found = []
    for _ in range(round(seconds / 0.02)):
        for lease in ask(crawl, shares):
            found.append((crawl.now, lease.host))
            crawl.commit(lease, ip="192.0.2.1")
        crawl.advance(0.02)
    return found


def most_within(times: list[int], ms: int) -> int:
    return max(sum(at <= other < at + ms for other in times) for at in times)


def test_many_hosts_of_one_site_start_ten_times_a_delay_at_most(make: Make) -> None:
    crawl = make(delay_ms=1000, per_host=1)
    crawl.put(*(f"http://n{n}.site.example/{k}" for n in range(60) for k in range(2)))
    found = starts(crawl, Shares.any(64), 8)
    assert most_within([at for at, _ in found], 1000) <= 10
    assert len(found) >= 60


def test_no_host_waits_for_ever(make: Make) -> None:
    crawl = make(delay_ms=1000, per_host=1)
    crawl.put(*(f"http://n{n}.site.example/" for n in range(40)))
    assert {host for _, host in starts(crawl, Shares.any(64), 6)} == {f"n{n}.site.example" for n in range(40)}


def test_they_have_ten_times_the_slots_of_one_host_at_once(make: Make) -> None:
    crawl = make(delay_ms=1000, per_host=1)
    crawl.put(*(f"http://n{n}.site.example/" for n in range(30)))
    leased = 0
    for _ in range(300):
        leased += len(crawl.lease(64))
        crawl.advance(0.02)
    assert leased == 10
    assert set(crawl.snapshot().ips.values()) == {10}


def test_each_address_of_a_site_has_its_own_share(make: Make) -> None:
    crawl = make(delay_ms=1000, per_host=1)
    crawl.put(*(f"http://n{n}.site.example/{k}" for n in range(MANY) for k in range(20)))
    for n in range(MANY):
        crawl.link.client.hset(crawl.frontier.keys.host(f"n{n}.site.example"), "ip", f"192.0.2.{n}")
    assert len(crawl.lease(64)) == MANY


@pytest.mark.parametrize(
    ("limits", "n", "shares"),
    [
        ({"delay_ms": 0}, MANY, Shares.any(64)),
        ({"delay_ms": 1000}, 10, Shares.any(64)),
        ({"delay_ms": 1000}, MANY, Shares(64, 64, 0, 64, sees_addresses=False)),
    ],
    ids=["no delay", "few hosts", "behind a proxy"],
)
def test_no_share_where_there_is_none(make: Make, limits: dict[str, int], n: int, shares: Shares) -> None:
    crawl = make(per_host=1, **limits)
    crawl.put(*(f"http://n{k}.site.example/" for k in range(n)))
    assert len(ask(crawl, shares)) == n


def test_sites_at_one_address_have_no_share_in_common(make: Make) -> None:
    crawl = make(delay_ms=1000, per_host=1)
    crawl.put(*(f"http://site{n}.example/" for n in range(50)))
    for n in range(50):
        crawl.link.client.hset(crawl.frontier.keys.host(f"site{n}.example"), "ip", "192.0.2.1")
    assert len(crawl.lease(64)) == 50


def test_what_is_not_asked_gives_its_start_back(make: Make) -> None:
    """Ten thousand links that robots.txt disallows cost no ten thousand starts."""
    crawl = make(delay_ms=1000, per_host=1)
    crawl.put(*(f"http://n{n}.site.example/{k}" for n in range(MANY) for k in range(20)))
    ended = 0
    for _ in range(30):
        for lease in crawl.lease(64):
            crawl.commit(lease, "dropped:robots", event="unsent")
            ended += 1
    assert ended >= 20


def test_groups_that_are_over_leave_nothing_behind(make: Make) -> None:
    crawl = make(delay_ms=1000, per_host=1)
    crawl.put(*(f"http://n{n}.site.example/" for n in range(MANY)))
    for _ in range(200):
        for lease in crawl.lease(64):
            crawl.commit(lease)
        crawl.advance(0.02)
    assert crawl.snapshot().ips == {}
    crawl.put(*(f"http://n{n}.other.example/" for n in range(MANY)))
    crawl.advance(3600)
    crawl.lease(1)
    assert {name.partition(" ")[0] for name in crawl.snapshot().starts} == {"other.example"}


def test_counts_of_addresses_are_repaired(make: Make) -> None:
    crawl = make(delay_ms=1000, per_host=1)
    crawl.put(*(f"http://n{n}.site.example/" for n in range(MANY)))
    crawl.lease(1)
    keys = crawl.frontier.keys
    crawl.link.client.hset(keys.ips, "site.example ", 9)
    crawl.link.client.hset(keys.ips, "gone.example 192.0.2.9", 5)
    crawl.link.client.hset(keys.counters, "queued", 99)
    assert repair(crawl.frontier.shard)
    assert crawl.snapshot().ips == {"site.example ": 1}
