"""States of URLs that have ended, for tests of later visits."""

from __future__ import annotations

from collections.abc import Iterable

from crawler.frontier.visits import Ended
from crawler.record import Request
from crawler.url_state import UrlState, id_bytes
from tests.frontier.crawls import Crawl


def put_states(crawl: Crawl, states: Iterable[UrlState]) -> None:
    """Store *states* as they are."""
    keys = crawl.frontier.keys
    for state in states:
        url_id = crawl.frontier.id_of(Request(state.url, target=state.is_target))
        crawl.link.client.hset(keys.ended(url_id), id_bytes(url_id), state.encode())


def stored(crawl: Crawl, url: str) -> UrlState:
    """The state of *url*."""
    url_id = crawl.frontier.id(url)
    (raw,) = crawl.frontier.read(("HGET", crawl.frontier.keys.ended(url_id), id_bytes(url_id)))
    return UrlState.decode(raw)


def ended(crawl: Crawl, url: str, *, target: bool = False) -> tuple[Ended, Request]:
    """What `revisit` needs to queue *url*."""
    url_id = crawl.frontier.id_of(Request(url, target=target))
    (raw,) = crawl.frontier.read(("HGET", crawl.frontier.keys.ended(url_id), id_bytes(url_id)))
    found = Ended(url_id, raw, UrlState.decode(raw))
    return found, found.request()
