"""The table of addresses that are not global, and who is let through nevertheless."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.fetch.guard import Guard, forbidden, literal, private_name


@pytest.mark.parametrize(
    ("ip", "reason"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.1.2.3", "private"),
        ("100.64.0.1", "private"),
        ("100.127.255.255", "private"),
        ("127.0.0.1", "loopback"),
        ("127.255.0.9", "loopback"),
        ("168.63.129.16", "private"),
        ("::ffff:168.63.129.16", "private"),
        ("2002:a83f:8110::1", "private"),
        ("169.254.169.254", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.8", "reserved"),
        ("192.0.2.1", "reserved"),
        ("192.88.99.1", "reserved"),
        ("192.168.1.1", "private"),
        ("198.19.0.1", "private"),
        ("198.51.100.7", "reserved"),
        ("203.0.113.7", "reserved"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::127.0.0.1", "reserved"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:a00:1", "private"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::169.254.169.254", "link-local"),
        ("64:ff9b:1::1", "private"),
        ("100::1", "reserved"),
        ("2001::1", "reserved"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "reserved (Teredo)"),
        ("2001:2::1", "reserved"),
        ("2001:10::1", "reserved"),
        ("2001:db8::1", "reserved"),
        ("2002:7f00:1::", "loopback"),
        ("2002:c0a8:101::1", "private"),
        ("3fff::1", "reserved"),
        ("2a00:1450::5efe:7f00:1", "loopback"),
        ("2a00:1450::200:5efe:127.0.0.1", "loopback"),
        ("2a00:1450:1:2:0:5efe:10.0.0.1", "private"),
        ("2a00:1450::5efe:a9fe:a9fe", "link-local"),
        ("2a00:1450::5efe:168.63.129.16", "private"),
        ("2002:101:101::5efe:192.168.0.1", "private"),
        ("2001:db8::5efe:1.1.1.1", "reserved"),
        ("5f00::1", "reserved"),
        ("fc00::1", "private"),
        ("fdff::1", "private"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "private"),
        ("ff02::1", "multicast"),
        ("nonsense", "not an IP address"),
        ("", "not an IP address"),
    ],
)
def test_an_address_that_is_not_global_is_forbidden(ip: str, reason: str) -> None:
    assert (forbidden(ip) or "").startswith(reason)


@pytest.mark.parametrize(
    "ip",
    [
        "1.1.1.1",
        "8.8.8.8",
        "168.63.129.15",
        "168.63.129.17",
        "2a00:1450::5efe:1.1.1.1",
        "2a00:1450::1:5efe:7f00:1",
        "2a00:1450::5eff:7f00:1",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.0.1",
        "172.32.0.1",
        "191.255.0.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2a00::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_a_global_address_is_not(ip: str) -> None:
    assert forbidden(ip) is None


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_judged_as_the_one_it_leads_to(inner: ipaddress.IPv4Address) -> None:
    number = int(inner)
    outer = (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80)
    for each in outer:
        verdict = forbidden(str(ipaddress.IPv6Address(each)))
        assert (verdict is None) == (forbidden(str(inner)) is None)


@settings(deadline=None)
@given(st.ip_addresses())
def test_the_table_forbids_all_that_the_standard_library_holds_for_private(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    embedded = isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.sixtofour)
    if not embedded and (not address.is_global or address.is_multicast):
        assert forbidden(str(address)) is not None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "localhost",
        "LOCALHOST.",
        "a.b.localhost",
    ],
)
def test_every_spelling_of_loopback_is_told(host: str) -> None:
    assert literal(host) == "127.0.0.1"


@pytest.mark.parametrize(
    "host", ["example.org", "1.example.org", "localhost.example.org", "0x7g.1", "127.0.0.1.example", ""]
)
def test_a_name_is_no_address(host: str) -> None:
    assert literal(host) is None


def test_literals_in_brackets_are_addresses() -> None:
    assert (literal("[::1]"), literal("[fe80::1%25eth0]"), literal("0")) == ("::1", "fe80::1", "0.0.0.0")


def test_only_the_named_host_is_let_through() -> None:
    guard = Guard(allowed_hosts=frozenset({"localhost:8000", "10.0.0.1"}))
    assert guard.check("localhost:8000", "127.0.0.1") is None
    assert guard.check("10.0.0.1", "10.0.0.1") is None
    assert guard.check("localhost:8001", "127.0.0.1") == "loopback"
    assert guard.check("10.0.0.1:81", "10.0.0.1") == "private"
    assert guard.check("example.org", "1.1.1.1") is None
    guard.allow(frozenset())
    assert guard.check("localhost:8000", "127.0.0.1") == "loopback"


def test_private_addresses_can_be_allowed_as_a_whole() -> None:
    assert Guard(allow_private=True).check("anything", "169.254.169.254") is None


def test_by_name_alone_only_what_the_name_says_is_judged() -> None:
    guard = Guard(allowed_hosts=frozenset({"127.0.0.1:80"}))
    assert guard.check_name("example.org") is None
    assert guard.check_name("8.8.8.8:81") is None
    assert guard.check_name("[::1]") == "loopback"
    assert guard.check_name("[::1]:8080") == "loopback"
    assert guard.check_name("0x7f.1:8080") == "loopback"
    assert guard.check_name("127.0.0.1:80") is None


# Reserved names, names that no public DNS has, public ones of metadata services and of loopback; an address in a name.
PRIVATE_NAMES = """
localhost.localdomain ip6-localhost metadata intranet a.localhost printer.local x.home.arpa HOME.arpa. lvh.me a.lvh.me
metadata.google.internal host.docker.internal kubernetes.default.svc metadata.goog wiki.corp router.lan
127.0.0.1.nip.io a.b-10-0-0-1.nip.io 7f000001.nip.io x-C0A80001.nip.io 5-10-0-0-1.nip.io fe80--1.sslip.io --1.sslip.io
192-168-1-5.0123abcd.plex.direct 10.0.0.1.example.org a.169.254.169.254.example.org 0.0.0.0.example.org
"""
PUBLIC_NAMES = """
example.org local.example.org localhost.example.org internal.example x.notlocal xlvh.me site.test site.example
home.arpa.org 8.8.8.8.nip.io www-8-8-8-8.nip.io 2a01-4f8-c17-b8f--2.sslip.io nip.io www.nip.io deadbeef.example.org
8.8.8.8.example.org 10-0-0-1.example.org v.10.0.0.docs.example.org 224.0.0.1.a.org 300.0.0.1.example.org
"""


@pytest.mark.parametrize("name", PRIVATE_NAMES.split())
def test_names_that_mean_private_places(name: str) -> None:
    assert private_name(name) is not None


@pytest.mark.parametrize("name", PUBLIC_NAMES.split())
def test_names_that_only_look_like_them(name: str) -> None:
    assert private_name(name) is None
