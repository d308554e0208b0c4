"""From the settings to the plain values that each component is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from crawler.config import Settings
from crawler.extract import ExtractOptions
from crawler.fetch.fetcher import FetcherOptions
from crawler.frontier.leases import Limits
from crawler.robots import product_token
from crawler.scope import Scope, ScopeKind

READ_TYPES: Final = (
    "text/",
    "application/xhtml+xml",
    "application/xml",
    "application/json",
    "application/ld+json",
    "application/rss+xml",
    "application/atom+xml",
)
"""Content types whose bodies are read; of others only the header is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker works by. Times are in seconds, sizes in bytes."""

    scope: Scope
    extract: ExtractOptions
    agent: str
    """The product token that robots.txt is read for."""
    obey_robots: bool
    retries: int
    lease_term: float
    timeout: float
    page_timeout: float
    max_size: int
    keep_outlinks: bool
    allow_private: bool


def plan_of(settings: Settings) -> Plan:
    """The worker's values."""
    agent = product_token(settings.user_agent)
    return Plan(
        scope=scope_of(settings),
        extract=ExtractOptions(
            max_links=settings.max_links,
            max_text=settings.max_text,
            want_text=settings.store == "text",
            agent=agent,
        ),
        agent=agent,
        obey_robots=not settings.ignore_robots,
        retries=settings.retries,
        lease_term=settings.lease_term,
        timeout=settings.timeout,
        page_timeout=settings.page_timeout,
        max_size=settings.max_size,
        keep_outlinks=settings.outlinks,
        allow_private=settings.allow_private,
    )


def scope_of(settings: Settings) -> Scope:
    """Which URLs belong to the crawl; UsageError for a regular expression that cannot be used."""
    return Scope(
        cast(ScopeKind, settings.scope),
        include=settings.include,
        exclude=settings.exclude,
        max_depth=settings.max_depth,
    )


def limits_of(settings: Settings) -> Limits:
    """What the frontier's scripts obey."""
    return Limits(
        delay_ms=round(settings.delay * 1000),
        per_host=settings.per_host,
        robots=not settings.ignore_robots,
        max_pages=settings.max_pages,
        max_pages_per_host=settings.max_pages_per_host,
        patience_ms=round(settings.host_patience * 1000),
    )


def fetcher_options_of(settings: Settings) -> FetcherOptions:
    """What all requests of a fetcher share."""
    pairs = (line.partition(":") for line in settings.header)
    return FetcherOptions(
        user_agent=settings.user_agent,
        concurrency=settings.concurrency,
        headers=tuple((name, value.strip()) for name, _, value in pairs),
        proxy=settings.proxy,
        allow_private=settings.allow_private,
        verify_tls=not settings.insecure,
        trust_env=settings.trust_env,
    )
