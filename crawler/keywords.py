"""The settings as keyword arguments of `Crawl`, for editors and type checkers; the table in settings.py decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

Number = int | float | str
"""Seconds or bytes as a number, or with a unit, such as "500ms" or "10MiB"."""
Strings = str | Sequence[str]
Content = Literal["meta", "text", "main", "markdown", "html", "links", "diff", "data"]

Place = Literal[
    "link",
    "frame",
    "image",
    "media",
    "script",
    "style",
    "css",
    "font",
    "icon",
    "manifest",
    "object",
    "form",
    "header",
    "social",
    "preload",
    "canonical",
    "hreflang",
    "refresh",
    "ping",
    "cite",
    "lazy",
    "other",
    "all",
]


class Fixed(TypedDict, total=False):
    """Settings that are fixed when a crawl is created."""

    scope: Literal["host", "site", "prefix", "all"]
    """Which links belong to the crawl (default: site)."""
    store: Content | Sequence[Content]
    """What to store of a page: one or more, with commas (default: text)."""
    shards: int
    """Parts of the frontier; each may live on another node of a cluster (default: 1)."""
    strip_tracking: bool
    """Remove utm_*, gclid, fbclid, ... from URLs."""
    strip_sessions: bool
    """Remove session ids (jsessionid, ...) from URLs."""
    sort_query: bool
    """Sort the parameters of a query."""
    one_scheme: bool
    """Treat http and https of one address as one page."""
    check: bool
    """Check links, as `crawler check` does: targets are asked for."""


class Changeable(TypedDict, total=False):
    """Settings that may change while a crawl runs. None is "no limit"."""

    extract: Literal["fast", "article"]
    """Who finds the main content; `article`: trafilatura, for news (default: fast)."""
    delay: Number
    """Minimum time between two requests to one host (default: 1s)."""
    per_host: int
    """Concurrent requests to one host (default: 1)."""
    per_ip: int | None
    """Concurrent requests to all hosts of one IP address."""
    adaptive: float
    """A slow host rests this many times its latency; 0: off (default: 1)."""
    include: Strings
    """Follow only links that match one."""
    exclude: Strings
    """Follow no links that match one."""
    max_depth: int | None
    """Most links between a seed and a page (default: 250)."""
    max_pages: int | None
    """Most pages fetched, in each visit."""
    max_pages_per_host: int | None
    """Most URLs per host."""
    max_pages_per_site: int | None
    """Most URLs per site."""
    max_hosts_per_site: int | None
    """Most hosts per site (default: 1000)."""
    max_time: Number | None
    """Stop after this long."""
    user_agent: str
    """User-Agent; add a way to reach you (default: crawler/0.1.0 (+https://crawler.example/bot))."""
    ignore_robots: bool
    """Do not request robots.txt (only with permission)."""
    ignore_noindex: bool
    """Store pages that ask not to be stored."""
    ignore_nofollow: bool
    """Follow links that ask not to be followed."""
    canonical: Literal["follow", "ignore", "obey"]
    """Rel=canonical is followed as a link, ignored, or makes the page its duplicate (default: follow)."""
    ignore_sitemaps: bool
    """Do not read the sitemaps that robots.txt names."""
    sitemap_only: bool
    """Follow only sitemaps, no links of pages."""
    follow_duplicates: bool
    """Follow links of pages with content seen before."""
    near_duplicates: bool
    """Find near duplicates by all text if no main is kept."""
    ignore_traps: bool
    """Follow what looks like a trap, quarantine nothing."""
    interval: Number
    """When a page is due again: halved if it changed, 1.5 times as long if not (default: 168h)."""
    min_interval: Number
    """Shortest time until a page is due again (default: 1h)."""
    max_interval: Number
    """Longest time until a page is due again (default: 2160h)."""
    timeout: Number
    """Limit for a whole fetch, from start to last byte (default: 30s)."""
    page_timeout: Number
    """Limit for parsing one page, hook included (default: 30s)."""
    lease_term: Number
    """When a silent worker's URLs are queued again (default: 90s)."""
    retries: int
    """Retries after a temporary error (default: 2)."""
    host_patience: Number
    """How long a host may fail; 0: without limit (default: 10m)."""
    max_size: Number
    """Limit of a decoded body; more is cut (default: 10MiB)."""
    max_links: int
    """Most links followed on one page (default: 6000)."""
    max_text: Number
    """Limit of a page's text; more is cut (default: 1MiB)."""
    hook_on: Literal["pages", "all"]
    """Call the hook for pages of text with status 2xx, or for all answers but redirects; then all bodies are read
    (default: pages)."""
    parse_all: bool
    """With --store meta: parse each page whole, so that its links are counted."""
    places: Place | Sequence[Place]
    """With `crawler check`: which places of a page name what is checked (default: link,frame,image,media,script,style,
    css,font,icon,manifest,object,form,header,social,preload,canonical,hreflang,refresh)."""
    no_external: bool
    """With `crawler check`: ask for nothing out of scope."""
    allow_private: bool
    """Let links lead to loopback and private addresses."""
    insecure: bool
    """Accept any TLS certificate, key, cipher, version."""


class OfProcess(TypedDict, total=False):
    """Settings of one program: they are not stored."""

    wait: bool
    """Wait for a Redis that cannot be reached yet."""
    folder: str
    """Folder of the embedded Redis (default: .crawler)."""
    workers: int | None
    """Worker processes (default: one per usable CPU)."""
    concurrency: int
    """Concurrent requests per worker (default: 64)."""
    cache_size: Number
    """Approximate memory of each worker's caches (default: 64MiB)."""
    fetcher: Literal["curl", "requests"]
    """The HTTP engine (default: curl)."""
    header: Strings
    """'Name: value' goes to the origins given as SOURCE or URL, 'HOST: Name: value' only to HOST; Accept-Language,
    From and similar go to all hosts."""
    proxy: str | None
    """Fetch through this proxy."""
    trust_env: bool
    """Use HTTP_PROXY and ~/.netrc."""
    rules: str | None
    """File of extraction rules, which is stored with the crawl."""
    no_hook: bool
    """Work without a hook, also where the crawl has one."""
    plain: bool
    """Plain lines instead of the live screen: for screen readers and slow terminals."""
    log_file: str | None
    """Append a log as JSON lines."""
    verbose: bool
    """The same to stderr, for people."""
    publish_urls: bool
    """`crawler events` shows each URL that ends, too."""
    webhook: str | None
    """Post events there."""


class Keywords(Fixed, Changeable, OfProcess, total=False):
    """What `Crawl` takes besides its own parameters."""
