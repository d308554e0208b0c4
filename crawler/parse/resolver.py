"""Resolves references of pages to canonical URLs; results are cached by the folder of the pages.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from crawler import url as urls
from crawler.errors import InvalidURL

_REFUSALS: Final = frozenset(urls.REFUSALS)
EDGE: Final = "".join(map(chr, range(33)))
"""C0 controls and space: stripped from the ends of a URL by WHATWG's parser."""
_OWN_SCHEME: Final = re.compile(r"https?:(?![/\\])", re.IGNORECASE)


class Resolver:
    """Canonical URLs, or the reasons to refuse them, of references that pages made; bounded.

    What a reference means depends only on the folder of its base (everything up to the last slash of the path).
    Exceptions are empty references, those that begin with `?` or `#`, and `http:` without slashes: they are resolved
    anew each time.
    """

    def __init__(self, form: urls.Form, size: int) -> None:
        """A cache of about *size* bytes; when full, all is forgotten. Memory is bounded even if pages are hostile."""
        self.form = form
        """Which spellings of a URL the crawl treats as one."""
        self._folders: dict[str, dict[str, str]] = {}
        self._size = self._room = size

    def folder(self, base: str) -> dict[str, str]:
        """The table of references from pages in the folder of *base*, an absolute URL: reference -> URL or refusal."""
        key = folder_of(base)
        if self._room <= 0:
            self._folders.clear()
            self._room = self._size
        table = self._folders.get(key)
        if table is None:
            self._room -= 400 + len(key)
            table = self._folders[key] = {}
        return table

    def resolve(self, reference: str, base: str, table: dict[str, str]) -> str:
        """The canonical URL of *reference*, or one of `url.REFUSALS`; stored in the *table* of *base* if possible."""
        if simple := _SIMPLE.fullmatch(reference):
            found = self._beside(simple[1] or _HERE, simple[2], base, table)
        else:
            found = self._canonical(reference, base)
        if simple or _is_of_folder(reference):
            size = 250 + len(reference) + len(found)
            if size <= self._room:
                table[reference] = found
            self._room -= size
        return found

    def _canonical(self, reference: str, base: str) -> str:
        try:
            return self.form.apply(urls.canonicalize(reference, base))
        except InvalidURL as error:
            return error.reason

    def _beside(self, way: str, name: str, base: str, table: dict[str, str]) -> str:
        """The same for a *name*, or a path of names, that *way* (`./`, `../`, ...) leads to: it need not be parsed."""
        folder = table.get(way)
        if folder is None:
            folder = table[way] = self._canonical(way, base)
        found = folder + name
        if folder in _REFUSALS or len(found) > urls.MAX_URL or not self.form.plain:
            return self._canonical(way + name, base)
        return found


_SIMPLE = re.compile(r"((?:\.\./){0,8})((?:[A-Za-z0-9_~-][A-Za-z0-9_.~-]*/)*[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)")
"""A way up, and what may follow it unchanged: unreserved characters, no dot segments, no scheme (RFC 3986 5.2)."""
_HERE: Final = "./"
_NO_BREAKS = {9: None, 10: None, 13: None}  # removed anywhere in a URL by WHATWG's parser


def _is_of_folder(reference: str) -> bool:
    """Whether *reference* means the same on all pages of a folder."""
    bare = reference.strip(EDGE).translate(_NO_BREAKS)
    return bool(bare) and bare[0] not in "?#" and not _OWN_SCHEME.match(bare)


def folder_of(base: str) -> str:
    """The folder of an absolute URL: everything up to the last slash of its path."""
    path = base.partition("?")[0]
    return path[: path.rfind("/", 8) + 1] or path


def base_of(hrefs: Iterable[str | None], url: str) -> str:
    """The base of a document's references: the first of its `<base href>` that is of http(s), else its own *url*."""
    for href in hrefs:
        if href:
            try:
                found = urls.resolve(href, url).partition("#")[0]
            except InvalidURL:
                continue
            if found.startswith(("http://", "https://")):
                return found
    return url
