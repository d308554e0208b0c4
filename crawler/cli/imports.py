"""`crawler import`: takes over what Scrapy or scrapy-redis has queued and fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from crawler.cli.options import OF_CRAWL, OF_REDIS, examples, load_given, settings
from crawler.cli.terminal import line, say
from crawler.crawl.imports.importer import Imported, Importer
from crawler.crawl.imports.jobdir import JobDir
from crawler.crawl.imports.scrapy_redis import Names, ScrapyRedis
from crawler.crawl.imports.source import Source
from crawler.crawl.seed_list import URL_MARK
from crawler.crawl.session import Session
from crawler.errors import UsageError
from crawler.text import counted
from crawler.worker.options import plan_of


@click.command(
    "import",
    short_help="take over a crawl of Scrapy or scrapy-redis",
    epilog=examples(
        "crawler import redis://localhost:6379 --spider shop     scrapy-redis: SHOP:start_urls, ...",
        "crawler import jobs/shop --scope host                   Scrapy: the folder that JOBDIR names",
        "crawler import jobs/shop --dry-run                      only look what is there",
    ),
)
@click.argument("source", metavar="FROM")
@click.option("--spider", metavar="NAME", help="the spider, where a Redis has keys of several")
@click.option("--start-urls-key", metavar="KEY", help="its REDIS_START_URLS_KEY, if that was set")
@click.option("--requests-key", metavar="KEY", help="its SCHEDULER_QUEUE_KEY, if that was set")
@click.option("--dupefilter-key", metavar="KEY", help="its SCHEDULER_DUPEFILTER_KEY, if that was set")
@click.option("--dry-run", is_flag=True, help="show what is there, and change nothing")
@settings(*OF_CRAWL, "rules", *OF_REDIS)
def import_(
    source: str,
    spider: str | None,
    start_urls_key: str | None,
    requests_key: str | None,
    dupefilter_key: str | None,
    dry_run: bool,
    **given: Any,
) -> int:
    """Take over a crawl of Scrapy or scrapy-redis: its start URLs and waiting requests are queued.

    What it has fetched is not fetched again: links to it are left out as `seen-before`. FROM is the URL of the Redis of
    scrapy-redis, or a JOBDIR folder of Scrapy; nothing there is changed. Stop the spider before. Safe to repeat.
    """
    loaded = load_given(given)
    plan_of(loaded.settings)
    keys = {"start_urls": start_urls_key, "requests": requests_key, "dupefilter": dupefilter_key}
    with _opened(source, spider, {kind: key for kind, key in keys.items() if key}) as other:
        say(other.found())
        if dry_run:
            return 0
        with Session(loaded, say) as session:
            frontier = session.create_or_join()
            imported = Importer(session, frontier, line.show).take(other)
            if not imported.fingerprints:
                session.discard(frontier)
            line.clear()
            _report(session, imported)
    return 2 if imported.seeded.refused else 0


@contextmanager
def _opened(source: str, spider: str | None, keys: dict[str, str]) -> Iterator[Source]:
    if URL_MARK in source:
        with ScrapyRedis(source, Names(spider, keys), say) as found:
            yield found
    elif spider or keys:
        raise UsageError("--spider and the keys are for the Redis of scrapy-redis: name it as redis://HOST:6379")
    else:
        yield JobDir(Path(source))


def _report(session: Session, imported: Imported) -> None:
    seeded, crawl = imported.seeded, session.settings.crawl
    over = f", {seeded.over_budget:,} over a budget or of a blocked host" if seeded.over_budget else ""
    refused = f", {seeded.refused:,} refused" if seeded.refused else ""
    seen = f"{counted(imported.fingerprints, 'fingerprint')} ({imported.new_fingerprints:,} new)"
    say(f"{counted(seeded.new, 'new URL')}, {seeded.seen:,} known{over}{refused}; {seen}; crawl {crawl!r}")
    if not imported.fingerprints:
        say("it has no fingerprints (was SCHEDULER_PERSIST off?), so what it has fetched is fetched again")
    elif not seeded.accepted:
        say("nothing waits: name where to begin, `crawler run URL`; links to what was fetched before are left out")
