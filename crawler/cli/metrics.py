"""`crawler metrics`: the numbers of the crawl for Prometheus."""

from __future__ import annotations

import time
from typing import Any

import click

from crawler.cli.extras import extra
from crawler.cli.options import OF_REDIS, examples, load_given, settings
from crawler.cli.terminal import say
from crawler.crawl.session import Session
from crawler.errors import UsageError
from crawler.monitor.watched import Watched

LOOPBACK = "127.0.0.1"


@click.command(
    short_help="numbers for Prometheus",
    epilog=examples(
        "crawler metrics                                     print them once",
        "crawler metrics --port 9464                         serve them at http://127.0.0.1:9464/metrics",
        "crawler metrics --port 9464 --host 0.0.0.0          to other machines, without a password",
    ),
)
@click.option(
    "--port", metavar="N", type=click.IntRange(0, 65535), help="serve at this port until Ctrl-C; 0: a free one"
)
@click.option("--host", metavar="ADDRESS", default=LOOPBACK, show_default=True, help="serve at this address")
@settings(*OF_REDIS)
def metrics(port: int | None, host: str, **given: Any) -> int:
    """Print the numbers of the crawl in Prometheus's text format, or serve them with --port."""
    with extra("web"):
        from crawler.monitor import metrics as numbers
    with Session(load_given(given), say, begins=False) as session:
        watched = Watched(session)
        crawl = session.settings.crawl
        if port is None:
            watched.look()  # where there is no crawl, this says so
            click.echo(numbers.text(crawl, watched.look).decode(), nl=False)
            return 0
        with session.redis.interruptible() as stopped:
            try:
                with numbers.serving(host, port, crawl, watched.look) as bound:
                    say(f"metrics of crawl {crawl!r}: http://{host}:{bound}/metrics (Ctrl-C ends)")
                    while not stopped():
                        time.sleep(0.2)
            except OSError as error:
                raise UsageError(
                    f"cannot serve at {host} port {port}: {error.strerror}; choose another --port"
                ) from None
    return 0
