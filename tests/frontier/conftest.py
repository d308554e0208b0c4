"""Fixtures of the frontier's tests: every test runs on each server binary.

`link`    a connection to a running, empty Redis
`make`    makes a crawl with the given limits, on a clock that the test moves; its invariants are checked at the end
`crawl`   one without delay and without robots.txt
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from tests.frontier.crawls import Crawl, Make


@pytest.fixture
def link(both_redis_url: str) -> Iterator[Connection]:
    """A connection to a running, empty Redis."""
    link = Connection(both_redis_url)
    yield link
    link.close()


@pytest.fixture
def make(link: Connection) -> Iterator[Make]:
    """Makes crawls; whatever the test did to them, the invariants hold at its end."""
    made: list[Crawl] = []

    def make_one(*, name: str = "test", **limits: object) -> Crawl:
        settings = {"delay_ms": 0, "robots": False, "per_host": 10, **limits}
        made.append(Crawl(link, Limits(**settings), name=name))  # type: ignore[arg-type]
        return made[-1]

    yield make_one
    for crawl in made:
        if link.client.exists(crawl.frontier.keys.meta):
            crawl.snapshot()


@pytest.fixture
def crawl(make: Make) -> Crawl:
    """A crawl without delay and without robots.txt."""
    return make()
