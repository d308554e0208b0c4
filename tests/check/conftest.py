"""Fixtures of the report's tests: crawls that were checked, on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.check.crawled import Crawled


@pytest.fixture(params=[1, 3])
def crawled(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Crawled]:
    """A crawl in one shard, and one in three."""
    made = Crawled(redis_url, request.param)
    yield made
    made.link.close()
