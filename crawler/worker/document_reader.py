"""Converts documents in a process of its own, so that one that crashes, hangs or eats memory costs itself alone.

PDFium is C++: a hostile PDF may end the process that reads it. In a worker that would interrupt all its downloads. So
each worker has one helper, which starts with the first document. It reads one at a time, within limits that the system
enforces: SIGALRM ends it when the time is up, and it gets no more than MEMORY.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from crawler.parse.documents import Converted, Kind, convert
from crawler.worker.hook import import_path

MEMORY: Final = 512 << 20
"""Bytes of address space that a helper may have."""
_SHOWN: Final = f"{MEMORY >> 20} MiB of memory"
_RETIRES: Final = 192 << 20
"""A helper that still holds this many bytes ends after its answer: so they go back to the system."""
_MAX_ANSWER: Final = 256 << 20
_ENOUGH: Final = 0.5
"""After this part of its time a document is read no further, and what was read is kept."""
_START: Final = (
    "import json, os, sys; line = sys.stdin.buffer.readline();"
    " sys.path[:] = [os.fsdecode(place.encode('latin-1')) for place in json.loads(line)];"
    " from crawler.worker.document_reader import serve; serve()"
)


class DocumentReader:
    """A worker's helper for documents. Starts when it is needed, and again after it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.cpu = 0.0
        """Seconds of CPU that the last document took; if the helper died, seconds of waiting."""

    @property
    def pid(self) -> int | None:
        """The helper's process id; None if there is none."""
        return None if self._process is None else self._process.pid

    def convert(self, kind: Kind, body: bytes, max_text: int, seconds: float) -> Converted:
        """*body* as HTML, or what went wrong as its `error`. Takes about *seconds* at most.

        OSError if no process can be started.
        """
        task = {"kind": kind, "size": len(body), "max_text": max_text, "seconds": seconds}
        found = self._convert(task, body)
        if found == -signal.SIGKILL:  # no document does that: somebody else did, or the system had no memory left
            found = self._convert(task, body)
        return found if isinstance(found, Converted) else Converted(b"", _how(found, seconds))

    def _convert(self, task: dict[str, Any], body: bytes) -> Converted | int:
        """*body* as HTML, or the exit code of a helper that ended."""
        self.start()
        process, began = self._process, time.monotonic()
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            _send(process.stdin, task, body)
            answer, html = _receive(process.stdout, _MAX_ANSWER)
        except (OSError, EOFError, ValueError):
            self.cpu = time.monotonic() - began
            return self._end()
        if answer["retires"]:
            self._end()
        self.cpu = float(answer["cpu"])
        return Converted(html, answer["error"])

    def start(self) -> bool:
        """Start a helper and wait until it is ready; False if there is one already. OSError if that is impossible."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is not None:
            return False
        pipe = subprocess.PIPE
        command = [sys.executable, "-P", "-c", _START]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):  # it died at once, which the first document will find out
            self._process.stdin.write(json.dumps(import_path()).encode() + b"\n")
            self._process.stdin.flush()
        self._process.stdout.readline()
        return True

    def close(self) -> None:
        """End the helper."""
        if self._process is not None:
            self._end()

    def _end(self) -> int:
        """End the helper; returns its exit code as `Popen.poll` does."""
        process, self._process = self._process, None
        assert process is not None
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        try:
            return process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _how(code: int, seconds: float) -> str:
    """What the end of a helper says about the document it was reading."""
    if code == -signal.SIGALRM:
        return f"reading it took more than {seconds:g} s, and was broken off"
    if code in (-signal.SIGKILL, MEMORY_EXIT):
        return f"reading it took more than {_SHOWN}, and was broken off"
    if code < 0:
        return f"its reader was ended by {signal.Signals(-code).name}: it is damaged, or takes more than {_SHOWN}"
    return f"its reader ended with exit code {code}: are the libraries of crawler[documents] whole?"


# -- both ends of the pipe ---------------------------------------------------------------------------------------------


def _send(pipe: IO[bytes], head: dict[str, Any], body: bytes) -> None:
    pipe.write(json.dumps(head).encode() + b"\n")
    pipe.write(body)
    pipe.flush()


def _receive(pipe: IO[bytes], most: int) -> tuple[dict[str, Any], bytes]:
    """A head, and the `size` bytes that follow. EOFError if the other end is gone."""
    line = pipe.readline(1 << 20)
    if not line.endswith(b"\n"):
        raise EOFError
    head = json.loads(line)
    body = pipe.read(min(head["size"], most))
    if len(body) != head["size"]:
        raise EOFError
    return head, body


# -- in the helper -----------------------------------------------------------------------------------------------------

MEMORY_EXIT: Final = 3
"""Exit code: Python could not get the memory."""


def serve() -> None:
    """Convert documents from stdin to stdout until stdin ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # it ends with its worker
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError, ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tasks, answers = sys.stdin.buffer, sys.stdout.buffer
    _send(answers, {}, b"")  # ready
    with suppress(EOFError, BrokenPipeError):
        try:
            while _serve_one(tasks, answers):
                pass
        except MemoryError:
            os._exit(MEMORY_EXIT)
    os._exit(0)


def _serve_one(tasks: IO[bytes], answers: IO[bytes]) -> bool:
    """Convert the next document; false if this process should end."""
    task, body = _receive(tasks, _MAX_ANSWER)
    signal.setitimer(signal.ITIMER_REAL, task["seconds"])  # kills by default, also inside of C
    deadline, began = time.monotonic() + task["seconds"] * _ENOUGH, time.process_time()
    try:
        converted = convert(task["kind"], body, task["max_text"], lambda: time.monotonic() > deadline)
    except MemoryError:
        raise
    except Exception as error:  # a library's fault, or ours
        converted = Converted(b"", f"it cannot be converted: {type(error).__name__}: {error}"[:300])
    signal.setitimer(signal.ITIMER_REAL, 0)
    retires = _held() > _RETIRES
    cpu = time.process_time() - began
    head = {"size": len(converted.html), "error": converted.error, "cpu": cpu, "retires": retires}
    _send(answers, head, converted.html)
    return not retires


def _held() -> int:
    """Bytes of memory that this process holds; where the system does not tell, the most that it has held."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
