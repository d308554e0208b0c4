"""Conditional requests (RFC 9110 section 13): which validators of an answer are used, and what is sent with a visit.

Pure. A 304 saves the transfer of a page, but a wrong one hides its changes for ever. So a validator is used only if it
can tell two versions apart, and now and then a page is requested without conditions.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from crawler.fetch.caching import date_text, entity_tag, http_date
from crawler.fetch.fetcher import Headers, Response
from crawler.url_state import UrlState

FIRST_WEB_PAGE: Final = 681_436_800
"""1991-08-06. An earlier Last-Modified is a constant of the software that made the file, the same for all versions."""
FULL_EVERY: Final = 10
"""Every tenth visit of a page is unconditional: a server that wrongly answers 304 hides a change no longer."""
FULL_AFTER: Final = 5
"""No visit is unconditional for that reason before a page had this number of visits."""


class Validators(NamedTuple):
    """What identifies one version of a page; None if it is unknown or cannot be used."""

    etag: str | None = None
    last_modified: int | None = None
    """Seconds since the epoch."""


NO_VALIDATORS: Final = Validators()


def validators_of(response: Response, received: int) -> Validators:
    """The validators of an answer that came at *received* (seconds since the epoch).

    They belong to its URL. An incomplete body has none: a 304 would keep it incomplete.
    """
    if response.truncated or response.skipped or not 200 <= response.status < 300:
        return NO_VALIDATORS
    return _usable(response.headers, received)


def renewed(before: Validators, headers: Headers, received: int) -> Validators:
    """The validators after a 304 with *headers*: what it names replaces what was known (RFC 9111 section 3.2)."""
    if _varies(headers):
        return NO_VALIDATORS
    named = _usable(headers, received)
    last_modified = before.last_modified if named.last_modified is None else named.last_modified
    return Validators(named.etag or before.etag, last_modified)


def conditions(validators: Validators) -> tuple[tuple[str, str], ...]:
    """The header fields by which a request becomes conditional; none without validators.

    Both are sent if both are known: a server that knows ETags ignores the date (RFC 9110 section 13.1.3).
    Apache adds the compression to the ETag of an answer, and then does not recognise it (`DeflateAlterETag`, by default
    `AddSuffix`). So such a tag is sent with and without it.
    """
    etag = entity_tag([validators.etag or ""])  # it was in Redis
    found = [("If-None-Match", _as_sent(etag))] if etag else []
    if validators.last_modified:
        found.append(("If-Modified-Since", date_text(validators.last_modified)))
    return tuple(found)


def conditions_of(before: UrlState | None, url_id: str) -> tuple[tuple[str, str], ...]:
    """The conditions of a visit to the URL with this id and this state; none if all of the page is wanted.

    A page that is gone is requested without: if it is back, its content is needed again.
    """
    if before is None or before.is_gone or not before.digest:
        return ()
    if before.visits >= FULL_AFTER and (before.visits + int(url_id)) % FULL_EVERY == 0:  # not all pages at once
        return ()
    return conditions(Validators(before.etag, before.last_modified))


def _usable(headers: Headers, received: int) -> Validators:
    """Those validators in *headers* that can tell versions apart.

    Last-Modified must be earlier than Date: within one second a page can change again, and servers that make a page
    anew for each request give the current time (RFC 9110 section 8.8.2.2). Without Date it must be a minute old, since
    the answer may have taken a while.
    """
    if _varies(headers):
        return NO_VALIDATORS
    dates = headers.all("last-modified")
    modified = http_date(dates[0]) if len(set(dates)) == 1 else None
    answered = http_date(headers.get("date") or "") or received - _MINUTE
    if modified is not None and not FIRST_WEB_PAGE <= modified < min(answered, received + _SKEW):
        modified = None
    return Validators(entity_tag(headers.all("etag")), modified)


def _as_sent(etag: str) -> str:
    plain = etag.removesuffix('-gzip"').removesuffix('-br"')
    return etag if plain == etag else f'{etag}, {plain}"'


def _varies(headers: Headers) -> bool:
    """`Vary: *`: the answer depends on more than the request (RFC 9110 section 12.5.5): no validator describes it."""
    return "*" in (name.strip() for name in headers.combined("vary").split(","))


_MINUTE: Final = 60
_SKEW: Final = 86_400
"""Seconds by which a server's clock may be ahead."""
