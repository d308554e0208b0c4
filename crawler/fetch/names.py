"""Whether a name that did not resolve does not exist, or nobody answered: the resolver's own error does not say.

getaddrinfo(3) gives EAI_NONAME for NXDOMAIN, but also where no name server is asked at all (`hosts: files`), or, on
some systems, where there is no network; libcurl has one error for everything. So a name counts as absent only if a
name server answered so (RFC 1035 section 4.1.1: RCODE 3, or RCODE 0 without answers).
"""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

from crawler.fetch.fetcher import FetchError
from crawler.url import name_and_port

Answer = Literal["found", "absent", "silent"]
"""found: it resolves now; absent: a name server says that it has no address; silent: nobody answers that."""

_ABSENT: Final = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)
_MAX_SERVERS: Final = 3
"""Name servers that a resolver asks at most (resolv.conf(5), MAXNS)."""
_PATIENCE: Final = 2.0
"""Seconds that one name server may take."""
_MAX_THREADS: Final = 4
_MIN_INQUIRY: Final = 3.0
_MAX_INQUIRY: Final = 8.0
"""Seconds that it may take to find out why a name did not resolve: longer where it took long not to."""
_NXDOMAIN: Final = 3
_PORT: Final = 53
_RESOLV_CONF: Final = Path("/etc/resolv.conf")


def ask(name: str) -> Answer:
    """Ask the system's resolver for *name*, and the name servers themselves where it says that there is none."""
    try:
        socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return meaning(name, error)
    return "found"


def meaning(name: str, error: OSError | UnicodeError) -> Answer:
    """What it means that getaddrinfo(3) raised *error* for *name*."""
    name = name.rstrip(".")
    if isinstance(error, UnicodeError):  # a label that is empty or too long: no such name can be
        return "absent"
    if name.lower() == "invalid" or name.lower().endswith(".invalid"):  # RFC 6761 section 6.4
        return "absent"
    absent = isinstance(error, socket.gaierror) and error.errno in _ABSENT and _is_denied(name)
    return "absent" if absent else "silent"


def _is_denied(name: str) -> bool:
    """A name server answers that *name* has no address."""
    labels = name.encode("ascii", "replace").split(b".")
    if len(name) > 253 or not all(0 < len(label) < 64 for label in labels):
        return True  # no such name can be (RFC 1035 section 2.3.4)
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0\0\1\0\1"  # A, IN
    return any(_denies(server, question) for server in _servers())


def _denies(server: str, question: bytes) -> bool:
    """Whether *server* answers *question* with NXDOMAIN, or with no record (RFC 1035 section 4.1.1)."""
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
            if is_answer:
                code, answers = reply[3] & 0x0F, int.from_bytes(reply[6:8])
                return code == _NXDOMAIN or (code == 0 and answers == 0)
    return False


def _servers() -> list[str]:
    """The name servers of resolv.conf(5); the local one where it names none."""
    found: list[str] = []
    with suppress(OSError):
        for line in _RESOLV_CONF.read_text("utf-8", "replace").splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == "nameserver":
                found.append(words[1])
    return found[:_MAX_SERVERS] or ["127.0.0.1"]


class Doubts:
    """Failures to resolve, until it is known why: `ask` in threads, for a fetcher that must not wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: dict[str, tuple[float, FetchError]] = {}
        """By ticket: until when an answer may come, and the failure."""
        self._waiting: deque[tuple[str, str]] = deque()
        self._answers: list[tuple[str, Answer]] = []
        self._threads = 0

    def __len__(self) -> int:
        return len(self._errors)

    def __contains__(self, ticket: str) -> bool:
        return ticket in self._errors

    def add(self, ticket: str, error: FetchError, now: float) -> None:
        """Find out why the name of *error* did not resolve; where that takes too long, it stays what it is."""
        self._errors[ticket] = now + min(_MAX_INQUIRY, error.elapsed + _MIN_INQUIRY), error
        with self._lock:
            self._waiting.append((ticket, name_and_port(error.url)[0]))
            if self._threads >= _MAX_THREADS:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._run, name="names", daemon=True).start()
        except RuntimeError:  # no more threads: those that are there ask, or nobody does
            with self._lock:
                self._threads -= 1

    def drop(self, ticket: str) -> bool:
        """Forget it; whether it was known."""
        return self._errors.pop(ticket, None) is not None

    def clear(self) -> None:
        """Forget all."""
        self._errors.clear()

    def settled(self, now: float) -> list[tuple[str, FetchError]]:
        """The failures of which it is known what they are, or that are due; with their tickets."""
        found = []
        with self._lock:
            answers, self._answers = self._answers, []
        for ticket, answer in answers:
            if ticket in self._errors:
                error = self._errors.pop(ticket)[1]
                if answer == "absent":
                    error = msgspec.structs.replace(error, kind="dns", lack="")
                found.append((ticket, error))
        late = [ticket for ticket, (due, _) in self._errors.items() if due <= now]
        return found + [(ticket, self._errors.pop(ticket)[1]) for ticket in late]

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                ticket, name = self._waiting.popleft()
            try:
                answer = ask(name)
            except Exception:  # whatever the name is: a thread must not die of it
                answer = "silent"
            with self._lock:
                self._answers.append((ticket, answer))
