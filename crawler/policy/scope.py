"""Decides whether a URL may join the crawl, or returns the reason why not.

Pure. Each link is checked in this order: `admit` needs only the URL and how it was reached; `in_scope` needs the roots
of the crawl, which the frontier holds. `root_of` makes the root of a seed, `candidates` names the strings to look up
for a link. Seeds are not checked: a user who names a URL wants it, so depth, filters and trap rules do not apply. Only
`url.canonicalize` can refuse a seed.

Filters are regular expressions searched for in the canonical URL (see `crawler.pattern`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal

from crawler import url as urls
from crawler.errors import UsageError
from crawler.pattern import Pattern, compile_pattern

ScopeKind = Literal["host", "site", "prefix", "all"]

MAX_SEGMENTS: Final = 40
"""Most segments of a path (Heritrix: 20; deep archives have been seen with 30)."""

MAX_REPEATS: Final = 3
"""Most times that the same segments may repeat in a row: /11/11/11/ is a date, /a/b/a/b/a/b/a/b/ a loop."""

REFUSALS: Final = {
    "scope": "its host, site or prefix is not one of the crawl's roots",
    "include": "no --include pattern is found in it",
    "exclude": "an --exclude pattern is found in it",
    "depth": "more links away from its seed than --max-depth",
    "hops": "too many redirects in a row led to it",
    "trap-length": "longer than any URL a person would link to",
    "trap-segments": f"its path has more than {MAX_SEGMENTS} segments",
    "trap-repeat": f"its path repeats the same segments more than {MAX_REPEATS} times in a row",
}
"""Why a link is not accepted: counted word -> meaning. `url.REFUSALS` has the earlier reasons."""

LATER_REFUSALS: Final = {
    "port": "its port belongs to another protocol, browsers refuse it too; no seed names the host with this port",
    "trap-template": "its template was quarantined: pages of it hold nothing new",
    "seen-before": "another crawl has fetched it, by the fingerprints that `crawler import` brought along",
    "sitemap-nesting": "too many sitemap indexes in a row led to it",
    "sitemap-unreadable": "it was named as a sitemap and is none that can be read",
    "sitemap-hosts": "its robots.txt names sitemaps on too many other hosts",
    "budget": "its host has all the URLs that --max-pages-per-host allows",
    "site-budget": "its site has all the URLs that --max-pages-per-site allows",
    "site-queue": "its site's queue fills Redis",
    "blocked": "its host is blocked (`crawler unblock`)",
    "site-hosts": "its site has all the hosts that --max-hosts-per-site allows",
}
"""Reasons from the frontier's knowledge: roots, quarantined templates, budgets, nesting."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which links belong to the crawl. Values only: equal settings make equal scopes."""

    kind: ScopeKind = "site"
    include: tuple[str, ...] = ()
    """If there is any, at least one must be found in the URL."""
    exclude: tuple[str, ...] = ()
    """None may be found in the URL; takes precedence over `include`."""
    max_depth: int | None = None
    """Most links from a seed; 0 is the seeds alone."""
    max_hops: int = 20
    """Most redirects in a row."""
    traps: bool = True
    """Refuse what looks like a trap by its length or path, or belongs to a quarantined template."""
    max_url: int = 2083
    """Most characters of a link (the limit of Scrapy and Heritrix)."""
    _includes: tuple[Pattern, ...] = field(init=False, repr=False, compare=False)
    _excludes: tuple[Pattern, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raise UsageError for a filter that is no regular expression."""
        object.__setattr__(self, "_includes", tuple(_compile("--include", pattern) for pattern in self.include))
        object.__setattr__(self, "_excludes", tuple(_compile("--exclude", pattern) for pattern in self.exclude))

    def admit(self, url: str, depth: int, hops: int = 0) -> str | None:
        """None if the canonical *url* may join as far as is known without roots, else one of REFUSALS."""
        if self.max_depth is not None and depth > self.max_depth:
            return "depth"
        if hops > self.max_hops:
            return "hops"
        if self.traps and (trap := self.trap(url)):
            return trap
        return self.filtered(url)

    def trap(self, url: str) -> str | None:
        """One of REFUSALS if the canonical *url* alone shows a trap; else None."""
        if len(url) > self.max_url:
            return "trap-length"
        return _path_trap(url) if url.count("/") > _PLAIN_SLASHES else None

    def filtered(self, url: str) -> str | None:
        """The one of REFUSALS by which a filter refuses the canonical *url*; else None."""
        if not (self._excludes or self._includes):
            return None
        raw = url.encode()
        if any(pattern.search(raw) for pattern in self._excludes):
            return "exclude"
        if self._includes and not any(pattern.search(raw) for pattern in self._includes):
            return "include"
        return None

    def root_of(self, url: str) -> str:
        """The root that the canonical URL of a seed adds to the crawl.

        `host`: its host. `prefix`: its host and its path up to the last slash, without the scheme, so that a site's
        move to https stays in scope. `site` and `all`: its site (for `all` only the guard of private addresses uses
        it).
        """
        if self.kind == "host":
            return urls.host(url)
        if self.kind == "prefix":
            host, _, path = urls.split(url)
            return host + path[: path.partition("?")[0].rindex("/") + 1]
        return urls.site(url)

    def roots_of(self, url: str) -> tuple[str, ...]:
        """All roots that a seed adds: `root_of`, and its host if that says more.

        In a scope by prefix this makes robots.txt and sitemaps those of a host of the crawl. On a port of another
        protocol, links to it are followed only if a seed names it.
        """
        root, host = self.root_of(url), urls.host(url)
        return (root, host) if root != host and (self.kind == "prefix" or urls.has_bad_port(url)) else (root,)

    def candidates(self, url: str) -> tuple[str, ...]:
        """The strings to look up among the roots. The canonical *url* is in scope if one is there, or `kind` is `all`.

        One string, except for `prefix`: each folder above the URL, the shortest first.
        """
        if self.kind == "prefix":
            return _prefixes(url)
        return (self.root_of(url),)

    def in_scope(self, url: str, roots: Collection[str]) -> bool:
        """Whether the canonical *url* belongs to one of *roots* (a set, for speed)."""
        if self.kind == "site":
            return urls.site(url) in roots
        return self.kind == "all" or any(candidate in roots for candidate in self.candidates(url))


# Slashes of the scheme and of a path too short to repeat anything more than MAX_REPEATS times: most URLs stop here.
_PLAIN_SLASHES: Final = 2 + MAX_REPEATS


def _prefixes(url: str) -> tuple[str, ...]:
    host, _, path = urls.split(url)
    path = path.partition("?")[0]
    return tuple(host + path[: end + 1] for end, char in enumerate(path) if char == "/")


def _path_trap(url: str) -> str | None:
    path = url[url.index("/", 8) + 1 :].partition("?")[0]
    segments = path.split("/")
    if len(segments) > MAX_SEGMENTS:
        return "trap-segments"
    # Each repetition adds at least one segment that occurred before: few URLs need the closer look.
    if len(segments) - len(set(segments)) >= MAX_REPEATS and _repeats(segments):
        return "trap-repeat"
    return None


def _repeats(segments: list[str]) -> bool:
    """Whether a sequence of segments occurs more than MAX_REPEATS times in a row."""
    for period in range(1, len(segments) // (MAX_REPEATS + 1) + 1):
        run = 0
        for earlier, later in zip(segments, segments[period:], strict=False):
            run = run + 1 if earlier == later else 0
            if run >= period * MAX_REPEATS:
                return True
    return False


def _compile(flag: str, pattern: str) -> Pattern:
    try:
        return compile_pattern(pattern)
    except ValueError as error:
        raise UsageError(f"{flag} {pattern!r} is not a regular expression that can be used: {error}") from None
