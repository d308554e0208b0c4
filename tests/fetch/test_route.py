"""Requests for one origin take another way; their results name the URLs that were asked for."""

from __future__ import annotations

import pytest

from crawler.fetch.fetcher import FetchError, FetchRequest, Response
from crawler.fetch.route import Route
from tests.fetch.conftest import OpenFetcher, fetch_by
from tests.servers import Server, page, silence


@pytest.fixture
def route(server: Server) -> Route:
    server.on("/secret/a", page(b"routed"))
    server.on("/a", page(b"direct"))
    return Route("https://site.example", server.url("/secret"))


def test_one_origin_goes_elsewhere(open_fetcher: OpenFetcher, server: Server, route: Route) -> None:
    fetcher = open_fetcher(route=str(route), allow_private=False)
    found = fetch_by(fetcher, "https://site.example/a?x=1")
    assert isinstance(found, Response)
    assert (found.url, found.body) == ("https://site.example/a?x=1", b"routed")
    assert [seen.target for seen in server.seen] == ["/secret/a?x=1"]


@pytest.mark.parametrize("url", ["http://site.example/a", "https://site.example:444/a", "https://site.example.evil/a"])
def test_other_origins_do_not(route: Route, url: str) -> None:
    assert route.of(url) is None
    assert Route.parse(str(route)) == route


def test_the_guard_holds_for_all_others(open_fetcher: OpenFetcher, server: Server, route: Route) -> None:
    """Only the server itself may be reached, also after the list of hosts was replaced."""
    fetcher = open_fetcher(route=str(route), allow_private=False)
    with Server("127.0.0.1") as other:
        found = fetch_by(fetcher, other.url("/a"))
        assert isinstance(found, FetchError)
        assert found.kind == "refused"
        fetcher.allow(frozenset({other.authority}))
        assert isinstance(fetch_by(fetcher, other.url("/a")), Response)
    assert isinstance(fetch_by(fetcher, "https://site.example/a"), Response)


def test_failures_name_the_url_too(open_fetcher: OpenFetcher, server: Server, route: Route) -> None:
    fetcher = open_fetcher(route=str(route))
    server.on("/secret/slow", silence)
    found = fetch_by(fetcher, "https://site.example/slow", timeout=0.3)
    assert isinstance(found, FetchError)
    assert (found.url, found.kind) == ("https://site.example/slow", "timeout")


def test_a_cancelled_request_is_forgotten(open_fetcher: OpenFetcher, server: Server, route: Route) -> None:
    fetcher = open_fetcher(route=str(route))
    server.on("/secret/slow", silence)
    fetcher.submit(FetchRequest("https://site.example/slow"), "gone")
    assert fetcher.cancel("gone")
    fetcher.submit(FetchRequest(server.url("/a")), "gone")
    ((_, found),) = fetcher.poll(5)
    assert isinstance(found, Response)
    assert found.url == server.url("/a")
