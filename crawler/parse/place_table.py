"""Which attributes of which elements name URLs, and of which kind: one table. Pure.

Sources: HTML Standard, "attributes" index, and 16.2 for obsolete ones; SVG 2, 16.1; browsers' and libraries' habits for
lazy loading.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from crawler.parse.link_kinds import Attributes, link_references, meta_references
from crawler.parse.places import Reference
from crawler.parse.srcset import candidates
from crawler.parse.style_sheet import sheet_references

Reader = Callable[[Attributes, str], Iterator[Reference]]
"""What the value of an attribute names; the others of the element are needed to understand it."""

ANY: Final = "*"
"""In place of an element's name: all elements."""

_STYLES: Final = re.compile(r"(?i:url|src|image-set)\(|\\")
_NO_URL: Final = re.compile(r"[\s{}<>()\"']")
_MOVIES: Final = frozenset(("movie", "src", "url", "filename", "data", "href", "archive"))


def _link(attributes: Attributes, _: str) -> Iterator[Reference]:
    return link_references(attributes)


def _srcset(_: Attributes, value: str) -> Iterator[Reference]:
    return (Reference("image", url) for url in candidates(value))


def _input(attributes: Attributes, value: str) -> Iterator[Reference]:
    if (attributes.get("type") or "").strip().lower() == "image":
        yield Reference("image", value)


def _style(_: Attributes, value: str) -> Iterator[Reference]:
    if _STYLES.search(value):
        yield from (each._replace(line=0) for each in sheet_references(value))


def _words(kind: str) -> Reader:
    """URLs with spaces between."""

    def read(_: Attributes, value: str) -> Iterator[Reference]:
        return (Reference(kind, url) for url in value.split())

    return read


def _action(attributes: Attributes, value: str) -> Iterator[Reference]:
    """The action of a form that is sent by GET (HTML 4.10.19.6): a wrong method means GET."""
    if (attributes.get("method") or "").strip().lower() not in ("post", "dialog") and value.strip():
        yield Reference("form", value)


def _object(attributes: Attributes, value: str) -> Iterator[Reference]:
    yield Reference("object", value, within=attributes.get("codebase") or "")


def _archive(attributes: Attributes, value: str) -> Iterator[Reference]:
    """Files with commas (applet) or spaces (object) between."""
    for url in re.split(r"[\s,]+", value.strip()):
        if url:
            yield Reference("object", url, within=attributes.get("codebase") or "")


def _code(attributes: Attributes, value: str) -> Iterator[Reference]:
    """The class of an applet, unless an archive holds it."""
    if value.endswith(".class") and not attributes.get("archive"):
        name = value.removesuffix(".class").replace(".", "/")
        yield Reference("object", f"{name}.class", within=attributes.get("codebase") or "")


def _codebase(attributes: Attributes, value: str) -> Iterator[Reference]:
    yield Reference("other", value)


def _param(attributes: Attributes, value: str) -> Iterator[Reference]:
    if (attributes.get("name") or "").strip().lower() in _MOVIES and _is_plausible(value.strip()):
        yield Reference("object", value)


def _is_plausible(value: str) -> bool:
    """Whether a script may read *value* as a URL."""
    return ("/" in value or "." in value) and _NO_URL.search(value) is None


def _lazy(_: Attributes, value: str) -> Iterator[Reference]:
    """A URL, or a style, for a script that loads it later."""
    if _is_plausible(value.strip()):
        yield Reference("lazy", value)
    elif "url(" in value.lower():
        yield from (Reference("lazy", each.url) for each in sheet_references(value))


def _lazy_srcset(_: Attributes, value: str) -> Iterator[Reference]:
    return (Reference("lazy", url) for url in candidates(value))


_LAZY: Final = (
    *("data-src", "data-lazy", "data-lazy-src", "data-original", "data-url", "data-href", "data-poster", "data-image"),
    *("data-bg", "data-bg-src", "data-background", "data-background-image", "data-img", "data-thumb", "data-large"),
    *("data-full", "data-hires", "data-zoom-image", "data-echo", "data-src-retina", "data-retina", "data-cfsrc"),
    *("data-litespeed-src", "data-flickity-lazyload", "data-splide-lazy", "data-video", "data-video-src"),
    *("data-mp4", "data-webm", "data-mobile-src", "data-desktop-src", "data-fallback-src", "data-data"),
)
_LAZY_SETS: Final = (
    *("data-srcset", "data-lazy-srcset", "data-original-set", "data-bgset", "data-flickity-lazyload-srcset"),
    *("data-splide-lazy-srcset", "data-set"),
)
_PICTURES: Final = dict.fromkeys(("image", "feImage", "use"), "image")
_HREF: Final[dict[str, str | Reader]] = {"a": "link", "area": "link", "script": "script", **_PICTURES}

TABLE: Final[Mapping[str, Mapping[str, str | Reader]]] = {
    "href": {**_HREF, "link": _link, "base": "other"},
    "xlink:href": _HREF,
    "src": {
        **dict.fromkeys(("img", "amp-img"), "image"),
        **dict.fromkeys(("video", "audio", "source", "track", "bgsound"), "media"),
        **dict.fromkeys(("iframe", "frame"), "frame"),
        **{"script": "script", "embed": "object", "input": _input, "x-frame": "other"},
    },
    "srcset": dict.fromkeys(("img", "source", "amp-img"), _srcset),
    "imagesrcset": {"link": lambda attributes, _: iter(()) if "href" in attributes else link_references(attributes)},
    "poster": {"video": "image"},
    "data": {"object": _object},
    "code": {"applet": _code},
    "archive": {"applet": _archive, "object": _archive},
    "codebase": {"applet": _codebase, "object": _codebase},
    "value": {"param": _param},
    "content": {"meta": meta_references},
    "action": {"form": _action, "isindex": "other"},
    "style": {ANY: _style},
    "background": dict.fromkeys(("body", "table", "thead", "tbody", "tfoot", "tr", "td", "th"), "image"),
    "lowsrc": {"img": "image"},
    "dynsrc": {"img": "media"},
    "longdesc": dict.fromkeys(("img", "iframe", "frame"), "other"),
    "cite": dict.fromkeys(("blockquote", "q", "ins", "del"), "cite"),
    "ping": dict.fromkeys(("a", "area"), _words("ping")),
    "profile": {"head": _words("other")},
    "manifest": {"html": "other"},
    "implementation": {"import": "other"},
    **{name: {ANY: _lazy} for name in _LAZY},
    **{name: {ANY: _lazy_srcset} for name in _LAZY_SETS},
}
"""Attribute -> element -> the kind of the URL that it is, or what reads it. `page_places` knows four more: `srcdoc`,
`formaction`, `usemap`, and the content of `<style>` and of scripts that are data."""

LAZY: Final = frozenset((*_LAZY, *_LAZY_SETS))


_COMMON: Final = {name: reads[ANY] for name, reads in TABLE.items() if ANY in reads}
_BY_ELEMENT: Final = {
    element: _COMMON | {name: reads[element] for name, reads in TABLE.items() if element in reads}
    for element in {element for reads in TABLE.values() for element in reads}
}


def readers_of(element: str) -> Mapping[str, str | Reader]:
    """How the attributes of an *element* are read, by their names; those that are not there name nothing."""
    return _BY_ELEMENT.get(element, _COMMON)
