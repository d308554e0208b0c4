"""Keys of a crawl that another hand put something of another kind into: which they are, and what to say of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, Final

from crawler.errors import DamagedCrawl
from crawler.frontier.keys import Keys
from crawler.frontier.link import Link
from crawler.frontier.troubles import WrongKind
from crawler.text import printable

_ROUNDS: Final = 1_000
"""Calls of SCAN at most, each a thousand keys of the whole Redis."""
_NAMED: Final = 3


@contextmanager
def naming(link: Link, crawl: str) -> Iterator[None]:
    """Inside, an error of a key of another kind names the key: it is looked for among all keys of the crawl."""
    try:
        yield
    except WrongKind as error:
        found = list(islice(misfits(link, crawl), _NAMED))
        if not found:
            raise
        raise DamagedCrawl(
            f"crawl {crawl!r} cannot go on: {', '.join(found)}; another hand wrote there: rename or delete the key,"
            " or take the crawl away with `crawler delete`"
        ) from error


def misfits(link: Link, crawl: str) -> Iterator[str]:
    """The keys of a crawl that are not of their kind, in words; of a very large Redis a million keys are looked at."""
    client: Any = link.client
    keys = Keys(crawl)
    for batch in _batches(link, keys):
        pipe = client.pipeline(transaction=False)
        for key in batch:
            pipe.type(key)
        for key, kind in zip(batch, link.ask(pipe.execute), strict=True):
            name, found = key.decode("utf-8", "replace"), kind.decode()
            wanted = keys.kind(name)
            if wanted is not None and found not in (wanted, "none"):
                yield f"its key {printable(name)[:120]} holds a {found}, not a {wanted}"


def _batches(link: Link, keys: Keys) -> Iterator[list[bytes]]:
    """The fixed keys, then all others."""
    client: Any = link.client
    fixed = [key.encode() for key in keys.fixed]
    yield fixed
    cursor = 0
    for _ in range(_ROUNDS):
        cursor, found = link.ask(partial(client.scan, cursor, match=keys.pattern(), count=1000))
        yield [key for key in found if key not in fixed]
        if cursor == 0:
            return
