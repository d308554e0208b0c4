"""A worker's talk with Redis, where end-to-end tests cannot look: what is forgotten, kept and repeated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NoReturn

import msgspec
import pytest
from redis.exceptions import ConnectionError as ConnectionLost

from crawler.errors import DamagedCrawl, RedisAway
from crawler.events import Ended, Event
from crawler.frontier import verbs
from crawler.frontier.messages import Leased, Limits
from crawler.frontier.redis.connection import Backoff, Connection
from crawler.record import Request
from crawler.worker.link_filter import SeenCache
from crawler.worker.outcome import LeasedPage, of_failure
from crawler.worker.pending_call import PendingCall
from crawler.worker.reporter import Reporter
from crawler.worker.shard_client import Caller, ShardClient
from tests.frontier.client import Client

URL = "http://a.example/"
TERM = 90.0


class Setting:
    """A client of a crawl of ten URLs without delay, and what it said."""

    def __init__(self, redis_url: str) -> None:
        self.link = Connection(redis_url)
        self.frontier = Client.create(self.link, "test", b"{}", Limits(delay_ms=0, per_host=20, robots=False))
        self.frontier.put([Request(f"{URL}{n}") for n in range(10)])
        self.known = SeenCache()
        self.said: list[str] = []
        self.lines: list[Ended] = []
        self.events: list[Event] = []
        reporter = Reporter("worker", self.events.append, [self.lines.extend])
        caller = Caller("worker", TERM, self.known, self.said.append, reporter)
        self.client = ShardClient(self.frontier.shard, caller, Backoff(self.said.append, first=0.01, most=0.02))

    def lease(self, want: int) -> Leased:
        """One turn that asks for *want* leases."""
        leased = self.client.sync(want, [], lambda: b"{}").leased
        assert leased is not None
        return leased

    def end(self, leased: Leased, number: int, links: tuple[str, ...] = ()) -> None:
        """Have the end of one of the leased pages sent with the next turn."""
        lease = leased.leases[number]
        held = LeasedPage(lease, lease.entry(), self.frontier.id(lease.entry().request.url))
        ending = of_failure(held, "failed:http", "500 Internal Server Error")
        self.client.pending.append(PendingCall(ending, links))


@pytest.fixture
def setting(redis_url: str) -> Iterator[Setting]:
    setting = Setting(redis_url)
    yield setting
    setting.link.close()


def test_links_are_known_once_acknowledged(setting: Setting) -> None:
    leased = setting.lease(1)
    setting.end(leased, 0, (URL,))
    assert setting.known.unknown([URL]) == [URL]
    setting.client.sync(0, [], lambda: b"{}")
    assert setting.known.unknown([URL]) == []
    assert setting.frontier.state().ended == 1


def test_a_silent_reconnect_is_noticed(setting: Setting) -> None:
    """The library connects anew by itself when it finds its connection closed; what was known may be lost by then."""
    leased = setting.lease(2)
    setting.end(leased, 0, (URL,))
    setting.client.sync(0, [], lambda: b"{}")
    assert setting.known.unknown([URL]) == []
    setting.link.client.connection_pool.disconnect()
    setting.end(leased, 1)
    setting.client.sync(0, [], lambda: b"{}")
    assert setting.link.connections == 2
    assert setting.known.unknown([URL]) == [URL]
    assert setting.client.due_at() == 0.0, "what is held is extended at once"


def test_a_lost_reply_is_asked_for_again(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same call of lease, so the same leases and none stranded; an end that went through does no harm again."""
    first = setting.lease(2)
    setting.end(first, 0, (URL,))
    execute = setting.link.execute

    def lose_the_reply(calls: object) -> object:
        execute(calls)  # type: ignore[arg-type]
        monkeypatch.setattr(setting.link, "execute", execute)
        setting.link.client.connection_pool.disconnect()
        return setting.link.ask(lambda: (_ for _ in ()).throw(ConnectionLost()))

    monkeypatch.setattr(setting.link, "execute", lose_the_reply)
    held = [first.leases[1].token]
    assert setting.client.sync(3, held, lambda: b"{}").leased is None
    assert setting.client.away
    state = setting.frontier.state()
    assert (state.ended, state.leased) == (1, 4)
    synced = setting.client.sync(0, held, lambda: b"{}")
    while synced.leased is None:  # until its patience lets it try again
        synced = setting.client.sync(0, held, lambda: b"{}")
    assert len(synced.leased.leases) == 3
    assert synced.lost == frozenset()
    state = setting.frontier.state()
    assert (state.ended, state.leased, state.queued) == (1, 4, 5)
    assert setting.client.pending == []
    assert len(setting.lines) == 1
    assert setting.said[0].startswith("Redis at ")
    assert setting.said[1].startswith("Redis is back")


def test_a_url_is_reported_once_redis_has_acknowledged_it(setting: Setting) -> None:
    leased = setting.lease(3)
    setting.frontier.release([leased.leases[1].token])
    setting.end(leased, 0)
    setting.end(leased, 1)
    assert setting.lines == []
    setting.client.sync(0, [], lambda: b"{}")
    assert (setting.client.not_ours, setting.frontier.state().ended) == (1, 1)
    setting.end(leased, 2)
    setting.client.leave([])
    assert setting.frontier.state().ended == 2
    urls = [leased.leases[n].entry().request.url for n in (0, 2)]
    assert [(line.url, line.outcome, line.error) for line in setting.lines] == [
        (url, "failed:http", "500 Internal Server Error") for url in urls
    ]


def test_long_queues_are_packed_and_unpacked(setting: Setting) -> None:
    """By who leases from them, and by who finds links, those that are put before a page's end too."""
    setting.link.client.hset(setting.frontier.keys.meta, "overflow", 8)
    head, packed, tail = setting.frontier.keys.pages("a.example")
    client = setting.link.client
    leased = setting.lease(1)
    setting.end(leased, 0)
    (out,) = setting.client.pending
    out.before = [[Request(f"{URL}more/{n}") for n in range(6)]]
    setting.client.sync(0, [], lambda: b"{}")
    assert (client.llen(head), client.llen(packed), client.llen(tail)) == (9, 1, 0)
    setting.lease(8)
    assert (client.llen(head), client.llen(packed), client.llen(tail)) == (7, 0, 0)


def test_an_outage_while_a_queue_is_unpacked_takes_no_news_away(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was leased in the same turn is told, and the next lease asks for the unpacking again."""
    setting.link.client.hset(setting.frontier.keys.meta, "overflow", 8)
    accepted = setting.frontier.put([Request(f"{URL}more/{n}") for n in range(6)])
    setting.frontier.compact(accepted.long, (), setting.said.append)
    real = verbs.unpack

    def fail(*_: object) -> NoReturn:
        monkeypatch.setattr(verbs, "unpack", real)
        raise RedisAway("Redis is away", "AWAY")

    monkeypatch.setattr(verbs, "unpack", fail)
    assert len(setting.lease(9).leases) == 9
    assert setting.client.away
    synced = setting.client.sync(1, [], lambda: b"{}")
    while synced.leased is None:
        synced = setting.client.sync(1, [], lambda: b"{}")
    assert setting.link.client.llen(setting.frontier.keys.queue("a.example", "packed")) == 0


def test_a_full_redis_is_not_asked_all_the_time(setting: Setting) -> None:
    """Links beyond what a commit takes wait for room, and their page with them; heartbeats and leases go on."""
    leased = setting.lease(1)
    setting.end(leased, 0)
    (out,) = setting.client.pending
    out.before = [[Request(f"{URL}more/{n}") for n in range(10)]]
    client = setting.link.client
    client.config_set("maxmemory", 1)
    setting.client.sync(0, [], lambda: b"{}")
    assert setting.client.held_up
    assert not setting.client.away
    assert 0 < setting.client.due_at() - time.monotonic() <= 1
    asked = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    for _ in range(50):
        setting.client.sync(0, [], lambda: b"{}")
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == asked
    client.config_set("maxmemory", 0)
    while setting.client.pending:
        setting.client.sync(0, [], lambda: b"{}")
    state = setting.frontier.state()
    assert (state.ended, state.queued) == (1, 19)
    assert setting.said == []


def test_counts_that_cannot_be_right_are_repaired(setting: Setting) -> None:
    """By who is given nothing; the crawl does not pass for done meanwhile, and it is said once."""
    setting.link.client.delete(setting.frontier.keys.ready)
    setting.link.client.hset(setting.frontier.keys.counters, "queued", 0)
    leased = setting.lease(1)
    assert (leased.leases, leased.idle) == ([], True)
    setting.link.client.hset(setting.frontier.keys.counters, "queued", 5)
    assert not setting.client.is_done(leased)
    assert setting.said == ["something else changed the crawl in Redis: 1 host, 1 count put right"]
    leased = setting.lease(10)
    for n in range(10):
        setting.end(leased, n)
    setting.client.sync(0, [], lambda: b"{}")
    leased = setting.lease(1)
    assert setting.client.is_done(leased)
    assert len(setting.said) == 1


def test_a_script_that_fails_is_not_passed_over(setting: Setting) -> None:
    """The lease would be handed out again, and fail again."""
    leased = setting.lease(1)
    setting.end(leased, 0)
    setting.link.client.rename(setting.frontier.keys.counters, "kept")
    setting.link.client.set(setting.frontier.keys.counters, "x")
    with pytest.raises(DamagedCrawl, match="counters holds a string, not a hash"):
        setting.client.sync(0, [], lambda: b"{}")
    setting.link.client.rename("kept", setting.frontier.keys.counters)
    assert setting.frontier.state().leased == 1, "half of its end was written"


def test_leaving_gives_the_rest_back(setting: Setting) -> None:
    leased = setting.lease(3)
    setting.end(leased, 0)
    setting.client.leave([lease.token for lease in leased.leases[1:]])
    state = setting.frontier.state()
    assert (state.ended, state.leased, state.queued) == (1, 0, 9)


def test_links_beyond_a_budget_are_not_known(setting: Setting) -> None:
    """They were not taken, and may be when another page leads to them; nobody knows which ones."""
    setting.frontier.configure(b"{}", Limits(delay_ms=0, per_host=20, robots=False, max_pages_per_host=11))
    leased = setting.lease(2)
    for number, links in enumerate([(f"{URL}new",), (f"{URL}newer", f"{URL}newest")]):
        lease = leased.leases[number]
        held = LeasedPage(lease, lease.entry(), setting.frontier.id(lease.entry().request.url))
        ending = msgspec.structs.replace(
            of_failure(held, "failed:http", None), requests=[Request(link) for link in links]
        )
        setting.client.pending.append(PendingCall(ending, links))
    setting.client.sync(0, [], lambda: b"{}")
    assert setting.frontier.state().accepted == 11
    assert setting.known.unknown([f"{URL}new", f"{URL}newer", f"{URL}newest"]) == [f"{URL}newer", f"{URL}newest"]
    more = setting.lease(1)
    setting.end(more, 0, (f"{URL}newest",))
    puts = [Request(f"{URL}newest"), Request(f"{URL}new")]
    setting.client.pending[0].before = [puts]
    setting.client.sync(0, [], lambda: b"{}")
    assert setting.client.pending == []
    assert setting.known.unknown([f"{URL}newest"]) == [f"{URL}newest"]
