"""What both engines send and trust alike: the request's header, certificates, the environment's proxies."""

from __future__ import annotations

import os
import urllib.request
from typing import Any, Final

import certifi

from crawler import url as urls
from crawler.fetch.decode import ACCEPTED
from crawler.fetch.fetcher import FetcherOptions, FetchRequest

_ACCEPT: Final = "*/*"
REFUSED_BY_PROXY: Final = 407
"""Proxy Authentication Required (RFC 9110 section 15.5.8)."""
PROXY_REFUSES: Final = "refuses us (407): it wants another name or password"


def fixed_headers(options: FetcherOptions) -> tuple[tuple[str, str], ...]:
    """What every request of a fetcher bears; the operator's own lines come last."""
    return (
        ("User-Agent", options.user_agent),
        ("Accept", _ACCEPT),
        ("Accept-Encoding", ACCEPTED),
        *options.headers,
    )


def request_headers(fixed: tuple[tuple[str, str], ...], request: FetchRequest | None = None) -> dict[str, str]:
    """The header of *request* after the *fixed* lines: of one name (any case) the last wins; no line ends get in."""
    merged = {}
    for name, value in (*fixed, *(request.headers if request else ())):
        merged[name.lower()] = (name, "".join(char for char in value if char >= " " or char == "\t"))
    return dict(merged.values())


def ca_bundle() -> str:
    """Path of the trusted certificates: OpenSSL's own variable SSL_CERT_FILE, or else certifi's."""
    return os.environ.get("SSL_CERT_FILE") or certifi.where()


def environment_proxies() -> dict[str, str]:
    """The proxies of the environment, scheme (or `all`) -> URL."""
    return urllib.request.getproxies_environment()


def environment_proxy(url: str, proxies: dict[str, str]) -> str:
    """The one of *proxies* that serves *url*, or "" where there is none or NO_PROXY names the host."""
    library: Any = urllib.request  # its judge of NO_PROXY is public but in no type stub
    proxy = proxies.get(url.partition(":")[0]) or proxies.get("all", "")
    return "" if proxy and library.proxy_bypass_environment(urls.host(url)) else proxy


def proxy_shown(proxy: str) -> str:
    """Host and port of *proxy*, for a person: never its name or password."""
    return proxy.rpartition("://")[2].rpartition("@")[2].partition("/")[0]


def refusal_of(proxy: str) -> str:
    """What to say of a *proxy* that refuses us."""
    return f"the proxy {proxy_shown(proxy)} {PROXY_REFUSES}"


def header_lines(headers: dict[str, str]) -> list[bytes]:
    """Header lines as libcurl takes them; one without a value is sent by a semicolon."""
    return [(f"{name}: {value}" if value else f"{name};").encode() for name, value in headers.items()]


def milliseconds(seconds: float) -> int:
    """libcurl takes 0 for its own default, so the least is 1."""
    return max(1, round(seconds * 1000))
