"""What header fields say about caching, read as RFC 9110 and RFC 9111 have it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch.caching import MAX_AGE, date_text, directives, entity_tag, freshness, http_date
from crawler.fetch.fetcher import Headers, Response

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
HOUR_LATER = "Sun, 06 Nov 1994 09:49:37 GMT"


@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', '"a,b"', '"W/"', '"' + "x" * 253 + '"', '"!#~"'])
def test_a_valid_tag_is_used_as_it_came(tag: str) -> None:
    assert entity_tag([tag]) == tag
    assert entity_tag([tag, tag]) == tag


@pytest.mark.parametrize(
    "lines",
    [
        *([], [""], ["1"], ["*"], ['"1'], ['w/"1"'], ['W/ "1"'], ['"a" , "b"'], ['"a b"'], ['"a"b"']),
        *(['""'], ['W/""'], ['"caf\u00e9"'], ['"\u732b"'], ['"' + "x" * 254 + '"'], ['"1"', '"2"'], ['"a\tb"']),
    ],
)
def test_a_tag_that_cannot_be_sent_back_is_none(lines: list[str]) -> None:
    assert entity_tag(lines) is None


@given(st.text(max_size=300))
def test_no_text_makes_a_tag_that_could_end_its_line(text: str) -> None:
    tag = entity_tag([text])
    assert tag is None or (tag.isascii() and tag.isprintable() and tag != "*" and len(tag) <= 255)


@pytest.mark.parametrize("text", [DATE, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
def test_a_date_has_three_forms(text: str) -> None:
    assert http_date(text) == 784_111_777
    assert date_text(784_111_777) == DATE


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "now", "1994-11-06T08:49:37Z", "Sun, 31 Feb 1994 08:49:37 GMT", "x" * 99]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert http_date(text) is None


@given(st.text(max_size=70) | st.from_regex(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{1,5} \d\d:\d\d:\d\d \S{1,5}"))
def test_no_text_makes_a_date_beyond_32_bits(text: str) -> None:
    found = http_date(text)
    assert found is None or 0 <= found < 1 << 32


@given(st.integers(0, (1 << 32) - 1))
def test_a_date_that_is_written_reads_as_itself(seconds: int) -> None:
    assert http_date(date_text(seconds)) == seconds


def test_directives_are_read_with_quotes_and_of_equal_ones_the_first() -> None:
    found = directives('private="a, no-store", Max-Age="60", max-age=5, =, no-cache')
    assert found == {"private": "a, no-store", "max-age": "60", "no-cache": ""}


@pytest.mark.parametrize(
    ("control", "expires", "age", "seconds"),
    [
        ("max-age=600", None, None, 600),
        ("public, MAX-AGE=600, s-maxage=9", HOUR_LATER, None, 600),
        ("s-maxage=900", None, None, 900),
        ("", HOUR_LATER, None, 3600),
        ("must-revalidate", HOUR_LATER, "600", 3000),
        ("max-age=600", None, "500", 100),
        ("max-age=600", None, "700", 0),
        ("max-age=600", None, "-700", 600),
        ("max-age=99999999999999", None, None, MAX_AGE),
        ("max-age=4294967296", None, None, MAX_AGE),
        ("max-age=abc", None, None, 0),
        ("max-age=-5", HOUR_LATER, None, 0),
        ("max-age", None, None, 0),
        ("no-cache, max-age=600", None, None, 0),
        ("no-store", HOUR_LATER, None, 0),
        ('no-cache="set-cookie", max-age=600', None, None, 600),
        ("", "0", None, 0),
        ("", "Sun, 06 Nov 1994 07:49:37 GMT", None, 0),
        ("public", None, None, None),
        ("", None, None, None),
    ],
)
def test_freshness(control: str, expires: str | None, age: str | None, seconds: int | None) -> None:
    assert freshness(control, expires, DATE, age) == seconds


def test_an_answer_without_a_date_says_nothing_by_expires() -> None:
    assert freshness("", HOUR_LATER, None, None) is None
    assert freshness("", "0", None, None) == 0


def test_a_response_joins_its_lines() -> None:
    headers = Headers([("Cache-Control", "public"), ("Cache-Control", "max-age=60"), ("Age", "10")])
    assert Response("http://a.example/", 200, headers).freshness == 50


@given(st.text(), st.none() | st.text(), st.none() | st.text(), st.none() | st.text())
def test_no_header_makes_a_freshness_out_of_bounds(
    control: str, expires: str | None, date: str | None, age: str | None
) -> None:
    found = freshness(control, expires, date, age)
    assert found is None or 0 <= found <= MAX_AGE
