"""A worker's talk with several shards: leases from each in turn, and one that is away holds up no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from crawler.errors import RedisAway
from crawler.frontier import verbs
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Lease, Limits, Shares
from crawler.frontier.redis.connection import Backoff, Connection
from crawler.frontier.verbs import shard_of_token
from crawler.record import Request
from crawler.url import Form
from crawler.worker.frontier_client import FrontierClient
from crawler.worker.link_filter import SeenCache
from crawler.worker.outcome import LeasedPage, of_failure
from crawler.worker.pending_call import PendingCall
from crawler.worker.shard_client import Caller, SyncResult
from tests.frontier.shards import SHARDS, url_in
from tests.redis_for_tests import PrivateRedis

TERM = 90.0
PAGES = 8
"""Queued in each shard."""


class Apart(Connection):
    """A link whose second shard is on a server of its own, as those of a cluster may be."""

    def __init__(self, url: str, other: str) -> None:
        super().__init__(url, timeout=2.0)
        self._other = Connection(other, timeout=2.0)

    def at(self, key: str) -> Connection:
        return self._other if ".1" in key else self

    def close(self) -> None:
        super().close()
        self._other.close()


class Setting:
    """A crawl of three shards without delay, and a worker's client."""

    def __init__(self, link: Connection, **limits: Any) -> None:
        self.link = link
        settings = {"delay_ms": 0, "per_host": 20, "robots": False, **limits}
        self.frontier = Frontier.create(link, "test", Identity.new(Form(), SHARDS), b"{}", Limits(**settings))
        self.frontier.put([Request(url_in(shard, f"/{n}")) for shard in range(SHARDS) for n in range(PAGES)])
        patience = Backoff(lambda _: None, first=0.01, most=0.02)
        self.clients = FrontierClient(self.frontier, Caller("worker", TERM, SeenCache(), lambda _: None), patience)
        self.held: list[Lease] = []

    def turn(self, want: int) -> list[Lease]:
        """One turn that asks for *want* leases; what it gave."""
        synced: SyncResult = self.clients.sync(Shares.any(want), [lease.token for lease in self.held], lambda: b"{}")
        given = list(synced.leased.leases) if synced.leased is not None else []
        self.held += given
        return given

    def end_all(self) -> None:
        """Have the ends of all that is held sent with the next turn."""
        for lease in self.held:
            held = LeasedPage(lease, lease.entry(), self.frontier.id(lease.entry().request.url))
            ending = of_failure(held, "failed:http", "500 Internal Server Error")
            self.clients.submit_call(PendingCall(ending))
        self.held = []

    def shards(self) -> list[int]:
        """How many of what is held each shard gave."""
        return [sum(shard_of_token(lease.token) == shard for lease in self.held) for shard in range(SHARDS)]


@pytest.fixture
def setting(redis_url: str) -> Iterator[Setting]:
    made = Setting(Connection(redis_url))
    yield made
    made.link.close()


@pytest.fixture
def other_redis(redis_server: PrivateRedis) -> Iterator[PrivateRedis]:
    server = PrivateRedis(redis_server.binary, durable=True)
    yield server
    server.close()


def until(happened: Callable[[], bool], turn: Callable[[], object]) -> None:
    """Take turns until it has happened."""
    for _ in range(10_000):
        turn()
        if happened():
            return
    raise AssertionError("it did not happen")


def test_each_shard_is_asked_in_turn(setting: Setting) -> None:
    for _ in range(SHARDS):
        setting.turn(4)
    assert setting.shards() == [4, 4, 4]
    setting.end_all()
    until(lambda: setting.frontier.state().ended == 12, lambda: setting.turn(0))
    until(lambda: setting.shards() == [4, 4, 4], lambda: setting.turn(4))


def test_a_shard_that_is_away_holds_up_no_other(redis_url: str, other_redis: PrivateRedis) -> None:
    setting = Setting(Apart(redis_url, other_redis.url))
    until(lambda: setting.shards() == [2, 2, 2], lambda: setting.turn(2))
    other_redis.kill()
    setting.end_all()
    until(lambda: setting.shards()[0] + setting.shards()[2] == 2 * (PAGES - 2), lambda: setting.turn(4))
    assert setting.shards()[1] == 0
    assert setting.clients.pending
    other_redis.start()
    until(lambda: setting.shards()[1] == PAGES - 2, lambda: setting.turn(4))
    setting.end_all()
    until(lambda: not setting.clients.pending, lambda: setting.turn(0))
    assert setting.frontier.state().ended == SHARDS * PAGES
    setting.link.close()


def test_leases_whose_answer_was_missed_are_not_lost(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = setting.frontier.shards[1]
    run = shard.run

    def given_but_not_heard(calls: Any) -> list[Any]:
        answers: list[Any] = run(calls)
        if any(call.script.verb == "lease" for call in calls):
            monkeypatch.setattr(shard, "run", run)
            raise RedisAway("the answer is lost")
        return answers

    monkeypatch.setattr(shard, "run", given_but_not_heard)
    until(lambda: setting.shards() == [PAGES] * SHARDS, lambda: setting.turn(3))
    state = setting.frontier.state()
    assert (state.leased, state.queued) == (SHARDS * PAGES, 0)


def test_no_more_pages_than_allowed_in_all(redis_url: str) -> None:
    setting = Setting(Connection(redis_url), max_pages=5)
    for _ in range(3 * SHARDS):
        setting.turn(4)
    assert len(setting.held) == 5
    setting.link.close()


def test_done_when_all_shards_are(setting: Setting) -> None:
    until(lambda: setting.shards() == [PAGES] * SHARDS, lambda: setting.turn(PAGES))

    def is_done() -> bool:
        setting.clients.ask_now()
        leased = setting.clients.sync(Shares.any(1), [lease.token for lease in setting.held], lambda: b"{}").leased
        return leased is not None and setting.clients.is_done(leased)

    assert not any(is_done() for _ in range(2 * SHARDS))
    setting.end_all()
    until(lambda: not setting.clients.pending, lambda: setting.turn(0))
    assert any(is_done() for _ in range(2 * SHARDS))


def test_leaving_gives_back_to_each_shard(setting: Setting) -> None:
    until(lambda: setting.shards() == [2, 2, 2], lambda: setting.turn(2))
    setting.clients.leave([lease.token for lease in setting.held])
    assert [shard.ask(verbs.state(shard)).queued for shard in setting.frontier.shards] == [PAGES] * SHARDS
    assert setting.frontier.crawldb.workers() == []
