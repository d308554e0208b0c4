"""Signals that ask a command to end: counted, so that it ends in order, instead of dying of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

INTERRUPTED: Final = 130
"""What a command ends with that was asked to end."""


@contextmanager
def interrupts() -> Iterator[Callable[[], int]]:
    """Count SIGINT and SIGTERM instead of dying of them, up to the third; outside the main thread none is counted."""
    count = 0

    def note(_signal: int, _frame: object) -> None:
        nonlocal count
        count += 1
        if count > 2:  # whoever counts does not look: it waits for a Redis that is away, for example
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: count
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
