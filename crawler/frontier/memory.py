"""What a crawl takes of Redis's memory: how much is used in all, how much there is, and what one page costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from crawler.errors import RedisAway, RedisUnavailable
from crawler.frontier.corruption import naming
from crawler.frontier.decode import ids
from crawler.frontier.keys import Keys
from crawler.frontier.redis.connection import Connection

_SAMPLE: Final = 50
"""Pages that are weighed, the latest ones."""
_MIN_PAGES: Final = 10
"""So few say nothing of the others."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of Redis; None if it does not report them, or there is no basis."""

    used: int | None = None
    """In all, whatever uses them."""
    most: int | None = None
    """Its `maxmemory`, or the memory of its machine where that is not set."""
    bounded: bool = False
    """It is `maxmemory`."""
    a_page: int | None = None
    """The record of a page with its text, as the latest ones are that were not drained."""


def measure(connection: Connection, crawl: str, shards: int = 1) -> Footprint:
    """The footprint of *crawl*, over all its servers. Raises RedisAway, or DamagedCrawl where its records are none."""
    infos: list[Any] = [at.ask(lambda at=at: at.client.info("memory")) for at in connection.masters()]  # type: ignore[misc]
    bounded = all(info.get("maxmemory") for info in infos)
    most = [info.get("maxmemory") or info.get("total_system_memory") for info in infos]
    used = [info.get("used_memory") for info in infos]
    weights = [weight for shard in range(shards) for weight in _weights(connection, Keys(crawl, shard, shards), shards)]
    a_page = sum(weights) // len(weights) if len(weights) >= _MIN_PAGES else None
    return Footprint(_sum(used), _sum(most), bounded, a_page)


def _sum(numbers: Sequence[Any]) -> int | None:
    return None if None in numbers else sum(int(n) for n in numbers)


def _weights(connection: Connection, keys: Keys, shards: int) -> list[int]:
    """What the latest pages of one shard weigh."""
    connection = connection.at(keys.meta)
    client: Any = connection.client

    def weigh() -> list[int | None]:
        pipe = client.pipeline(transaction=False)
        for url_id in ids(client.xrevrange(keys.records, count=-(-_SAMPLE // shards))):
            pipe.memory_usage(keys.page(url_id))
        found: list[int | None] = pipe.execute()
        return found

    try:
        with naming(connection, keys):
            return [weight for weight in connection.ask(weigh) if weight]
    except RedisAway:
        raise
    except RedisUnavailable:  # a user who may not ask for it
        return []
