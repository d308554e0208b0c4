"""How a URL's end is written down: the record, its tallies, and what `commit` needs beside them."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from crawler.fetch.fetcher import Response
from crawler.frontier.leases import Ending, Event, Lease
from crawler.page import Page
from crawler.records import Entry, Record, Request

MAX_FIELD: Final = 500
"""Characters kept of an error or a header in a record."""
_TEXT_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class Held:
    """A leased page: its lease, what its entry says, and its id."""

    lease: Lease
    entry: Entry
    id: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a page brought beside itself: requests, roots, refusals by reason, and a hook's data."""

    requests: Sequence[Request] = ()
    roots: Sequence[str] = ()
    refused: Counter[str] = field(default_factory=Counter)
    data: Any = None
    error: str | None = None
    outlinks: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Rest:
    """What the end of a fetch means for its host."""

    event: Event = "none"
    rest_ms: int = 0


def of_failure(held: Held, outcome: str, error: str | None, rest: Rest = Rest()) -> Ending:
    """The end of a URL without an answer, or before it was asked for."""
    entry = held.entry
    record = Record(
        url=entry.request.url,
        outcome=outcome,
        depth=entry.request.depth,
        via=_via(entry),
        attempts=_attempts(entry),
        error=_cut(error),
    )
    return Ending(held.lease, held.id, outcome, record.encode(), event=rest.event, rest_ms=rest.rest_ms)


def of_bad_entry(lease: Lease, url_id: str) -> Ending:
    """The end of an entry that cannot be read: something else wrote into the queue."""
    shown = f"{lease.origin if len(lease.raw) > 3 else lease.host}/"
    record = Record(
        url=shown, outcome="failed:bad-entry", depth=0, error=_cut(f"not a queue entry: {lease.raw[:80]!r}")
    )
    return Ending(lease, url_id, record.outcome, record.encode())


def of_response(held: Held, outcome: str, response: Response, rest: Rest, *, error: str | None = None) -> Ending:
    """The end of a URL whose answer has no page to parse: an error status, or a type that is not read."""
    return _ending(held, _response_fields(held, outcome, response, error), response, rest, Found())


def of_redirect(held: Held, response: Response, target: str | None, found: Found, rest: Rest) -> Ending:
    """The end of a URL that sends us elsewhere; *target* is canonical, or none when it cannot be crawled."""
    fields = _response_fields(held, "redirected", response, found.error)
    fields["redirect_to"] = target or _cut(response.headers.get("location"))
    return _ending(held, fields, response, rest, found)


def of_page(held: Held, page: Page, found: Found, rest: Rest) -> Ending:
    """The end of a page that was read and parsed."""
    response = page.response
    outcome = "dropped:noindex" if page.noindex else "fetched"
    fields = _response_fields(held, outcome, response, found.error)
    fields |= {"charset": page.charset, "links": page.links_total, "canonical": page.canonical}
    text = b""
    if not page.noindex:
        fields |= {"title": page.title, "description": page.description, "lang": page.lang, "data": found.data}
        fields["outlinks"] = found.outlinks
        if page.text is not None:
            text = zlib.compress(page.text.encode("utf-8", "replace"), _TEXT_LEVEL)
    return _ending(held, fields, response, rest, found, text)


def _response_fields(held: Held, outcome: str, response: Response, error: str | None) -> dict[str, Any]:
    entry = held.entry
    headers = response.headers
    return {
        "url": entry.request.url,
        "outcome": outcome,
        "depth": entry.request.depth,
        "via": _via(entry),
        "status": response.status,
        "content_type": _cut(response.content_type) or None,
        "size": None if response.skipped else len(response.body),
        "truncated": response.truncated,
        "digest": None if response.skipped else f"sha256:{hashlib.sha256(response.body).hexdigest()}",
        "etag": _cut(headers.get("etag")),
        "last_modified": _cut(headers.get("last-modified")),
        "fetched_at": _at(response),
        "elapsed_ms": round(response.elapsed * 1000),
        "attempts": _attempts(entry),
        "error": _cut(error),
    }


def _ending(
    held: Held, fields: dict[str, Any], response: Response, rest: Rest, found: Found, text: bytes = b""
) -> Ending:
    record = Record(**fields)
    tallies = {f"status:{response.status}": 1, "bytes": len(response.body)}
    for reason, n in found.refused.items():
        tallies[f"refused:{reason}"] = n
    return Ending(
        held.lease,
        held.id,
        record.outcome,
        record.encode(),
        text=text,
        event=rest.event,
        rest_ms=rest.rest_ms,
        latency_ms=round(response.first_byte * 1000),
        tallies=tallies,
        roots=found.roots,
        requests=found.requests,
    )


def _via(entry: Entry) -> str | None:
    return None if entry.request.via == "0" else entry.request.via


def _attempts(entry: Entry) -> int:
    return entry.retries + entry.crashes + 1


def _at(response: Response) -> str:
    """When the answer ended, RFC 3339 in UTC."""
    ended = time.time() - (time.monotonic() - response.ended if response.ended else 0.0)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ended))


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MAX_FIELD else text[: MAX_FIELD - 1] + "…"
