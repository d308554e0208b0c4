"""The S3 server of moto, the widely used model of AWS, as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Final, Self
from urllib.request import Request, urlopen

from tests.export.s3_server import BUCKET

_PROGRAM: Final = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
input()
"""


class MotoServer:
    """A server with one bucket, in memory."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.endpoint = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        urlopen(Request(f"{self.endpoint}/{BUCKET}", method="PUT")).close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a client."""
        keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}
        return keys | {"AWS_ENDPOINT_URL": self.endpoint}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
