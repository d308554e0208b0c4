"""Seeds: from URLs, files and stdin into the frontier, streaming, each refusal with the line it stands on."""

from __future__ import annotations

import gzip
import random
import secrets
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Final, cast

import msgspec

from crawler import url as urls
from crawler.errors import InvalidURL, OutOfMemory, UsageError
from crawler.frontier.frontier import MOST_REQUESTS, Frontier
from crawler.records import Request
from crawler.scope import Scope

TERM: Final = 60.0
"""Seconds that a seeder counts as open after its last batch."""
PUT_EVERY: Final = 5.0
"""Seconds after which a batch goes out though it is not full: lines may come slowly."""
ROOM_AGAIN: Final = 2.0
"""Seconds after which a Redis that is full is tried again."""
SHOWN: Final = 10
"""Refused lines that are told one by one."""
_URL_MARK: Final = "://"


@dataclass(slots=True)
class Seeded:
    """What became of the seeds."""

    new: int = 0
    seen: int = 0
    over_budget: int = 0
    refused: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def given(self) -> int:
        """All lines that held something."""
        return self.new + self.seen + self.over_budget + self.refused


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a source, and where it stands."""

    text: str
    where: str


def check(sources: Sequence[str], sitemaps: Sequence[str] = ()) -> None:
    """Raise UsageError, before anything is used, for what cannot be.

    That is a source that is neither a URL, nor a file that can be read, nor `-`; and a sitemap that is no URL.
    """
    for sitemap in sitemaps:
        if _URL_MARK not in sitemap:
            raise UsageError(f"--sitemap {sitemap}: a URL is needed, which begins with https:// or http://")
        urls.canonicalize(sitemap)
    for source in sources:
        if source == "-":
            continue
        if _URL_MARK in source:
            urls.canonicalize(source)
        elif not Path(source).exists():
            raise UsageError(f"{source}: there is no such file; a URL begins with https:// or http://")
        elif not Path(source).is_file():
            raise UsageError(f"{source}: is not a file of URLs")
        else:
            _open(source).close()


def lines(sources: Sequence[str]) -> Iterator[Line]:
    """The lines of all sources that hold something: no comments (`#` at the start), no empty ones."""
    for source in sources:
        if _URL_MARK in source:
            yield Line(source, source)
            continue
        with _open(source) as file:
            yield from _stripped(file, source)


def _stripped(file: IO[bytes], source: str) -> Iterator[Line]:
    name = "stdin" if source == "-" else source
    try:
        for number, raw in enumerate(file, 1):
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()
            if text and not text.startswith("#"):
                yield Line(text, f"{name}:{number}")
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{name}: cannot be read to its end: {error}") from None


def _open(source: str) -> IO[bytes]:
    if source == "-":
        return sys.stdin.buffer
    try:
        return cast(IO[bytes], gzip.open(source)) if source.endswith(".gz") else Path(source).open("rb")
    except OSError as error:
        raise UsageError(f"{source}: cannot be read: {error.strerror}") from None


def seed(
    frontier: Frontier,
    scope: Scope,
    sources: Iterable[Line],
    *,
    sitemaps: Sequence[str] = (),
    alone: bool = False,
    refuse: Callable[[str], None],
    progress: Callable[[Seeded], None] = lambda _: None,
) -> Seeded:
    """Put every line into the frontier; *refuse* is told the first ten lines that are no URLs, and of waiting.

    *sitemaps* are URLs of sitemaps, which are read and not kept as pages. Their hosts are roots like those of seeds; in
    a scope by prefix only when they stand *alone*, for then nothing else says what belongs to the crawl.

    The crawl counts as being seeded meanwhile, also while Redis is full and the seeds wait for room. Safe to repeat:
    URLs that were accepted are counted as seen, so who interrupts it gives the same seeds again.
    """

    def roots_of(batch: Sequence[Request]) -> list[str]:
        return sorted({root for request in batch for root in _roots(scope, request, alone)})

    source = f"seeder-{secrets.token_hex(8)}"
    seeded = Seeded()
    try:
        frontier.open(source, TERM)
        put_at = time.monotonic()
        batch: list[Request] = []
        named = ((Line(url, url), True) for url in sitemaps)
        for line, is_sitemap in chain(named, ((line, False) for line in sources)):
            request = _request(line, frontier.form, seeded, refuse)
            if request is not None and is_sitemap:
                request = msgspec.structs.replace(request, sitemap=True)
            if request is not None:
                batch.append(request)
            if len(batch) == MOST_REQUESTS or (batch and time.monotonic() - put_at > PUT_EVERY):
                _put(frontier, roots_of(batch), batch, seeded, source, refuse)
                progress(seeded)
                batch, put_at = [], time.monotonic()
        if batch:
            _put(frontier, roots_of(batch), batch, seeded, source, refuse)
            progress(seeded)
    except KeyboardInterrupt:
        refuse(f"{seeded.new + seeded.seen:,} seeds are in; give the same ones again for the rest")
        raise
    finally:
        patience = frontier.link.patience
        if patience is None or patience.since is None:  # else Redis is away: it ends by itself with its term
            frontier.close(source)
    return seeded


def _request(line: Line, form: urls.Form, seeded: Seeded, refuse: Callable[[str], None]) -> Request | None:
    try:
        return Request(form.apply(urls.canonicalize(line.text)))
    except InvalidURL as error:
        seeded.refused += 1
        seeded.reasons[error.reason] = seeded.reasons.get(error.reason, 0) + 1
        if seeded.refused <= SHOWN:
            hint = "" if _URL_MARK in line.text else "; a URL begins with https:// or http://"
            refuse(f"{line.where}: {error}{hint}")
        elif seeded.refused == SHOWN + 1:
            refuse("more lines are refused; they are counted at the end")
        return None


def _roots(scope: Scope, request: Request, alone: bool) -> tuple[str, ...]:
    if scope.kind == "prefix" and request.sitemap:
        host = urls.host(request.url)
        return (host, f"{host}/") if alone else (host,)
    return scope.roots_of(request.url)


def _put(
    frontier: Frontier,
    roots: Sequence[str],
    batch: list[Request],
    seeded: Seeded,
    source: str,
    say: Callable[[str], None],
) -> None:
    """Put one batch, as soon as Redis has room for it."""
    waiting = False
    while True:
        try:
            accepted = frontier.put(batch, source=source, term=TERM, roots=roots)
            break
        except OutOfMemory as error:
            if not waiting:
                say(f"{error}; {seeded.new + seeded.seen:,} seeds are in, the others wait for room")
            waiting = True
            frontier.open(source, TERM)
            time.sleep(ROOM_AGAIN * random.uniform(0.5, 1.0))
    frontier.tidy(accepted.long, (), say)
    if waiting:
        say("Redis has room again; seeding goes on")
    seeded.new += accepted.new
    seeded.seen += accepted.seen
    seeded.over_budget += accepted.over_budget
