"""Requests as Scrapy and scrapy-redis store them, to lines for the seeder. Nothing that is read is run.

What cannot be crawled here (POST, a body, another format) becomes a line that is `odd`, with the reason: it is refused
and counted as any other line that is no URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from crawler.crawl import seed_list
from crawler.crawl.seed_list import Line
from crawler.parse import pickled

MAX_DEPTH: Final = 250
"""Links from a seed: more are taken for as many."""
_GET_ONLY: Final = "only GET without a body is crawled"
_TYPES: Final = (str, int, float, bool)


def of_request(raw: bytes, where: str) -> Line:
    """A request that waits in a queue: pickled, or JSON of a `SCHEDULER_SERIALIZER`."""
    try:
        request = msgspec.json.decode(raw) if raw[:1] == b"{" else pickled.read(raw)
    except (ValueError, RecursionError) as error:
        return Line("", where, f"it is no request that can be read: {error}")
    url = request.get("url") if isinstance(request, dict) else None
    if not isinstance(url, str):
        return Line("", where, "it is no request with a URL")
    method, meta = _text(request.get("method")) or "GET", request.get("meta")
    if method.upper() != "GET" or _text(request.get("body")):
        return Line(url, where, f"it is a {method} request: {_GET_ONLY}")
    depth = meta.get("depth", 1) if isinstance(meta, dict) else 1
    depth = depth if isinstance(depth, int) else 1
    return Line(url, where, seed_list.oddity_of_argument(url), depth=min(max(depth, 1), MAX_DEPTH))


def of_start_url(raw: bytes, where: str) -> Line:
    """A member of `start_urls`: a URL, or JSON with `url`, `method`, `meta`, and the fields of a form."""
    text = seed_list.stripped(raw.decode("utf-8", "replace"))
    if text[:1] not in ("{", '"'):
        return Line(text, where, seed_list.oddity(text))
    try:
        given = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return Line(text, where, "it is no JSON")
    given = {"url": given} if isinstance(given, str) else given
    url = given.pop("url", None)
    if not isinstance(url, str):
        return Line(text, where, "it has no url")
    method = _text(given.pop("method", "GET")).upper()
    given.pop("meta", None)
    if method != "GET":
        return Line(url, where, f"it is a {method} request: {_GET_ONLY}")
    try:
        url = _with_form(url, given) if given else url
    except ValueError:
        return Line(url, where, "its form cannot be read")
    return Line(url, where, seed_list.oddity(url))


def _with_form(url: str, form: Mapping[str, Any]) -> str:
    """*url* with the fields of *form* as its query: what a GET by FormRequest asks for."""
    pairs = [(name, value) for name, given in form.items() for value in (given if isinstance(given, list) else [given])]
    if not all(isinstance(value, _TYPES) for _, value in pairs):
        raise ValueError
    return urlunsplit(urlsplit(url)._replace(query=urlencode(pairs)))


def _text(value: Any) -> str:
    """Text or bytes as text. Empty if it is neither: protocol 2 of pickle makes even no bytes by a call."""
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""
