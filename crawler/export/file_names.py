"""Names of files for URLs: safe on every file system, bounded, and no two URLs have the same one.

    https://example.org/docs/intro.html     example.org/docs/intro.html.md
    https://example.org/docs/               example.org/docs/index.md
    http://example.org:8080/a               example.org+8080+http/a.md
    https://example.org/Search?q=caf%C3%A9  example.org/Search-q-caf-C3-A9~1f0c2b7d95a1e3d4.md

A path of plain lower-case parts is its own name. Any other gets a name from its letters and a digest of the URL, behind
a `~`, which plain names do not have. So upper and lower case, reserved names of Windows and long paths do no harm.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final
from urllib.parse import urlsplit

_PART: Final = re.compile(r"[a-z0-9_-](?:[a-z0-9._-]{0,98}[a-z0-9_-])?")
"""A part of a path that is safe: it neither begins nor ends with a dot."""
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,98}[a-z0-9])?")
_OTHER: Final = re.compile(r"[^A-Za-z0-9_]+")
_MAX_PATH: Final = 180
_MAX_PARTS: Final = 12
_MAX_SLUG: Final = 80
_INDEX: Final = "index"
"""The name of a path that ends with a slash."""


def file_name(url: str, ending: str) -> str:
    """The name of the file for *url*, with `/` between its parts."""
    split = urlsplit(url)
    path = split.path[1:]
    place = _place(split.hostname or "", split.port, split.scheme)
    plain = f"{path}{_INDEX}" if path.endswith("/") or not path else path
    if not place or split.query or "?" in url or path.rpartition("/")[2] == _INDEX or not _is_plain(plain, ending):
        plain = f"{_slug(url)}~{hashlib.blake2b(url.encode(), digest_size=8).hexdigest()}"
    return f"{place}/{plain}.{ending}".lstrip("/")


def _place(host: str, port: int | None, scheme: str) -> str:
    """The folder of a host; empty if its name is not plain."""
    if not _HOST.fullmatch(host) or _RESERVED.fullmatch(host):
        return ""
    return "+".join(filter(None, (host, str(port or ""), "" if scheme == "https" else scheme)))


def _is_plain(path: str, ending: str) -> bool:
    """Whether *path* can be its own name. No folder may have the name of a file, so none has its ending."""
    parts = path.split("/")
    return (
        len(path) <= _MAX_PATH
        and len(parts) <= _MAX_PARTS
        and all(_PART.fullmatch(part) and not _RESERVED.fullmatch(part) for part in parts)
        and not any(part.endswith(f".{ending}") for part in parts[:-1])
    )


def _slug(url: str) -> str:
    return _OTHER.sub("-", url.partition("://")[2].partition("/")[2])[:_MAX_SLUG].strip("-") or "index"
