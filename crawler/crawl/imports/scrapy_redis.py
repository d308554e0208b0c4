"""The state of a scrapy-redis spider: NAME:start_urls, NAME:requests, NAME:dupefilter and NAME:items in its Redis.

Read only. Sets are scanned, lists and sorted sets read in slices, so memory is bounded whatever their length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import TracebackType
from typing import Any, Final, Self

from crawler.crawl.imports import requests
from crawler.crawl.seed_list import Line
from crawler.errors import UsageError
from crawler.fingerprint import BYTES
from crawler.frontier.redis.address import shown
from crawler.frontier.redis.connection import Connection
from crawler.text import counted

KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "start_urls": ("list", "set", "zset"),
    "requests": ("zset", "list"),
    "dupefilter": ("set",),
    "items": ("list",),
}
"""What follows a spider's name in a key -> the types that it may have."""
_SIZES: Final = {"list": "LLEN", "set": "SCARD", "zset": "ZCARD"}
_SLICE: Final = 500
"""Members that are read at a time."""
_MAX_NAMES: Final = 20
"""Spiders that a message names."""


@dataclass(frozen=True, slots=True)
class Names:
    """The spider, and keys that have other names than the usual ones."""

    spider: str | None = None
    keys: Mapping[str, str] | None = None


class ScrapyRedis:
    """What one spider has stored in its Redis."""

    def __init__(self, url: str, names: Names, say: Callable[[str], None]) -> None:
        """*url* is that of its Redis. *say* gets a message if keys change while they are read."""
        self._url, self._names, self._say = url, names, say
        self._connection = Connection(url)
        self._spider = ""
        self._types: dict[str, str] = {}
        self._sizes: dict[str, int] = {}

    def __enter__(self) -> Self:
        """Find the spider. Raises UsageError if there is none of that name, or the name does not decide."""
        try:
            self._spider = self._names.spider or self._only_spider()
            self._look()
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._connection.close()

    @property
    def name(self) -> str:
        """The spider and its Redis."""
        place = shown(self._url)
        return f"spider {self._spider!r} on {place}" if self._spider else place

    def found(self) -> str:
        """How much there is of each kind."""
        sizes = self._sizes
        parts = [
            counted(sizes.get("start_urls", 0), "start URL"),
            counted(sizes.get("requests", 0), "waiting request"),
            counted(sizes.get("dupefilter", 0), "fingerprint"),
        ]
        items = sizes.get("items", 0)
        return f"{self.name}: {', '.join(parts)}" + (
            f"; not imported: {counted(items, 'item')} in {self._key('items')}" if items else ""
        )

    def fingerprints(self) -> Iterator[bytes]:
        """The members of the dupefilter that are SHA-1s in hexadecimal."""
        bad = 0
        for member in self._members("dupefilter"):
            try:
                fingerprint = bytes.fromhex(member.decode("ascii"))
            except ValueError:
                fingerprint = b""
            if len(fingerprint) == BYTES:
                yield fingerprint
            else:
                bad += 1
        if bad:
            self._say(f"{self._key('dupefilter')}: {counted(bad, 'member')} left out: no SHA-1 fingerprints")

    def lines(self) -> Iterator[Line]:
        """The start URLs, then the requests that wait, each in the order in which the spider would take them."""
        for kind, read in (("start_urls", requests.of_start_url), ("requests", requests.of_request)):
            key = self._key(kind)
            for number, member in enumerate(self._members(kind), 1):
                yield read(member, f"{key}, entry {number}")
        self._report_changes()

    # -- reading -------------------------------------------------------------------------------------------------------

    def _key(self, kind: str) -> str:
        pattern = (self._names.keys or {}).get(kind) or f"{self._spider}:{kind}"
        return pattern.replace("%(spider)s", self._spider).replace("%(name)s", self._spider)

    def _ask(self, key: str, *command: Any) -> Any:
        connection = self._connection.at(key)
        client: Any = connection.client
        return connection.ask(lambda: client.execute_command(*command))

    def _look(self) -> None:
        """Learn the types and sizes of the keys."""
        for kind, allowed in KEYS.items():
            key = self._key(kind)
            found = self._ask(key, "TYPE", key).decode()
            if found == "none":
                if kind in (self._names.keys or {}):
                    self._say(f"{shown(self._url)} has no key {key}, or it is empty")
                continue
            if found not in allowed:
                bloom = "; a Bloom filter cannot be imported" if found == "string" else ""
                raise UsageError(f"{key} on {shown(self._url)} is a {found}, not a {' or '.join(allowed)}{bloom}")
            self._types[kind] = found
        self._sizes = self._count()
        if not self._sizes:
            raise UsageError(self._no_spider())

    def _count(self) -> dict[str, int]:
        each = {kind: (self._key(kind), _SIZES[found]) for kind, found in self._types.items()}
        return {kind: self._ask(key, command, key) for kind, (key, command) in each.items()}

    def _report_changes(self) -> None:
        after = self._count()
        if changed := [self._key(kind) for kind, n in after.items() if n != self._sizes[kind]]:
            self._say(f"{', '.join(changed)} changed meanwhile: stop the spider, then give the same command again")

    def _members(self, kind: str) -> Iterator[bytes]:
        match self._types.get(kind):
            case "set":
                return chain.from_iterable(self._scanned(self._key(kind)))
            case "list":
                return chain.from_iterable(self._sliced("LRANGE", self._key(kind)))
            case "zset":  # start URLs: the highest score first; requests have their negated priority as score
                command = "ZREVRANGE" if kind == "start_urls" else "ZRANGE"
                return chain.from_iterable(self._sliced(command, self._key(kind)))
        return iter(())

    def _scanned(self, key: str) -> Iterator[Sequence[bytes]]:
        cursor: Any = None
        while cursor != b"0":
            cursor, members = self._ask(key, "SSCAN", key, cursor or 0, "COUNT", _SLICE)
            cursor = str(int(cursor)).encode()
            yield members

    def _sliced(self, command: str, key: str) -> Iterator[Sequence[bytes]]:
        at = 0
        while members := self._ask(key, command, key, at, at + _SLICE - 1):
            yield members
            at += _SLICE

    # -- which spider --------------------------------------------------------------------------------------------------

    def _spiders(self) -> list[str]:
        """The names before the usual keys."""
        found: set[str] = set()
        for server in self._connection.masters():
            cursor = -1
            while cursor:
                position = max(cursor, 0)
                cursor, keys = server.ask(lambda s=server, at=position: s.client.scan(at, "*:*", 1000))  # type: ignore
                for key in keys:
                    name, _, kind = key.decode("utf-8", "replace").rpartition(":")
                    if kind in KEYS and name and not name.startswith("crawler:{"):
                        found.add(name)
        return sorted(found)

    def _only_spider(self) -> str:
        spiders = self._spiders()
        if len(spiders) == 1:
            return spiders[0]
        if self._names.keys:
            return ""  # keys that name no spider, as the dupefilter alone has them
        if not spiders:
            raise UsageError(self._no_spider(()))
        raise UsageError(f"{shown(self._url)} has several spiders: name one with --spider ({_listed(spiders)})")

    def _no_spider(self, known: Sequence[str] | None = None) -> str:
        known = self._spiders() if known is None else known
        others = f": it has {_listed(known)}" if known else "; is it the right Redis and database (redis://HOST/N)?"
        named = f"spider {self._spider!r}" if self._spider else "spider"
        return f"{shown(self._url)} has no keys of a {named}, such as NAME:start_urls or NAME:dupefilter{others}"


def _listed(names: Sequence[str]) -> str:
    more = f", and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more
