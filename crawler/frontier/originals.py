"""What is stored of pages with the same content, and of those that name each other as canonical."""

from __future__ import annotations

import msgspec

from crawler.frontier import decode
from crawler.frontier.frontier import Frontier
from crawler.frontier.keys import CONTENT_FIELDS
from crawler.record import Record, Request


class Originals:
    """Looks up originals in the shard of a lease, since a copy leads to its original."""

    def __init__(self, frontier: Frontier) -> None:
        self._frontier = frontier

    def id(self, url: str) -> str:
        """The id of a canonical URL."""
        return self._frontier.id(url)

    def id_of(self, request: Request) -> str:
        """The id of what *request* asks for."""
        return self._frontier.shards[0].id_of(request)

    def first_with(self, token: str, digest: str) -> str | None:
        """The id of the first page that had content of this digest (see Commit.digest)."""
        shard = self._frontier.at(token)
        (found,) = shard.read(("HGET", shard.keys.digests(digest), digest))
        return None if found is None else str(int.from_bytes(found[:8], "big"))

    def has_contents(self, token: str, url: str) -> bool:
        """Whether the page of *url* is stored with contents of which a copy needs none."""
        shard = self._frontier.at(token)
        fields = [field for name, field in CONTENT_FIELDS.items() if name != "data"]
        return any(shard.read(("HMGET", shard.keys.page(shard.id(url)), *fields))[0])

    def main_of(self, token: str, url_id: str) -> str | None:
        """The main text that is stored of a page; None if there is none (any more), or something else wrote it."""
        shard = self._frontier.at(token)
        (raw,) = shard.read(("HGET", shard.keys.page(url_id), CONTENT_FIELDS["main"]))
        text = decode.readable(raw) if raw else None
        return None if text is None else text.decode("utf-8", "replace")

    def named_by(self, token: str, url_id: str) -> str | None:
        """The URL that a stored page names as its canonical and is the duplicate of, or None."""
        shard = self._frontier.at(token)
        (raw,) = shard.read(("HGET", shard.keys.page(url_id), "m"))
        try:
            found = Record.decode(raw).duplicate_of if raw else None
        except msgspec.DecodeError:
            return None
        return found if found and found.startswith("http") else None
