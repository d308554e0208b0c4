"""Machines of tests' own: a name server that answers as it is told, and commands in namespaces with other names.

Both need root, which CI has: `needs_root` skips a test elsewhere.

    with NameServer() as dns:
        dns.names["h1.example.test"] = "127.0.5.1"
        commands.within = dns.machine(folder)      # its commands ask this name server
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, Self

import pytest

Mode = Literal["answers", "denies", "fails", "silent"]
"""What it says of all names: what it knows, and NXDOMAIN of others; NXDOMAIN; SERVFAIL; nothing."""
_CODES: Final = {"denies": 3, "fails": 2}
DEAD: Final = "127.53.255.254"
"""Nobody answers there."""


@lru_cache(maxsize=1)
def _may_unshare() -> bool:
    if os.geteuid() or not shutil.which("unshare"):
        return False
    tried = ["unshare", "-m", "-n", "-u", "sh", "-c", "mount --bind /etc/hosts /etc/hosts && hostname machine"]
    return subprocess.run(tried, capture_output=True).returncode == 0


needs_root = pytest.mark.skipif(not _may_unshare(), reason="namespaces, and port 53, are root's alone")


def machine(
    folder: Path, *, name_server: str = DEAD, names: dict[str, str] | None = None, network: str = "shared"
) -> list[str]:
    """What to put before a command so that it runs on a machine with its own /etc/hosts and resolv.conf.

    *network*: `shared` with this process; `empty`: a loopback where nobody listens; `none`: not even that.
    """
    number = random.randrange(1 << 30)
    hosts, resolver = folder / f"hosts-{number}", folder / f"resolv-{number}"
    lines = "".join(f"{ip} {name}\n" for name, ip in (names or {}).items())
    hosts.write_text(f"127.0.0.1 localhost\n{lines}", encoding="ascii")
    resolver.write_text(f"nameserver {name_server}\noptions timeout:1 attempts:1\n", encoding="ascii")
    steps = [f"mount --bind {hosts} /etc/hosts", f"mount --bind {resolver} /etc/resolv.conf", "hostname elsewhere"]
    if network == "empty":
        steps.append("ip link set lo up")
    apart = ["-m", "-u", *([] if network == "shared" else ["-n"])]
    return ["unshare", *apart, "sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh"]


class NameServer:
    """A name server on UDP port 53 of an address of loopback that is its own; knows A records alone."""

    def __init__(self, mode: Mode = "answers", port: int = 53) -> None:
        self.mode: Mode = mode
        self.names: dict[str, str] = {}
        self.failing: set[str] = set()
        """Names of which it says SERVFAIL."""
        self.silent: set[str] = set()
        """Names about which it says nothing."""
        self.asked: list[str] = []
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(100):
            self.address = f"127.53.{random.randrange(250)}.{random.randrange(1, 250)}"
            with suppress(OSError):
                self._sock.bind((self.address, port))
                break
        self.port = int(self._sock.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def machine(self, folder: Path, **more: str) -> list[str]:
        """As `machine`, with this name server."""
        return machine(folder, name_server=self.address, **more)  # type: ignore[arg-type]

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                query, client = self._sock.recvfrom(4096)
                if not query:
                    return
                if (reply := self._answer(query)) is not None:
                    self._sock.sendto(reply, client)

    def _answer(self, query: bytes) -> bytes | None:
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode())
            at += 1 + length
        name, kind = ".".join(labels).lower(), int.from_bytes(query[at + 1 : at + 3])
        self.asked.append(name)
        if self.mode == "silent" or name in self.silent:
            return None
        code = _CODES.get(self.mode, 0 if name in self.names else 3)
        code = 2 if name in self.failing else code
        found = self.names[name] if not code and kind == 1 else ""
        question = query[12 : at + 5]
        head = query[:2] + bytes([0x81, 0x80 | code]) + b"\0\1" + (b"\0\1" if found else b"\0\0") + b"\0\0\0\0"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(found) if found else b""
        return head + question + record
