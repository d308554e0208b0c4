"""Which URLs were ever accepted; and how many ids each set of `seen` has: a fact of the crawl, fixed when it is made.

lua/shared/seen.lua has the rest. Redis keeps a set of numbers packed up to its `set-max-intset-entries`, at 8 bytes an
id; a larger set takes about 70.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from crawler.errors import FrontierError, RedisAway, RedisUnavailable
from crawler.frontier import decode, verbs
from crawler.frontier.crawldb import grouped
from crawler.frontier.keys import shard_of
from crawler.frontier.redis.connection import Connection
from crawler.frontier.scripts import SEEN
from crawler.frontier.shards.shard import Shard
from crawler.url import host as host_of

_SETTING: Final = "set-max-intset-entries"
_LARGEST: Final = 16_384
"""Adding an id to a set moves half of it on the average: 64 KiB."""
_SMALLEST: Final = 64


def accepted(shards: Sequence[Shard], urls: Sequence[str], *, target: bool = False) -> list[bool]:
    """Which of up to 1,000 canonical URLs were ever accepted (*target*: as targets); *shards* are all of the crawl."""
    found: dict[str, bool] = {}
    for shard, own in grouped(urls, lambda url: shards[shard_of(host_of(url), len(shards))]).items():
        answers: list[bool] = shard.ask(verbs.accepted(shard, own, target=target))
        found |= zip(own, answers, strict=True)
    return [found[url] for url in urls]


def set_size(connection: Connection) -> int:
    """Ids of one set for a crawl that is about to be made; where CONFIG is forbidden, as the default limit allows.

    Raises RedisAway, or RedisUnavailable if a cluster does not say which servers it has.
    """
    return min(_size(server) for server in connection.masters())


def _size(server: Connection) -> int:
    client: Any = server.client
    try:
        found = server.ask(lambda: client.config_get(_SETTING))
    except RedisAway:
        raise
    except (RedisUnavailable, FrontierError):
        found = {}
    limit = decode.number(found.get(_SETTING))
    return min(max(limit * 3 // 4, _SMALLEST), _LARGEST) if limit else SEEN["SET"]
