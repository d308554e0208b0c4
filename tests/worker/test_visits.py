"""Later visits of one URL through a worker: the record, the state, the counters, and the diff of what has changed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import pytest

from crawler.fetch.fetcher import FetchError, FetchResult, Headers, Response
from crawler.frontier.messages import Commit, Lease
from crawler.parse.extract import Extractor
from crawler.parse.page import Page
from crawler.record import Entry, Record, Request
from crawler.settings import Settings
from crawler.url_state import UrlState
from crawler.worker.context import Callbacks
from crawler.worker.link_filter import LinkFilter
from crawler.worker.options import plan_of
from crawler.worker.outcome import LeasedPage
from crawler.worker.processor import Processor
from crawler.worker.visit import states_before

URL = "http://a.example/page"
TEXT = "The boiler has to be inspected once a year by somebody who knows how; see the manual for the list of them."
HTML = f"""<!doctype html><title>Boilers</title><body><nav><a href="/">Home</a></nav>
<main><h1>Boilers</h1><p>{TEXT}</p><p>{TEXT} Or so.</p><p>Price: 129.00</p></main>
<footer>Made in 13 ms</footer>"""


class Site:
    """One URL, visited again and again; what a crawl keeps of it between the visits."""

    def __init__(self, *store: str, **settings: Any) -> None:
        plan = plan_of(Settings(store=store or ("text",), interval=1000.0, min_interval=1.0, **settings))
        links = LinkFilter(plan.scope, lambda candidates: [True] * len(candidates))
        self.sampled: list[str] = []
        callbacks = Callbacks(sample=lambda url, page: self.sampled.append(page.url))
        self._processor = Processor(cast(Any, self), links, plan, callbacks)
        self._plan = plan
        self.state: UrlState | None = None
        self.record: Record | None = None
        self.contents: Mapping[str, bytes] = {}
        self.words: dict[str, int] = {}

    def id(self, url: str) -> str:
        return str(zlib.crc32(url.encode()))

    def id_of(self, request: Request) -> str:
        return self.id(request.url)

    def first_with(self, token: str, digest: str) -> str | None:
        return None

    def main_of(self, token: str, url_id: str) -> str | None:
        packed = self.contents.get("main")
        return None if packed is None else zlib.decompress(packed).decode()

    def visit(
        self, result: FetchResult, conditions: tuple[tuple[str, str], ...] = (), *, sitemap: bool = False
    ) -> Commit:
        """Visit it, with this result; what is kept is brought up to date."""
        host, raw = Request(URL, revisit=self.state is not None, sitemap=sitemap).place()
        lease = Lease("0:1", "P", host, raw, 0, 0, "", 0.0)
        held = LeasedPage(lease, Entry.decode(host, raw), self.id(URL), URL, self.state, conditions, self._plan)
        commit = self._processor.handle(held, result, forgiving=False).message
        assert isinstance(commit, Commit)
        self.state = commit.state
        if commit.record is not None and not commit.keeps:
            self.record, self.contents = Record.decode(commit.record), commit.contents
        self.words = {name[6:]: n for name, n in commit.tallies.items() if name.startswith("visit:")}
        return commit


def page(html: str = HTML, status: int = 200, *, etag: str = "", robots: str = "") -> Response:
    fields = {"Content-Type": "text/html; charset=utf-8", "ETag": etag, "X-Robots-Tag": robots}
    return Response(URL, status, Headers([(name, value) for name, value in fields.items() if value]), html.encode())


def redirect(target: str) -> Response:
    return Response(URL, 301, Headers([("Location", target)]))


GONE = page("gone", 404)
BROKEN = FetchError(URL, "connect", "it broke off")


def test_a_first_visit_is_new() -> None:
    site = Site()
    site.visit(page(etag='"1"'))
    assert site.record is not None and site.state is not None
    assert (site.record.change, site.record.previous_digest) == ("new", None)
    assert (site.state.etag, site.state.visits, site.state.changes, site.state.interval) == ('"1"', 1, 0, 0)
    assert site.words == {"new": 1, "fetched": 1}
    assert site.sampled == [URL]


@pytest.mark.parametrize("answer", [page(), Response(URL, 304, Headers([("ETag", '"2"')]))], ids=["200", "304"])
def test_a_page_that_is_as_it_was_has_no_new_record(answer: Response) -> None:
    site = Site()
    site.visit(page(etag='"1"'))
    first = site.state
    commit = site.visit(answer, (("If-None-Match", '"1"'),))
    assert (commit.record, commit.contents, commit.digest, commit.similarity) == (None, {}, "", None)
    assert site.words == {"unchanged": 1, "fetched": 1}
    assert first is not None and site.state is not None
    assert (site.state.digest, site.state.text_digest) == (first.digest, first.text_digest)
    assert (site.state.status, site.state.visits, site.state.changes, site.state.interval) == (200, 2, 0, 1500)
    assert site.state.etag == ('"2"' if answer.status == 304 else None)
    assert site.sampled == [URL]  # it is not weighed for traps again


def test_a_changed_footer_is_boilerplate_and_a_changed_price_is_none() -> None:
    site = Site()
    site.visit(page())
    assert site.record is not None
    first = site.record.digest
    site.visit(page(HTML.replace("13 ms", "9 ms")))
    assert (site.record.change, site.record.previous_digest) == ("boilerplate", first and first[: len("sha256:") + 16])
    assert site.words == {"boilerplate": 1, "fetched": 1}
    assert site.state is not None and site.state.interval == 1500
    site.visit(page(HTML.replace("129", "119")))
    assert site.record.change == "changed"
    assert (site.state.interval, site.state.changes, site.state.visits) == (750, 2, 3)
    assert site.state.previous_text_digest is not None


def test_a_page_that_is_gone_moved_and_back() -> None:
    site = Site(retries=0)
    site.visit(page(etag='"1"'))
    changes = []
    for answer in (GONE, GONE, BROKEN, GONE, redirect("/new"), redirect("/new"), redirect("/other"), page(), page()):
        commit = site.visit(answer)
        changes.append((next(iter(site.words), None), commit.record is not None, commit.keeps))
    assert changes == [
        *(("gone", True, False), ("unchanged", False, False), ("failed", True, True), ("unchanged", False, False)),
        *(("moved", True, False), ("unchanged", False, False), ("moved", True, False)),
        *(("back", True, False), ("unchanged", False, False)),
    ]
    assert site.record is not None and site.record.text is None
    assert "text" in site.contents
    assert site.state is not None and not site.state.is_gone and site.state.target is None


def test_a_page_that_asks_not_to_be_kept_any_more_is_gone() -> None:
    site = Site()
    site.visit(page())
    site.visit(page(robots="noindex"))  # the same bytes
    assert site.record is not None
    assert (site.record.outcome, site.record.change, site.contents) == ("dropped:noindex", "gone", {})
    site.visit(page(HTML.replace("<title>", "<meta name=robots content=noindex><title>")))
    assert site.words == {"unchanged": 1}


@pytest.mark.parametrize("answer", [BROKEN, page("no", 403), page("oh", 500)], ids=["broken", "403", "500"])
def test_a_failed_visit_keeps_the_page(answer: FetchResult) -> None:
    site = Site(retries=0)
    site.visit(page(etag='"1"'))
    first = site.record
    commit = site.visit(answer)
    assert commit.keeps and commit.record is not None
    assert Record.decode(commit.record).change is None
    assert "failed" in site.words
    assert site.state is not None and site.state.etag == '"1"'
    site.visit(page())
    assert (site.words, site.record) == ({"unchanged": 1, "fetched": 1}, first)


def test_links_of_a_page_that_was_a_copy_are_not_followed_when_it_is_unchanged() -> None:
    site = Site()
    html = HTML.replace('href="/"', 'href="/elsewhere"')
    site.visit(page(html))
    assert site.state is not None
    site.state = msgspec.structs.replace(site.state, copy_of="99", depth=3)
    assert site.visit(page(html)).requests == ()


@pytest.mark.parametrize(
    ("first", "digest"),
    [({}, 5), ({"digest": 6}, 0), ({"is_gone": True}, 0), (None, 0)],
    ids=["as it was", "changed", "gone", "unknown"],
)
def test_a_copy_is_read_anew_when_its_first_page_has_another_content(first: dict[str, Any] | None, digest: int) -> None:
    host, raw = Request(URL, revisit=True).place()
    lease = Lease("0:1", "P", host, raw, 0, 0, "", 0.0)
    known = UrlState(url=URL, outcome="fetched", first_seen=1, checked_at=1, digest=5)
    stored = {"7": msgspec.structs.replace(known, copy_of="9")}
    stored |= {} if first is None else {"9": msgspec.structs.replace(known, **first)}
    asked: list[tuple[str, str]] = []

    def read(places: Sequence[tuple[str, str]]) -> list[UrlState | None]:
        asked.extend(places)
        return [stored.get(url_id) for _, url_id in places]

    found = states_before([lease], lambda url: "7", read)
    assert found["0:1"].digest == digest
    assert asked == [("a.example", "7"), ("a.example", "9")]


def test_a_page_that_was_skimmed_is_read_whole_when_it_has_changed() -> None:
    site = Site("meta")
    html = HTML.replace('<a href="/">Home</a>', "")
    words = []
    for version in (html, html.replace("129", "119"), html.replace("129", "119").replace("13 ms", "9 ms")):
        site.visit(page(version))
        words.append(next(iter(site.words)))
    assert words == ["new", "changed", "boilerplate"]


@pytest.mark.parametrize("answer", [GONE, redirect("/new")], ids=["gone", "moved"])
def test_a_sitemap_that_is_gone_is_recorded_as_a_sitemap(answer: Response) -> None:
    site = Site()
    site.visit(page("<urlset><url><loc>http://a.example/x</loc></url></urlset>"), sitemap=True)
    site.visit(answer, sitemap=True)
    assert site.record is not None and site.record.sitemap and site.record.change in ("gone", "moved")
    assert site.words == {}


def test_validators_of_the_page_that_a_redirect_within_the_lease_led_to_are_not_kept() -> None:
    site = Site()
    site.visit(msgspec.structs.replace(page(etag='"1"'), url="http://a.example/other"))
    assert site.state is not None and site.state.etag is None


# -- diffs -------------------------------------------------------------------------------------------------------------


def diff_of(commit: Commit) -> str | None:
    packed = commit.contents.get("diff")
    return None if packed is None else zlib.decompress(packed).decode()


def test_a_changed_page_has_the_lines_that_have_changed() -> None:
    site = Site("main", "diff")
    assert diff_of(site.visit(page())) is None
    diff = diff_of(site.visit(page(HTML.replace("129", "119"))))
    assert diff is not None
    assert diff.splitlines()[0].startswith("@@ ")
    assert [line for line in diff.splitlines() if line[0] in "+-"] == ["-Price: 129.00", "+Price: 119.00"]
    assert site.record is not None and not site.record.diff_missing


def test_a_page_whose_main_text_is_the_same_has_no_diff() -> None:
    site = Site("main", "diff")
    site.visit(page())
    assert diff_of(site.visit(page(HTML.replace("13 ms", "9 ms")))) is None
    assert site.record is not None and (site.record.change, site.record.diff_missing) == ("boilerplate", False)


@pytest.mark.parametrize("between", [[], [GONE]], ids=["drained", "gone"])
def test_a_diff_that_cannot_be_made_is_missing(between: list[Response]) -> None:
    site = Site("main", "diff")
    site.visit(page())
    for answer in between:
        site.visit(answer)
    site.contents = {}
    assert diff_of(site.visit(page(HTML.replace("129", "119")))) is None
    assert site.record is not None and site.record.diff_missing


def test_what_is_no_visit_of_a_page_asks_for_no_earlier_text(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site("main", "diff")

    def main_of(token: str, url_id: str) -> str | None:
        raise AssertionError("it was asked for")

    monkeypatch.setattr(site, "main_of", main_of)
    for answer in (page(), page(), GONE, redirect("/new")):
        site.visit(answer)
    assert site.state is not None and site.state.visits == 4


def test_a_page_is_read_at_each_visit_only_if_it_is_not_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def extract(self: Any, response: Response, **options: Any) -> Page:
        read.append(response.url)
        return real(self, response, **options)

    real = Extractor.extract
    monkeypatch.setattr(Extractor, "extract", extract)
    site = Site()
    for html in (HTML, HTML, HTML.replace("129", "119")):
        site.visit(page(html))
    assert len(read) == 2
