"""One crawl, one purpose: `crawler run SOURCE` adds no foreign site to a crawl by accident.

A crawl stores in its `meta` the arguments that it was begun with, before its first URL: the same command is never
refused, even if it was interrupted between the two. Other SOURCEs must belong to the crawl: their root, or another one
of the same host name, is one of its roots.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final

from crawler import url as urls
from crawler.crawl.seed_list import URL_MARK, Line
from crawler.crawl.seeds import lines
from crawler.errors import InvalidURL, UsageError
from crawler.frontier.crawldb import CrawlDb
from crawler.policy.scope import Scope

_FIELD: Final = "sources:"
"""The beginning of a field of `meta`: the rest identifies the arguments of one command, the value shows them."""
_MAX_KNOWN: Final = 64
"""Commands whose arguments a crawl remembers."""
_SHOWN: Final = 80
"""Characters of a command's arguments that are stored to be shown."""
_CHUNK: Final = 1_000
"""URLs that are looked up at a time."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """The SOURCEs of one command, and whether they may be of another site than the crawl."""

    sources: Sequence[str]
    sitemaps: Sequence[str] = ()
    add: bool = True

    @property
    def fields(self) -> Mapping[str, bytes]:
        """The field of `meta` that makes a crawl know these arguments again; none without arguments."""
        given = [*map(_same, self.sources), *(f"--sitemap {_same(url)}" for url in self.sitemaps)]
        if not given:
            return {}
        digest = hashlib.sha1("\n".join(sorted(given)).encode(errors="replace"), usedforsecurity=False)
        shown = " ".join([*self.sources, *(f"--sitemap {url}" for url in self.sitemaps)])
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        return {_FIELD + digest.hexdigest()[:16]: shown.encode(errors="replace")}

    def missing(self, meta: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """What *meta* should remember of this command and does not yet."""
        known = sum(name.startswith(_FIELD) for name in meta)
        return {} if known >= _MAX_KNOWN else {name: v for name, v in self.fields.items() if name not in meta}

    def check(self, crawldb: CrawlDb, scope: Scope, crawl: str) -> None:
        """Raise UsageError if these SOURCEs are foreign to the crawl, which messages call *crawl*.

        To a crawl that an import made, and that has no root yet, none is foreign.
        """
        if self.add or not (self.sources or self.sitemaps):
            return
        ways = "continue it without a SOURCE, add them with --add, begin another one with --crawl NAME, or start over"
        if "-" in self.sources:
            raise UsageError(f"{crawl} exists, and stdin may hold anything: {ways} with --fresh")
        meta = crawldb.meta()
        if any(name in meta for name in self.fields):
            return
        given = chain((Line(url, url) for url in self.sitemaps), lines(self.sources))
        stranger = _stranger(crawldb, scope, given)
        if stranger is None:
            return
        begun = next((v.decode(errors="replace") for name, v in meta.items() if name.startswith(_FIELD)), "")
        if not begun and next(crawldb.hosts.every_root(), None) is None:
            return
        named = stranger.text if stranger.text == stranger.where else f"{stranger.where}: {stranger.text}"
        raise UsageError(
            f"{named} is not part of {crawl}" + (f", which was begun with {begun}" if begun else "") + ": add it to"
            " that crawl with --add, give it a crawl of its own with --crawl NAME, or start over with --fresh"
        )


NO_PURPOSE: Final = Purpose(())
"""That of a command without SOURCEs."""


def _same(source: str) -> str:
    """A SOURCE in the spelling by which it is known again: files by their path."""
    if source == "-":
        return source
    return urls.canonicalize(source) if URL_MARK in source else str(Path(source).absolute())


def _stranger(crawldb: CrawlDb, scope: Scope, given: Iterator[Line]) -> Line | None:
    """The first line with a URL whose root and host name the crawl does not have."""
    while chunk := list(islice(given, _CHUNK)):
        if found := _strangers(crawldb, scope, chunk):
            return next(iter(found.values()))
    return None


def _strangers(crawldb: CrawlDb, scope: Scope, given: Sequence[Line]) -> dict[str, Line]:
    """By host name the first of the lines whose root and host name the crawl does not have."""
    by_root: dict[str, tuple[str, Line]] = {}
    for line in given:
        with suppress(InvalidURL):  # it is refused when it is seeded
            url = urls.canonicalize(line.text)
            by_root.setdefault(scope.root_of(url), (_name_of(urls.host(url)), line))
    are_roots = crawldb.hosts.roots(list(by_root))
    found: dict[str, Line] = {}
    for (name, line), is_root in zip(by_root.values(), are_roots, strict=True):
        if not is_root:
            found.setdefault(name, line)
    for root in crawldb.hosts.every_root() if found else ():
        found.pop(_name_of(root), None)
    return found


def _name_of(root: str) -> str:
    """The host name of a root, without port and folder: another scheme, port or folder of a host is no foreign site."""
    return urls.name_and_port(f"http://{root}")[0]
