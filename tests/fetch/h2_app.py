"""A server of HTTP/2 and 1.1 over TLS, a process of its own: python h2_app.py CERTIFICATE KEY LISTENING-DESCRIPTOR.

`/version` answers with the version of HTTP it was asked in, `/not-modified` with 304 and the tag of If-None-Match, any
other path with 100,000 bytes.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError  # so that hypercorn goes without lifespan events
    if scope["path"] == "/not-modified":
        tag = dict(scope["headers"])[b"if-none-match"]
        await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", tag)]})
        await send({"type": "http.response.body", "body": b""})
        return
    body = scope["http_version"].encode() if scope["path"] == "/version" else b"x" * 100_000
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    config = Config()
    config.certfile, config.keyfile = sys.argv[1:3]
    config.bind = [f"fd://{sys.argv[3]}"]
    config.accesslog = config.errorlog = None
    asyncio.run(serve(app, config))
