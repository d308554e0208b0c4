"""Flights that rest for their host's delay between two requests of one lease."""

from __future__ import annotations

import time
from typing import Any, cast

from crawler.clock import since_boot
from crawler.fetch.fetcher import FetchRequest, FetchResult, Headers, Response
from crawler.frontier.messages import Lease
from crawler.policy.cookies import Chain
from crawler.record import Entry, Request
from crawler.settings import Settings
from crawler.worker.downloader import NOT_AFTER_MARGIN, Download, Downloader
from crawler.worker.options import plan_of
from crawler.worker.outcome import LeasedPage

URL = "http://a.example/"


class Engine:
    """A fetcher that answers nothing but what a test puts into `ended`."""

    def __init__(self) -> None:
        self.free = 8
        self.asked: list[FetchRequest] = []
        self.ended: list[tuple[str, FetchResult]] = []

    def submit(self, request: FetchRequest, ticket: str) -> None:
        self.asked.append(request)

    def poll(self, timeout: float, most: int = 16) -> list[tuple[str, FetchResult]]:
        ended, self.ended = self.ended, []
        return ended

    def cancel(self, ticket: str) -> bool:
        return False


def _resting(delay: float, term: float = 90.0) -> tuple[Engine, Downloader, Download, bool]:
    """A page whose first answer came just now, and whose chain continues; times in seconds."""
    engine = Engine()
    transfers = Downloader(cast(Any, engine), cast(Any, None), plan_of(Settings()))
    host, raw = Request(URL).place()
    lease = Lease("0:1", "P", host, raw, 0, round(delay * 1000), "", since_boot() + term)
    download = Download(lease, LeasedPage(lease, Entry.decode(host, raw), "1"))
    transfers.fetch_page(cast(LeasedPage, download.held))
    engine.ended = [("0:1", Response(URL, 302, Headers()))]
    transfers.poll(0.0)
    [(download, _)] = transfers.results
    transfers.results.clear()
    return engine, transfers, download, transfers.follow(download, Chain(URL), URL, time.monotonic())


def test_it_is_held_but_neither_moves_nor_is_asked_for() -> None:
    engine, transfers, _, followed = _resting(60.0)
    transfers.poll(0.0)
    assert followed
    assert (transfers.tokens, transfers.free) == (["0:1"], 7)
    assert transfers.only_rests and not transfers.moving
    assert len(engine.asked) == 1


def test_it_goes_on_when_its_time_has_come() -> None:
    engine, transfers, download, _ = _resting(0.0)
    assert download.chain is not None
    download.chain.cookie = "a=1"
    transfers.poll(0.0)
    assert [request.url for request in engine.asked] == [URL, URL]
    assert engine.asked[1].headers == (("Cookie", "a=1"),)
    assert transfers.moving and not transfers.only_rests


def test_the_time_of_the_lease_bounds_its_rest() -> None:
    assert not _resting(60.0, term=60.0 + NOT_AFTER_MARGIN - 1)[3]
    assert _resting(60.0, term=60.0 + NOT_AFTER_MARGIN + 30)[3]


def test_a_lease_that_was_lost_sends_no_further_request() -> None:
    engine, transfers, _, _ = _resting(0.0)
    transfers.drop(frozenset({"0:1"}))
    transfers.poll(0.0)
    assert len(engine.asked) == 1
    assert not transfers and transfers.only_rests
