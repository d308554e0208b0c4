"""What libcurl's error codes mean here: which kind of failure, and what a person should read of it."""

from __future__ import annotations

import os
from typing import Any, Final

import pycurl

from crawler.fetch import machine
from crawler.fetch.fetcher import FailureKind, Lack
from crawler.fetch.outgoing import PROXY_REFUSES, REFUSED_BY_PROXY, proxy_shown

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
"""What libcurl gives where it found no descriptor in a place of its own."""


def diagnose(easy: Any, code: int, message: str, proxy: str, begun: bool) -> tuple[FailureKind, str, Lack]:
    """The kind of failure that *code* is, what it means in words, and what this machine may lack.

    *proxy* is the one that was used, or empty. *begun*: a connection was tried, or the request was sent.
    """
    info = easy.getinfo
    detail = message or easy.errstr() or ("header too large" if code == _TOO_BIG else f"libcurl error {code}")
    kind = _KINDS.get(code, "protocol")
    if proxy and (said := _by_proxy(info, code, kind)):
        return "connect", f"the proxy {proxy_shown(proxy)} {said}", "proxy"
    if code == pycurl.E_COULDNT_CONNECT and (lack := machine.lack_of(info(pycurl.OS_ERRNO))):
        return kind, f"{os.strerror(info(pycurl.OS_ERRNO))}: {detail}", lack
    if code == pycurl.E_OUT_OF_MEMORY:
        return kind, detail, "shortage"
    is_unresolved = kind == "dns" or (kind == "timeout" and not begun and not info(pycurl.NAMELOOKUP_TIME_T))
    return kind, detail, "resolver" if is_unresolved else ""


def _by_proxy(info: Any, code: int, kind: FailureKind) -> str:
    """What the proxy itself did, where it is the one that failed; else nothing."""
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
