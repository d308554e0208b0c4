"""Requests sorted by the shard that they belong to: those of one shard are a message in another's outbox."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha1
from itertools import accumulate
from typing import Final

import msgspec

from crawler.frontier.keys import Keys, shard_of
from crawler.record import Request
from crawler.url import host as host_of
from crawler.url import site_of_host

NORMAL = 1
"""The priority of pages; that of sitemaps is 0."""
FIRST = 2
"""That of pages which go to the front of their host's queue."""

_MAX_REQUESTS = 1_000
"""Requests of one message, and roots: as many as one call of a script may bring."""
MAX_SITE: Final = 60
"""Characters of a site's name that are stored as they are."""

_ID: Final = re.compile("[0-9]{1,19}")

Args = list[str | bytes | int]


class OutboxMessage(msgspec.Struct):
    """Requests of one shard, by queue, and the roots that they bring."""

    roots: list[str] = []
    groups: dict[str, list[tuple[str, bytes]]] = {}
    """Priority and host, divided by a blank -> id and entry of each."""

    def packed(self) -> bytes:
        """As MessagePack."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def of(cls, raw: bytes) -> OutboxMessage:
        """Unpack; ValueError if something else wrote it."""
        try:
            found = msgspec.msgpack.decode(raw, type=cls)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(str(error)) from None
        if max(len(found.roots), sum(map(len, found.groups.values()))) > _MAX_REQUESTS:
            raise ValueError("it holds more than one script may take")
        if not all(_ID.fullmatch(member_id) for members in found.groups.values() for member_id, _ in members):
            raise ValueError("an id in it is none")
        return found

    def laid_out(self, keys: Keys) -> tuple[list[str], Args]:
        """Its groups as keys and arguments, as `look_up` in shared/admission.lua reads them."""
        names: list[str] = []
        args: Args = [len(self.groups)]
        for name, members in self.groups.items():
            priority, _, host = name.partition(" ")
            names.append(keys.host(host))
            names += [keys.queue(host, 0)] if priority == "0" else keys.pages(host)
            names.append(keys.seen(host))
            args += host, site_key(host), priority, len(members)
            args += [member_id for member_id, _ in members]
            args.append(_joined([entry for _, entry in members]))
        return names, args


def sort(
    requests: Sequence[Request], roots: Sequence[str], home: int, shards: int, id_of: Callable[[Request], str]
) -> dict[int, OutboxMessage]:
    """Messages by shard; the one of *home* is always there."""
    messages: dict[int, OutboxMessage] = {home: OutboxMessage()}
    for root in roots:
        messages.setdefault(shard_of(root, shards), OutboxMessage()).roots.append(root)
    for request in requests:
        host, entry = request.place()
        message = messages.setdefault(shard_of(host, shards), OutboxMessage())
        priority = 0 if request.sitemap else FIRST if request.first else NORMAL
        group = message.groups.setdefault(f"{priority} {host}", [])
        group.append((id_of(request), entry))
    return messages


def _joined(entries: Sequence[bytes]) -> bytes:
    """Entries as one argument, which Lua takes in quicker than many: where each begins, the end, then all of them."""
    table = struct.Struct(f">{len(entries) + 1}I")
    return table.pack(*accumulate(map(len, entries), initial=table.size)) + b"".join(entries)


def laid_out(
    requests: Sequence[Request], keys: Keys, id_of: Callable[[Request], str]
) -> tuple[list[str], Args, list[int]]:
    """Requests by host as keys and arguments, as accepted.lua reads them; and which of *requests* each of them is."""
    groups: dict[str, list[int]] = {}
    for place, request in enumerate(requests):
        groups.setdefault(host_of(request.url), []).append(place)
    names: list[str] = []
    args: Args = []
    order: list[int] = []
    for host, places in groups.items():
        names += keys.host(host), keys.seen(host)
        args += [host, len(places), *(id_of(requests[place]) for place in places)]
        order += places
    return names, args, order


@lru_cache(maxsize=10_000)
def site_key(host: str) -> str:
    """The site under which a host is counted; "" for one that is a site by itself and has no others.

    A long name is shortened: one long value makes the hash of a host several times as big in Redis.
    """
    site = site_of_host(host)
    if site == host and (":" in host or "." not in host or host.replace(".", "").isdigit()):
        return ""
    return site if len(site) <= MAX_SITE else sha1(site.encode(), usedforsecurity=False).hexdigest()
