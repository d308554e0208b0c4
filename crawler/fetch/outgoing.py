"""What both engines send and trust alike: the request's header, certificates, the environment's proxies."""

from __future__ import annotations

import os
import ssl
import urllib.request
import warnings
from typing import Any, Final

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


ANY_CIPHER: Final = "DEFAULT@SECLEVEL=0"
"""What `--insecure` accepts, in OpenSSL's words: keys, hashes and ciphers of any strength but none at all."""


def tls_context(verify: bool) -> ssl.SSLContext:
    """What the `requests` engine trusts; without *verify* any certificate, key, version and way to renegotiate."""
    context = ssl.create_default_context(cafile=ca_bundle())
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers(ANY_CIPHER)
        context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)  # named from Python 3.12 on
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it is asked for by name
            context.minimum_version = ssl.TLSVersion.TLSv1
    return context


def environment_proxies() -> dict[str, str]:
    """The proxies of the environment, scheme (or `all`) -> URL."""
    return urllib.request.getproxies_environment()


def environment_proxy(url: str, proxies: dict[str, str]) -> str:
    """The one of *proxies* that serves *url*, or "" where there is none or NO_PROXY names the host."""
    library: Any = urllib.request  # its judge of NO_PROXY is public but in no type stub
    proxy = proxies.get(url.partition(":")[0]) or proxies.get("all", "")
    return "" if proxy and library.proxy_bypass_environment(urls.host(url)) else proxy
