"""`crawler demo`: crawls the demo site on its own embedded Redis, then compares every outcome with the expected one."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from crawler.cli.demo_site import DemoSite
from crawler.cli.export import check_output, write_all
from crawler.cli.options import DEMO_DELAY
from crawler.cli.progress import run_with_summary
from crawler.cli.terminal import say
from crawler.config import Loaded
from crawler.crawl.session import Session
from crawler.crawl.signals import INTERRUPTED
from crawler.errors import CrawlerError
from crawler.export import Output, read
from crawler.frontier.crawldb import CrawlDb

_SHOWN: Final = 5


class DemoFailed(CrawlerError):
    """The demo's crawl did not end as the site expects."""

    exit_code = 1


def run_demo(loaded: Loaded, output: Output | None) -> int:
    """Serve the site, crawl it, check it. Returns 130 if interrupted, else 0. Raises DemoFailed."""
    delay = loaded.settings.delay if "delay" in loaded.named else DEMO_DELAY
    with tempfile.TemporaryDirectory(prefix="crawler-demo-") as folder, DemoSite() as site:
        settings = replace(loaded.settings, redis=None, folder=str(Path(folder) / "redis"), crawl="demo", delay=delay)
        say(f"a site of {len(site.expected_outcomes())} URLs on {len(site.seeds)} hosts is served on loopback; seeds:")
        for seed in site.seeds:
            say(f"  {seed}")
        with Session(Loaded(settings, loaded.named), say) as session:
            frontier = session.create_or_join()
            if output is not None:
                check_output(session, frontier, output)
            session.seed(frontier, site.seeds)
            ended = run_with_summary(session, frontier, until_done=True)
            if output is not None:
                write_all(session, frontier, output)
            if ended.interrupted:
                return INTERRUPTED
            _compare(site.expected_outcomes(), _outcomes(session.crawldb))
    say("every URL of the site ended as it must; robots.txt, noindex, nofollow and redirects were obeyed")
    say("next: crawler run https://your.site --max-pages 100 -o pages.jsonl")
    return 0


def _outcomes(crawldb: CrawlDb) -> dict[str, str]:
    return {record.url: record.outcome for record in read(crawldb.records)}


def _compare(expected: dict[str, str], found: dict[str, str]) -> None:
    wrong = [
        f"{url}: {found.get(url, 'not found')} instead of {outcome}"
        for url, outcome in expected.items()
        if found.get(url) != outcome
    ]
    wrong += [
        f"{url}: {outcome}, but the site has no link to it" for url, outcome in found.items() if url not in expected
    ]
    if wrong:
        more = f" (and {len(wrong) - _SHOWN} more)" if len(wrong) > _SHOWN else ""
        raise DemoFailed(f"{len(wrong)} URLs did not end as they must: " + "; ".join(wrong[:_SHOWN]) + more)
