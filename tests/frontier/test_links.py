"""What a page of a check names, and targets: stored with the state, and ids of their own."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.checked_page import CheckedPage, Named
from crawler.frontier import visits
from crawler.frontier.messages import Commit, Lease
from crawler.frontier.redis.connection import Connection
from crawler.record import Request
from crawler.url_state import id_bytes
from tests.frontier.crawls import Crawl, record_of, state_of
from tests.frontier.shards import Sharded, url_in
from tests.frontier.states import ended

URL = "http://a.example/1"
LINKS = CheckedPage(named=[Named(7, 0, 3)]).encode()
OTHERS = CheckedPage(named=[Named(8, 0, 3)]).encode()


def _again(crawl: Crawl, url: str = URL, *, target: bool = False) -> Lease:
    assert crawl.frontier.ask(visits.revisit(crawl.frontier.shard, [ended(crawl, url, target=target)])) == (1, ())
    crawl.advance(60)
    return crawl.one()


def _links(crawl: Crawl) -> dict[str, bytes]:
    return crawl.snapshot().links


@pytest.mark.parametrize(("links", "left"), [(None, LINKS), (b"", None), (OTHERS, OTHERS)])
def test_a_visit_leaves_removes_or_replaces_what_a_page_names(
    crawl: Crawl, links: bytes | None, left: bytes | None
) -> None:
    crawl.put(URL)
    crawl.commit(crawl.one(), named=LINKS)
    url_id = crawl.frontier.id(URL)
    assert _links(crawl) == {url_id: LINKS}
    crawl.commit(_again(crawl), named=links)
    assert _links(crawl) == ({} if left is None else {url_id: left})


@pytest.mark.parametrize("options", [{"record": None}, {"keeps": True}, {"digest": "77"}])
def test_what_is_not_said_stays_whatever_a_visit_finds(crawl: Crawl, options: dict[str, Any]) -> None:
    crawl.put(URL)
    crawl.commit(crawl.one(), named=LINKS, digest="77")
    crawl.commit(_again(crawl), **options)
    assert _links(crawl) == {crawl.frontier.id(URL): LINKS}


def test_digest_and_similarity_are_found_beside_it(crawl: Crawl) -> None:
    """Their keys follow that of the links."""
    crawl.put(URL)
    crawl.commit(crawl.one(), named=LINKS, digest="77", similarity=5)
    shot = crawl.snapshot()
    assert (list(shot.digests), len(shot.noted)) == (["77"], 1)
    crawl.commit(_again(crawl), named=OTHERS, digest="78", similarity=1 << 40)
    shot = crawl.snapshot()
    assert (list(shot.digests), len(shot.noted)) == (["78"], 1)


def test_a_commit_that_comes_late_or_twice_changes_nothing(crawl: Crawl) -> None:
    crawl.put(URL)
    lease = crawl.one()
    call = crawl.frontier.commit_call(crawl.ending(lease, links=[]))
    crawl.commit(lease, named=LINKS)
    crawl.frontier.run([call])
    assert _links(crawl) == {crawl.frontier.id(URL): LINKS}


def test_draining_leaves_it_and_deleting_removes_it(crawl: Crawl) -> None:
    crawl.put(URL)
    crawl.commit(crawl.one(), named=LINKS)
    crawl.frontier.drain(crawl.crawldb.records.exported("0-0", "+")[0])
    assert _links(crawl) == {crawl.frontier.id(URL): LINKS}
    crawl.frontier.delete()
    crawl.crawldb.sweep()
    assert crawl.link.client.keys("crawler:*") == []


def test_a_key_of_another_type_stops_the_commit_before_it_writes(crawl: Crawl) -> None:
    crawl.put(URL)
    lease = crawl.one()
    key = crawl.frontier.keys.links(crawl.frontier.id(URL))
    crawl.link.client.set(key, "x")
    with pytest.raises(Exception, match="links:"):
        crawl.commit(lease, named=LINKS)
    crawl.link.client.delete(key)
    assert not crawl.snapshot().states
    crawl.commit(lease, named=LINKS)


# -- targets -----------------------------------------------------------------------------------------------------------


def test_a_url_is_a_page_and_a_target(crawl: Crawl) -> None:
    page, target = Request(URL), Request(URL, 1, target=True)
    assert crawl.frontier.put([target, page, target]).new == 2
    first, second = crawl.lease(2)
    assert [lease.entry().request.target for lease in (first, second)] == [True, False]
    crawl.commit(first, "checked", record=None, tallies={})
    crawl.commit(second)
    shot = crawl.snapshot()
    states = shot.states[crawl.frontier.id_of(target)], shot.states[crawl.frontier.id_of(page)]
    assert [(state.outcome, state.is_target, state.url) for state in states] == [
        ("checked", True, URL),
        ("fetched", False, URL),
    ]
    assert crawl.frontier.accepted([URL, "http://a.example/2"], target=True) == [True, False]


def test_a_target_is_visited_again_as_one(crawl: Crawl) -> None:
    target = Request(URL, 3, 2, "9", target=True, get=True)
    crawl.frontier.put([target])
    lease = crawl.one()
    assert lease.entry().request == target
    crawl.commit(lease, "checked", record=None, tallies={})
    again = _again(crawl, target=True).entry().request
    assert (again.target, again.get, again.revisit, again.depth, again.hops) == (True, False, True, 3, 2)


def test_a_target_that_is_good_now_has_no_record_of_its_failure(crawl: Crawl) -> None:
    target = Request(URL, target=True)
    url_id = crawl.frontier.id_of(target)
    crawl.frontier.put([target])
    crawl.commit(crawl.one(), "failed:http", tallies={})
    assert crawl.crawldb.records.letter(url_id) is not None
    crawl.commit(_again(crawl, target=True), "checked", record=None, tallies={})
    assert (crawl.snapshot().pages, crawl.snapshot().failed) == ({}, {})
    assert crawl.crawldb.records.read()[0] == []
    found = crawl.crawldb.records.get(url_id)
    assert found is not None and (found.outcome, found.target) == ("checked", True)


def test_a_target_asked_by_get_goes_back_with_its_flag(crawl: Crawl) -> None:
    crawl.frontier.put([Request(URL, target=True)])
    lease = crawl.one()
    crawl.frontier.retry(lease, "ok", charge=0, respelled=Request(URL, target=True, get=True))
    assert crawl.one().entry().request == Request(URL, target=True, get=True)


def test_targets_of_other_shards_keep_their_flags(link: Connection) -> None:
    crawl = Sharded(link)
    crawl.seed(url_in(0))
    (lease,) = crawl.lease(0)
    url_id = crawl.frontier.id(url_in(0))
    target = Request(url_in(1, "/image"), 1, via=url_id, target=True, get=True)
    page = Request(target.url, 1, via=url_id)
    ending = Commit(lease, url_id, state_of(lease, "fetched"), record_of(url_in(0), "fetched"), requests=[target, page])
    crawl.shards[0].commit(ending)
    assert crawl.messages(0, 1) == 1
    crawl.deliver()
    assert [one.entry().request for one in crawl.lease(1, 5)] == [target, page]


def test_the_field_of_what_a_page_names_is_that_of_its_state(crawl: Crawl) -> None:
    crawl.put(URL)
    crawl.commit(crawl.one(), named=LINKS)
    url_id, client = crawl.frontier.id(URL), crawl.link.client
    assert client.hget(crawl.frontier.keys.links(url_id), id_bytes(url_id)) == LINKS
    assert crawl.frontier.keys.links(url_id).rpartition(":")[2] == str(int(url_id) % 1_024)
