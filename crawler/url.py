"""URLs: canonical form, id, host (the politeness key) and site.

Pure. URLs are resolved as in WHATWG's standard (https://url.spec.whatwg.org/), by ada. The canonical form is WHATWG's
serialization with three more steps; none merges what a server may distinguish (RFC 3986 section 6.2.2). The fragment is
removed, percent-escapes are upper case, and escaped unreserved characters are unescaped. A trailing dot of the host is
removed too: it is the same name in the DNS. Canonicalizing a canonical URL changes nothing. A crawl may merge more
(`Form`); docs/urls.md shows both by examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import ada_url

from crawler.errors import InvalidURL, without_credentials

if TYPE_CHECKING:
    from tldextract import TLDExtract

MAX_URL: Final = 4096
"""Longest canonical URL accepted, in characters (all are ASCII)."""

MAX_REFERENCE: Final = 16 * MAX_URL
"""Longest reference that is parsed at all, in characters: escapes, tabs and dot segments may shrink it, but hostile
megabytes are not worth reading.
"""

_HOST_GIVEN: Final = re.compile(
    r"(?:(?P<local>localhost|[\w-]+(?=:\d)|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])|[\w-]+(?:\.[\w-]+)*\.(?P<ending>[^\W\d_]{2,24}))"
    r"(?P<port>:\d{1,5})?(?:[/?][^\s@]*)?",
    re.IGNORECASE,
)
_ENDINGS: Final = frozenset(
    {"csv", "gz", "htm", "html", "json", "jsonl", "list", "log", "md", "ndjson", "toml", "tsv", "txt", "xml", "zip"}
)
"""A name that ends so is a file."""

REFUSALS: Final = {
    "invalid": "it does not parse",
    "scheme": "only http and https can be crawled",
    "userinfo": "credentials in a URL are not accepted; use CRAWLER_HEADER='Authorization: ...'",
    "too-long": f"longer than {MAX_URL} characters",
}
"""Why a URL is refused before it is accepted: counted word -> meaning."""

BAD_PORTS: Final = frozenset(
    (
        *(0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104),
        *(109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526),
        *(
            530,
            531,
            532,
            540,
            548,
            554,
            556,
            563,
            587,
            601,
            636,
            989,
            990,
            993,
            995,
            1719,
            1720,
            1723,
            2049,
            3659,
            4045,
        ),
        *(4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    )
)
"""Ports that belong to other protocols, which browsers refuse (Fetch Standard, "bad port")."""

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_PROXY = re.compile(
    r"(?:(?:https?|socks4a?|socks5h?)://)?(?:[^\s/?#@\\]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\\\[\]]+)(?::(\d{1,5}))?/?",
    re.IGNORECASE,
)
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SCHEME_PORTS: Final = (("http", ""), ("https", ""), ("http", ":443"), ("https", ":80"))

TRACKING: Final = (
    *("utm_*", "_ga", "_gl"),  # Google Analytics
    *("gclid", "gclsrc", "dclid", "gbraid", "wbraid", "srsltid"),  # Google's advertisements
    *("fbclid", "igshid"),  # Facebook, Instagram
    *("msclkid", "yclid", "ysclid", "twclid", "ttclid", "li_fat_id", "rdt_cid"),  # Microsoft, Yandex, X, ...
    *("mc_cid", "mc_eid", "ml_subscriber", "ml_subscriber_hash", "_kx", "__s"),  # Mailchimp, MailerLite, Klaviyo, Drip
    *("_hsenc", "_hsmi", "__hssc", "__hstc", "__hsfp", "hsctatracking"),  # HubSpot
    *("mkt_tok", "s_cid", "s_kwcid"),  # Adobe
    *("vero_id", "vero_conv", "oly_anon_id", "oly_enc_id", "wickedid", "rb_clickid", "_openstat"),
)
"""Query parameters that show where a visitor came from and select no content, in lower case; `*` is any ending.

From the lists that browsers strip (Firefox: query-stripping/index.html in its source docs, in Nightly and LibreWolf a
longer list; Brave: components/query_filter), those that belong to one product. Added to these lists, since they
identify nobody or are newer: utm_*, _ga, gclsrc, mc_cid, _hsmi, s_kwcid, ttclid, li_fat_id, rdt_cid. Words that sites
also use for content (`ref`, `source`, `cid`, `campaign`, `si`) are not included.
"""


def _names(names: Iterable[str]) -> str:
    """A pattern for the whole name of a parameter; `&amp;x` in a link that was escaped twice is x."""
    return f"(?:amp;)*(?:{'|'.join(re.escape(name).replace(re.escape('*'), '[^=]*') for name in names)})"


_TRACKER = re.compile(rf"{_names(TRACKING)}(?:=|\Z)", re.IGNORECASE)
# An id as programs make them: a word, or the number of a lecture (`session_id=12`, `sid=introduction`), is none.
_RANDOM = "(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[0-9A-Za-z]{16,}"
_SESSION = re.compile(
    rf"{_names(('jsessionid', 'phpsessid', 'aspsessionid*'))}(?:=|\Z)"
    rf"|{_names(('sid', 'sessionid', 'session_id'))}={_RANDOM}\Z",
    re.IGNORECASE,
)
_COLDFUSION = re.compile("(?:amp;)*(cfid|cftoken)=", re.IGNORECASE)
# After a dot segment it stays: without it `/..;jsessionid=1/` would be another path.
_NO_DOTS = "".join(rf"(?<!/{dots})" for dots in (r"\.", r"\.\.", "%2E", r"\.%2E", r"%2E\.", "%2E%2E"))
_SESSION_IN_PATH = re.compile(
    rf"{_NO_DOTS};(?:(?:jsessionid|phpsessid)=[^/;]*|sessionid={_RANDOM}(?=[/;]|\Z))", re.IGNORECASE
)
# (S(...)) of ASP.NET, alone or with its neighbours (A(...) and the like), and only as a folder.
_SESSION_SEGMENT = re.compile(
    r"/\((?:[A-Z]\([\w-]+\))*?S\([0-9a-z]{24}\)(?:[A-Z]\([\w-]+\))*\)(?=/)", re.IGNORECASE | re.ASCII
)


@cache
def _suffixes() -> TLDExtract:
    """The public suffix list, read when the first name is looked up: importing and reading it takes 0.2 s.

    Only the bundled list: nothing is downloaded at run time. Private suffixes count: foo.github.io is a site.
    """
    from tldextract import TLDExtract

    return TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)


def load_suffixes() -> None:
    """Load the public suffix list now, so that its time does not count for the first page."""
    _suffixes()("a.example.com")


def _refused(url: str, reason: str) -> InvalidURL:
    return InvalidURL(url, reason, REFUSALS[reason])


def _cut(url: str) -> str:
    """The start of a long URL, for a message. Credentials are removed first, because the cut may remove their end."""
    return f"{without_credentials(url)[:80]}..."


def proxy(text: str) -> str:
    """The URL of a proxy, http if it names no scheme; ValueError, which does not repeat it, if it is not valid.

    Engines would repeat one that they cannot parse, with its password.
    """
    match = _PROXY.fullmatch(text.strip())
    if match is None or int(match[1] or 0) > 65_535:
        raise ValueError(
            "a proxy as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT is needed; in a password write / ? # @"
            " as %2F %3F %23 %40"
        )
    return match[0] if "://" in match[0] else f"http://{match[0]}"


def webhook(text: str) -> str:
    """The URL of a webhook; ValueError if it is not valid."""
    text, parts = text.strip(), urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or not text.isascii():
        raise ValueError("a URL as https://HOST/PATH is needed, without a user")
    if parts.port == 0 or not text.isprintable() or " " in text or parts.fragment:
        raise ValueError("a URL as https://HOST/PATH is needed, without spaces or a fragment")
    return text


def resolve(reference: str, base: str | None = None) -> str:
    """*reference* resolved as a browser would, against the absolute *base*; any scheme, fragment kept.

    Raises InvalidURL("invalid") if WHATWG's parser returns failure.
    """
    try:
        return ada_url.normalize_url(reference) if base is None else ada_url.join_url(base, reference)
    except ValueError:
        pass
    if _LONE_SURROGATE.search(reference):  # not UTF-8: a browser reads U+FFFD (Web IDL, USVString)
        return resolve(_LONE_SURROGATE.sub("\ufffd", reference), base)
    raise _refused(reference, "invalid")


def without_fragment(reference: str) -> str:
    """*reference* up to its `#`, unless a space or a control precedes it: then its end would be stripped.

    At the edges of a reference a parser strips them, elsewhere it escapes them.
    """
    bare, sign, _ = reference.partition("#")
    return bare + sign if sign and bare and bare[-1] <= " " else bare


def canonicalize(url: str, base: str | None = None) -> str:
    """The canonical form of *url* (relative to *base*), or InvalidURL with one of REFUSALS as its reason."""
    if len(url) > MAX_REFERENCE:
        raise _refused(_cut(url), "too-long")
    try:
        href = resolve(without_fragment(url), base)
    except InvalidURL:
        raise _refused(url, "invalid") from None  # whole: a password may contain a `#`
    if href[-1:] == "#":
        href = href[:-1]
    if not href.startswith(("http://", "https://")):
        raise _refused(url, "scheme")
    if len(href) > MAX_URL:
        raise _refused(_cut(url), "too-long")
    start = href.index("/") + 2
    slash = href.index("/", start)
    authority = href[start:slash]
    if "@" in authority:
        raise _refused(url, "userinfo")
    if authority[-1] == "." or ".:" in authority:
        href = href[:start] + _without_trailing_dot(authority, url) + href[slash:]
    return _normal_escapes(href) if "%" in href else href


def _without_trailing_dot(authority: str, url: str) -> str:
    name, colon, port = authority.partition(":")
    name = name[:-1]
    if not name or name[-1] == ".":  # an empty label: no name in the DNS (RFC 1035 section 2.3.1)
        raise _refused(url, "invalid")
    return name + colon + port


def _normal_escapes(href: str) -> str:
    # Next to a stray percent sign nothing is decoded: %2%65 would become %2e, an escape that was not there.
    if _STRAY_PERCENT.search(href):
        return _ESCAPE.sub(lambda match: match[0].upper(), href)
    return _ESCAPE.sub(_normal_escape, href)


def _normal_escape(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if char in _UNRESERVED else match[0].upper()


@dataclass(frozen=True, slots=True)
class Form:
    """Which spellings of a URL a crawl treats as one, beyond `canonicalize`; by default none.

    The remaining parts of a URL keep their bytes. Parameters of a query are separated by `&`, or by `;` if it has no
    `&`. A query of which nothing is left loses its `?`; one that was empty from the start keeps it.
    """

    strip_tracking: bool = False
    """Remove the parameters of TRACKING from the query."""
    strip_sessions: bool = False
    """Remove session ids from path and query: names that mean nothing else whatever their value; cfid and cftoken if
    both are there; and sid, sessionid and session_id if their value looks like one: 16 or more letters and digits, of
    both. About the rules of the Internet Archive (surt, IAURLCanonicalizer).
    """
    sort_query: bool = False
    """Sort parameters separated by `&` by the bytes of their names; those of one name keep their order."""
    one_scheme: bool = False
    """http and https of one host and path are one page, if no port is named."""

    @property
    def plain(self) -> bool:
        """Whether nothing is merged: `apply` and `identity` change nothing."""
        return not (self.strip_tracking or self.strip_sessions or self.sort_query or self.one_scheme)

    def apply(self, url: str) -> str:
        """The canonical *url* in this form: what is fetched and shown. Canonical; applying it again changes nothing."""
        if not (self.strip_tracking or self.strip_sessions or self.sort_query):
            return url
        while (form := self._step(url)) != url:  # what was removed may have hidden more, by `&` or a stray percent sign
            url = form
        return url

    def identity(self, url: str) -> str:
        """The text that the id of the canonical *url* is made from: `apply`, and for one_scheme the shared scheme."""
        url = self.apply(url)
        if self.one_scheme and url.startswith("http:"):
            authority = url[7 : url.index("/", 8)]
            if ":" not in authority or authority[-1] == "]":
                return f"https{url[4:]}"
        return url

    def _step(self, url: str) -> str:
        path, mark, query = url.partition("?")
        if self.strip_sessions and (";" in path or "/(" in path):
            slash = path.index("/", 8)
            path = path[:slash] + _SESSION_SEGMENT.sub("", _SESSION_IN_PATH.sub("", path[slash:]))
        if query:
            query = self._kept(query)
            mark = "?" if query else ""
        form = path + mark + query
        return _normal_escapes(form) if form != url and "%" in form else form

    def _kept(self, query: str) -> str:
        separator = "&" if "&" in query else ";"
        pairs = query.split(separator)
        if self.strip_tracking:
            pairs = [pair for pair in pairs if not _TRACKER.match(pair)]
        if self.strip_sessions:
            pairs = _without_sessions(pairs)
        if self.sort_query and separator == "&":
            pairs.sort(key=lambda pair: pair.partition("=")[0])
        return separator.join(pairs)


def _without_sessions(pairs: list[str]) -> list[str]:
    coldfusion = {match[1].lower() for match in map(_COLDFUSION.match, pairs) if match}
    return [
        pair for pair in pairs if not _SESSION.match(pair) and not (len(coldfusion) > 1 and _COLDFUSION.match(pair))
    ]


def split(url: str) -> tuple[str, int, str]:
    """A canonical URL as (host, scheme number, path with query).

    The host is the politeness key: name and port, without 80 and 443, so that they are one host. The scheme number (0
    to 3) distinguishes http, https, http on 443 and https on 80; `join` is the inverse.
    """
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    number = 1 if scheme == "https" else 0
    if number == 0 and authority.endswith(":443"):
        authority, number = authority[:-4], 2
    elif number == 1 and authority.endswith(":80"):
        authority, number = authority[:-3], 3
    return authority, number, slash + path


def join(host: str, scheme: int, path: str) -> str:
    """The canonical URL from the parts of `split`."""
    return origin(host, scheme) + path


def origin(host: str, scheme: int) -> str:
    """The origin (RFC 6454) of a host and a scheme number: `https://example.org`, without a slash."""
    name, port = _SCHEME_PORTS[scheme]
    return f"{name}://{host}{port}"


def url_id(url: str, salt: bytes) -> str:
    """The 63-bit keyed BLAKE2b of a canonical URL as a decimal string; *salt* is the crawl's, at most 64 bytes."""
    return str(int.from_bytes(blake2b(url.encode("ascii"), digest_size=8, key=salt).digest(), "big") >> 1)


def given(text: str) -> str:
    """The canonical form of what a person gives as a URL. Where it is none, InvalidURL guesses what is meant."""
    try:
        return canonicalize(text)
    except InvalidURL as error:
        if found := meant(text):
            raise InvalidURL(text, error.reason, f"did you mean {found}?") from None
        raise


def meant(text: str) -> str:
    """The URL that *text* without `://` probably is: a host, or one slash too few. Empty if it may be anything else."""
    if slip := re.fullmatch(r"(https?)(?::/?|//)([^/\s@][^\s@]*)", text, re.IGNORECASE):
        return f"{slip[1].lower()}://{slip[2]}"
    found = _HOST_GIVEN.fullmatch(text)
    if found is None or (found["ending"] or "").lower() in _ENDINGS:
        return ""
    return f"{'http' if found['local'] or found['port'] not in (None, ':443') else 'https'}://{text}"


def host(url: str) -> str:
    """The politeness key of a canonical URL: `split(url)[0]` at half its cost."""
    authority = url.split("/", 3)[2]
    return authority.removesuffix(":80" if url[4] == "s" else ":443")


def name_and_port(url: str) -> tuple[str, int]:
    """The name (or address) of the host of *url*, and its port; ("", 0) if it has no valid host."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "", 0


def is_address(name: str) -> bool:
    """Whether *name*, of a canonical URL's host, is an address: no name ends in a number (WHATWG URL, section 3.5)."""
    return name.startswith("[") or name[-1:].isdigit()


def has_bad_port(url: str) -> bool:
    """Whether the port of a canonical URL is one of BAD_PORTS."""
    at = url.find(":", 6)
    if at < 0:
        return False
    port = url[8 : url.index("/", 8)].rpartition(":")[2]
    return port.isdigit() and int(port) in BAD_PORTS


def leads_to_bad_port(source: str, target: str) -> bool:
    """Whether a redirect from the canonical URL *source* leads to one of BAD_PORTS elsewhere."""
    return has_bad_port(target) and host(target) != host(source)


@lru_cache(maxsize=65_536)
def site_of_host(host: str) -> str:
    """The site of a host: its registered domain, private suffixes counted.

    `www.example.co.uk` is of `example.co.uk`; an unknown suffix counts as one (the `*` rule of publicsuffix.org):
    `a.wiki.corp` is of `wiki.corp`. An IP address, a name without a dot or under `localhost`, and a public suffix are
    sites by themselves, with their ports.
    """
    name = host.partition(":")[0]
    if "." not in name or name.replace(".", "").isdigit() or name.endswith(".localhost"):
        return host
    found = _suffixes()(name)
    if found.suffix:
        return found.top_domain_under_public_suffix or host
    labels = name.rsplit(".", 2)
    return ".".join(labels[-2:]) if len(labels) > 1 else host


def site(url: str) -> str:
    """The site of a canonical URL."""
    return site_of_host(host(url))
