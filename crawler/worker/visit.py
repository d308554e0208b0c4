"""What a visit leaves behind of its URL, beside the record: the state that later visits begin with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from zlib import crc32

from crawler.frontier.messages import Lease
from crawler.record import Record, Request, is_revisit
from crawler.url_state import UrlState


def state_of(
    request: Request,
    token: str,
    record: Record,
    before: UrlState | None = None,
    *,
    target: str | None = None,
    similarity: int | None = None,
) -> UrlState:
    """The state of the URL of *request* after the visit with this *record*, under the lease *token*.

    *target* is the id of the URL that it redirects to. A good answer is one whose body was read.
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
        first_seen=now if before is None else before.first_seen,
        checked_at=now,
        changed_at=now if is_good else 0,
        visits=1 if before is None else before.visits + 1,
        changes=0 if before is None else before.changes,
        digest=int((record.digest or "").removeprefix("sha256:")[:16], 16) if is_good else 0,
        target=target,
        similarity=similarity if is_good else None,
        last_modified=_seconds(record.last_modified) if is_good else None,
        etag=record.etag if is_good else None,
        sitemap=request.sitemap or record.sitemap,
    )


def states_before(
    leases: Iterable[Lease],
    id_of: Callable[[str], str],
    read: Callable[[Sequence[tuple[str, str]]], list[UrlState | None]],
) -> dict[str, UrlState]:
    """The states of leased URLs that were visited before, by token; those that cannot be read are absent."""
    places = {}
    for lease in leases:
        if lease.kind == "P" and is_revisit(lease.raw):
            with suppress(ValueError):  # a foreign client put it into the queue
                places[lease.token] = lease.host, id_of(lease.entry().request.url)
    found = zip(places, read(list(places.values())), strict=True) if places else ()
    return {token: state for token, state in found if state is not None}


def _seconds(date: str | None) -> int | None:
    """An HTTP date (RFC 9110, section 5.6.7) in seconds since the epoch; None where it is none."""
    try:
        return int(parsedate_to_datetime(date or "").timestamp())
    except (ValueError, OverflowError):
        return None
