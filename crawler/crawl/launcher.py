"""How a worker process begins: as a copy of its pool, which has loaded everything, or as an interpreter of its own.

A copy begins in 10 ms instead of 300 ms of CPU, and shares what it does not change. But whatever else is in the process
is copied too: threads are not, with the locks they hold. So it is copied only where nothing else can be there.
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

from crawler.crawl.process import DEFECT, IN_WORKER, Job, live
from crawler.crawl.signals import ASKING
from crawler.errors import HookError
from crawler.worker.hook import LOADED, import_path

_PATH: Final = (
    "import gc, json, os, sys; gc.disable(); raw = sys.stdin.buffer.read();"
    " sys.path[:] = [os.fsdecode(place.encode('latin-1')) for place in json.loads(raw)['path']]; "
)
"""How an interpreter begins that gets an object on stdin, its `path` as of `import_path`."""
_START: Final = f"{_PATH}from crawler.crawl.process import main; gc.enable(); sys.exit(main(raw))"
_TRY: Final = f"{_PATH}from crawler.worker.hook import try_out; gc.enable(); try_out(raw)"


class Process(Protocol):
    """A child process; as `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None:
        """How it ended, minus the signal that it died of; None while it is alive."""

    def wait(self) -> int:
        """How it ended; waits for that."""

    def terminate(self) -> None:
        """SIGTERM, if it is alive."""

    def kill(self) -> None:
        """SIGKILL, if it is alive."""


def launch(job: Job, keep: Sequence[int], *, copies: bool) -> Process:
    """Begin a worker that holds the descriptors *keep*; *copies*: it may be a copy of us, since all here is ours."""
    if copies and not job.settings.hook and _is_alone():
        return _copy(job, keep)
    return _begin(job, keep)


def _is_alone() -> bool:
    """Whether this process has one thread, those that Python does not know of counted; told by Linux alone."""
    try:
        return len(list(Path("/proc/self/task").iterdir())) == 1
    except OSError:
        return False


# -- an interpreter of its own -----------------------------------------------------------------------------------------


def _begin(job: Job, keep: Sequence[int]) -> Process:
    # A group of its own, so that Ctrl-C reaches the pool alone, which then tells its workers.
    process = subprocess.Popen(
        _python(_START),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=keep,
        process_group=0,
        env=os.environ | {IN_WORKER: "1"},
    )
    assert process.stdin is not None
    try:
        process.stdin.write(msgspec.json.encode(msgspec.structs.replace(job, path=import_path())))
        process.stdin.close()
    except BrokenPipeError:
        pass  # it died at once: who looks sees it
    return process


def check_hook(spec: str) -> None:
    """Raise HookError where workers could not load the hook *spec*: tried in a process of its own, which ends with it.

    So whatever its module does when it is imported, begins a thread or ends the process, is done there.
    """
    with tempfile.TemporaryFile() as answer:
        done = subprocess.run(
            [*_python(_TRY), str(answer.fileno())],
            input=msgspec.json.encode({"path": import_path(), "hook": spec}),
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
    """An interpreter that runs *code*; -P keeps it from importing what lies in the current folder by accident."""
    return [sys.executable, "-P", "-c", code]


# -- a copy ------------------------------------------------------------------------------------------------------------


class _Copy:
    """A child by fork."""

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
        if self.poll() is None:  # until it was waited for, its number is nobody else's
            os.kill(self.pid, number)


def _copy(job: Job, keep: Sequence[int]) -> Process:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)  # our handlers are not the copy's
    gc.freeze()  # what the copy's collector never looks at stays shared
    try:
        pid = os.fork()
        if not pid:
            _live_as_copy(job, keep, before)
    finally:
        gc.unfreeze()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with suppress(OSError):  # it does so too: whoever comes first
        os.setpgid(pid, pid)
    return _Copy(pid)


def _live_as_copy(job: Job, keep: Sequence[int], mask: set[int | signal.Signals]) -> NoReturn:
    """Be the worker, and never return to what the pool was doing."""
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
    """Lead all descriptors but stderr and *keep* nowhere; close those whose numbers are above the limit.

    Their numbers stay taken: what the pool's objects still close, should one of them end here, is nothing of ours.
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
