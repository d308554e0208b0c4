"""What a visit leaves behind of its URL, beside the record: the state that later visits begin with."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from zlib import crc32

import msgspec

from crawler.fetch.fetcher import Response
from crawler.frontier.messages import Lease
from crawler.policy.changes import Finding, compare
from crawler.policy.schedule import UNASKED, Intervals, next_interval
from crawler.record import Record, Request, is_revisit, is_target
from crawler.url_state import UrlState


def state_of(request: Request, token: str, record: Record, **more: Any) -> UrlState:
    """The state of the URL of *request* after a first visit with this *record*, under the lease *token*.

    *more* are further fields: of a redirect the id of its target, of a good answer what is known of its text. A good
    answer is one whose body was read.
    """
    now = int(time.time())
    is_good = record.outcome == "fetched" and record.digest is not None
    return UrlState(
        url=record.url,
        outcome=record.outcome,
        status=record.status or 0,
        depth=request.depth,
        hops=request.hops,
        via=request.via,
        token=crc32(token.encode()),
        first_seen=now,
        checked_at=now,
        changed_at=now if is_good else 0,
        digest=bits_of(record.digest) if is_good else 0,
        sitemap=request.sitemap or record.sitemap,
        is_target=request.target,
        **more,
    )


def bits_of(digest: str | None) -> int:
    """The first 64 bits of a `sha256:...`; never 0, which stands for no digest."""
    return int((digest or "").removeprefix("sha256:")[:16] or "0", 16) or 1


def find(
    before: UrlState | None,
    visit: UrlState,
    response: Response | None = None,
    intervals: Intervals | None = None,
    *,
    not_modified: bool = False,
) -> Finding:
    """What a visit has found (see `compare`), and when the next one is due; the *response* may name a time for that."""
    if before is None or response is None or intervals is None:
        return compare(before, visit, not_modified=not_modified)
    reschedule = partial(next_interval, settings=intervals, freshness=response.freshness)
    return compare(before, visit, not_modified=not_modified, reschedule=reschedule)


def with_change(record: Record, finding: Finding, before: UrlState | None) -> Record:
    """*record* with what the visit has found."""
    if finding.change is None:
        return record
    previous = None if before is None or finding.change == "new" else f"sha256:{before.digest:016x}"
    return msgspec.structs.replace(record, change=finding.change, previous_digest=previous)


def tallies_of(finding: Finding) -> dict[str, int]:
    """What a visit counts as in the counters of this visit of the crawl. Sitemaps do not count, targets elsewhere."""
    state, word = finding.state, finding.word
    if state.is_target:
        return {"targets": 1} if state.visits == 1 else {}
    if state.sitemap:
        return {}
    tallies = {} if word is None else {f"visit:{word}": 1}
    return tallies | {"visit:fetched": 1} if state.outcome in _FINAL else tallies


_FINAL = ("fetched", "missing", "denied")
"""Outcomes of pages that the server has answered for good."""


Read = Callable[[Sequence[tuple[str, str]]], list[UrlState | None]]
"""Reads the states of URLs, by their hosts and ids."""


def states_of_pages(
    leases: Collection[Lease], id_of: Callable[[str], str], read: Read, began: Callable[[], int]
) -> dict[str, UrlState]:
    """The states of leased targets that have been read as pages, by token; not of pages that no answer is known of.

    Of a target that is visited again, the page must have been too. *began* tells when this visit did, in seconds since
    the epoch; it is asked only where that matters.
    """
    places = {}
    for lease in leases:
        if lease.kind == "P" and is_target(lease.raw):
            with suppress(ValueError):  # a foreign client put it into the queue
                places[lease.token] = lease.host, id_of(lease.entry().request.url)
    states = zip(places, read(list(places.values())), strict=True) if places else ()
    found = {token: state for token, state in states if state and not state.is_queued and state.outcome not in UNASKED}
    again = {lease.token for lease in leases if lease.token in found and is_revisit(lease.raw)}
    since = began() if again else 0
    return {token: state for token, state in found.items() if token not in again or state.checked_at >= since}


def states_before(
    leases: Iterable[Lease],
    id_of: Callable[[Request], str],
    read: Read,
) -> dict[str, UrlState]:
    """The states of leased URLs that were visited before, by token; those that cannot be read are absent.

    A copy of a page that has another content now is as if it had never been read: its content is stored nowhere.
    """
    places = {}
    for lease in leases:
        if lease.kind == "P" and is_revisit(lease.raw):
            with suppress(ValueError):  # a foreign client put it into the queue
                places[lease.token] = lease.host, id_of(lease.entry().request)
    states = zip(places, read(list(places.values())), strict=True) if places else ()
    found = {token: state for token, state in states if state is not None}
    copies = {token: (places[token][0], state.copy_of) for token, state in found.items() if state.copy_of is not None}
    for token, first in zip(copies, read(list(copies.values())), strict=True) if copies else ():
        if first is None or first.is_gone or first.digest != found[token].digest:
            found[token] = msgspec.structs.replace(found[token], digest=0)
    return found
