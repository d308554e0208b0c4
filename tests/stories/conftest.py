"""Crawls from end to end: real processes, a real Redis, real web servers on loopback.

`commands`      the command line in a new folder, on its embedded Redis
`sites`         web servers to crawl; `sites.add()` gives one more
`tcp_redis`     a Redis of its own on a TCP port, with a password if wanted
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands
from tests.stories.sites import Sites
from tests.stories.tcp_redis import TcpRedis


@pytest.fixture
def commands() -> Iterator[Commands]:
    made = Commands()
    yield made
    made.close()


@pytest.fixture
def sites() -> Iterator[Sites]:
    with Sites() as made:
        yield made


@pytest.fixture
def commands_on() -> Iterator[Callable[[str], Commands]]:
    """Commands on a Redis that is there; each call is another machine's folder."""
    made: list[Commands] = []

    def on(redis: str) -> Commands:
        made.append(Commands(redis))
        return made[-1]

    yield on
    for commands in made:
        commands.close()


@pytest.fixture
def tcp_redis(redis_server: PrivateRedis) -> Iterator[Callable[..., TcpRedis]]:
    made: list[TcpRedis] = []

    def open_(password: str = "") -> TcpRedis:
        made.append(TcpRedis(redis_server.binary.path, password))
        return made[-1]

    yield open_
    for server in made:
        server.close()
