"""Blocked hosts: none of their URLs is handed out or accepted until they are unblocked. And settings of single hosts.

A name is a host as the crawl knows it (with its port if that is not the scheme's own), or `*.name` for a name with all
below it, whatever the port.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final

from crawler import url as urls
from crawler.errors import InvalidURL, UsageError
from crawler.frontier import verbs
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import OfHost
from crawler.frontier.redis.connection import Call
from crawler.frontier.shards.hosts import ShardHosts
from crawler.frontier.shards.shard import Shard

_SLICE: Final = 500
"""Hosts that one call blocks."""

_PATTERN: Final = re.compile(r"\*\.[^*/:\s]+")


def name_of(given: str) -> str:
    """The host, or `*.name`, that a person means, as the crawl knows it. Raises UsageError."""
    name = given.lower()
    if _PATTERN.fullmatch(name):
        return f"*.{name_of(name[2:])}"
    try:
        if "/" in given or "*" in given:
            raise InvalidURL(given, "invalid", "it is no host")
        return urls.host(urls.canonicalize(f"http://{given}/")).removesuffix(":443")
    except InvalidURL:
        raise UsageError(f"{given!r}: a host is needed: example.org, example.org:8080 or *.example.org") from None


def block(frontier: Frontier, names: Sequence[str]) -> tuple[int, int]:
    """Block the hosts that *names* mean; how many known hosts were not blocked before, and how many URLs they hold."""
    found = [_of_shard(shard, names, verbs.block) for shard in frontier.shards]
    return sum(hosts for _, hosts, _ in found), sum(held for _, _, held in found)


def unblock(frontier: Frontier, names: Sequence[str]) -> tuple[int, int]:
    """Unblock *names*; how many of them were blocked, and how many URLs wait again."""
    found = [_of_shard(shard, names, verbs.unblock) for shard in frontier.shards]
    return max(known for known, _, _ in found), sum(waiting for _, _, waiting in found)


def set_for(frontier: Frontier, names: Sequence[str], setting: OfHost, value: str) -> int:
    """Set what counts for the hosts that *names* mean (see `verbs.set_host`); how many of them are known."""
    verb = partial(verbs.set_host, setting=setting, value=value)
    return sum(_of_shard(shard, names, verb)[2] for shard in frontier.shards)


def _of_shard(shard: Shard, names: Sequence[str], verb: Callable[..., Call[tuple[int, int]]]) -> tuple[int, int, int]:
    """The first number of the names, then the sums of both for the known hosts.

    The names go first, so that a host that is new meanwhile is judged by them.
    """
    known, _ = shard.ask(verb(shard, names))
    more = [shard.ask(verb(shard, names, hosts)) for hosts in _matching(shard, names)]
    return known, sum(first for first, _ in more), sum(second for _, second in more)


def _matching(shard: Shard, names: Sequence[str]) -> Iterator[list[str]]:
    """The known hosts that *names* mean, in slices."""
    yield [name for name in names if not name.startswith("*.")]
    for name in names:
        if name.startswith("*."):
            rows = ShardHosts(shard).all(f"*{name[2:]}*")
            found = (row.host for row in rows if f".{row.host.partition(':')[0]}".endswith(name[1:]))
            while some := list(islice(found, _SLICE)):
                yield some
