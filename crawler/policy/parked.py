"""Pages of domains that have no content of their own any more: their owner sells them, or lets advertisements earn."""

from __future__ import annotations

import re
from typing import Final

from crawler.fetch.fetcher import Response
from crawler.policy.challenges import MAX_READ, markup_and_scripts

_SCRIPT: Final = re.compile(
    rb"""<script\b[^<>]*[\s"']src=["']?(?:https?:)?//(?:"""
    rb"""img1\.wsimg\.com/parking-lander/|(?:www|img)\.sedoparking\.com/|d38psrni17bvxu\.cloudfront\.net/"""
    rb"""|(?:www\.)?parkingcrew\.net/|c\.parkingcrew\.net/)"""
)
"""Scripts of GoDaddy, Sedo, ParkingCrew. Nobody else loads them."""
_LANDER: Final = re.compile(
    rb"""\s*window\.onload=function\(\)\{window\.location\.href=["']/lander(?:\?[^"'\s]*)?["'];?\}\s*"""
)
"""All that GoDaddy's page does."""
_HINTS: Final = (b"parking", b"d38psrni17bvxu", b"/lander")


def is_parked(response: Response) -> bool:
    """Whether the page is one of a service that parks domains."""
    body = response.body
    if (
        len(body) > MAX_READ
        or not any(hint in body for hint in _HINTS)
        or not response.computed_type.startswith("text/html")
    ):
        return False
    markup, scripts = markup_and_scripts(body)
    return _SCRIPT.search(markup) is not None or any(_LANDER.fullmatch(script) for script in scripts)
