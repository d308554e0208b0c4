"""Resolves names, and finds out why one does not resolve: it does not exist, or nobody answered.

getaddrinfo(3) returns EAI_NONAME for NXDOMAIN, but also if no name server is asked at all (`hosts: files`) or, on some
systems, if there is no network. So a name counts as absent only if a name server answered so (RFC 1035 section 4.1.1:
RCODE 3, or RCODE 0 without answers).
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, Literal

from crawler.fetch.fetcher import Lack

Nowhere = Literal["absent", "silent"]
"""absent: a name server says that the name has no address; silent: no name server answers."""
WORDS: Final[dict[Nowhere, tuple[str, Lack]]] = {
    "absent": ("no such name", ""),
    "silent": ("its name cannot be resolved", "resolver"),
}
"""The message for such a failure, and what this machine may lack."""
_ABSENT: Final = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)
_MAX_SERVERS: Final = 3
"""Most name servers that a resolver asks (resolv.conf(5), MAXNS)."""
_PATIENCE: Final = 2.0
"""Seconds that one name server may take."""
_MAX_THREADS: Final = 512
_LINGER: Final = 5.0
"""An idle thread ends after these seconds."""
_NO_ERROR, _NXDOMAIN = 0, 3
_PORT: Final = 53
_NOWHERE: Final = (".invalid", ".onion")
"""Names that must not be sent to name servers (RFC 6761 section 6.4, RFC 7686 section 2)."""
_RESOLV_CONF: Final = Path("/etc/resolv.conf")


def resolve(name: str) -> tuple[str, ...] | Nowhere:
    """The addresses of *name*, by the system's resolver; takes as long as that takes."""
    if _leads_nowhere(name):
        return "absent"
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return meaning(name, error)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def meaning(name: str, error: OSError | UnicodeError) -> Nowhere:
    """What it means that getaddrinfo(3) raised *error* for *name*."""
    if isinstance(error, UnicodeError):  # a label that is empty or too long: no such name can exist
        return "absent"
    if _leads_nowhere(name):
        return "absent"
    absent = isinstance(error, socket.gaierror) and error.errno in _ABSENT and _is_denied(name.removesuffix("."))
    return "absent" if absent else "silent"


def _leads_nowhere(name: str) -> bool:
    return f".{name.lower().removesuffix('.')}".endswith(_NOWHERE)


def is_answered() -> bool:
    """Whether a name server answers, for a name that it cannot have been asked for before."""
    question = _question(f"{os.urandom(8).hex()}.com")
    return any(_records(server, question) is not None for server in _servers())


def _is_denied(name: str) -> bool:
    """Whether a name server answers that *name* has no address (RFC 1035 section 4.1.1: RCODE 3, or no record)."""
    labels = name.split(".")
    if len(name) > 253 or not all(0 < len(label) < 64 for label in labels):
        return True  # no such name can exist (RFC 1035 section 2.3.4)
    question = _question(name)
    return any(_records(server, question) == 0 for server in _servers())


def _question(name: str) -> bytes:
    labels = name.encode("ascii", "replace").split(b".")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0\0\1\0\1"  # A, IN


def _records(server: str, question: bytes) -> int | None:
    """How many records *server* has for *question*, none by NXDOMAIN; None if it fails, or does not answer."""
    query = os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0" + question  # recursion desired, one question
    with suppress(OSError):
        family, kind, protocol, _, address = socket.getaddrinfo(
            server, _PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(_PATIENCE)
            sock.connect(address)
            sock.send(query)
            reply = sock.recv(4096)
            is_answer = len(reply) >= 12 and reply[:2] == query[:2] and reply[2] & 0x80
            code = reply[3] & 0x0F if is_answer else None
            if code in (_NO_ERROR, _NXDOMAIN):
                return int.from_bytes(reply[6:8]) if code == _NO_ERROR else 0
    return None


def _servers() -> list[str]:
    """The name servers of resolv.conf(5); the local one if it names none."""
    found: list[str] = []
    with suppress(OSError):
        for line in _RESOLV_CONF.read_text("utf-8", "replace").splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == "nameserver":
                found.append(words[1])
    return found[:_MAX_SERVERS] or ["127.0.0.1"]


class Lookups:
    """Resolves names in threads, each name in one thread, so that no name waits for another.

    libcurl has 20 threads for all: as many names without an answer would delay every other one.
    """

    def __init__(self) -> None:
        self.bell, self._rope = os.pipe()
        """The descriptor that becomes readable when there are answers."""
        os.set_blocking(self.bell, False)
        os.set_blocking(self._rope, False)
        self._lock = threading.Lock()
        self._names: SimpleQueue[str] = SimpleQueue()
        self._answers: list[tuple[str, tuple[str, ...] | Nowhere]] = []
        self._asked = self._threads = 0
        self._closed = False

    def ask(self, name: str) -> None:
        """Resolve *name*; `take` returns the answer."""
        with self._lock:
            self._asked += 1
            if self._asked > self._threads and self._threads < _MAX_THREADS:
                try:
                    threading.Thread(target=self._run, name="names", daemon=True).start()
                    self._threads += 1
                except RuntimeError:  # no more threads: the existing ones must do
                    if not self._threads:
                        return self._answer(name, "silent")
            return self._names.put(name)  # within the lock: else the last thread might end now

    def take(self) -> list[tuple[str, tuple[str, ...] | Nowhere]]:
        """The answers since the last call: names, with their addresses or why there are none."""
        with suppress(BlockingIOError):
            os.read(self.bell, 4096)
        with self._lock:
            answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        """No answer is needed any more."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self.bell)
                os.close(self._rope)
            for _ in range(self._threads):
                self._names.put("")

    def _answer(self, name: str, answer: tuple[str, ...] | Nowhere) -> None:
        self._asked -= 1
        self._answers.append((name, answer))
        if not self._closed:
            with suppress(BlockingIOError):
                os.write(self._rope, b".")

    def _run(self) -> None:
        while True:
            try:
                name = self._names.get(timeout=_LINGER)
            except Empty:
                name = ""
            if not name:
                with self._lock:
                    if self._closed or self._names.empty():
                        self._threads -= 1
                        return
                continue
            try:
                answer = resolve(name)
            except Exception:  # whatever the name is: a thread must not die of it
                answer = "silent"
            with self._lock:
                self._answer(name, answer)
