"""`crawler dashboard`: the crawl in a browser, to look at and to steer."""

from __future__ import annotations

import html
import os
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from crawler.cli.extras import extra
from crawler.cli.options import OF_REDIS, examples, load_given, settings
from crawler.cli.terminal import say
from crawler.crawl.session import Session
from crawler.errors import UsageError

if TYPE_CHECKING:
    from crawler.monitor.dashboard.access import Access

_PORT: Final = 8765
_METRICS_TOKEN: Final = "CRAWLER_METRICS_TOKEN"


@click.command(
    short_help="the crawl in a browser",
    epilog=examples(
        "crawler dashboard --open                                  in the browser of this machine",
        "ssh -L 8765:127.0.0.1:8765 SERVER crawler dashboard       that of another machine, safely",
        "crawler dashboard --host 192.0.2.7 --tls-certificate cert.pem --tls-key key.pem",
    ),
)
@click.option(
    "--port", metavar="N", type=click.IntRange(0, 65535), default=_PORT, show_default=True, help="0: a free one"
)
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="serve at this address")
@click.option("--open", "opens", is_flag=True, help="open it in the browser")
@click.option("--tls-certificate", "certificate", metavar="FILE", help="serve HTTPS with this certificate chain (PEM)")
@click.option("--tls-key", "key", metavar="FILE", help="the key of the certificate (PEM)")
@settings(*OF_REDIS)
def dashboard(port: int, host: str, opens: bool, certificate: str | None, key: str | None, **given: Any) -> int:
    """Serve a page that shows the crawl and steers it: charts, hosts, failures, settings, workers, single URLs.

    The address that is printed works once, for one browser. CRAWLER_METRICS_TOKEN allows Prometheus to read /metrics.
    """
    with extra("web"):
        from crawler.monitor.dashboard import access as accesses
        from crawler.monitor.dashboard import server
    if key is not None and certificate is None:
        raise UsageError("--tls-key needs --tls-certificate")
    with Session(load_given(given), say, begins=False) as session:
        session.find()  # where there is no crawl, this says so
        listener = server.listen(host, port, certificate, key)
        tls, token = certificate is not None, os.environ.get(_METRICS_TOKEN, "")
        access = accesses.Access(host, listener.port, tls=tls, metrics_token=token)
        if not tls and not accesses.is_loopback(host):
            say("warning: without TLS everyone on the way can read and steer: use --tls-certificate, or ssh -L")
        with session.redis.interruptible() as stopped, _entrance(access, opens):
            server.serve(session, listener, access, stopped)
    return 0


@contextmanager
def _entrance(access: Access, opens: bool) -> Iterator[None]:
    """Show the address, or open it by a file that nobody else can read: arguments of a browser are visible to all."""
    with tempfile.TemporaryDirectory(prefix="crawler-dashboard-") as folder:
        page = Path(folder) / "open.html"
        fd = os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={html.escape(access.entry)}">')
        if opens and webbrowser.open(page.as_uri()):
            say(f"the dashboard is open in the browser: {access.origin} (Ctrl-C ends)")
        else:
            say(f"dashboard: {access.entry} (works once; Ctrl-C ends)")
        yield
