"""Sockets of libcurl's connections, and what the kernel reports about them."""

from __future__ import annotations

import os
import select
import socket
from typing import Final

_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_RECEIVED: Final = slice(128, 136)
"""The offset in Linux's `struct tcp_info` of `tcpi_bytes_received`, a number of 64 bits (since 4.1)."""


class _Socket(socket.socket):
    """A socket that pycurl duplicates, so that this one may be closed."""

    def __del__(self) -> None:
        if hasattr(self, "_io_refs"):  # else it was never opened
            self.close()


def open_socket(family: int, kind: int, protocol: int) -> socket.socket:
    """A socket for pycurl. Raises OSError, also if there is no descriptor for pycurl's duplicate."""
    opened = _Socket(family, kind, protocol)
    os.close(os.dup(opened.fileno()))
    return opened


def stirs(fd: int) -> bool:
    """Whether an idle connection has input: its end, or bytes that would be read as the next answer.

    libcurl checks that too, but only once a second.
    """
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(0))


def received(fd: int) -> int:
    """Bytes received on the TCP connection *fd*, including those of TLS; 0 if the system does not say."""
    if _TCP_INFO is None or fd < 0:
        return 0
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=fd)  # the family does not matter here
    try:
        return int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _RECEIVED.stop)[_RECEIVED], "little")
    except OSError:
        return 0
    finally:
        sock.detach()
