"""The meta refresh: what sends a browser on to another page (HTML 4.2.5.3). Pure."""

from __future__ import annotations

import re

from crawler.parse.resolver import EDGE

# HTML 4.2.5.3, shared declarative refresh steps.
_REFRESH = re.compile(
    r"[\t\n\f\r ]*(?:([0-9]+)|(?=\.))[0-9.]*(?:\Z|(?=[;,\t\n\f\r ])[\t\n\f\r ]*[;,]?[\t\n\f\r ]*(.*))", re.DOTALL
)
_REFRESH_URL = re.compile(r"url[\t\n\f\r ]*=[\t\n\f\r ]*", re.IGNORECASE)


def parse_refresh(content: str) -> tuple[int, str] | None:
    """The seconds and the URL of a meta refresh, "" for the page itself; None if it is not one (HTML 4.2.5.3)."""
    match = _REFRESH.match(content)
    if match is None:
        return None
    reference = match[2] or ""
    if named := _REFRESH_URL.match(reference):
        reference = reference[named.end() :]
    if reference[:1] in ("'", '"'):
        reference = reference[1:].partition(reference[0])[0]
    return int((match[1] or "").lstrip("0")[:9] or "0"), re.sub("[\t\n\r]", "", reference).strip(EDGE)
