"""The sweep: which URLs are due, each queued once, whoever dies meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from crawler.crawl import sweep as module
from crawler.crawl.choice import DUE, Choice
from crawler.crawl.recrawl import nothing_due, queue
from crawler.crawl.sweep import Sweep
from crawler.errors import UsageError
from crawler.frontier import verbs
from crawler.frontier.crawldb import grouped
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.shards.shard import Shard
from crawler.record import Request
from crawler.settings import Settings
from crawler.url import Form
from crawler.url_state import UrlState, id_bytes
from tests.redis_for_tests import PrivateRedis

SETTINGS = Settings()
DAY = 86_400


@pytest.fixture
def link(redis_server: PrivateRedis) -> Iterator[Connection]:
    link = Connection(redis_server.url)
    yield link
    link.close()


@pytest.fixture(autouse=True)
def soon_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAFE", 0.0)


def crawl_of(link: Connection, shards: int = 1) -> Frontier:
    identity = Identity.new(Form(), shards)
    return Frontier.create(link, "test", identity, SETTINGS.encode(), Limits(delay_ms=0, robots=False, per_host=5_000))


@pytest.fixture(params=[1, 3])
def frontier(link: Connection, request: pytest.FixtureRequest) -> Frontier:
    return crawl_of(link, request.param)


def state(url: str, outcome: str = "fetched", *, days: float = 30, **more: Any) -> UrlState:
    """A URL that was last visited so many days ago."""
    then = int(time.time() - days * DAY)
    return msgspec.structs.replace(UrlState(url=url, outcome=outcome, first_seen=then, checked_at=then), **more)


def end(frontier: Frontier, *states: UrlState) -> None:
    """The crawl has visited these, and is done."""
    for shard, own in grouped(states, lambda one: frontier.home(Request(one.url).place()[0])).items():
        requests = [Request(one.url, sitemap=one.sitemap, target=one.is_target) for one in own]
        shard.ask(verbs.put(shard, requests))
        for one, request in zip(own, requests, strict=True):
            url_id = frontier.shards[0].id_of(request)
            shard.read(("HSET", shard.keys.ended(url_id), id_bytes(url_id), one.encode()))
        found = Counter(f"outcome:{one.outcome}" for one in own) + Counter(sitemaps=sum(one.sitemap for one in own))
        shard.read(*(("HINCRBY", shard.keys.counters, name, n) for name, n in found.items()))
        ended = shard.ask(verbs.state(shard)).queued
        queues = [key for keys in shard.scan("SCAN", match=shard.keys.pattern("queue:")) for key in keys]
        hosts = [key for keys in shard.scan("SCAN", match=shard.keys.pattern("host:")) for key in keys]
        shard.read(("DEL", *queues, *shard.keys.indexes), *(("HSET", key, "queued", 0) for key in hosts))
        shard.read(("HSET", shard.keys.counters, "queued", 0, "ended", ended))


def many(n: int, **more: Any) -> list[UrlState]:
    return [state(f"http://h{i % 7}.example/{i}", **more) for i in range(n)]


def sweep_of(frontier: Frontier, owner: str = "a", *, follows: bool = False, **named: Any) -> Sweep:
    choice = replace(Choice.of(**named), follows=follows)
    return Sweep(frontier, SETTINGS, choice, owner)


def swept(frontier: Frontier, **named: Any) -> set[str]:
    """What one sweep queues."""
    assert queue(sweep_of(frontier, **named), lambda: False)
    return queued(frontier)


def queued(frontier: Frontier) -> set[str]:
    """The URLs that wait; each once."""
    found = [
        entry.request.url
        for shard in frontier.shards
        for lease in shard.ask(verbs.lease(shard, verbs.new_call(shard.number), 2_000, 60.0, "w")).leases
        if (entry := lease.entry())
    ]
    assert len(found) == len(set(found))
    return set(found)


# -- which -------------------------------------------------------------------------------------------------------------


def test_what_is_due_by_schedule_is_queued(frontier: Frontier) -> None:
    old, new = many(500), [state(f"http://new.example/{i}", days=1) for i in range(50)]
    often = state("http://often.example/", days=1, interval=3600)
    end(frontier, *old, *new, often)
    assert swept(frontier) == {one.url for one in [*old, often]}


def test_nothing_due_begins_no_visit(frontier: Frontier) -> None:
    end(frontier, state("http://a.example/", days=1))
    sweep = sweep_of(frontier)
    assert queue(sweep, lambda: False)
    assert (sweep.queued, sweep.visit, frontier.crawldb.visit().number) == (0, 0, 1)
    assert sweep.next_due == pytest.approx(time.time() + 6 * DAY, abs=60)
    assert frontier.done()


def test_what_is_due_begins_the_next_visit_in_each_shard(frontier: Frontier) -> None:
    end(frontier, *many(50))
    swept(frontier)
    for shard in frontier.shards:
        assert shard.read(("HGET", shard.keys.meta, "visit")) == [b"2"]
    assert frontier.crawldb.visit().number == 2


A, B, C, D = (state(f"http://{host}.example/{path}", outcome, **more) for host, path, outcome, more in (
    ("a", "news/1", "fetched", {"status": 200}),
    ("b.a", "2", "missing", {"status": 404, "days": 1}),
    ("c", "news/3", "failed:dns", {"days": 3}),
    ("d", "4", "dropped:trap", {}),
))  # fmt: skip


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"older_than": "0"}, {A, B, C}),
        ({"older_than": 0}, {A, B, C}),
        ({"older_than": "2d"}, {A, C}),
        ({"hosts": ["a.example"]}, {A}),
        ({"hosts": ["*.a.example"]}, {A, B}),
        ({"hosts": ["*.a.example"], "older_than": "7d"}, {A}),
        ({"match": "news/[0-9]$"}, {A, C}),
        ({"match": "^http://b"}, {B}),
        ({"status": ["404"]}, {B}),
        ({"status": ["2xx,failed"]}, {A, C}),
        ({"status": ["failed:dns", "4XX"]}, {B, C}),
        ({"status": ["dropped:trap"]}, {D}),
        ({"status": ["failed"], "match": "b"}, set()),
    ],
)
def test_a_choice_takes_what_fits_all_of_it(link: Connection, named: dict[str, Any], expected: set[UrlState]) -> None:
    frontier = crawl_of(link)
    end(frontier, A, B, C, D)
    assert swept(frontier, **named) == {one.url for one in expected}


@pytest.mark.parametrize(
    "named",
    [{"older_than": "soon"}, {"older_than": "-1s"}, {"match": "("}, {"match": r"(?=x)"}, {"status": ["40"]},
     {"status": ["lost"]}, {"hosts": ["a/b"]}],
)  # fmt: skip
def test_a_choice_that_cannot_be_used_is_refused(named: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Choice.of(**named)


def test_one_that_would_never_rest_is_refused() -> None:
    with pytest.raises(UsageError, match="never rest"):
        Choice(older_than=0, follows=True)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({}, DUE),
        ({"older_than": "168h"}, "--older-than 168h"),
        ({"older_than": timedelta(days=7)}, "--older-than 168h"),
        ({"older_than": 0}, "--older-than 0"),
        ({"status": ["5xx", "404,5xx"], "match": "a b", "hosts": ["B.example"]},
         "--host b.example --match 'a b' --status 404,5xx"),
    ],
)  # fmt: skip
def test_a_choice_has_the_same_words_however_it_is_given(named: dict[str, Any], words: str) -> None:
    assert str(Choice.of(**named)) == words


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({}, "nothing is due; the next URL will be in 6 days"),
        ({"older_than": "30d"}, "nothing is due; the next URL will be in 29 days"),
        ({"match": "zzz"}, "nothing is due: no URL that was visited fits --match zzz"),
        ({"hosts": ["a.example:81"]}, "nothing is due: no URL that was visited fits --host a.example:81"
         " (`crawler hosts` lists them, with their ports)"),
    ],
)  # fmt: skip
def test_it_says_why_nothing_is_due(frontier: Frontier, named: dict[str, Any], words: str) -> None:
    end(frontier, state("http://a.example/", days=1))
    sweep = sweep_of(frontier, **named)
    assert queue(sweep, lambda: False)
    assert nothing_due(sweep, frontier) == words


def test_a_choice_of_what_waits_already_is_not_said_to_fit_nothing(frontier: Frontier) -> None:
    end(frontier, *many(3))
    assert queue(sweep_of(frontier), lambda: False)
    again = sweep_of(frontier, match="h1")
    assert queue(again, lambda: False)
    assert nothing_due(again, frontier) == "nothing is due"


def test_what_is_no_state_is_passed_over(frontier: Frontier) -> None:
    end(frontier, A)
    shard = frontier.shards[0]
    shard.read(("HSET", shard.keys.ended("7"), b"x", b"y"), ("HSET", shard.keys.ended("7"), id_bytes("7"), b"\1\2"))
    bad = state("http://127.0.0.1/#bad-entry-00", "failed:bad-entry")
    shard.read(("HSET", shard.keys.ended("8"), id_bytes("8"), bad.encode()))
    assert swept(frontier, older_than=0) == {A.url}


# -- how ---------------------------------------------------------------------------------------------------------------


def test_nothing_that_it_causes_ends_in_the_second_in_which_it_began(frontier: Frontier) -> None:
    end(frontier, *many(5))
    sweep = sweep_of(frontier, older_than=0)
    assert sweep.step() == 0.0
    began = frontier.crawldb.visit().sweep.began // 1000
    while not sweep.queued:
        time.sleep(sweep.step() or 0)
    assert frontier.crawldb.clock() // 1000 > began
    assert queue(sweep, lambda: False)
    assert len(queued(frontier)) == 5


def test_sitemaps_are_queued_before_all_pages(frontier: Frontier) -> None:
    maps = [state(f"http://h{i}.example/sitemap.xml", sitemap=True) for i in range(7)]
    end(frontier, *many(300), *maps)
    sweep = sweep_of(frontier)
    in_first_phase = []
    while sweep.step() is not None:
        if frontier.crawldb.visit().sweep.cursor.startswith(("0.", "1.0.0")):
            in_first_phase.append(sweep.queued)
    assert max(in_first_phase) == 7
    assert sweep.queued == 307


def test_a_second_sweep_queues_nothing_that_is_at_work(frontier: Frontier) -> None:
    end(frontier, *many(100))
    assert len(swept(frontier, older_than=0)) == 100
    assert swept(frontier, match="x") == set()


def test_it_waits_for_room(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 100)
    monkeypatch.setattr(module, "SLICE", 20)
    end(frontier, *many(600))
    sweep, found, said = sweep_of(frontier), set[str](), list[str]()
    sweep.say = said.append
    while (wait := sweep.step()) is not None:
        assert frontier.state().queued < 300
        if wait:
            found |= queued(frontier)
    assert len(found | queued(frontier)) == 600
    assert said == ["100 URLs wait: more are queued when workers have taken some"]


def test_the_crawl_is_not_done_while_it_sweeps(frontier: Frontier) -> None:
    end(frontier, state("http://a.example/", days=1))
    sweep = sweep_of(frontier)
    assert sweep.step() == 0.0
    assert not frontier.done()
    assert queue(sweep, lambda: False)
    assert frontier.done()


@pytest.mark.parametrize("noticed", [True, False], ids=["connection lost", "at the end"])
def test_what_a_restarted_server_has_lost_is_queued_again(
    frontier: Frontier, monkeypatch: pytest.MonkeyPatch, noticed: bool
) -> None:
    """As after a power cut: some of what was queued is not queued, and the server has another run id."""
    monkeypatch.setattr(module, "SAFE", 0.2)
    states = many(100)
    end(frontier, *states)
    sweep, runs = sweep_of(frontier, older_than=0), ["1"]
    monkeypatch.setattr(Shard, "info", lambda shard, _: {"run_id": f"{shard.number} {runs[-1]}"})
    while sweep.queued < 100:
        sweep.step()
    visit = sweep.visit
    _lose(frontier, states[:40])
    if noticed and len(frontier.shards) == 1:  # the cursor is lost with it
        frontier.shards[0].read(("HSET", frontier.shards[0].keys.sweep, "cursor", ""))
    runs.append("2")
    if noticed:
        sweep.was_away()
    assert queue(sweep, lambda: False)
    assert len(queued(frontier)) == 100
    assert (sweep.visit, frontier.crawldb.visit().number) == (visit, visit)


def test_a_connection_that_was_lost_begins_no_other_sweep(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    end(frontier, *many(50))
    sweep = sweep_of(frontier, older_than=0)
    while sweep.queued < 50:
        sweep.step()
    began = frontier.crawldb.visit().sweep.began
    sweep.was_away()
    assert queue(sweep, lambda: False)
    assert (frontier.crawldb.visit().sweep.began, sweep.queued) == (began, 50)


def _lose(frontier: Frontier, states: list[UrlState]) -> None:
    """These are where they were before they were queued."""
    for one in states:
        shard, entry = frontier.home(Request(one.url).place()[0]), Request(one.url, revisit=True).place()
        url_id = frontier.id(one.url)
        shard.read(
            ("HSET", shard.keys.ended(url_id), id_bytes(url_id), one.encode()),
            ("LREM", shard.keys.queue(entry[0], 1), 1, entry[1]),
            ("HINCRBY", shard.keys.host(entry[0]), "queued", -1),
            ("HINCRBY", shard.keys.counters, "queued", -1),
            ("HINCRBY", shard.keys.counters, "ended", 1),
            ("HINCRBY", shard.keys.counters, f"outcome:{one.outcome}", 1),
        )


# -- who ---------------------------------------------------------------------------------------------------------------


def test_another_one_waits_and_takes_over_when_it_dies(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TERM", 0.3)
    monkeypatch.setattr(module, "SLICE", 20)
    end(frontier, *many(600))
    first, second, said = sweep_of(frontier), sweep_of(frontier, "b"), list[str]()
    second.say = said.append
    while first.queued < 200:
        first.step()
    assert second.step() == module.WAIT
    assert said == ["a queues what is due; this one takes over if that one dies"]
    time.sleep(0.4)
    began = frontier.crawldb.visit().sweep.began
    assert queue(second, lambda: False)
    assert len(queued(frontier)) == second.queued == 600
    assert frontier.crawldb.visit().sweep.began == began
    assert "going on with the recrawl" in said[1]
    assert frontier.crawldb.visit().number == 2


def test_one_that_was_asleep_when_another_took_over_queues_nothing_twice(
    frontier: Frontier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TERM", 0.3)
    monkeypatch.setattr(module, "SLICE", 20)
    end(frontier, *many(600))
    first, second = sweep_of(frontier), sweep_of(frontier, "b")
    while first.queued < 200:
        first.step()
    time.sleep(0.4)
    while second.queued < 400:
        second.step()
    assert first.step() == 0.0  # it finds out
    assert first.step() == module.WAIT
    assert queue(second, lambda: False)
    assert queue(first, lambda: False)
    assert len(queued(frontier)) == 600


def test_another_choice_is_refused_while_one_sweeps(frontier: Frontier) -> None:
    end(frontier, *many(100))
    sweep_of(frontier).step()
    with pytest.raises(UsageError, match="another recrawl is under way, of what is due by schedule"):
        sweep_of(frontier, "b", older_than=0).step()


def test_one_that_was_interrupted_is_continued(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", 20)
    end(frontier, *many(600))
    first = sweep_of(frontier, older_than=0)
    assert not queue(first, lambda: first.queued > 200)
    second = sweep_of(frontier, "b", older_than=0)
    second.step()
    assert second.queued == first.queued
    assert queue(second, lambda: False)
    assert len(queued(frontier)) == 600


def test_the_same_command_again_asks_for_nothing_twice(frontier: Frontier) -> None:
    """All is queued, and one URL was visited already."""
    end(frontier, *many(100))
    assert queue(sweep_of(frontier, older_than=0), lambda: False)
    visited = state("http://h0.example/0", days=0)
    shard, url_id = frontier.home("h0.example"), frontier.id(visited.url)
    shard.read(("HSET", shard.keys.ended(url_id), id_bytes(url_id), visited.encode()))
    again = sweep_of(frontier, "b", older_than=0)
    assert queue(again, lambda: False)
    assert frontier.state().queued == 100
    assert frontier.crawldb.visit().number == 2


def test_when_all_was_visited_a_new_sweep_begins(frontier: Frontier) -> None:
    end(frontier, *many(20))
    assert queue(sweep_of(frontier, older_than=0), lambda: False)
    began = frontier.crawldb.visit().sweep.began
    end(frontier, *many(20))
    for shard in frontier.shards:
        shard.read(("HSET", shard.keys.counters, "leased", 0))
    time.sleep(0.01)
    assert queue(sweep_of(frontier, older_than=0), lambda: False)
    assert frontier.crawldb.visit().sweep.began > began
    assert frontier.crawldb.visit().number == 3


# -- for ever ----------------------------------------------------------------------------------------------------------


def test_one_that_follows_queues_what_becomes_due(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MIN_REST", 0.05)
    soon = state("http://a.example/", days=7 - 2 / DAY)
    end(frontier, *many(20), soon)
    sweep = sweep_of(frontier, follows=True)
    deadline = time.monotonic() + 20
    while frontier.state().queued < 21:
        wait = sweep.step()
        assert wait is not None
        time.sleep(min(wait, 0.2))
        assert time.monotonic() < deadline
    assert frontier.crawldb.visit().number == 2, "what came later belongs to the visit that goes on"
    assert queued(frontier) == {soon.url, *(one.url for one in many(20))}


def test_it_keeps_its_lease_while_it_rests(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TERM", 0.4)
    end(frontier, state("http://a.example/", days=1))
    sweep = sweep_of(frontier, follows=True)
    said: list[str] = []
    sweep.say = said.append
    while not frontier.crawldb.visit().sweep.is_over:
        sweep.step()
    assert said == ["nothing is due; the next URL will be in 6 days; waiting"]
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        time.sleep(sweep.step() or 0)
    assert frontier.crawldb.visit().sweep.owner == "a"
    assert frontier.done(), "a crawl that has nothing to do now is done for others"
    with pytest.raises(UsageError):
        sweep_of(frontier, "b", older_than=0).step()
    sweep.release()
    assert frontier.crawldb.visit().sweep.owner == ""


def test_a_schedule_that_changes_wakes_it(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAKES", 0.2)
    end(frontier, state("http://a.example/", days=1))
    sweep = sweep_of(frontier, follows=True)
    for _ in range(1_000):
        sweep.step()
        if frontier.crawldb.visit().sweep.is_over:
            break
    changed = Settings(interval=3_600.0)
    frontier.configure(changed.encode(), Limits(delay_ms=0, robots=False, per_host=5_000))
    deadline = time.monotonic() + 20
    while frontier.state().queued == 0:
        time.sleep(min(sweep.step() or 0, 0.1))
        assert time.monotonic() < deadline


# -- another check -----------------------------------------------------------------------------------------------------


def test_another_check_asks_for_all_but_what_was_good_elsewhere_a_day_ago(link: Connection) -> None:
    frontier = crawl_of(link)
    frontier.put([], roots=["site.example"])
    target = partial(state, is_target=True)
    due = [
        state("http://site.example/page", days=0.01),
        target("http://site.example/image", "checked", days=0.01),
        target("http://elsewhere.example/old", "checked", days=1.1),
        target("http://elsewhere.example/broken", "missing", days=0.01),
        target("http://elsewhere.example/moved", "redirected", days=0.01),
    ]
    end(frontier, *due, target("http://elsewhere.example/good", "checked", days=0.01))
    assert queue(Sweep(frontier, SETTINGS, Choice.of_check(), "a"), lambda: False)
    leases = [lease for shard in frontier.shards for lease in shard.ask(verbs.lease(shard, "1", 50, 60.0, "w")).leases]
    found = {lease.entry().request for lease in leases}
    assert {(one.url, one.target) for one in found} == {(one.url, one.is_target) for one in due}


def test_a_check_is_another_choice_than_all() -> None:
    assert str(Choice.of_check()) != str(Choice.of("0"))
    assert not Choice.of("0").is_fresh(state("http://a.example/", "checked", days=0, is_target=True), int(time.time()))
