"""What libcurl's codes mean, and its options that are the same for all requests of a fetcher."""

from __future__ import annotations

from typing import Any, Final

import pycurl

from crawler.fetch.fetcher import FailureKind, FetcherOptions
from crawler.fetch.outgoing import ANY_CIPHER, ca_bundle

_DNS_CACHE: Final = 300
"""Seconds that a resolved name is kept; each address is guarded anew whenever it is connected to."""
_CODES: Final[dict[FailureKind, str]] = {
    "dns": "COULDNT_RESOLVE_HOST COULDNT_RESOLVE_PROXY",
    "connect": "COULDNT_CONNECT GOT_NOTHING SEND_ERROR RECV_ERROR PARTIAL_FILE HTTP2 INTERFACE_FAILED AGAIN",
    "tls": "SSL_CONNECT_ERROR PEER_FAILED_VERIFICATION SSL_CERTPROBLEM SSL_CIPHER SSL_CACERT_BADFILE SSL_ISSUER_ERROR "
    "SSL_INVALIDCERTSTATUS USE_SSL_FAILED",
    "timeout": "OPERATION_TIMEDOUT",
}
_KINDS: Final[dict[int, FailureKind]] = {
    92: "connect",  # CURLE_HTTP2_STREAM and CURLE_PROXY have no name in pycurl
    97: "connect",
    **{getattr(pycurl, f"E_{name}"): kind for kind, names in _CODES.items() for name in names.split()},
}
_HTTP2_FAULTS: Final = frozenset({pycurl.E_HTTP2, 92})
"""libcurl's codes for a server that breaks HTTP/2, or resets a stream without an answer."""
_TOO_BIG: Final = 100  # without a name in pycurl


def kind_of(code: int) -> FailureKind:
    """Which kind of failure *code* is; those that are not named here are "protocol"."""
    return _KINDS.get(code, "protocol")


def name_of(code: int) -> str:
    """Words for *code* where libcurl has none."""
    return "header too large" if code == _TOO_BIG else f"libcurl error {code}"


def is_http2_fault(code: int, message: str) -> bool:
    """Did the server break HTTP/2, so that HTTP/1.1 may do better? Not where it asks us to slow down."""
    return (code in _HTTP2_FAULTS or "nghttp2" in message) and "ENHANCE_YOUR_CALM" not in message


def set_up(easy: Any, options: FetcherOptions) -> None:
    """Set on the handle *easy* what never changes; version, proxy, header and callbacks are its owner's."""
    set_option = easy.setopt
    set_option(pycurl.NOSIGNAL, 1)
    set_option(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    set_option(pycurl.FOLLOWLOCATION, 0)
    set_option(pycurl.HTTP09_ALLOWED, 0)
    set_option(pycurl.HTTP_CONTENT_DECODING, 0)
    set_option(pycurl.DNS_CACHE_TIMEOUT, _DNS_CACHE)
    set_option(pycurl.NETRC, pycurl.NETRC_OPTIONAL if options.trust_env else pycurl.NETRC_IGNORED)
    set_option(pycurl.NOPROXY, "")
    set_option(pycurl.HEADEROPT, pycurl.HEADER_SEPARATE)  # a proxy that tunnels gets no header line of the request
    set_option(pycurl.SSL_VERIFYPEER, int(options.verify_tls))
    set_option(pycurl.SSL_VERIFYHOST, 2 if options.verify_tls else 0)
    set_option(pycurl.CAINFO, ca_bundle())
    if not options.verify_tls:
        set_option(pycurl.SSL_CIPHER_LIST, ANY_CIPHER)
        set_option(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_0)  # or later
