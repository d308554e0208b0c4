"""A small S3 server for tests, a program: FOLDER PORT [CERTIFICATE]. What it has acknowledged survives SIGKILL.

It knows what an export asks for: PUT (conditional too), GET, HEAD, DELETE, ListObjectsV2, multipart uploads. An object
is a file `FOLDER/objects/BUCKET/KEY` with `%2F` for each slash; it appears by rename. It knows the access keys of KEYS,
and checks no signature. `POST /_fault` makes the next requests fail (see `Fault`), `POST /_seen` lists the requests.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import ssl
import sys
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

KEYS: Final = {"AKIDOFTESTS", "AKIDWITHTOKEN"}
TOKEN: Final = "token-of-tests"
"""What the second key needs as its session token."""
PAGE: Final = 100
"""Most keys in one answer to a list."""


@dataclass
class Fault:
    """What is to go wrong, for the next *times* requests that match."""

    method: str = ".*"
    key: str = ".*"
    times: int = 1
    status: int = 0
    """The status to answer with; 0: none."""
    code: str = "InternalError"
    delay: float = 0.0
    """Seconds to wait before anything is done."""
    die: str = ""
    """`before`: the server kills itself before it does what is asked; `after`: before it says so."""

    def matches(self, method: str, key: str) -> bool:
        return self.times > 0 and bool(re.fullmatch(self.method, method) and re.fullmatch(self.key, key))


@dataclass
class World:
    """All that the threads share."""

    folder: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """Method and path with query, and the Authorization's first words."""

    def file(self, bucket: str, key: str) -> Path:
        return self.folder / "objects" / bucket / (quote(key, safe="") or "%")

    def fault(self, method: str, key: str) -> Fault:
        with self.lock:
            found = next((one for one in self.faults if one.matches(method, key)), Fault(times=0))
            found.times -= 1
            return Fault(**asdict(found)) if found.times >= 0 else Fault()


class Refused(Exception):
    """An answer that is an error of S3."""

    def __init__(self, status: int, code: str, message: str = "as the test asked") -> None:
        super().__init__(code)
        self.status = status
        self.body = (
            f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
        ).encode()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    world: World

    def do_any(self) -> None:
        """Answer one request."""
        split = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(split.query, keep_blank_values=True).items()}
        _, self.bucket, self.key = (unquote(split.path) + "//").split("/", 2)
        self.key = self.key.rstrip("/") if not split.path.endswith("/") else self.key[:-1].rstrip("/")
        self.body = self._body()
        if self.bucket.startswith("_"):
            self._control()
            return
        world = self.world
        world.seen.append(f"{self.command} {self.path}")
        fault = world.fault(self.command, self.key)
        time.sleep(fault.delay)
        self._maybe_die(fault, "before")
        try:
            if fault.status:
                raise Refused(fault.status, fault.code)
            self._authorize()
            with world.lock:
                status, headers, body = self._serve()
            self._maybe_die(fault, "after")
            self._answer(status, body, headers)
        except Refused as refused:
            self._answer(refused.status, refused.body, {"Content-Type": "application/xml"})

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do_any  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    @staticmethod
    def _maybe_die(fault: Fault, moment: str) -> None:
        if fault.die == moment:
            os.kill(os.getpid(), 9)

    def _control(self) -> None:
        if self.bucket == "_fault":
            self.world.faults.append(Fault(**json.loads(self.body)))
            self._answer(200, b"")
        elif self.bucket == "_clear":
            self.world.faults.clear()
            self._answer(200, b"")
        else:
            self._answer(200, json.dumps(self.world.seen).encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def _authorize(self) -> None:
        found = re.search(r"Credential=([^/]+)/\d+/[^/]+/s3/aws4_request", self.headers.get("Authorization", ""))
        if found is None:
            raise Refused(403, "AccessDenied", "Access Denied")
        if found[1] not in KEYS:
            raise Refused(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist.")
        if found[1] == "AKIDWITHTOKEN" and self.headers.get("x-amz-security-token") != TOKEN:
            raise Refused(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        if not (self.world.folder / "objects" / self.bucket).is_dir():
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")

    def _serve(self) -> tuple[int, dict[str, str], bytes]:
        command, query = self.command, self.query
        if command == "GET" and not self.key:
            return 200, {"Content-Type": "application/xml"}, self._listing()
        if command == "POST":
            return 200, {"Content-Type": "application/xml"}, self._post()
        if command == "PUT" and "uploadId" in query:
            return 200, {"ETag": self._put_part()}, b""
        if command == "DELETE" and "uploadId" in query:
            shutil.rmtree(self._upload(), ignore_errors=True)
            return 204, {}, b""
        file = self.world.file(self.bucket, self.key)
        if command == "PUT":
            return 200, {"ETag": self._put(file)}, b""
        if command == "DELETE":
            file.unlink(missing_ok=True)
            return 204, {}, b""
        if not file.exists():
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        return self._get(file)

    def _get(self, file: Path) -> tuple[int, dict[str, str], bytes]:
        data = file.read_bytes()
        headers = {"ETag": etag(data), "Last-Modified": formatdate(file.stat().st_mtime, usegmt=True)}
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            return 200, headers | {"Content-Length": str(len(data))}, data
        if wanted[1]:
            start, end = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        else:
            start, end = max(len(data) - int(wanted[2]), 0), len(data) - 1
        part = data[start : end + 1]
        span = f"bytes {start}-{end}/{len(data)}"
        return 206, headers | {"Content-Length": str(len(part)), "Content-Range": span}, part

    def _put(self, file: Path) -> str:
        if self.headers.get("If-None-Match") == "*" and file.exists():
            raise Refused(412, "PreconditionFailed", "At least one of the conditions did not hold")
        wanted = self.headers.get("If-Match")
        if wanted is not None:
            if not file.exists():
                raise Refused(404, "NoSuchKey", "The specified key does not exist.")
            if etag(file.read_bytes()) != wanted:
                raise Refused(412, "PreconditionFailed", "At least one of the conditions did not hold")
        self._replace(file, self.body)
        return etag(self.body)

    def _replace(self, file: Path, data: bytes) -> None:
        part = self.world.folder / f"part-{uuid.uuid4().hex}"
        part.write_bytes(data)
        part.replace(file)

    def _upload(self) -> Path:
        folder = self.world.folder / "uploads" / re.sub(r"\W", "", self.query["uploadId"])
        if not folder.is_dir():
            raise Refused(404, "NoSuchUpload", "The specified upload does not exist.")
        return folder

    def _put_part(self) -> str:
        (self._upload() / f"{int(self.query['partNumber']):05d}").write_bytes(self.body)
        return etag(self.body)

    def _post(self) -> bytes:
        if "delete" in self.query:
            keys = [unquote(key) for key in re.findall(r"<Key>(.*?)</Key>", self.body.decode())]
            for key in keys:
                self.world.file(self.bucket, key).unlink(missing_ok=True)
            gone = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
            return f"<DeleteResult>{gone}</DeleteResult>".encode()
        where = f"<Bucket>{self.bucket}</Bucket><Key>{escape(self.key)}</Key>"
        if "uploads" in self.query:
            name = uuid.uuid4().hex
            (self.world.folder / "uploads" / name).mkdir(parents=True)
            (self.world.folder / "uploads" / name / "key").write_text(f"{self.bucket}/{self.key}")
            begun = f"{where}<UploadId>{name}</UploadId>"
            return f"<InitiateMultipartUploadResult>{begun}</InitiateMultipartUploadResult>".encode()
        folder = self._upload()
        numbers = [int(number) for number in re.findall(r"<PartNumber>(\d+)</PartNumber>", self.body.decode())]
        data = b"".join((folder / f"{number:05d}").read_bytes() for number in numbers)
        self._replace(self.world.file(self.bucket, self.key), data)
        shutil.rmtree(folder)
        tag = escape(etag(data))
        return f"<CompleteMultipartUploadResult>{where}<ETag>{tag}</ETag></CompleteMultipartUploadResult>".encode()

    def _listing(self) -> bytes:
        prefix = self.query.get("prefix", "")
        after = self.query.get("continuation-token") or self.query.get("start-after") or ""
        folder = self.world.folder / "objects" / self.bucket
        keys = sorted(key for file in folder.iterdir() if (key := unquote(file.name)).startswith(prefix))
        keys = [key for key in keys if key > after]
        page, more = keys[:PAGE], len(keys) > PAGE
        items = "".join(self._item(key) for key in page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return (
            f"<ListBucketResult><Name>{self.bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
            f"<MaxKeys>{PAGE}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</ListBucketResult>"
        ).encode()

    def _item(self, key: str) -> str:
        file = self.world.file(self.bucket, key)
        when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(file.stat().st_mtime))
        tag = escape(etag(file.read_bytes()))
        return (
            f"<Contents><Key>{escape(key)}</Key><LastModified>{when}</LastModified><ETag>{tag}</ETag>"
            f"<Size>{file.stat().st_size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )


class Server(ThreadingHTTPServer):
    """Takes many connections at once; one that breaks is no event."""

    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


def etag(data: bytes) -> str:
    """The ETag of an object."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def main(folder: str, port: str, certificate: str = "") -> None:
    """Serve *folder* on *port* of loopback until killed, by TLS if there is the file of a *certificate*."""
    Handler.world = World(Path(folder))
    server = Server(("127.0.0.1", int(port)), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
