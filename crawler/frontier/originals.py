"""What a shard has stored of pages that name each other as their canonical form (`--canonical obey`)."""

from __future__ import annotations

from typing import Any

import msgspec

from crawler.frontier.frontier import Frontier
from crawler.record import Record


def has_text(shard: Frontier, url_id: str) -> bool:
    """Whether a page of *shard* is stored with its text."""
    return bool(shard.link.ask(lambda: shard.link.client.hexists(shard.keys.page(url_id), "t")))


def original_of(shard: Frontier, url_id: str) -> str | None:
    """The URL that a page stored in *shard* names as its canonical and is the duplicate of; none if it names none."""
    raw: Any = shard.link.ask(lambda: shard.link.client.hget(shard.keys.page(url_id), "m"))
    try:
        found = Record.decode(raw).duplicate_of if raw else None
    except msgspec.DecodeError:
        return None
    return found if found and found.startswith("http") else None
