"""Builds the commit for a page's outcome: the record, its counters, and what else `commit` needs."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import msgspec

from crawler.errors import without_credentials
from crawler.fetch.fetcher import FetchError, FetchResult, Response
from crawler.frontier.messages import ANY, Commit, Event, Lease
from crawler.parse.page import Page
from crawler.parse.text_digest import METHOD
from crawler.policy.changes import Finding
from crawler.policy.politeness import NOT_MODIFIED, Verdict
from crawler.policy.schedule import Intervals
from crawler.policy.similarity import similarity
from crawler.policy.validators import NO_VALIDATORS, Validators, renewed, validators_of
from crawler.record import CONTENTS, TARGET, Entry, Record, Request
from crawler.text import rfc3339
from crawler.url_state import UrlState
from crawler.worker.contents import contents_of, data_of
from crawler.worker.hook_result import NOT_CALLED, HookResult
from crawler.worker.visit import bits_of, find, state_of, tallies_of, with_change

MAX_FIELD: Final = 500
"""Longest error or header kept in a record, in characters."""
SOON: Final = 14 * 86_400
"""Seconds before its end from which on a certificate counts as one that expires."""
IN_A_CIRCLE: Final = "it redirects in a circle"

NO_FIELDS: Final[Mapping[str, Any]] = MappingProxyType({})
_OWN_WAY: Final = {"url", *CONTENTS}
"""Fields of both, of which the record gets other values, or that are stored on their own."""
_OF_PAGE: Final = [name for name in Record.__struct_fields__ if name in Page.__dataclass_fields__.keys() - _OWN_WAY]
"""The fields that a record takes from a page: those of the same name."""

UNASKED: Final = "it answers 304 Not Modified, though the request had no conditions"
_DROPPED: Final = "dropped:hook"
_FLAT: Final = "its markup was too deep or too large to be parsed as it is: some elements were flattened"


class LeasedPage(msgspec.Struct, frozen=True):
    """A leased page: its lease, its decoded entry, its id, and the state of the visit before."""

    lease: Lease
    entry: Entry
    id: str
    shown: str = ""
    """The URL in the crawl's form, if the page was requested under another spelling."""
    before: UrlState | None = None
    """Its state after the visit before; None at a first visit."""
    conditions: tuple[tuple[str, str], ...] = ()
    """The header fields that make its request conditional."""
    intervals: Intervals | None = None
    """When it is due again; None if that does not matter."""

    @property
    def url(self) -> str:
        """The URL as records show it."""
        return self.shown or self.entry.request.url

    @property
    def name(self) -> str:
        """What caches know it by (see `Request.name`)."""
        return f"{TARGET}{self.url}" if self.entry.request.target else self.url


class Discovered(msgspec.Struct, frozen=True):
    """What a page led to: requests, roots, refusals by reason, and the result of the hook."""

    requests: Sequence[Request] = ()
    roots: Sequence[str] = ()
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    hook: HookResult = NOT_CALLED
    error: str | None = None
    spared: str = ""
    """See Commit, also for `copy`."""
    copy: str = ""
    original: str | None = None
    """The URL that the page names as its canonical form."""
    is_original_stored: bool = True
    """Whether that is stored with its contents."""
    leads_to: str = ""
    """Of a redirect, the id of what it leads to."""


NOTHING: Final = Discovered()


class HostFeedback(msgspec.Struct, frozen=True):
    """What the end of a fetch means for its host."""

    event: Event = "none"
    rest_ms: int = 0
    ip: str = ""
    """The address that answered, if known."""
    trouble: str = ""
    """What is wrong with it (see Commit)."""


def feedback_of(held: LeasedPage, result: FetchResult, verdict: Verdict, ip: str) -> HostFeedback:
    """What *verdict* means for the host. It rests as long as it asked for, at least what is left of its delay."""
    sent = not isinstance(result, FetchError) or result.sent
    left = held.lease.delay_ms - round((time.monotonic() - result.ended) * 1000) if sent and result.ended else 0
    return HostFeedback(verdict.event, max(left, round(verdict.rest * 1000), 0), ip, verdict.trouble)


_NO_REST: Final = HostFeedback()
UNSENT: Final = HostFeedback("unsent")
"""The host was not contacted: the delay that the lease began is refunded."""


def of_failure(
    held: LeasedPage, outcome: str, error: str | None, rest: HostFeedback = _NO_REST, *, handling_ms: int = 0
) -> Commit:
    """The outcome of a URL that got no answer, was not requested, or whose processing was broken off."""
    entry = held.entry
    record = Record(
        url=held.url,
        outcome=outcome,
        depth=entry.request.depth,
        via=entry.request.found_on,
        hops=entry.request.hops,
        sitemap=entry.request.sitemap,
        target=entry.request.target,
        lastmod=_utc(entry.request.lastmod),
        attempts=entry.tries + 1,
        error=_cut(error),
    )
    finding = find(held.before, state_of(entry.request, held.lease.token, record))
    return Commit(
        held.lease,
        held.id,
        finding.state,
        record.encode(),
        event=rest.event,
        rest_ms=rest.rest_ms,
        handling_ms=handling_ms,
        trouble=rest.trouble,
        before=held.before,
        keeps=finding.keeps,
        tallies=tallies_of(finding),
    )


def of_bad_entry(lease: Lease, why: str, id_of: Callable[[str], str]) -> Commit:
    """The outcome of an entry that cannot be decoded: a foreign client wrote into the queue.

    Its record names the host by a URL with a fragment, which no other URL has.
    """
    url = f"http://{lease.host}/#bad-entry-{lease.token}"
    record = Record(url=url, outcome="failed:bad-entry", depth=0, error=_cut(why))
    return Commit(lease, id_of(url), state_of(Request(url), lease.token, record), record.encode(), event="unsent")


def of_response(
    held: LeasedPage, outcome: str, response: Response, rest: HostFeedback, found: Discovered = NOTHING
) -> Commit:
    """The outcome of a URL whose answer has no page to parse: an error status, or a type that is not read."""
    hook = found.hook
    fields = _response_fields(held, _DROPPED if hook.is_dropped else outcome, response, hook.error or found.error)
    return _commit(held, fields, response, rest, found, contents=data_of(hook.data))


def of_not_modified(held: LeasedPage, response: Response, rest: HostFeedback, *, is_asked: bool) -> Commit:
    """The outcome of a 304. It is an answer only to a request that had conditions (RFC 9110 section 15.4.5).

    *is_asked*: it answers the first request for the page, not one that follows a redirect.
    """
    if held.conditions and is_asked:
        return of_unchanged(held, response, rest)
    return of_response(held, "failed:http", response, rest, Discovered(error=UNASKED))


def of_unchanged(held: LeasedPage, response: Response, rest: HostFeedback) -> Commit:
    """The outcome of a visit that found the page as it was: answered with 304, or with the same content."""
    fields = _response_fields(held, "fetched", response, None)
    fields["sitemap"] = held.before is not None and held.before.sitemap
    if response.status == NOT_MODIFIED:
        fields |= {"digest": None, "size": None}
    return _commit(held, fields, response, rest, NOTHING)


def is_same(held: LeasedPage, response: Response) -> bool:
    """Whether *response*, a 2xx, is the page that was there before, so that it need not be read.

    Not if its header may ask not to store it, nor where the page was gone: its content is stored again then.
    """
    before = held.before
    if before is None or not before.digest or before.is_gone or before.sitemap or response.skipped:
        return False
    if response.headers.get("x-robots-tag"):
        return False
    return int.from_bytes(hashlib.sha256(response.body).digest()[:8]) == before.digest


def of_redirect(
    held: LeasedPage, response: Response, target: str | None, found: Discovered, rest: HostFeedback, target_id: str = ""
) -> Commit:
    """The outcome of a URL that redirects. *target* is canonical, or None if it cannot be crawled.

    With *target_id*, the id of *target*, it ends as a loop if known redirects lead from there back to it.
    """
    outcome = "failed:redirect-loop" if found.refused["hops"] else "redirected"
    fields = _response_fields(held, outcome, response, found.error)
    fields["redirect_to"] = target or _cut(without_credentials(response.headers.get("location") or ""))
    of_loop = {"outcome": "failed:redirect-loop", "error": IN_A_CIRCLE, "sitemap": held.entry.request.sitemap}
    loop = Record(**fields | of_loop).encode() if target_id else b""
    state = {"target": target_id or None}
    return _commit(held, fields, response, rest, found, state=state, loop=loop)


def of_page(
    held: LeasedPage,
    page: Page,
    found: Discovered,
    rest: HostFeedback,
    want: Collection[str] = (),
    *,
    near: bool = False,
) -> Commit:
    """The outcome of a page that was read and parsed.

    Its contents that the crawl *want*s are kept, unless its original is stored with its own. *near*: it is looked for
    an earlier page with nearly the same text.
    """
    response, original = page.response, found.original
    outcome = _DROPPED if found.hook.is_dropped else "dropped:noindex" if page.noindex else "fetched"
    fields = _response_fields(held, outcome, response, found.error or page.damage or (_FLAT if page.is_flat else None))
    fields["link_count"] = page.links_total
    if outcome != "fetched":
        fields |= {"charset": page.charset, "canonical": page.canonical}
        return _commit(held, fields, response, rest, found)
    for name in _OF_PAGE:  # a quick loop: what is shorter takes twice as long
        fields[name] = getattr(page, name)
    fields["duplicate_of"] = original
    has_text = page.text_digest is not None
    state = {"text_digest": page.text_digest, "text_method": METHOD} if has_text else {}
    if original is not None and found.is_original_stored:
        return _commit(held, fields, response, rest, found, state=state, contents=data_of(found.hook.data))
    contents = contents_of(page, want, found.hook.data)
    # Stubs with nothing but a refresh are often identical, yet lead to different places.
    # A page that names its original must not count as the first with this content: the original does.
    comparable = response.body and not response.truncated and page.refresh is None and original is None
    digest = str(bits_of(fields["digest"]) >> 1) if comparable else ""
    alike = similarity(_main_text(page, want)) if near and comparable else None
    more: dict[str, Any] = {"digest": digest, "similarity": alike, "copy": found.copy}
    return _commit(held, fields, response, rest, found, state=state, contents=contents, **more)


def of_sitemap(
    held: LeasedPage, response: Response, found: Discovered, rest: HostFeedback, *, locations: int | None
) -> Commit:
    """The outcome of a sitemap with this number of *locations*; None: it cannot be read as a sitemap."""
    fields = _response_fields(held, "fetched", response, found.error)
    fields |= {"link_count": locations, "sitemap": True}
    return _commit(held, fields, response, rest, found)


def _main_text(page: Page, want: Collection[str]) -> str:
    """The text of the main content if the crawl *want*s that, else all text if it wants that."""
    name = next((name for name in ("main", "markdown", "text") if name in want), None)
    return "" if name is None else getattr(page, name) or ""


def _response_fields(held: LeasedPage, outcome: str, response: Response, error: str | None) -> dict[str, Any]:
    entry = held.entry
    headers = response.headers
    is_read = not (response.skipped or entry.request.target)
    return {
        "url": held.url,
        "outcome": outcome,
        "depth": entry.request.depth,
        "via": entry.request.found_on,
        "hops": entry.request.hops,
        # So that it is retried as a sitemap; and one that is gone is no page that is gone.
        "sitemap": entry.request.sitemap and (outcome.startswith("failed:") or held.before is not None),
        "target": entry.request.target,
        "lastmod": _utc(entry.request.lastmod),
        "status": response.status,
        "content_type": _cut(response.content_type) or None,
        "size": len(response.body) if is_read else None,
        "truncated": response.truncated,
        # Where the redirects that were followed within the lease led.
        "redirect_to": None if response.url in (held.url, entry.request.url) else response.url,
        "digest": f"sha256:{hashlib.sha256(response.body).hexdigest()}" if is_read else None,
        "etag": _cut(headers.get("etag")),
        "last_modified": _cut(headers.get("last-modified")),
        "fetched_at": _at(response),
        "elapsed_ms": round(response.elapsed * 1000),
        "attempts": entry.tries + 1,
        "certificate_expires": _utc(expires_soon(response)),
        "error": _cut(error),
    }


def expires_soon(response: Response) -> int | None:
    """When the certificate of its server expires, if that is soon, or was, in seconds since the epoch."""
    at = response.certificate_expires
    return None if at is None or at > time.time() + SOON else int(at)


def _commit(
    held: LeasedPage,
    fields: dict[str, Any],
    response: Response,
    rest: HostFeedback,
    found: Discovered,
    *,
    state: Mapping[str, Any] = NO_FIELDS,
    **more: Any,
) -> Commit:
    """Build the commit. *more* are further fields of the Commit, *state* those of the state that no record has."""
    record = Record(**fields)
    finding = _find(held, record, response, {"similarity": more.get("similarity"), **state})
    if finding.is_unchanged:
        more = {"spared": found.spared}
    elif finding.change in ("gone", "moved"):  # with what it named
        more["links"] = b""
    return Commit(
        held.lease,
        held.id,
        finding.state,
        None if finding.is_unchanged else with_change(record, finding, held.before).encode(),
        event=rest.event,
        rest_ms=rest.rest_ms,
        # Errors and redirects arrive faster than pages: they do not show how busy the host is.
        latency_ms=round(response.first_byte * 1000) if 200 <= response.status < 300 else None,
        ip=rest.ip,
        trouble=rest.trouble,
        tallies=_tallies(held, record, response, found) | tallies_of(finding),
        roots=found.roots,
        requests=() if finding.is_unchanged and is_known_copy(held.before, found.spared) else found.requests,
        before=held.before,
        keeps=finding.keeps,
        **{"spared": found.spared} | more,
    )


def _find(held: LeasedPage, record: Record, response: Response, state: Mapping[str, Any]) -> Finding:
    """What the visit that is recorded as *record* has found."""
    not_modified = response.status == NOT_MODIFIED and record.outcome == "fetched"
    state = {**state, "certificate_expires": expires_soon(response)}
    if record.outcome == "fetched":
        etag, last_modified = _validators(held, response, not_modified)
        state = {**state, "etag": etag, "last_modified": last_modified}
    visit = state_of(held.entry.request, held.lease.token, record, **state)
    if visit.is_target:  # what is wrong with it is stored at each visit
        after = find(held.before, visit, response, held.intervals).state
        return Finding(msgspec.structs.replace(after, target=visit.target, is_gone=False))
    if not_modified and held.before is not None:
        visit = msgspec.structs.replace(visit, status=held.before.status if held.before.outcome == "fetched" else 200)
    return find(held.before, visit, response, held.intervals, not_modified=not_modified)


def _validators(held: LeasedPage, response: Response, not_modified: bool) -> Validators:
    """What tells the version of the page that *response* says is there: they belong to the URL that gave them."""
    received, before = int(time.time()), held.before
    if not_modified and before is not None:
        return renewed(Validators(before.etag, before.last_modified), response.headers, received)
    is_own = response.url in (held.url, held.entry.request.url)
    return validators_of(response, received) if is_own else NO_VALIDATORS


def _tallies(held: LeasedPage, record: Record, response: Response, found: Discovered) -> dict[str, int]:
    tallies = {f"status:{response.status}": 1, "bytes": len(response.body)}
    if record.duplicate_of is not None:
        tallies["duplicates"] = 1
    before = held.before
    is_counted = before is not None and before.sitemap and before.outcome == "fetched"
    if record.outcome == "fetched" and (record.sitemap or held.entry.request.sitemap) and not is_counted:
        tallies["sitemaps"] = 1
    tallies |= found.hook.tallies
    for reason, n in found.refused.items():
        tallies[f"refused:{reason}"] = n
    return tallies


def is_known_copy(before: UrlState | None, spared: str) -> bool:
    """Whether a page was a copy at its last visit, of another page than that which is *spared*."""
    return before is not None and before.copy_of is not None and spared not in (ANY, before.copy_of)


def _at(response: Response) -> str:
    """When the answer ended, as RFC 3339 in UTC."""
    return _utc_of(int(time.time() - (time.monotonic() - response.ended if response.ended else 0.0)))


def _utc(seconds: float | None) -> str | None:
    return None if seconds is None else _utc_of(int(seconds))


@lru_cache(maxsize=1024)
def _utc_of(seconds: int) -> str:
    return rfc3339(seconds)


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MAX_FIELD else text[: MAX_FIELD - 1] + "…"
