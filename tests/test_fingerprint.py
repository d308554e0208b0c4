"""Fingerprints are those that Scrapy and scrapy-redis make, in all their versions since w3lib 2.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from w3lib.url import canonicalize_url

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.fingerprint import fingerprints, number_of, numbers_of, spellings

DATA: Final = Path(__file__).parent / "data" / "scrapy" / "fingerprints.jsonl"
MADE: Final = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
MAKERS: Final = [name for name in MADE[0] if name != "url"]
PIECES: Final = (
    *("a", "B", "7", "-", ".", "_", "~", "!", "$", "&", "'", "(", ")", "*", "+", ",", ";", "=", ":", "@", "/", "?"),
    *("[", "]", "|", "^", "`", "{", "}", '"', "<", ">", "\\", "%", "%2f", "%3B", "%3F", "%25", "%20", "%C3%A9", "%E9"),
    *("é", "日", " ", "//", "/../", "&a=1", "&a", "&&", "=", "#x"),
)


@pytest.mark.parametrize("maker", MAKERS)
def test_the_fingerprint_that_was_made_is_among_ours(maker: str) -> None:
    assert len(MADE) > 400
    assert [row["url"] for row in MADE if bytes.fromhex(row[maker]) not in set(fingerprints(row["url"]))] == []


def test_those_of_other_urls_are_not() -> None:
    """Two of these URLs share a fingerprint only where w3lib takes them for one."""
    shared = 0
    owner: dict[str, str] = {}
    for row in MADE:
        other = owner.setdefault(row[MAKERS[0]], row["url"])
        shared += other != row["url"]
        assert other == row["url"] or canonicalize_url(other) == canonicalize_url(row["url"])
    assert shared < len(MADE) // 20


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.sampled_from(("", "?", "/x?")))
def test_the_spelling_of_w3lib_is_among_ours(end: str, mark: str) -> None:
    try:
        url = urls.canonicalize(f"http://example.org/{mark}{end}")
    except InvalidURL:
        return
    assert canonicalize_url(url) in spellings(url)


def test_nearly_all_urls_have_one_spelling() -> None:
    for url in ("http://example.org/", "https://example.org/a/b.html?b=2&a=%C3%A9", "http://example.org/a%20b"):
        assert len(spellings(url)) == 1
    assert len(spellings("http://example.org/a%3Bb;c|d?x;y")) == 8


def test_numbers_are_63_bits_of_each_fingerprint() -> None:
    url = "http://example.org/"
    assert numbers_of(url) == {number_of(fingerprint) for fingerprint in fingerprints(url)}
    assert len(numbers_of(url)) == 3
    assert all(0 <= number < 1 << 63 for row in MADE for number in numbers_of(row["url"]))
