"""What the answer to a request for the target of a link tells: it is there, it is not, or the answer does not tell."""

from __future__ import annotations

from crawler.fetch.fetcher import Headers
from crawler.policy.politeness import status_words


def verdict(status: int, headers: Headers, body: bytes, url: str, final_url: str) -> tuple[str, str]:
    """`good`, `broken` or `cannot-tell`, and the cause in words. *body* is its beginning, empty after HEAD."""
    if 200 <= status < 300:
        return "good", ""
    return ("cannot-tell" if status in (401, 403, 406, 407, 429, 999) else "broken"), status_words(status)
