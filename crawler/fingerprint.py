"""Fingerprints of requests as Scrapy and scrapy-redis make them: by them a crawl knows what another one has fetched.

Pure. A fingerprint is the SHA-1 of method, URL and body; here always of a GET without a body. Its input changed twice:

- until Scrapy 2.6, and up to 2.12 by REQUEST_FINGERPRINTER_IMPLEMENTATION = "2.6": `GET`, then the URL;
- since Scrapy 2.7 (scrapy.utils.request.fingerprint): JSON of body, headers, method and URL;
- since scrapy-redis 0.8 (its RFPDupeFilter): the same JSON without headers.

The URL is that of w3lib.url.canonicalize_url: parameters of the query are sorted, percent-escapes are written one way,
the fragment is removed. w3lib changed twice which characters of a path it escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha1
from itertools import product
from typing import Final
from urllib.parse import quote, quote_plus, unquote_to_bytes

BYTES: Final = 20
"""Length of a fingerprint (SHA-1)."""
_SAFE: Final = ":/?[]@!$&'()*+,;=|%"
"""What is not escaped in a path, beside unreserved characters."""
_KEPT: Final = re.compile("%(?=25|2F|3B|3F)")
_KEPT_BEFORE: Final = re.compile("%(?=2F|3F)")
"""Escapes in a path that are not decoded: now, and before w3lib 2.5."""
_ODD: Final = str.maketrans({char: f"%{ord(char):02X}" for char in "[]|"})
"""What w3lib escapes since 2.1, but decodes again in a path."""
_SEPARATOR: Final = re.compile("&")
_SEPARATORS: Final = re.compile("[&;]")


def number_of(fingerprint: bytes) -> int:
    """63 bits of a fingerprint, as they are stored in Redis."""
    return int.from_bytes(fingerprint[:8], "big") >> 1


def numbers_of(url: str) -> set[int]:
    """The numbers of all fingerprints that the canonical *url* may have."""
    return {number_of(fingerprint) for fingerprint in fingerprints(url)}


def fingerprints(url: str) -> Iterator[bytes]:
    """All fingerprints that a GET of the canonical *url* may have."""
    for spelling in spellings(url):
        text = spelling.encode("ascii")
        yield sha1(b'{"body": "", "headers": {}, "method": "GET", "url": "%b"}' % text, usedforsecurity=False).digest()
        yield sha1(b'{"body": "", "method": "GET", "url": "%b"}' % text, usedforsecurity=False).digest()
        yield sha1(b"GET" + text, usedforsecurity=False).digest()


def spellings(url: str) -> set[str]:
    """What the versions of w3lib since 2.0 make of the canonical *url*: one spelling of nearly all URLs."""
    place, _, query = url.partition("?")
    start, end = place.index("/", 8), place.find(";", place.rindex("/"))
    end = end if end >= 0 else len(place)
    paths = _paths(place[start:end]) if "%" in place else {place[start:end]}
    endings = {params if len(params) > 1 else "" for params in (place[end:], place[end:].translate(_ODD))}
    queries = {_query(query, _SEPARATOR), _query(query, _SEPARATORS)} if query else {""}
    return {place[:start] + "".join(parts) for parts in product(paths, endings, queries)}


def _paths(path: str) -> set[str]:
    return {quote(unquote_to_bytes(kept.sub("%25", path)), _SAFE) for kept in (_KEPT, _KEPT_BEFORE)}


def _query(query: str, separators: re.Pattern[str]) -> str:
    pairs = [pair.partition("=") for pair in separators.split(query) if pair]
    decoded = sorted((_decoded(name), _decoded(value)) for name, _, value in pairs)
    encoded = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in decoded)
    return f"?{encoded}" if encoded else ""


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))
