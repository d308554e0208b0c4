"""The `Link` header (RFC 8288): links that an answer names in its header. Pure; linear in the header's length."""

from __future__ import annotations

import re
from typing import Final

MAX_LINKS: Final = 100
"""Most links of one answer that are read; a page may have thousands, a header has a handful."""

_TARGET = re.compile(r"[\t ,]*+<([^>]*+)>")
_PARAMETER = re.compile(
    r'[\t ]*+;[\t ]*+([^\t =;,]*+)[\t ]*+(?:=[\t ]*+(?:"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)|([^;,]*+)))?', re.DOTALL
)
_REST = re.compile(r"[^,]*+")


def parse(value: str) -> list[dict[str, str | None]]:
    """The links in *value* (lines joined by commas), each like the attributes of `<link>`: `href`, `rel`, `type`, ...

    If a parameter is given twice, the first counts (section 3.3). A link with an `anchor` belongs to another document,
    so it is dropped (section 3.2). What follows a link that cannot be parsed is not read (appendix B.2).
    """
    links: list[dict[str, str | None]] = []
    at = 0
    while len(links) < MAX_LINKS and (target := _TARGET.match(value, at)):
        attributes: dict[str, str | None] = {}
        at = target.end()
        while parameter := _PARAMETER.match(value, at):
            name, quoted, plain = parameter.groups()
            own = (plain or "").rstrip("\t ") if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
            attributes.setdefault(name.lower(), own)
            at = parameter.end()
        at = _REST.match(value, at).end()  # type: ignore[union-attr]
        attributes["href"] = target[1].strip()
        if "anchor" not in attributes:
            links.append(attributes)
    return links
