"""The S3 server of the tests as a process of its own: it can be killed, and goes on with all that it acknowledged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote
from urllib.request import Request, urlopen

ROOT = Path(__file__).parent.parent.parent
BUCKET = "crawls"
KEY, SECRET = "AKIDOFTESTS", "very-secret-of-tests"


class S3Server:
    """A server with one bucket, on a port that stays the same when it is started again."""

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        """With the file of a *certificate* it speaks TLS."""
        self.folder, self.port, self._certificate = folder, 0, certificate
        (folder / "objects" / BUCKET).mkdir(parents=True)
        self.start()

    def start(self) -> None:
        """Start the process, and wait until it listens."""
        command = [sys.executable, "-m", "tests.export.s3_program", str(self.folder), str(self.port)]
        command += [] if self._certificate is None else [str(self._certificate)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self._process.kill()
        self.wait()

    def wait(self) -> None:
        """Wait until it has ended by itself."""
        assert self._process.stdout is not None
        self._process.wait(60)
        if not self._process.stdout.closed:
            self._process.stdout.close()

    @property
    def endpoint(self) -> str:
        """For AWS_ENDPOINT_URL."""
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a client."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "eu-central-1",
        }

    def fail(self, **fault: Any) -> None:
        """Let the next requests fail, see `Fault` in s3_program.py."""
        self._ask("_fault", json.dumps(fault).encode())

    def clear(self) -> None:
        """Let no further request fail."""
        self._ask("_clear", b"{}")

    @property
    def seen(self) -> list[str]:
        """The requests since it was started: method and path."""
        found: list[str] = json.loads(self._ask("_seen", b"{}"))
        return found

    def _ask(self, path: str, body: bytes) -> bytes:
        with urlopen(Request(f"{self.endpoint}/{path}", data=body)) as answer:
            read: bytes = answer.read()
            return read

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """What is visible in the bucket: key -> content."""
        files = sorted((self.folder / "objects" / BUCKET).iterdir())
        return {unquote(file.name): file.read_bytes() for file in files if unquote(file.name).startswith(prefix)}

    def write(self, key: str, data: bytes) -> None:
        """Put an object there by another way."""
        (self.folder / "objects" / BUCKET / quote(key, safe="")).write_bytes(data)

    def delete(self, key: str) -> None:
        """Delete an object by another way."""
        (self.folder / "objects" / BUCKET / quote(key, safe="")).unlink()

    @property
    def uploads(self) -> list[str]:
        """Multipart uploads that are neither complete nor aborted."""
        return [file.read_text() for file in (self.folder / "uploads").glob("*/key")]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.alive:
            self.kill()
