"""A receiver of webhooks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """A server that notes what is posted. It answers by the statuses in `answers`, then by 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    """No answer until it is set."""

    def accepted(self) -> list[dict[str, Any]]:
        """The events of all posts, one for each id, as a careful receiver keeps them."""
        found = {event["id"]: event for _, body in self.posts for event in json.loads(body)}
        return list(found.values())


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on loopback, until the end of the `with`."""
    made = Receiver()
    made.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.posts.append((dict(self.headers), body))
            made.gate.wait()
            self.send_response(made.answers.pop(0) if made.answers else 200)
            self.send_header("Location", f"{made.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield made
    finally:
        made.gate.set()
        server.shutdown()
        server.server_close()
