"""Which of a page's links become requests: new to this worker, admitted by the scope, and under a root of the crawl."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from typing import Final

from crawler import url as urls
from crawler.fetch.guard import private_name
from crawler.parse.skim import SettledLinks
from crawler.policy import traps
from crawler.policy.scope import Scope
from crawler.record import Request
from crawler.worker.seen_before import SeenBefore

CACHE: Final = 32 << 20
"""Approximate bytes for URLs remembered as sent."""
_OF_URL: Final = 220
"""Approximate bytes for one of them: a long URL, and its place in a set that has just grown."""
_ROOTS: Final = 50_000
MAX_ASKED: Final = 256
"""Most URLs of a page that Redis is asked about before the page is parsed."""
_MIN_HOPE: Final = 0.2
"""The share of recent questions that must have saved a parse."""
_NEW_HOPE: Final = 0.002
"""What each page that is not asked about adds to that share."""


class SeenCache:
    """URLs of this worker that Redis has accepted: they are not sent again.

    A URL enters only after the put or commit that carried it answered OK. All are forgotten on a reconnect, or for
    another generation of the crawl: a link remembered before a failed commit would never be sent again. Two sets bound
    the memory: when the younger is full it becomes the older, and the older one is dropped.
    """

    def __init__(self, size: int = CACHE, forgotten: Callable[[], None] = lambda: None) -> None:
        """A cache of about *size* bytes; *forgotten* is called when all is forgotten."""
        self._most = size // _OF_URL // 2
        self._forgotten = forgotten
        self._young: set[str] = set()
        self._old: set[str] = set()

    def __contains__(self, url: str) -> bool:
        return url in self._young or url in self._old

    def unknown(self, candidates: Iterable[str]) -> list[str]:
        """Those of *candidates* that were not acknowledged, in order."""
        young, old = self._young, self._old
        return [url for url in candidates if url not in young and url not in old]

    def acknowledge(self, accepted: Iterable[str]) -> None:
        """Redis has accepted these."""
        self._young.update(accepted)
        if len(self._young) > self._most:
            self._young, self._old = set(), self._young

    def forget(self) -> None:
        """Redis may have lost what it acknowledged."""
        self._young, self._old = set(), set()
        self._forgotten()


class LinkFilter:
    """The gate between a page's outlinks and the frontier. Asks Redis only about roots that it has not seen."""

    def __init__(
        self,
        scope: Scope,
        is_root: Callable[[Sequence[str]], list[bool]],
        cache: int = CACHE,
        accepted: Callable[[Sequence[str]], list[bool]] | None = None,
    ) -> None:
        """*cache*: approximate bytes for remembered links. *is_root* and *accepted* (of URLs) ask Redis."""
        self.scope = scope
        self.settled = SettledLinks(self.is_settled)
        """Hrefs, as pages spell them, that need not be followed. Cleared whenever that may have changed for one."""
        self.known = SeenCache(cache, self.settled.clear)
        self._is_root = is_root
        self._accepted = accepted
        self.seen_before: SeenBefore | None = None
        """What another crawl has fetched, if fingerprints were imported."""
        self._hope = 1.0
        self._roots: dict[str, bool] = {}
        self._roots_rev = -1
        self._traps: frozenset[str] = frozenset()
        self._trap_hosts: frozenset[str] = frozenset()

    def set_quarantined(self, templates: Collection[str]) -> None:
        """Set the templates that are quarantined now: their URLs are refused."""
        self.settled.clear()
        self._traps = frozenset(templates)
        self._trap_hosts = frozenset(re.split("[/?;]", name, maxsplit=1)[0] for name in templates)

    def trap_of(self, url: str) -> str | None:
        """The quarantined template that *url* matches."""
        if not self._traps or not self.scope.traps or urls.host(url) not in self._trap_hosts:
            return None
        return traps.trap_of(url, self._traps)

    def renew(self, scope: Scope) -> None:
        """Use another scope from now on. It may admit what the old one refused, so nothing is remembered."""
        self.scope = scope
        self.known.forget()
        self._roots.clear()

    def at_revision(self, roots_rev: int) -> None:
        """Roots were added: forget which URLs are under no root."""
        if roots_rev != self._roots_rev:
            self._roots_rev = roots_rev
            self.settled.clear()
            self._roots = {key: True for key, found in self._roots.items() if found}
            # A link that was out of scope may be in scope now. Accepted links stay known.

    def is_settled(self, url: str) -> bool:
        """Whether a link to *url* changes nothing, on any page and with any `rel`.

        Either Redis has accepted it, or it is refused for what it is: it has no canonical URL (then it is one of
        `url.REFUSALS`), the filters or a trap refuse it, or it is under no root. Redis is not asked: for a root
        that was never looked up the answer is false.
        """
        if self.seen_before is not None and url in self.seen_before:
            return True
        if url in self.known or url in urls.REFUSALS or self.scope.admit(url, 0) or self.trap_of(url):
            return True
        if urls.has_bad_port(url) and self._roots.get(urls.host(url)) is False:
            return True
        return self.scope.kind != "all" and all(self._roots.get(key) is False for key in self.scope.candidates(url))

    def were_accepted(self, links: Sequence[str]) -> bool:
        """Whether Redis has accepted all of *links*; those that it has are known from now on. May raise RedisAway.

        Other workers find a site's links too, and this one may have forgotten some. If asking has rarely helped lately,
        it asks for few pages only and answers false for the others.
        """
        if self._accepted is None or len(links) > MAX_ASKED:
            return False
        if self._hope < _MIN_HOPE:
            self._hope += _NEW_HOPE
            return False
        found = self._accepted(links)
        self.known.acknowledge(link for link, there in zip(links, found, strict=True) if there)
        self._hope = 0.9 * self._hope + 0.1 * all(found)
        return all(found)

    def admit(
        self, outlinks: Sequence[str], *, depth: int, via: str, hops: int = 0
    ) -> tuple[list[Request], Counter[str]]:
        """Requests for those of *outlinks* that may join the crawl, and the count of the others by reason.

        May raise RedisAway. Then nothing is remembered, and the page is processed again.
        """
        unknown = self.known.unknown(outlinks)
        refused = self.reasons(unknown, depth, hops)
        admitted = [link for link in unknown if link not in refused] if refused else unknown
        return [Request(link, depth, hops, via) for link in admitted], Counter(refused.values())

    def reasons(self, links: Sequence[str], depth: int, hops: int = 0) -> dict[str, str]:
        """Those of *links*, known or not, that may not join the crawl as pages, and why; may raise RedisAway."""
        refused: dict[str, str] = {}
        admitted = []
        for link in links:
            reason = self.scope.admit(link, depth, hops)
            if reason is None and self._traps and self.trap_of(link):
                reason = "trap-template"
            if reason is None:
                admitted.append(link)
            else:
                refused[link] = reason
        within = self.inside(admitted)
        inside = [link for link in admitted if link in within]
        if len(inside) < len(admitted):
            refused.update((link, "scope") for link in admitted if link not in within)
        refused.update((link, "port") for link in inside if urls.has_bad_port(link) and not self.is_named(link))
        # Depth 0 is where a seed redirects to: without it the crawl would end there.
        if depth and (before := self._seen_before([link for link in inside if link not in refused])):
            refused.update(dict.fromkeys(before, "seen-before"))
        return refused

    def has_bad_port(self, url: str) -> bool:
        """Whether its port belongs to another protocol, and no seed named it; may raise RedisAway."""
        return urls.has_bad_port(url) and not self.is_named(url)

    def _seen_before(self, links: Sequence[str]) -> set[str]:
        return set() if self.seen_before is None else self.seen_before.of(links)

    def admit_sitemaps(
        self, sitemaps: Iterable[str], beside: str, elsewhere: Callable[[str], str | None] = lambda _: "scope"
    ) -> tuple[list[str], Counter[str]]:
        """Those of *sitemaps* that may be read, and the count of the others by reason; may raise RedisAway.

        A sitemap may lie anywhere on the site of *beside*, which named it, and elsewhere within the scope: filters and
        a scope by prefix are meant for pages. For other sitemaps *elsewhere* returns the reason of the refusal, or
        None.
        """
        refused: Counter[str] = Counter()
        site, admitted, others = urls.site(beside), [], []
        for sitemap in self.known.unknown(sitemaps):
            if self.scope.traps and (trap := self.scope.trap(sitemap)):
                refused[trap] += 1
            elif urls.has_bad_port(sitemap) and not self.is_named(sitemap):
                refused["port"] += 1
            elif urls.site(sitemap) == site:
                admitted.append(sitemap)
            else:
                others.append(sitemap)
        inside = self.inside(others)
        for sitemap in others:
            if sitemap in inside or (reason := elsewhere(sitemap)) is None:
                admitted.append(sitemap)
            else:
                refused[reason] += 1
        return admitted, refused

    def inside(self, links: Sequence[str]) -> set[str]:
        """Those of *links* that are under a root."""
        if self.scope.kind == "all":
            return set(links)
        candidates = {link: self.scope.candidates(link) for link in links}
        self._look_up({key for keys in candidates.values() for key in keys})
        is_root = self._roots.get
        return {link for link, keys in candidates.items() if any(map(is_root, keys))}

    def is_seeded(self, url: str) -> bool:
        """Whether a seed named this URL's root, in any scope, or its host; may raise RedisAway."""
        keys = {*self.scope.candidates(url), urls.host(url)}
        self._look_up(keys)
        return any(self._roots.get(key) for key in keys)

    def is_named(self, url: str) -> bool:
        """Whether a seed named this host and port, which is then a root (`Scope.roots_of`); may raise RedisAway."""
        host = urls.host(url)
        self._look_up({host})
        return bool(self._roots.get(host))

    def _look_up(self, keys: set[str]) -> None:
        missing = [key for key in keys if key not in self._roots]
        if not missing:
            return
        if len(self._roots) > _ROOTS:
            self._roots.clear()
            missing = list(keys)
        self._roots.update(zip(missing, self._is_root(missing), strict=True))


def is_private_name(url: str, *, proxied: bool = False) -> bool:
    """Whether the URL names its host by an address or as localhost: a seed that does so asks for private addresses.

    *proxied*: a name that means a private place counts too, because the guard has nothing else to judge by.
    """
    host = urls.host(url)
    return _is_private_host(host) or (proxied and private_name(host.partition(":")[0]) is not None)


@lru_cache(maxsize=4096)
def _is_private_host(host: str) -> bool:
    if host.startswith("["):
        return True
    name = host.partition(":")[0]
    return name.replace(".", "").isdigit() or name == "localhost" or name.endswith(".localhost")
