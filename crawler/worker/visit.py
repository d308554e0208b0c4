"""What a visit leaves behind of its URL, beside the record: the state that later visits begin with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any
from zlib import crc32

import msgspec

from crawler.fetch.fetcher import Response
from crawler.frontier.messages import Lease
from crawler.policy.validators import Validators, renewed, validators_of
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

    *target* is the id of the URL that it redirects to. A good answer is one whose body was read; see `with_validators`.
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
        sitemap=request.sitemap or record.sitemap,
    )


def with_validators(state: UrlState, response: Response, *, is_own: bool) -> UrlState:
    """The *state* with the validators of the answer. *is_own*: the URL itself gave it, not one that it redirects to."""
    if not state.digest or not is_own:
        return state
    etag, last_modified = validators_of(response, state.checked_at)
    return msgspec.structs.replace(state, etag=etag, last_modified=last_modified)


def renewed_state(before: UrlState, token: str, response: Response) -> UrlState:
    """The state after a visit that was answered with 304."""
    now = int(time.time())
    etag, last_modified = renewed(Validators(before.etag, before.last_modified), response.headers, now)
    fields: dict[str, Any] = {"checked_at": now, "visits": before.visits + 1, "token": crc32(token.encode())}
    fields |= {"copy_of": None, "is_noted": False, "is_queued": False}  # a script sets these
    return msgspec.structs.replace(before, etag=etag, last_modified=last_modified, **fields)


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
