"""The structured data of a page: JSON-LD, OpenGraph, Twitter cards, microdata. Pure.

Pages make mistakes, and readers of such data forgive them: so does this module. Whatever a page writes, the result is
plain JSON of bounded size and depth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from typing import Any, Final

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.parse.microdata import microdata
from crawler.parse.page import Tree, clean, valid

MAX_JSONLD: Final = 1 << 20
"""Characters of JSON-LD that are read of a page."""
MAX_BLOCKS: Final = 1_000
"""Objects of JSON-LD from which on no further script is read."""
MAX_DEPTH: Final = 32
"""Levels of JSON-LD; what is deeper is left out."""
MAX_METAS: Final = 1_000
"""`<meta>` elements that are read."""
MAX_VALUE: Final = 4_000
"""Characters of one value of a `<meta>`."""
MAX_NAME: Final = 100
"""Characters of its property."""

_TYPE: Final = re.compile(r"\s*application/ld\+json\s*(?:;|\Z)", re.IGNORECASE)
_STRING: Final = r'("(?:[^"\\]|\\.)*+(?:"|\\?\Z))'
_COMMENTS: Final = re.compile(rf"{_STRING}|/\*(?:.*?\*/|.*\Z)|//[^\n\r]*+", re.DOTALL)
_COMMAS: Final = re.compile(rf"{_STRING}|,(?=\s*[}}\]])", re.DOTALL)
_END: Final = "; \t\r\n"
_UNSAFE: Final = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)|\0")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")

_PREFIXES: Final = ("og:", "twitter:", "article:", "book:", "music:", "product:", "profile:", "video:")
_MEDIA: Final = ("image", "video", "audio")
"""OpenGraph's structured properties: a list of objects (https://ogp.me/#structured)."""
_ARRAYS: Final = frozenset(
    ("locale:alternate", "article:author", "article:tag", "book:author", "book:tag", "music:album", "music:musician")
) | {"music:song", "video:actor", "video:director", "video:writer", "video:tag"}
_SINGLE: Final = frozenset(("title", "type", "url", "description", "site_name", "determiner", "locale"))
"""Of these the first one counts, as the protocol has it."""
_URLS: Final = frozenset(("url", "secure_url"))


@dataclass
class Document:
    """A parsed document; its JSON-LD is read once."""

    tree: Tree
    base: str
    """What its references are relative to."""
    lang: str = ""
    """The language that it declares."""
    errors: int = 0
    """Scripts with JSON-LD that could not be read."""

    @cached_property
    def jsonld(self) -> list[Any]:
        """The values of all scripts with JSON-LD; lists are taken apart, `@graph` stays."""
        blocks: list[Any] = []
        room = MAX_JSONLD
        for node in self.tree.css('script[type*="ld+json" i]'):
            if _TYPE.match(node.attributes.get("type") or ""):
                text = node.text()
                room -= len(text)
                is_read = room >= 0 and len(blocks) < MAX_BLOCKS and _take(text, blocks)
                self.errors += not is_read
        return blocks


def structured_data(document: Document) -> dict[str, Any]:
    """The structured data of a document. Keys without content are absent.

    `jsonld`: the objects of all scripts, `@graph` as it stands. `jsonld_errors`: the number of scripts that could not
    be read. `opengraph`, `twitter`: properties without `og:` and `twitter:`. `microdata`: items as the HTML standard
    writes them as JSON.
    """
    opengraph: list[tuple[str, str]] = []
    twitter: list[tuple[str, str]] = []
    for node in document.tree.css("meta[content]")[:MAX_METAS]:
        name, value = _social(node.attributes)
        if name.startswith("twitter:"):
            twitter.append((name.removeprefix("twitter:"), value))
        elif name:
            opengraph.append((name.removeprefix("og:"), value))
    found = {
        "jsonld": document.jsonld,
        "jsonld_errors": document.errors,
        "opengraph": _opengraph(opengraph, document.base),
        "twitter": _twitter(twitter, document.base),
        "microdata": microdata(document.tree, document.base),
    }
    return {name: value for name, value in found.items() if value}


# -- JSON-LD -----------------------------------------------------------------------------------------------------------


def _take(text: str, blocks: list[Any]) -> bool:
    """Add the objects of one script to *blocks*; whether it could be read."""
    if not text.strip():
        return True
    try:
        value = read_json(text)
    except ValueError:
        return False
    blocks += value if isinstance(value, list) else [value]
    return True


def read_json(text: str) -> Any:
    """JSON as authors write it: comments, CDATA, a comma too many, escaped quotes. ValueError if it is none.

    What JSON cannot hold in UTF-8 becomes U+FFFD; NaN and Infinity become null.
    """
    try:
        value = _loads(text)
    except ValueError:
        value = _loads(_repaired(text))
    is_deep = text.count("{") + text.count("[") > MAX_DEPTH
    return _plain(value, MAX_DEPTH) if is_deep or _UNSAFE.search(text) else value


def _loads(text: str) -> Any:
    try:
        return json.loads(text, strict=False, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _repaired(text: str) -> str:
    if '"' not in text and "&quot;" in text:
        text = unescape(text)
    text = _COMMENTS.sub(lambda found: found[1] or " ", _unwrapped(text))
    return _COMMAS.sub(lambda found: found[1] or "", _unwrapped(text))


def _unwrapped(text: str) -> str:
    """*text* without the comment or CDATA section around it, and without a final semicolon."""
    text = text.strip().removeprefix("<!--").removeprefix("<![CDATA[")
    return text.rstrip(_END).removesuffix("-->").removesuffix("]]>").rstrip(_END)


def _plain(value: Any, depth: int) -> Any:
    """*value* with strings that UTF-8 can hold, and without what is nested deeper than *depth* levels."""
    if isinstance(value, str):
        return valid(_SURROGATES.sub("\ufffd", value))
    if isinstance(value, dict):
        return {_plain(k, 0): _plain(v, depth - 1) for k, v in value.items() if depth > 0 or _is_leaf(v)}
    if isinstance(value, list):
        return [_plain(item, depth - 1) for item in value if depth > 0 or _is_leaf(item)]
    return value


def _is_leaf(value: Any) -> bool:
    return not isinstance(value, dict | list)


def objects(blocks: list[Any], of: str = "") -> Iterator[dict[str, Any]]:
    """The objects of a page's JSON-LD: those at the top and in `@graph`; with *of*, all of that type, at any depth."""
    stack = list(reversed(blocks))
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += reversed(value)
        if not isinstance(value, dict):
            continue
        if not of or of in _types_of(value):
            yield value
        within = list(value.values()) if of else [value.get("@graph")]
        stack += reversed(within)


def _types_of(value: dict[str, Any]) -> list[str]:
    """The types of an object, without the vocabulary: `Product` for `https://schema.org/Product`."""
    types = value.get("@type")
    names = types if isinstance(types, list) else [types]
    return [re.split(r"[/#:]", name)[-1] for name in names if isinstance(name, str)]


# -- OpenGraph and Twitter cards ---------------------------------------------------------------------------------------


def _social(attributes: Mapping[str, str | None]) -> tuple[str, str]:
    """The property and value of a `<meta>`; empty if it has none of OpenGraph or a Twitter card.

    Authors mix `name` and `property` up.
    """
    for key in ("property", "name"):
        name = (attributes.get(key) or "").strip().lower()
        if name.startswith(_PREFIXES) and (value := clean(attributes.get("content") or "", MAX_VALUE)):
            return name[:MAX_NAME], value
    return "", ""


def _opengraph(metas: list[tuple[str, str]], base: str) -> dict[str, Any]:
    """The properties; one that occurs again becomes a list. `image:width` belongs to the image before it."""
    found: dict[str, Any] = {}
    for name, value in metas:
        root, _, part = name.partition(":")
        if root in _MEDIA and ":" not in part and (part or root == name):
            _add_media(found.setdefault(root, []), part or "url", value, base)
        elif name in _SINGLE:
            found.setdefault(name, _absolute(value, base) if name == "url" else value)
        elif name in _ARRAYS:
            found.setdefault(name, []).append(value)
        elif name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def _add_media(media: list[dict[str, str]], part: str, value: str, base: str) -> None:
    if part in _URLS:
        value = _absolute(value, base)
    if not media or (part == "url" and media[-1].get("url", value) != value):
        media.append({})
    media[-1].setdefault(part, value)


def _twitter(metas: list[tuple[str, str]], base: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in metas:
        found.setdefault(name, _absolute(value, base) if name in ("image", "image:src", "url", "player") else value)
    return found


def _absolute(reference: str, base: str) -> str:
    """*reference* resolved against *base*; as it is if it is no URL."""
    try:
        return urls.resolve(reference, base)
    except InvalidURL:
        return reference
