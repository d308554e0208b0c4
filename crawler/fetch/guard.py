"""Guards connections: only global addresses may be connected to, unless the operator named the host.

The address at the moment of connecting decides: every spelling of a number (127.1, 0x7f.1, 2130706433), every name and
every DNS answer ends there. So that is where the engines ask (`Guard.check`). Behind a proxy, which resolves names
itself, only the name can be judged (`Guard.check_name`). Tables: IANA special-purpose registries (RFC 6890 and its
updates). `ipaddress.is_global` is not enough: it allows multicast, and 6to4 and NAT64 of private addresses.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_V4: Final = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "private (carrier-grade NAT)"),
        ("127.0.0.0/8", "loopback"),
        (
            "168.63.129.16/32",
            "private (host agent of Azure)",
        ),  # a public address that each machine there reaches internally
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "reserved (documentation)"),
        ("192.88.99.0/24", "reserved (6to4 relay)"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "private (benchmarking)"),
        ("198.51.100.0/24", "reserved (documentation)"),
        ("203.0.113.0/24", "reserved (documentation)"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_V6: Final = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("64:ff9b:1::/48", "private (local NAT64)"),
        ("2001::/32", "reserved (Teredo)"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "reserved (documentation)"),
        ("3fff::/20", "reserved (documentation)"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private (site-local)"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""The upper half of the interface identifiers of ISATAP (RFC 5214 section 6.1); the lower half is an IPv4 address."""


@lru_cache(maxsize=8192)
def forbidden(ip: str) -> str | None:
    """Why the address *ip* is not global, or None if it is. A zone (`%eth0`) is ignored; anything else is forbidden."""
    try:
        address = ip_address(ip.partition("%")[0])
    except ValueError:
        return "not an IP address"
    if isinstance(address, IPv4Address):
        return next((reason for network, reason in _V4 if address in network), None)
    translated = _translated(address)
    for inner in (translated, _isatap(address)):
        if inner is not None and (reason := forbidden(str(inner))):
            return f"{reason}, as {inner} inside IPv6"
    if translated is not None:
        return None
    reason = next((reason for network, reason in _V6 if address in network), None)
    return reason or (None if address in _GLOBAL_V6 else "reserved")


def _translated(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that is reached through an IPv4-mapped, NAT64 (RFC 6052) or 6to4 address."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _isatap(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an ISATAP router forwards to, whatever the prefix is."""
    number = int(address)
    return IPv4Address(number & 0xFFFF_FFFF) if number >> 32 & 0xFFFF_FFFF in _ISATAP else None


def literal(host: str) -> str | None:
    """The IP address that a host name *is*, in any spelling that a resolver reads as a number, or None for a name.

    `localhost` and names under it are loopback by definition (RFC 6761 section 6.3).
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(ip_address(name.partition("%")[0]))
    except ValueError:
        pass
    if not name.rpartition(".")[2][:1].isdigit():
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except OSError:
        return None


# What a name shows by itself. The guard judges addresses; behind a resolving proxy there are only names.

_PRIVATE_SUFFIXES: Final = {
    "localhost": "loopback (RFC 6761)",
    "local": "link-local (RFC 6762)",
    "home.arpa": "private (RFC 8375)",
    "internal": "private (reserved by ICANN)",
    # Used only in private networks, not in public DNS (RFC 6762 appendix G; Linux's and Kubernetes' own)
    **dict.fromkeys(("intranet", "private", "corp", "home", "lan", "localdomain", "svc"), "private"),
    # Public names of the metadata services of clouds; others are under .internal or plain addresses
    **dict.fromkeys(("metadata.goog", "metadata.tencentyun.com"), "a cloud's metadata service"),
    # Public names that are loopback, with any prefix
    **dict.fromkeys(
        ("localtest.me", "lvh.me", "vcap.me", "lacolhost.com", "localho.st", "lndo.site", "ddev.site", "fuf.me"),
        "loopback",
    ),
}
_WILDCARDS: Final = ("nip.io", "sslip.io", "xip.io", "traefik.me", "backname.io", "local-ip.co", "plex.direct")
"""Services whose names resolve to the address that is written in them."""
_QUAD = re.compile(r"(?<![0-9])(?=([0-9]{1,3})[.-]([0-9]{1,3})[.-]([0-9]{1,3})[.-]([0-9]{1,3})(?![0-9]))")
_HEX = re.compile(r"(?:^|[.-])([0-9a-f]{8})(?=\.|$)")
_DOTTED = re.compile(r"(?:^|\.)([0-9]{1,3}(?:\.[0-9]{1,3}){3})(?=\.)")
_MEANT: Final = ("private", "loopback", "link-local")


@lru_cache(maxsize=8192)
def private_name(name: str) -> str | None:
    """Why a host *name*, which is no address, means a private place by itself, or None if it does not.

    `.test`, `.example` and `.invalid` (RFC 6761) are not among them: they mean no place at all.
    """
    name = name.rstrip(".").lower()
    labels = name.split(".")
    if len(labels) == 1:
        return "private (a name without a dot)"  # there are none in the public DNS (RFC 7085)
    for start in range(len(labels)):
        suffix = ".".join(labels[start:])
        if reason := _PRIVATE_SUFFIXES.get(suffix):
            return reason
        if start and suffix in _WILDCARDS:
            return next((found for ip in _spelled(".".join(labels[:start])) if (found := forbidden(ip))), None)
    for match in _DOTTED.finditer(name):  # 10.0.0.1.example.org: an unlisted service of the same kind
        if (reason := forbidden(match[1])) and (reason.startswith(_MEANT) or match[1] == "0.0.0.0"):
            return reason
    return None


def _spelled(prefix: str) -> Iterator[str]:
    """The addresses that *prefix*, the part of a name before a service's own, may spell."""
    for match in _QUAD.finditer(prefix):
        if all(int(part) < 256 for part in match.groups()):
            yield ".".join(str(int(part)) for part in match.groups())
    for match in _HEX.finditer(prefix):
        yield str(IPv4Address(int(match[1], 16)))
    for label in prefix.split("."):
        with suppress(ValueError):
            yield str(IPv6Address(label.replace("-", ":")))


class Guard:
    """What one fetcher may connect to; *allowed_hosts* (as `url.host` spells them) may be at any address."""

    def __init__(self, allow_private: bool = False, allowed_hosts: frozenset[str] = frozenset()) -> None:
        self._allow_private = allow_private
        self._allowed_hosts = allowed_hosts

    def allow(self, hosts: frozenset[str]) -> None:
        """Replace the hosts that may be at any address."""
        self._allowed_hosts = hosts

    def check(self, host: str, ip: str) -> str | None:
        """Why *host* (name and port) may not be connected to at *ip*, or None if it may."""
        if self._allow_private:
            return None
        reason = forbidden(ip)
        return None if reason is None or host in self._allowed_hosts else reason

    def check_name(self, host: str) -> str | None:
        """The same before asking a proxy that resolves for us: only the name itself can be judged."""
        name, colon, port = host.rpartition(":")
        name = name if colon and port.isdigit() else host
        if ip := literal(name):
            return self.check(host, ip)
        return None if self._allow_private or host in self._allowed_hosts else private_name(name)
