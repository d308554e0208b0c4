"""Folders served as sites by nginx on loopback, in a process of its own, with a log of every request.

`python -m benchmarks.site NAME=PATH ...` serves folders until Ctrl-C.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

START_LIMIT: Final = 10.0
"""Seconds that nginx may take to start on a busy machine."""

_CONFIG: Final = """
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 4096; }}
http {{
    types {{
        text/html html htm; text/css css; text/plain txt py c h; text/xml xml; application/javascript js;
        application/json json; image/png png; image/svg+xml svg; image/gif gif; application/pdf pdf;
        application/gzip gz; application/vnd.openxmlformats-officedocument.wordprocessingml.document docx;
    }}
    default_type application/octet-stream;
    log_format plain '$msec $status $bytes_sent http://$server_addr:$server_port$request_uri';
    access_log access.log plain;
    sendfile on;
    tcp_nopush on;
    {header}client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
{servers}
}}
"""


class SiteError(Exception):
    """The sites cannot be served or had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One request that nginx answered."""

    time: float
    """Seconds since the epoch, to a millisecond."""
    status: int
    octets: int
    """Bytes that were sent, headers included."""
    url: str

    @property
    def is_robots(self) -> bool:
        """It asked for a site's robots.txt."""
        return self.url.split("/", 3)[3] == "robots.txt"


class Sites:
    """Each folder as a site of its own, on every one of *addresses*; served inside the `with`."""

    def __init__(
        self,
        folders: Mapping[str, Path],
        addresses: Sequence[str] = ("127.0.0.1",),
        *,
        below_own_path: bool = False,
        header: str = "",
    ) -> None:
        """Raises SiteError where a folder is none, or nginx is not there.

        *below_own_path*: each address has the pages below a path that no other has. *header*: `NAME VALUE` of one that
        each answer has.
        """
        for name, folder in folders.items():
            if not folder.is_dir():
                raise SiteError(f"site {name!r}: there is no folder {folder}")
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
        if nginx is None:
            raise SiteError("nginx is not on PATH: install it (Debian: apt install nginx-light)")
        self.urls: list[str] = []
        """The start page of each site."""
        self._nginx = nginx
        self._folders = dict(folders)
        self._addresses = tuple(addresses)
        self._below_own_path = below_own_path
        self._header = f"add_header {header} always; " if header else ""
        self._counted = [0, 0]
        """Bytes of the log that were counted, and the lines in them."""
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start nginx; SiteError if it does not."""
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="crw-site-")))
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._end()

    def _start(self) -> None:
        ports = free_ports(self._addresses, len(self._folders))
        servers = []
        for address in self._addresses:
            path = f"{address.replace('.', '-')}/" if self._below_own_path else ""
            inner = f" rewrite ^/{path}(.*)$ /$1 break;" if path else ""
            for port, folder in zip(ports, self._folders.values(), strict=True):
                servers.append(
                    f'    server {{ listen {address}:{port}; root "{folder.resolve()}"; index index.html;{inner} }}'
                )
                self.urls.append(f"http://{address}:{port}/{path}")
        (self._folder / "temp").mkdir()
        (self._folder / "nginx.conf").write_text(
            _CONFIG.format(servers="\n".join(servers), header=self._header), encoding="utf-8"
        )
        self._process = subprocess.Popen(
            [self._nginx, "-p", str(self._folder), "-c", "nginx.conf", "-e", "error.log"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the one who measures
        )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        until = time.monotonic() + START_LIMIT
        host, _, port = self.urls[-1][7:].partition("/")[0].partition(":")
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise SiteError(f"nginx did not start: {self._errors()}") from None
                time.sleep(0.01)
            else:
                return

    def _errors(self) -> str:
        log = self._folder / "error.log"
        return (log.read_text(errors="replace") if log.exists() else "").strip()[-500:] or "no reason given"

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
        self._stack.close()

    # -- the log -------------------------------------------------------------------------------------------------------

    @property
    def _log(self) -> Path:
        return self._folder / "access.log"

    @property
    def pid(self) -> int:
        """The process that serves."""
        assert self._process is not None
        return self._process.pid

    def mark(self) -> int:
        """Where the log is now: what `hits` and `count` begin from."""
        return self._log.stat().st_size

    def hits(self, mark: int = 0) -> Iterator[Hit]:
        """The requests since *mark*, in the order of their ends."""
        with self._log.open("rb") as log:
            log.seek(mark)
            for line in log:
                when, status, octets, url = line.decode("ascii", "backslashreplace").rstrip("\n").split(" ", 3)
                yield Hit(float(when), int(status), int(octets), url)

    def asked(self, mark: int = 0) -> Counter[str]:
        """How often each URL was asked for since *mark*, robots.txt apart."""
        return Counter(hit.url for hit in self.hits(mark) if not hit.is_robots)

    def count(self, mark: int = 0) -> int:
        """How many requests there were since *mark*."""
        with self._log.open("rb") as log:
            log.seek(mark)
            return log.read().count(b"\n")

    def total(self) -> int:
        """How many requests there were in all; for those who ask often."""
        with self._log.open("rb") as log:
            log.seek(self._counted[0])
            new = log.read()
        self._counted = [self._counted[0] + len(new), self._counted[1] + new.count(b"\n")]
        return self._counted[1]


def free_ports(addresses: Sequence[str], count: int) -> list[int]:
    """Ports that are free at this moment on each of *addresses*."""
    ports: list[int] = []
    with ExitStack() as stack:
        while len(ports) < count:
            first = stack.enter_context(socket.create_server((addresses[0], 0)))
            port = first.getsockname()[1]
            try:
                for address in addresses[1:]:
                    stack.enter_context(socket.create_server((address, port)))
            except OSError as error:
                if error.errno not in (98, 48):  # EADDRINUSE of Linux and macOS
                    raise SiteError(f"the addresses {', '.join(addresses)} cannot all be served: {error}") from None
                continue
            ports.append(port)
    return ports


def exit_on_sigterm() -> None:
    """Let SIGTERM end the program as Ctrl-C does: through every `with`, so that no server is left behind."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def main() -> int:
    """Serve folders until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.site", description=main.__doc__)
    parser.add_argument("folders", nargs="+", metavar="NAME=PATH")
    parser.add_argument("--addresses", type=int, default=1, metavar="N", help="on 127.0.0.1 to 127.0.0.N")
    args = parser.parse_args()
    exit_on_sigterm()
    folders = {name: Path(path) for name, _, path in (item.partition("=") for item in args.folders)}
    try:
        with Sites(folders, [f"127.0.0.{n}" for n in range(1, args.addresses + 1)]) as sites:
            print("\n".join(sites.urls), flush=True)
            signal.sigwait({signal.SIGINT})
    except (SiteError, KeyboardInterrupt) as error:
        if isinstance(error, SiteError):
            print(error, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
