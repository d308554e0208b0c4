"""How a URL's end is written down: the record, its counts, and what the frontier is told beside them."""

from __future__ import annotations

import dataclasses
import hashlib
import time
import zlib
from collections import Counter
from typing import Any, Final, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import record as records
from crawler.fetch.fetcher import Headers, Response
from crawler.frontier.messages import Lease
from crawler.parse.content import PlainContent
from crawler.parse.page import Page
from crawler.policy.similarity import similarity
from crawler.record import Entry, Link, Record, Request
from crawler.worker import outcome as endings
from crawler.worker.hook_result import HookResult
from crawler.worker.outcome import Discovered, HostFeedback, LeasedPage

URL = "https://example.org/a?b"
SHARED: Final = sorted({field.name for field in dataclasses.fields(Page)} & set(Record.__struct_fields__))
"""The fields of the same name in a page and in its record."""
TYPES: Final = get_type_hints(Record, vars(records))
TAKEN: Final = [name for name in SHARED if name not in ("url", *records.CONTENTS)]
"""Those that the record takes as they are."""


def _record(raw: bytes | None) -> Record:
    assert raw is not None
    return Record.decode(raw)


def _held(request: Request | None = None, attempts: int = 0) -> LeasedPage:
    host, raw = (request or Request(URL, depth=2, via="77")).place()
    raw = bytes([attempts]) + raw[1:]
    lease = Lease("token:1", "P", host, raw, 3, 1000, "", 0.0)
    return LeasedPage(lease, Entry.decode(host, raw), "42")


def _response(status: int = 200, body: bytes = b"", *headers: tuple[str, str], skipped: bool = False) -> Response:
    return Response(URL, status, Headers(headers), body, skipped=skipped, elapsed=0.25, first_byte=0.125)


def test_a_page() -> None:
    """Everything that is known of it is kept, its text apart and compressed, its links as requests."""
    body = b"<p>text"
    response = _response(
        200, body, ("Content-Type", "text/html; charset=x"), ("ETag", '"e"'), ("Last-Modified", "then")
    )
    page = Page(
        URL,
        response,
        charset="utf-8",
        title="Title",
        description="About",
        lang="en",
        canonical="https://example.org/c",
        text="text",
        links_total=9,
    )
    requests = [Request("https://example.org/x", 3, 0, "42")]
    found = Discovered(requests, ["example.org"], Counter(scope=4, cap=1), HookResult({"price": 1}), None)
    ending = endings.of_page(_held(attempts=0x12), page, found, HostFeedback("ok", 750), {"text", "main"})
    record = _record(ending.record)
    assert record == Record(
        url=URL,
        outcome="fetched",
        depth=2,
        status=200,
        title="Title",
        description="About",
        lang="en",
        content_type="text/html",
        charset="utf-8",
        size=7,
        digest=f"sha256:{hashlib.sha256(body).hexdigest()}",
        via="77",
        canonical="https://example.org/c",
        link_count=9,
        etag='"e"',
        last_modified="then",
        fetched_at=record.fetched_at,
        elapsed_ms=250,
        attempts=4,
        change="new",
    )
    contents = {name: zlib.decompress(packed) for name, packed in ending.contents.items()}
    assert contents == {"text": b"text", "data": b'{"price":1}'}
    assert ending.tallies == {
        **{"status:200": 1, "bytes": 7, "refused:scope": 4, "refused:cap": 1},
        **{"visit:new": 1, "visit:fetched": 1},
    }
    assert (ending.event, ending.rest_ms, ending.latency_ms) == ("ok", 750, 125)
    assert (ending.requests, ending.roots, ending.outcome, ending.id) == (requests, ["example.org"], "fetched", "42")


WORDS = " ".join(f"word{n}" for n in range(50))


@pytest.mark.parametrize(
    ("texts", "of"),
    [
        ({"text": "menu " + WORDS, "main": WORDS}, WORDS),
        ({"text": "menu " + WORDS, "markdown": WORDS}, WORDS),
        ({"text": "menu " + WORDS}, "menu " + WORDS),
        ({"text": WORDS, "main": "short"}, None),
        ({}, None),
    ],
)
def test_a_page_is_compared_by_its_main_text(texts: dict[str, str], of: str | None) -> None:
    page = Page(URL, _response(200, b"<p>x"), text=texts.get("text"))
    content = PlainContent("", "text/plain", truncated=False)
    content.main, content.markdown = texts.get("main", "?"), texts.get("markdown", "?")
    page.content = content
    ending = endings.of_page(_held(), page, Discovered(), HostFeedback(), texts, near=True)
    assert ending.similarity == (None if of is None else similarity(of))
    assert endings.of_page(_held(), page, Discovered(), HostFeedback(), texts).similarity is None


def test_what_is_no_whole_page_of_its_own_is_not_compared() -> None:
    page = Page(URL, _response(200, b"<p>x"), text=WORDS)
    pages = [
        dataclasses.replace(page, noindex=True),
        dataclasses.replace(page, refresh="https://example.org/"),
        dataclasses.replace(page, response=msgspec.structs.replace(page.response, truncated=True)),
    ]
    for one in pages:
        assert endings.of_page(_held(), one, Discovered(), HostFeedback(), {"text"}, near=True).similarity is None
    copy = Discovered(original="https://example.org/c")
    assert endings.of_page(_held(), page, copy, HostFeedback(), {"text"}, near=True).similarity is None


@pytest.mark.parametrize("name", TAKEN)
def test_a_field_of_the_page_has_the_same_type_and_default_in_the_record(name: str) -> None:
    page, record = (cls.__annotations__[name] for cls in (Page, Record))
    assert page == record
    assert getattr(Page(URL, _response()), name) == getattr(Record(url=URL, outcome="fetched", depth=0), name)


@given(st.fixed_dictionaries({name: st.from_type(TYPES[name]) for name in TAKEN}))
def test_the_record_takes_each_field_that_it_shares_with_the_page(values: dict[str, Any]) -> None:
    page = Page(URL, _response(), **values)
    record = _record(endings.of_page(_held(), page, Discovered(), HostFeedback()).record)
    assert {name: getattr(record, name) for name in TAKEN} == values


@given(st.fixed_dictionaries({name: st.from_type(TYPES[name]) for name in TAKEN}))
def test_of_a_page_that_asks_not_to_be_kept_only_its_address_and_encoding_stay(values: dict[str, Any]) -> None:
    record, bare = (
        _record(endings.of_page(_held(), page, Discovered(), HostFeedback()).record)
        for page in (Page(URL, _response(), noindex=True, **values), Page(URL, _response(), noindex=True))
    )
    assert (record.charset, record.canonical) == (values["charset"], values["canonical"])
    assert [name for name in TAKEN if getattr(record, name) != getattr(bare, name)] == [
        name for name in ("canonical", "charset") if values[name] is not None
    ]


def test_the_url_the_text_and_the_links_have_ways_of_their_own() -> None:
    page = Page("https://example.org/elsewhere", _response(), text="text", links=[Link(url="x")])
    record = _record(endings.of_page(_held(), page, Discovered(), HostFeedback()).record)
    assert (record.url, record.text, record.links) == (URL, None, None)


def test_a_page_that_asks_not_to_be_kept() -> None:
    """Its address and numbers stay, its words do not; its links are followed all the same."""
    page = Page(
        URL, _response(200, b"secret"), title="secret", description="secret", lang="en", text="secret", noindex=True
    )
    requests = [Request("https://example.org/x", 3, 0, "42")]
    ending = endings.of_page(_held(), page, Discovered(requests, hook=HookResult("secret")), HostFeedback("ok"))
    assert ending.outcome == _record(ending.record).outcome == "dropped:noindex"
    assert b"secret" not in (ending.record or b"secret")
    assert ending.contents == {}
    assert ending.requests == requests


def test_an_answer_without_a_page() -> None:
    ending = endings.of_response(
        *(_held(), "failed:http", _response(503, b"busy"), HostFeedback("slow", 5)),
        Discovered(error="503 Service Unavailable"),
    )
    record = _record(ending.record)
    assert (record.outcome, record.status, record.size, record.error) == (
        "failed:http",
        503,
        4,
        "503 Service Unavailable",
    )
    assert (ending.event, ending.rest_ms) == ("slow", 5)


def test_a_sitemap_that_failed_is_told_as_one_so_that_it_is_tried_again_as_one() -> None:
    held = _held(Request(URL, sitemap=True))
    for outcome, marked in (("failed:http", True), ("dropped:type", False)):
        assert _record(endings.of_response(held, outcome, _response(500), HostFeedback()).record).sitemap is marked
    too_many = endings.of_redirect(held, _response(302), None, Discovered(refused=Counter(hops=1)), HostFeedback())
    assert _record(too_many.record).sitemap
    loop = endings.of_redirect(held, _response(302), URL, Discovered(), HostFeedback(), "7")
    assert _record(loop.loop).sitemap
    assert not _record(loop.record).sitemap
    assert not _record(endings.of_redirect(held, _response(302), None, Discovered(), HostFeedback()).record).sitemap


def test_a_body_that_was_not_read_has_no_size() -> None:
    response = _response(200, b"", ("Content-Type", "image/png"), skipped=True)
    record = _record(endings.of_response(_held(), "dropped:type", response, HostFeedback()).record)
    assert (record.size, record.digest, record.content_type) == (None, None, "image/png")


def test_redirects() -> None:
    """The target is kept; where it cannot be crawled, what the server said and why."""
    response = _response(301, b"", ("Location", "ftp://else.where/"))
    record = _record(
        endings.of_redirect(_held(), response, "https://example.org/b", Discovered(), HostFeedback()).record
    )
    assert (record.outcome, record.status, record.redirect_to) == ("redirected", 301, "https://example.org/b")
    record = _record(endings.of_redirect(_held(), response, None, Discovered(error="no"), HostFeedback()).record)
    assert (record.outcome, record.redirect_to, record.error) == ("redirected", "ftp://else.where/", "no")


def test_an_end_without_an_answer() -> None:
    """A seed has no origin; nothing is counted as read."""
    ending = endings.of_failure(_held(Request(URL)), "failed:dns", "no such name", HostFeedback("dead", 9))
    record = _record(ending.record)
    assert record == Record(url=URL, outcome="failed:dns", depth=0, attempts=1, error="no such name")
    assert (ending.event, ending.rest_ms, ending.tallies, ending.latency_ms) == ("dead", 9, {"visit:failed": 1}, None)


def test_an_entry_that_cannot_be_read() -> None:
    """The host is known, and what was found; no other record has its URL."""
    lease = Lease("token:1", "P", "example.org", b"x", 0, 0, "", 0.0)
    ending = endings.of_bad_entry(lease, "not a queue entry: " + "x" * 10_000, lambda url: f"id of {url}")
    record = _record(ending.record)
    assert (record.url, record.outcome) == ("http://example.org/#bad-entry-token:1", "failed:bad-entry")
    assert (record.error or "").startswith("not a queue entry: ")
    assert len(ending.record or b"") < 1_000
    assert ending.id == "id of http://example.org/#bad-entry-token:1"


def test_long_fields_are_cut() -> None:
    """A server may send kilobytes of each; a record keeps 500 characters."""
    long = "x" * 5000
    response = _response(
        302, b"", ("ETag", long), ("Last-Modified", long), ("Content-Type", f"x/{long}"), ("Location", long)
    )
    record = _record(endings.of_redirect(_held(), response, None, Discovered(error=long), HostFeedback()).record or b"")
    for field in (record.etag, record.last_modified, record.content_type, record.redirect_to, record.error):
        assert field is not None
        assert len(field) == endings.MAX_FIELD
        assert field.endswith("…")


def test_the_time_is_when_the_answer_ended() -> None:
    """Not when it was written down; RFC 3339 in UTC."""
    ended = Response(URL, 200, Headers(), ended=time.monotonic() - 3600)
    before = time.gmtime(time.time() - 3601)
    record = _record(endings.of_response(_held(), "fetched", ended, HostFeedback()).record)
    after = time.gmtime(time.time() - 3599)
    form = "%Y-%m-%dT%H:%M:%SZ"
    assert time.strftime(form, before) <= (record.fetched_at or "") <= time.strftime(form, after)
