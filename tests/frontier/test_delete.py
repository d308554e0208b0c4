"""delete: everything is refused from then on, the keys go, and no late call rebuilds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from crawler.errors import FrontierError, LeaseLost, NoCrawl
from crawler.frontier.frontier import delete
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.shards import reader
from crawler.frontier.shards.reader import Reader
from crawler.record import Request
from tests.frontier.crawls import Crawl, Make
from tests.frontier.shards import SHARDS, Sharded, url_in


@pytest.fixture
def busy(make: Make) -> Crawl:
    """A crawl with something under every kind of key."""
    crawl = make(robots=True, per_host=2)
    crawl.put("http://a.example/1", "http://b.example/1", source="seeder", roots=["a.example"])
    for lease in crawl.lease():
        crawl.frontier.robots(lease, "ok", text=b"x")
    for lease in crawl.lease():
        crawl.commit(lease, "failed:http", links=[f"http://{lease.host}/{n}" for n in range(2, 9)])
    crawl.lease()
    crawl.frontier.heartbeat("w", b"{}")
    return crawl


def late_calls(crawl: Crawl) -> list[FrontierError]:
    """What every verb that workers send answers, with leases that they hold."""
    held = crawl.crawldb.leases_of("w")
    frontier = crawl.frontier
    calls = [
        frontier.commit_call(crawl.ending(held[0], links=["http://c.example/"])),
        frontier.retry_call(held[1], "none"),
        frontier.release_call([held[2].token]),
        frontier.extend_call([held[3].token], 90),
        frontier.put_call([Request("http://d.example/")], source="seeder", roots=["d.example"]),
        frontier.lease_call("late", 5, 90, "w"),
        frontier.reap_call(),
        frontier.heartbeat_call("w", b"{}"),
        frontier.state_call(),
    ]
    crawl.frontier.delete()
    crawl.crawldb.sweep()
    answers: list[FrontierError] = frontier.run(calls)
    return answers


def test_sent_twice_it_is_a_success(crawl: Crawl) -> None:
    crawl.frontier.delete()
    crawl.frontier.delete()
    assert crawl.frontier.state().state == "deleting"


def test_the_sweep_takes_all_keys_of_this_crawl_alone(monkeypatch: pytest.MonkeyPatch, make: Make, busy: Crawl) -> None:
    monkeypatch.setattr(reader, "SLICE", 3)
    other = make(name="tes")
    other.put("http://a.example/")
    kept = other.snapshot()
    keys = len(busy.link.client.keys("crawler:{test.0}:*"))
    busy.frontier.delete()
    assert busy.crawldb.sweep() == keys
    assert busy.link.client.keys("crawler:{test.0}:*") == []
    assert other.snapshot() == kept


def test_late_calls_find_no_crawl_and_rebuild_nothing(busy: Crawl) -> None:
    answers = late_calls(busy)
    assert [type(answer) for answer in answers] == [NoCrawl] * len(answers)
    assert busy.link.client.keys("crawler:*") == []


def sweep_and(monkeypatch: pytest.MonkeyPatch, crawl: Crawl, interrupt: Callable[[], object]) -> None:
    """Sweep in small steps, with something between any two of them."""
    read = Reader.read

    def read_and_interrupt(shard: Reader, *commands: Sequence[object]) -> list[object]:
        reply = read(shard, *commands)
        interrupt()
        return reply

    with monkeypatch.context() as patched:
        patched.setattr(reader, "SLICE", 3)
        patched.setattr(Reader, "read", read_and_interrupt)
        crawl.crawldb.sweep()


def test_a_commit_in_the_midst_of_the_sweep_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, busy: Crawl) -> None:
    """The sweep takes the leases first, so a page that is committed between two of its steps is refused."""
    lease = busy.crawldb.leases_of("w")[0]
    busy.frontier.delete()
    answers: list[object] = []
    sweep_and(
        monkeypatch, busy, lambda: answers.extend(busy.frontier.run([busy.frontier.commit_call(busy.ending(lease))]))
    )
    assert {type(answer) for answer in answers} == {LeaseLost, NoCrawl}
    assert busy.link.client.keys("crawler:*") == []


def test_a_worker_s_heartbeat_in_the_midst_of_the_sweep_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, busy: Crawl
) -> None:
    busy.frontier.delete()
    sweep_and(monkeypatch, busy, lambda: busy.frontier.run([busy.frontier.heartbeat_call("w", b"{}")]))
    assert busy.link.client.keys("crawler:*") == []


def test_the_sweep_can_be_taken_up_again(busy: Crawl) -> None:
    busy.frontier.delete()
    busy.link.client.delete(busy.frontier.keys.leased, busy.frontier.keys.counters)
    busy.crawldb.sweep()
    assert busy.crawldb.sweep() == 0
    assert busy.link.client.keys("crawler:*") == []


def test_a_name_can_be_used_again_and_the_old_crawl_s_workers_are_refused(link: Connection, busy: Crawl) -> None:
    old = busy.frontier
    old.delete()
    busy.crawldb.sweep()
    anew = Crawl(link, Limits(robots=False))
    anew.put("http://a.example/1")
    with pytest.raises(NoCrawl):
        old.lease(1, 90, "w")
    with pytest.raises(NoCrawl):
        old.put([Request("http://e.example/")])
    assert len(anew.lease()) == 1
    anew.snapshot()


def test_a_crawl_that_is_gone_cannot_be_deleted(crawl: Crawl) -> None:
    crawl.link.client.delete(crawl.frontier.keys.meta)
    with pytest.raises(NoCrawl):
        crawl.frontier.delete()


def test_it_goes_through_when_redis_is_full(busy: Crawl) -> None:
    busy.link.client.config_set("maxmemory", 1)
    busy.frontier.delete()
    busy.crawldb.sweep()
    assert busy.link.client.keys("crawler:*") == []


def test_all_shards_go_also_where_one_is_missing_and_another_is_of_no_known_version(link: Connection) -> None:
    crawl = Sharded(link)
    crawl.seed(*(url_in(shard) for shard in range(SHARDS)))
    client = link.client
    client.delete(*client.keys(f"{crawl.shards[1].keys.prefix}*"))
    client.hset(crawl.shards[0].keys.meta, "schema", "another")
    keys = len(client.keys("crawler:*"))
    assert delete(link, "test") == keys
    assert client.keys("crawler:*") == []
    with pytest.raises(NoCrawl):
        crawl.shards[2].put([Request(url_in(2, "/late"))])
    with pytest.raises(NoCrawl, match="there is no crawl 'test'"):
        delete(link, "test")
