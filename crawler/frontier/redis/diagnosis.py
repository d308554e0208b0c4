"""Why a connection fails although a server listens: TLS on one side only, a certificate, a database.

None of this passes by waiting, and no error names it: a TLS server hangs up on a plain client, and a plain server stays
silent to a TLS client. So after a connection that ended without a reply, this module makes one of its own to find out.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from redis.exceptions import ConnectionError, InvalidResponse, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

_LOOK: Final = 1.0
"""Seconds for a look."""
_PASSING: Final = ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "UNEXPECTED_EOF_WHILE_READING", "TLSV1_ALERT_INTERNAL_ERROR")
"""Reasons of TLS that another try may not meet again."""


_WORDLESS: Final = (ConnectionError, RedisTimeoutError, InvalidResponse)
"""What the library raises where Redis said nothing; what it said has classes derived from these."""
_OTHER_HOST: Final = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_NO_TLS: Final = "speaks no TLS at this port: name its TLS port, or write redis:// for rediss://"


class HopelessError(RedisError):
    """What it says will not pass by waiting; its text continues "Redis at X"."""


def trust(
    *,
    ssl_cert_reqs: str = "required",
    ssl_check_hostname: bool = True,
    ssl_ca_certs: str | None = None,
    ssl_certfile: str | None = None,
    ssl_keyfile: str | None = None,
) -> ssl.SSLContext:
    """TLS as the library speaks it with these options. Raises OSError or ValueError for a file that is no use."""
    context = ssl.create_default_context()
    context.check_hostname = ssl_check_hostname
    context.verify_mode = ssl.CERT_REQUIRED if ssl_cert_reqs == "required" else ssl.CERT_NONE
    if ssl_certfile or ssl_keyfile:
        # A key that asks for a password would ask on the terminal.
        context.load_cert_chain(ssl_certfile or "", ssl_keyfile, password="")
    if ssl_ca_certs:
        context.load_verify_locations(cafile=ssl_ca_certs)
    return context


def explained(
    error: BaseException,
    place: tuple[str, int] | None,
    context: ssl.SSLContext | None = None,
    *,
    unanswered: bool = False,
) -> str | None:
    """Why waiting does not help against *error*, as the rest of a sentence; None where it may pass.

    *unanswered*: nothing ever came over this connection, which *context* made by TLS, or none without.
    """
    if isinstance(error, HopelessError):
        return str(error)
    if "DB index is out of range" in str(error):
        return "has no database of that number: see `databases` in its settings"
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLError) and (why := _of_tls(cause)):
            return why
    if place is None:
        return None
    if any("handshake operation timed out" in str(cause) for cause in causes):
        return _NO_TLS if _speaks_plainly(place) else None
    if not unanswered or type(error) not in _WORDLESS:
        return None
    if context is not None:
        return _refusal(place, context)
    if _speaks_http(place):
        return "is a web server: name the port at which Redis listens, 6379 by default"
    return "wants TLS: write rediss:// for redis://" if _speaks_tls(place) else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _of_tls(error: ssl.SSLError) -> str | None:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = "renew it, or name who signed it by ssl_ca_certs=FILE in the URL"
        if error.verify_code in _OTHER_HOST:
            advice = "name it as its certificate does, or write ssl_check_hostname=no in the URL"
        return f"has a certificate that cannot be trusted: {error.verify_message.rstrip('.')}; {advice}"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or not reason or reason in _PASSING:
        return None
    if reason == "WRONG_VERSION_NUMBER":
        return _NO_TLS
    words = re.sub(r"^.*ALERT_", "", reason).replace("_", " ").lower()
    if "ALERT" in reason:
        return f"refuses our side of TLS: {words}; ssl_certfile and ssl_keyfile in the URL name our certificate"
    return f"cannot be spoken with by TLS: {words}"


def _speaks_tls(place: tuple[str, int]) -> bool:
    """Whether the server answers by TLS, whatever it answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(place, _LOOK) as plain, context.wrap_socket(plain):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False


def _speaks_plainly(place: tuple[str, int]) -> bool:
    """Whether the server answers as Redis does without TLS, be it by a refusal."""
    return _answer(place, b"PING\r\n")[:1] in (b"+", b"-")


def _speaks_http(place: tuple[str, int]) -> bool:
    """Whether a web server listens."""
    return _answer(place, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/")


def _answer(place: tuple[str, int], question: bytes) -> bytes:
    with suppress(OSError), socket.create_connection(place, _LOOK) as plain:
        plain.sendall(question)
        return plain.recv(16)
    return b""


def _refusal(place: tuple[str, int], context: ssl.SSLContext) -> str | None:
    """Why the server refuses us. It is read before anything is sent."""
    try:
        plain = socket.create_connection(place, _LOOK)
        with plain, context.wrap_socket(plain, server_hostname=place[0]) as secure:
            secure.recv(1)
    except ssl.SSLError as error:
        return _of_tls(error)
    except OSError:
        pass
    return None
