"""Many hosts and one that is slow: are the others held up? `python -m benchmarks.hosts`; two to six minutes.

300 fast hosts with 100 pages each, and one whose every answer takes 5 seconds, each at a loopback address of its own,
served by one thread of this program. The crawler crawls them with two workers, by turns without and with the slow host;
the rate is that of the fast hosts' pages, by the server's log, from the first request to the last answer. The pages of
the slow host are seeds, so that its queue is full from the start; once the fast ones are done the crawl is ended.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import statistics
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from benchmarks.commands import Home, Running, Unexpected, wait_until
from benchmarks.measure import busy, cpu_of, load, wait_until_quiet
from benchmarks.site import SiteError, exit_on_sigterm, free_ports

SLOW_ADDRESS: Final = "127.2.0.1"
SLOW_PAGES: Final = 25
SLOWNESS: Final = 5.0
"""Seconds that the slow host takes for each answer, robots.txt among them."""
WORKERS: Final = 2
CONCURRENCY: Final = 64
"""Transfers at once a worker; the crawler's default."""
DELAYS: Final = ("50ms", "0")
PATIENCE: Final = 30.0
"""Seconds that a run waits for the rest of the machine to become quiet."""
_WORDS: Final = 120
_POOL: Final = tuple("".join(random.Random(n).choices("aeioubdfklmnprst", k=6)) for n in range(1000))


def fast_addresses(count: int) -> list[str]:
    """So many addresses of loopback (all of 127.0.0.0/8 is, on Linux)."""
    return [f"127.1.{n // 250}.{n % 250 + 1}" for n in range(count)]


def answer(host: str, path: str, pages: int) -> bytes:
    """A page of *host* with words of its own; the first one links to all others. There is no robots.txt."""
    if path == "/robots.txt":
        return b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
    dice = random.Random(f"{host}{path}")
    text = " ".join(dice.choices(_POOL, k=_WORDS))
    links = "".join(f'<a href="/page/{n}">{n}</a> ' for n in range(1, pages)) if path == "/" else ""
    body = f"<!doctype html><html><title>{host}{path}</title><body><p>{text}</p>{links}</body></html>".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@dataclass(slots=True)
class Log:
    """What the hosts have seen of one crawl. Times are of `time.monotonic`."""

    began: float = 0.0
    ended: float = 0.0
    fast: set[str] = field(default_factory=set)
    """Pages of fast hosts that were answered."""
    slow_answers: int = 0
    at_slow: int = 0
    """Requests that the slow host holds now."""
    most_at_slow: int = 0


class Connection(asyncio.Protocol):
    """One connection to one of the hosts: requests one after the other."""

    def __init__(self, hosts: Hosts, host: str) -> None:
        self._hosts, self._host = hosts, host
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._held = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request, at once or after a while."""
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode("ascii")
            log = self._hosts.log
            if self._host != SLOW_ADDRESS:
                log.began = log.began or time.monotonic()
                self._write(log, path)
                continue
            self._held += 1
            log.at_slow += 1
            log.most_at_slow = max(log.most_at_slow, log.at_slow)
            asyncio.get_running_loop().call_later(SLOWNESS, self._write, log, path)

    def connection_lost(self, exc: Exception | None) -> None:
        """What it was waiting for, nobody does any more."""
        self._hosts.log.at_slow -= self._held
        self._held, self._transport = 0, None

    def _write(self, log: Log, path: str) -> None:
        if self._transport is None:
            return
        self._transport.write(answer(self._host, path, self._hosts.pages))
        if self._held:
            self._held -= 1
            log.at_slow -= 1
            log.slow_answers += 1
        elif path != "/robots.txt":
            log.ended = time.monotonic()
            log.fast.add(self._host + path)


class Hosts:
    """Fast hosts and a slow one on one port, each at an address of its own; served inside the `with`."""

    def __init__(self, count: int, pages: int) -> None:
        """Raises SiteError where the addresses cannot be had (macOS has 127.0.0.1 alone)."""
        self.count, self.pages = count, pages
        self.log = Log()
        self.addresses = fast_addresses(count)
        (self.port,) = free_ports([*self.addresses, SLOW_ADDRESS], 1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def seeds(self) -> list[str]:
        """The start page of each fast host."""
        return [f"http://{address}:{self.port}/" for address in self.addresses]

    @property
    def slow_seeds(self) -> list[str]:
        """Pages of the slow host."""
        return [f"http://{SLOW_ADDRESS}:{self.port}/slow/{n}" for n in range(SLOW_PAGES)]

    def __enter__(self) -> Self:
        """Listen at each address; SiteError if one cannot be had."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        except OSError as error:
            self.__exit__(None, None, None)
            raise SiteError(f"the addresses cannot all be served: {error}") from None
        return self

    async def _listen(self) -> None:
        for address in (*self.addresses, SLOW_ADDRESS):
            listener = socket.create_server((address, self.port), backlog=128)
            await self._loop.create_server(lambda host=address: Connection(self, host), sock=listener)  # type: ignore[misc]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def crawled(self) -> bool:
        """Every page of every fast host was answered."""
        return len(self.log.fast) == self.count * self.pages


@dataclass(frozen=True, slots=True)
class Run:
    """One crawl."""

    rate: float
    """Pages of fast hosts a second."""
    held: int
    """Transfers that the slow host held at most."""
    answers: int
    """Answers of the slow host until the fast ones were done."""
    others: float
    """Cores' worth of CPU that the rest of the machine used meanwhile: much more than 0.1 makes the rate doubtful."""

    def __str__(self) -> str:
        return f"{self.rate:>5.0f} pages/s (others used {self.others:.2f} cores)"


def run_once(hosts: Hosts, delay: str, *, slow: bool) -> Run:
    """Crawl the fast hosts, with or without the slow one, until they are done; Unexpected if they are not."""
    hosts.log = log = Log()
    options = ("--delay", delay, "--workers", str(WORKERS), "--concurrency", str(CONCURRENCY), "--store", "meta")
    with Home() as home:
        began, before, own = time.monotonic(), busy(), cpu_of(os.getpid())
        going = home.start("run", *(hosts.slow_seeds if slow else ()), *hosts.seeds, *options)
        wait_until(lambda: hosts.crawled() or going.process.poll() is not None, "all pages of the fast hosts")
        held, answers = log.most_at_slow, log.slow_answers
        others = busy() - before - _cpu_of_crawl(home, going) - (cpu_of(os.getpid()) - own)
        seconds = time.monotonic() - began
        if not slow:
            going.wait()
        if not hosts.crawled():
            raise Unexpected(
                f"only {len(log.fast):,} pages of {hosts.count * hosts.pages:,} were asked for: {going.err}"
            )
        if slow and not held:
            raise Unexpected("the slow host was asked for nothing meanwhile")
    return Run(len(log.fast) / (log.ended - log.began), held, answers, max(others, 0.0) / seconds)


def _cpu_of_crawl(home: Home, going: Running) -> float:
    """Seconds of CPU that a crawl has used so far, its workers and its Redis among it."""
    servers = [int(file.read_text()) for file in home.folder.glob("**/redis.pid")]
    return sum(cpu_of(pid) for pid in (going.process.pid, *going.workers(), *servers))


def compare(hosts: Hosts, delay: str, count: int) -> None:
    """Crawl without and with the slow host by turns, *count* times, and print what came out."""
    without: list[Run] = []
    with_slow: list[Run] = []
    for n in range(count):
        for slow, runs in ((False, without), (True, with_slow)):
            wait_until_quiet(PATIENCE)
            runs.append(run_once(hosts, delay, slow=slow))
        print(f"  round {n + 1}: without the slow host {without[-1]}, with it {with_slow[-1]}", flush=True)
    ratios = sorted(one.rate / other.rate for one, other in zip(with_slow, without, strict=True))
    best, best_with = max(run.rate for run in without), max(run.rate for run in with_slow)
    print(
        f"--delay {delay}: at best {best:.0f} pages/s without the slow host, {best_with:.0f} with it:"
        f" {best_with / best:.2f}; ratios within a round"
        f" {ratios[0]:.2f} - {statistics.median(ratios):.2f} - {ratios[-1]:.2f}\n"
        f"  the slow host held at most {max(run.held for run in with_slow)} of {WORKERS * CONCURRENCY} transfers and"
        f" answered {max(run.answers for run in with_slow)} times",
        flush=True,
    )


def main() -> int:
    """Measure how much one slow host holds up many fast ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hosts", description=main.__doc__)
    parser.add_argument("--hosts", type=int, default=300, metavar="N", help="fast hosts (300)")
    parser.add_argument("--pages", type=int, default=100, metavar="N", help="pages of each (100)")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="rounds for each delay (3)")
    args = parser.parse_args()
    exit_on_sigterm()
    try:
        with ExitStack() as stack:
            hosts = stack.enter_context(Hosts(args.hosts, args.pages))
            print(
                f"{args.hosts} fast hosts with {args.pages} pages each, one that takes {SLOWNESS:g} s for each answer, "
                f"{WORKERS} workers; {load()}"
            )
            for delay in DELAYS:
                compare(hosts, delay, args.runs)
    except (SiteError, Unexpected) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
