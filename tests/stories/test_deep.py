"""A host with many URLs: most of its queue lies packed in Redis, and each is fetched once all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from crawler.frontier.keys import Keys
from tests.redis_for_tests import PrivateRedis
from tests.servers import Call
from tests.stories.commands import Commands, kill_hard, wait_until
from tests.stories.sites import Site, Sites, html

pytestmark = pytest.mark.slow

PAGES: Final = 1_500
AT_ONCE: Final = 16
KEYS: Final = Keys("default")


def _answer(call: Call) -> None:
    """A page has two links, those have none."""
    target = call.seen.target
    links = [f"{target}/{n}" for n in range(2)] if target.count("/") == 1 else []
    call.answer(html(links, title=target))


@pytest.fixture
def site(sites: Sites) -> Site:
    found = sites.add()
    found.otherwise = _answer
    return found


def _seed(commands: Commands, redis: PrivateRedis, site: Site) -> set[str]:
    """A crawl of so many pages of one host, most of them packed by who seeds them; their URLs."""
    first, *others = (site.url(f"/{n}") for n in range(PAGES))
    assert commands.run("seed", first, "--delay", "0", "--per-host", "999", "--ignore-traps").code == 0
    with redis.client() as client:
        client.hset(KEYS.meta, "overflow", 100)
        assert commands.run("seed", commands.write("seeds", "\n".join(others))).code == 0
        head, packed, tail = (client.llen(key) for key in KEYS.pages(site.authority))
    assert (head, packed > 0, tail < 50) == (1_000 + 1, True, True)
    return {first, *others}


def _check(commands: Commands, redis: PrivateRedis, pages: set[str]) -> None:
    """Each page and each of its links has its record; nothing is left in the queue, and nothing was lost."""
    records = commands.records()
    assert records.keys() == pages | {f"{url}/{n}" for url in pages for n in range(2)}
    assert {record["outcome"] for record in records.values()} == {"fetched"}
    with redis.client() as client:
        left: Any = client.keys("*:queue:*")
        assert left == []
    assert commands.status()["lost"] == 0


def test_each_page_is_fetched_once(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], site: Site
) -> None:
    """The links that are found go to the end of the long queue, and are packed by the workers."""
    commands = commands_on(redis_server.url)
    pages = _seed(commands, redis_server, site)
    done = commands.run("run", "--workers", "2", "--concurrency", str(AT_ONCE))
    assert done.code == 0, done.err
    _check(commands, redis_server, pages)
    assert set(site.asked_of_pages().values()) == {1}


def test_killed_workers_lose_nothing(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], site: Site
) -> None:
    """Wherever they are by then, in packing and unpacking too."""
    commands = commands_on(redis_server.url)
    pages = _seed(commands, redis_server, site)
    going = commands.start("run", "--workers", "2", "--concurrency", str(AT_ONCE))
    deaths = 4
    for part in range(1, deaths + 1):
        wait_until(lambda part=part: len(site.seen) > part * PAGES // 2, "more pages")  # type: ignore[misc]
        kill_hard(going.wait_for_workers(1)[0])
    done = going.wait()
    assert done.code == 0, done.err
    assert done.err.count("was killed by SIGKILL") == deaths
    _check(commands, redis_server, pages)
    assert site.asked_of_pages().total() <= 3 * PAGES + deaths * AT_ONCE
