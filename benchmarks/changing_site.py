"""A site that changes in known ways: what each of its URLs is at the first visit and at the second one.

`python -m benchmarks.changing_site FOLDER KIND PAGES ADDRESSES` serves it until SIGTERM. It writes `ports` (one line an
address) as soon as it listens, and a line of `access` for each answer. SIGUSR1 makes it the site of the next visit.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

Kind = Literal["etag", "weak", "modified", "neither", "broken"]
"""What the servers send: a strong ETag with Last-Modified, a weak one alone, Last-Modified alone, no validator, or
validators that are wrong, each address in a way of its own."""
KINDS: Final[tuple[Kind, ...]] = ("etag", "weak", "modified", "neither", "broken")

BROKEN_WAYS: Final = 7
"""In which validators are wrong."""
_FANOUT: Final = 12
"""Links from a page to pages below it."""
_FIRST: Final = 1_700_000_000
"""When the site was made, in seconds; it changes a month later."""
_MONTH: Final = 30 * 86_400
_START_LIMIT: Final = 20.0
_WORDS: Final = (
    *("harbour", "light", "keeper", "tide", "morning", "letter", "island", "ferry", "winter", "stone", "garden"),
    *("window", "river", "market", "copper", "engine", "signal", "number", "measure", "answer", "question", "reason"),
)


@dataclass(frozen=True)
class Shape:
    """How many pages there are, and how many change in which way before the second visit."""

    pages: int = 10_000
    changed: int = 200
    new: int = 50
    gone: int = 30
    moved: int = 20
    footer: int = 100
    """Pages of which only the footer changes. (The footer names the year, which is the same on all others.)"""

    @classmethod
    def of(cls, pages: int) -> Shape:
        """The same shares of another number of pages, at least one of each."""
        part = pages / cls.pages
        names = ("changed", "new", "gone", "moved", "footer")
        return cls(pages, **{name: max(round(getattr(cls, name) * part), 1) for name in names})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server has under a URL at a visit."""

    status: int
    body: bytes = b""
    location: str = ""
    changed: int = _FIRST
    """When it last changed, in seconds."""


class Plan:
    """The pages by number, and what happens to which. Number 0 is the start page, which stays as it is."""

    def __init__(self, kind: Kind, shape: Shape, name: str = "") -> None:
        """*name*: of the address; the pages of two addresses have different words."""
        self.kind, self.shape, self._name = kind, shape, name
        dice = random.Random(f"{kind} {shape.pages}")
        leaves = [n for n in range(1, shape.pages) if n * _FANOUT + 1 >= shape.pages]
        dice.shuffle(leaves)
        taken = iter(leaves)
        self.changed, self.gone, self.moved, self.footer = (
            {next(taken) for _ in range(count)} for count in (shape.changed, shape.gone, shape.moved, shape.footer)
        )
        self.parents = dict(zip(range(shape.new), sorted(self.changed), strict=False))
        """Of each new page the page that links to it: one of those that change."""

    def changes(self) -> dict[str, str]:
        """What the second visit has to report, by path."""
        found = {path(n): "changed" for n in self.changed}
        found |= {path(n): "boilerplate" for n in self.footer}
        found |= {path(n): "gone" for n in self.gone}
        found |= {path(n): "moved" for n in self.moved}
        found |= {moved_path(n): "new" for n in self.moved}
        return found | {new_path(n): "new" for n in self.parents}

    def answer(self, target: str, visit: int) -> Answer:
        """What is there at a visit, the first one being 1."""
        words = target.strip("/").split("/")
        number = int(words[-1]) if words[-1].isdigit() else 0
        if target == path(number) and number < self.shape.pages:
            return self._page(number, visit)
        if visit > 1 and target == moved_path(number) and number in self.moved:
            return Answer(200, self._body(number, 1, self._links(number)))
        if visit > 1 and target == new_path(number) and number in self.parents:
            return Answer(200, self._body(self.shape.pages + number, 1, ""))
        return Answer(404, b"<title>not here</title>")

    def _page(self, number: int, visit: int) -> Answer:
        if visit > 1 and number in self.gone:
            return Answer(410 if number % 2 else 404, b"<title>gone</title>")
        if visit > 1 and number in self.moved:
            return Answer((301, 302, 308)[number % 3], location=moved_path(number))
        links = self._links(number)
        if visit > 1 and number in self.changed:
            links += "".join(f'<li><a href="{new_path(n)}">more</a>' for n, at in self.parents.items() if at == number)
            return Answer(200, self._body(number, visit, links), changed=_FIRST + _MONTH)
        late = visit > 1 and number in self.footer
        year = f"{2024 + visit}, page served {visit} times" if late else "2025"
        return Answer(200, self._body(number, 1, links, year), changed=_FIRST + _MONTH * late)

    def _links(self, number: int) -> str:
        first = number * _FANOUT + 1
        below = range(first, min(first + _FANOUT, self.shape.pages))
        return "".join(f'<li><a href="{path(n)}">Page {n}</a>' for n in below)

    def _body(self, number: int, version: int, links: str, year: str = "2025") -> bytes:
        dice = random.Random(f"{self._name} {number} {version}")
        parts = [" ".join(dice.choices(_WORDS, k=60)) for _ in range(6)]
        menu = "".join(f'<li><a href="{path(n)}">Chapter {n}</a>' for n in range(min(8, self.shape.pages)))
        return (
            f"<!doctype html><html lang=en><head><meta charset=utf-8><title>Page {number}</title></head><body>"
            f"<nav><ul>{menu}</ul></nav><main><h1>Page {number}</h1><p>{'<p>'.join(parts)}<ul>{links}</ul></main>"
            f"<footer><p>Copyright {year} by nobody. <a href='{path(0)}'>Home</a></footer></body></html>"
        ).encode()


def path(number: int) -> str:
    """The path of a page; the start page is the root."""
    return f"/page/{number}" if number else "/"


def moved_path(number: int) -> str:
    """Where a page is that has moved."""
    return f"/moved/{number}"


def new_path(number: int) -> str:
    """Where a page is that is there from the second visit on."""
    return f"/new/{number}"


# -- validators --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Validators:
    """What a server says of an answer, and whether it takes a request's validators for current ones."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    is_current: bool = False


def validators(kind: Kind, address: str, answer: Answer, asked: dict[str, str]) -> Validators:
    """The validators of a server of this *kind*, for a request with these headers (names in lower case)."""
    tag = f'"{sha256(answer.body).hexdigest()[:12]}"'
    date = formatdate(answer.changed, usegmt=True)
    match kind:
        case "etag":
            return Validators([("ETag", tag), ("Last-Modified", date)], asked.get("if-none-match") == tag)
        case "weak":
            return Validators([("ETag", f"W/{tag}")], asked.get("if-none-match") == f"W/{tag}")
        case "modified":
            return Validators([("Last-Modified", date)], asked.get("if-modified-since") == date)
        case "broken":
            return _broken(int(address.rpartition(".")[2]), answer, tag, asked)
    return Validators()


def _broken(way: int, answer: Answer, tag: str, asked: dict[str, str]) -> Validators:
    """Validators that are wrong in one of BROKEN_WAYS: none may hide a change, or make up one."""
    now = formatdate(time.time(), usegmt=True)
    match way % BROKEN_WAYS:
        case 0:  # another tag for each answer
            return Validators([("ETag", f'"{time.monotonic_ns()}"')])
        case 1:  # a tag that all pages have, by which all are current
            return Validators([("ETag", '"build-77"')], asked.get("if-none-match") == '"build-77"')
        case 2:  # changed just now, whenever it is asked for
            return Validators([("Last-Modified", now)], "if-modified-since" in asked)
        case 3:
            return Validators([("Last-Modified", "yesterday"), ("ETag", tag.strip('"'))])
        case 4:  # it depends on all that is in the request
            return Validators([("ETag", tag), ("Vary", "*")], "if-none-match" in asked)
        case 5:
            return Validators([("ETag", f'"{"x" * 300}{tag[1:]}'), ("Cache-Control", "no-store, max-age=oops")])
        case _:
            return Validators([("ETag", ""), ("Last-Modified", ""), ("Expires", "0")])


# -- serving -----------------------------------------------------------------------------------------------------------


class _Server:
    """What each address has, the visit that it is at, and the log."""

    def __init__(self, folder: Path, kind: Kind, shape: Shape) -> None:
        self.visit, self._kind, self._shape = 1, kind, shape
        self._plans: dict[str, Plan] = {}
        self._log = (folder / "access").open("w", encoding="utf-8", buffering=1)
        self._kept: dict[tuple[str, str], Answer] = {}

    def _plan(self, authority: str) -> Plan:
        name = authority.partition(":")[0]
        return self._plans.get(name) or self._plans.setdefault(name, Plan(self._kind, self._shape, name))

    def next_visit(self) -> None:
        """The site changes."""
        self.visit += 1
        self._kept.clear()

    def answer(self, authority: str, target: str, asked: dict[str, str]) -> bytes:
        """The bytes of the answer; it is logged."""
        if target == "/robots.txt":
            return self._sent(authority, target, 404, [], b"")
        key = authority, target
        answer = self._kept.get(key) or self._kept.setdefault(key, self._plan(authority).answer(target, self.visit))
        if answer.location:
            return self._sent(authority, target, answer.status, [("Location", answer.location)], b"")
        name = authority.partition(":")[0]
        found = validators(self._kind, name, answer, asked) if answer.status == 200 else Validators()
        if found.is_current:
            return self._sent(authority, target, 304, found.headers, b"")
        headers = [("Content-Type", "text/html; charset=utf-8"), *found.headers]
        return self._sent(authority, target, answer.status, headers, answer.body)

    def _sent(self, authority: str, target: str, status: int, headers: list[tuple[str, str]], body: bytes) -> bytes:
        if status != 304:
            headers = [*headers, ("Content-Length", str(len(body)))]
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        raw = f"HTTP/1.1 {status} Here\r\n{lines}\r\n".encode("latin-1") + body
        self._log.write(f"{self.visit}\t{status}\t{len(raw)}\thttp://{authority}{target}\n")
        return raw


class _Connection(asyncio.Protocol):
    """One connection: requests one after the other."""

    def __init__(self, server: _Server, authority: str) -> None:
        self._server, self._authority, self._data = server, authority, b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            asked = {name.strip().lower(): value.strip() for name, _, value in pairs}
            assert self._transport is not None
            self._transport.write(self._server.answer(self._authority, first.split(" ")[1], asked))


async def _serve(server: _Server, folder: Path, addresses: int) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, server.next_visit)
    authorities = []
    for n in range(addresses):
        listener = socket.create_server((f"127.0.{n // 200}.{n % 200 + 1}", 0), backlog=512)
        authority = "{}:{}".format(*listener.getsockname())
        await loop.create_server(lambda at=authority: _Connection(server, at), sock=listener)  # type: ignore[misc]
        authorities.append(authority)
    (folder / "ports.new").write_text("\n".join(authorities), encoding="utf-8")
    (folder / "ports.new").rename(folder / "ports")
    parent = os.getppid()
    while os.getppid() == parent and not stopped.is_set():  # it ends with the one that started it
        try:
            await asyncio.wait_for(stopped.wait(), 1)
        except TimeoutError:
            continue


# -- from outside ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hits:
    """What was asked for at one visit, robots.txt apart."""

    requests: int
    octets: int
    """Bytes of all answers with their headers."""
    statuses: Counter[int]
    twice: list[str]
    """URLs that were asked for more than once."""


class ChangingSite:
    """The server's process; served inside the `with`. Each address has a site of its own, all alike."""

    def __init__(self, folder: Path, kind: Kind, pages: int, addresses: int = 1) -> None:
        self.plan = Plan(kind, Shape.of(pages))
        self.authorities: list[str] = []
        self._folder, self._arguments = folder, [str(folder), kind, str(pages), str(addresses)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it, and wait until it listens."""
        with (self._folder / "said").open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.changing_site", *self._arguments],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        until, ports = time.monotonic() + _START_LIMIT, self._folder / "ports"
        while not ports.exists():
            if self._process.poll() is not None or time.monotonic() > until:
                self.__exit__(None, None, None)
                raise RuntimeError(f"the site did not start: {(self._folder / 'said').read_text()}")
            time.sleep(0.01)
        self.authorities = ports.read_text(encoding="utf-8").splitlines()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End it."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)

    @property
    def seeds(self) -> list[str]:
        """The start page of each address."""
        return [f"http://{authority}/" for authority in self.authorities]

    def next_visit(self) -> None:
        """The site changes: at once, for all that is asked for from now on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)
        time.sleep(0.05)

    def changes(self) -> dict[str, str]:
        """What the second visit has to report, by URL."""
        found = self.plan.changes()
        return {f"http://{at}{target}": word for at in self.authorities for target, word in found.items()}

    def hits(self, visit: int) -> Hits:
        """What was asked for at a visit."""
        lines = list(self._lines(visit))
        asked = Counter(url for _, _, url in lines)
        return Hits(
            requests=len(lines),
            octets=sum(size for _, size, _ in lines),
            statuses=Counter(status for status, _, _ in lines),
            twice=[url for url, n in asked.items() if n > 1],
        )

    def _lines(self, visit: int) -> Iterator[tuple[int, int, str]]:
        for line in (self._folder / "access").read_text(encoding="utf-8").splitlines():
            at, status, size, url = line.split("\t")
            if int(at) == visit and not url.endswith("/robots.txt"):
                yield int(status), int(size), url


def main() -> None:
    """Serve until SIGTERM."""
    folder, kind, pages, addresses = sys.argv[1:]
    server = _Server(Path(folder), next(each for each in KINDS if each == kind), Shape.of(int(pages)))
    asyncio.run(_serve(server, Path(folder), int(addresses)))


if __name__ == "__main__":
    main()
