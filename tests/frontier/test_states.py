"""What stays of a URL that has ended, and what a later visit does to it."""

from __future__ import annotations

import zlib
from typing import Any, Final

import msgspec
import pytest

from crawler.errors import DamagedCrawl
from crawler.frontier import visits
from crawler.frontier.keys import Keys
from crawler.frontier.messages import Accepted, Lease
from crawler.frontier.scripts import load
from crawler.record import OUTCOMES, Record, Request
from crawler.url_state import UrlState, id_bytes
from tests.frontier.crawls import Crawl, record_of, state_of
from tests.frontier.shards import Sharded
from tests.frontier.states import ended

URL: Final = "http://a.example/1"
TEXT: Final = {"text": zlib.compress(b"the text")}
SIMILAR: Final = 0x0123_4567_89AB_CDEF


def visited(crawl: Crawl, outcome: str = "fetched", *, url: str = URL, **options: Any) -> str:
    """A URL that has ended; its id."""
    crawl.put(url)
    crawl.commit(crawl.one(), outcome, **{"contents": TEXT, "digest": "77", "similarity": SIMILAR, **options})
    url_id: str = crawl.frontier.id(url)
    return url_id


def leased_again(crawl: Crawl, url_id: str) -> Lease:
    """Lease a URL that has ended once more."""
    due = ended(crawl, crawl.snapshot().states[url_id].url)
    assert crawl.frontier.ask(visits.revisit(crawl.frontier.shard, [due])) == (1, ())
    crawl.advance(3600)
    return crawl.one()


def end_same(crawl: Crawl, url_id: str) -> None:
    """A visit that finds nothing new."""
    lease = leased_again(crawl, url_id)
    crawl.commit(lease, record=None, state=following(crawl, lease, url_id, "fetched"))


def end_failed(crawl: Crawl, url_id: str, outcome: str = "denied") -> None:
    """A visit that fails, where the one before did not."""
    lease = leased_again(crawl, url_id)
    crawl.commit(lease, outcome, keeps=True, state=following(crawl, lease, url_id, outcome))


def following(crawl: Crawl, lease: Lease, url_id: str, outcome: str) -> UrlState:
    """The state after a visit that keeps what the one before had found."""
    before = crawl.crawldb.records.state(url_id)
    assert before is not None
    bare = state_of(lease, outcome, visits=before.visits + 1, checked_at=crawl.now // 1000)
    kept = {name: getattr(before, name) for name in ("first_seen", "changed_at", "digest", "similarity", "etag")}
    return msgspec.structs.replace(bare, **kept)


def stored(crawl: Crawl) -> list[tuple[str, str | None]]:
    """Outcome and text of each record that an export finds."""
    return [(one.record.outcome, one.record.text) for one in crawl.crawldb.records.read()[0]]


# -- what is kept ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_url_that_ends_has_a_state(crawl: Crawl, outcome: str) -> None:
    url_id = visited(crawl, outcome, digest="", similarity=None)
    state = crawl.crawldb.records.state(url_id)
    assert state == crawl.snapshot().states[url_id]
    assert (state.url, state.outcome, state.is_queued) == (URL, outcome, False)
    assert crawl.crawldb.records.urls([url_id, "1", "not an id"]) == {url_id: URL}


def test_the_script_knows_where_the_bytes_of_a_state_are(crawl: Crawl) -> None:
    """All that a state may have, as a copy that is noted nowhere and redirects; then as a page that others find."""
    visited(crawl)
    full = {
        **{"status": 65_535, "first_seen": 7, "checked_at": 8, "changed_at": 9, "visits": 500, "changes": 400},
        **{"target": "9", "text_digest": 5, "text_method": 3, "previous_text_digest": 6, "last_modified": 10},
        **{"etag": 'W/"x"', "interval": 11, "sitemap": True, "is_gone": True, "similarity": SIMILAR, "digest": 154},
    }
    for path, digest, marks in (("copy", "77", {"copy_of": crawl.frontier.id(URL)}), ("own", "78", {"is_noted": True})):
        crawl.put(f"http://a.example/{path}")
        lease = crawl.one()
        state = state_of(lease, "fetched", **full)
        similarity = (~SIMILAR) % (1 << 64)
        crawl.commit(lease, state=state, digest=digest, similarity=similarity)
        url_id = crawl.frontier.id(f"http://a.example/{path}")
        state = msgspec.structs.replace(state, **marks)
        assert crawl.crawldb.records.state(url_id) == state
        if path == "own":  # else the snapshot would miss what others find it by
            crawl.link.client.hset(
                crawl.frontier.keys.ended(url_id),
                id_bytes(url_id),
                msgspec.structs.replace(state, similarity=similarity).encode(),
            )


def test_a_state_is_packed_as_small_as_it_can_be(crawl: Crawl) -> None:
    url_id = visited(crawl, digest="", similarity=None)
    raw: Any = crawl.link.client.hget(crawl.frontier.keys.ended(url_id), id_bytes(url_id))
    assert len(raw) == 45 + len(URL) - len("http://")


# -- later visits ------------------------------------------------------------------------------------------------------


def test_a_visit_that_finds_nothing_new_leaves_the_record(crawl: Crawl) -> None:
    url_id = visited(crawl)
    before = crawl.snapshot()
    end_same(crawl, url_id)
    shot = crawl.snapshot()
    assert (shot.pages, shot.records, shot.digests, shot.near) == (
        before.pages,
        before.records,
        before.digests,
        before.near,
    )
    state = shot.states[url_id]
    assert (state.visits, state.checked_at, state.is_noted) == (2, crawl.now // 1000, True)
    assert shot.counters["ended"] == 1


def test_readers_see_the_visits_that_the_state_counts(crawl: Crawl) -> None:
    url_id = visited(crawl)
    end_same(crawl, url_id)
    (one,) = crawl.crawldb.records.read()[0]
    found = one.record
    assert (found.visits, found.changes, found.changed_at) == (2, 0, None)
    assert (found.first_seen, found.checked_at) == ("2023-11-14T22:13:20Z", "2023-11-14T23:13:20Z")
    assert crawl.crawldb.records.get(url_id, ("text",)) == found


def test_a_copy_stays_one_as_long_as_it_is_unchanged(crawl: Crawl) -> None:
    first = visited(crawl)
    copy = visited(crawl, url="http://a.example/copy")
    end_same(crawl, copy)
    assert crawl.snapshot().states[copy].copy_of == first
    record = crawl.crawldb.records.get(copy)
    assert record is not None
    assert record.duplicate_of == first


def test_a_visit_that_fails_is_exported_beside_the_good_record(crawl: Crawl) -> None:
    url_id = visited(crawl)
    end_failed(crawl, url_id)
    assert stored(crawl) == [("fetched", "the text"), ("denied", None)]
    record = crawl.crawldb.records.get(url_id)
    assert record is not None
    assert (record.outcome, record.visits) == ("denied", 2)
    shot = crawl.snapshot()
    assert (shot.states[url_id].is_noted, list(shot.digests.values())) == (True, [url_id])


def test_a_visit_that_failed_is_over_with_the_next_one(crawl: Crawl) -> None:
    url_id = visited(crawl)
    end_failed(crawl, url_id)
    end_failed(crawl, url_id, "dropped:robots")
    assert stored(crawl) == [("fetched", "the text"), ("dropped:robots", None)]
    end_same(crawl, url_id)
    assert stored(crawl) == [("fetched", "the text")]
    record = crawl.crawldb.records.get(url_id)
    assert record is not None
    assert record.outcome == "fetched"


def test_a_dead_letter_with_a_good_record_is_the_failed_visit(crawl: Crawl) -> None:
    url_id = visited(crawl)
    end_failed(crawl, url_id, "failed:http")
    letters = [crawl.crawldb.records.letter(url_id), *crawl.crawldb.records.letters()]
    assert [letter and letter.record and letter.record.outcome for letter in letters] == ["failed:http"] * 2
    assert crawl.frontier.revive([Request(URL)]) == 1
    assert stored(crawl) == [("fetched", "the text")]
    crawl.commit(crawl.one(), digest="77")


def test_a_visit_that_fails_has_a_record_of_its_own_if_the_good_one_was_drained(crawl: Crawl) -> None:
    url_id = visited(crawl)
    crawl.frontier.drain(crawl.crawldb.records.exported("0-0", "+")[0])
    end_failed(crawl, url_id)
    assert stored(crawl) == [("denied", None)]
    assert crawl.snapshot().states[url_id].is_noted


def test_of_a_dead_letter_that_was_drained_nothing_is_left_by_a_visit_that_finds_nothing_new(crawl: Crawl) -> None:
    """The good record was drained, then that of a visit that failed; the third one finds the page as it was."""
    url_id = visited(crawl)
    crawl.frontier.drain(crawl.crawldb.records.exported("0-0", "+")[0])
    end_failed(crawl, url_id, "failed:http")
    crawl.frontier.drain(crawl.crawldb.records.exported("0-0", "+")[0])
    end_same(crawl, url_id)
    assert (crawl.snapshot().pages, stored(crawl)) == ({}, [])
    record = crawl.crawldb.records.get(url_id)
    assert record is not None
    assert (record.outcome, record.visits) == ("fetched", 3)


def test_what_was_drained_is_not_taken_for_an_older_visit(crawl: Crawl) -> None:
    """A visit failed, and its record waits for an export; the next one finds the page as it was."""
    url_id = visited(crawl)
    crawl.frontier.drain(crawl.crawldb.records.exported("0-0", "+")[0])
    end_failed(crawl, url_id)
    end_same(crawl, url_id)
    assert stored(crawl) == [("denied", None)]
    record = crawl.crawldb.records.get(url_id)
    assert record is not None
    assert record.outcome == "fetched"


@pytest.mark.parametrize("outcome", ["denied", "failed:http"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_both_records_of_a_url_are_drained(crawl: Crawl, outcome: str, order: tuple[int, int]) -> None:
    url_id = visited(crawl)
    end_failed(crawl, url_id, outcome)
    entries = crawl.crawldb.records.exported("0-0", "+")[0]
    assert [one.outcome for one in entries] == ["fetched", outcome]
    left = [stored(crawl)[n] for n in order[1:]]
    assert crawl.frontier.drain([entries[order[0]]]) == 1
    assert stored(crawl) == left
    assert crawl.frontier.drain([entries[order[1]]]) == 1
    assert stored(crawl) == []
    shot = crawl.snapshot()
    assert (shot.records, url_id in shot.pages) == ([], outcome == "failed:http")
    record = crawl.crawldb.records.get(url_id)
    assert record is not None
    assert record.outcome == outcome


def test_a_page_that_changed_leaves_its_old_content_to_others(crawl: Crawl) -> None:
    """A page that has this content now is no copy."""
    url_id = visited(crawl)
    other = visited(crawl, url="http://a.example/other")
    crawl.commit(leased_again(crawl, url_id), digest="78", similarity=SIMILAR ^ 0xFFFF_FFFF)
    shot = crawl.snapshot()
    assert (shot.digests, shot.states[other].copy_of) == ({"78": url_id}, url_id)
    crawl.commit(leased_again(crawl, other), digest="77", similarity=SIMILAR)
    shot = crawl.snapshot()
    assert (shot.digests, shot.states[other].copy_of, shot.states[other].is_noted) == (
        {"78": url_id, "77": other},
        None,
        True,
    )


def test_a_page_that_is_gone_is_found_no_more(crawl: Crawl) -> None:
    url_id = visited(crawl)
    lease = leased_again(crawl, url_id)
    crawl.commit(lease, "missing", state=state_of(lease, "missing", digest=154, similarity=SIMILAR, is_gone=True))
    shot = crawl.snapshot()
    assert (shot.digests, set().union(*shot.near.values())) == ({}, set())
    assert not shot.states[url_id].is_noted


def test_what_another_page_has_now_is_left_to_it(crawl: Crawl) -> None:
    """Another one has become the first with the old content: its entry stays."""
    url_id = visited(crawl)
    lease = leased_again(crawl, url_id)
    crawl.link.client.hset(crawl.frontier.keys.digests("77"), "77", id_bytes("5"))
    crawl.commit(lease, digest="78")
    assert crawl.snapshot().digests == {"77": "5", "78": url_id}


@pytest.mark.parametrize("options", [{"record": None}, {"keeps": True}, {}])
def test_sent_twice_a_later_visit_counts_once(crawl: Crawl, options: dict[str, Any]) -> None:
    url_id = visited(crawl)
    lease = leased_again(crawl, url_id)
    state = following(crawl, lease, url_id, "denied")
    call = crawl.frontier.commit_call(crawl.ending(lease, "denied", state=state, **options))
    assert crawl.frontier.run([call]) == [Accepted()]
    before = crawl.snapshot()
    assert crawl.frontier.run([call, call]) == [Accepted()] * 2
    assert crawl.snapshot() == before


# -- what something else wrote -----------------------------------------------------------------------------------------

FOREIGN: Final = [b"", b"x", b"\x01", b"\x01" * 45, b"\x02" * 200, b"\x01\xff" + b"y" * 60, b"\xff" * 500]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_what_is_no_state_counts_as_absent(crawl: Crawl, foreign: bytes) -> None:
    url_id = visited(crawl)
    keys, field = crawl.frontier.keys, id_bytes(url_id)
    whole: Any = crawl.link.client.hget(keys.ended(url_id), field)
    crawl.link.client.hset(keys.ended(url_id), field, foreign)
    records = crawl.crawldb.records
    assert (records.state(url_id), records.states([("a.example", url_id)])) == (None, [None])
    assert records.urls([url_id]) == {url_id: URL}  # by its record
    assert records.buckets(0, int(url_id) % 16_384) == ([], 0)
    assert stored(crawl) == [("fetched", "the text")]
    crawl.link.client.hset(keys.ended(url_id), field, whole)


@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_state_that_is_none_harms_no_later_commit(crawl: Crawl, foreign: bytes) -> None:
    """Neither of its own URL nor of one that redirects to it."""
    url_id = visited(crawl, "redirected", target="5", digest="", similarity=None)
    lease = leased_again(crawl, url_id)
    crawl.link.client.hset(crawl.frontier.keys.ended(url_id), id_bytes(url_id), foreign)
    crawl.put("http://a.example/2")
    other = crawl.one()
    crawl.commit(other, "redirected", target=url_id, loop=record_of(crawl.url(other), "failed:redirect-loop"))
    crawl.commit(lease, keeps=True)
    state = crawl.crawldb.records.state(url_id)
    assert state is not None
    assert state.outcome == "fetched"


def test_fields_and_urls_that_no_crawl_has_are_passed_over(crawl: Crawl) -> None:
    url_id = visited(crawl, digest="", similarity=None)
    key, number = crawl.frontier.keys.ended(url_id), int(url_id) % 16_384
    lease = crawl.crawldb.records.state(url_id)
    assert lease is not None
    odd = msgspec.structs.replace(lease, url="http://a.example/\x1b[31m").encode()
    other = id_bytes(str(number + 16_384))
    for field, value in ((b"short", lease.encode()), (other, odd)):
        crawl.link.client.hset(key, field, value)
    found, cursor = crawl.crawldb.records.buckets(0, number)
    assert ([one for one, _, _ in found], cursor) == ([url_id], 0)
    assert crawl.crawldb.records.urls([str(number + 16_384)]) == {}
    crawl.link.client.hdel(key, b"short", other)


def test_a_bucket_of_another_type_stops_a_commit_before_its_first_write(crawl: Crawl) -> None:
    crawl.put(URL)
    lease = crawl.one()
    before = crawl.snapshot()
    key = crawl.frontier.keys.ended(crawl.frontier.id(URL))
    crawl.link.client.set(key, "x")
    with pytest.raises(DamagedCrawl, match=f"{key} holds a string, not a hash"):
        crawl.commit(lease)
    crawl.link.client.delete(key)
    assert crawl.snapshot() == before


@pytest.mark.parametrize("mode", [{"record": None}, {"keeps": True}])
def test_a_page_of_another_type_stops_a_later_visit_before_its_first_write(crawl: Crawl, mode: dict[str, Any]) -> None:
    url_id = visited(crawl)
    lease = leased_again(crawl, url_id)
    key = crawl.frontier.keys.page(url_id)
    page: Any = crawl.link.client.hgetall(key)
    before = crawl.snapshot()
    crawl.link.client.delete(key)
    crawl.link.client.set(key, "x")
    with pytest.raises(DamagedCrawl, match=f"{key} holds a string, not a hash"):
        crawl.commit(lease, **mode)
    crawl.link.client.delete(key)
    crawl.link.client.hset(key, mapping=page)
    assert crawl.snapshot() == before


def test_digests_of_another_type_stop_a_commit_before_its_first_write(crawl: Crawl) -> None:
    crawl.put(URL)
    lease = crawl.one()
    before = crawl.snapshot()
    crawl.link.client.set(crawl.frontier.keys.digests("77"), "x")
    with pytest.raises(DamagedCrawl, match="holds a string, not a hash"):
        crawl.commit(lease, digest="77")
    crawl.link.client.delete(crawl.frontier.keys.digests("77"))
    assert crawl.snapshot() == before


# -- buckets and shards ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shards", "buckets"), [(1, 16_384), (2, 8_192), (3, 4_096), (4, 4_096), (5, 2_048), (100, 128), (256, 64)]
)
def test_the_buckets_of_all_shards_are_as_many_as_of_one(shards: int, buckets: int) -> None:
    keys = Keys("x", 0, shards)
    assert keys.ended_buckets == buckets
    assert keys.ended(str(buckets * 3 + 5)) == f"{keys.prefix}ended:5"


@pytest.mark.parametrize("shards", [1, 2, 3, 5])
def test_states_are_found_in_all_buckets_of_all_shards(link: Any, shards: int) -> None:
    """Redirects are followed in the scripts too, so these must know the bucket of an id as Python does."""
    crawl = Sharded(link, shards)
    urls = [f"http://{n}.example/" for n in range(20)]
    crawl.seed(*urls)
    for shard in range(shards):
        for lease in crawl.lease(shard, 20):
            crawl.commit(lease)
    frontier, records = crawl.frontier, crawl.crawldb.records
    ids = [frontier.id(url) for url in urls]
    places = [(url[7:-1], url_id) for url, url_id in zip(urls, ids, strict=True)]
    states = records.states([*places, ("x.example", "5")])
    assert [state and state.url for state in states] == [*urls, None]
    found: dict[str, tuple[bytes, UrlState]] = {}
    for each in frontier.shards:
        for bucket in range(each.keys.ended_buckets):
            more, cursor = records.buckets(each.number, bucket)
            assert cursor == 0
            found |= {url_id: (raw, state) for url_id, raw, state in more}
    assert {url_id: state for url_id, (_, state) in found.items()} == dict(zip(ids, states, strict=False))
    assert all(state == UrlState.decode(raw) for raw, state in found.values())


@pytest.mark.parametrize("shards", [2, 3, 5])
def test_a_circle_of_redirects_is_found_in_each_number_of_shards(link: Any, shards: int) -> None:
    crawl = Sharded(link, shards)
    crawl.seed("http://a.example/0", "http://a.example/1")
    shard = next(number for number, queued in enumerate(crawl.queued()) if queued)
    ends = []
    for lease in crawl.lease(shard, 2):
        url = lease.entry().request.url
        to = crawl.frontier.id(url[:-1] + str(1 - int(url[-1])))
        loop = Record(url=url, outcome="failed:redirect-loop", depth=0).encode()
        crawl.commit(lease, state=state_of(lease, "redirected", target=to), loop=loop)
        state = crawl.crawldb.records.state(crawl.frontier.id(url))
        ends.append(state and state.outcome)
    assert ends == ["redirected", "failed:redirect-loop"]


def test_a_script_has_the_outcomes_in_their_order() -> None:
    assert f"local OUTCOMES = {{ {', '.join(map(repr, OUTCOMES))} }}\n" in load("revive").source
