"""The files that a place stands for, as programs that show a repository need them."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

_SAFE = "/!$&'()*+,;=@~:-._"


class Artifact(NamedTuple):
    """What holds a finding, as a relative reference (RFC 3986 section 4.2)."""

    uri: str
    base: str
    """The URL of an origin that *uri* is relative to; empty: it is a file below the current folder."""


def file_of(url: str) -> str | None:
    """The file that the *url* of a place names; None: it is a URL. A check of a folder names files in place of URLs."""
    if "://" in url or not url:
        return None
    if not url.startswith("/"):
        return url.removeprefix("./")
    here = f"{Path.cwd()}{os.sep}"
    return url.removeprefix(here) if url.startswith(here) else url.lstrip("/")


@lru_cache(maxsize=1 << 12)
def artifact_of(url: str) -> Artifact:
    """What SARIF names. A reference with a scheme other than file would make GitHub refuse the whole SARIF."""
    file = file_of(url)
    if file is not None:
        return Artifact(_relative(quote(os.fsencode(file), safe=_SAFE)), "")
    parts = urlsplit(url)
    rest = url[len(parts.scheme) + 3 + len(parts.netloc) :].removeprefix("/")
    return Artifact(_relative(quote(rest, safe=f"{_SAFE}%?#[]")), f"{parts.scheme}://{parts.netloc}/")


def _relative(path: str) -> str:
    """*path* so that it cannot be read as a scheme, a host, or nothing."""
    if not path:
        return "."
    return f"./{path}" if path.startswith(("/", "?", "#")) or ":" in path.partition("/")[0] else path
