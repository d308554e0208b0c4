"""Why a leased page is not fetched."""

from __future__ import annotations

import pytest

from crawler.frontier.messages import Lease, Trouble
from crawler.policy.scope import Scope
from crawler.record import Entry, Request
from crawler.worker.link_filter import LinkFilter
from crawler.worker.outcome import LeasedPage
from crawler.worker.refusals import refusal_of

URL = "http://example.org/page"


def refused(
    request: Request, scope: Scope | None = None, *, trouble: Trouble = "", cause: str = ""
) -> tuple[str, str] | None:
    """`refusal_of` of a page that was leased, with robots.txt ignored."""
    host, raw = request.place()
    lease = Lease("t:1", "P", host, raw, 0, 0, trouble, 0.0, cause=cause)
    links = LinkFilter(scope or Scope(), lambda candidates: [True] * len(candidates))
    return refusal_of(LeasedPage(lease, Entry.decode(host, raw), "1"), links, None)


def test_a_page_that_may_be_fetched() -> None:
    assert refused(Request(URL, depth=1)) is None


@pytest.mark.parametrize(
    ("cause", "outcome", "words"),
    [
        ("connect connection refused", "failed:connect", "connection refused"),
        ("robots robots.txt answered 500 Internal Server Error", "failed:robots", "robots.txt answered 500"),
        ("timeout no answer in 30 s", "failed:timeout", "no answer in 30 s"),
        ("dns no such name", "failed:dns", "no such name"),
        ("proxy it refuses", "failed:connect", "it refuses"),
        ("", "failed:connect", "no answer"),
    ],
)
def test_a_host_that_is_given_up_ends_its_urls_by_its_last_trouble(cause: str, outcome: str, words: str) -> None:
    found = refused(Request(URL, depth=1), trouble="away", cause=cause)
    assert found is not None
    assert found[0] == outcome
    assert found[1].startswith("its host is given up after --host-patience: ") and words in found[1]


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("tls the certificate has expired", "the certificate has expired, as was seen with robots.txt"),
        ("", "its host's certificate or TLS handshake fails, as was seen with robots.txt"),
        ("connect reset", "its host's certificate or TLS handshake fails, as was seen with robots.txt"),
    ],
)
def test_a_certificate_that_was_refused_with_robots_txt_is_said_of_each_page(cause: str, words: str) -> None:
    assert refused(Request(URL, depth=1), trouble="tls", cause=cause) == ("failed:tls", words)


@pytest.mark.parametrize(
    ("scope", "why"),
    [
        (Scope(exclude=("/page",)), "an --exclude pattern is found in it"),
        (Scope(include=("/other",)), "no --include pattern is found in it"),
        (Scope(include=("/page",), exclude=("/other",)), None),
    ],
)
def test_changed_filters_refuse_what_is_queued(scope: Scope, why: str | None) -> None:
    expected = None if why is None else ("dropped:scope", f"the filters were changed: {why}")
    assert refused(Request(URL, depth=1), scope) == expected


def test_filters_refuse_no_seed_nor_its_redirects_nor_a_sitemap() -> None:
    scope = Scope(exclude=("/page",))
    for request in (Request(URL), Request(URL, hops=1, via="7"), Request(URL, depth=1, sitemap=True)):
        assert refused(request, scope) is None
