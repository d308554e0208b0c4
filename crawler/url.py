"""URLs: the one spelling (canonical form), the id, the host (politeness key) and the site of each.

Pure. Resolution is WHATWG's (https://url.spec.whatwg.org/), by ada. The canonical form is WHATWG's serialization
with three more steps, none of which merges what a server may tell apart (RFC 3986 section 6.2.2):
the fragment goes, percent-escapes are upper case, and escaped unreserved characters are written plainly.
A trailing dot of the host goes too: the same name in the DNS. The form is a fixed point: canonicalizing it again
changes nothing.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import ada_url

from crawler.errors import InvalidURL

if TYPE_CHECKING:
    from tldextract import TLDExtract

MAX_URL: Final = 4096
"""Longest canonical URL accepted, in characters (all are ASCII)."""

MAX_REFERENCE: Final = 16 * MAX_URL
"""Longest reference that is parsed at all, in characters: escapes, tabs and dot segments may shrink, hostile
megabytes are not worth reading."""

REFUSALS: Final = {
    "invalid": "it does not parse",
    "scheme": "only http and https can be crawled",
    "userinfo": "credentials in a URL are not accepted; use --header",
    "too-long": f"longer than {MAX_URL} characters",
}
"""Why a URL is refused before it is accepted: counted word -> meaning."""

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SCHEME_PORTS: Final = (("http", ""), ("https", ""), ("http", ":443"), ("https", ":80"))


@cache
def _suffixes() -> TLDExtract:
    """The public suffix list, read when the first name is looked up: importing and reading it takes 0.2 s.

    The bundled list only: nothing is downloaded at run time. Private suffixes count: foo.github.io is a site.
    """
    from tldextract import TLDExtract

    return TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)


def _refused(url: str, reason: str) -> InvalidURL:
    return InvalidURL(url, reason, REFUSALS[reason])


def resolve(reference: str, base: str | None = None) -> str:
    """*reference* as a browser would resolve it against the absolute *base*; any scheme, fragment kept.

    Raises InvalidURL("invalid") where WHATWG's parser returns failure.
    """
    try:
        return ada_url.normalize_url(reference) if base is None else ada_url.join_url(base, reference)
    except ValueError:
        pass
    if _LONE_SURROGATE.search(reference):  # not UTF-8: a browser reads U+FFFD (Web IDL, USVString)
        return resolve(_LONE_SURROGATE.sub("\ufffd", reference), base)
    raise _refused(reference, "invalid")


def canonicalize(url: str, base: str | None = None) -> str:
    """The one spelling of *url* (relative to *base*), or InvalidURL with one of REFUSALS as its reason."""
    if len(url) > MAX_REFERENCE:
        raise _refused(f"{url[:80]}...", "too-long")
    href = resolve(url.partition("#")[0], base)
    if not href.startswith(("http://", "https://")):
        raise _refused(url, "scheme")
    if len(href) > MAX_URL:
        raise _refused(f"{href[:80]}...", "too-long")
    start = href.index("/") + 2
    slash = href.index("/", start)
    authority = href[start:slash]
    if "@" in authority:
        raise _refused(f"{href[:start]}***{authority[authority.rindex('@') :]}{href[slash:]}", "userinfo")
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
    # Beside a stray percent sign nothing is decoded: %2%65 would become %2e, an escape that was not there.
    if _STRAY_PERCENT.search(href):
        return _ESCAPE.sub(lambda match: match[0].upper(), href)
    return _ESCAPE.sub(_normal_escape, href)


def _normal_escape(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if char in _UNRESERVED else match[0].upper()


def split(url: str) -> tuple[str, int, str]:
    """A canonical URL as (host, scheme number, path with query).

    The host is the politeness key: name and port, where 80 and 443 are left out, so that they are one host.
    The scheme number (0 to 3) tells http, https, http on 443 and https on 80; `join` is the inverse.
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
    """The canonical URL that `split` took apart."""
    return origin(host, scheme) + path


def origin(host: str, scheme: int) -> str:
    """The origin (RFC 6454) of a host and a scheme number: `https://example.org`, without a slash."""
    name, port = _SCHEME_PORTS[scheme]
    return f"{name}://{host}{port}"


def url_id(url: str, salt: bytes) -> str:
    """The 63-bit keyed BLAKE2b of a canonical URL as a decimal string; *salt* is the crawl's, at most 64 bytes."""
    return str(int.from_bytes(blake2b(url.encode("ascii"), digest_size=8, key=salt).digest(), "big") >> 1)


def host(url: str) -> str:
    """The politeness key of a canonical URL: `split(url)[0]` at half its price."""
    authority = url.split("/", 3)[2]
    return authority.removesuffix(":80" if url[4] == "s" else ":443")


@lru_cache(maxsize=65_536)
def site_of_host(host: str) -> str:
    """The site of a host: its registered domain, private suffixes counted.

    `www.example.co.uk` is of `example.co.uk`; an unknown suffix counts as one (the `*` rule of publicsuffix.org):
    `a.wiki.corp` is of `wiki.corp`. An IP address, a name without a dot or under `localhost`, and a public suffix
    are sites by themselves, with their ports.
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
