"""Finds the keys of a crawl that have another type than they must, because something else wrote there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, Final

from crawler.errors import DamagedCrawl
from crawler.frontier.keys import KINDS, Keys
from crawler.frontier.redis.connection import Connection
from crawler.frontier.redis.errors import WrongKind
from crawler.text import printable

_ROUNDS: Final = 500
"""Calls of SCAN for each kind at most, each a thousand keys of the whole Redis."""
_NAMED: Final = 3


@contextmanager
def naming(connection: Connection, keys: Keys) -> Iterator[None]:
    """Inside, an error about a key of another type names the key, which is searched among all keys of the crawl."""
    try:
        yield
    except WrongKind as error:
        found = list(islice(misfits(connection, keys), _NAMED))
        if not found:
            raise
        raise DamagedCrawl(
            f"crawl {keys.crawl!r} cannot continue: {', '.join(found)}; something else wrote there: rename or delete"
            " the key, or take the crawl away with `crawler delete`"
        ) from error


def misfits(connection: Connection, keys: Keys) -> Iterator[str]:
    """The keys of a crawl that are not of their kind, in words; of a very large Redis half a million are looked at."""
    client: Any = connection.client
    for kind in KINDS:
        cursor = 0
        for _ in range(_ROUNDS):
            scan = partial(client.scan, cursor, match=keys.pattern(), count=1000, _type=kind)  # TYPE is another right
            cursor, found = connection.ask(scan)
            for name in sorted(key.decode("utf-8", "replace") for key in found):
                if keys.kind(name) not in (kind, None):
                    yield f"its key {printable(name)[:120]} holds a {kind}, not a {keys.kind(name)}"
            if cursor == 0:
                break
