"""Bytes and sockets that break clients: the parts of which hostile servers are made."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import socket
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from ssl import PROTOCOL_TLS_SERVER, SSLContext, TLSVersion
from tempfile import NamedTemporaryFile
from typing import Final

import brotli  # type: ignore[import-untyped]
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.fetch.conftest import tls_context
from tests.servers import Behaviour, Call, chunk, head, raw

HTML: Final = [("Content-Type", "text/html")]
CHUNKED: Final = head(200, [*HTML, ("Transfer-Encoding", "chunked")])


def document(title: str, links: Iterable[str] = (), meta: str = "") -> bytes:
    """A page like no other: its text is made of its title."""
    anchors = "".join(f'<p><a href="{link}">x</a>' for link in links)
    text = hashlib.sha256(title.encode()).hexdigest()
    return f"<!doctype html><html><head><title>{title}</title>{meta}</head><body><p>{text}{anchors}</html>".encode()


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


# -- answers -----------------------------------------------------------------------------------------------------------


def whole(path: str, *headers: tuple[str, str]) -> bytes:
    """An answer with the page of *path*, after which the connection may stay."""
    body = document(path)
    return head(200, [*HTML, ("Content-Length", str(len(body))), *headers]) + body


def sized(
    body: bytes | Callable[[str], bytes], *headers: tuple[str, str], length: int | None = None, status: int = 200
) -> Behaviour:
    """*body*, or what it makes of the path, with its length or another; then the end of the connection."""

    def behaviour(call: Call) -> None:
        data = body if isinstance(body, bytes) else body(call.seen.path)
        size = ("Content-Length", str(len(data) if length is None else length))
        raw(head(status, [*HTML, size, *headers]), data)(call)

    return behaviour


def encoded(encoding: str, body: bytes | Callable[[str], bytes]) -> Behaviour:
    return sized(body, ("Content-Encoding", encoding))


def lined(lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> Behaviour:
    """A page with a status line and header lines as they are."""

    def behaviour(call: Call) -> None:
        body = document(call.seen.path)
        raw(first + b"\r\n" + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body)(call)

    return behaviour


def busy_once(status: int, retry_after: str) -> Behaviour:
    asked: list[str] = []

    def behaviour(call: Call) -> None:
        asked.append(call.seen.path)
        if len(asked) == 1:
            call.answer(b"busy", status, [("Retry-After", retry_after)])
        else:
            call.answer(document(call.seen.path))

    return behaviour


# -- bodies ------------------------------------------------------------------------------------------------------------


@cache
def zeros(encoding: str) -> bytes:
    """300 MB of zeros in at most 300 kB, made in no time of one repeated piece."""
    if encoding == "gzip":
        return gzip.compress(bytes(1_000_000), 9) * 300
    if encoding == "deflate":
        packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        return b"\x78\xda" + (packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)) * 300
    if encoding == "br":
        stream = brotli.Compressor(quality=1)
        return b"".join([*(stream.process(bytes(10_000_000)) for _ in range(30)), stream.finish()])
    # Zstandard by hand (RFC 8878): a frame of unknown size, and blocks that repeat one byte 131,072 times.
    block = (131_072 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\0\x58" + block * 2_400 + b"\1\0\0"


@cache
def million_links(path: str) -> bytes:
    links = b"".join(b"<a href=%b/%d>x</a>" % (path.encode(), n) for n in range(1_000_000))
    return b"<!doctype html><title>%b</title>" % path.encode() + links


def titled(start: str, piece: bytes, times: int, end: bytes = b"") -> Callable[[str], bytes]:
    """A page that repeats a *piece*."""
    return lambda path: (start + f"<title>{path}</title>").encode() + piece * times + end


def attributes(path: str) -> bytes:
    return document(path) + b"<p " + b" ".join(b"a%d=x" % n for n in range(300_000)) + b">"


def one_chunk(path: str) -> bytes:
    return chunk(document(path)) + chunk(b"")


# -- sockets -----------------------------------------------------------------------------------------------------------


@contextmanager
def full_queue() -> Iterator[int]:
    """A port whose queue of connections is full, so that connecting gets no answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def self_signed() -> SSLContext:
    """A certificate that nobody but itself vouches for."""
    authority, context = trustme.CA(), SSLContext(PROTOCOL_TLS_SERVER)
    with authority.cert_pem.tempfile() as certificate, authority.private_key_pem.tempfile() as key:
        context.load_cert_chain(certificate, key)
    return context


DH_1024: Final = """-----BEGIN DH PARAMETERS-----
MIGHAoGBAP//////////yQ/aoiFowjTExmKLgNwc0SkCTgiKZ8x0Agu+pjsTmyJR
Sgh5jjQE3e+VGbPNOkMbMCsKbfJfFDdP4TVtbVHCReSFtXZiXn7G9ExC6aY37WsL
/1y29Aa37e44a/taiZ+lrp8kEXxLH+ZJKGZR7OZTgf//////////AgEC
-----END DH PARAMETERS-----
"""
"""The second Oakley group (RFC 2409 section 6.2), of 1024 bits."""


def weak_exchange(certificate: trustme.LeafCert) -> SSLContext:
    """TLS 1.2 with keys exchanged by Diffie-Hellman of 1024 bits alone."""
    context = tls_context(certificate)
    context.maximum_version = TLSVersion.TLSv1_2
    context.set_ciphers("DHE-RSA-AES128-SHA:@SECLEVEL=0")
    with NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(DH_1024)
        file.flush()
        context.load_dh_params(file.name)
    return context


def weak_key() -> SSLContext:
    """A certificate of its own with an RSA key of 1024 bits."""
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with NamedTemporaryFile(suffix=".pem") as file:
        private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        file.write(private + builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def old_tls(certificate: trustme.LeafCert) -> SSLContext:
    """TLS 1.0 and nothing newer."""
    context = tls_context(certificate)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = TLSVersion.TLSv1
    return context
