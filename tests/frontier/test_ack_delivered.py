"""ack_delivered: messages were delivered; they are kept until the target can no longer lose them."""

from __future__ import annotations

import pytest

from crawler.frontier.redis.connection import Connection
from tests.frontier.shards import Sharded, url_in

KEPT = 10.0
"""Seconds."""


@pytest.fixture
def crawl(link: Connection) -> Sharded:
    """Two messages lie in the first shard for the second, one for the third."""
    made = Sharded(link)
    made.seed(*(url_in(0, f"/{n}") for n in range(2)))
    one, two = made.lease(0, 2)
    made.commit(one, url_in(1, "/a"), url_in(2, "/b"))
    made.commit(two, url_in(1, "/c"))
    return made


def at(crawl: Sharded, target: int, number: int = -1) -> bytes:
    """The place of one of the messages that are to be delivered."""
    (batch,) = [batch for batch in crawl.shards[0].collect("w", 5, 10, [1, 2]) if batch.target == target]
    place: bytes = batch.messages[number][0]
    return place


def pending(crawl: Sharded) -> int:
    return crawl.shards[0].state().pending


def test_what_was_delivered_is_not_pending_and_not_collected_again(crawl: Sharded) -> None:
    assert pending(crawl) == 3
    assert not crawl.shards[0].ack_delivered(1, "run", at(crawl, 1, 0))
    assert pending(crawl) == 2
    assert not crawl.shards[0].ack_delivered(1, "run", at(crawl, 1))
    assert pending(crawl) == 1
    assert [(s.target, len(s.messages)) for s in crawl.shards[0].collect("w", 5, 10, [1, 2])] == [(1, 0), (2, 1)]


def test_said_twice_or_too_late_it_changes_nothing(crawl: Sharded) -> None:
    first, last = at(crawl, 1, 0), at(crawl, 1)
    crawl.shards[0].ack_delivered(1, "run", last)
    crawl.shards[0].ack_delivered(1, "run", last)
    crawl.shards[0].ack_delivered(1, "run", first)
    assert pending(crawl) == 1
    assert [len(s.messages) for s in crawl.shards[0].collect("w", 5, 10, [1])] == [0]


def test_delivered_messages_are_kept_for_a_while_and_then_let_go(crawl: Sharded) -> None:
    crawl.shards[0].ack_delivered(1, "run", at(crawl, 1))
    crawl.advance(KEPT - 0.001)
    crawl.shards[0].ack_delivered(1, "run")
    assert crawl.messages(0, 1) == 2
    crawl.advance(0.001)
    crawl.shards[0].ack_delivered(1, "run")
    assert crawl.messages(0, 1) == 0
    assert crawl.messages(0, 2) == 1


def test_an_old_message_that_was_delivered_just_now_is_kept_as_well(crawl: Sharded) -> None:
    """What counts is how long ago it was delivered, not how long it had waited for that."""
    crawl.shards[0].ack_delivered(1, "run", at(crawl, 1, 0))
    crawl.advance(KEPT)
    crawl.shards[0].ack_delivered(1, "run", at(crawl, 1))
    assert crawl.messages(0, 1) == 1


def test_after_a_restart_of_the_target_all_that_is_kept_goes_again(crawl: Sharded) -> None:
    crawl.shards[0].ack_delivered(1, "run", at(crawl, 1))
    assert crawl.shards[0].ack_delivered(1, "another run", b"")
    assert pending(crawl) == 3
    assert len(crawl.shards[0].collect("w", 5, 10, [1])[0].messages) == 2


def test_what_was_put_before_the_restart_was_seen_does_not_count(crawl: Sharded) -> None:
    """The place comes with the word of another run: the server lost it, or may have."""
    place = at(crawl, 1)
    crawl.shards[0].ack_delivered(1, "run")
    assert crawl.shards[0].ack_delivered(1, "another run", place)
    assert pending(crawl) == 3
    assert not crawl.shards[0].ack_delivered(1, "another run", place)
    assert pending(crawl) == 1
