"""What libcurl's codes mean."""

from __future__ import annotations

from typing import Final

import pycurl

from crawler.fetch.fetcher import FailureKind

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
