r"""Counts the signals that ask a command to end, so that it can end in order instead of dying.

SIGINT and SIGTERM always count. SIGHUP (a terminal that closes) and SIGQUIT (Ctrl-\) count unless they are ignored, as
under nohup, or the program that uses us handles them itself.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

INTERRUPTED: Final = 130
"""Exit code of a command that SIGINT or SIGTERM asked to end."""
ASKING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LEAVING: Final = (signal.SIGHUP, signal.SIGQUIT)

_left: int | None = None
"""The first signal of _LEAVING that arrived."""


@contextmanager
def interrupts() -> Iterator[Callable[[], int]]:
    """Inside, signals that ask to end are counted, up to the third, instead of ending the process; main thread only."""
    count = 0

    def note(number: int, _frame: object) -> None:
        nonlocal count
        _remember(number)
        count += 1
        if count > 2:  # the caller does not look at the count: it waits for a Redis that is away, for example
            raise KeyboardInterrupt

    with _handled(note, ASKING):
        yield lambda: count


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Inside, a signal that would kill the process raises SystemExit instead, so that everything open is closed.

    For a library: signals that the program handles or ignores itself stay as they are, and so does Ctrl-C, which raises
    anyway.
    """
    with _handled(_exit, (signal.SIGTERM, *_LEAVING), only_default=True):
        yield


def raise_from_now_on() -> None:
    """For a command: each signal that asks to end raises KeyboardInterrupt, as Ctrl-C does."""
    for number in ASKING[1:]:
        if number not in _LEAVING or signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)


def left_by() -> int | None:
    """128 plus the signal's number if SIGHUP or SIGQUIT asked to end; else None."""
    return None if _left is None else 128 + _left


def forget() -> None:
    """Forget which signal arrived: a program may continue after one and get another."""
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
    """Inside, *handler* gets those signals of *numbers* that nobody else handles; SIGINT and SIGTERM always.

    *only_default*: it gets those too only if nobody handles them.
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
