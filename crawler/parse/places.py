"""What a page names, what may be named on it, and what is wrong with it by itself: the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from crawler.checked_page import Note

MAX_PLACES: Final = 50_000
"""Places that are read of a page; a note tells that it has more."""


class Place(NamedTuple):
    """A place of a page that names a URL."""

    kind: str
    """One of `checked_page.PLACES`."""
    url: str
    """Canonical, without its fragment. Of a reference without one (url-invalid) there is no Place but a Note."""
    fragment: str | None = None
    """Decoded, if it must be the name of an element: not empty, `top`, a text fragment, or what scripts read."""
    line: int = 0
    """From 1; 0: of the HTTP header, or not known."""
    text: str | None = None
    """What a reader clicks on, else the `alt`; only where the crawl stores links, which have the same texts."""
    rel: str = ""
    """The words of its `rel`, in lower case, with spaces between."""
    spelled: str = ""
    """The URL before the crawl's form (tracking parameters) is applied, where that differs; with its fragment."""


class Reference(NamedTuple):
    """A URL as it is written."""

    kind: str
    """One of `checked_page.PLACES`."""
    url: str
    line: int = 0
    """Of the file that it is read from, from 1; 0: that of the element."""
    within: str = ""
    """A reference that *url* is relative to (`codebase`); empty: the base of the document."""


@dataclass(slots=True)
class PagePlaces:
    """What a page, a style sheet or a manifest holds."""

    places: list[Place] = field(default_factory=list)
    """In the order of the document; a URL that is named twice is there twice."""
    names: Sequence[str] | None = None
    """Ids of elements and names of anchors; None: it is no HTML, or has too many, so fragments cannot be checked."""
    notes: list[Note] = field(default_factory=list)
