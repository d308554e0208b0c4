"""Sockets of libcurl's connections, and what the kernel knows of them."""

from __future__ import annotations

import os
import select
import socket
from typing import Final

_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_RECEIVED: Final = slice(128, 136)
"""Where Linux's `struct tcp_info` has `tcpi_bytes_received`, a number of 64 bits (since 4.1)."""


class _Socket(socket.socket):
    """A socket that pycurl takes a duplicate of, so that this one may go."""

    def __del__(self) -> None:
        if hasattr(self, "_io_refs"):  # else it was never opened
            self.close()


def open_socket(family: int, kind: int, protocol: int) -> socket.socket:
    """A socket to hand to pycurl. Raises OSError, also where there is no descriptor for pycurl's duplicate."""
    opened = _Socket(family, kind, protocol)
    os.close(os.dup(opened.fileno()))
    return opened


def stirs(fd: int) -> bool:
    """Has an idle connection something to say? Its end, or bytes that would be taken for the next answer.

    libcurl looks for that too, but only once a second.
    """
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(0))


def received(fd: int) -> int:
    """Bytes that have come on the TCP connection *fd*, those of TLS too; 0 where the system does not say."""
    if _TCP_INFO is None or fd < 0:
        return 0
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=fd)  # the family does not matter here
    try:
        return int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _RECEIVED.stop)[_RECEIVED], "little")
    except OSError:
        return 0
    finally:
        sock.detach()
