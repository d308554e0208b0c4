"""Links that another crawl has fetched are refused, unless a seed leads there; Redis is asked once about each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from crawler.errors import RedisAway
from crawler.fingerprint import fingerprints, number_of
from crawler.policy.scope import Scope
from crawler.worker.link_filter import LinkFilter
from crawler.worker.seen_before import SeenBefore

OLD, NEW = "http://a.example/old?b=1&a=2", "http://a.example/new"


class Imported:
    """Fingerprints as Redis would have them; counts what it is asked."""

    def __init__(self, *urls: str, maker: int = 0) -> None:
        self.numbers = {number_of(list(fingerprints(url))[maker]) for url in urls}
        self.asked = 0
        self.away = False

    def __call__(self, numbers: Sequence[int]) -> list[bool]:
        if self.away:
            raise RedisAway("away")
        self.asked += len(numbers)
        return [number in self.numbers for number in numbers]


def links_of(imported: Imported) -> LinkFilter:
    links = LinkFilter(Scope(), lambda keys: [True] * len(keys))
    links.seen_before = SeenBefore(imported)
    return links


@pytest.mark.parametrize("maker", range(3), ids=["scrapy", "scrapy-redis", "before Scrapy 2.7"])
def test_they_are_refused_and_counted(maker: int) -> None:
    requests, refused = links_of(Imported(OLD, maker=maker)).admit([OLD, NEW], depth=1, via="0")
    assert [request.url for request in requests] == [NEW]
    assert refused == {"seen-before": 1}


def test_another_order_of_parameters_is_the_same_page_as_it_was_for_scrapy() -> None:
    assert links_of(Imported(OLD)).admit(["http://a.example/old?a=2&b=1"], depth=1, via="0")[0] == []


def test_where_a_seed_redirects_to_is_fetched() -> None:
    requests, refused = links_of(Imported(OLD)).admit([OLD], depth=0, via="0", hops=1)
    assert ([request.url for request in requests], refused) == ([OLD], {})


def test_redis_is_asked_once_about_what_is_found() -> None:
    imported = Imported(OLD)
    links = links_of(imported)
    for _ in range(3):
        assert links.admit([OLD], depth=1, via="0")[1] == {"seen-before": 1}
    assert imported.asked == 3  # one fingerprint of each kind


def test_a_page_needs_no_parsing_for_such_links() -> None:
    links = links_of(Imported(OLD))
    assert not links.is_settled(OLD)
    links.admit([OLD, NEW], depth=1, via="0")
    assert links.is_settled(OLD)
    assert not links.is_settled(NEW)


def test_while_redis_is_away_nothing_is_decided() -> None:
    imported = Imported(OLD)
    imported.away = True
    links = links_of(imported)
    with pytest.raises(RedisAway):
        links.admit([OLD], depth=1, via="0")
    imported.away = False
    assert links.admit([OLD], depth=1, via="0")[1] == {"seen-before": 1}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.worker.seen_before._MOST", 10)
    urls = [f"http://a.example/{n}" for n in range(100)]
    found = SeenBefore(Imported(*urls))
    for url in urls:
        assert found.of([url]) == {url}
    assert sum(url in found for url in urls) <= 11
