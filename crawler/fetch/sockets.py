"""The sockets that libcurl gets from us."""

from __future__ import annotations

import os
import select
import socket


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
