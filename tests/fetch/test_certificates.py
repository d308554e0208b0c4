"""When certificates expire, and why one is not accepted: in the same words for both engines."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from crawler.fetch.certificate import expiry, expiry_of_chain, words
from crawler.fetch.fetcher import FetchError, Response
from tests.fetch.conftest import OpenFetcher, fetch_by, tls_context
from tests.servers import Server, head, page, raw, tunnel

DAY = datetime.timedelta(days=1)
SOON = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + 10 * DAY
PAST, FUTURE = SOON - 400 * DAY, SOON + 400 * DAY


def issued(
    authority: trustme.CA,
    name: str,
    *,
    not_before: datetime.datetime | None = None,
    not_after: datetime.datetime = FUTURE,
) -> ssl.SSLContext:
    """A server with a certificate of *authority*."""
    return tls_context(authority.issue_cert(name, not_before=not_before, not_after=not_after))


REFUSED: dict[str, tuple[Callable[[trustme.CA], ssl.SSLContext], str]] = {
    "expired": (lambda ca: issued(ca, "localhost", not_after=PAST), "the certificate has expired"),
    "not yet valid": (
        lambda ca: issued(ca, "localhost", not_before=FUTURE, not_after=FUTURE + DAY),
        "the certificate is not valid yet",
    ),
    "another name": (lambda ca: issued(ca, "other.test"), "the certificate is for another name"),
    "an address": (lambda ca: issued(ca, "127.0.0.1"), "the certificate is for another name"),
    "self-signed": (lambda _: signed_by_itself("localhost"), "the certificate is self-signed"),
    "unknown issuer": (lambda _: issued(trustme.CA(), "localhost"), "the issuer of the certificate is not known"),
    "no intermediate": (
        lambda ca: leaf_alone(ca.create_child_ca().issue_cert("localhost")),
        "the issuer of the certificate is not known",
    ),
}


def signed_by_itself(name: str) -> ssl.SSLContext:
    """A server whose certificate is its own authority's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, PAST, FUTURE)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with trustme.Blob(private + builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)).tempfile() as file:
        context.load_cert_chain(file)
    return context


def leaf_alone(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server that leaves out the certificates between its own and the authority's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = certificate.private_key_pem.bytes() + certificate.cert_chain_pems[0].bytes()
    with trustme.Blob(pem).tempfile() as file:
        context.load_cert_chain(file)
    return context


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(("context", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_with_a_certificate_is_said(
    authority: trustme.CA, open_fetcher: OpenFetcher, context: Callable[[trustme.CA], ssl.SSLContext], said: str
) -> None:
    with Server(tls=context(authority)) as server:
        for method in ("GET", "HEAD"):
            result = fetch_by(open_fetcher(), server.url("/", "localhost"), method=method)
            assert isinstance(result, FetchError) and (result.kind, result.detail) == ("tls", said)


@pytest.mark.usefixtures("trusted")
def test_an_address_needs_a_certificate_for_it(authority: trustme.CA, open_fetcher: OpenFetcher) -> None:
    with Server(tls=issued(authority, "localhost")) as server:
        result = fetch_by(open_fetcher(), server.url("/"))
        assert isinstance(result, FetchError) and result.detail == "the certificate is for another name"


@pytest.mark.usefixtures("trusted")
def test_when_a_certificate_expires_is_known_of_each_answer(authority: trustme.CA, open_fetcher: OpenFetcher) -> None:
    """On new connections, used ones, and those that resume TLS."""
    with Server(tls=issued(authority, "localhost", not_after=SOON)) as server:
        server.on("/closes", raw(head(200, [("Content-Length", "0")])))
        server.otherwise = page()
        fetcher = open_fetcher(certificates=True)
        for path, method in (
            ("/a", "HEAD"),
            ("/b", "GET"),
            ("/closes", "GET"),
            ("/c", "GET"),
            ("/closes", "GET"),
            ("/d", "HEAD"),
        ):
            result = fetch_by(fetcher, server.url(path, "localhost"), method=method)
            assert isinstance(result, Response) and result.certificate_expires == SOON.timestamp()
        assert server.connections == 3


@pytest.mark.usefixtures("trusted")
def test_hosts_have_certificates_of_their_own(authority: trustme.CA, open_fetcher: OpenFetcher) -> None:
    first, second = issued(authority, "localhost", not_after=SOON), issued(authority, "localhost", not_after=SOON + DAY)
    fetcher = open_fetcher(certificates=True)
    with Server(tls=first) as one, Server(tls=second) as other:
        for _ in range(2):
            for server, expires in ((one, SOON), (other, SOON + DAY)):
                result = fetch_by(fetcher, server.url("/", "localhost"))
                assert isinstance(result, Response) and result.certificate_expires == expires.timestamp()


@pytest.mark.usefixtures("trusted")
def test_by_http2_and_by_a_tunnel_too(authority: trustme.CA, h2_server: str, open_fetcher: OpenFetcher) -> None:
    result = fetch_by(open_fetcher(certificates=True), f"{h2_server}/version")
    assert isinstance(result, Response) and (result.certificate_expires or 0) > SOON.timestamp()
    with Server(tls=issued(authority, "localhost", not_after=SOON)) as server, Server() as proxy:
        proxy.otherwise = tunnel
        fetcher = open_fetcher(certificates=True, proxy=proxy.url().rstrip("/"))
        result = fetch_by(fetcher, server.url("/", "localhost"))
        assert isinstance(result, Response) and result.certificate_expires == SOON.timestamp()


@pytest.mark.usefixtures("trusted")
def test_nobody_asks_where_it_is_off_or_plain(authority: trustme.CA, server: Server, open_fetcher: OpenFetcher) -> None:
    plain = fetch_by(open_fetcher(certificates=True), server.url("/"))
    assert isinstance(plain, Response) and plain.certificate_expires is None
    with Server(tls=issued(authority, "localhost")) as secure:
        result = fetch_by(open_fetcher(), secure.url("/", "localhost"))
        assert isinstance(result, Response) and result.certificate_expires is None


@pytest.mark.usefixtures("trusted")
def test_libcurl_knows_since_when_one_has_expired(
    authority: trustme.CA, engine: str, open_fetcher: OpenFetcher
) -> None:
    with Server(tls=issued(authority, "localhost", not_after=PAST)) as server:
        result = fetch_by(open_fetcher(certificates=True), server.url("/", "localhost"))
        said = f"expired on {PAST:%Y-%m-%d}" if engine == "curl" else "has expired"
        assert isinstance(result, FetchError) and result.detail == f"the certificate {said}"


def test_a_certificate_that_is_not_verified(authority: trustme.CA, engine: str, open_fetcher: OpenFetcher) -> None:
    """Only libcurl says what it contains."""
    with Server(tls=issued(authority, "other.test", not_after=SOON)) as server:
        result = fetch_by(open_fetcher(certificates=True, verify_tls=False), server.url("/", "localhost"))
        assert isinstance(result, Response)
        assert result.certificate_expires == (SOON.timestamp() if engine == "curl" else None)


@pytest.mark.parametrize("date", ["", "None", "tomorrow", "Xxx  1 00:00:00 2020 GMT", "Jan 99 00:00:00 2020 GMT"])
def test_a_date_that_is_none(date: str) -> None:
    assert expiry(date) is None


def test_dates_of_chains() -> None:
    chain = [[(b"Subject", b"CN=\xff"), (b"Expire date", b"Jan  2 03:04:05 2030 GMT")], [(b"Expire date", b"x")]]
    assert expiry_of_chain(chain) == 1893553445
    assert expiry_of_chain([]) is None and expiry_of_chain([[(b"Subject", b"x")]]) is None


def test_other_faults_keep_the_librarys_words() -> None:
    assert words(0, "wrong version number") == "wrong version number"
    assert words(10, "expired", FUTURE.timestamp()) == "the certificate has expired"  # another one of its chain
    assert words(66, "EE certificate key too weak") == "EE certificate key too weak"
