"""Turns settings into the plain values that each component takes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, cast

from crawler import headers
from crawler.checked_page import PLACES
from crawler.fetch.fetcher import FetcherOptions
from crawler.fetch.request_headers import environment_proxies
from crawler.frontier.messages import Limits
from crawler.parse import article, documents
from crawler.parse.extract import ExtractOptions
from crawler.parse.rules import NO_RULES, Rules
from crawler.parse.rules_file import read_rules
from crawler.policy.robots import product_token
from crawler.policy.scope import Scope, ScopeKind
from crawler.settings import Settings
from crawler.url import Form
from crawler.worker.shares import room

READ_TYPES: Final = (
    "text/",
    "application/xhtml+xml",
    "application/xml",
    "application/json",
    "application/ld+json",
    "application/rss+xml",
    "application/atom+xml",
)
"""Content types whose bodies are read; for others only the header is."""
MANIFEST: Final = "application/manifest+json"
"""The type of web app manifests, which name icons: `crawler check` reads them."""
ACCEPT_PAGES: Final = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
"""The Accept header for pages: some servers give HTML only to clients that name it, as browsers do."""

Documents = Literal["read", "missed", "unwanted"]
"""Whether PDF and DOCX are read; missed: they would be, if the extra `documents` were installed."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The options of a worker. Times are in seconds, sizes in bytes."""

    scope: Scope
    extract: ExtractOptions
    agent: str
    """The product token looked up in robots.txt."""
    obey_robots: bool
    retries: int
    lease_term: float
    timeout: float
    page_timeout: float
    max_size: int
    documents: Documents
    skims: bool
    """Pages may be read by their heads alone: nothing else of them is stored."""
    allow_private: bool
    proxied: bool
    """A proxy may resolve and connect, so an answer proves nothing about this machine's network."""
    form: Form
    obey_canonical: bool
    """A page that names another as its canonical is that page's duplicate."""
    sitemaps: bool
    """Read the sitemaps that robots.txt names."""
    sitemap_only: bool
    all_links: bool
    """Follow the links of duplicates too."""
    near_duplicates: bool
    """Look for an earlier page with nearly the same text."""
    quarantine: bool
    """Judge templates; else none is quarantined."""
    concurrency: int
    hook_on_all: bool
    """A hook gets every answer but redirects: the bodies of all types are read."""
    sees_addresses: bool
    """No proxy hides which address answers."""
    links_cache: int
    rules_cache: int
    """Approximate bytes for remembered links, and for robots.txt rules."""
    interval: float
    min_interval: float
    max_interval: float
    """When a page is due again (see `policy.schedule`), in seconds."""
    check: bool = False
    """Links are checked: what they lead to is asked for, and what each page names is kept."""
    no_external: bool = False
    """Nothing out of scope is asked for."""
    origin_headers: tuple[headers.OriginHeader, ...] = ()
    """Header fields that only some origins get."""


def plan_of(settings: Settings, origins: Collection[str] = ()) -> WorkerOptions:
    """The worker's options. *origins* are those that the command's SOURCEs name."""
    return WorkerOptions(
        scope=scope_of(settings),
        extract=_extract_options(settings),
        agent=product_token(settings.user_agent),
        obey_robots=not settings.ignore_robots,
        retries=settings.retries,
        lease_term=settings.lease_term,
        timeout=settings.timeout,
        page_timeout=settings.page_timeout,
        max_size=settings.max_size,
        skims=not (wanted(settings) or settings.parse_all or settings.rule_set or settings.check),
        documents=documents_of(settings),
        allow_private=settings.allow_private,
        proxied=settings.proxy is not None or settings.trust_env,
        form=form_of(settings),
        obey_canonical=settings.canonical == "obey" and not settings.check,
        sitemaps=settings.sitemap_only or not settings.ignore_sitemaps,
        sitemap_only=settings.sitemap_only,
        all_links=settings.follow_duplicates or settings.check,
        near_duplicates=_finds_near_duplicates(settings),
        quarantine=not settings.ignore_traps,
        concurrency=settings.concurrency,
        hook_on_all=settings.hook is not None and settings.hook_on == "all",
        sees_addresses=sees_addresses(settings),
        links_cache=settings.cache_size // 2,
        rules_cache=settings.cache_size // 4,
        interval=settings.interval,
        min_interval=settings.min_interval,
        max_interval=settings.max_interval,
        check=settings.check,
        no_external=settings.no_external,
        origin_headers=headers.divide(settings.header, origins)[1],
    )


def _finds_near_duplicates(settings: Settings) -> bool:
    if settings.check:  # each page is checked by itself
        return False
    return settings.near_duplicates or not wanted(settings).isdisjoint(("main", "markdown"))


def _extract_options(settings: Settings) -> ExtractOptions:
    if settings.extract == "article":
        article.check()
    return ExtractOptions(
        max_links=settings.max_links,
        max_text=settings.max_text,
        extract=settings.extract,
        want=wanted(settings),
        rules=rules_of(settings),
        agent=product_token(settings.user_agent),
        obey_nofollow=not settings.ignore_nofollow,
        obey_noindex=not (settings.ignore_noindex or settings.check),
        follow_canonical=settings.canonical != "ignore",
        form=form_of(settings),
        places=places_of(settings),
        cache=settings.cache_size // 4,
    )


def places_of(settings: Settings) -> frozenset[str]:
    """Kinds of places that are read of a page, because what they name is checked."""
    if not settings.check:
        return frozenset()
    return frozenset(PLACES if "all" in settings.places else settings.places)


def wanted(settings: Settings) -> frozenset[str]:
    """What the crawl stores of a page besides its record."""
    return frozenset(settings.store) - {"meta"}


def rules_of(settings: Settings) -> Rules:
    """The extraction rules of the crawl. UsageError if they cannot be used: a file was checked, Redis is an input."""
    source = f"the rules stored in crawl {settings.crawl!r} (`crawler set rules FILE` replaces them)"
    return read_rules(settings.rule_set, source) if settings.rule_set else NO_RULES


def documents_of(settings: Settings) -> Documents:
    """What becomes of PDF and DOCX. A crawl that stores records alone does not read megabytes for a few links."""
    if not (wanted(settings) or settings.hook or settings.rule_set or settings.check):
        return "unwanted"
    return "read" if documents.are_readable() else "missed"


def sees_addresses(settings: Settings) -> bool:
    """Whether the answering address is known: a proxy hides it."""
    return settings.proxy is None and not (settings.trust_env and environment_proxies())


def form_of(settings: Settings) -> Form:
    """Which spellings of a URL the crawl treats as one."""
    return Form(settings.strip_tracking, settings.strip_sessions, settings.sort_query, settings.one_scheme)


def scope_of(settings: Settings) -> Scope:
    """Which URLs belong to the crawl. UsageError for a regular expression that cannot be used."""
    return Scope(
        cast(ScopeKind, settings.scope),
        include=settings.include,
        exclude=settings.exclude,
        max_depth=settings.max_depth,
        traps=not settings.ignore_traps,
    )


def limits_of(settings: Settings) -> Limits:
    """The limits that the frontier's scripts enforce."""
    return Limits(
        delay_ms=round(settings.delay * 1000),
        per_host=settings.per_host,
        robots=not settings.ignore_robots,
        max_pages=settings.max_pages,
        max_pages_per_host=settings.max_pages_per_host,
        patience_ms=round(settings.host_patience * 1000),
        adaptive=settings.adaptive,
        max_pages_per_site=settings.max_pages_per_site,
        max_hosts_per_site=settings.max_hosts_per_site,
        per_ip=settings.per_ip,
    )


def fetcher_options_of(settings: Settings, origins: Collection[str] = ()) -> FetcherOptions:
    """What all requests of a fetcher share. *origins* are those that the command's SOURCEs name."""
    everywhere, bound = headers.divide(settings.header, origins)
    return FetcherOptions(
        user_agent=settings.user_agent,
        concurrency=room(settings.concurrency),
        headers=everywhere,
        origin_headers=bound,
        proxy=settings.proxy,
        route=settings.route,
        allow_private=settings.allow_private,
        verify_tls=not settings.insecure,
        trust_env=settings.trust_env,
        certificates=settings.check,
    )
