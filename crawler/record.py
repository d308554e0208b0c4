"""Requests, queue entries, records and outcomes, with their codecs: typed values, no dict and no `meta`."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from crawler import url as urls
from crawler.errors import InvalidURL

OUTCOMES: Final = (
    *("fetched", "redirected", "missing", "denied"),
    *(f"dropped:{why}" for why in ("robots", "type", "noindex", "trap", "limit", "scope", "hook")),
    *(
        f"failed:{why}"
        for why in (
            "dns",
            "connect",
            "tls",
            "timeout",
            "http",
            "redirect-loop",
            "hang",
            "crash",
            "robots",
            "bad-entry",
        )
    ),
    "checked",
)
"""The closed list of outcomes: each accepted URL ends in exactly one. States have their numbers, so new
ones go to the end."""

CHANGES: Final = ("new", "changed", "boilerplate", "gone", "moved", "back")
"""What a visit may find. `boilerplate`: only what repeats on the site's pages differs. `gone`: it was there, and is 404
or 410 now, or asks not to be stored. `moved`: it was there, and redirects now. `back`: it was gone or moved."""

FOUND: Final = (*CHANGES, "unchanged", "failed")
"""What is counted of a visit, of each URL one."""

CONTENTS: Final = ("text", "main", "markdown", "html", "links", "diff", "data")
"""What a record may hold of the page itself: each is stored on its own, and read only where it is wanted."""

MAX_CONTENT: Final = 60 << 20
"""Bytes of the largest of them, uncompressed; more is cut."""

TARGET: Final = "target "
"""The mark in front of a target's URL, where its id is made and where caches know it."""

_HEAD = struct.Struct(">BBBBQ")  # attempts, depth, hops, flags, id of via
_LASTMOD_SIZE = 4
# Flags: the scheme's number; it is a sitemap; four bytes of `lastmod` follow.
# It is visited again: the state of the last visit is kept (see url_state.py).
# It is a target, which is asked for and not read; and that by GET.
_SCHEME, _REVISIT, _SITEMAP, _LASTMOD, _TARGET, _GET = 0x03, 0x08, 0x10, 0x20, 0x40, 0x80
_FLAGS: Final = _SCHEME | _REVISIT | _SITEMAP | _LASTMOD | _TARGET | _GET
ENTRY: Final = {
    **{"HEAD": _HEAD.size, "FLAGS": _FLAGS},
    **{"REVISIT": _REVISIT, "SITEMAP": _SITEMAP, "TARGET": _TARGET, "LASTMOD": _LASTMOD, "LASTMOD_SIZE": _LASTMOD_SIZE},
}
"""The layout of an entry, for the scripts of the frontier."""
_PATH: Final = re.compile(rb'/[!"$-~]*')
"""A canonical path with its query: printable ASCII without a fragment."""
_RECORDED: Final = re.compile(r"https?://[!-.0-~]+/[!-~]*|https?://.*/#bad-entry-.*", re.DOTALL)
"""URLs of records: canonical ones, and those of entries that could not be read."""
_ID: Final = re.compile(r"[0-9]{1,20}")
_OWN_PORT: Final = re.compile(r":\d+$")


HostEvent = Literal[
    "ok", "slow", "fail", "stall", "dead", "untrusted", "robots", "hang", "crash", "late", "none", "unsent"
]
"""What an answer means for its host; see `apply_event` in frontier/lua/shared/feedback.lua."""


class Charge:
    """The first byte of an entry. Low half: retries for politeness; high half: deaths of workers processing it."""

    NONE: Final = 0
    RETRY: Final = 1
    CRASH: Final = 16


class Request(msgspec.Struct, frozen=True):
    """One URL that is or may be queued. `via` is the id of the page it was first found on, "0" for a seed."""

    url: str
    depth: int = 0
    """Links from a seed; 255 stands for any higher number."""
    hops: int = 0
    """Redirects in a row that led here."""
    via: str = "0"
    sitemap: bool = False
    """It is to be read as a sitemap; then `depth` is the number of indexes that led to it."""
    lastmod: int | None = None
    """When the page last changed, according to a sitemap: seconds since the epoch, up to 2106."""
    first: bool = False
    """It goes to the front of its host's queue of pages when it is accepted; its entry does not keep that."""
    revisit: bool = False
    """It has ended before: the state of that visit is in Redis."""
    target: bool = False
    """It is the target of a link that `crawler check` asks for, by HEAD, and does not read. It has an id of its own:
    the same URL may be a page as well."""
    get: bool = False
    """A target that is asked for by GET: its server refuses HEAD, or answers it otherwise."""

    @property
    def name(self) -> str:
        """What caches know it by: the URL, of a target with a mark in front."""
        return f"{TARGET}{self.url}" if self.target else self.url

    @property
    def found_on(self) -> str | None:
        """The id of the page that it was first found on; None for a seed."""
        return None if self.via == "0" else self.via

    def place(self) -> tuple[str, bytes]:
        """The host whose queue it belongs to, and its entry there: 12 bytes (16 with lastmod), then path and query."""
        host, scheme, path = urls.split(self.url)
        flags = scheme | _SITEMAP * self.sitemap | _REVISIT * self.revisit
        flags |= _TARGET * self.target | _GET * (self.target and self.get)
        lastmod = b""
        if self.lastmod is not None and 0 <= self.lastmod < 1 << 32:
            flags |= _LASTMOD
            lastmod = self.lastmod.to_bytes(_LASTMOD_SIZE, "big")
        head = _HEAD.pack(0, min(self.depth, 255), min(self.hops, 255), flags, int(self.via))
        return host, head + lastmod + path.encode("ascii")


class Entry(msgspec.Struct, frozen=True):
    """A decoded queue entry: the request, and how often it was tried or its worker died."""

    request: Request
    retries: int
    crashes: int

    @property
    def tries(self) -> int:
        """How often it was tried before."""
        return self.retries + self.crashes

    @classmethod
    def decode(cls, host: str, raw: bytes) -> Entry:
        """Decode an entry of *host*'s queue; ValueError if it is none (a foreign client wrote to the queue)."""
        at = _HEAD.size + (_LASTMOD_SIZE if len(raw) > _HEAD.size and raw[3] & _LASTMOD else 0)
        if why := _no_entry(host, raw, at):
            raise ValueError(f"not a queue entry: {_looks(raw) or why}; {len(raw):,} bytes, {raw[:40]!r}")
        attempts, depth, hops, flags, via = _HEAD.unpack_from(raw)
        url = urls.join(host, flags & _SCHEME, raw[at:].decode("ascii"))
        lastmod = int.from_bytes(raw[_HEAD.size : at], "big") if at > _HEAD.size else None
        request = Request(
            *(url, depth, hops, str(via), bool(flags & _SITEMAP), lastmod),
            revisit=bool(flags & _REVISIT),
            target=bool(flags & _TARGET),
            get=bool(flags & _GET),
        )
        return cls(request, attempts & 15, attempts >> 4)


def scheme_of(raw: bytes) -> int:
    """The number of the scheme (see url.split) in a queue entry; 0 where it is too short for one."""
    return raw[3] & _SCHEME if len(raw) > 3 else 0


def is_revisit(raw: bytes) -> bool:
    """Whether a queue entry is of a URL that has ended before."""
    return len(raw) > 3 and raw[3] & _REVISIT > 0


def is_target(raw: bytes) -> bool:
    """Whether a queue entry is of a target."""
    return len(raw) > 3 and raw[3] & _TARGET > 0


def _no_entry(host: str, raw: bytes, at: int) -> str | None:
    """Why *raw* cannot be an entry of *host* whose path begins at *at*: a foreign client put it into the queue."""
    if len(raw) <= at:
        return "it is too short"
    flags = raw[3]
    if (flags & 2 and _OWN_PORT.search(host)) or flags & _FLAGS != flags or _contradict(flags):
        return "its flags are not valid"
    if len(raw) - at > urls.MAX_URL:
        return "it is too long"
    if not _PATH.fullmatch(raw, at):
        return "it holds no path of a URL"
    return None if _is_host(host) else "its host is not valid"


def _contradict(flags: int) -> bool:
    """Whether an entry is a target and a sitemap, or is no target and has the flag of one."""
    return bool(flags & _SITEMAP if flags & _TARGET else flags & _GET)


def _looks(raw: bytes) -> str:
    if raw[:1] in (b"{", b"[") and raw[-1:] in (b"}", b"]"):
        return "it looks like JSON"
    return "it looks like a pickle" if raw[:1] == b"\x80" and raw[-1:] == b"." else ""


@lru_cache(maxsize=4096)
def _is_host(host: str) -> bool:
    try:
        return urls.split(urls.canonicalize(f"http://{host}/"))[0] == host
    except InvalidURL:
        return False


class Link(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A link on a page, wherever it leads."""

    url: str
    """In canonical form, as `url` of the target's own record."""
    text: str | None = None
    """What a reader clicks on, up to 500 characters: the text, else the `alt` of an image."""
    rel: str | None = None
    """The words of its `rel`, in lower case, with spaces between; `refresh` for a meta refresh."""
    line: int | None = None
    """The line of the page's source in which it begins, from 1. None for a link of the HTTP header."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored of a URL, one JSON object; fields that are unknown are absent.

    The texts under the fields are the table in docs/records.md: the meaning, then when the field is present.
    Inside Redis `via`, `duplicate_of` and `near_duplicate_of` are ids; `named` puts URLs in their place. The fields of
    CONTENTS are stored beside it.
    """

    url: str
    """The URL in its canonical form. Present: always."""
    outcome: str
    """How the URL ended, one of the words below. Present: always."""
    depth: int
    """Number of links from a seed, which has 0; of a sitemap, the number of indexes that led to it. Present: always."""
    status: int | None = None
    """Status code of the HTTP answer. Present: if there was an answer."""
    title: str | None = None
    """Title of the page. Present: if an HTML page has one."""
    description: str | None = None
    """The page's own description (`<meta>`). Present: if an HTML page has one."""
    lang: str | None = None
    """Language that the page declares, else the one that its text is in (BCP 47). Present: if either is known."""
    text: str | None = None
    """The visible text, cut at `--max-text`. Present: with `--store text`, if the page is text
    and not a copy of another one."""
    main: str | None = None
    """The text of the main content, without navigation, cut at `--max-text`. Present: with `--store main`, where `text`
    would be."""
    markdown: str | None = None
    """The main content as Markdown (GFM), cut at `--max-text`. Present: with `--store markdown`, where `text`
    would be."""
    html: str | None = None
    """The source of the page, decoded; of a document, the HTML made of it. Present: with `--store html`, if the page is
    HTML or a document, and not a copy."""
    whole_page: bool = False
    """No main content was found, so `main` and `markdown` have all of the text. Present: if true."""
    content_type: str | None = None
    """The `Content-Type` of the answer, up to 500 characters. Present: if the answer has one."""
    charset: str | None = None
    """Encoding of the body, by its WHATWG name. Present: if a page was read and is text."""
    size: int | None = None
    """Bytes of the decoded body, as far as it was read. Present: if the body was read."""
    truncated: bool = False
    """The body is incomplete: it was cut at `--max-size`, or the server ended early. Present: if true."""
    digest: str | None = None
    """`sha256:` and the hexadecimal digest of the decoded body. Present: if the body was read."""
    via: str | None = None
    """URL of the page on which this one was first found. Present: if a page led to it."""
    redirect_to: str | None = None
    """Where the redirect leads, or where redirects that set cookies ended. Present: if the answer redirects."""
    hops: int = 0
    """Number of redirects in a row that led here. Present: if above 0."""
    duplicate_of: str | None = None
    """URL of the page that had the same content before, or of the canonical page that is obeyed (`--canonical obey`;
    the text then stays until that page is stored). Present: if there is such a page."""
    canonical: str | None = None
    """URL that the page names as its canonical one, in canonical form. Present: if an HTML page names one."""
    near_duplicate_of: str | None = None
    """URL of an earlier page of the crawl with nearly the same main text. Present: with `--store main`, `markdown` or
    `--near-duplicates`, if there is such a page."""
    link_count: int | None = None
    """Number of links on the page, before scope; of a sitemap, the number of locations. Present: if they were counted,
    which they are not on a page that was skimmed."""
    links: list[Link] | None = None
    """The links of the page in their order, before scope: `{url, text, rel, line}`. Present: with `--store links`,
    if the page is HTML and not a copy."""
    etag: str | None = None
    """The `ETag` of the answer, up to 500 characters. Present: if the answer has one."""
    last_modified: str | None = None
    """The `Last-Modified` of the answer, up to 500 characters. Present: if the answer has one."""
    sitemap: bool = False
    """The URL was read as a sitemap, or would have been. Present: if true."""
    target: bool = False
    """It was asked for as the target of a link, and not read: by `crawler check`. Present: if true."""
    certificate_expires: str | None = None
    """When the certificate of its server expires (RFC 3339, UTC). Present: in a crawl of `crawler check`, if that is
    within 14 days."""
    lastmod: str | None = None
    """When the page changed last, as a sitemap says (RFC 3339, UTC). Present: if a sitemap says so."""
    fetched_at: str | None = None
    """When the answer ended (RFC 3339, UTC). Present: if there was an answer."""
    elapsed_ms: int | None = None
    """Duration of the fetch in milliseconds. Present: if there was an answer."""
    attempts: int | None = None
    """Number of attempts, this one included. Present: unless the outcome is `failed:bad-entry`."""
    change: str | None = None
    """What this visit found, compared with the last good answer, one of the words below. Present: if the URL was read,
    or is gone or moved; not if the visit failed or was refused."""
    previous_digest: str | None = None
    """`sha256:` and the first 16 hexadecimal digits of the digest that the page had before. Present: with `change`,
    unless it is `new`."""
    diff: str | None = None
    """The lines of `main` that have changed, as a unified diff with three lines around them, without names of files.
    Present: with `--store diff`, if they have."""
    diff_missing: bool = False
    """There is no diff, because the earlier `main` was not stored, or was drained. Present: with `--store diff`, if
    true."""
    first_seen: str | None = None
    """When the first visit ended (RFC 3339, UTC). Present: from a URL's second visit on."""
    checked_at: str | None = None
    """When the last visit ended, also one that found nothing new. Present: from a URL's second visit on."""
    changed_at: str | None = None
    """When a visit last found a change. Present: from a URL's second visit on, if there was a good answer."""
    visits: int | None = None
    """Number of visits. Present: from a URL's second visit on."""
    changes: int | None = None
    """Number of visits that found a change. Present: from a URL's second visit on."""
    error: str | None = None
    """What went wrong, in words, up to 500 characters. Present: if the URL failed, if robots.txt or a quarantine
    refused it, or if a part failed (a hook, the target of a redirect)."""
    data: Any = None
    """Named values of the page: its structured data, what rules found, what the user's hook returned. Present: if there
    is any; structured data with `--store data`."""

    def named(self, urls: Mapping[str, str]) -> Record:
        """This record with URLs in place of the `ids`; what *urls* does not know is left out."""
        if self.via is None and self.duplicate_of is None and self.near_duplicate_of is None:
            return self
        original = self.duplicate_of or ""
        if not original.startswith("http"):
            original = urls.get(original, "")
        near = urls.get(self.near_duplicate_of or "")
        via = urls.get(self.via or "")
        return msgspec.structs.replace(self, via=via, duplicate_of=original or None, near_duplicate_of=near)

    @property
    def ids(self) -> list[str]:
        """The ids in `via`, `duplicate_of` and `near_duplicate_of`, as long as it is not `named`."""
        return [i for i in (self.via, self.duplicate_of, self.near_duplicate_of) if i and i.isdigit()]

    def to_dict(self) -> dict[str, Any]:
        """The fields that are known, as plain values: what a line of JSON has."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def __repr__(self) -> str:
        shown = [self.url, self.outcome, *([] if self.status is None else [str(self.status)])]
        return f"<Record {' '.join(shown)}{f' {self.title!r:.60}' if self.title else ''}>"

    def encode(self) -> bytes:
        """The record as one line of JSON in UTF-8."""
        return _encoder.encode(self)

    @classmethod
    def decode(cls, raw: bytes) -> Record:
        """Decode a record; msgspec.DecodeError if *raw* is not one."""
        try:
            return _decoder.decode(raw)
        except RecursionError:
            raise msgspec.ValidationError("it is nested too deep") from None

    def with_contents(self, contents: Mapping[str, bytes]) -> Record:
        """This record with its *contents*, each by its name in CONTENTS: text in UTF-8, `links` and `data` as JSON.

        Raises msgspec.DecodeError for JSON that is none, or is nested too deep.
        """
        found: dict[str, Any] = {}
        for name, raw in contents.items():
            if name in _JSON:
                try:
                    found[name] = _JSON[name].decode(raw)
                except RecursionError:
                    raise msgspec.ValidationError("it is nested too deep") from None
            else:
                found[name] = raw.decode("utf-8", "replace")
        return msgspec.structs.replace(self, **found) if found else self

    def implausible(self) -> str:
        """One word for what no worker would write in it, so a foreign client did; empty if it is plausible."""
        if not _RECORDED.fullmatch(self.url):
            return "url"
        if not 0 <= self.depth < 1 << 32 or not 0 <= self.hops < 1 << 32:
            return "depth"
        return "" if self.via is None or _ID.fullmatch(self.via) else "via"


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)
_JSON: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {
    "links": msgspec.json.Decoder(list[Link]),
    "data": msgspec.json.Decoder(),
}
