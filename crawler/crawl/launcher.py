"""Starts a worker process: as a copy of its pool, which has loaded everything, or as a new interpreter.

A copy starts in 10 ms instead of 300 ms of CPU, and shares the memory that it does not change. But a fork copies the
locks of other threads without the threads. So the pool is copied only if no other thread can exist in it.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn, Protocol

import msgspec

from crawler.crawl.hook_code import LOADED
from crawler.crawl.process import DEFECT, IN_WORKER, Job, live
from crawler.crawl.signals import ASKING
from crawler.errors import HookError
from crawler.worker.hook import import_path

_PATH: Final = (
    "import gc, json, os, sys; gc.disable(); raw = sys.stdin.buffer.read();"
    " sys.path[:] = [os.fsdecode(place.encode('latin-1')) for place in json.loads(raw)['path']]; "
)
"""How an interpreter starts that gets an object on stdin, its `path` as from `import_path`."""
_START: Final = f"{_PATH}from crawler.crawl.process import main; gc.enable(); sys.exit(main(raw))"
_TRY: Final = f"{_PATH}from crawler.crawl.hook_code import try_out; gc.enable(); try_out(raw)"


class Process(Protocol):
    """A child process, with the methods of `subprocess.Popen` that the pool uses."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that killed it; None while it is alive."""

    def wait(self) -> int:
        """Wait for its end; returns as `poll` does."""

    def terminate(self) -> None:
        """SIGTERM, if it is alive."""

    def kill(self) -> None:
        """SIGKILL, if it is alive."""


def launch(job: Job, keep: Sequence[int], *, copies: bool) -> Process:
    """Start a worker that inherits the descriptors *keep*. *copies*: it may be a copy of this process."""
    if copies and not job.settings.hook and _is_alone():
        return _copy(job, keep)
    return _begin(job, keep)


def _is_alone() -> bool:
    """Whether this process has one thread, including those unknown to Python. Only Linux can tell."""
    try:
        return len(list(Path("/proc/self/task").iterdir())) == 1
    except OSError:
        return False


# -- a new interpreter -------------------------------------------------------------------------------------------------


def _begin(job: Job, keep: Sequence[int]) -> Process:
    # A process group for each worker: Ctrl-C reaches the pool alone, which then stops its workers.
    process = subprocess.Popen(
        _python(_START),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=keep,
        process_group=0,
        env=os.environ | {IN_WORKER: "1"},
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it died at once: its pool will see that
        process.stdin.write(msgspec.json.encode(msgspec.structs.replace(job, path=import_path())))
        process.stdin.close()
    return process


def check_hook(spec: str, code: bytes = b"") -> None:
    """Raise HookError if workers could not load the hook *spec*, or its *code* if that is sent (see `hook_code`).

    It is loaded in a separate process, which then ends.

    So threads that its module starts on import, or its exit, stay in that process.
    """
    with tempfile.TemporaryFile() as answer:
        done = subprocess.run(
            [*_python(_TRY), str(answer.fileno())],
            input=msgspec.json.encode({"path": import_path(), "hook": spec, "code": code}),
            stdout=subprocess.DEVNULL,
            pass_fds=[answer.fileno()],
            env=os.environ | {IN_WORKER: "1"},
            check=False,
        )
        answer.seek(0)
        why = answer.read().decode("utf-8", "replace")
    if why == LOADED:
        return
    if not why:
        how = f"exit code {done.returncode}" if done.returncode >= 0 else signal.Signals(-done.returncode).name
        why = f"--hook {spec!r}: importing it ended the process ({how})"
    raise HookError(why)


def _python(code: str) -> list[str]:
    """An interpreter that runs *code*. -P keeps it from importing files of the current folder by accident."""
    return [sys.executable, "-P", "-c", code]


# -- a copy ------------------------------------------------------------------------------------------------------------


class _Copy:
    """A child created by fork."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        return self._look(os.WNOHANG)

    def wait(self) -> int:
        code = self._look(0)
        assert code is not None
        return code

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _look(self, options: int) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def _send(self, number: int) -> None:
        if self.poll() is None:  # until it was waited for, no other process gets its pid
            os.kill(self.pid, number)


def _copy(job: Job, keep: Sequence[int]) -> Process:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)  # the copy must not run our handlers
    gc.freeze()  # what the copy's collector never looks at stays shared
    try:
        pid = os.fork()
        if not pid:
            _live_as_copy(job, keep, before)
    finally:
        gc.unfreeze()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with suppress(OSError):  # the child does so too: whichever is first
        os.setpgid(pid, pid)
    return _Copy(pid)


def _live_as_copy(job: Job, keep: Sequence[int], mask: set[int | signal.Signals]) -> NoReturn:
    """Run the worker, and never return to the pool's code."""
    code = DEFECT
    try:
        os.setpgid(0, 0)
        for number in ASKING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.environ[IN_WORKER] = "1"
        _let_go(keep)
        code = live(job)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _let_go(keep: Sequence[int]) -> None:
    """Point all descriptors except stderr and *keep* at /dev/null; close those whose numbers are above the limit.

    Their numbers stay taken. So if one of the pool's objects is closed in this copy, it closes nothing of the worker's.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for path in list(Path("/proc/self/fd").iterdir()):
        if (number := int(path.name)) not in (2, nowhere, *keep):
            try:
                os.dup2(nowhere, number, inheritable=False)
            except OSError:  # a number above the limit, which was lowered since: it may be closed, but not taken
                with suppress(OSError):
                    os.close(number)
    os.close(nowhere)
