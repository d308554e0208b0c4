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
from pathlib import Path
from typing import IO, Final, cast

from crawler import url as urls
from crawler.crawl import seed_list
from crawler.crawl.seed_list import URL_MARK, Line
from crawler.errors import InvalidURL, OutOfMemory, UsageError, without_credentials
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import Accepted
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
        return self.accepted + self.over_budget + self.refused

    @property
    def accepted(self) -> int:
        """URLs that are in the frontier, from now on or from before."""
        return self.new + self.seen

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
            guess = urls.meant(source)
            otherwise = f"did you mean {guess}?" if guess else "a URL begins with https:// or http://"
            raise UsageError(f"{_shown(source)}: there is no such file; {otherwise}")
        elif not Path(source).is_file():
            raise UsageError(f"{source}: is not a file of URLs; name - to read them from stdin")
        else:
            with _open(source) as file:
                seed_list.refuse_binary(file, source)


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


class Seeder:
    """Puts seeds into the frontier. Meanwhile the crawl counts as being seeded, also while Redis is full.

    Safe to repeat: accepted URLs are counted as seen, so after an interruption give the same seeds again.
    """

    def __init__(
        self,
        frontier: Frontier,
        scope: Scope,
        say: Callable[[str], None],
        progress: Callable[[Seeded], None] = lambda _: None,
        *,
        alone: bool = False,
    ) -> None:
        """*say* gets messages: the first ten lines that are no URLs, and waiting. *progress* gets the counts so far.

        Hosts of sitemaps are roots like those of seeds. In a scope by prefix they are so only if the sitemaps are
        *alone*, because then nothing else defines the crawl.
        """
        self._frontier, self._scope, self._say, self._progress = frontier, scope, say, progress
        self._alone = alone
        self._source = f"seeder-{secrets.token_hex(8)}"
        self._seeded = Seeded()
        self._batch: list[Request] = []
        self._put_at = 0.0

    def seed(self, sources: Iterable[Line], sitemaps: Sequence[str] = ()) -> Seeded:
        """Put every line into the frontier, and *sitemaps*: URLs that are read, but not stored as pages."""
        try:
            self._frontier.open(self._source, TERM)
            self._put_at = time.monotonic()
            for url in sitemaps:
                self._add(Line(url, url), sitemap=True)
            for line in sources:
                self._add(line)
            if self._batch:
                self._put()
        except KeyboardInterrupt:
            self._say(f"{self._seeded.accepted:,} seeds are in; give the same ones again for the rest")
            raise
        finally:
            patience = self._frontier.connection.patience
            if patience is None or patience.since is None:  # else Redis is away: the seeder's mark expires by itself
                self._frontier.close(self._source)
        return self._seeded

    def _add(self, line: Line, *, sitemap: bool = False) -> None:
        if line.hint:
            self._say(f"{line.where.rpartition(':')[0]}: {line.hint}")
        try:
            if line.odd:
                raise InvalidURL(line.text, "invalid", line.odd)
            url = self._frontier.form.apply(urls.canonicalize(line.text))
        except InvalidURL as error:
            self._refuse(line, error)
        else:
            self._batch.append(Request(url, line.depth, sitemap=sitemap))
            if not sitemap:
                self._seeded.name_origin(url)
        is_due = time.monotonic() - self._put_at > PUT_EVERY
        if len(self._batch) == MAX_REQUESTS or (self._batch and is_due):
            self._put()

    def _refuse(self, line: Line, error: InvalidURL) -> None:
        seeded = self._seeded
        seeded.refused += 1
        seeded.reasons[error.reason] = seeded.reasons.get(error.reason, 0) + 1
        if seeded.refused <= SHOWN:
            hint = "" if URL_MARK in line.text or line.odd else "; a URL begins with https:// or http://"
            self._say(f"{line.where}: {error if line.text else line.odd}{hint}")
        elif seeded.refused == SHOWN + 1:
            self._say("more lines are refused; they are counted at the end")

    def _put(self) -> None:
        """Put the batch, and start the next one."""
        roots = sorted({root for request in self._batch for root in self._roots_of(request)})
        accepted = self._put_when_room(roots)
        self._frontier.compact(accepted.long, self._say)
        self._seeded.new += accepted.new
        self._seeded.seen += accepted.seen
        self._seeded.over_budget += accepted.over_budget
        self._progress(self._seeded)
        self._batch, self._put_at = [], time.monotonic()

    def _put_when_room(self, roots: Sequence[str]) -> Accepted:
        """Put the batch as soon as Redis has room for it."""
        waiting = False
        while True:
            try:
                accepted = self._frontier.put(self._batch, source=self._source, term=TERM, roots=roots)
            except OutOfMemory as error:
                if not waiting:
                    self._say(f"{error}; {self._seeded.accepted:,} seeds are in, the others wait for room")
                waiting = True
                self._frontier.open(self._source, TERM)
                time.sleep(ROOM_AGAIN * random.uniform(0.5, 1.0))
            else:
                if waiting:
                    self._say("Redis has room again; seeding continues")
                return accepted

    def _roots_of(self, request: Request) -> tuple[str, ...]:
        if self._scope.kind == "prefix" and request.sitemap:
            host = urls.host(request.url)
            return (host, f"{host}/") if self._alone else (host,)
        return self._scope.roots_of(request.url)
