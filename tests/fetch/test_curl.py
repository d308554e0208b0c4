"""What only the curl engine has: callbacks that must not print, and idle connections that it looks at itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crawler.fetch.answer import Answer
from crawler.fetch.curl import CurlFetcher
from crawler.fetch.fetcher import FetcherOptions, FetchError, FetchRequest, Response
from crawler.fetch.guard import Guard
from tests.fetch.conftest import fetch_by
from tests.servers import Server


@pytest.fixture
def fetcher() -> Iterator[CurlFetcher]:
    opened = CurlFetcher(FetcherOptions(user_agent="test", concurrency=4, allow_private=True))
    yield opened
    opened.close()


CALLBACKS = [(Answer, "line"), (Answer, "feed"), (Guard, "check")]


@pytest.mark.parametrize(("owner", "name"), CALLBACKS)
def test_a_bug_in_a_callback_is_one_failed_fetch(
    server: Server,
    fetcher: CurlFetcher,
    capfd: pytest.CaptureFixture[str],
    owner: type,
    name: str,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, lambda *_: 1 // 0)
        result = fetch_by(fetcher, server.url("/a"))
    assert isinstance(result, FetchError) and "ZeroDivisionError" in result.detail
    assert isinstance(fetch_by(fetcher, server.url("/b")), Response)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("owner", "name"), CALLBACKS)
def test_an_interrupt_in_a_callback_is_not_lost(
    server: Server, fetcher: CurlFetcher, capfd: pytest.CaptureFixture[str], owner: type, name: str
) -> None:
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, interrupted)
        fetcher.submit(FetchRequest(server.url("/a")), "a")
        with pytest.raises(KeyboardInterrupt):
            fetcher.poll(5)
    [(ticket, result)] = fetcher.poll(5)
    assert ticket == "a" and isinstance(result, FetchError)
    assert capfd.readouterr() == ("", "")


def test_header_lines_without_a_value_are_sent(server: Server, fetcher: CurlFetcher) -> None:
    fetch_by(fetcher, server.url("/a"), headers=(("X-Empty", ""), ("X-Ümlaut", "ü")))
    assert server.seen[0].headers["x-empty"] == ""
    assert any(line.encode("latin-1") == "X-Ümlaut: ü".encode() for line in server.seen[0].lines)
