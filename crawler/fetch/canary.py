"""Canaries: asks in a thread whether names and addresses that answered before still do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Literal

from crawler.fetch import names

_PATIENCE: Final = 3.0
"""Seconds that an address may take to accept a connection, over which nothing is sent."""


class Canaries:
    """Asks questions in a thread, one at a time. Used by one thread, which takes the answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: list[tuple[Literal["resolver", "network"], bool]] = []

    def ask_names(self, several: Sequence[str]) -> None:
        """Ask whether one of *several* names resolves; if none is known, whether a name server answers at all."""
        self._begin("resolver", several, ())

    def ask_addresses(self, several: Sequence[tuple[str, int]]) -> None:
        """Ask whether one of *several* addresses, each with a port, can be connected to."""
        self._begin("network", (), several)

    def take(self) -> list[tuple[Literal["resolver", "network"], bool]]:
        """The answers since the last call: about names (resolver) or addresses (network), and whether one answered."""
        with self._lock:
            answers, self._answers = self._answers, []
        return answers

    def _begin(
        self, about: Literal["resolver", "network"], several: Sequence[str], addresses: Sequence[tuple[str, int]]
    ) -> None:
        def run() -> None:
            if about == "resolver":
                found = any(map(_resolves, several)) if several else names.is_answered()
            else:
                found = any(map(_connects, addresses))
            with self._lock:
                self._answers.append((about, found))

        try:
            threading.Thread(target=run, name="canary", daemon=True).start()
        except RuntimeError:  # no more threads: not a good sign either
            self._answers.append((about, False))


def _resolves(name: str) -> bool:
    return isinstance(names.resolve(name), tuple)


def _connects(address: tuple[str, int]) -> bool:
    with suppress(OSError), socket.create_connection(address, _PATIENCE):
        return True
    return False
