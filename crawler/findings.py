"""What `crawler check` finds: the table of codes, and a finding with the places that hold it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import msgspec

Severity = Literal["error", "warning", "notice"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "notice")
"""From the worst on."""


class Code(NamedTuple):
    """One kind of finding."""

    severity: Severity
    sentence: str
    """What is wrong, in words."""
    advice: str
    """What to do about it."""


_TABLE: Final[dict[str, Code]] = {
    "broken": Code("error", "what the link leads to is not there", "correct the link, or restore what it leads to"),
    "broken-fragment": Code(
        "error", "no element of the page has the name after the #", "correct the fragment, or give the element its id"
    ),
    "redirect-chain": Code("warning", "two redirects or more in a row", "link to where they end"),
    "redirect-loop": Code("error", "redirects lead in a circle", "correct the redirects on the server"),
    "redirect-permanent": Code("notice", "the target has moved for good", "link to where it is now"),
    "mixed-content": Code(
        "error", "a page of https loads this by http: browsers block it", "load it by https, or leave it out"
    ),
    "certificate": Code("error", "the server's certificate is not valid", "renew or correct the certificate"),
    "certificate-expiring": Code("warning", "the server's certificate expires soon", "renew the certificate"),
    "title-missing": Code("warning", "the page has no title", "give it a <title>"),
    "title-duplicate": Code("warning", "several pages have the same title", "give each page a title of its own"),
    "description-missing": Code("notice", "the page has no description", 'give it a <meta name="description">'),
    "description-duplicate": Code(
        "notice", "several pages have the same description", "give each page a description of its own"
    ),
    "h1-missing": Code("notice", "the page has no main heading", "give it an <h1>"),
    "h1-multiple": Code("notice", "the page has several main headings", "keep one <h1>"),
    "alt-missing": Code("warning", "an image has no alternative text", 'give it an alt, or alt="" if it is decoration'),
    "orphan": Code("warning", "a sitemap names the page, but no page links to it", "link to it, or take it out"),
    "linked-noindex": Code(
        "notice", "pages link to it, but it asks not to be indexed", "take its noindex away, or let links be nofollow"
    ),
    "linked-disallowed": Code(
        "notice", "pages link to it, but robots.txt disallows it", "allow it, or take the links away"
    ),
    "canonical-broken": Code("error", "the canonical page that is named is not there", "correct the canonical link"),
    "hreflang-unreturned": Code(
        "warning", "the page of another language does not name this one", "name each page on all of its translations"
    ),
    "slow": Code("warning", "the answer took long", "see what the server does meanwhile"),
    "large": Code("warning", "the page is very large", "split it, or compress what it holds"),
    "charset-wrong": Code(
        "warning", "the encoding that is declared is not the one that is used", "declare the encoding that is used"
    ),
    "url-invalid": Code("error", "this is no URL", "correct its spelling"),
    "not-checked": Code("notice", "it may not be asked for, or was not", "see whether it is there in a browser"),
    "cannot-tell": Code(
        "notice", "the answer does not tell whether it is there", "see whether it is there in a browser"
    ),
}
CODES: Final[Mapping[str, Code]] = MappingProxyType(_TABLE)
"""All codes, in the order in which reports list them."""
NUMBERS: Final[Mapping[str, int]] = MappingProxyType({code: number for number, code in enumerate(_TABLE)})
"""Codes as they are stored. New ones go to the end of the table."""


class FoundOn(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place that holds a finding."""

    url: str
    """The page, or the style sheet, manifest or sitemap."""
    line: int | None = None
    """Of its source, from 1; None for the HTTP header, and where it is not known."""
    text: str | None = None
    """What a reader sees there, such as the text of a link."""
    used_by: Sequence[str] = ()
    """Of a style sheet or a manifest: pages that use it, up to 100."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong: once for each target (or title), with all places that hold it."""

    code: str
    severity: Severity
    target: str
    """The URL as pages name it, with its fragment where that is what is wrong; of a title or description, its text."""
    cause: str
    """In words, such as `404` or `its host's name does not resolve`."""
    pages: Sequence[FoundOn] = ()
    since: str | None = None
    """When a check first found it (RFC 3339, UTC)."""

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same finding in another check."""
        return self.code, self.target
