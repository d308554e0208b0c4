"""What only the requests engine has: a pool that its threads share."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.fetch import requests_connection
from crawler.fetch.fetcher import FetcherOptions, FetchRequest, Response
from crawler.fetch.requests import RequestsFetcher
from tests.fetch.conftest import fetch_by
from tests.servers import Server, once_a_connection


@pytest.fixture
def other_threads_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gives a connection back to the pool finds another one on top of it."""
    give_back = requests_connection._Pool._put_conn

    def below(pool: Any, connection: Any) -> None:
        give_back(pool, connection)
        pool.pool.queue.insert(0, pool.pool.queue.pop())

    monkeypatch.setattr(requests_connection._Pool, "_put_conn", below)


@pytest.mark.usefixtures("other_threads_are_quick")
def test_the_second_try_is_not_made_on_another_idle_connection(server: Server) -> None:
    server.otherwise = once_a_connection(3)
    fetcher = RequestsFetcher(FetcherOptions(user_agent="test", concurrency=3, allow_private=True))
    for ticket in "abc":
        fetcher.submit(FetchRequest(server.url("/first")), ticket)
    ended: list[str] = []
    while len(ended) < 3:
        ended += [ticket for ticket, _ in fetcher.poll(5)]
    result = fetch_by(fetcher, server.url("/again"))
    fetcher.close()
    assert isinstance(result, Response) and result.body == b"body"
    assert [seen.connection for seen in server.seen if seen.path == "/again"][1:] == [4]
