"""collect: what lies in the outbox, for one relay at a time."""

from __future__ import annotations

import pytest

from crawler.errors import CrawlDeleting
from crawler.frontier.redis.connection import Connection
from crawler.frontier.shards.outbox import OutboxMessage
from crawler.record import Request
from tests.frontier.shards import Sharded, host_in, url_in


@pytest.fixture
def crawl(link: Connection) -> Sharded:
    made = Sharded(link)
    made.seed(url_in(0))
    return made


def test_links_to_other_shards_are_messages_of_the_commit(crawl: Sharded) -> None:
    own, one, two = url_in(0, "/own"), url_in(1, "/a"), url_in(2, "/b")
    accepted = crawl.commit(crawl.lease(0)[0], own, one, url_in(1, "/c"), two)
    assert accepted.new == 1
    batches = crawl.shards[0].collect("w", 5, 10, [1, 2])
    assert [(batch.target, len(batch.messages)) for batch in batches] == [(1, 1), (2, 1)]
    message = OutboxMessage.of(batches[0].messages[0][1])
    assert {url_id for group in message.groups.values() for url_id, _ in group} == {
        crawl.frontier.id(one),
        crawl.frontier.id(url_in(1, "/c")),
    }
    assert [part.state().pending for part in crawl.shards] == [2, 0, 0]
    assert not crawl.frontier.done()


def test_one_relay_at_a_time_until_its_term_is_over(crawl: Sharded) -> None:
    crawl.commit(crawl.lease(0)[0], url_in(1))
    assert crawl.shards[0].collect("one", 5, 10, [1, 2])
    assert crawl.shards[0].collect("other", 5, 10, [1, 2]) == []
    assert crawl.shards[0].collect("one", 5, 10, [1, 2]), "the same one may ask again"
    crawl.advance(5)
    assert crawl.shards[0].collect("other", 5, 10, [1, 2])


def test_no_more_than_asked_for_the_oldest_first(crawl: Sharded) -> None:
    crawl.seed(*(url_in(0, f"/{n}") for n in range(4)))
    for n, lease in enumerate(crawl.lease(0, 5)):
        crawl.commit(lease, url_in(1, f"/{n}"))
    (batch,) = crawl.shards[0].collect("w", 5, 3, [1, 2])
    assert len(batch.messages) == 3
    assert batch.messages == sorted(batch.messages)


def test_an_empty_outbox_has_no_batches(crawl: Sharded) -> None:
    assert crawl.shards[0].collect("w", 5, 10, [1, 2]) == []


def test_roots_travel_with_the_message(crawl: Sharded) -> None:
    crawl.commit(crawl.lease(0)[0], url_in(2), roots=(host_in(2), host_in(0, 1)))
    (batch,) = crawl.shards[0].collect("w", 5, 10, [1, 2])
    assert OutboxMessage.of(batch.messages[0][1]).roots == [host_in(2)]
    assert crawl.crawldb.hosts.roots([host_in(0, 1), host_in(2)]) == [True, False]


def test_a_repeated_commit_sends_no_second_message(crawl: Sharded) -> None:
    lease = crawl.lease(0)[0]
    crawl.commit(lease, url_in(1))
    crawl.commit(lease, url_in(1))
    assert crawl.messages(0, 1) == 1


def test_links_of_a_copy_stay_at_home(crawl: Sharded) -> None:
    """Another page had this content before: its links are left out, those to other shards as well."""
    crawl.seed(url_in(0, "/copy"))
    first, second = crawl.lease(0, 2)
    crawl.commit(first, url_in(1, "/a"), digest="7", spared="*")
    assert crawl.commit(second, url_in(1, "/b"), digest="7", spared="").left_out
    assert crawl.messages(0, 1) == 1
    assert crawl.shards[0].state().pending == 1


def test_a_put_of_more_links_than_a_commit_takes_sends_messages_too(crawl: Sharded) -> None:
    crawl.shards[0].put([Request(url_in(0, "/x")), Request(url_in(1, "/y"))])
    assert crawl.queued() == [2, 0, 0]
    assert crawl.deliver() == 1
    assert crawl.queued() == [2, 1, 0]


def test_refused_where_the_crawl_is_being_deleted(crawl: Sharded) -> None:
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        crawl.shards[0].collect("w", 5, 10, [1, 2])
