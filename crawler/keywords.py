"""The settings as keyword arguments of `Crawl`, for editors and type checkers; the table in settings.py decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

Number = int | float | str
"""Seconds or bytes as a number, or with a unit, such as "500ms" or "10MiB"."""
Strings = str | Sequence[str]
Content = Literal["meta", "text", "main", "markdown", "html", "links", "data"]


class Keywords(TypedDict, total=False):
    """What `Crawl` takes besides its own parameters. None is "no limit"."""

    scope: Literal["host", "site", "prefix", "all"]
    store: Content | Sequence[Content]
    shards: int
    strip_tracking: bool
    strip_sessions: bool
    sort_query: bool
    one_scheme: bool
    delay: Number
    per_host: int
    per_ip: int | None
    adaptive: float
    include: Strings
    exclude: Strings
    max_depth: int | None
    max_pages: int | None
    max_pages_per_host: int | None
    max_pages_per_site: int | None
    max_hosts_per_site: int | None
    max_time: Number | None
    user_agent: str
    ignore_robots: bool
    ignore_noindex: bool
    ignore_nofollow: bool
    canonical: Literal["follow", "ignore", "obey"]
    ignore_sitemaps: bool
    sitemap_only: bool
    follow_duplicates: bool
    ignore_traps: bool
    timeout: Number
    page_timeout: Number
    lease_term: Number
    retries: int
    host_patience: Number
    max_size: Number
    max_links: int
    max_text: Number
    hook_on: Literal["pages", "all"]
    parse_all: bool
    allow_private: bool
    insecure: bool
    wait: bool
    folder: str
    workers: int | None
    concurrency: int
    cache_size: Number
    fetcher: Literal["curl", "requests"]
    header: Strings
    proxy: str | None
    trust_env: bool
    no_hook: bool
    plain: bool
    log_file: str | None
    verbose: bool
    publish_urls: bool
    webhook: str | None
