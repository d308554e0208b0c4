"""What the verb `commit` is called with: the keys and the arguments that a Commit stands for."""

from __future__ import annotations

import struct
from typing import Final

from crawler.frontier.keys import CONTENT_FIELDS, Keys
from crawler.frontier.messages import ANY, Commit
from crawler.frontier.scripts import Arg
from crawler.url_state import UrlState, id_bytes

_NEAR_ENTRY: Final = struct.Struct(">Q8s")
"""The hash of a text, and the id of its page (see lua/shared/similar.lua)."""
_NO_LINKS: Final = b"-"
"""What is stored of a page's links is to be removed. What they are packed in begins with its version, 1."""


def keys(names: Keys, page: Commit) -> list[str]:
    """The keys of the URL itself, of its content and its text, and of those that it had before."""
    gone, noted = _old_digest(page), _noted(page)
    return [
        *(names.page(page.id), names.ended(page.id)),
        *([] if page.links is None else [names.links(page.id)]),
        *([names.digests(page.digest)] if page.digest else []),
        *(names.near(page.similarity) if page.similarity is not None else []),
        *([names.digests(gone)] if gone else []),
        *(names.near(noted) if noted is not None else []),
    ]


def contents(page: Commit) -> list[Arg]:
    """The contents, each with its field."""
    return [part for name, packed in page.contents.items() for part in (CONTENT_FIELDS[name], packed)]


def arguments(page: Commit) -> dict[str, Arg]:
    """The named arguments."""
    return {
        "token": page.lease.token,
        "held": page.lease.what,
        "id": page.id,
        "field": id_bytes(page.id),
        "event": page.event,
        "rest_ms": page.rest_ms,
        "latency_ms": "" if page.latency_ms is None else page.latency_ms,
        "outcome": page.outcome,
        "state": page.state.encode(),
        "record": page.record or b"",
        "keeps": "1" if page.keeps else "",
        "contents": len(page.contents),
        "digest": page.digest,
        "similarity": _entry(page.similarity, page.id),
        "old_digest": _old_digest(page),
        "noted": _entry(_noted(page), page.id),
        "spared": id_bytes(page.spared) if page.spared not in ("", ANY) else page.spared,
        "ip": page.ip,
        "copy": page.copy,
        "handling_ms": page.handling_ms,
        "trouble": page.trouble,
        "no_validators": "1" if page.no_validators else "",
        "loop": page.loop,
        "links": b"" if page.links is None else page.links or _NO_LINKS,
        "tallies": len(page.tallies),
    }


def _entry(similarity: int | None, url_id: str) -> bytes:
    return b"" if similarity is None else _NEAR_ENTRY.pack(similarity, id_bytes(url_id))


def _replaced(page: Commit) -> UrlState | None:
    """The state before, if this visit takes the place of it: it neither failed nor found the same."""
    return None if page.record is None or page.keeps else page.before


def _old_digest(page: Commit) -> str:
    """The digest (as `Commit.digest`) that the page had and has no more; empty if there is none."""
    before = _replaced(page)
    if before is None or not before.digest or (before.digest == page.state.digest and not page.state.is_gone):
        return ""
    return str(before.digest >> 1)


def _noted(page: Commit) -> int | None:
    """The hash by which others find the page so far, as far as this visit may change that."""
    before = _replaced(page)
    return None if before is None or not before.is_noted else before.similarity
