"""Where an answer sends us (RFC 9110 section 10.2.2)."""

from __future__ import annotations

from crawler.fetch.fetcher import Response


def location(response: Response) -> str | None:
    """The `Location` header as text; servers send it as UTF-8, though headers are read as Latin-1."""
    raw = response.headers.get("location")
    if raw is None or raw.isascii():
        return raw
    try:
        return raw.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return raw
