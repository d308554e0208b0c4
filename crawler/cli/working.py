"""What the commands that run workers have in common: their options, checks before anything is started, hints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crawler.cli.terminal import say
from crawler.config import Loaded
from crawler.crawl.cpus import worker_count
from crawler.crawl.rule_set import with_rules
from crawler.crawl.seeds import check_sources
from crawler.frontier.frontier import Frontier
from crawler.frontier.status import Status
from crawler.policy import robots
from crawler.text import lasting
from crawler.worker.options import plan_of, wanted

OF_WORK: Final = (
    *("workers", "concurrency", "cache_size", "fetcher", "header", "proxy", "trust_env", "hook", "no_hook"),
    "rules",
    *("publish_urls", "webhook"),
)
"""Settings of a command that runs workers."""


def check(loaded: Loaded, sources: Sequence[str], sitemaps: Sequence[str] = ()) -> None:
    """Find mistakes before anything is started."""
    if loaded.settings.hook:
        from crawler.crawl.launcher import check_hook  # loads all that a worker needs; other commands do not

        check_hook(loaded.settings.hook)
    plan_of(with_rules(loaded.settings))
    worker_count(loaded.settings.workers)
    if hint := robots.hint_at_token(loaded.settings.user_agent):
        say(f"hint: {hint}")
    if loaded.settings.near_duplicates and wanted(loaded.settings).isdisjoint(("text", "main", "markdown")):
        say("hint: --near-duplicates compares texts, and this crawl keeps none: add text to --store")
    check_sources(sources, sitemaps)
    if loaded.settings.sitemap_only and loaded.settings.ignore_robots and sources and not sitemaps:
        say("hint: --sitemap-only finds sitemaps through robots.txt; with --ignore-robots name them by --sitemap URL")


def check_webhook(loaded: Loaded) -> None:
    """Raise UsageError if events cannot be posted as asked."""
    if loaded.settings.webhook:
        from crawler.crawl.webhook import target_of  # other commands do not need it

        target_of(loaded.settings)


def hint_at_failures(status: Status) -> None:
    """Say what can be done about URLs that failed."""
    if status.failed:
        say("`crawler failed` lists those that failed, `crawler retry` tries them again")


def age(frontier: Frontier) -> str:
    """How old the latest visit of the crawl is, in words."""
    seconds = (frontier.crawldb.clock() - frontier.crawldb.visit().began_ms) / 1000
    return f"visited {lasting(seconds)} ago"
