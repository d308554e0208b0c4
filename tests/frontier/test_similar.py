"""commit: pages with nearly the same text. The first of them is found by the bands of a similarity hash."""

from __future__ import annotations

import zlib
from hashlib import sha256
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import FrontierError
from crawler.frontier.keys import NEAR_BANDS, Keys
from crawler.frontier.scripts import NEAR_MAX
from crawler.record import Request
from tests.frontier.crawls import Crawl

URL: Final = "http://a.example/1"
TEXT: Final = 0x0123_4567_89AB_CDEF
"""The hash of a page's text."""


def with_bits(*changed: int) -> int:
    """The hash of another text, which differs from TEXT in these bits."""
    return TEXT ^ sum(1 << bit for bit in changed)


def end_all(crawl: Crawl, *similarities: int | None, **options: Any) -> list[str]:
    """Pages whose texts have these hashes end one after the other; their ids."""
    urls = [f"http://a.example/{n}" for n in range(len(similarities))]
    crawl.put(*urls)
    for similarity in similarities:
        crawl.commit(crawl.one(), similarity=similarity, **options)
    return [crawl.frontier.id(url) for url in urls]


def end_again(crawl: Crawl, url_id: str, **options: Any) -> None:
    """A page that has ended is crawled and ends once more."""
    url = crawl.crawldb.records.urls([url_id])[url_id]
    crawl.link.client.zadd(crawl.frontier.keys.failed, {url_id: 0})
    crawl.frontier.revive([Request(url)])
    crawl.commit(crawl.one(), **options)


def near(crawl: Crawl, url_id: str) -> str | None:
    """The id of the page that one is near."""
    record = crawl.crawldb.records.get(url_id)
    assert record is not None
    return record.near_duplicate_of


def test_a_page_with_nearly_the_text_of_an_earlier_one_names_it(crawl: Crawl) -> None:
    """It loses nothing: neither its contents nor its links."""
    contents = {"text": zlib.compress(b"text")}
    first, second = end_all(crawl, TEXT, with_bits(0, 20, 40), contents=contents, links=["http://a.example/x"])
    assert (near(crawl, first), near(crawl, second)) == (None, first)
    records = [stored.record for stored in crawl.crawldb.records.read()[0]]
    assert [(record.near_duplicate_of, record.text) for record in records] == [(None, "text"), (first, "text")]
    counters = crawl.snapshot().counters
    assert (counters["near_duplicates"], counters["accepted"], counters.get("duplicates", 0)) == (1, 3, 0)


@pytest.mark.parametrize(
    ("bits", "is_near"),
    [
        ((), True),
        ((0, 12, 25, 38), True),  # in four of the five bands
        ((63, 62, 61, 60, 59, 58), True),
        ((0, 1, 2, 3, 4, 5), True),
        ((0, 1, 2, 3, 4, 5, 6), False),
        ((0, 12, 25, 38, 51), False),  # in each of the bands: it is not found
    ],
)
def test_two_texts_are_near_up_to_six_bits_if_they_share_a_band(
    crawl: Crawl, bits: tuple[int, ...], is_near: bool
) -> None:
    first, second = end_all(crawl, TEXT, with_bits(*bits))
    assert near(crawl, second) == (first if is_near else None)


@given(changed=st.sets(st.integers(0, 63), max_size=4), text=st.integers(0, (1 << 64) - 1))
def test_texts_that_differ_in_four_bits_share_a_band(changed: set[int], text: int) -> None:
    keys = Keys("x")
    other = text ^ sum(1 << bit for bit in changed)
    assert any(one == two for one, two in zip(keys.near(text), keys.near(other), strict=True))


def test_all_that_are_near_name_the_first(crawl: Crawl) -> None:
    """Which is near none: whoever keeps the pages that are near none keeps one of each kind."""
    first, second, third, other = end_all(crawl, TEXT, with_bits(0, 1, 2), with_bits(3, 4, 5), ~TEXT % (1 << 64))
    assert [near(crawl, url_id) for url_id in (first, second, third, other)] == [None, first, first, None]


def test_a_copy_of_the_whole_content_is_not_near(crawl: Crawl) -> None:
    first, copy, third = end_all(crawl, TEXT, TEXT, with_bits(7), digest="77")
    assert [near(crawl, url_id) for url_id in (first, copy, third)] == [None, None, None]
    assert "near_duplicates" not in crawl.snapshot().counters


def test_a_page_without_a_hash_is_near_none(crawl: Crawl) -> None:
    assert [near(crawl, url_id) for url_id in end_all(crawl, TEXT, None, None)] == [None, None, None]
    assert sum(map(len, crawl.snapshot().near.values())) == NEAR_BANDS


@pytest.mark.parametrize("again", [TEXT, with_bits(1, 2)])
def test_a_page_that_ends_again_is_not_near_itself(crawl: Crawl, again: int) -> None:
    (first,) = end_all(crawl, TEXT)
    end_again(crawl, first, similarity=again)
    assert near(crawl, first) is None
    crawl.snapshot()


@pytest.mark.parametrize("again", [None, ~TEXT % (1 << 64)])
def test_a_page_that_ends_with_another_text_is_found_no_more_by_the_old_one(crawl: Crawl, again: int | None) -> None:
    (first,) = end_all(crawl, TEXT)
    end_again(crawl, first, similarity=again)
    crawl.put("http://a.example/later")
    crawl.commit(crawl.one(), similarity=TEXT)
    assert near(crawl, crawl.frontier.id("http://a.example/later")) is None
    crawl.snapshot()


def test_a_drained_page_is_found_still(crawl: Crawl) -> None:
    (first,) = end_all(crawl, TEXT)
    crawl.frontier.drain(crawl.crawldb.records.exported("0-0", "+")[0])
    crawl.put("http://a.example/later")
    crawl.commit(crawl.one(), similarity=with_bits(3))
    assert near(crawl, crawl.frontier.id("http://a.example/later")) == first
    assert crawl.crawldb.records.urls([first]) == {first: "http://a.example/0"}
    crawl.snapshot()


def test_a_band_keeps_its_latest_pages(crawl: Crawl) -> None:
    """Texts that share the first band and nothing else are made easily: none of them may make a commit slow."""
    shared = 0x1234 << 51
    rest = [int.from_bytes(sha256(str(n).encode()).digest()[:6], "big") for n in range(NEAR_MAX + 8)]
    ids = end_all(crawl, *(shared | bits for bits in rest))
    assert {near(crawl, url_id) for url_id in ids} == {None}
    key = crawl.frontier.keys.near(shared)[0]
    found: Any = crawl.link.client.hgetall(key)
    ((_, packed),) = found.items()
    kept = [str(int.from_bytes(packed[at + 8 : at + 16], "big")) for at in range(0, len(packed), 16)]
    assert kept == ids[-NEAR_MAX:]


@pytest.mark.parametrize("foreign", [b"", b"short", b"x" * 17, b"y" * 16 * 40])
def test_what_a_foreign_client_puts_into_a_band_does_no_harm(crawl: Crawl, foreign: bytes) -> None:
    client, (band, *_) = crawl.link.client, crawl.frontier.keys.near(TEXT)
    field = TEXT >> 51 & 63
    client.hset(band, field, foreign)
    first, second = end_all(crawl, TEXT, with_bits(2))
    assert (near(crawl, first), near(crawl, second)) == (None, first)
    kept: Any = client.hget(band, field)
    assert len(kept) <= 16 * NEAR_MAX
    client.hset(band, field, kept[-16:])  # without what is not the crawl's


def test_a_band_of_another_type_stops_a_commit_before_its_first_write(crawl: Crawl) -> None:
    crawl.put(URL)
    lease = crawl.one()
    before = crawl.snapshot()
    crawl.link.client.set(crawl.frontier.keys.near(TEXT)[3], "x")
    with pytest.raises(FrontierError):
        crawl.commit(lease, similarity=TEXT)
    crawl.link.client.delete(crawl.frontier.keys.near(TEXT)[3])
    assert crawl.snapshot() == before
