"""The one key table of the frontier. All keys of a shard carry its hash tag, so a shard lives in one cluster slot.

A site lives in one shard with all its hosts, so budgets of a site and pages of a template are counted in one place.

Prefix `crawler:{NAME.SHARD}:` (of several shards `{NAME.SHARD-N}`, see `tag`), then:

| key | type | holds |
|---|---|---|
| `meta` | HASH | generation, schema, state, salt, revisions, the settings that scripts need, all settings as JSON, \
visit and visit_ms (number of the latest visit from the second on, and when it began), \
sources:<digest> (the arguments of a command that named SOURCEs, see crawl/purpose.py), \
full_site (it fills Redis: no new links of it) |
| `ready`, `ready_proven`, `ready_failing` | ZSET | host -> due in ms of the server's clock: the hosts to lease \
from, each in one of the three: new, proven and failing ones (see `settle` and `index_of` in shared/hosts.lua) |
| `blocked` | SET | hosts whose URLs are not handed out, and `*.name` for a name with all below it |
| `host_settings` | HASH | `delay NAME` (ms), `per_host NAME` or `max_pages_per_host NAME` -> what \
counts for these hosts in place of the crawl's |
| `failing` | ZSET | host with queued or leased URLs -> since when it has a trouble, in ms |
| `busy` | ZSET | site whose pages take long to handle -> until when others go first, in ms |
| `host:<host>` | HASH | queued, in_flight, due, delay, latency, backoff, backoff_until, failing_since, \
no_name_since, asking, robots_until:<scheme>, robots_rev, robots_crashes, accepted, seen (its ids in `seen`), ip, \
undo (token of the latest lease, while its delay may be given back), answers (pages answered in a row, up to 2), \
late (it was given up early, because others waited), site (see `site_key`), done and errors (its URLs that ended, \
and those that failed), trouble (what is wrong with it now: kind and words), trouble_ms (since when), blocked, \
no_validators (its ETags and dates do not tell versions of a page apart) |
| `robots:<origin>` | STRING | zlib of robots.txt, then its validators; an empty one allows all; its time-out frees \
memory |
| `queue:<host>:<0-2>` | LIST | entries; 0 sitemaps and retries by hand, 1 normal, or its head, 2 quarantined |
| `queue:<host>:packed`, `queue:<host>:tail` | LIST | what follows the head of a long queue: compressed entries (see \
segment.py), and the newest ones |
| `leases` | ZSET | token -> deadline in ms |
| `leased` | HASH | token -> `<kind><priority> <worker> <host> <entry>`; kind P (page) or R (robots) |
| `seen:<bucket>` | SET | ids of the first URLs that were accepted of each host, in BUCKETS sets that they share |
| `seen:<host>:<level>.<part>` | SET | ids of the further ones, in sets that stay packed (see \
shared/seen.lua) |
| `seen_before:<bucket>` | SET | 63 bits of each fingerprint that was imported (see fingerprint.py): links to \
what they stand for are refused |
| `ended:<bucket>` | HASH | id (8 bytes) -> the packed state of a URL that has ended (see url_state.py); it outlives \
the record |
| `links:<bucket>` | HASH | of a crawl that `crawler check` began: id (8 bytes) -> what a page names, and what is \
wrong with it (see checked_page.py) |
| `page:<id>` | HASH | `m` record as JSON, its contents (zlib) in the fields of CONTENT_FIELDS, `at` its stream id, \
`n` id (8 bytes) of a page with nearly the same text; `f` and `fat`: record and stream id of a later visit that \
failed. It is gone once it is drained; of a dead letter only `at` is |
| `findings` | HASH | of the first shard: digest (8 bytes) of what a check found -> since when, in seconds |
| `digests:<bucket>` | HASH | 63 bits of a content's digest -> id (8 bytes) of the first page that had it |
| `near:<band>` | HASH | 6 bits of a similarity hash, the last ones of a band -> the latest pages with this band: \
hash and id of each (see shared/similar.lua) |
| `sites` | HASH | site -> URLs accepted, `<site> hosts` -> hosts; where it is needed `<site> ip` (the address that \
answered last), `<site> cost`, `<site> probe` (the lease that is to show whether its pages still take long) |
| `starts` | ZSET | `<site> <address>` of a site with many hosts -> when in ms its hosts there may be asked next, \
and behind it ` line` -> until when hosts wait for that |
| `traps` | HASH | quarantined template -> when in ms |
| `template:<id>` | HASH | a template that many URLs share: pages, fresh (in this window), total, state |
| `prints:<id>` | SET | fingerprints of what its pages held |
| `ips`, `ip_of` | HASH | address (only with --per-ip), and `<site> <address>` of a site with many hosts -> leases \
out to it; token -> those that it counts for, one a line |
| `records` | STREAM | `i` = id of a page, in the order of commits |
| `sweep` | HASH | of the first shard: the sweeper, who looks for what is due to be visited again: owner, until (ms, \
when its lease ends), began (ms), choice (of URLs, in words), cursor, queued (by it), visit (that it began) |
| `outbox` | HASH | of each other shard, its number in front: pending (messages to be delivered), at (the last that \
was), run (its server's run id then), mark and mark_ms (what may be trimmed later); pending in all, courier, \
courier_until |
| `parcels:<shard>` | STREAM | `d` = requests for that shard (see outbox.py), until they were delivered for a while |
| `failed` | ZSET | id -> when in ms: the dead letters, and what was dropped as a trap |
| `roots` | SET | sites, hosts or prefixes that are in scope |
| `sources` | ZSET | open seeders -> deadline in ms |
| `counters` | HASH | accepted, queued, leased, ended, held (queued of blocked hosts), drained, targets, outcome:<x>, \
status:<n>, refused:<reason>, bytes, visit:<x> (what the latest visit found), revisited |
| `workers` | HASH | worker id -> ms of its last heartbeat, then JSON |
| `wake` | LIST | a few hints for idle workers |
| `probe` | STRING | never written: an empty write to it shows whether Redis is full |
"""

from __future__ import annotations

import re
from binascii import crc_hqx
from functools import lru_cache
from itertools import chain, count, pairwise
from typing import Final, Literal, TypeAlias
from zlib import crc32

from crawler.record import CONTENTS
from crawler.url import site_of_host

CONTENT_FIELDS: Final = {name: name for name in CONTENTS} | {"text": "t"}
"""The field of `page:<id>` that holds each of a page's contents."""
BUCKETS: Final = 65_536
"""Sets of `seen` that hosts share, over all shards of a crawl; and of `seen_before`."""
MIN_BUCKETS: Final = 16_384
"""Of a shard: those of 96 shards then hold five billion ids, 3,200 each."""
SLOTS: Final = 16_384
"""Of a Redis Cluster."""
ENDED_BUCKETS: Final = 16_384
"""`ended` hashes over all shards, if their number is a power of two."""
MIN_ENDED_BUCKETS: Final = 64
"""Of a shard, however many there are."""
DIGEST_BUCKETS: Final = 16_384
"""`digests` hashes; one of up to 512 fields (Redis's default) stays packed at about 22 bytes a page."""
NEAR_BANDS: Final = 5
"""A similarity hash is looked up by this many parts of its 64 bits: of 13 bits, but for the last."""
_BAND_BITS: Final = 13
_NEAR_FIELDS: Final = 64
"""Values of a band in one `near` hash: it stays packed until it is well filled."""

_OF_LINKS: Final = 16
"""`ended` hashes for each `links` hash."""

Hash: TypeAlias = str
List: TypeAlias = str
Set: TypeAlias = str
Stream: TypeAlias = str
String: TypeAlias = str
ZSet: TypeAlias = str
"""The name of a key, by the type of its value."""


class Keys:
    """The names of one shard's keys. The fixed ones come first: this is their table."""

    meta: Hash
    ready: ZSet
    leases: ZSet
    leased: Hash
    counters: Hash
    wake: List
    records: Stream
    failed: ZSet
    sources: ZSet
    roots: Set
    workers: Hash
    probe: String
    sites: Hash
    traps: Hash
    ips: Hash
    ip_of: Hash
    outbox: Hash
    ready_proven: ZSet
    ready_failing: ZSet
    busy: ZSet
    starts: ZSet
    blocked: Set
    host_settings: Hash
    failing: ZSet
    sweep: Hash

    def __init__(self, crawl: str, shard: int = 0, shards: int = 1) -> None:
        self.prefix = f"crawler:{{{tag(crawl, shard, shards)}}}:"
        self.crawl = crawl
        self._buckets = max(BUCKETS // shards, MIN_BUCKETS)
        self.ended_buckets = max(ENDED_BUCKETS >> (shards - 1).bit_length(), MIN_ENDED_BUCKETS)
        """How many `ended` hashes the shard has: a power of two."""
        self.links_buckets = max(self.ended_buckets // _OF_LINKS, 1)
        """How many `links` hashes: their values are too long for a hash to be packed, so fewer of them take less."""
        self.fixed = tuple(self.prefix + name for name in FIXED)
        vars(self).update(zip(FIXED, self.fixed, strict=True))
        self.indexes = self.ready, self.ready_proven, self.ready_failing

    def kind(self, key: str) -> str | None:
        """The type that *key* must have; None if it is not a key of ours."""
        return _KIND_OF.get(key.removeprefix(self.prefix).partition(":")[0])

    def pattern(self, names: str = "") -> str:
        """For SCAN: the keys of this crawl whose names begin with what *names* matches."""
        escaped = "".join(f"\\{char}" if char in "*?[]\\" else char for char in self.prefix)
        return f"{escaped}{names}*"

    def host(self, host: str) -> str:
        """The hash of a host."""
        return f"{self.prefix}host:{host}"

    def queue(self, host: str, part: int | Literal["packed", "tail"]) -> str:
        """The list of a host's entries of one priority; or what follows the head of its normal queue."""
        return f"{self.prefix}queue:{host}:{part}"

    def pages(self, host: str) -> tuple[str, str, str]:
        """The lists of a host's normal queue: head, segments, tail."""
        return self.queue(host, 1), self.queue(host, "packed"), self.queue(host, "tail")

    def robots(self, origin: str) -> str:
        """The string that holds an origin's robots.txt."""
        return f"{self.prefix}robots:{origin}"

    def page(self, url_id: str) -> str:
        """The hash of a stored page."""
        return f"{self.prefix}page:{url_id}"

    def ended(self, url_id: str) -> str:
        """The hash that the state of a URL that has ended belongs to."""
        return self.ended_bucket(int(url_id) % self.ended_buckets)

    def ended_bucket(self, number: int) -> str:
        """One of the hashes of states."""
        return f"{self.prefix}ended:{number}"

    def links(self, url_id: str) -> str:
        """The hash that what a check keeps of a page belongs to."""
        return self.links_bucket(int(url_id) % self.links_buckets)

    def links_bucket(self, number: int) -> str:
        """One of the hashes of what a check keeps of pages."""
        return f"{self.prefix}links:{number}"

    @property
    def findings(self) -> str:
        """The hash of what a check found; the first shard has one."""
        return f"{self.prefix}findings"

    def seen(self, host: str) -> str:
        """The set that the first ids of a host belong to; lua/shared/seen.lua names those of the further ones."""
        return f"{self.prefix}seen:{crc32(host.encode()) % self._buckets}"

    def seen_before(self, number: int) -> str:
        """The set that the number of a fingerprint belongs to."""
        return f"{self.prefix}seen_before:{number % self._buckets}"

    def digests(self, digest: str) -> str:
        """The hash that a content's digest (63 bits, decimal) belongs to."""
        return f"{self.prefix}digests:{int(digest) % DIGEST_BUCKETS}"

    def near(self, similarity: int) -> list[str]:
        """The hashes in which pages with a similar text are: one for each band of *similarity* (64 bits)."""
        shifts = [max(64 - _BAND_BITS * n, 0) for n in range(NEAR_BANDS + 1)]
        values = [(similarity >> low) % (1 << high - low) for high, low in pairwise(shifts)]
        keys_of_a_band = (1 << _BAND_BITS) // _NEAR_FIELDS
        return [f"{self.prefix}near:{n * keys_of_a_band + value // _NEAR_FIELDS}" for n, value in enumerate(values)]

    def template(self, template_id: str) -> str:
        """The hash of a template of URLs."""
        return f"{self.prefix}template:{template_id}"

    def parcels(self, shard: int) -> str:
        """The stream of what is to be delivered to another shard."""
        return f"{self.prefix}parcels:{shard}"

    def prints(self, template_id: str) -> str:
        """The set of what a template's pages held."""
        return f"{self.prefix}prints:{template_id}"


FIXED: Final[dict[str, str]] = {name: kind.lower() for name, kind in Keys.__annotations__.items()}
"""Name -> type of the keys that every script gets first, in this order. `scripts.py` names them in Lua."""
_KIND_OF: Final = FIXED | {
    **dict.fromkeys(("host", "page", "ended", "links", "findings", "digests", "near", "template"), "hash"),
    **{"queue": "list", "parcels": "stream", "robots": "string"},
    **dict.fromkeys(("seen", "seen_before", "prints"), "set"),
}
"""Type of each key, by the first part of its name."""
KINDS: Final = tuple(sorted(set(_KIND_OF.values())))
"""The types that Redis may report for a key."""


def slot_of(key: str) -> int:
    """The slot of a key in a Redis Cluster: that of what stands in braces in it (Redis Cluster specification)."""
    start = key.find("{")
    end = key.find("}", start)
    return crc_hqx((key[start + 1 : end] if -1 < start < end - 1 else key).encode(), 0) % SLOTS


@lru_cache(maxsize=10_000)
def channel(crawl: str) -> str:
    """The pub/sub channel of a crawl's events; it is no key."""
    return f"crawler:{{{tag(crawl, 0, 1)}}}:events"


def tag(crawl: str, shard: int, shards: int) -> str:
    """The hash tag of a shard's keys. The first one's depends on nothing but the name: by it a crawl is found.

    The others' are chosen so that the shards divide the slots of a cluster evenly, as its masters do: mere chance would
    give one of three masters nearly twice as many of 24 shards as another one.
    """
    plain = f"{crawl}.{shard}"
    if shard == 0:
        return plain
    first = slot_of(f"{crawl}.0") * shards // SLOTS
    wanted = (first + shard) % shards
    names = chain([plain], (f"{plain}-{n}" for n in count(1)))
    return next(name for name in names if slot_of(name) * shards // SLOTS == wanted)


def shard_of_number(number: int, shards: int) -> int:
    """The shard in which the number of a fingerprint lives: it does not show its host."""
    return (number >> 32) % shards


@lru_cache(maxsize=100_000)
def shard_of(host: str, shards: int) -> int:
    """The shard in which a host lives, with its whole site; also of what begins with a host: a root, a template."""
    if shards == 1:
        return 0
    return crc32(site_of_host(_BEHIND_HOST.split(host, maxsplit=1)[0]).encode()) % shards


_BEHIND_HOST = re.compile("[/?;]")
_META = re.compile(r"crawler:\{([A-Za-z0-9_-]{1,64})\.0\}:meta")
"""Names as `settings.name` allows them."""


def crawl_of_meta(key: str) -> str | None:
    """The crawl whose shard 0 has *key* as its `meta`; none for any other key."""
    found = _META.fullmatch(key)
    return found[1] if found else None
