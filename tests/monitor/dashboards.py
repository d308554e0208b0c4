"""A dashboard that is served by a thread of the test, and a client of it that can send anything."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from crawler.crawl.session import Session
from crawler.monitor.dashboard.access import ACTION_HEADER, Access
from crawler.monitor.dashboard.server import listen, serve
from tests.stories.commands import wait_until


@dataclass
class Answer:
    """What the server answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass
class Served:
    """A running dashboard; `enter` makes this client its session."""

    access: Access
    port: int
    cookie: str = ""
    token: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        """The right `Host`."""
        return f"127.0.0.1:{self.port}"

    @property
    def own(self) -> dict[str, str]:
        """The right headers of an action."""
        return {
            "Cookie": self.cookie,
            "Origin": self.access.origin,
            "Content-Type": "application/json",
            ACTION_HEADER: self.token,
        }

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | str | None = None
    ) -> Answer:
        """Send one request with just these headers, `Host` aside."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            reply = connection.getresponse()
            return Answer(reply.status, reply.headers, reply.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """What the session sees there."""
        answer = self.ask("GET", path, {"Cookie": self.cookie})
        assert answer.status == 200, answer.body
        return answer.json

    def do(self, action: str, **values: str) -> Answer:
        """An action as the page sends it."""
        return self.ask("POST", f"/api/do/{action}", self.own, json.dumps(values))

    def enter(self) -> Answer:
        """Exchange the token of the address for the session."""
        token = self.access.entry.partition("#token=")[2]
        answer = self.ask("POST", "/session", {"Origin": self.access.origin, ACTION_HEADER: token})
        if answer.status == 200:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            self.token = answer.json["action_token"]
        return answer

    @contextmanager
    def events(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """The stream of events: name and value."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/events", headers={"Cookie": self.cookie})
        reply = connection.getresponse()
        assert reply.status == 200

        def read() -> Iterator[tuple[str, Any]]:
            while line := reply.readline():
                if line.startswith(b"event: "):
                    yield line[7:].decode().strip(), json.loads(reply.readline().removeprefix(b"data: "))

        try:
            yield read()
        finally:
            reply.close()
            connection.close()


@contextmanager
def served(session: Session, metrics_token: str = "") -> Iterator[Served]:
    """Serve the session's crawl."""
    listener = listen("127.0.0.1", 0)
    made = Served(Access("127.0.0.1", listener.port, metrics_token=metrics_token), listener.port)
    thread = threading.Thread(target=serve, args=(session, listener, made.access, made.stopping.is_set))
    thread.start()
    try:
        yield made
    finally:
        made.stopping.set()
        thread.join(30)
        wait_until(lambda: not thread.is_alive(), "the end of the dashboard")
