"""What a server's certificate says: when it expires, and why it is not accepted, in the same words for both engines."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

_NO_CODE: Final = frozenset({0, 1})
_EXPIRED: Final = 10
_ANOTHER_NAME: Final = 62
_WORDS: Final = {
    **dict.fromkeys((2, 19, 20, 21, 27), "the issuer of the certificate is not known"),
    9: "the certificate is not valid yet",
    _EXPIRED: "the certificate has expired",
    18: "the certificate is self-signed",
    23: "the certificate has been revoked",
    **dict.fromkeys((_ANOTHER_NAME, 64), "the certificate is for another name"),
}
"""By OpenSSL's codes (X509_STORE_CTX_get_error(3)). If a server leaves out an intermediate certificate, the issuer of
its own is not known either."""
_OTHER_NAME: Final = re.compile("subject name|common name|doesn't match")
"""How libcurl and urllib3 say so; they compare names themselves, and set none of these codes."""


def words(code: int, message: str, expires: float | None = None) -> str:
    """Why a certificate is not accepted, by OpenSSL's *code*; for other faults of TLS the library's own *message*.

    *expires* is when it does, if that is known (see `expiry`). Of several faults libcurl names the name first, Python
    the issuer.
    """
    if code in _NO_CODE and _OTHER_NAME.search(message):
        code = _ANOTHER_NAME
    if code == _EXPIRED and expires is not None and expires < time.time():  # else another one of the chain has
        return f"the certificate expired on {datetime.fromtimestamp(expires, UTC):%Y-%m-%d}"
    return _WORDS.get(code, message)


def expiry(date: str) -> float | None:
    """Seconds since the epoch of a *date* as OpenSSL writes it, `Jan  2 03:04:05 2030 GMT`; None if it is none."""
    try:
        return float(ssl.cert_time_to_seconds(date))
    except ValueError:
        return None


def expiry_of_chain(chain: Iterable[Iterable[tuple[bytes, bytes]]]) -> float | None:
    """When the first certificate of *chain* expires, the server's own; in the form of libcurl's CURLINFO_CERTINFO."""
    own = next(iter(chain), ())
    dates = [value for name, value in own if name == b"Expire date"]
    return expiry(dates[0].decode("ascii", "replace")) if dates else None
