"""The one key table of the frontier. All keys of a shard carry its hash tag, so a shard lives in one cluster slot.

Prefix `crawler:{NAME.SHARD}:`, then:

| key | type | holds |
|---|---|---|
| `meta` | HASH | generation, schema, state, salt, revisions, the settings that scripts need, all settings as JSON |
| `ready` | ZSET | host -> due in ms of the server's clock: the hosts to lease from (see `settle` in prelude.lua) |
| `host:<host>` | HASH | queued, in_flight, due, delay, latency, backoff, backoff_until, failing_since, asking, \
robots_until:<scheme>, robots_rev, accepted |
| `robots:<origin>` | STRING | zlib of robots.txt; empty robots allows all; its time-out only frees memory |
| `queue:<host>:<0-2>` | LIST | entries; 0 sitemaps and retries by hand, 1 normal, 2 quarantined |
| `leases` | ZSET | token -> deadline in ms |
| `leased` | HASH | token -> `<kind><priority> <worker> <host> <entry>`; kind P (page) or R (robots) |
| `seen:<bucket>` | SET | ids of all URLs ever accepted, in BUCKETS sets, small enough to stay packed |
| `page:<id>` | HASH | `m` record as JSON, `t` zlib text, `at` its stream id, `token` of its commit |
| `records` | STREAM | `i` = id of a page, in the order of commits |
| `failed` | ZSET | id -> when in ms: the dead letters |
| `roots` | SET | sites, hosts or prefixes that are in scope |
| `sources` | ZSET | open seeders -> deadline in ms |
| `counters` | HASH | accepted, queued, leased, ended, outcome:<x>, status:<n>, refused:<reason>, bytes |
| `workers` | HASH | worker id -> ms of its last beat, then JSON |
| `wake` | LIST | a few hints for idle workers |
| `probe` | STRING | never written: asking to write it tells whether Redis is full |
"""

from __future__ import annotations

from typing import Final

BUCKETS: Final = 65_536
"""`seen` sets over all shards of a crawl; a set of up to 4,096 ids stays packed at about 10 bytes an id."""

FIXED: Final = (
    "meta",
    "ready",
    "leases",
    "leased",
    "counters",
    "wake",
    "records",
    "failed",
    "sources",
    "roots",
    "workers",
    "probe",
)
"""The keys that every script is given first, in this order; prelude.lua names them."""


class Keys:
    """The names of one shard's keys."""

    def __init__(self, crawl: str, shard: int = 0) -> None:
        self.prefix = f"crawler:{{{crawl}.{shard}}}:"
        self.fixed = tuple(self.prefix + name for name in FIXED)
        self.meta, self.ready, self.leases, self.leased, self.counters, self.wake = self.fixed[:6]
        self.records, self.failed, self.sources, self.roots, self.workers, self.probe = self.fixed[6:]

    def host(self, host: str) -> str:
        """The hash of a host."""
        return f"{self.prefix}host:{host}"

    def queue(self, host: str, priority: int) -> str:
        """The list of a host's entries of one priority."""
        return f"{self.prefix}queue:{host}:{priority}"

    def robots(self, origin: str) -> str:
        """The string that holds an origin's robots.txt."""
        return f"{self.prefix}robots:{origin}"

    def page(self, url_id: str) -> str:
        """The hash of a stored page."""
        return f"{self.prefix}page:{url_id}"

    def seen(self, url_id: str) -> str:
        """The set that an id belongs to."""
        return f"{self.prefix}seen:{int(url_id) % BUCKETS}"


def crawl_of_meta(key: str) -> str | None:
    """The crawl whose shard 0 has *key* as its `meta`; none for any other key."""
    if key.startswith("crawler:{") and key.endswith(".0}:meta"):
        return key[len("crawler:{") : -len(".0}:meta")]
    return None
