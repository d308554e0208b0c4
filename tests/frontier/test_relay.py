"""Relays: whatever dies and is repeated, each request arrives in its shard, and counts once."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.errors import OutOfMemory, RedisAway
from crawler.frontier import verbs
from crawler.frontier.redis.connection import Connection
from tests.frontier.shards import Sharded, host_in, url_in


@pytest.fixture
def crawl(link: Connection) -> Sharded:
    made = Sharded(link)
    made.seed(url_in(0), url_in(1))
    return made


def test_links_arrive_where_they_belong(crawl: Sharded) -> None:
    crawl.commit(crawl.lease(0)[0], url_in(1, "/a"), url_in(2, "/b"), roots=(host_in(2),))
    crawl.commit(crawl.lease(1)[0], url_in(0, "/c"), url_in(2, "/b"))
    assert crawl.queued() == [0, 0, 0]
    assert crawl.deliver() == 4
    assert crawl.queued() == [1, 1, 1]
    assert crawl.crawldb.hosts.roots([host_in(2)]) == [True]
    (lease,) = crawl.lease(2)
    request = lease.entry().request
    assert (request.url, request.depth) == (url_in(2, "/b"), 1)
    assert lease.token.startswith("2.")


def test_the_crawl_is_done_only_after_delivery(crawl: Sharded) -> None:
    for shard in (0, 1):
        crawl.commit(crawl.lease(shard)[0], url_in(2))
    assert not crawl.frontier.done()
    assert crawl.frontier.state().word == "waiting"
    crawl.deliver()
    crawl.commit(crawl.lease(2)[0])
    assert crawl.frontier.done()
    assert crawl.frontier.state().accepted == 3


def test_a_relay_that_dies_before_it_acknowledges_delivers_twice_without_harm(
    crawl: Sharded, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl.commit(crawl.lease(0)[0], url_in(1, "/a"))

    def die(*_: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(verbs, "ack_delivered", die)
        crawl.relays[0].deliver()
    assert crawl.queued()[1] == 2
    crawl.advance(60)
    assert crawl.relay(0, "another").deliver() == 1
    assert crawl.queued()[1] == 2
    assert crawl.shards[0].state().pending == 0


def test_a_target_that_lost_what_it_acknowledged_gets_it_again(crawl: Sharded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys are put back to what they were before, as a restart with a lost last second does."""
    target = crawl.shards[1]
    crawl.commit(crawl.lease(0)[0], url_in(1, "/a"), url_in(1, "/b", which=1))
    client: Any = crawl.link.client
    before = {key: client.dump(key) for key in client.keys(f"{target.keys.prefix}*")}
    assert crawl.deliver() == 1
    assert crawl.queued()[1] == 3
    client.delete(*client.keys(f"{target.keys.prefix}*"))
    for key, value in before.items():
        client.restore(key, 0, value)
    assert crawl.queued()[1] == 1
    monkeypatch.setattr(target.shard, "info", lambda _: {"run_id": "another one"})
    crawl.advance(5)
    crawl.deliver()
    crawl.deliver()
    assert crawl.queued()[1] == 3
    assert crawl.shards[0].state().pending == 0


def test_a_target_that_is_away_or_full_is_left_out(crawl: Sharded, monkeypatch: pytest.MonkeyPatch) -> None:
    crawl.commit(crawl.lease(0)[0], url_in(1, "/a"), url_in(2, "/b"))

    def away(_: str) -> dict[str, str]:
        raise RedisAway("away")

    with monkeypatch.context() as patched:
        patched.setattr(crawl.shards[1].shard, "info", away)
        assert crawl.deliver() == 1
    assert crawl.queued() == [0, 1, 1]
    with monkeypatch.context() as patched:
        patched.setattr(crawl.shards[1].shard, "run", lambda calls: [OutOfMemory("full") for _ in calls])
        assert crawl.relays[0].deliver() == 0
    assert crawl.shards[0].state().pending == 1
    assert crawl.deliver() == 1
    assert crawl.queued() == [0, 2, 1]


def test_what_another_hand_wrote_into_an_outbox_is_passed_over(crawl: Sharded) -> None:
    crawl.link.client.xadd(crawl.shards[0].keys.parcels(1), {"d": "no message"})
    crawl.commit(crawl.lease(0)[0], url_in(1, "/a"))
    crawl.deliver()
    assert crawl.queued()[1] == 2
