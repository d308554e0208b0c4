"""What both engines send and trust: request headers, certificates, the environment's proxies."""

from __future__ import annotations

import os
import ssl
import urllib.request
import warnings
from typing import Any, Final

import certifi

from crawler import url as urls
from crawler.errors import UsageError
from crawler.fetch.decode import ACCEPTED
from crawler.fetch.fetcher import FetcherOptions, FetchRequest
from crawler.headers import origin_of

REFUSED_BY_PROXY: Final = 407
"""Proxy Authentication Required (RFC 9110 section 15.5.8)."""
PROXY_REFUSES: Final = "refuses us (407): it wants another name or password"


def fixed_headers(options: FetcherOptions) -> tuple[tuple[str, str], ...]:
    """The headers of every request of a fetcher, for any host; the operator's own lines come last."""
    return (
        ("User-Agent", options.user_agent),
        ("Accept-Encoding", ACCEPTED),
        *options.headers,
    )


def own_headers(options: FetcherOptions, request: FetchRequest) -> tuple[tuple[str, str], ...]:
    """The headers of *request* in addition to the fixed lines: those for its origin, which may be secrets, then its
    own.

    The only place that decides which host gets a secret: both engines ask here for every request.
    """
    if not options.origin_headers:
        return request.headers
    origin = origin_of(request.url)
    bound = [(header.name, header.value) for header in options.origin_headers if origin in header.origins]
    return (*bound, *request.headers)


def request_headers(
    fixed: tuple[tuple[str, str], ...], accept: str, own: tuple[tuple[str, str], ...] = ()
) -> dict[str, str]:
    """The header of a request: *accept*, the *fixed* lines, then its *own*. Line ends are removed.

    If a name occurs twice (any case), the last line wins. Cookies are joined; of one cookie name the last wins.
    """
    found: dict[str, tuple[str, str]] = {}
    for name, raw in (("Accept", accept), *fixed, *own):
        value = "".join(char for char in raw if char >= " " or char == "\t")
        key = name.lower()
        if key == "cookie" and key in found:
            value = _joined(found[key][1], value)
        found[key] = (name, value)
    return dict(found.values())


def _joined(first: str, then: str) -> str:
    """Two values of `Cookie` as one; a cookie of *then* replaces one of the same name."""
    names = {pair.partition("=")[0].strip() for pair in then.split(";")}
    kept = [pair.strip() for pair in first.split(";") if pair.partition("=")[0].strip() not in names]
    return "; ".join([*kept, then])


def ca_bundle() -> str:
    """Path of the trusted certificates: OpenSSL's variable SSL_CERT_FILE, or else certifi's."""
    return os.environ.get("SSL_CERT_FILE") or certifi.where()


ANY_CIPHER: Final = "DEFAULT@SECLEVEL=0"
"""What `--insecure` accepts, in OpenSSL's terms: keys, hashes and ciphers of any strength, but no null cipher."""


def tls_context(verify: bool) -> ssl.SSLContext:
    """What the `requests` engine trusts; without *verify* any certificate, key, version and kind of renegotiation."""
    context = ssl.create_default_context(cafile=ca_bundle())
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers(ANY_CIPHER)
        context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)  # has a name since Python 3.12
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it is requested by name
            context.minimum_version = ssl.TLSVersion.TLSv1
    return context


def environment_proxies() -> dict[str, str]:
    """The proxies of the environment, scheme (or `all`) -> URL; UsageError for one that cannot be parsed."""
    found = urllib.request.getproxies_environment()
    for scheme in found.keys() & {"http", "https", "all"}:
        try:
            urls.proxy(found[scheme])
        except ValueError as error:
            raise UsageError(f"{scheme}_proxy: {error}") from None
    return found


def environment_proxy(url: str, proxies: dict[str, str]) -> str:
    """The one of *proxies* that serves *url*, or "" if there is none or NO_PROXY names the host."""
    library: Any = urllib.request  # its check of NO_PROXY is public but in no type stub
    proxy = proxies.get(url.partition(":")[0]) or proxies.get("all", "")
    return "" if proxy and library.proxy_bypass_environment(urls.host(url)) else proxy


def proxy_shown(proxy: str) -> str:
    """Host and port of *proxy*, for a person: never its name or password."""
    return proxy.rpartition("://")[2].rpartition("@")[2].partition("/")[0]


def refusal_of(proxy: str) -> str:
    """The message about a *proxy* that refuses us."""
    return f"the proxy {proxy_shown(proxy)} {PROXY_REFUSES}"


def header_lines(headers: dict[str, str]) -> list[bytes]:
    """Header lines in libcurl's form; one without a value ends in a semicolon."""
    return [(f"{name}: {value}" if value else f"{name};").encode() for name, value in headers.items()]


def milliseconds(seconds: float) -> int:
    """libcurl reads 0 as its own default, so the minimum is 1."""
    return max(1, round(seconds * 1000))
