"""The report: what it counts, that it is one file without scripts, and what hostile pages cannot do in it."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

import msgspec
import pytest

from crawler.crawl.session import Session
from crawler.monitor.report import Tally, Timeline, render
from crawler.record import Record
from tests.monitor.crawls import HOSTILE, end, open_session


@pytest.fixture
def session(redis_url: str) -> Iterator[Session]:
    with open_session(redis_url, exclude=(HOSTILE,)) as made:
        yield made


class Elements(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def page_of(session: Session) -> Elements:
    return Elements(render(session.find(), session.settings, 1_800_000_000))


def test_it_shows_what_was_crawled_and_how_it_ended(session: Session) -> None:
    records = [
        Record(url=f"http://a.example/{n}", outcome="fetched", depth=n, status=200, size=5000, content_type="text/html")
        for n in range(7)
    ]
    lost = Record(url="http://b.example/x", outcome="failed:http", depth=1, status=503, error="503 Service Unavailable")
    end(session, [*records, lost])
    words = " ".join(page_of(session).text.split())
    assert "URLs ended 8" in words
    assert "failed:http 503 Service Unavailable 1 http://b.example/x" in words
    assert "a.example 7 7 0 34.2 KiB" in words
    assert "text/html 7" in words
    assert "to 16.0 KiB 7" in words
    assert "Settings that are not the defaults: delay" in words


def test_what_sites_wrote_is_text(session: Session) -> None:
    """Markup in errors, types, hosts and settings stays text; characters that reorder text are shown."""
    error = f"{HOSTILE}\u202egnp.exe"
    facts = {"depth": 0, "status": 500, "size": 1, "error": error, "content_type": HOSTILE}
    copy = f"http://a.example/{HOSTILE}"
    urls = [f"http://a.example/'onload={n}" for n in range(2)]
    end(
        session,
        [
            msgspec.convert({"url": url, "outcome": "failed:http", "duplicate_of": copy, **facts}, Record)
            for url in urls
        ],
    )
    page = page_of(session)
    assert HOSTILE in page.text
    assert "\u202e" not in page.text
    assert page.tags & {"script", "img", "iframe", "object", "embed", "form", "link", "base"} == set()
    assert [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "style")] == []
    assert {value.partition(":")[0] for name, value in page.attributes if name == "href"} == {"http"}
    (policy,) = (value for _, value in page.attributes if value.startswith("default-src"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_an_empty_crawl_has_a_report(session: Session) -> None:
    assert "No URL failed." in page_of(session).text


def test_a_curve_has_few_steps_however_long_the_crawl_was() -> None:
    timeline = Timeline()
    for second in range(0, 1_000_000, 500):
        timeline.add(second)
    assert len(timeline.rates) <= 240
    assert sum(timeline.rates) * timeline.width == pytest.approx(2000)


def test_a_curve_has_a_step_a_second_where_that_fits() -> None:
    timeline = Timeline()
    for second in (100, 100, 102):
        timeline.add(second)
    assert (timeline.width, timeline.rates) == (1, [2, 0, 1])


def test_what_is_counted_is_bounded_and_nothing_is_left_out() -> None:
    tally = Tally()
    for n in range(12_000):
        tally.add(Record(url=f"http://h{n}.example/", outcome="failed:http", depth=0, error=f"e{n}"))
    assert len(tally.hosts) <= 10_001
    assert len(tally.causes) <= 10_001
    assert sum(row.ended for row in tally.hosts.values()) == 12_000
    assert sum(row.ended for row in tally.causes.values()) == 12_000


def test_a_time_that_is_none_is_left_out() -> None:
    tally = Tally()
    tally.read([Record(url="http://a.example/", outcome="fetched", depth=0, fetched_at="yesterday")])
    assert (tally.count, tally.speed.rates) == (1, [])
