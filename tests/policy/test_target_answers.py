"""What answers say about the target of a link, with answers as servers give them."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch.fetcher import FailureKind, FetchError, FetchResult, Headers, Lack, Method, Response
from crawler.policy.target_answers import (
    GOOD,
    Ended,
    Judgement,
    Verdict,
    stored,
    verdict_of_answer,
    verdict_of_outcome,
)
from crawler.record import OUTCOMES
from tests.policy.pages_in_the_way import CHALLENGES, LOOK_ALIKES, PARKED

URL = "https://example.com/a"
HTML = ("Content-Type", "text/html")


def answer(status: int, *headers: tuple[str, str], body: bytes = b"") -> Response:
    return Response(URL, status, Headers([HTML, *headers]), body)


def failure(kind: FailureKind, detail: str, *, sent: bool = True, lack: Lack = "") -> FetchError:
    return FetchError(URL, kind, detail, sent, lack=lack)


GET: list[tuple[FetchResult, Verdict, str]] = [
    (answer(200), "good", ""),
    (answer(201), "good", ""),
    (answer(202), "good", ""),
    (answer(203), "good", ""),
    (answer(204), "good", ""),
    (answer(206), "good", ""),
    (answer(300), "good", ""),
    (answer(304), "good", ""),
    (answer(301, ("Location", "/b")), "good", ""),
    (answer(302, ("Location", "https://example.org/")), "good", ""),
    (answer(301, ("Location", "/")), "good", ""),
    (answer(301), "broken", "301 Moved Permanently without a Location"),
    (answer(302, ("Location", "https://[::1/")), "broken", "which is no URL"),
    (answer(302, ("Location", "https://u:secret@[x")), "broken", "https://***@[x, which is no URL"),
    (answer(302, ("Location", "http://a\x1b[31mb")), "broken", "http://a\ufffd[31mb, which is no URL"),
    (answer(302, ("Location", "market://details?id=x")), "cannot-tell", "which is not for HTTP"),
    (answer(302, ("Location", "/login?next=/a")), "cannot-tell", "it redirects to a login page"),
    (answer(302, ("Location", "/404.html")), "broken", "it redirects to an error page"),
    (answer(302, ("Location", "https://dan.com/buy-domain/example.com")), "broken", "its domain is for sale"),
    (answer(305), "broken", "305 Use Proxy"),
    (answer(400), "broken", "400 Bad Request"),
    (answer(401), "cannot-tell", "401 Unauthorized"),
    (answer(401, ("WWW-Authenticate", "Basic")), "cannot-tell", "401 Unauthorized"),
    (answer(402), "cannot-tell", "402 Payment Required"),
    (answer(403), "cannot-tell", "403 Forbidden"),
    (answer(403, ("Server", "AkamaiGHost"), body=b"<h1>Access Denied</h1>"), "cannot-tell", "403 Forbidden"),
    (answer(403, ("cf-mitigated", "challenge")), "cannot-tell", "403 Forbidden: Cloudflare asks for proof"),
    (answer(404), "broken", "404 Not Found"),
    (answer(404, ("Server", "cloudflare")), "broken", "404 Not Found"),
    (answer(404, body=LOOK_ALIKES["a form with recaptcha"]), "broken", "404 Not Found"),
    (answer(405), "broken", "405 Method Not Allowed"),
    (answer(405, ("x-amzn-waf-action", "captcha")), "cannot-tell", "AWS WAF asks for proof"),
    (answer(202, ("x-amzn-waf-action", "challenge")), "cannot-tell", "202 Accepted: AWS WAF asks for proof"),
    (answer(406), "cannot-tell", "406 Not Acceptable"),
    (answer(407), "cannot-tell", "407 Proxy Authentication Required"),
    (answer(410), "broken", "410 Gone"),
    (answer(414), "broken", "414"),
    (answer(416), "broken", "416"),
    (answer(418), "cannot-tell", "418 I'm a teapot"),
    (answer(429), "cannot-tell", "429 Too Many Requests"),
    (answer(451), "cannot-tell", "451 Unavailable For Legal Reasons"),
    (answer(500), "broken", "500 Internal Server Error"),
    (answer(502), "broken", "502 Bad Gateway"),
    (answer(503), "broken", "503 Service Unavailable"),
    (answer(503, ("Server", "cloudflare"), body=b"<h1>maintenance</h1>"), "broken", "503 Service Unavailable"),
    (
        answer(503, ("Server", "cloudflare"), body=CHALLENGES["cloudflare"][1]),
        "cannot-tell",
        "503 Service Unavailable: Cloudflare asks for proof",
    ),
    (answer(521), "broken", "521, the server behind Cloudflare is down"),
    (answer(999), "cannot-tell", "999 Request denied"),
    (answer(200, body=CHALLENGES["anubis"][1]), "cannot-tell", "200 OK: Anubis asks for proof"),
    (answer(200, body=LOOK_ALIKES["text about captchas"]), "good", ""),
    (answer(200, body=LOOK_ALIKES["a login with hcaptcha"]), "good", ""),
    (answer(200, body=PARKED["godaddy"]), "broken", "its domain is parked"),
    (answer(200, body=b"<h1>404 Not Found</h1>"), "good", ""),  # text alone proves nothing
    (failure("dns", "no such name", sent=False), "broken", "its host's name does not resolve"),
    (failure("connect", "connection refused", sent=False), "broken", "connection refused"),
    (failure("connect", "connection reset"), "broken", "connection reset"),
    (failure("timeout", "no answer within 20 s"), "broken", "no answer within 20 s"),
    (failure("tls", "the certificate has expired"), "broken", "the certificate has expired"),
    (failure("protocol", "not HTTP: b'x'"), "broken", "its answer is not valid HTTP: not HTTP"),
    (failure("refused", "127.0.0.1 is loopback", sent=False), "not-checked", "127.0.0.1 is loopback"),
    (failure("dns", "no server answers", lack="resolver"), "not-checked", "this machine could not ask"),
    (failure("connect", "no route", lack="network"), "not-checked", "this machine could not ask"),
    (failure("connect", "the proxy refuses us", lack="proxy"), "not-checked", "this machine could not ask"),
]


@pytest.mark.parametrize(("result", "verdict", "words"), GET)
def test_what_the_answer_to_get_says(result: FetchResult, verdict: Verdict, words: str) -> None:
    found = verdict_of_answer(result, "GET")
    assert found.verdict == verdict and words in found.cause
    assert bool(found.cause) == (verdict != "good")


HEAD: list[tuple[FetchResult, Verdict]] = [
    *((answer(status), "good") for status in (200, 203, 204, 206, 300, 304)),
    (answer(200, ("Content-Length", "0")), "good"),
    (answer(301, ("Location", "/b")), "good"),
    (answer(302, ("Location", "/login?next=/a")), "cannot-tell"),
    (answer(302), "get"),
    *((answer(status), "get") for status in (400, 401, 403, 404, 405, 406, 410, 418, 500, 501, 502, 503, 520)),
    *((answer(status), "cannot-tell") for status in (429, 451, 999)),
    (answer(403, ("cf-mitigated", "challenge")), "cannot-tell"),
    (answer(405, ("x-amzn-waf-action", "captcha")), "cannot-tell"),
    (failure("protocol", "not HTTP"), "get"),
    (failure("connect", "it closed"), "get"),
    (failure("timeout", "no answer within 20 s"), "get"),
    (failure("connect", "connection refused", sent=False), "broken"),
    (failure("timeout", "not connected within 10 s", sent=False), "broken"),
    (failure("dns", "no such name", sent=False), "broken"),
    (failure("tls", "the certificate has expired"), "broken"),
    (failure("refused", "10.0.0.1 is private", sent=False), "not-checked"),
    (failure("timeout", "no address", sent=False, lack="resolver"), "not-checked"),
]


@pytest.mark.parametrize(("result", "verdict"), HEAD)
def test_what_the_answer_to_head_says(result: FetchResult, verdict: Verdict) -> None:
    assert verdict_of_answer(result, "HEAD").verdict == verdict


def test_an_empty_file_has_no_range() -> None:
    assert verdict_of_answer(answer(416), "GET", ranged=True) == GOOD


STORED: list[tuple[Ended, Verdict, str]] = [
    (Ended("fetched", 200), "good", ""),
    (Ended("checked", 200), "good", ""),
    (
        Ended("checked", 200, "cannot tell: 200 OK: Anubis asks for proof"),
        "cannot-tell",
        "200 OK: Anubis asks for proof",
    ),
    (Ended("redirected", 301, url=URL, target="https://example.com/b"), "good", ""),
    (Ended("redirected", 302, url=URL, target="https://example.com/login?next=/a"), "cannot-tell", "login page"),
    (Ended("redirected", 302, url=URL, target="https://example.com/404"), "broken", "error page"),
    (Ended("missing", 404), "broken", "404 Not Found"),
    (Ended("missing", 410), "broken", "410 Gone"),
    (Ended("denied", 401), "cannot-tell", "401 Unauthorized"),
    (Ended("denied", 403), "cannot-tell", "403 Forbidden"),
    (Ended("denied", 451), "cannot-tell", "451"),
    (Ended("denied", 400), "broken", "400 Bad Request"),
    (Ended("dropped:robots"), "not-checked", "robots.txt disallows it"),
    (Ended("dropped:type", 200), "good", ""),
    (Ended("dropped:noindex", 200), "good", ""),
    (Ended("dropped:hook", 200), "good", ""),
    (Ended("dropped:trap"), "not-checked", "trap"),
    (Ended("dropped:limit"), "not-checked", "limit"),
    (Ended("failed:robots", error="robots.txt answered 503"), "not-checked", "its host's robots.txt could not be read"),
    (Ended("failed:dns", error="no such name"), "broken", "its host's name does not resolve"),
    (Ended("failed:connect", error="connection refused"), "broken", "connection refused"),
    (Ended("failed:connect", error="not checked: 127.0.0.1 is loopback"), "not-checked", "127.0.0.1 is loopback"),
    (Ended("failed:tls", error="the certificate has expired"), "broken", "the certificate has expired"),
    (Ended("failed:timeout", error="no answer within 20 s"), "broken", "no answer within 20 s"),
    (Ended("failed:timeout"), "broken", "timeout"),
    (Ended("failed:connect", error="its host is given up: no answer"), "broken", "its host is given up: no answer"),
    (Ended("failed:http", 429), "cannot-tell", "429 Too Many Requests"),
    (Ended("failed:http", 999), "cannot-tell", "999"),
    (Ended("failed:http", 503), "broken", "503 Service Unavailable"),
    (Ended("failed:http", 302), "broken", "302 Found without a Location"),
    (Ended("failed:http", error="not HTTP: b'x'"), "broken", "not HTTP"),
    (Ended("failed:redirect-loop", 302, "it redirects in a circle"), "broken", "it redirects in a circle"),
    (Ended("failed:hang"), "cannot-tell", "too long"),
    (Ended("failed:crash"), "cannot-tell", "worker"),
    (Ended(""), "not-checked", "not been asked"),
]


@pytest.mark.parametrize(("ended", "verdict", "words"), STORED)
def test_what_is_stored_says_the_same(ended: Ended, verdict: Verdict, words: str) -> None:
    found = verdict_of_outcome(ended)
    assert found.verdict == verdict and words in found.cause


@pytest.mark.parametrize("verdict", ["cannot-tell", "not-checked"])
@given(cause=st.text(min_size=1, max_size=50), status=st.integers(0, 999))
def test_what_outcomes_cannot_say_survives_in_the_error(verdict: Verdict, cause: str, status: int) -> None:
    judgement = Judgement(verdict, cause)
    for outcome in OUTCOMES:
        assert verdict_of_outcome(Ended(outcome, status, stored(judgement) or "")) == judgement


def test_good_leaves_no_error() -> None:
    assert stored(GOOD) is None and stored(Judgement("broken", "404 Not Found")) == "404 Not Found"


@given(st.sampled_from(["", *OUTCOMES]), st.integers(0, 999), st.text(max_size=30))
def test_every_outcome_has_a_verdict(outcome: str, status: int, error: str) -> None:
    found = verdict_of_outcome(Ended(outcome, status, error))
    assert found.verdict != "get" and (found == GOOD or found.cause)


@given(
    st.integers(100, 999),
    st.dictionaries(st.sampled_from(["location", "server", "cf-mitigated", "x-dd-b"]), st.text(max_size=20)),
    st.sampled_from(get_args(Method)),
)
def test_every_answer_has_a_verdict(status: int, headers: dict[str, str], method: Method) -> None:
    found = verdict_of_answer(answer(status, *headers.items()), method)
    assert found.verdict in get_args(Verdict) and (found == GOOD or found.cause)
    assert found.verdict != "get" or method == "HEAD"
