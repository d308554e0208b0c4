"""What both engines send and trust alike: the request's header, certificates, the environment's proxies."""

from __future__ import annotations

import os
import urllib.request
from typing import Any

import certifi

from crawler import url as urls
from crawler.fetch.decode import ACCEPTED
from crawler.fetch.fetcher import FetcherOptions, FetchRequest


def fixed_headers(options: FetcherOptions) -> tuple[tuple[str, str], ...]:
    """What every request of a fetcher bears; the operator's own lines come last."""
    return (
        ("User-Agent", options.user_agent),
        ("Accept-Encoding", ACCEPTED),
        *options.headers,
    )


def request_headers(fixed: tuple[tuple[str, str], ...], request: FetchRequest) -> dict[str, str]:
    """The header of *request* after the *fixed* lines: of one name (any case) the last wins; no line ends get in."""
    merged = {}
    for name, value in (("Accept", request.accept), *fixed, *request.headers):
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
