"""What a crawl takes of Redis's memory: how much is used in all, how much there is, and what one page costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from crawler.errors import RedisAway, RedisUnavailable
from crawler.frontier.damage import naming
from crawler.frontier.keys import Keys
from crawler.frontier.link import Link
from crawler.frontier.parsing import ids

_SAMPLE: Final = 50
"""Pages that are weighed, the latest ones."""
_LEAST: Final = 10
"""So few say nothing of the others."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of Redis; none where it does not say, or there is no basis."""

    used: int | None = None
    """In all, whatever uses them."""
    most: int | None = None
    """Its `maxmemory`, or the memory of its machine where that is not set."""
    bounded: bool = False
    """It is `maxmemory`."""
    a_page: int | None = None
    """The record of a page with its text, as the latest ones are that were not drained."""


def measure(link: Link, crawl: str) -> Footprint:
    """The footprint of *crawl*, now. Raises RedisAway, or DamagedCrawl where its records are none."""
    client: Any = link.client
    info = link.ask(lambda: client.info("memory"))
    bounded = bool(info.get("maxmemory"))
    most = info.get("maxmemory") or info.get("total_system_memory")
    with naming(link, crawl):
        return Footprint(_whole(info.get("used_memory")), _whole(most), bounded, _a_page(link, Keys(crawl)))


def _whole(n: Any) -> int | None:
    return None if n is None else int(n)


def _a_page(link: Link, keys: Keys) -> int | None:
    client: Any = link.client

    def weigh() -> list[int | None]:
        pipe = client.pipeline(transaction=False)
        for url_id in ids(client.xrevrange(keys.records, count=_SAMPLE)):
            pipe.memory_usage(keys.page(url_id))
        found: list[int | None] = pipe.execute()
        return found

    try:
        weights = [weight for weight in link.ask(weigh) if weight]
    except RedisAway:
        raise
    except RedisUnavailable:  # a user who may not ask for it
        return None
    return sum(weights) // len(weights) if len(weights) >= _LEAST else None
