"""Serves a folder on loopback, in threads of this process, to the workers of one check alone.

Its URLs have a secret at their beginning, so that neither other users of the machine nor a page in a browser can read
the folder meanwhile.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from contextlib import suppress
from email.utils import formatdate, parsedate_to_datetime
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from mimetypes import MimeTypes
from socketserver import TCPServer
from types import TracebackType
from typing import IO, Any, Final, Self

from crawler.check.folder import Folder, Served
from crawler.fetch.route import Route

MAX_CONNECTIONS: Final = 256
"""More wait until some have ended."""
_POLL: Final = 0.05
"""Seconds until the server notices that it must stop."""
_IDLE: Final = 30.0
"""Seconds that a connection may stay open without a request."""
_WHOLE: Final = 8 << 20
"""Bytes of a file up to which it is read at once, and its ETag is that of its content."""
_TYPES: Final = MimeTypes(filenames=())
for _ending, _type in {
    **{".avif": "image/avif", ".webp": "image/webp", ".ico": "image/x-icon", ".svg": "image/svg+xml"},
    **{".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf"},
    **{".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".map": "application/json"},
    **{".webmanifest": "application/manifest+json", ".xhtml": "application/xhtml+xml", ".md": "text/markdown"},
    **{".xml": "application/xml", ".rss": "application/rss+xml", ".atom": "application/atom+xml"},
    **{".json": "application/json", ".jsonld": "application/ld+json", ".yaml": "text/yaml", ".vtt": "text/vtt"},
}.items():
    _TYPES.add_type(_type, _ending)


class FolderServer(ThreadingHTTPServer):
    """Serves a folder inside the `with`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, folder: Folder) -> None:
        """OSError if no port is free."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.secret = f"/{secrets.token_urlsafe(16)}"
        self._room = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._serving = threading.Thread(target=self.serve_forever, args=(_POLL,), name="folder", daemon=True)

    @property
    def route(self) -> Route:
        """How requests for the folder's URLs get here."""
        return Route(self.folder.origin, f"http://127.0.0.1:{self.server_port}{self.secret}")

    def server_bind(self) -> None:
        """As in the base class, but without resolving the host's name, which may take long without a network."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()

    def __enter__(self) -> Self:
        self._serving.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._serving.join()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection in a thread, once there is room for it."""
        self._room.acquire()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close one connection."""
        super().shutdown_request(request)
        with suppress(ValueError):
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that leave in the middle of an answer."""


class _Handler(BaseHTTPRequestHandler):
    """Answers with the files of its server's folder; HTTP/1.1 with persistent connections."""

    server: FolderServer
    protocol_version = "HTTP/1.1"
    timeout = _IDLE
    wbufsize = 64 * 1024  # head and body in one packet
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer with a file, a redirect, or 404."""
        if not self.path.startswith(f"{self.server.secret}/"):
            self._send(404, b"")
            return
        served = self.server.folder.answer(self.path.removeprefix(self.server.secret))
        if served.location:
            self._send(served.status, b"", [("Location", served.location)])
        elif not served.file:
            self._send(served.status, b"not found\n", [("Content-Type", "text/plain")])
        else:
            self._send_file(served)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _send_file(self, served: Served) -> None:
        try:
            file = os.fdopen(
                os.open(self.server.folder.path_of(served.file), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb"
            )
        except OSError:  # it is gone, or may not be read
            self._send(404, b"not found\n", [("Content-Type", "text/plain")])
            return
        with file:
            found = os.fstat(file.fileno())
            headers = [
                ("Content-Type", type_of(served.file)),
                ("Last-Modified", formatdate(found.st_mtime, usegmt=True)),
            ]
            content: IO[bytes] = file
            size = found.st_size
            etag = f'"{size:x}-{found.st_mtime_ns:x}"'
            if size <= _WHOLE:  # a site that is built again has new times, and mostly the same contents
                body = file.read(_WHOLE + 1)
                content, size = BytesIO(body), len(body)
                etag = f'"{sha1(body, usedforsecurity=False).hexdigest()}"'
            headers.append(("ETag", etag))
            if served.status == 200 and self._has(etag, found.st_mtime):
                self._send(304, b"", headers)
            else:
                self._head(served.status, size, headers)
                if self.command != "HEAD":
                    shutil.copyfileobj(content, self.wfile)

    def _has(self, etag: str, changed: float) -> bool:
        """Whether the client has this content already (RFC 9110 section 13.2.2)."""
        if (known := self.headers.get("If-None-Match")) is not None:
            return etag in (one.strip().removeprefix("W/") for one in known.split(","))
        try:
            return int(changed) <= parsedate_to_datetime(self.headers.get("If-Modified-Since", "")).timestamp()
        except (TypeError, ValueError, OverflowError):
            return False

    def _send(self, status: int, body: bytes, headers: list[tuple[str, str]] | None = None) -> None:
        self._head(status, len(body), headers or [])
        if self.command != "HEAD" and status != 304:
            self.wfile.write(body)

    def _head(self, status: int, size: int, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(size))
        self.end_headers()

    def version_string(self) -> str:
        """What the `Server` header says."""
        return "folder"

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing to stderr."""


def type_of(name: str) -> str:
    """The Content-Type of a file by its ending; text is UTF-8, as static hosts say."""
    found, encoding = _TYPES.guess_type(name.rpartition("/")[2])
    if encoding is not None:
        return "application/gzip" if encoding == "gzip" else "application/octet-stream"
    found = found or "application/octet-stream"
    return f"{found}; charset=utf-8" if found.startswith("text/") else found
