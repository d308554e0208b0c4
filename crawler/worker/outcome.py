"""How a URL's end is written down: the record, its tallies, and what `commit` needs beside them."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from crawler.errors import without_credentials
from crawler.fetch.fetcher import Response
from crawler.frontier.messages import Commit, Event, Lease
from crawler.parse.page import Page
from crawler.record import Entry, Record, Request
from crawler.text import rfc3339

try:  # what zlib makes, in a third of its time
    from isal.isal_zlib import compress

    _TEXT_LEVEL = 2
except ImportError:  # there are no wheels for rare processors
    from zlib import compress

    _TEXT_LEVEL = 1

MAX_FIELD: Final = 500
"""Characters kept of an error or a header in a record."""
HOOK_ERROR: Final = "hook: "
"""How the `error` of a page begins on which the user's hook failed."""

_FLAT: Final = "its markup was too deep or too large to be parsed as it is: some elements were flattened"


class LeasedPage(msgspec.Struct, frozen=True):
    """A leased page: its lease, what its entry says, and its id."""

    lease: Lease
    entry: Entry
    id: str
    shown: str = ""
    """Its URL in the crawl's form, where that is another spelling than the one that is asked for."""

    @property
    def url(self) -> str:
        """The URL as records have it."""
        return self.shown or self.entry.request.url


class Discovered(msgspec.Struct, frozen=True):
    """What a page brought beside itself: requests, roots, refusals by reason, and a hook's data."""

    requests: Sequence[Request] = ()
    roots: Sequence[str] = ()
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    data: Any = None
    error: str | None = None
    outlinks: list[str] | None = None
    spared: str = ""
    """See Ending."""


class HostFeedback(msgspec.Struct, frozen=True):
    """What the end of a fetch means for its host."""

    event: Event = "none"
    rest_ms: int = 0
    ip: str = ""
    """The address that answered, where it is known."""


_NO_REST: Final = HostFeedback()
UNSENT: Final = HostFeedback("unsent")
"""Nothing was asked of the host: the delay that the lease began is given back."""


def of_failure(
    held: LeasedPage, outcome: str, error: str | None, rest: HostFeedback = _NO_REST, *, handling_ms: int = 0
) -> Commit:
    """The end of a URL without an answer, or before it was asked for, or whose handling was broken off."""
    entry = held.entry
    record = Record(
        url=held.url,
        outcome=outcome,
        depth=entry.request.depth,
        via=entry.request.found_on,
        hops=entry.request.hops,
        sitemap=entry.request.sitemap,
        lastmod=_utc(entry.request.lastmod),
        attempts=entry.tries + 1,
        error=_cut(error),
    )
    said = rest.event, rest.rest_ms
    return Commit(held.lease, held.id, outcome, record.encode(), b"", *said, handling_ms=handling_ms)


def of_bad_entry(lease: Lease, why: str, id_of: Callable[[str], str]) -> Commit:
    """The end of an entry that cannot be read: something else wrote into the queue.

    Its record names the host by a URL with a fragment, which no other has.
    """
    url = f"http://{lease.host}/#bad-entry-{lease.token}"
    record = Record(url=url, outcome="failed:bad-entry", depth=0, error=_cut(why))
    return Commit(lease, id_of(url), record.outcome, record.encode(), event="unsent")


def of_response(
    held: LeasedPage, outcome: str, response: Response, rest: HostFeedback, *, error: str | None = None
) -> Commit:
    """The end of a URL whose answer has no page to parse: an error status, or a type that is not read."""
    return _ending(held, _response_fields(held, outcome, response, error), response, rest, Discovered())


def of_redirect(
    held: LeasedPage,
    response: Response,
    target: str | None,
    found: Discovered,
    rest: HostFeedback,
    *,
    outcome: str = "redirected",
) -> Commit:
    """The end of a URL that sends us elsewhere; *target* is canonical, or none when it cannot be crawled."""
    fields = _response_fields(held, outcome, response, found.error)
    fields["redirect_to"] = target or _cut(without_credentials(response.headers.get("location") or ""))
    return _ending(held, fields, response, rest, found)


def of_page(
    held: LeasedPage,
    page: Page,
    found: Discovered,
    rest: HostFeedback,
    *,
    original: str | None = None,
    is_stored: bool = True,
    copy: str = "",
) -> Commit:
    """The end of a page that was read and parsed; *original* is the URL that it calls its canonical form.

    Its text is kept unless the original *is_stored* with its own. *copy*: see Ending.
    """
    response = page.response
    outcome = "dropped:noindex" if page.noindex else "fetched"
    fields = _response_fields(held, outcome, response, found.error or (_FLAT if page.is_flat else None))
    fields |= {"charset": page.charset, "links": page.links_total, "canonical": page.canonical}
    if page.noindex:
        return _ending(held, fields, response, rest, found)
    fields |= {"title": page.title, "description": page.description, "lang": page.lang, "data": found.data}
    fields |= {"outlinks": found.outlinks, "duplicate_of": original}
    if original is not None and is_stored:
        return _ending(held, fields, response, rest, found)
    text = b"" if page.text is None else compress(page.text.encode("utf-8", "replace"), _TEXT_LEVEL)
    # Stubs that only lead on by a refresh are often the same to the letter, and lead to different places.
    # And one that names its original must not be taken for the first with this content: the original is.
    comparable = response.body and not response.truncated and page.refresh is None and original is None
    digest = _bits(fields["digest"]) if comparable else ""
    return _ending(held, fields, response, rest, found, text=text, digest=digest, copy=copy)


def of_sitemap(
    held: LeasedPage, response: Response, found: Discovered, rest: HostFeedback, *, locations: int | None
) -> Commit:
    """The end of a sitemap with so many *locations*; none: it cannot be read as one."""
    fields = _response_fields(held, "fetched", response, found.error)
    fields |= {"links": locations, "sitemap": True}
    return _ending(held, fields, response, rest, found)


def _bits(digest: str) -> str:
    """63 bits of a `sha256:...` as a decimal string."""
    return str(int(digest.removeprefix("sha256:")[:16], 16) >> 1)


def _response_fields(held: LeasedPage, outcome: str, response: Response, error: str | None) -> dict[str, Any]:
    entry = held.entry
    headers = response.headers
    return {
        "url": held.url,
        "outcome": outcome,
        "depth": entry.request.depth,
        "via": entry.request.found_on,
        "hops": entry.request.hops,
        "sitemap": entry.request.sitemap and outcome.startswith("failed:"),  # so that it is tried again as one
        "lastmod": _utc(entry.request.lastmod),
        "status": response.status,
        "content_type": _cut(response.content_type) or None,
        "size": None if response.skipped else len(response.body),
        "truncated": response.truncated,
        # Where redirects that were followed within the lease have led.
        "redirect_to": None if response.url in (held.url, entry.request.url) else response.url,
        "digest": None if response.skipped else f"sha256:{hashlib.sha256(response.body).hexdigest()}",
        "etag": _cut(headers.get("etag")),
        "last_modified": _cut(headers.get("last-modified")),
        "fetched_at": _at(response),
        "elapsed_ms": round(response.elapsed * 1000),
        "attempts": entry.tries + 1,
        "error": _cut(error),
    }


def _ending(
    held: LeasedPage,
    fields: dict[str, Any],
    response: Response,
    rest: HostFeedback,
    found: Discovered,
    **more: Any,
) -> Commit:
    """*more* are further fields of the Ending."""
    record = Record(**fields)
    tallies = {f"status:{response.status}": 1, "bytes": len(response.body)}
    if record.duplicate_of is not None:
        tallies["duplicates"] = 1
    if record.outcome == "fetched" and (record.sitemap or held.entry.request.sitemap):
        tallies["sitemaps"] = 1  # they do not count as pages
    if (found.error or "").startswith(HOOK_ERROR):
        tallies["hook_errors"] = 1
    for reason, n in found.refused.items():
        tallies[f"refused:{reason}"] = n
    return Commit(
        held.lease,
        held.id,
        record.outcome,
        record.encode(),
        event=rest.event,
        rest_ms=rest.rest_ms,
        # Errors and redirects come sooner than pages: they say nothing of how busy the host is.
        latency_ms=round(response.first_byte * 1000) if 200 <= response.status < 300 else None,
        ip=rest.ip,
        tallies=tallies,
        roots=found.roots,
        requests=found.requests,
        spared=found.spared,
        **more,
    )


def _at(response: Response) -> str:
    """When the answer ended, RFC 3339 in UTC."""
    return _utc_of(int(time.time() - (time.monotonic() - response.ended if response.ended else 0.0)))


def _utc(seconds: float | None) -> str | None:
    return None if seconds is None else _utc_of(int(seconds))


@lru_cache(maxsize=1024)
def _utc_of(seconds: int) -> str:
    return rfc3339(seconds)


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MAX_FIELD else text[: MAX_FIELD - 1] + "…"
