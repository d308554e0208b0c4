"""Good hosts beside hostile ones: do the good ones get their pages? `make bench-hostile`; six minutes.

Ten good hosts are crawled by one worker, alone and beside each kind of hostile host; it prints the good pages a minute,
by the server's log, the ratio of the two, and the peak memory of the worker. Then 300 names of one site at one address,
of which it counts the requests a delay, and 1,000 sites at one address, of which it tells the rate. All hosts are names
that stand for loopback in an /etc/hosts of this program's own, or addresses of loopback, served by one of its threads.
Its own name server denies what else is asked about them, and never answers about some. It needs Linux, and root for
those files (`unshare --mount`) and for port 53.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks import report, targets
from benchmarks.commands import Home, Running, Unexpected
from benchmarks.measure import load
from benchmarks.site import exit_on_sigterm, free_ports
from crawler import url as urls
from tests.machines import NameServer

GOOD: Final = 10
PAGES: Final = 61
"""Of each good host."""
HOSTILE: Final = 400
NAMES: Final = 300
SITES: Final = 1_000
DELAY: Final = 0.5
SECONDS: Final = 90.0
"""After which a crawl is ended, whatever is missing."""
COUNTED: Final = 12.0
"""Seconds for which the requests of one site's names are counted."""
_HTML: Final = "text/html"
_DEEP: Final = gzip.compress(b"<title>x</title>" + b"<div>" * 45_000)
_AGENTS: Final = 10_000
_INSIDE: Final = "CRAWLER_BENCHMARK_HAS_NAMES"
"""Set where /etc/hosts is the one of this program."""


@dataclass(slots=True)
class Log:
    """What was answered, and when, on the monotonic clock."""

    good: dict[str, float] = field(default_factory=dict)
    requests: list[tuple[float, str]] = field(default_factory=list)
    """Of all hosts: when each came, and for which."""
    pages: Counter[str] = field(default_factory=Counter)


class Hosts:
    """All hosts on one port, told apart by their names; served inside the `with`."""

    def __init__(self) -> None:
        self.port, self.deaf_port = free_ports(["127.0.0.1"], 2)
        self.log = Log()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._deaf: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=2048)
        asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)
        deaf = socket.create_server(("0.0.0.0", self.deaf_port), backlog=0)
        self._deaf = [deaf]
        for _ in range(4):  # its queue is full: who connects from now on waits
            one = socket.socket()
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(("127.0.0.1", self.deaf_port))
            self._deaf.append(one)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for one in self._deaf:
            one.close()
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(5)

    def _stop(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.call_soon(self._loop.stop)

    def url(self, name: str, path: str = "/") -> str:
        """A URL of a host."""
        return f"http://{name}.test:{self.port}{path}"

    @property
    def good(self) -> list[str]:
        """The seeds of the good hosts, whose names are the last: equals are leased by name."""
        return [self.url(f"z-good{n}") for n in range(GOOD)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ", 2)[1]
                name = head.lower().split("\r\nhost: ", 1)[1].split(".test", 1)[0]
                self.log.requests.append((time.monotonic(), name))
                if not await self._answer(writer, name, path):
                    break
                await writer.drain()
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, name: str, path: str) -> bool:
        """Answer as this host does; false where the connection ends."""
        what = name.rpartition(".")[2].rstrip("0123456789")
        is_robots = path == "/robots.txt"
        if what == "agents" and is_robots:
            lines = "User-agent: crawler\n" * _AGENTS + "".join(f"Disallow: /{n}\n" for n in range(_AGENTS))
            writer.write(_response(200, lines.encode(), "text/plain"))
            return True
        if is_robots and what not in ("silent", "wild"):
            writer.write(_response(404))
            return True
        match what:
            case "silent" | "mute":
                await asyncio.sleep(3600)
            case "wild" if name != "hub.wild":
                await asyncio.sleep(3600)
            case "once" if self.log.pages[name]:
                await asyncio.sleep(3600)
            case "drip":
                await self._drip(writer)
            case "deep":
                writer.write(_response(200, _DEEP, _HTML, "Content-Encoding: gzip\r\n"))
                return True
        self.log.pages[name] += 1
        writer.write(_response(200, self._page(what, name, path), _HTML))
        if what == "z-good":
            self.log.good.setdefault(name + path, time.monotonic())
        return True

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(1)

    def _page(self, what: str, name: str, path: str) -> bytes:
        links: Sequence[str] = ()
        if path == "/":
            links = {
                "wild": [self.url(f"n{n}.wild") for n in range(HOSTILE)] if name == "hub.wild" else [],
                "crowd": [self.url(f"n{n}.crowd") for n in range(NAMES)] if name == "hub.crowd" else [],
                "once": [f"/{n}" for n in range(1, 4)],
                "site": [f"/{n}" for n in range(1, 6)],
                "z-good": [f"/{n}" for n in range(1, PAGES)],
            }.get(what, ())
        anchors = "".join(f'<a href="{link}">x</a>' for link in links)
        return f"<!doctype html><title>{name}{path}</title><p>{name}{path}</p>{anchors}".encode()


def _response(status: int, body: bytes = b"", kind: str = "text/plain", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _hostile(hosts: Hosts) -> dict[str, list[str]]:
    """The seeds of each kind of hostile host."""
    return {
        "silent hosts": [hosts.url(f"silent{n}") for n in range(HOSTILE)],
        "silent names of one site, found by links": [hosts.url("hub.wild")],
        "silent behind their robots.txt": [hosts.url(f"mute{n}") for n in range(HOSTILE)],
        "silent after one page": [hosts.url(f"once{n}") for n in range(HOSTILE)],
        "one byte a second": [hosts.url(f"drip{n}") for n in range(HOSTILE)],
        **_lost(hosts),
        "no connection": [f"http://127.9.{n // 250}.{n % 250 + 1}:{hosts.deaf_port}/" for n in range(HOSTILE)],
        "pages that are slow to parse": [hosts.url("deep", f"/{n}") for n in range(100)],
        "... at 100 names of one site": [hosts.url(f"n{n}.deep") for n in range(100)],
        "robots.txt of 10,000 agents and rules": [hosts.url(f"agents{n}") for n in range(4)],
    }


def _lost(hosts: Hosts) -> dict[str, list[str]]:
    """Those whose names no name server answers about."""
    return {
        "names that nobody answers for": [hosts.url(f"lost{n}") for n in range(HOSTILE)],
        "... of one site": [hosts.url(f"n{n}.lost") for n in range(HOSTILE)],
    }


@dataclass(frozen=True, slots=True)
class Run:
    """One crawl of the good hosts."""

    pages: int
    minutes: float
    peak: float
    """MB of the biggest worker."""

    @property
    def rate(self) -> float:
        """Good pages a minute."""
        return self.pages / self.minutes


def _peak(running: Running) -> float:
    """MB that the biggest of its workers has held at most."""
    found = [0.0]
    for pid in running.workers():
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
            found.append(next(float(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM:")))
    return max(found)


def _crawl(
    seeds: Sequence[str], over: Callable[[], bool], *options: str, seconds: float = SECONDS
) -> tuple[float, float]:
    """Crawl until it is *over*, or for so many seconds: how long it took, and the peak memory."""
    with Home() as home:
        (home.folder / "seeds.txt").write_text("\n".join(seeds))
        began, peak = time.monotonic(), 0.0
        going = home.start("run", "seeds.txt", "--allow-private", "--workers", "1", "--store", "meta", *options)
        while not over() and time.monotonic() - began < seconds:
            if going.process.poll() is not None:
                break
            peak = max(peak, _peak(going))
            time.sleep(0.1)
        if "defect" in going.err or "Traceback" in going.err:
            raise Unexpected(going.err[-500:])
        return time.monotonic() - began, peak


def beside(hosts: Hosts, hostile: Sequence[str]) -> Run:
    """Crawl the good hosts beside hostile ones, which come first."""
    hosts.log = log = Log()
    total = GOOD * PAGES
    _, peak = _crawl([*hostile, *hosts.good], lambda: len(log.good) == total, "--delay", f"{DELAY}s")
    began = log.requests[0][0] if log.requests else 0.0
    ended = max(log.good.values(), default=began) if len(log.good) == total else began + SECONDS
    return Run(len(log.good), max(ended - began, 1e-3) / 60, peak)


def crowd(hosts: Hosts) -> float:
    """The most requests that the names of one site got within a delay of one second."""
    hosts.log = log = Log()
    _crawl([hosts.url("hub.crowd")], lambda: False, "--delay", "1s", seconds=COUNTED)
    times = [at for at, _ in log.requests]
    return max((sum(at <= other < at + 1 for other in times) for at in times), default=0)


def sites(hosts: Hosts) -> float:
    """Pages a second of 1,000 sites at one address, without a delay."""
    hosts.log = log = Log()
    total = SITES * 6
    seeds = [hosts.url(f"site{n}") for n in range(SITES)]
    _crawl(seeds, lambda: log.pages.total() >= total, "--delay", "0")
    times = [at for at, _ in log.requests]
    return log.pages.total() / (times[-1] - times[0])


def measured(hosts: Hosts, only: str, figures: dict[str, float]) -> list[str]:
    """All of it; rows of the table."""
    rows = []
    alone = beside(hosts, [])
    rows.append(_told("alone", alone, alone))
    ratios, peaks = [1.0], [alone.peak]
    for what, seeds in _hostile(hosts).items():
        if only in what:
            run = beside(hosts, seeds)
            ratios.append(run.rate / alone.rate)
            peaks.append(run.peak)
            rows.append(_told(what, run, alone))
    figures["least_ratio"], figures["peak_mb"] = min(ratios), max(peaks)
    if only in "names":
        figures["requests_a_delay"] = crowd(hosts)
        rows.append(
            _row(f"{NAMES} names of one site: requests within any second", f"{figures['requests_a_delay']:.0f}")
        )
    if only in "sites":
        figures["sites_pages_per_second"] = sites(hosts)
        rows.append(_row(f"{SITES:,} sites, pages a second", f"{figures['sites_pages_per_second']:.0f}"))
    return rows


HEAD: Final = "| beside | good pages a minute | of those alone | peak memory of the worker, MB |\n|---|--:|--:|--:|"


def _row(*cells: str) -> str:
    row = f"| {' | '.join((*cells, '', '')[:4])} |"
    print(row, flush=True)
    return row


def _told(what: str, run: Run, alone: Run) -> str:
    return _row(what, f"{run.rate:,.0f}", f"{run.rate / alone.rate:.2f}", f"{run.peak:.0f}")


def _names() -> list[str]:
    """All names that hosts have here."""
    many = {
        "z-good": GOOD,
        "silent": HOSTILE,
        "mute": HOSTILE,
        "once": HOSTILE,
        "drip": HOSTILE,
        "agents": 4,
        "site": SITES,
    }
    of_sites = {"wild": HOSTILE, "crowd": NAMES, "deep": 100}
    return [
        *(f"{what}{n}" for what, count in many.items() for n in range(count)),
        *(f"n{n}.{site}" for site, count in of_sites.items() for n in range(count)),
        *("hub.wild", "hub.crowd", "deep"),
    ]


def _with_own_names() -> int | None:
    """Run this program once more, with names of its own; none where that has been done."""
    if os.environ.get(_INSIDE):
        return None
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "hosts": "127.0.0.1 localhost\n" + "".join(f"127.0.0.1 {name}.test\n" for name in _names()),
            "resolv.conf": "",
            "nsswitch.conf": "hosts: files dns\n",
        }
        for name, text in files.items():
            Path(folder, name).write_text(text, encoding="ascii")
        mounts = " && ".join(f"mount --bind {folder}/{name} /etc/{name}" for name in files)
        script = f'{mounts} && exec "$@"'
        again = [sys.executable, "-m", "benchmarks.hostile", *sys.argv[1:]]
        command = ["unshare", "--mount", "sh", "-c", script, "sh", *again]
        return subprocess.run(command, env=os.environ | {_INSIDE: "1"}, check=False).returncode


def main() -> int:
    """Measure good hosts beside hostile ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=main.__doc__)
    parser.add_argument("--only", default="", metavar="WORDS", help="the kinds that have WORDS in their name")
    targets.add_option(parser)
    args = parser.parse_args()
    if (code := _with_own_names()) is not None:
        return code
    exit_on_sigterm()
    where = report.machine(load())
    print(f"{where}\n\n{HEAD}", flush=True)
    figures: dict[str, float] = {}
    try:
        with NameServer() as dns, Hosts() as hosts:
            dns.silent.update(urls.name_and_port(url)[0] for seeds in _lost(hosts).values() for url in seeds)
            Path("/etc/resolv.conf").write_text(f"nameserver {dns.address}\n", encoding="ascii")  # our own by now
            rows = measured(hosts, args.only, figures)
    except Unexpected as error:
        print(error, file=sys.stderr)
        return 2
    folder = targets.folder(args, whole=not args.only)
    if folder is not None:
        targets.write(folder, "hostile", where, figures, "\n".join([HEAD, *rows]))
    print(f"\n{targets.table(targets.of_figures('hostile', figures))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
