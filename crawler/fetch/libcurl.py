"""The meaning of libcurl's error codes, and the options that all requests of a fetcher share."""

from __future__ import annotations

import os
from typing import Any, Final

import pycurl

from crawler.fetch import certificate, machine
from crawler.fetch.fetcher import FailureKind, FetcherOptions, Lack
from crawler.fetch.request_headers import ANY_CIPHER, PROXY_REFUSES, REFUSED_BY_PROXY, ca_bundle, proxy_shown

NAMES_KEPT: Final = 240.0
"""Seconds that a resolved name is used; each address is checked by the guard whenever it is connected to."""
_DNS_CACHE: Final = 300
"""Seconds that libcurl keeps it: longer, so that it never has to resolve the name itself."""
_TOO_BIG: Final = 100  # without a name in pycurl
_CODES: Final[dict[FailureKind, str]] = {
    "dns": "COULDNT_RESOLVE_HOST COULDNT_RESOLVE_PROXY",
    "connect": "OUT_OF_MEMORY COULDNT_CONNECT GOT_NOTHING SEND_ERROR RECV_ERROR PARTIAL_FILE HTTP2 INTERFACE_FAILED "
    "AGAIN",
    "tls": "SSL_CONNECT_ERROR PEER_FAILED_VERIFICATION SSL_CERTPROBLEM SSL_CIPHER SSL_CACERT_BADFILE SSL_ISSUER_ERROR "
    "SSL_INVALIDCERTSTATUS USE_SSL_FAILED",
    "timeout": "OPERATION_TIMEDOUT",
}
_KINDS: Final[dict[int, FailureKind]] = {
    92: "connect",  # CURLE_HTTP2_STREAM and CURLE_PROXY have no name in pycurl
    97: "connect",
    **{getattr(pycurl, f"E_{name}"): kind for kind, names in _CODES.items() for name in names.split()},
}
"""libcurl's codes; those not named here are "protocol"."""
_PROXY_ERROR: Final = 97  # CURLE_PROXY
_PROXY_REFUSES: Final = frozenset({4, 5, 6, 7, 8, 10, 11, 12, 14, 28, 33})
"""Of CURLproxycode: GSSAPI*, IDENTD*, LONG_PASSWD, LONG_USER, NO_AUTH, RECV_AUTH, SEND_AUTH, USER_REJECTED."""
MAY_STARVE: Final = frozenset({pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_CONNECT, pycurl.E_OUT_OF_MEMORY})
"""libcurl's code if it found no descriptor in its own code."""
_HTTP2_FAULTS: Final = frozenset({pycurl.E_HTTP2, 92})
"""libcurl's codes for a server that breaks HTTP/2, or resets a stream without an answer."""


def diagnose(easy: Any, code: int, message: str, proxy: str, begun: bool) -> tuple[FailureKind, str, Lack]:
    """The kind of failure that *code* is, its meaning in words, and what this machine may lack.

    *proxy* is the one that was used, or empty. *begun*: a connection was tried, or the request was sent.
    """
    info = easy.getinfo
    detail = message or easy.errstr() or ("header too large" if code == _TOO_BIG else f"libcurl error {code}")
    kind = _KINDS.get(code, "protocol")
    if proxy and (said := _by_proxy(info, code, kind)):
        return "connect", f"the proxy {proxy_shown(proxy)} {said}", "proxy"
    if code == pycurl.E_COULDNT_CONNECT and (lack := machine.lack_of(info(pycurl.OS_ERRNO))):
        return kind, f"{os.strerror(info(pycurl.OS_ERRNO))}: {detail}", lack
    if code == pycurl.E_COULDNT_CONNECT and (number := info(pycurl.OS_ERRNO)):
        return kind, os.strerror(number).lower(), ""
    if code == pycurl.E_OUT_OF_MEMORY:
        return kind, detail, "shortage"
    if kind == "tls":
        expires = certificate.expiry_of_chain(easy.getinfo_raw(pycurl.INFO_CERTINFO))
        detail = certificate.words(info(pycurl.SSL_VERIFYRESULT), detail, expires)
    is_unresolved = kind == "dns" or (kind == "timeout" and not begun and not info(pycurl.NAMELOOKUP_TIME_T))
    return kind, detail, "resolver" if is_unresolved else ""


def _by_proxy(info: Any, code: int, kind: FailureKind) -> str:
    """What the proxy itself did, if it is the one that failed; else empty."""
    if info(pycurl.HTTP_CONNECTCODE) == REFUSED_BY_PROXY or (
        code == _PROXY_ERROR and info(pycurl.PROXY_ERROR) in _PROXY_REFUSES
    ):
        return PROXY_REFUSES
    if kind == "dns":
        return "has a name that does not resolve"
    if info(pycurl.HTTP_CONNECTCODE) or info(pycurl.CONNECT_TIME_T) > 0:
        return ""
    if code == pycurl.E_COULDNT_CONNECT:
        number = info(pycurl.OS_ERRNO)
        return f"cannot be reached: {os.strerror(number) if number else 'it does not answer'}"
    return "cannot be reached: it does not answer" if kind == "timeout" else ""


def is_http2_fault(code: int, message: str) -> bool:
    """Whether the server broke HTTP/2, so that HTTP/1.1 may work better. False if it asks us to slow down."""
    return (code in _HTTP2_FAULTS or "nghttp2" in message) and "ENHANCE_YOUR_CALM" not in message


def set_up(easy: Any, options: FetcherOptions) -> None:
    """Set on the handle *easy* what never changes; its owner sets version, proxy, header and callbacks."""
    set_option = easy.setopt
    set_option(pycurl.NOSIGNAL, 1)
    set_option(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    set_option(pycurl.FOLLOWLOCATION, 0)
    set_option(pycurl.HTTP09_ALLOWED, 0)
    set_option(pycurl.HTTP_CONTENT_DECODING, 0)
    set_option(pycurl.DNS_CACHE_TIMEOUT, _DNS_CACHE)
    set_option(pycurl.NETRC, pycurl.NETRC_OPTIONAL if options.trust_env else pycurl.NETRC_IGNORED)
    set_option(pycurl.NOPROXY, "")
    set_option(pycurl.HEADEROPT, pycurl.HEADER_SEPARATE)  # a tunnelling proxy gets no header line of the request
    set_option(pycurl.SSL_VERIFYPEER, int(options.verify_tls))
    set_option(pycurl.SSL_VERIFYHOST, 2 if options.verify_tls else 0)
    set_option(pycurl.CAINFO, ca_bundle())
    set_option(pycurl.OPT_CERTINFO, int(options.certificates))
    if not options.verify_tls:
        set_option(pycurl.SSL_CIPHER_LIST, ANY_CIPHER)
        set_option(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_0)  # or later
