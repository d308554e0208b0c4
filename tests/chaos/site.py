"""The hosts of a graph, served by one process apart from the crawler, with a log of what was asked for and when.

`python -m tests.chaos.site FOLDER SEED HOSTS PAGES` serves until SIGTERM, and writes two files into the folder: `ports`
(one line a host) as soon as it listens, and `access`, a line as soon as a request has ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from tests.chaos.graph import ROBOTS, RULES, SLOW, Answer, Graph
from tests.stories.commands import wait_until

HUNG_UP: Final = 0
"""In place of the status: the client went away before its answer was sent."""
_TICK: Final = 0.02
_LATE: Final = 0.005
"""Seconds that the server may be late before it writes it down."""
_LAG: Final = "lag"
_REASONS: Final = {200: "OK", 304: "Not Modified", 404: "Not Found", 503: "Service Unavailable"}
_NOT_HERE: Final = Answer(404, [("Content-Type", "text/plain")], b"not here")
_NOT_NOW: Final = Answer(503, [("Content-Type", "text/plain")], b"not now")


@dataclass(frozen=True, slots=True)
class Hit:
    """One request. Times are of the monotonic clock, which all processes of a machine share."""

    arrived: float
    """When its header was complete."""
    ended: float
    """When the answer was sent, or the client hung up."""
    host: int
    status: int
    target: str
    agent: str


@dataclass(frozen=True, slots=True)
class Lag:
    """The server came late by so many seconds: what it writes down may be as late."""

    at: float
    seconds: float


# -- serving -----------------------------------------------------------------------------------------------------------


class _Log:
    """The access log: one line a request."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def hit(self, hit: Hit) -> None:
        """A request has ended."""
        numbers = f"{hit.arrived:.6f}\t{hit.ended:.6f}\t{hit.host}\t{hit.status}"
        self._file.write(f"{numbers}\t{hit.target}\t{hit.agent}\n")

    def lag(self, at: float, seconds: float) -> None:
        """The server was late."""
        self._file.write(f"{_LAG}\t{at:.6f}\t{seconds:.6f}\n")


class _Host:
    """One host of the graph: what it answers."""

    def __init__(self, graph: Graph, number: int, log: _Log) -> None:
        self._graph, self.number, self.log = graph, number, log
        self._was_busy: set[str] = set()

    def answer(self, target: str, tag: str) -> tuple[Answer, float]:
        """What to send, and after how many seconds; *tag*: the ETag that the client has."""
        if target == ROBOTS:
            return Answer(200, [("Content-Type", "text/plain")], RULES), 0.0
        node = self._graph.node(self.number, target)
        if node is None:
            return _NOT_HERE, 0.0
        if node.busy and target not in self._was_busy:
            self._was_busy.add(target)
            return _NOT_NOW, 0.0
        answer = self._graph.answer(node)
        if tag and ("ETag", tag) in answer.headers:
            answer = Answer(304, answer.headers, b"")
        return answer, SLOW if node.slow else 0.0


class _Connection(asyncio.Protocol):
    """One connection: a request at a time, kept open."""

    def __init__(self, host: _Host) -> None:
        self._host = host
        self._data = b""
        self._waiting: tuple[asyncio.TimerHandle, float, str, str] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        arrived = time.monotonic()
        self._data += data
        while b"\r\n\r\n" in self._data:
            header, _, self._data = self._data.partition(b"\r\n\r\n")
            first, *lines = header.decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            asked = {name.lower(): value.strip() for name, _, value in pairs}
            self._take(arrived, first.split(" ")[1], asked)

    def _take(self, arrived: float, target: str, asked: Mapping[str, str]) -> None:
        agent = asked.get("user-agent", "")
        answer, seconds = self._host.answer(target, asked.get("if-none-match", ""))
        if not seconds:
            return self._send(answer, arrived, target, agent)
        later = asyncio.get_running_loop().call_later(seconds, self._send, answer, arrived, target, agent)
        self._waiting = later, arrived, target, agent
        return None

    def _send(self, answer: Answer, arrived: float, target: str, agent: str) -> None:
        self._waiting = None
        assert self._transport is not None
        length = [] if answer.status == 304 else [("Content-Length", str(len(answer.body)))]
        headers = [*answer.headers, *length]
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        reason = _REASONS.get(answer.status, "Elsewhere")
        self._transport.write(f"HTTP/1.1 {answer.status} {reason}\r\n{head}\r\n".encode("latin-1") + answer.body)
        self._host.log.hit(Hit(arrived, time.monotonic(), self._host.number, answer.status, target, agent))

    def connection_lost(self, _error: Exception | None) -> None:
        if self._waiting is not None:
            later, arrived, target, agent = self._waiting
            later.cancel()
            self._host.log.hit(Hit(arrived, time.monotonic(), self._host.number, HUNG_UP, target, agent))


async def _watch_lateness(log: _Log) -> None:
    due, parent = time.monotonic() + _TICK, os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(max(due - time.monotonic(), 0.0))
        now = time.monotonic()
        if now - due > _LATE:
            log.lag(now, now - due)
        due = now + _TICK
    os.kill(os.getpid(), signal.SIGTERM)  # who started it is gone


async def _serve(folder: Path, graph: Graph) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, setattr, graph, "visit", 2)
    listeners = [socket.create_server((f"127.0.{n // 3}.{n % 3 + 1}", 0), backlog=256) for n in range(graph.hosts)]
    authorities = ["{}:{}".format(*listener.getsockname()) for listener in listeners]
    graph.placed(authorities)
    with (folder / "access").open("w", encoding="utf-8", buffering=1) as file:
        log = _Log(file)
        for number, listener in enumerate(listeners):
            host = _Host(graph, number, log)
            await loop.create_server(lambda host=host: _Connection(host), sock=listener)  # type: ignore[misc]
        lateness = asyncio.create_task(_watch_lateness(log))
        (folder / "ports.new").write_text("\n".join(authorities), encoding="utf-8")
        (folder / "ports.new").rename(folder / "ports")
        await stopped.wait()
        lateness.cancel()


# -- from outside ------------------------------------------------------------------------------------------------------


class Site:
    """The server's process and its log, for who starts it."""

    def __init__(self, folder: Path, seed: int, hosts: int, pages: int) -> None:
        self._folder = folder
        arguments = [sys.executable, "-m", "tests.chaos.site", str(folder), str(seed), str(hosts), str(pages)]
        with (folder / "said").open("wb") as said:
            self._process = subprocess.Popen(
                arguments,
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        try:
            wait_until(lambda: (folder / "ports").exists() or self._process.poll() is not None, "the site")
            assert self._process.poll() is None, (folder / "said").read_text()
        except BaseException:
            self.close()
            raise
        self.graph = Graph(seed, hosts, pages).placed((folder / "ports").read_text().splitlines())

    def next_visit(self) -> None:
        """The site changes: for all that is asked for from now on."""
        self._process.send_signal(signal.SIGUSR1)
        time.sleep(10 * _TICK)
        self.graph.visit = 2

    def log(self) -> tuple[list[Hit], list[Lag]]:
        """What was asked for so far, in the order of arrival, and when the server was late."""
        return read_log((self._folder / "access").read_text(encoding="utf-8"))

    def close(self) -> None:
        """End it; the log stays."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def read_log(text: str) -> tuple[list[Hit], list[Lag]]:
    """The access log's lines; an unfinished last one is passed over."""
    hits, lags = [], []
    for line in text.split("\n")[:-1]:
        fields = line.split("\t")
        if fields[0] == _LAG:
            lags.append(Lag(float(fields[1]), float(fields[2])))
        else:
            arrived, ended, host, status, target, agent = fields
            hits.append(Hit(float(arrived), float(ended), int(host), int(status), target, agent))
    return sorted(hits, key=lambda hit: hit.arrived), lags


def main() -> None:
    """Serve until SIGTERM."""
    folder, seed, hosts, pages = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_serve(Path(folder), Graph(int(seed), int(hosts), int(pages))))


if __name__ == "__main__":
    main()
