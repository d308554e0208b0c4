"""Workers that run while the program that started them does other work: in a thread of its own."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable

from crawler.crawl.supervisor import Ended

Run = Callable[[Callable[[], int]], Ended]
"""Runs workers until they are done; gets what tells how often it was asked to stop."""


class Stops:
    """Counts requests to stop; may be called from any thread and from signal handlers."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self) -> int:
        return self._count

    def ask(self) -> None:
        """Ask once more: the first request ends workers in order, the second at once."""
        self._count += 1

    def forget(self) -> None:
        """A new run begins."""
        self._count = 0


class Background:
    """One run of workers, from the moment it is made. It is stopped when the program ends."""

    def __init__(self, run: Run, stops: Stops) -> None:
        self._run, self._stops = run, stops
        self._ended: Ended | None = None
        self._error: BaseException | None = None
        # Not Thread.join: if a signal interrupts it, it takes the thread for ended (CPython 3.11).
        self._over = threading.Event()
        atexit.register(self.stop)
        threading.Thread(target=self._work, name="crawler", daemon=True).start()

    def _work(self) -> None:
        try:
            self._ended = self._run(self._stops)
        except BaseException as error:  # raised again where `result` is asked for
            self._error = error
        finally:
            self._over.set()

    @property
    def is_over(self) -> bool:
        """Whether the workers have ended."""
        return self._over.is_set()

    def wait(self, seconds: float) -> None:
        """Wait for the end, at most *seconds*."""
        self._over.wait(seconds)

    def stop(self) -> None:
        """Ask the workers to finish what is in flight, and wait for their end. Ctrl-C meanwhile ends them at once."""
        atexit.unregister(self.stop)
        if not self.is_over:
            self._stops.ask()
        while not self.is_over:
            try:
                self._over.wait()
            except KeyboardInterrupt:
                self._stops.ask()

    def result(self) -> Ended:
        """How it ended; waits for that. Raises what ended it."""
        self._over.wait()
        atexit.unregister(self.stop)
        if self._error is not None:
            raise self._error
        assert self._ended is not None
        return self._ended
