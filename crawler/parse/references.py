"""The references of a page as absolute URLs, to be written into what is kept of it. Pure."""

from __future__ import annotations

import re
from typing import Final

from crawler import url as urls
from crawler.errors import InvalidURL

_NO_LINK = re.compile(r"(?:javascript|data|vbscript|about|blob):", re.IGNORECASE)
# These are most references; the others take ten times as long.
_SIMPLE = re.compile(r"[\w-]++(?:[./][\w-]++)*+/?+(?:#[\w.:%-]*+)?+", re.ASCII)
_ABSOLUTE = re.compile(r"https?://[a-z0-9.-]+(?::\d+)?/[^\s\\<>\"`{}|^]*", re.ASCII)
_UNSAFE: Final = {ord(character): f"%{ord(character):02X}" for character in ' <>"\\^`{|}\x00\n\r\t()'}


class References:
    """Makes the references of one page absolute, fragments included."""

    def __init__(self, url: str, base: str) -> None:
        """*url* is that of the page, *base* what its references are relative to."""
        self._base, self._is_own = base, base == url.partition("#")[0]
        self._folder = base.partition("?")[0].rpartition("/")[0] + "/"
        self._known: dict[str, str] = {}

    def absolute(self, reference: str) -> str:
        """*reference* as an absolute URL that Markdown takes as it is; "" if it leads nowhere."""
        known = self._known.get(reference)
        if known is None:
            known = self._known[reference] = self._resolve(reference.strip())
        return known

    def _resolve(self, reference: str) -> str:
        if _SIMPLE.fullmatch(reference):
            return self._folder + reference
        if reference[:1] == "#" and self._is_own:
            return self._base + _safe(reference)
        if _ABSOLUTE.fullmatch(reference):
            return _safe(reference)
        if not reference or _NO_LINK.match(reference):
            return ""
        try:
            return _safe(urls.resolve(reference, self._base))
        except InvalidURL:
            return ""


def _safe(url: str) -> str:
    return url.translate(_UNSAFE)
