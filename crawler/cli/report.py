"""`crawler report`: the crawl in one HTML file."""

from __future__ import annotations

import time
from typing import Any

import click

from crawler.cli.extras import extra
from crawler.cli.options import OF_REDIS, examples, load_given, settings
from crawler.cli.terminal import say
from crawler.crawl.session import Session
from crawler.export.target import open_target


@click.command(
    short_help="the crawl in one HTML file",
    epilog=examples("crawler report -o report.html", "crawler report -o - > report.html"),
)
@click.option("-o", "--output", metavar="FILE", required=True, help="write the report to this file; - is stdout")
@settings(*OF_REDIS)
def report(output: str, **given: Any) -> int:
    """Write what was crawled and how it ended as one HTML file: outcomes, hosts, causes of failures, speed and more.

    The file contains all it needs and no scripts, so it can be sent to others.
    """
    with extra("web"):
        from crawler.monitor.report import render
    with Session(load_given(given), say, begins=False) as session:
        frontier = session.find()
        target = open_target(output, follow=False)
        try:
            target.write([render(frontier, session.settings, time.time()).encode("utf-8", "replace")])
            target.finish()
        except BaseException:
            target.abort()
            raise
        if output != "-":
            say(f"the report of crawl {session.settings.crawl!r} is in {output}")
    return 0
