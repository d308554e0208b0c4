"""What one shard has stored and counted, for status, explain and export, and sweeping after `delete`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from crawler.errors import DamagedCrawl, NoCrawl
from crawler.frontier import decode
from crawler.frontier.corruption import misfits
from crawler.frontier.messages import Lease
from crawler.frontier.shards.hosts import ShardHosts
from crawler.frontier.shards.reader import Reader
from crawler.frontier.shards.records import ShardRecords
from crawler.frontier.visits import SWEEP_FIELDS, Visit, sweep_of


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last word of a worker: seconds since, and what it said (JSON object)."""

    worker: str
    age: float
    facts: dict[str, Any]


class ShardDb:
    """Reads what one shard has stored."""

    def __init__(self, shard: Reader) -> None:
        self._shard, self._keys = shard, shard.keys
        self.records = ShardRecords(shard)
        self.hosts = ShardHosts(shard)

    def meta(self) -> dict[str, bytes]:
        """The fields of `meta`; empty when the crawl does not exist."""
        (raw,) = self._shard.read(("HGETALL", self._keys.meta))
        return {k.decode("utf-8", "replace"): v for k, v in decode.pairs(raw)}

    def settings(self) -> bytes:
        """The settings stored with the crawl, as JSON. Raises NoCrawl, or DamagedCrawl where they are missing."""
        meta = self.meta()
        if not meta:
            raise NoCrawl(f"crawl {self._keys.crawl!r} is gone: it was deleted")
        if "settings" not in meta:
            raise DamagedCrawl(
                f"the `meta` of crawl {self._keys.crawl!r} is damaged (its settings are missing): `crawler delete`"
                " takes the crawl away"
            )
        return meta["settings"]

    def probe(self) -> None:
        """Write nothing: raises RedisAway or OutOfMemory where Redis would take no writes."""
        self._shard.read(("SETRANGE", self._keys.probe, 0, ""))

    def counters(self) -> dict[str, int]:
        """All counters by name."""
        (raw,) = self._shard.read(("HGETALL", self._keys.counters))
        return {k.decode("utf-8", "replace"): decode.number(v) for k, v in decode.pairs(raw)}

    def workers(self) -> list[Heartbeat]:
        """The workers that said what they do, by name."""
        raw, clock = self._shard.read(("HGETALL", self._keys.workers), ("TIME",))
        now = decode.now_ms(clock)
        heartbeats = []
        for name, value in decode.pairs(raw):
            at, _, text = value.partition(b" ")
            try:
                facts = msgspec.json.decode(text, type=dict[str, Any])
            except (msgspec.DecodeError, RecursionError):  # no worker wrote that
                continue
            heartbeats.append(Heartbeat(name.decode("utf-8", "replace"), max(now - decode.number(at), 0) / 1000, facts))
        return sorted(heartbeats, key=lambda heartbeat: heartbeat.worker)

    def visit(self) -> Visit:
        """The latest visit and sweep, as the first shard knows them."""
        meta, found = self._shard.read(
            ("HMGET", self._keys.meta, "visit", "visit_ms", "created_ms"), ("HMGET", self._keys.sweep, *SWEEP_FIELDS)
        )
        visit, began, created = map(decode.number, meta)
        return Visit(max(visit, 1), began or created, sweep_of(found))

    def traps(self) -> dict[str, int]:
        """The quarantined templates, and when each was, in ms of the server's clock."""
        (raw,) = self._shard.read(("HGETALL", self._keys.traps))
        return {template.decode("utf-8", "replace"): decode.number(when) for template, when in decode.pairs(raw)}

    def template(self, template_id: str) -> dict[str, str]:
        """What is known of one template that many URLs share: total (pages weighed), state; empty when nothing is."""
        (raw,) = self._shard.read(("HGETALL", self._keys.template(template_id)))
        return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in decode.pairs(raw)}

    def leases(self) -> Iterator[tuple[str, Lease]]:
        """All leases that are out, each with the worker that holds it; no deadlines."""
        for rows in self._shard.scan("HSCAN", self._keys.leased):
            yield from (decode.lease(token, value) for token, value in rows)

    def deadline(self, token: str) -> int | None:
        """Milliseconds until a lease runs out; None when it is not held."""
        at, clock = self._shard.read(("ZSCORE", self._keys.leases, token), ("TIME",))
        return None if at is None else decode.whole(float(at)) - decode.now_ms(clock)

    def misfits(self) -> Iterator[str]:
        """The keys that hold something of another kind, in words."""
        return misfits(self._shard.connection, self._keys)

    def clock(self) -> int:
        """The server's clock in milliseconds."""
        (clock,) = self._shard.read(("TIME",))
        return decode.now_ms(clock)

    def sweep(self) -> int:
        """Take away all keys of a crawl that is being deleted, the fixed ones with `meta` last; how many there were."""
        keys = self._keys
        fixed = {key.encode() for key in keys.fixed}
        (swept,) = self._shard.read(("UNLINK", keys.leases, keys.leased))  # first: without a lease no commit writes
        for found in self._shard.scan("SCAN", match=keys.pattern()):
            if names := [key for key in found if key not in fixed]:
                swept += self._shard.read(("UNLINK", *names))[0]
        return int(swept + self._shard.read(("UNLINK", *keys.fixed))[0])
