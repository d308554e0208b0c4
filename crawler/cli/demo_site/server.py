"""The demo's server, and the outcomes that a crawl of its sites must have.

Each site is a separate host (address and port), so politeness towards one never delays another. Nothing listens beyond
loopback and no name is resolved: it works offline.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Final

from crawler import url as urls
from crawler.cli.demo_site.pages import SITES, Answer, Site, build, not_found

_POLL: Final = 0.02
"""Seconds until a server notices that it must stop."""
_IDLE: Final = 60.0
"""Seconds that a connection may stay open without a request."""
_LOGGED: Final = 100_000


@dataclass(frozen=True, slots=True)
class Hit:
    """One request that was answered; `at` is its arrival, on `time.monotonic()`'s clock."""

    at: float
    url: str
    status: int
    agent: str


class DemoSite:
    """The five sites; they are served between `start` and `stop`, or inside `with`.

    `seeds` has the first page of each, `hosts` the host (`address:port`) of each by name, `requests_log` every request.
    """

    def __init__(self, seed: int = 1) -> None:
        """*seed* decides only what the pages say; their number and their links are always the same."""
        self.seed = seed
        self.seeds: list[str] = []
        self.hosts: dict[str, str] = {}
        self.requests_log: deque[Hit] = deque(maxlen=_LOGGED)
        self._servers: list[_Server] = []
        self._answers: dict[str, Answer] = {}

    def start(self) -> DemoSite:
        """Listen and serve; returns itself. OSError if no port is free."""
        if self._servers:
            return self
        for number, site in enumerate(SITES, 1):
            self._servers.append(_listen(site, number, self.requests_log))
        self.hosts = {server.site.name: server.host for server in self._servers}
        self._answers = build({server.site.name: server.origin for server in self._servers}, self.seed)
        self.seeds = [f"{server.origin}/" for server in self._servers]
        for server in self._servers:
            server.start(self._answers)
        return self

    def stop(self) -> None:
        """Close all connections and end all threads; the log stays."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.stop()

    def __enter__(self) -> DemoSite:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def expected_outcomes(self) -> dict[str, str]:
        """Each URL that a crawl from `seeds` must end, and its outcome.

        With scope `site`, obeying robots.txt, noindex and nofollow. Links to other hosts of the demo are in scope;
        links to the rest of the web leave no record.
        """
        sites = {host: next(site for site in SITES if site.name == name) for name, host in self.hosts.items()}
        outcomes: dict[str, str] = {}
        waiting = deque(self.seeds)
        while waiting:
            url = waiting.popleft()
            if url in outcomes or urls.host(url) not in sites:
                continue
            outcomes[url], links = _end_of(url, sites[urls.host(url)], self._answers.get(url))
            if outcomes[url] == "redirected" and self._closes_a_loop(url, outcomes):
                outcomes[url] = "failed:redirect-loop"
            waiting.extend(links)
        return outcomes

    def _closes_a_loop(self, url: str, outcomes: Mapping[str, str]) -> bool:
        """Whether the redirect of *url* leads back to it by redirects that have ended."""
        at = self._answers[url].location
        while at is not None and at != url and outcomes.get(at) == "redirected":
            at = self._answers[at].location
        return at == url


def _end_of(url: str, site: Site, answer: Answer | None) -> tuple[str, tuple[str, ...]]:
    """The outcome of a URL, and the URLs that it leads to."""
    path = urls.split(url)[2]
    refused = max((len(prefix) for prefix in site.disallowed if path.startswith(prefix)), default=0)
    allowed = max((len(prefix) for prefix in site.allowed if path.startswith(prefix)), default=0)
    if refused > allowed:
        return "dropped:robots", ()
    if answer is None:
        return "missing", ()
    if answer.location is not None:
        return "redirected", answer.links
    if not answer.content_type.startswith("text/"):
        return "dropped:type", ()
    return ("dropped:noindex" if answer.noindex else "fetched"), answer.links


def _listen(site: Site, number: int, log: deque[Hit]) -> _Server:
    try:
        return _Server(f"127.0.0.{number}", site, log)
    except OSError:  # macOS has only 127.0.0.1: there the ports distinguish the sites
        return _Server("127.0.0.1", site, log)


class _Server(ThreadingHTTPServer):
    """One site, with a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, site: Site, log: deque[Hit]) -> None:
        super().__init__((address, 0), _Handler)
        self.site = site
        self.log = log
        self.host = f"{address}:{self.server_port}"
        self.origin = f"http://{self.host}"
        self.ended = threading.Event()
        self.answers: Mapping[str, Answer] = {}
        self._serving: list[threading.Thread] = []
        self._sockets: set[socket] = set()

    def server_bind(self) -> None:
        """As in the base class, but without resolving the host's name, which may take long without a network."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()

    def start(self, answers: Mapping[str, Answer]) -> None:
        """Serve *answers* in a thread."""
        self.answers = answers
        thread = threading.Thread(target=self.serve_forever, args=(_POLL,), name=f"demo-{self.site.name}", daemon=True)
        thread.start()
        self._serving.append(thread)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection in a thread that `stop` can end."""
        self._serving = [thread for thread in self._serving if thread.is_alive()]
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._sockets.add(request)
        self._serving.append(thread)
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close one connection."""
        self._sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that leave in the middle of an answer."""

    def stop(self) -> None:
        """Accept nothing more, break off open connections, wait for the threads."""
        self.ended.set()
        if self._serving:
            self.shutdown()
        for open_socket in list(self._sockets):
            with suppress(OSError):  # its thread just closed it
                open_socket.shutdown(SHUT_RDWR)
        for thread in self._serving:
            thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers from its server's table; HTTP/1.1 with persistent connections."""

    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _IDLE
    wbufsize = 64 * 1024  # head and body in one packet
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer after the site's delay."""
        came, server = time.monotonic(), self.server
        if server.ended.wait(server.site.wait) if server.site.wait else server.ended.is_set():
            self.close_connection = True
            return
        url = server.origin + self.path
        answer = self._robots() if self.path == "/robots.txt" else server.answers.get(url)
        answer = answer or not_found(server.site)
        server.log.append(Hit(came, url, answer.status, self.headers.get("User-Agent", "")))
        self._send(answer)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _robots(self) -> Answer | None:
        rules = self.server.site.robots
        return None if rules is None else Answer(rules.encode(), content_type="text/plain; charset=utf-8")

    def _send(self, answer: Answer) -> None:
        body = answer.body
        self.send_response(answer.status)
        if answer.location is not None:
            self.send_header("Location", answer.location)
        else:
            self.send_header("Content-Type", answer.content_type)
        if answer.gzipped is not None:
            self.send_header("Vary", "Accept-Encoding")
            if "gzip" in self.headers.get("Accept-Encoding", ""):
                self.send_header("Content-Encoding", "gzip")
                body = answer.gzipped
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing to stderr; `DemoSite.requests_log` has every request."""
