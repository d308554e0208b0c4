"""What a hook returns, taken apart: data, items, further URLs, and the page's end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from crawler import Drop, Page, Request
from crawler.fetch.fetcher import Headers, Response
from crawler.worker.hook_call import HookCalls
from crawler.worker.hook_result import HookResult, Returned


def _taken(result: Any) -> tuple[Any, list[Request]]:
    found = Returned()
    found.take(result)
    return found.data, found.requests


def _page() -> Page:
    return Page("https://shop.example/a/tea", Response("https://shop.example/a/tea", 200, Headers([]), b""))


@pytest.mark.parametrize("value", [None, 0, 1.5, True, "text", b"raw", {"a": 1}, ["a", 2], [], object])
def test_other_values_are_data_as_they_are(value: Any) -> None:
    assert _taken(value) == (value, [])


def test_what_can_be_iterated_becomes_a_list() -> None:
    assert _taken(n for n in range(3)) == ([0, 1, 2], [])
    assert _taken({"b": 1}.keys()) == (["b"], [])
    assert _taken(iter(())) == ([], [])


@pytest.mark.parametrize("make", [list, tuple, iter])
def test_dicts_become_items(make: Any) -> None:
    assert _taken(make([{"n": 1}, {"n": 2}])) == ({"items": [{"n": 1}, {"n": 2}]}, [])
    assert _taken(make([{"n": 1}, 2])) == ([{"n": 1}, 2], [])


def test_requests_are_taken_out() -> None:
    one, two = Request("/1"), Request("/2", depth=1, priority=3)
    assert _taken(one) == (None, [one])
    assert _taken([one, two]) == (None, [one, two])
    assert _taken(iter([one, {"n": 1}, two])) == ({"items": [{"n": 1}]}, [one, two])


def test_a_coroutine_is_an_error() -> None:
    async def later() -> int:
        return 1

    with pytest.raises(TypeError, match="coroutine"):
        _taken(later())


def test_what_came_before_a_drop_or_an_error_is_crawled() -> None:
    def drops(page: Page) -> Iterator[Any]:
        yield from (Request("/next"), {"n": 1}, Drop("too old"))

    def fails(page: Page) -> Iterator[Any]:
        yield Request("/next")
        raise KeyError("price")

    dropped, failed = HookCalls(drops).call(_page()), HookCalls(fails).call(_page())
    assert (dropped.is_dropped, dropped.error, dropped.data) == (True, "too old", None)
    assert (failed.is_dropped, failed.data) == (False, None)
    assert [r.url for r in (*dropped.requests, *failed.requests)] == ["https://shop.example/next"] * 2


def test_urls_are_made_canonical_and_ordered_by_priority() -> None:
    made = [Request("b"), Request("//other.example", priority=1), Request("https://x.example/#f", depth=9, priority=2)]
    result = HookCalls(lambda page: made).call(_page())
    assert result.error is None
    assert result.requests == (
        Request("https://x.example/", depth=9, priority=2),
        Request("https://other.example/", priority=1),
        Request("https://shop.example/a/b"),
    )


def test_an_invalid_url_is_an_error_that_costs_nothing_else() -> None:
    reported: list[str] = []
    calls = HookCalls(
        lambda page: [{"n": 1}, Request("mailto:a@b.example"), Request("/ok"), Request("ftp://b.example/")],
        lambda url, text: reported.append(text),
    )
    result: HookResult = calls.call(_page())
    assert msgspec.json.decode(result.data) == {"items": [{"n": 1}]}
    assert [request.url for request in result.requests] == ["https://shop.example/ok"]
    assert result.error is not None
    assert result.error.startswith("hook: InvalidURL: 'mailto:a@b.example' is not a URL to crawl")
    assert (result.tallies["hook_calls"], result.tallies["hook_errors"]) == (1, 1)
    assert reported == [result.error.removeprefix("hook: ")]
    assert calls.call(_page()).tallies == result.tallies
    assert len(reported) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"url": 5}, TypeError),
        ({"url": None}, TypeError),
        ({"url": "/a", "depth": 0}, ValueError),
        ({"url": "/a", "depth": 255}, ValueError),
        ({"url": "/a", "depth": "1"}, ValueError),
        ({"url": "/a", "priority": -1}, ValueError),
    ],
)
def test_a_request_that_cannot_be_is_refused_where_it_is_made(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="Request: "):
        Request(**arguments)


def test_a_request_within_data_is_an_error() -> None:
    result = HookCalls(lambda page: {"next": Request("/next")}).call(_page())
    assert (result.error or "").startswith("hook: TypeError: JSON cannot hold data['next']")
    assert result.requests == ()
    assert repr(Request("/next", depth=2, priority=1)) == "Request('/next', depth=2, priority=1)"
