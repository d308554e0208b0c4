"""TLS in front of a Redis that speaks none: a door that any server binary can have, with any certificate.

with TlsDoor(redis.url, authority.issue_cert("127.0.0.1")) as door:
    door.url                                    # rediss://127.0.0.1:PORT/0
    door.show(authority.issue_cert("other"))    # another certificate, for connections to come
    door.hang_up()                              # those that are open end
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from typing import Self

import trustme


class TlsDoor:
    """Listens on loopback, takes TLS off, and hands on what comes to the unix socket of *redis* (unix:///PATH)."""

    def __init__(self, redis: str, certificate: trustme.LeafCert, clients_of: trustme.CA | None = None) -> None:
        """With *clients_of* only clients with a certificate of that authority are let in."""
        self._behind = redis.removeprefix("unix://")
        self._clients_of = clients_of
        self.show(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"rediss://127.0.0.1:{self.port}/0"
        self._open: list[socket.socket] = []
        self._opening = threading.Lock()

    def show(self, certificate: trustme.LeafCert) -> None:
        """From now on new connections are shown *certificate*."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        if self._clients_of is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            self._clients_of.configure_trust(context)
        self._context = context

    def hang_up(self) -> None:
        """End all connections."""
        with self._opening:
            for sock in self._open:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        self.hang_up()
        for thread in self._threads:
            thread.join()

    @property
    def _threads(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == f"door {self.port}"]

    def _start(self, what: object, *args: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=what, args=args, daemon=True, name=f"door {self.port}")  # type: ignore[arg-type]
        thread.start()
        return thread

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._start(self._serve, self._listener.accept()[0])

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            with self._opening:
                self._open.append(client)
            server.connect(self._behind)
            secure = self._context.wrap_socket(client, server_side=True)
            with secure:
                with self._opening:
                    self._open.append(secure)
                back = self._start(_pump, server, secure)
                _pump(secure, server)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Hand bytes on until either side ends, then end both."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for sock in (source, target):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
