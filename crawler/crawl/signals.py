"""Signals that ask a command to end: counted, so that it ends in order, instead of dying of them.

SIGINT and SIGTERM always; SIGHUP (a terminal that closes) and SIGQUIT (Ctrl-\\) unless they are ignored, as under
nohup, or the program that uses us has a handler of its own for them.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

INTERRUPTED: Final = 130
"""What a command ends with that was asked to end by SIGINT or SIGTERM."""
ASKING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LEAVING: Final = (signal.SIGHUP, signal.SIGQUIT)

_left: int | None = None
"""The first of _LEAVING that came."""


@contextmanager
def interrupts() -> Iterator[Callable[[], int]]:
    """Count the signals that ask to end instead of dying of them, up to the third; in the main thread alone."""
    count = 0

    def note(number: int, _frame: object) -> None:
        nonlocal count
        _remember(number)
        count += 1
        if count > 2:  # whoever counts does not look: it waits for a Redis that is away, for example
            raise KeyboardInterrupt

    with _handled(note, ASKING):
        yield lambda: count


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Inside, a signal of which the process would die at once raises SystemExit, so that all that is open is closed.

    For a library: what the program handles or ignores itself stays, and so does Ctrl-C, which raises anyway.
    """
    with _handled(_exit, (signal.SIGTERM, *_LEAVING), only_default=True):
        yield


def raise_from_now_on() -> None:
    """For a command: each signal that asks to end raises KeyboardInterrupt, as Ctrl-C does."""
    for number in ASKING[1:]:
        if number not in _LEAVING or signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)


def left_by() -> int | None:
    """128 and the signal's number if SIGHUP or SIGQUIT asked to end; else None."""
    return None if _left is None else 128 + _left


def forget() -> None:
    """Forget which signal came: a program may continue after one and get another."""
    global _left
    _left = None


def _remember(number: int) -> None:
    global _left
    if number in _LEAVING and _left is None:
        _left = number


def _interrupt(number: int, _frame: FrameType | None) -> None:
    _remember(number)
    raise KeyboardInterrupt


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _handled(
    handler: Callable[[int, FrameType | None], None],
    numbers: tuple[signal.Signals, ...],
    *,
    only_default: bool = False,
) -> Iterator[None]:
    """Inside, *handler* gets the signals *numbers* that nobody else handles; SIGINT and SIGTERM always.

    *only_default*: those as well only where nobody does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    free = (signal.SIG_DFL, _interrupt, _exit)
    taken = [n for n in numbers if signal.getsignal(n) in free or (n not in _LEAVING and not only_default)]
    before = {number: signal.signal(number, handler) for number in taken}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
