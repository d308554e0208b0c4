"""What header fields state about caching: validators, dates, and how long an answer stays fresh. Pure.

RFC 9110 section 8.8 defines validators, section 5.6.7 dates; RFC 9111 section 4.2 defines freshness.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_tz
from functools import lru_cache
from typing import Final

from crawler.url_state import MAX_TAG

MAX_AGE: Final = 1 << 31
"""Seconds that any longer freshness counts as (RFC 9111 section 1.2.2)."""

# RFC 9110 section 8.8.3 allows bytes beyond ASCII too, but does not say how a client would send back their text.
_TAG = re.compile(r'(?:W/)?"[!#-~]+"')
_DIRECTIVE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*=[ \t]*(\"(?:[^\"\\]|\\.)*\"|[^\s,;\"]*))?")
_MAX_CONTROL: Final = 2_000
"""Characters of Cache-Control that are read."""
_MAX_DATE: Final = 60
_LAST: Final = 0xFFFF_FFFF
"""The last date, in 2106: states keep 32 bits."""


def entity_tag(lines: Sequence[str]) -> str | None:
    """The ETag in the values of its header lines, as it came; None if it is missing, invalid, too long or ambiguous.

    An invalid one is never sent back: a bare `*` would match any version (RFC 9110 section 13.1.2).
    """
    if len(set(lines)) != 1 or len(lines[0]) > MAX_TAG or not _TAG.fullmatch(lines[0]):
        return None
    return lines[0]


@lru_cache(maxsize=256)
def http_date(text: str) -> int | None:
    """Seconds since the epoch of an HTTP date, in any of its three forms; None if it is none."""
    found = parsedate_tz(text) if len(text) <= _MAX_DATE else None
    if found is None:
        return None
    try:
        moment = datetime(*found[:6], tzinfo=UTC)
    except ValueError:
        return None
    seconds = int(moment.timestamp()) - (found[9] or 0)
    return seconds if 0 <= seconds <= _LAST else None


def date_text(seconds: int) -> str:
    """The preferred form of an HTTP date (RFC 9110 section 5.6.7)."""
    return formatdate(seconds, usegmt=True)


def directives(control: str) -> dict[str, str]:
    """The directives of Cache-Control, in lower case, each with its argument or ""; of equal ones the first counts."""
    found: dict[str, str] = {}
    for name, argument in _DIRECTIVE.findall(control[:_MAX_CONTROL]):
        found.setdefault(name.lower(), argument.strip('"'))
    return found


def freshness(control: str, expires: str | None, date: str | None, age: str | None) -> int | None:
    """Seconds for which an answer stays fresh from now on; None if its header does not say.

    The first of `max-age`, `s-maxage` and Expires counts, less Age. 0 stands for: not fresh, or never to be reused
    unasked (`no-cache`, `no-store`). An invalid number or date means 0 too (RFC 9111 sections 4.2.1 and 5.3).
    """
    said = directives(control)
    if said.get("no-cache") == "" or "no-store" in said:
        return 0
    lasting = next((said[name] for name in ("max-age", "s-maxage") if name in said), None)
    if lasting is not None:
        seconds = _number(lasting)
    elif expires is not None:
        until, since = http_date(expires), http_date(date or "")
        if until is not None and since is None:
            return None
        seconds = 0 if until is None or since is None else until - since
    else:
        return None
    return min(max(seconds - _number(age or ""), 0), MAX_AGE)


def _number(text: str) -> int:
    """A count of seconds (RFC 9111 section 1.2.2); 0 if it is none."""
    text = text.strip()
    if not (text.isascii() and text.isdigit()):
        return 0
    return int(text) if len(text) <= 10 else MAX_AGE
