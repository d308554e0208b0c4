"""Pages in place of the one that was asked for are known; pages that only look like them are not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch.fetcher import Headers, Response
from crawler.policy.challenges import MAX_READ, challenge, markup_and_scripts
from crawler.policy.parked import is_parked
from tests.policy.pages_in_the_way import CHALLENGES, LOOK_ALIKES, NOT_PARKED, PARKED

URL = "https://example.com/a"
HTML = ("Content-Type", "text/html; charset=utf-8")


def answer(body: bytes, status: int = 200, *headers: tuple[str, str], truncated: bool = False) -> Response:
    return Response(URL, status, Headers([HTML, *headers]), body, truncated)


@pytest.mark.parametrize("status", [200, 403, 405, 429, 503])
@pytest.mark.parametrize(("name", "body"), CHALLENGES.values(), ids=CHALLENGES)
def test_who_asks_for_proof_is_named(name: str, body: bytes, status: int) -> None:
    assert challenge(answer(body, status)) == name


@pytest.mark.parametrize("status", [200, 403, 404, 503])
@pytest.mark.parametrize("body", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_what_looks_like_it_is_none(body: bytes, status: int) -> None:
    assert challenge(answer(body, status)) == ""


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (("cf-mitigated", "challenge"), "Cloudflare"),
        (("CF-Mitigated", "Challenge "), "Cloudflare"),
        (("x-amzn-waf-action", "captcha"), "AWS WAF"),
        (("x-amzn-waf-action", "challenge"), "AWS WAF"),
        (("X-DD-B", "1"), "DataDome"),
        (("x-vercel-mitigated", "challenge"), "Vercel"),
        (("x-datadome", "protected"), ""),
        (("server", "cloudflare"), ""),
        (("cf-ray", "8f2b3c4d5e6f7-SJC"), ""),
        (("cf-cache-status", "challenge"), ""),
        (("x-cdn", "Incapsula"), ""),
        (("x-amzn-requestid", "captcha"), ""),
        (("cf-mitigated", ""), ""),
    ],
)
def test_a_header_is_enough_and_most_say_nothing(header: tuple[str, str], name: str) -> None:
    """Also for HEAD, which has no body."""
    for status in (200, 202, 403, 405, 429, 503):
        assert challenge(answer(b"", status, header)) == name


def test_a_captcha_in_a_part_of_a_page_says_nothing() -> None:
    """What follows may be the form that it belongs to."""
    alone, interstitial = CHALLENGES["recaptcha alone"][1], CHALLENGES["anubis"][1]
    assert challenge(answer(alone[:-20], 206, truncated=True)) == ""
    assert challenge(answer(interstitial[:300], 206, truncated=True)) == "Anubis"


def test_other_types_and_long_bodies_are_not_looked_at() -> None:
    body = CHALLENGES["datadome"][1]
    assert challenge(Response(URL, 200, Headers([("Content-Type", "text/plain")]), body)) == ""
    assert challenge(Response(URL, 200, Headers([("Content-Type", "application/json")]), body)) == ""
    assert challenge(Response(URL, 200, Headers(), body)) == "DataDome"  # its first bytes show HTML
    assert challenge(answer(body + b" " * MAX_READ)) == ""


@pytest.mark.parametrize("body", PARKED.values(), ids=PARKED)
def test_a_parked_domain_is_known(body: bytes) -> None:
    assert is_parked(answer(body))


@pytest.mark.parametrize("body", NOT_PARKED.values(), ids=NOT_PARKED)
def test_what_is_not_parked_is_none(body: bytes) -> None:
    assert not is_parked(answer(body))


PIECES = [
    b"<script",
    b"<script>",
    b"</script>",
    b"<!--",
    b"-->",
    b"<a ",
    b">",
    b"<",
    b"window._cf_chl_opt=",
    b"<iframe ",
    b"x",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_any_markup_is_taken_apart(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    markup, scripts = markup_and_scripts(body)
    assert len(markup) + sum(map(len, scripts)) <= len(body)


@pytest.mark.parametrize(
    "piece", [b"<script", b"<!--", b"<a ", b"<", b"<script>", b"<input ", b"<script src=//", b'<meta content="']
)
def test_hostile_markup_takes_little_time(piece: bytes) -> None:
    """Each bound is far from what one pass takes, and far from what a pass for each of its pieces would."""
    body = (b"captcha parking" + piece * MAX_READ)[:MAX_READ]
    started = time.process_time()
    assert challenge(answer(body)) == "" and not is_parked(answer(body))
    assert time.process_time() - started < 1
