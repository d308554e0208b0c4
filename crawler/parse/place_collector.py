"""Turns references, as a page writes them, into its places and notes. Pure; `Resolver` only caches."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from crawler import url as urls
from crawler.checked_page import MAX_NOTES, Note
from crawler.errors import InvalidURL
from crawler.parse.bad_reference import SCHEME, is_mistake, shown
from crawler.parse.charset import encode_query
from crawler.parse.fragments import element_name
from crawler.parse.page import Page
from crawler.parse.places import MAX_PLACES, PagePlaces, Place, Reference
from crawler.parse.resolver import EDGE, Resolver

_NAMED: Final = frozenset(("link", "frame", "refresh"))
"""Kinds whose fragment is the name of an element; those of others belong to pictures, players and style sheets."""
_UNSURE: Final = frozenset(("lazy", "other"))
"""Kinds that are URLs only if a script, or a program, takes them as such: what is none is passed over."""
_LOADED: Final = frozenset(
    (
        *("image", "media", "script", "style", "css", "font", "frame", "icon", "manifest", "object", "preload"),
        "form",  # browsers warn before they send it (Mixed Content, section 3.2)
    )
)
"""Kinds that a page of https must not load by http."""
_OF_WEB: Final = frozenset(("http", "https"))
_TRUSTED: Final = re.compile(r"http://(?:localhost|[^/:]+\.localhost|127(?:\.\d+){3}|\[::1\])(?=[:/])")
"""Loopback: potentially trustworthy (Secure Contexts, section 3.1)."""
_UPGRADE: Final = "upgrade-insecure-requests"


_new: Final = tuple.__new__
"""Makes a Place in half of the time that its own constructor takes."""


class PlaceCollector:
    """Collects the places of one page."""

    def __init__(self, page: Page, kinds: frozenset[str], resolver: Resolver) -> None:
        self.found = PagePlaces()
        self._url, self._kinds, self._resolver = page.url, kinds, resolver
        self._is_secure = page.url.startswith("https://")
        self._refreshed = False
        self.is_full = False
        """No more places are read."""
        self.obey_policy(page.headers.combined("content-security-policy"))
        self.relative_to(page.url, "utf-8")

    @property
    def base(self) -> str:
        """What references are relative to."""
        return self._base

    def obey_policy(self, policy: str) -> None:
        """A Content-Security-Policy may let browsers ask by https in place of http: then nothing is mixed."""
        if _UPGRADE in policy.lower():
            self._is_secure = False

    def relative_to(self, base: str, charset: str, *, is_own: bool = True) -> None:
        """References are relative to *base* from here on, their queries in *charset*.

        *is_own*: fragments alone lead to the page itself, if *base* is its URL.
        """
        self._base, self._charset = base, charset
        self._legacy = charset != "utf-8"
        self._is_own = is_own
        self._table = self._resolver.folder(base)

    def note(self, code: str, line: int, text: str = "") -> None:
        """Add a note."""
        if len(self.found.notes) < MAX_NOTES:
            self.found.notes.append(Note(code, line, text))

    def add_all(
        self, references: Iterable[Reference], line: int = 0, rel: str | None = None, text: str | None = None
    ) -> None:
        """Add *references*, of an element or a file."""
        for reference in references:
            self.add(reference, line, rel, text)
            if self.is_full:
                break

    def add(self, reference: Reference, line: int = 0, rel: str | None = None, text: str | None = None) -> None:
        """Add one reference. *line* is that of its element, unless it has one of its own."""
        self.add_url(reference.kind, reference.url, reference.line or line, rel, text, reference.within)

    def add_url(
        self, kind: str, url: str, line: int = 0, rel: str | None = None, text: str | None = None, within: str = ""
    ) -> None:
        """Add the reference *url* as it is written; the others as in Reference."""
        if kind not in self._kinds:
            return
        if kind == "refresh":
            if self._refreshed:  # only the first counts (HTML 4.2.5.3)
                return
            self._refreshed = True
        written = url.strip(EDGE)
        scheme = SCHEME.match(written) if ":" in written else None
        if scheme and scheme[1].lower() not in _OF_WEB:
            if kind == "link" and is_mistake(scheme[1], written):
                self.note("url-invalid", line, shown(written))
            return
        if self._legacy:
            written = encode_query(written, self._charset)
        found = self._found(kind, written, within)
        if found is None:
            return
        url, fragment, spelled = found
        if url in urls.REFUSALS:
            self._refused(kind, url, line, written)
        else:
            words = " ".join(rel.lower().split()) if rel else ""
            self._append(_new(Place, (kind, url, fragment, line, text, words, spelled)))
            if self._is_secure and url.startswith("http:") and kind in _LOADED and not _TRUSTED.match(url):
                self.note("mixed-content", line, spelled or url)

    def _append(self, place: Place) -> None:
        places = self.found.places
        if len(places) < MAX_PLACES:
            places.append(place)
        else:
            self.is_full = True

    def add_own(self, name: str, line: int) -> None:
        """The page needs an element of its own that has this *name*."""
        if "link" in self._kinds:
            self._append(Place("link", self._url, name, line))

    def invalid(self, references: Iterable[Reference], line: int, text: str) -> None:
        """Note that *references* are none, if places of their kinds are read."""
        if any(reference.kind in self._kinds and reference.kind not in _UNSURE for reference in references):
            self.note("url-invalid", line, text)

    def _found(self, kind: str, written: str, within: str) -> tuple[str, str | None, str] | None:
        """Where *written* leads, or why it is refused; the name that its fragment asks for; how it is spelled.

        None if that is the page itself, or a part of a picture.
        """
        bare, sign, fragment = written.partition("#")
        name = element_name(fragment) if fragment and kind in _NAMED else None
        if not bare:
            if kind not in _NAMED or not self._is_own:
                return None
            if self._base == self._url:
                return None if name is None else (self._url, name, "")
        elif bare[-1] <= " ":
            bare = urls.without_fragment(written)
        base, table = self._base, self._table
        if within:
            try:
                base = urls.resolve(within, base)
            except InvalidURL:
                return "invalid", None, ""
            table = self._resolver.folder(base)
        url = table.get(bare) or self._resolver.resolve(bare, base, table)
        spelled = "" if self._resolver.form.plain else self._spelled(bare, base, url)
        return url, name, spelled + sign + fragment if spelled else ""

    def _spelled(self, bare: str, base: str, url: str) -> str:
        """The URL before the crawl's form is applied; empty if that changes nothing."""
        if url in urls.REFUSALS or not ("?" in bare or ";" in bare or "(" in bare):
            return ""
        plain = urls.canonicalize(bare, base)
        return "" if plain == url else plain

    def _refused(self, kind: str, reason: str, line: int, written: str) -> None:
        if kind in _UNSURE or reason == "scheme":
            return
        self.note("url-invalid" if reason == "invalid" else "not-checked", line, shown(written))

    def finish(self) -> PagePlaces:
        """All that was found."""
        if self.is_full:
            self.note("not-checked", 0, f"what it names after its first {MAX_PLACES:,} places")
        return self.found
