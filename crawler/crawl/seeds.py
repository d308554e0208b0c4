"""Puts seeds into the frontier: from URLs, files and stdin, streaming; each refusal names its line."""

from __future__ import annotations

import gzip
import io
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

from crawler import url as urls
from crawler.crawl import seed_list
from crawler.crawl.seed_list import URL_MARK, Line
from crawler.errors import InvalidURL, OutOfMemory, UsageError, without_credentials
from crawler.frontier.frontier import Frontier
from crawler.frontier.verbs import MAX_REQUESTS
from crawler.headers import MAX_ORIGINS, origin_of
from crawler.policy.scope import Scope
from crawler.record import Request

TERM: Final = 60.0
"""A seeder counts as open for these seconds after its last batch."""
PUT_EVERY: Final = 5.0
"""A batch that is not full is sent after these seconds: lines may arrive slowly."""
ROOM_AGAIN: Final = 2.0
"""If Redis is full, the batch is tried again after these seconds."""
_GZIP: Final = b"\x1f\x8b"
SHOWN: Final = 10
"""How many refused lines are reported one by one."""
MAX_SHOWN: Final = 200
"""How many characters of a source a message shows."""


@dataclass(slots=True)
class Seeded:
    """What became of the seeds."""

    new: int = 0
    seen: int = 0
    over_budget: int = 0
    refused: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    origins: set[str] = field(default_factory=set, repr=False, compare=False)
    """Origins of the URLs, without sitemaps: at most MAX_ORIGINS of `headers`."""
    more_origins: bool = field(default=False, repr=False, compare=False)
    """There were more of them."""

    @property
    def given(self) -> int:
        """All lines with content."""
        return self.new + self.seen + self.over_budget + self.refused

    def name_origin(self, url: str) -> None:
        """A SOURCE names *url*, and so its origin."""
        origin = origin_of(url)
        if origin in self.origins:
            return
        if len(self.origins) < MAX_ORIGINS:
            self.origins.add(origin)
        else:
            self.more_origins = True


def check_sources(sources: Sequence[str], sitemaps: Sequence[str] = ()) -> None:
    """Raise UsageError, before anything is used, for a source or sitemap that cannot be used.

    That is a source that is neither a URL, nor a readable file, nor `-`; or a sitemap that is no URL.
    """
    for sitemap in sitemaps:
        if URL_MARK not in sitemap:
            raise UsageError(f"--sitemap {_shown(sitemap)}: a URL is needed, which begins with https:// or http://")
        urls.canonicalize(sitemap)
    for source in sources:
        if source == "-":
            continue
        if URL_MARK in source:
            if odd := seed_list.oddity_of_argument(source):
                raise InvalidURL(source, "invalid", odd)
            urls.canonicalize(seed_list.without_note(seed_list.stripped(source)))
        elif not _exists(source):
            raise UsageError(f"{_shown(source)}: there is no such file; a URL begins with https:// or http://")
        elif not Path(source).is_file():
            raise UsageError(f"{source}: is not a file of URLs; name - to read them from stdin")
        else:
            _open(source).close()


def _shown(source: str) -> str:
    """What a message shows of a source that may be meant as a URL."""
    shown = without_credentials(source)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}..."


def _exists(source: str) -> bool:
    try:
        return Path(source).exists()
    except (OSError, ValueError):  # too long for a name, or a NUL
        return False


def lines(sources: Sequence[str]) -> Iterator[Line]:
    """The lines of all sources with content: no comments (`#` at the start), no empty ones."""
    for source in sources:
        if URL_MARK in source:
            yield Line(seed_list.without_note(seed_list.stripped(source)), without_credentials(source))
            continue
        name = "stdin" if source == "-" else source
        with _open(source) as file:
            try:
                yield from seed_list.read(file, name)
            except (OSError, EOFError, zlib.error) as error:
                raise UsageError(f"{name}: cannot be read to its end: {error}") from None


def _open(source: str) -> IO[bytes]:
    if source == "-":
        return _unzipped(seed_list.awaited(sys.stdin.buffer))
    try:
        with Path(source).open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
        return cast(IO[bytes], gzip.open(source)) if packed else Path(source).open("rb")
    except OSError as error:
        raise UsageError(f"{source}: cannot be read: {error.strerror}") from None


def _unzipped(file: IO[bytes]) -> IO[bytes]:
    """stdin, unpacked if it is gzip."""
    if isinstance(file, io.BufferedReader) and file.peek(len(_GZIP))[: len(_GZIP)] == _GZIP:
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    return file


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
    """Put every line into the frontier. *refuse* gets messages: the first ten lines that are no URLs, and waiting.

    *sitemaps* are URLs of sitemaps, which are read and not stored as pages. Their hosts are roots like those of seeds.
    In a scope by prefix they are so only if they are *alone*, because then nothing else defines the crawl.

    Meanwhile the crawl counts as being seeded, also while Redis is full and the seeds wait. Safe to repeat: accepted
    URLs are counted as seen, so after an interruption give the same seeds again.
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
            request = _request(line, frontier.form, seeded, refuse, sitemap=is_sitemap)
            if request is not None:
                batch.append(request)
            if len(batch) == MAX_REQUESTS or (batch and time.monotonic() - put_at > PUT_EVERY):
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
        patience = frontier.connection.patience
        if patience is None or patience.since is None:  # else Redis is away: the seeder's mark expires by itself
            frontier.close(source)
    return seeded


def _request(
    line: Line, form: urls.Form, seeded: Seeded, refuse: Callable[[str], None], *, sitemap: bool
) -> Request | None:
    if line.hint:
        refuse(f"{line.where.rpartition(':')[0]}: {line.hint}")
    try:
        if line.odd:
            raise InvalidURL(line.text, "invalid", line.odd)
        request = Request(form.apply(urls.canonicalize(line.text)), sitemap=sitemap)
        if not sitemap:
            seeded.name_origin(request.url)
        return request
    except InvalidURL as error:
        seeded.refused += 1
        seeded.reasons[error.reason] = seeded.reasons.get(error.reason, 0) + 1
        if seeded.refused <= SHOWN:
            hint = "" if URL_MARK in line.text or line.odd else "; a URL begins with https:// or http://"
            refuse(f"{line.where}: {error if line.text else line.odd}{hint}")
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
    frontier.compact(accepted.long, say)
    if waiting:
        say("Redis has room again; seeding continues")
    seeded.new += accepted.new
    seeded.seen += accepted.seen
    seeded.over_budget += accepted.over_budget
