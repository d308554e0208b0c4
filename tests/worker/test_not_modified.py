"""Conditional requests of a worker: when they are sent, and what it makes of 304, asked for or not."""

from __future__ import annotations

import time
import zlib
from typing import Any, cast

import pytest

from crawler.clock import since_boot
from crawler.fetch.fetcher import FetchRequest, FetchResult, Headers, Response
from crawler.frontier.messages import Commit, Lease, RobotsResult
from crawler.policy.validators import Validators
from crawler.record import Record, Request
from crawler.settings import Settings
from crawler.url_state import UrlState
from crawler.worker.context import Callbacks
from crawler.worker.downloader import Downloader
from crawler.worker.link_filter import LinkFilter
from crawler.worker.options import plan_of
from crawler.worker.outcome import UNASKED
from crawler.worker.pending_call import PendingCall
from crawler.worker.pipeline import Pipeline
from crawler.worker.processor import Processor
from crawler.worker.robots_cache import SPARE, SPARE_WITH_VALIDATORS, RobotsCache
from crawler.worker.stored_robots import StoredRobots

URL = "http://a.example/page"
ROBOTS = b"User-agent: *\nDisallow: /x\nCrawl-delay: 3\nSitemap: /map.xml\n"
TAGGED = (("If-None-Match", '"1"'),)
NO_CACHE = (("Cache-Control", "no-cache"),)


class Engine:
    """A fetcher that gives the answers of a test, one after the other."""

    free, lack = 8, ""

    def __init__(self, answers: list[FetchResult]) -> None:
        self.asked: list[FetchRequest] = []
        self._answers = answers
        self._due: list[tuple[str, FetchResult]] = []

    def submit(self, request: FetchRequest, ticket: str) -> None:
        self.asked.append(request)
        self._due = [(ticket, self._answers.pop(0))]

    def poll(self, timeout: float, most: int = 16) -> list[tuple[str, FetchResult]]:
        due, self._due = self._due, []
        return due

    @property
    def headers(self) -> list[tuple[tuple[str, str], ...]]:
        return [request.headers for request in self.asked]


class Memory:
    """What a crawl keeps in Redis."""

    def __init__(self, robots: bytes | None = None) -> None:
        self._robots = robots

    def id(self, url: str) -> str:
        return "7" if url == URL else "8"

    def id_of(self, request: Request) -> str:
        return self.id(request.url)

    def first_with(self, token: str, digest: str) -> str | None:
        return None

    def packed_robots(self, origin: str) -> bytes | None:
        return self._robots


def pipeline(memory: Memory, *answers: FetchResult) -> tuple[Engine, Downloader, Pipeline]:
    plan = plan_of(Settings(ignore_robots=True))
    links = LinkFilter(plan.scope, lambda candidates: [True] * len(candidates))
    engine = Engine([*answers])
    downloader = Downloader(cast(Any, engine), links, plan)
    processor = Processor(cast(Any, memory), links, plan, Callbacks())
    rules = RobotsCache(cast(Any, memory), plan.agent, 1 << 20)
    return engine, downloader, Pipeline(downloader, rules, links, processor)


def run(lease: Lease, before: UrlState | None, *answers: FetchResult, memory: Memory) -> tuple[Engine, PendingCall]:
    """Take a lease to its end."""
    engine, downloader, steps = pipeline(memory, *answers)
    ended = steps.begin(lease, before)
    while ended is None:
        downloader.poll(0.0)
        download, result = downloader.results.popleft()
        ended = steps.handle(download, result)
    return engine, ended


def lease_of(url: str = URL, delay_ms: int = 0, term: float = 90.0, **request: Any) -> Lease:
    host, raw = Request(url, revisit=True, **request).place()
    return Lease("0:1", "P", host, raw, 0, delay_ms, "", since_boot() + term)


def visit(before: UrlState | None, *answers: FetchResult, **lease: Any) -> tuple[Engine, Record]:
    engine, ended = run(lease_of(**lease), before, *answers, memory=Memory())
    assert isinstance(ended.message, Commit), ended.message
    return engine, Record.decode(ended.message.record or b"")


def robots_visit(
    stored: StoredRobots | bytes | None, *answers: FetchResult, rev: int = 1
) -> tuple[Engine, RobotsResult]:
    lease = Lease("0:1", "R", "a.example", b"0", rev, 0, "", since_boot() + 90)
    raw = stored.encode() if isinstance(stored, StoredRobots) else stored
    engine, ended = run(lease, None, *answers, memory=Memory(raw))
    assert isinstance(ended.message, RobotsResult), ended.message
    return engine, ended.message


def state(**more: Any) -> UrlState:
    values: dict[str, Any] = {"digest": 7, "status": 200, "etag": '"1"', **more}
    return UrlState(url=URL, outcome="fetched", first_seen=1, checked_at=1, **values)


def not_modified(*headers: tuple[str, str], url: str = URL) -> Response:
    return Response(url, 304, Headers(headers))


def page(body: bytes = b"<p>page", *headers: tuple[str, str], status: int = 200, url: str = URL) -> Response:
    return Response(url, status, Headers([("Content-Type", "text/html"), *headers]), body)


# -- pages -------------------------------------------------------------------------------------------------------------


def test_a_first_visit_has_no_conditions_and_a_later_one_those_of_its_state() -> None:
    assert visit(None, page())[0].headers == [()]
    assert visit(state(), page())[0].headers == [TAGGED]


@pytest.mark.parametrize("sitemap", [False, True])
def test_a_304_that_was_asked_for_stores_nothing_and_renews_the_validators(sitemap: bool) -> None:
    before = state(sitemap=sitemap, changed_at=1)
    renewed = not_modified(("ETag", 'W/"2"'), ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"))
    engine, ended = run(lease_of(sitemap=sitemap), before, renewed, memory=Memory())
    assert engine.headers == [TAGGED]
    assert isinstance(ended.message, Commit)
    after = ended.message.state
    assert (ended.message.record, ended.message.before, ended.message.tallies["status:304"]) == (None, before, 1)
    assert (after.outcome, after.status, after.etag, after.last_modified) == ("fetched", 200, 'W/"2"', 784_111_777)
    assert (after.visits, after.digest, after.changed_at, after.sitemap) == (2, 7, 1, sitemap)
    assert after.checked_at > 1


def test_an_answer_leaves_its_validators_in_the_state() -> None:
    dated = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
    for answer, expected in (
        (page(b"<p>a", ("ETag", '"1"'), dated), ('"1"', 784_111_777)),
        (page(b"<p>a", ("ETag", "odd"), dated), (None, 784_111_777)),
        (page(b"<p>a", ("ETag", '"1"'), dated, ("Vary", "*")), (None, None)),
        (page(b"<p>a", ("ETag", '"1"'), dated, status=404), (None, None)),
    ):
        ended = run(lease_of(), None, answer, memory=Memory())[1].message
        assert isinstance(ended, Commit)
        assert (ended.state.etag, ended.state.last_modified) == expected


def test_validators_of_another_url_are_not_kept() -> None:
    moved = page(b"", ("Location", "/there"), ("Set-Cookie", "a=1"), status=302)
    there = page(b"<p>there", ("ETag", '"1"'), url="http://a.example/there")
    ended = run(lease_of(), None, moved, there, memory=Memory())[1].message
    assert isinstance(ended, Commit)
    assert (ended.state.outcome, ended.state.etag) == ("fetched", None)
    assert ended.state.digest


def test_a_304_that_nobody_asked_for_is_asked_again_past_all_caches() -> None:
    engine, record = visit(None, not_modified(), page())
    assert engine.headers == [(), NO_CACHE]
    assert [request.url for request in engine.asked] == [URL, URL]
    assert engine.asked[0].types == engine.asked[1].types
    assert (record.outcome, record.status, record.error) == ("fetched", 200, None)


def test_a_server_that_insists_on_304_fails_in_clear_words() -> None:
    engine, record = visit(state(etag=None), not_modified(), not_modified())
    assert engine.headers == [(), NO_CACHE]
    assert (record.outcome, record.status, record.error) == ("failed:http", 304, UNASKED)


def test_no_second_request_is_sent_when_the_lease_has_no_time_for_it() -> None:
    answer = Response(URL, 304, Headers(), ended=time.monotonic())
    engine, record = visit(None, answer, delay_ms=60_000, term=30.0)
    assert engine.headers == [()]
    assert (record.outcome, record.error) == ("failed:http", UNASKED)


def test_conditions_do_not_follow_a_redirect_within_the_lease() -> None:
    """They belong to the URL that gave the validators; so a 304 there was not asked for."""
    there = "http://a.example/there"
    moved = page(b"", ("Location", "/there"), ("Set-Cookie", "a=1"), status=302)
    cookie = ("Cookie", "a=1")
    engine, record = visit(state(), moved, not_modified(url=there), page(url=there))
    assert engine.headers == [TAGGED, (cookie,), (cookie, *NO_CACHE)]
    assert [request.url for request in engine.asked] == [URL, there, there]
    assert (record.outcome, record.redirect_to) == ("fetched", there)


def test_a_chain_that_insists_on_304_fails() -> None:
    there = "http://a.example/there"
    moved = page(b"", ("Location", "/there"), ("Set-Cookie", "a=1"), status=302)
    _, record = visit(state(), moved, not_modified(url=there), not_modified(url=there))
    assert (record.outcome, record.error) == ("failed:http", UNASKED)


# -- robots.txt --------------------------------------------------------------------------------------------------------

KNOWN = StoredRobots(ROBOTS, Validators('"1"'))


def test_a_first_robots_txt_is_stored_with_its_validators() -> None:
    engine, result = robots_visit(None, page(ROBOTS, ("ETag", '"1"')), rev=0)
    assert engine.headers == [()]
    assert StoredRobots.decode(result.text) == KNOWN
    assert (result.spare, result.crawl_delay) == (SPARE_WITH_VALIDATORS, 3.0)


def test_one_without_validators_is_stored_as_ever() -> None:
    _, result = robots_visit(None, page(ROBOTS), rev=0)
    assert (result.text, result.spare) == (zlib.compress(ROBOTS), SPARE)
    assert StoredRobots.decode(result.text) is None


def test_a_304_renews_the_rules() -> None:
    engine, result = robots_visit(KNOWN, not_modified(("ETag", 'W/"2"')))
    assert engine.headers == [TAGGED]
    assert (result.event, result.crawl_delay, result.ttl) == ("ok", 3.0, 86_400.0)
    assert StoredRobots.decode(result.text) == StoredRobots(ROBOTS, Validators('W/"2"'))


def test_new_rules_replace_the_old_ones() -> None:
    _, result = robots_visit(KNOWN, page(b"User-agent: *\nDisallow: /", ("ETag", '"2"')))
    assert StoredRobots.decode(result.text) == StoredRobots(b"User-agent: *\nDisallow: /", Validators('"2"'))


def test_a_304_for_a_robots_txt_that_nobody_asked_for_is_asked_again() -> None:
    engine, result = robots_visit(None, not_modified(), page(ROBOTS))
    assert engine.headers == [(), NO_CACHE]
    assert result.text == zlib.compress(ROBOTS)


def test_validators_behind_a_redirect_are_those_of_another_url() -> None:
    there = "http://a.example/there.txt"
    moved = page(b"", ("Location", "/there.txt"), status=301)
    engine, result = robots_visit(KNOWN, moved, page(ROBOTS, ("ETag", '"1"'), url=there))
    assert engine.headers == [TAGGED, ()]
    assert StoredRobots.decode(result.text) is None


def test_a_304_behind_a_redirect_was_not_asked_for() -> None:
    moved = page(b"", ("Location", "/there.txt"), status=301)
    engine, result = robots_visit(KNOWN, moved, not_modified(), page(b"User-agent: *\nDisallow: /y"))
    assert engine.headers == [TAGGED, (), NO_CACHE]
    assert zlib.decompress(result.text) == b"User-agent: *\nDisallow: /y"


def test_every_tenth_request_for_a_robots_txt_is_whole() -> None:
    asked = [robots_visit(KNOWN, page(ROBOTS), rev=rev)[0].headers for rev in range(1, 21)]
    assert [n for n, headers in enumerate(asked, 1) if headers == [()]] == [10, 20]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no zlib",
        zlib.compress(ROBOTS)[:-2],
        zlib.compress(ROBOTS) + b"{}",
        zlib.compress(ROBOTS) + b'["1"',
        zlib.compress(ROBOTS) + b'["*",null]',
        zlib.compress(ROBOTS) + b'["\\"1\\"","now"]',
        zlib.compress(ROBOTS) + b"[" * 300,
        zlib.compress(b"x" * 600_000) + b'["\\"1\\"",null]',
    ],
)
def test_what_something_else_wrote_into_redis_makes_no_condition(raw: bytes) -> None:
    engine, result = robots_visit(raw, page(ROBOTS))
    assert engine.headers == [()]
    assert zlib.decompress(result.text) == ROBOTS
