"""Which kind of place a `<link>`, a `Link` header or a `<meta>` is. Pure.

Relations are those of the HTML Standard (4.6.7), of the microformats wiki that it names, and of icons by their makers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from crawler.parse.places import Reference
from crawler.parse.refresh import parse_refresh
from crawler.parse.srcset import candidates

Attributes = Mapping[str, str | None]

_ICONS: Final = frozenset(
    ("icon", "apple-touch-icon", "apple-touch-icon-precomposed", "apple-touch-startup-image", "mask-icon", "fluid-icon")
)
_PRELOADS: Final = frozenset(("preload", "modulepreload", "prefetch", "prerender"))
_LINKS: Final = frozenset(
    (
        *("alternate", "next", "prev", "previous", "first", "last", "start", "up", "top", "contents", "toc", "index"),
        *("chapter", "section", "subsection", "appendix", "glossary", "author", "help", "license", "copyright"),
        *("bookmark", "bookmarks", "me", "search", "privacy-policy", "terms-of-service", "amphtml", "shortlink"),
        *("archives", "expect", "related", "via", "cite-as", "enclosure"),
    )
)
_NOT_LOADED: Final = frozenset(("dns-prefetch", "preconnect"))
"""They name a host to connect to, and nothing on it."""
_FOR_PROGRAMS: Final = frozenset(
    (
        *("pingback", "webmention", "edituri", "wlwmanifest", "profile", "hub", "micropub", "indieauth-metadata"),
        *("authorization_endpoint", "token_endpoint", "openid.server", "openid.delegate", "openid2.provider"),
        *("openid2.local_id", "import", "timegate", "original", "type"),
    )
)
"""What they name answers only to programs, often only to POST, or is a name."""
_HTML: Final = frozenset(("", "text/html", "application/xhtml+xml"))

_SOCIAL: Final = frozenset(
    (
        *("og:image", "og:image:url", "og:image:secure_url", "og:video", "og:video:url", "og:video:secure_url"),
        *("og:audio", "og:audio:url", "og:audio:secure_url", "og:url", "og:see_also", "og:logo", "thumbnail"),
        *("twitter:image", "twitter:image:src", "twitter:image0", "twitter:image1", "twitter:image2"),
        *("twitter:image3", "twitter:player", "twitter:player:stream", "image", "thumbnailurl", "contenturl", "logo"),
    )
)
"""Names of `<meta>` whose content is shown where somebody shares the page, `itemprop` included."""
_TILE: Final = re.compile(r"msapplication-(?:tileimage|(?:square|wide)\d+x\d+logo)")
_REPORT: Final = re.compile(r"(?:^|;)\s*report-uri\s+([^;]+)", re.IGNORECASE)


def link_references(attributes: Attributes, *, is_header: bool = False) -> Iterator[Reference]:
    """What a `<link>` with *attributes*, or a link of the header, names."""
    kind = _kind(attributes, is_header)
    if kind is None:
        return
    if (href := attributes.get("href")) is not None:
        yield Reference(kind, href)
    if kind == "preload" and (srcset := attributes.get("imagesrcset")):
        for candidate in candidates(srcset):
            yield Reference(kind, candidate)


def _kind(attributes: Attributes, is_header: bool) -> str | None:
    words = frozenset((attributes.get("rel") or "").lower().split())
    if not words:
        return "header" if is_header else "other" if "itemprop" in attributes else None
    if words <= _NOT_LOADED:
        return None
    for kind, names in _KINDS:
        if not words.isdisjoint(names):
            return kind
    if not words.isdisjoint(_PRELOADS):
        return "style" if (attributes.get("as") or "").strip().lower() == "style" else "preload"
    language = (attributes.get("hreflang") or "").strip().lower()
    if "alternate" in words and language not in _NO_LANGUAGE and _type(attributes) in _HTML:
        return "hreflang"
    if not words.isdisjoint(_LINKS):
        return "link"
    return "header" if is_header and words.isdisjoint(_FOR_PROGRAMS) else "other"


_KINDS: Final = (
    ("style", frozenset(("stylesheet",))),
    ("canonical", frozenset(("canonical",))),
    ("manifest", frozenset(("manifest",))),
    ("icon", _ICONS),
    ("social", frozenset(("image_src",))),
)


_NO_LANGUAGE: Final = ("", "x-default")
"""Values of `hreflang` of pages that are no translation: the page for all other languages names no page back."""


def _type(attributes: Attributes) -> str:
    return (attributes.get("type") or "").partition(";")[0].strip().lower()


def meta_references(attributes: Attributes, content: str) -> Iterator[Reference]:
    """What a `<meta>` with *attributes* and its *content* names."""
    pragma = (attributes.get("http-equiv") or "").strip().lower()
    if pragma == "refresh":
        parsed = parse_refresh(content)
        if parsed is not None:
            yield Reference("refresh", parsed[1])
    elif pragma.startswith("content-security-policy"):
        for report in _REPORT.findall(content):
            yield from (Reference("other", url) for url in report.split())
    names = {(attributes.get(key) or "").strip().lower() for key in ("property", "name", "itemprop")}
    if not names.isdisjoint(_SOCIAL):
        yield Reference("social", content)
    elif any(map(_TILE.fullmatch, names)):
        yield Reference("icon", content)
    elif not names.isdisjoint(("msapplication-config", "msapplication-starturl")) and content.lower() != "none":
        yield Reference("other", content)
