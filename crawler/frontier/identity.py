"""What makes a crawl the one that it is: fixed when it is made, in `meta`, and read by all who join it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final

from crawler.errors import DamagedCrawl, NoCrawl
from crawler.frontier import replies
from crawler.frontier.corruption import naming
from crawler.frontier.keys import Keys
from crawler.frontier.redis.connection import Connection
from crawler.frontier.scripts import SCHEMA
from crawler.settings import MAX_SHARDS
from crawler.url import Form

_SALT: Final = 16
"""Bytes."""
_LAST: Final = "4"
"""The schema of the last release: records of such a crawl can still be read."""
_NAMES: Final = ("generation", "salt", "schema", "form", "shards")


@dataclass(frozen=True, slots=True)
class Identity:
    """Generation, salt of the ids, which spellings of a URL are one, and into how many shards it is divided."""

    generation: str
    salt: bytes
    form: Form
    shards: int = 1
    sources: Mapping[str, bytes] = field(default_factory=dict, compare=False)
    """Fields of `meta` that show what the crawl is begun with; only of one that is about to be made."""

    @classmethod
    def new(cls, form: Form, shards: int, sources: Mapping[str, bytes] = MappingProxyType({})) -> Identity:
        """Of a crawl that is about to be made."""
        return cls(secrets.token_hex(8), secrets.token_bytes(_SALT), form, shards, sources)

    @classmethod
    def read(cls, connection: Connection, crawl: str, *, older: bool = False) -> Identity:
        """Of the crawl of that name, with *older* also of one of the last release: its records can be read.

        Raises NoCrawl if there is none, DamagedCrawl if it cannot be worked on.
        """
        keys = Keys(crawl)
        connection = connection.at(keys.meta)
        with naming(connection, keys):
            exists, found = connection.ask(lambda: _look(connection, keys))
        generation, salt, schema, form, shards = (None if raw is None else raw.decode("latin-1") for raw in found)
        if generation is None and not exists:
            raise NoCrawl(f"there is no crawl {crawl!r}: begin one with `crawler run` or `crawler seed`")
        if generation is None:
            replies.refuse("REMAINS")
        if schema != str(SCHEMA) and not (older and schema == _LAST):
            raise _of_another_version(crawl, schema)
        try:
            return cls(_generation_of(generation), _salt_of(salt), _form_of(form or ""), _shards_of(shards))
        except ValueError as error:
            raise DamagedCrawl(
                f"the `meta` of crawl {crawl!r} is damaged ({str(error)[:100]}): `crawler delete` takes the crawl away"
            ) from None

    def confirm(self, connection: Connection, crawl: str) -> None:
        """Raise NoCrawl if the crawl was deleted since, or started over."""
        if self.read(connection, crawl, older=True).generation != self.generation:
            replies.refuse("NO_CRAWL")

    def fields(self) -> dict[str, bytes]:
        """As fields of `meta`; the generation comes with every call."""
        form = " ".join(one.name for one in fields(self.form) if getattr(self.form, one.name))
        words = {"schema": str(SCHEMA), "salt": self.salt.hex(), "form": form, "shards": str(self.shards)}
        return {name: word.encode() for name, word in words.items()} | dict(self.sources)


def _look(connection: Connection, keys: Keys) -> list[Any]:
    """How many fixed keys exist, and then what `meta` contains. In this order: the crawl may be made meanwhile."""
    pipe = connection.client.pipeline(transaction=False)
    pipe.exists(*keys.fixed)
    pipe.hmget(keys.meta, _NAMES)
    return pipe.execute()


def shards_known(connection: Connection, crawl: str) -> int:
    """Into how many shards a crawl is divided, as far as is known; 1 if it is damaged or missing."""
    connection = connection.at(Keys(crawl).meta)
    try:
        found: Any = connection.ask(lambda: connection.client.hget(Keys(crawl).meta, "shards"))
        return _shards_of((found or b"").decode("latin-1"))
    except (ValueError, DamagedCrawl):
        return 1


def _generation_of(text: str) -> str:
    """It names files of the machines that work on the crawl."""
    if not re.fullmatch(r"[0-9a-f]{16}", text):
        raise ValueError("its generation is none")
    return text


def _form_of(words: str) -> Form:
    try:
        return Form(**dict.fromkeys(words.split(), True))
    except TypeError:
        raise ValueError("its form of URLs is none") from None


def _shards_of(text: str | None) -> int:
    text = text or "1"
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= MAX_SHARDS):
        raise ValueError(f"its number of shards is {text:.20}")
    return int(text)


def _salt_of(text: str | None) -> bytes:
    """Without it every URL would have another id, and be fetched again."""
    with suppress(ValueError):
        salt = bytes.fromhex(text or "")
        if len(salt) == _SALT:
            return salt
    raise ValueError("its salt is missing, or is none")


def _of_another_version(crawl: str, schema: str | None) -> DamagedCrawl:
    if schema == _LAST:
        return DamagedCrawl(
            f"crawl {crawl!r} was made by an earlier version of this program: `crawler export` (without --follow,"
            " --drain) writes its records, `crawler run --fresh` replaces it, `crawler delete` takes it away"
        )
    return DamagedCrawl(
        f"crawl {crawl!r} was made by another version of this program (its format is {schema!r:.20}, ours '{SCHEMA}'):"
        " use that version, or `crawler delete` it"
    )
