"""Cookies within one chain of redirects: which are taken, which requests carry them, and where a chain ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch.fetcher import Headers, Response
from crawler.policy.cookies import MAX_COOKIE, MAX_COOKIES, MAX_HEADER, MAX_HOPS, Chain, Jar

HOST = "http://www.example.org"
URL = f"{HOST}/a/b?c=/d"


def sent(lines: Sequence[str], to: str = f"{HOST}/a/x", by: str = URL) -> str:
    jar = Jar()
    jar.take(lines, by)
    return jar.header(to)


@pytest.mark.parametrize(
    ("line", "cookie"),
    [
        ("seen=1", "seen=1"),
        (" seen = 1 ; HttpOnly; SameSite=Strict; Priority=High", "seen=1"),
        ('q="a b"', 'q="a b"'),
        ("a=b=c", "a=b=c"),
        ("a=", "a="),
        ("bare", "bare"),
        ("", ""),
        ("=", ""),
        ("a=1; Max-Age=60", "a=1"),
        ("a=1; Max-Age=0", ""),
        ("a=1; Max-Age=-1; Expires=Fri, 01 Jan 2100 00:00:00 GMT", ""),
        ("a=1; Max-Age=60; Expires=Thu, 01-Jan-1970 00:00:00 GMT", "a=1"),
        ("a=1; expires=Thu, 01-Jan-1970 00:00:00 GMT", ""),
        ("a=1; expires=Thu, 01 Jan 1970 00:00:00 GMT", ""),
        ("a=1; expires=Fri, 01-Jan-2100 00:00:00 GMT", "a=1"),
        ("a=1; expires=whenever", "a=1"),
        ("a=1; Secure", ""),
        ("a=1; Domain=www.example.org", "a=1"),
        ("a=1; Domain=.EXAMPLE.org", "a=1"),
        ("a=1; Domain=ample.org", ""),
        ("a=1; Domain=other.example", ""),
        ("a=1; Domain=x.www.example.org", ""),
        ("a=1; Path=/", "a=1"),
        ("a=1; Path=/a", "a=1"),
        ("a=1; Path=/a/x", "a=1"),
        ("a=1; Path=/a/", "a=1"),
        ("a=1; Path=/other", ""),
        ("a=1; Path=/a/xy", ""),
        ("a=1; Path=relative", "a=1"),
        ("a=\x01", ""),
        ("a=" + "x" * MAX_COOKIE, ""),
    ],
)
def test_what_a_line_sets_for_another_page_of_its_folder(line: str, cookie: str) -> None:
    assert sent([line]) == cookie


def test_the_default_path_is_the_folder_of_the_page() -> None:
    assert sent(["a=1"], f"{HOST}/a") == "a=1"
    assert sent(["a=1"], f"{HOST}/ab/x") == ""
    assert sent(["a=1"], f"{HOST}/", f"{HOST}/x?y/z") == "a=1"


def test_a_secure_cookie_goes_by_https_alone() -> None:
    assert sent(["a=1; Secure"], "https://www.example.org/a/x", "https://www.example.org/a/b") == "a=1"
    assert sent(["a=1; Secure"], "http://www.example.org/a/x", "https://www.example.org/a/b") == ""


def test_an_address_has_no_domain_above_it() -> None:
    assert sent(["a=1; Domain=0.0.1"], "http://127.0.0.1:81/", "http://127.0.0.1:81/") == ""
    assert sent(["a=1; Domain=127.0.0.1"], "http://127.0.0.1:81/", "http://127.0.0.1:81/") == "a=1"
    assert sent(["a=1"], "http://[::1]:81/", "http://[::1]:81/") == "a=1"


def test_a_later_line_replaces_or_deletes_and_longer_paths_come_first() -> None:
    assert sent(["a=1; Path=/", "b=1; Path=/a", "a=2; Path=/", "c=1", "c=; Max-Age=0"]) == "b=1; a=2"


def test_their_number_and_length_are_bounded() -> None:
    header = sent([f"c{number}={'x' * 300}" for number in range(480)])
    assert header.startswith("c0=") and len(header) <= MAX_HEADER
    assert sent([f"c{number}=" for number in range(480)]).count("=") == MAX_COOKIES


@given(st.text(max_size=60), st.sampled_from([URL, "https://a.example/", "http://[::1]:8/x"]))
def test_any_line_can_be_taken(line: str, url: str) -> None:
    header = sent([line], url, url)
    assert not set(header) & set("\r\n\0")


# -- chains ------------------------------------------------------------------------------------------------------------


def redirect(at: str, to: str, *cookies: str) -> Response:
    return Response(at, 302, Headers([("location", to), *(("set-cookie", cookie) for cookie in cookies)]))


def test_a_wall_is_passed_with_its_cookie() -> None:
    chain = Chain(URL)
    assert chain.next_hop(redirect(URL, "", "a=1")) is None  # nowhere
    assert chain.next_hop(redirect(URL, URL, "a=1")) == URL
    chain.go(URL)
    assert (chain.at, chain.cookie, chain.hops) == (URL, "a=1", 1)
    assert chain.next_hop(redirect(URL, URL, "a=1")) is None
    assert chain.is_circle(URL)


def test_cookies_stay_for_the_hops_that_set_none() -> None:
    chain = Chain(URL)
    chain.go(chain.next_hop(redirect(URL, "/check", "a=1; Path=/")) or "")
    assert chain.next_hop(redirect(f"{HOST}/check", URL)) == URL
    chain.go(URL)
    assert chain.cookie == "a=1"


def test_a_new_cookie_is_worth_another_request_until_there_were_five() -> None:
    chain = Chain(URL)
    for number in range(MAX_HOPS):
        assert chain.next_hop(redirect(URL, URL, f"a={number}")) == URL
        chain.go(URL)
    assert chain.next_hop(redirect(URL, URL, "a=more")) is None
    assert chain.is_circle(URL) and not chain.is_circle(f"{HOST}/other")


@pytest.mark.parametrize(
    ("to", "cookies"),
    [
        (f"{HOST}:8080/a/b", ["a=1"]),
        ("https://www.example.org/a/b", ["a=1"]),
        ("http://example.org/a/b", ["a=1; Domain=example.org"]),
        ("//other.example/", ["a=1"]),
        ("/other/", ["a=1"]),  # its path does not fit
        ("/a/c", []),
        ("/a/c", ["a=1; Max-Age=0"]),
        ("http://[/", ["a=1"]),
        ("mailto:a@b", ["a=1"]),
    ],
)
def test_what_leaves_the_origin_or_takes_no_cookie_along_is_no_chain(to: str, cookies: list[str]) -> None:
    chain = Chain(URL)
    assert chain.next_hop(redirect(URL, to, *cookies)) is None
    assert not chain.is_circle(URL)


def test_asking_twice_changes_nothing() -> None:
    """Where Redis is away in between, the same answer is judged again."""
    chain = Chain(URL)
    answers = [chain.next_hop(redirect(URL, URL, "a=1", "b=; Max-Age=0")) for _ in range(2)]
    assert answers == [URL, URL]
    assert chain.hops == 0
