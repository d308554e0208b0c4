"""Where Redis is: what a URL may say, what is said of it, and what is told where no connection comes about."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from crawler.errors import RedisAway, RedisUnavailable, UsageError
from crawler.frontier.redis.address import OPTIONS, Address, shown
from crawler.frontier.redis.connection import Connection
from tests.redis_for_tests import PrivateRedis
from tests.servers import Server, page
from tests.tls_door import TlsDoor

SECRET = "geheim-73"
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://h", "redis://h:6379"),
        ("redis://", "redis://localhost:6379"),
        (f"redis://user:{SECRET}@h:7000/3", "redis://h:7000/3"),
        (f"redis://:{SECRET}@[::1]", "redis://[::1]:6379"),
        (f"redis://user%40x:{SECRET}%40%2F@h_1.internal/0", "redis://h_1.internal:6379/0"),
        (f"redis://{SECRET}:@h?db=4", "redis://h:6379/4"),
        (f"rediss://:{SECRET}@h/0?ssl_cert_reqs=none&password={SECRET}", "rediss://h:6379/0"),
        (f"unix://:{SECRET}@/run/r.sock?db=2&password={SECRET}", "unix:///run/r.sock"),
        (f"redis+sentinel://u:{SECRET}@a,b:1/mine/2?sentinel_password={SECRET}", "redis+sentinel://a:26379,b:1/mine/2"),
        (f"rediss+sentinel://:{SECRET}@[::1]:5/m", "rediss+sentinel://[::1]:5/m"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, told: str) -> None:
    address = Address.of(url)
    assert (shown(url), str(address)) == (told, told)
    assert SECRET not in repr(address)
    assert address.bears_password is (f":{SECRET}" in url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must begin with redis://"),
        ("http://h", "redis+sentinel://"),
        (f"REDIS://{SECRET}@h", "must begin"),
        (f"localhost:{SECRET}", "must begin"),
        (f"redis://h:{SECRET}", "host and port"),
        (f"redis://:{SECRET}/x@h:6379", "host and port"),
        (f"redis://:12/{SECRET}@h:1/0", "the database is a number"),
        (f"redis://h/{SECRET}", "the database is a number"),
        ("redis://h/1000000", "the database is a number"),
        (f"redis://:x{SECRET}#y@h", "#"),
        (f"redis://:x{SECRET} y@h", "blanks"),
        (f"redis://:12?{SECRET}@h", "%XX"),
        (f"redis://:12?{SECRET}=1@h", "%XX"),
        (f"redis://:12?db={SECRET}@h", "the database is a number"),
        (f"redis://[{SECRET}]@h]", "host and port"),
        (f"redis://u:p@{SECRET}>h", "host and port"),
        (f"redis://{SECRET}..x", "host and port"),
        ("redis://h:0", "host and port"),
        ("redis://h:70000", "host and port"),
        ("redis://a,b", "redis+sentinel://"),
        ("redis://h?ssl_ca_certs=ca.pem", "ssl_ca_certs is for rediss://"),
        ("redis://h?sentinel_password=x", "sentinel_password is for redis+sentinel://"),
        ("redis://h?socket_timeout=1", "db, username, password, ssl_ca_certs"),
        ("rediss://h?ssl_cert_reqs=maybe", "none or required"),
        ("rediss://h?ssl_check_hostname=maybe", "yes or no"),
        (f"unix://{SECRET}/run/r.sock", "third slash"),
        ("unix://", "third slash"),
        (f"redis+sentinel://:{SECRET}@h", "the master's name"),
        (f"redis+sentinel://:{SECRET}@h/", "the master's name"),
        (f"redis+sentinel://h/m/{SECRET}", "the database is a number"),
        (f"redis+sentinel://:{SECRET}@/m", "name the sentinels"),
        (f"redis+sentinel://:{SECRET}@h,,i/m", "name the sentinels"),
        (f"redis+sentinel://h:1,i:{SECRET}/m", "host and port"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_one_line_without_its_pieces(url: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Connection(url)
    text = str(caught.value)
    assert words in text
    assert "\n" not in text
    assert SECRET not in text
    assert SECRET not in repr(caught.value.__cause__)
    assert SECRET not in shown(url)


def test_what_is_percent_encoded_is_decoded_once() -> None:
    options = Address.of("redis+sentinel://a%20b:%2525%2B+@h/m?sentinel_username=%2F&sentinel_password=%2525+").options
    assert [options[f"{whose}{what}"] for whose in ("", "sentinel_") for what in ("username", "password")] == [
        "a b",
        "%25++",
        "/",
        "%25+",
    ]


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> str:
    """The option that trusts the authority."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return f"ssl_ca_certs={tmp_path}/ca.pem"


@contextmanager
def linked(url: str, connect_timeout: float = 5.0) -> Iterator[Connection]:
    """A link that is closed again."""
    link = Connection(url, connect_timeout=connect_timeout)
    try:
        yield link
    finally:
        link.close()


def asked_again(link: Connection) -> bool:
    """Ask once more after the connection was closed, which the library may notice before it asks, or only by asking."""
    with suppress(RedisAway):
        return link.ask(link.client.ping)
    return link.ask(link.client.ping)


def refused(url: str, connect_timeout: float = 5.0) -> str:
    """What is said of *url*, of which it is no use to ask for it again."""
    with linked(url, connect_timeout) as link, pytest.raises(RedisUnavailable) as caught:
        link.ask(link.client.ping)
    assert type(caught.value) is RedisUnavailable
    assert shown(url) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def own(certificate: trustme.LeafCert, folder: Path) -> str:
    """The options by which a client shows *certificate*."""
    certificate.cert_chain_pems[0].write_to_path(str(folder / "own.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "own.key"))
    return f"ssl_certfile={folder}/own.pem&ssl_keyfile={folder}/own.key"


def test_a_private_authority_is_trusted_where_it_is_named(
    redis_server: PrivateRedis, authority: trustme.CA, ca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the URL, or as one of the system's."""
    with TlsDoor(redis_server.url, authority.issue_cert("127.0.0.1", "localhost")) as door:
        for url in (f"{door.url}?{ca}", f"rediss://localhost:{door.port}?{ca}"):
            with linked(url) as link:
                assert link.ask(link.client.ping) is True
                assert link.wait("nothing", 0) is False
                assert link.connections == 1
                door.hang_up()
                assert asked_again(link)
                assert link.connections == 2
        assert "certificate that cannot be trusted: unable to get local issuer" in refused(door.url)
        monkeypatch.setenv("SSL_CERT_FILE", ca.partition("=")[2])
        with linked(door.url) as link:
            assert link.ask(link.client.ping) is True


def test_a_certificate_that_does_not_fit_is_refused(redis_server: PrivateRedis, authority: trustme.CA, ca: str) -> None:
    with TlsDoor(redis_server.url, authority.issue_cert("redis.example")) as door:
        assert "not valid for '127.0.0.1'; name it as its certificate does" in refused(f"{door.url}?{ca}")
        with linked(f"{door.url}?{ca}&ssl_check_hostname=no") as link:
            assert link.ask(link.client.ping) is True
        door.show(authority.issue_cert("127.0.0.1", not_after=LONG_AGO))
        assert "certificate has expired; renew it" in refused(f"{door.url}?{ca}")
        door.show(trustme.CA().issue_cert("127.0.0.1"))
        assert "cannot be trusted" in refused(f"{door.url}?{ca}")
        with linked(f"{door.url}?ssl_cert_reqs=none") as link:
            assert link.ask(link.client.ping) is True


def test_a_certificate_that_no_longer_fits_is_no_reason_to_wait(
    redis_server: PrivateRedis, authority: trustme.CA, ca: str
) -> None:
    """It is found at the next connection, in the middle of whatever is done."""
    with (
        TlsDoor(redis_server.url, authority.issue_cert("127.0.0.1")) as door,
        linked(f"{door.url}?{ca}") as link,
    ):
        assert link.ask(link.client.ping) is True
        door.show(authority.issue_cert("127.0.0.1", not_after=LONG_AGO))
        door.hang_up()
        with pytest.raises(RedisUnavailable, match="expired") as caught:
            asked_again(link)
        assert type(caught.value) is RedisUnavailable


def test_a_certificate_of_ours_is_asked_for(
    redis_server: PrivateRedis, authority: trustme.CA, ca: str, tmp_path: Path
) -> None:
    with TlsDoor(redis_server.url, authority.issue_cert("127.0.0.1"), clients_of=authority) as door:
        told = refused(f"{door.url}?{ca}")
        assert "certificate required" in told
        assert "ssl_certfile" in told
        with linked(f"{door.url}?{ca}&{own(authority.issue_cert('crawler.example'), tmp_path)}") as link:
            assert link.ask(link.client.ping) is True
        stranger = own(trustme.CA().issue_cert("crawler.example"), tmp_path)
        assert "unknown ca" in refused(f"{door.url}?{ca}&{stranger}")


def test_one_speaks_tls_and_the_other_does_not(redis_server: PrivateRedis, authority: trustme.CA) -> None:
    """Either side is silent or hangs up: it is found out all the same, and told."""
    with TlsDoor(redis_server.url, authority.issue_cert("127.0.0.1")) as door:
        assert "wants TLS: write rediss://" in refused(f"redis://127.0.0.1:{door.port}")
        assert "wants TLS: write rediss://" in refused(f"redis://:{SECRET}@127.0.0.1:{door.port}/3")
    with socket.create_server(("127.0.0.1", 0)) as plain:
        port = plain.getsockname()[1]
        with linked(f"rediss://127.0.0.1:{port}", 0.1) as link, pytest.raises(RedisAway):
            link.ask(link.client.ping)


def test_a_web_server_in_place_of_redis_is_named() -> None:
    with Server("127.0.0.1") as web:
        web.otherwise = page(b"a page")
        assert "is a web server: name the port at which Redis listens" in refused(f"redis://127.0.0.1:{web.port}")


def test_a_server_without_tls_is_told_from_one_that_is_slow(redis_server: PrivateRedis) -> None:
    client = redis_server.client()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client.config_set("port", port)
    try:
        assert "speaks no TLS at this port" in refused(f"rediss://127.0.0.1:{port}", 0.2)
        assert "has no database of that number" in refused(f"redis://127.0.0.1:{port}/99")
    finally:
        client.config_set("port", 0)
        client.close()


def test_files_are_looked_at_before_anything_is_tried(tmp_path: Path, authority: trustme.CA, ca: str) -> None:
    (tmp_path / "empty.pem").touch()
    mine, other = authority.issue_cert("a.example"), authority.issue_cert("b.example")
    mine.cert_chain_pems[0].write_to_path(str(tmp_path / "mine.pem"))
    other.private_key_pem.write_to_path(str(tmp_path / "other.key"))
    for options, words in (
        ("ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs /nowhere/ca.pem: no such file"),
        (f"ssl_ca_certs={tmp_path}/empty.pem", "empty.pem: no certificate"),
        (f"{ca}&ssl_certfile={tmp_path}/mine.pem&ssl_keyfile={tmp_path}/other.key", "key values mismatch"),
        (f"ssl_keyfile={tmp_path}/other.key", "no such file"),
    ):
        with pytest.raises(UsageError, match=words):
            Connection(f"rediss://h?{options}")


def test_the_options_are_the_documented_ones() -> None:
    page = (Path(__file__).parents[2] / "docs" / "redis.md").read_text(encoding="utf-8")
    assert not [name for name in OPTIONS if f"`{name}`" not in page]
