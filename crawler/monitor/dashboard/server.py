"""Serves the dashboard until it is stopped: the socket, TLS, and the loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn

from crawler.crawl.session import Session
from crawler.errors import UsageError
from crawler.monitor.dashboard.access import Access
from crawler.monitor.dashboard.app import Dashboard
from crawler.monitor.dashboard.feed import Feed
from crawler.monitor.watched import Watched

_LOOK_AGAIN: Final = 0.2
"""Seconds between two looks whether it is to stop."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens, and the certificate and key (PEM files) with which it speaks TLS, if any."""

    socket: socket.socket
    certificate: str | None = None
    key: str | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.socket.getsockname()[1])


def listen(address: str, port: int, certificate: str | None = None, key: str | None = None) -> Listener:
    """Listen at *address*. Raises UsageError where that, or the certificate, cannot be used."""
    try:
        if certificate is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return Listener(socket.create_server((address, port), family=family), certificate, key)
    except OSError as error:  # of the certificate, too
        what = f"{address} port {port}" if not isinstance(error, ssl.SSLError) else certificate
        raise UsageError(f"cannot serve at {what}: {error.strerror or error}") from None


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the command has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(session: Session, listener: Listener, access: Access, stopped: Callable[[], bool]) -> None:
    """Serve the dashboard of the session's crawl until *stopped*."""
    with ThreadPoolExecutor(1, "feed") as looking, ThreadPoolExecutor(1, "questions") as asking:
        asyncio.run(_serve(session, listener, access, stopped, (looking, asking)))


async def _serve(
    session: Session,
    listener: Listener,
    access: Access,
    stopped: Callable[[], bool],
    threads: tuple[ThreadPoolExecutor, ThreadPoolExecutor],
) -> None:
    watched, loop = Watched(session), asyncio.get_running_loop()
    feed = Feed(lambda: loop.run_in_executor(threads[0], watched.look))
    config = uvicorn.Config(
        Dashboard(session, access, feed, threads[1]).app(),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        limit_concurrency=500,
        timeout_graceful_shutdown=2,
        ssl_certfile=listener.certificate,
        ssl_keyfile=listener.key,
    )
    server = _Server(config)
    looking = asyncio.create_task(feed.run())
    serving = asyncio.create_task(server.serve([listener.socket]))
    while not stopped() and not serving.done():
        await asyncio.sleep(_LOOK_AGAIN)
    await feed.stop()
    server.should_exit = True
    await asyncio.gather(looking, serving)
