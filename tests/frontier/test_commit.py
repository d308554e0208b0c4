"""commit: one script ends a lease with its outcome: record, outlinks, counters, host."""

from __future__ import annotations

import zlib

import pytest

from crawler.errors import LeaseLost, NoCrawl
from crawler.frontier.messages import Accepted, Event, Lease
from crawler.frontier.verbs import MAX_REQUESTS
from crawler.record import CONTENTS, Record, Request
from tests.frontier.crawls import Crawl, Make, state_of

URL = "http://a.example/1"


@pytest.fixture
def lease(crawl: Crawl) -> Lease:
    """A page that is held."""
    crawl.put(URL)
    return crawl.one()


def test_the_record_is_stored_and_the_lease_ends(crawl: Crawl, lease: Lease) -> None:
    text = zlib.compress("Grüße".encode())
    assert crawl.commit(lease, contents={"text": text}) == Accepted(0, 0, 0)
    shot = crawl.snapshot()
    url_id = crawl.frontier.id(URL)
    page = shot.pages[url_id]
    assert Record.decode(page["m"]) == Record(url=URL, outcome="fetched", depth=0)
    assert (page["t"], set(page)) == (text, {"m", "at", "t"})
    assert shot.states == {url_id: state_of(lease, "fetched")}
    assert shot.records == [(page["at"].decode(), url_id)]
    assert (shot.leased, shot.failed) == ({}, {})
    assert shot.counters == {
        "accepted": 1,
        "queued": 0,
        "leased": 0,
        "ended": 1,
        "outcome:fetched": 1,
        "visit:fetched": 1,
    }
    assert crawl.frontier.done()


def test_no_text_leaves_no_field(crawl: Crawl, lease: Lease) -> None:
    crawl.commit(lease)
    assert "t" not in crawl.snapshot().pages[crawl.frontier.id(URL)]


def test_outlinks_are_accepted_with_the_record(crawl: Crawl, lease: Lease) -> None:
    links = ["http://a.example/2", "https://b.example/", URL]
    assert crawl.commit(lease, links=links) == Accepted(2, 1, 0)
    leases = crawl.lease()
    assert sorted(crawl.urls(leases)) == sorted(links[:2])
    assert {x.entry().request.via for x in leases} == {crawl.frontier.id(URL)}
    assert {x.entry().request.depth for x in leases} == {1}


def test_sent_twice_it_succeeds_with_nothing_new(crawl: Crawl, lease: Lease) -> None:
    call = crawl.frontier.commit_call(crawl.ending(lease, links=["http://a.example/2"], tallies={"status:200": 1}))
    assert crawl.frontier.run([call]) == [Accepted(1, 0, 0)]
    before = crawl.snapshot()
    assert crawl.frontier.run([call, call]) == [Accepted(0, 0, 0)] * 2
    assert crawl.snapshot() == before


def test_a_lease_that_was_reaped_commits_nothing(crawl: Crawl, lease: Lease) -> None:
    crawl.advance(90)
    crawl.frontier.reap()
    before = crawl.snapshot()
    with pytest.raises(LeaseLost):
        crawl.commit(lease, links=["http://a.example/2"])
    assert crawl.snapshot() == before


def test_the_loser_of_a_race_does_not_overwrite_the_winner(crawl: Crawl, lease: Lease) -> None:
    crawl.advance(90)
    crawl.frontier.reap()
    winner = crawl.one()
    crawl.commit(winner, "redirected")
    before = crawl.snapshot()
    with pytest.raises(LeaseLost):
        crawl.commit(lease)
    assert crawl.snapshot() == before


def test_a_token_that_was_given_anew_does_not_end_another_url(crawl: Crawl) -> None:
    """The network delivers a call of `lease` again when its leases were reaped: the token means another page then."""
    crawl.put(URL)
    (old,) = crawl.lease(1, call="c")
    crawl.advance(90)
    crawl.frontier.reap()
    crawl.commit(crawl.one(), "redirected")
    crawl.put("http://a.example/2")
    (new,) = crawl.lease(1, call="c")
    assert (new.token, new.host) == (old.token, old.host)
    with pytest.raises(LeaseLost):
        crawl.commit(old)
    assert crawl.commit(new) == Accepted(0, 0, 0)
    assert crawl.frontier.done()


def test_a_failure_is_also_a_dead_letter(crawl: Crawl, lease: Lease) -> None:
    crawl.commit(lease, "failed:timeout", event="stall")
    shot = crawl.snapshot()
    assert shot.failed == {crawl.frontier.id(URL): crawl.now}
    assert shot.counters["outcome:failed:timeout"] == 1


def test_tallies_are_counted(crawl: Crawl, lease: Lease) -> None:
    crawl.commit(lease, tallies={"status:404": 1, "bytes": 12_345, "refused:scope": 7})
    counters = crawl.crawldb.counters()
    assert (counters["status:404"], counters["bytes"], counters["refused:scope"]) == (1, 12_345, 7)


def test_roots_of_a_redirected_seed_come_along(crawl: Crawl, lease: Lease) -> None:
    crawl.commit(lease, "redirected", roots=["b.example"])
    assert crawl.snapshot().roots == {"b.example"}
    assert crawl.frontier.lease(0, 90, "w").roots_rev == 1


def test_the_budget_of_a_host_holds_for_links_too(make: Make) -> None:
    crawl = make(max_pages_per_host=2)
    crawl.put(URL)
    links = [f"http://a.example/{n}" for n in range(2, 6)]
    assert crawl.commit(crawl.one(), links=links) == Accepted(1, 0, 3)


def test_the_host_rests_as_it_is_told_and_never_less_than_before(make: Make) -> None:
    crawl = make(delay_ms=1000, per_host=2)
    crawl.put(*(f"http://a.example/{n}" for n in range(5)))
    first = crawl.one()
    crawl.advance(1)
    second = crawl.one()
    crawl.commit(first, rest_ms=5000)
    crawl.commit(second, rest_ms=10)
    assert crawl.snapshot().ready == {"a.example": crawl.now + 5000}


def test_the_latency_is_a_moving_average_in_whole_ms(crawl: Crawl) -> None:
    crawl.put(URL, "http://a.example/2", "http://a.example/3")
    one, two, three = crawl.lease()
    crawl.commit(one, latency_ms=100)
    assert crawl.host("a.example")["latency"] == "100"
    crawl.commit(two, latency_ms=203)
    assert crawl.host("a.example")["latency"] == "141"
    crawl.commit(three)
    assert crawl.host("a.example")["latency"] == "141"


@pytest.mark.parametrize(("event", "step"), [("slow", 1000), ("fail", 1000), ("stall", 1000)])
def test_a_host_in_trouble_is_backed_off_twice_as_long_each_time(make: Make, event: str, step: int) -> None:
    crawl = make(per_host=1, patience_ms=0)
    crawl.put(*(f"http://a.example/{n}" for n in range(12)))
    for n in range(11):
        crawl.commit(crawl.one(), "failed:http", event=event)
        rest = min(step * 2**n, 300_000)
        assert crawl.snapshot().ready == {"a.example": crawl.now + rest}
        crawl.advance(rest / 1000)


def test_transfers_that_began_together_back_off_once(crawl: Crawl) -> None:
    crawl.put(*(f"http://a.example/{n}" for n in range(5)))
    for lease in crawl.lease(4):
        crawl.commit(lease, "failed:http", event="slow")
    assert crawl.snapshot().ready == {"a.example": crawl.now + 1000}


def test_a_good_answer_ends_the_back_off(crawl: Crawl) -> None:
    crawl.put(*(f"http://a.example/{n}" for n in range(5)))
    for event in ("slow", "ok", "slow"):
        crawl.commit(crawl.one(), event=event)
        crawl.advance(1)
    assert crawl.snapshot().ready == {"a.example": crawl.now}


def test_a_name_that_does_not_exist_is_given_up_at_the_second_answer_apart(crawl: Crawl) -> None:
    crawl.put(*(f"http://a.example/{n}" for n in range(5)))
    crawl.commit(crawl.one(), "failed:dns", event="dead")
    crawl.advance(19)
    assert crawl.lease() == []
    crawl.advance(1)
    second = crawl.one()
    assert not second.unreachable
    crawl.commit(second, "failed:dns", event="dead")
    assert [x.unreachable for x in crawl.lease()] == [True] * 3


def test_a_short_patience_shortens_the_time_between_two_denials(make: Make) -> None:
    crawl = make(patience_ms=4000)
    crawl.put(*(f"http://a.example/{n}" for n in range(2)))
    crawl.commit(crawl.one(), "failed:dns", event="dead")
    crawl.advance(2)
    crawl.commit(crawl.one(), "failed:dns", event="dead")
    assert crawl.host("a.example")["failing_since"] == "1"


@pytest.mark.parametrize("between", ["ok", "slow"])
def test_an_answer_between_two_denials_of_its_name_clears_a_host(crawl: Crawl, between: Event) -> None:
    crawl.put(*(f"http://a.example/{n}" for n in range(5)))
    for event in ("dead", between, "dead"):
        crawl.commit(crawl.one(), "fetched", event=event)
        crawl.advance(20)
    assert not crawl.one().unreachable


def test_two_denials_at_once_and_failures_before_are_one(make: Make) -> None:
    crawl = make(per_host=2)
    crawl.put(*(f"http://a.example/{n}" for n in range(5)))
    crawl.commit(crawl.one(), "failed:connect", event="fail")
    crawl.advance(2)
    first, second = crawl.lease(2)
    crawl.commit(first, "failed:dns", event="dead")
    crawl.commit(second, "failed:dns", event="dead")
    crawl.advance(20)
    assert not crawl.one().unreachable


def test_the_most_links_that_a_call_takes_go_through(crawl: Crawl, lease: Lease) -> None:
    links = [f"http://{n % 50}.example/{n}" for n in range(MAX_REQUESTS)]
    assert crawl.commit(lease, links=links) == Accepted(MAX_REQUESTS, 0, 0)


def test_more_links_than_a_script_takes_are_refused_before_they_are_sent(crawl: Crawl, lease: Lease) -> None:
    links = [f"http://a.example/l{n}" for n in range(MAX_REQUESTS + 1)]
    with pytest.raises(ValueError, match="1000"):
        crawl.commit(lease, links=links)


def test_a_full_redis_still_takes_pages_with_their_links(crawl: Crawl, lease: Lease) -> None:
    crawl.link.client.config_set("maxmemory", 1)
    links = [f"http://b.example/{n}" for n in range(20)]
    assert crawl.commit(lease, links=links, contents={"text": b"x" * 5000}, roots=["b.example"]) == Accepted(20, 0, 0)
    assert crawl.snapshot().counters["ended"] == 1


def test_a_paused_crawl_still_takes_what_was_in_flight(crawl: Crawl, lease: Lease) -> None:
    crawl.frontier.pause()
    assert crawl.commit(lease, links=["http://a.example/2"]) == Accepted(1, 0, 0)


def test_a_crawl_begun_anew_takes_nothing_of_the_old_one(crawl: Crawl, lease: Lease) -> None:
    crawl.link.client.hset(crawl.frontier.keys.meta, "generation", "another")
    before = crawl.snapshot()
    with pytest.raises(NoCrawl):
        crawl.commit(lease)
    assert crawl.snapshot() == before


def test_a_lease_that_another_hand_spoiled_is_lost_and_harms_nothing(crawl: Crawl, lease: Lease) -> None:
    crawl.link.client.hset(crawl.frontier.keys.leased, lease.token, "nonsense")
    with pytest.raises(LeaseLost):
        crawl.commit(lease)
    assert crawl.link.client.exists(crawl.frontier.keys.page(crawl.frontier.id(URL))) == 0
    crawl.link.client.hset(crawl.frontier.keys.leased, lease.token, b"P1 w a.example " + lease.raw)


# -- the same content again --------------------------------------------------------------------------------------------


def test_a_page_with_the_content_of_another_is_its_duplicate(crawl: Crawl) -> None:
    """Its links and its text are not taken, and its record says whose copy it is."""
    crawl.put(URL, "http://b.example/copy")
    one, copy = crawl.lease()
    assert crawl.commit(one, digest="77", links=["http://a.example/x/"], contents={"text": b"t"}) == Accepted(1, 0, 0)
    told = crawl.commit(copy, digest="77", links=["http://b.example/x/"], contents={"text": b"t"})
    assert told == Accepted(0, 0, 0, left_out=True)
    shot = crawl.snapshot()
    copy_id = crawl.frontier.id("http://b.example/copy")
    assert (shot.states[copy_id].copy_of, "t" in shot.pages[copy_id]) == (crawl.frontier.id(URL), False)
    assert shot.counters["duplicates"] == 1
    record = crawl.crawldb.records.get(copy_id)
    assert record is not None
    assert record.duplicate_of == crawl.frontier.id(URL)


def test_of_a_copy_only_the_data_is_kept(crawl: Crawl) -> None:
    """It may differ: a hook sees the address."""
    crawl.put(URL, "http://b.example/copy")
    one, copy = crawl.lease()
    contents = {name: zlib.compress(b"[]") for name in CONTENTS}
    crawl.commit(one, digest="77", contents=contents)
    crawl.commit(copy, digest="77", contents=contents)
    first, second = crawl.crawldb.records.read()[0]
    assert [name for name in CONTENTS if getattr(first.record, name) is not None] == list(CONTENTS)
    assert [name for name in CONTENTS if getattr(second.record, name) is not None] == ["data"]
    (bare, _), _ = crawl.crawldb.records.read(contents=["html", "links"])
    assert (bare.record.text, bare.record.html, bare.record.links, bare.weight) == (None, "[]", [], 4)


def test_a_copy_keeps_its_contents_until_its_canonical_page_is_stored(crawl: Crawl) -> None:
    crawl.put(URL, "http://a.example/canonical")
    copy, one = crawl.lease()
    contents = {name: zlib.compress(b"[]") for name in ("html", "data")}
    crawl.commit(copy, contents=contents)
    crawl.commit(one, contents=contents, copy=crawl.frontier.id(URL))
    first, second = crawl.crawldb.records.read()[0]
    assert (first.record.html, first.record.data) == (None, [])
    assert (second.record.html, second.record.data) == ("[]", [])


def test_a_repeated_commit_of_a_duplicate_says_so_again(crawl: Crawl) -> None:
    """Else the worker would believe that its links were accepted."""
    crawl.put(URL, "http://b.example/copy")
    one, copy = crawl.lease()
    crawl.commit(one, digest="77")
    assert crawl.commit(copy, digest="77", links=["http://b.example/x"]).left_out
    assert crawl.commit(copy, digest="77", links=["http://b.example/x"]).left_out


def test_links_of_a_duplicate_can_be_wanted(crawl: Crawl) -> None:
    crawl.put(URL, "http://b.example/copy")
    one, copy = crawl.lease()
    crawl.commit(one, digest="77")
    assert crawl.commit(copy, digest="77", links=["http://b.example/x"], spared="*") == Accepted(1, 0, 0)


def test_a_page_that_is_fetched_again_is_no_duplicate_of_itself(crawl: Crawl) -> None:
    crawl.put(URL)
    crawl.commit(crawl.one(), "failed:http", digest="77")
    crawl.frontier.revive([Request(URL)])
    assert crawl.commit(crawl.one(), digest="77", links=["http://a.example/2"]) == Accepted(1, 0, 0)


# -- nothing was sent --------------------------------------------------------------------------------------------------


def test_a_page_that_was_not_asked_for_gives_its_delay_back(make: Make) -> None:
    crawl = make(delay_ms=5000)
    crawl.put(*(f"http://a.example/{n}" for n in range(3)))
    crawl.commit(crawl.one(), "dropped:robots", event="unsent")
    second = crawl.one()
    crawl.commit(second, rest_ms=5000)
    assert crawl.lease() == []
    crawl.advance(5)
    crawl.commit(crawl.one(), "dropped:robots", event="unsent")
    assert crawl.host("a.example")["due"] == str(crawl.now)


def test_a_delay_that_another_needs_is_not_given_back(make: Make) -> None:
    """Of two pages in flight the later one was not sent, but the earlier one has just ended."""
    crawl = make(delay_ms=5000, per_host=2)
    crawl.put(*(f"http://a.example/{n}" for n in range(3)))
    first = crawl.one()
    crawl.advance(5)
    second = crawl.one()
    crawl.commit(first, rest_ms=3000)
    crawl.commit(second, "dropped:robots", event="unsent")
    assert crawl.host("a.example")["due"] == str(crawl.now + 5000)


def test_a_copy_that_differs_by_a_slash_alone_is_followed(crawl: Crawl) -> None:
    """Its relative links lead elsewhere, and those of the other one are wrong."""
    crawl.put("http://a.example/guide", "http://b.example/guide/")
    one, copy = crawl.lease()
    crawl.commit(one, digest="77")
    alias = crawl.frontier.id("http://a.example/guide")
    told = crawl.commit(copy, digest="77", links=["http://b.example/guide/x"], spared=alias)
    assert told == Accepted(1, 0, 0)
    assert crawl.snapshot().states[crawl.frontier.id("http://b.example/guide/")].copy_of == alias


def test_that_the_validators_of_a_host_are_broken_is_known_to_each_later_lease(crawl: Crawl) -> None:
    crawl.put(URL, "http://a.example/2", "http://b.example/1")
    first = next(lease for lease in crawl.lease() if lease.host == "a.example")
    assert not first.no_validators
    crawl.commit(first, no_validators=True)
    crawl.advance(90)
    crawl.frontier.reap()
    crawl.advance(90)
    found = {lease.host: lease.no_validators for lease in crawl.lease()}
    assert found == {"a.example": True, "b.example": False}
